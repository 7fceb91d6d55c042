//! The reasons why an image cannot be used.

/// The reason why an image cannot be used, with the expected and the actual values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// The file does not exist.
    #[error("expected an image file, got none: no such file")]
    NotFound,
    /// The file cannot be read, is not a regular file, or is larger than 256 MiB.
    #[error("expected a readable image file, got {got}")]
    Unreadable {
        /// The actual file, or the error of the operating system.
        got: String,
    },
    /// The file is empty.
    #[error("expected an image, got an empty file")]
    Empty,
    /// The file is not an image.
    #[error("expected an image, got {looks_like}")]
    NotAnImage {
        /// What the content looks like.
        looks_like: String,
    },
    /// The file is an image of another format.
    #[error("expected JPEG, PNG, WebP or GIF, got {format}: convert it")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
    },
    /// The file is truncated or corrupted.
    #[error("expected a complete {format} image, got a truncated or corrupted one: {message}")]
    Broken {
        /// Name of the format.
        format: &'static str,
        /// The message of the decoder.
        message: String,
    },
    /// The image has too many pixels.
    #[error("expected at most {max_pixels} pixels (`image.max_pixels`), got {width} x {height}")]
    TooLarge {
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
}
