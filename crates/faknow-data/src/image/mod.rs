//! Images of posts: files to pixels, pixels of a dataset and of a batch.

mod column_builder;
mod decode;
mod format;
mod image_column;
mod images;
mod options;
mod pixel_cache;
mod pixels;
mod problem;
mod problem_list;
mod resize;
mod source;

pub(crate) use column_builder::RecordImage;
pub use decode::decode;
pub(crate) use image_column::ImageColumn;
pub use images::Images;
pub use options::{ImageOptions, OnImageProblem, Resize};
pub use pixels::Pixels;
pub use problem::ImageProblem;
pub use problem_list::{ImageProblems, RecordProblem};
pub use source::{ImageOrigin, ImageSource};
