//! Models that read what a post says.

mod textcnn;

pub use textcnn::{TextCnn, TextCnnConfig};
