//! Images of posts: pixels of a batch.

mod images;

pub use images::Images;
