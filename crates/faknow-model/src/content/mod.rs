//! Models of the content of posts.

mod dudef;
mod eddfn;
mod textcnn;

pub use dudef::{Dudef, DudefConfig};
pub use eddfn::{Eddfn, EddfnConfig, EddfnOutput};
pub use textcnn::{TextCnn, TextCnnConfig};
