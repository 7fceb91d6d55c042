//! Models of the content of posts.

mod textcnn;

pub use textcnn::{TextCnn, TextCnnConfig};
