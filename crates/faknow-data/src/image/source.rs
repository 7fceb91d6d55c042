//! Files and bytes of images.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ImageProblem;
use crate::common::printable_path;

/// Maximum number of bytes of a file.
const MAX_BYTES: u64 = 256 << 20;

/// Where the image of a record comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageSource {
    /// A file, by a path that is absolute or relative to the working directory.
    File(PathBuf),
    /// The content of a file.
    #[serde(serialize_with = "serialize_bytes", deserialize_with = "deserialize_bytes")]
    Bytes(Arc<[u8]>),
}

impl ImageSource {
    /// Returns the content of the file.
    ///
    /// # Errors
    /// The file does not exist, cannot be read, is not a regular file, or is larger than 256 MiB.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, ImageProblem> {
        let path = match self {
            Self::Bytes(bytes) => return Ok(Cow::Borrowed(bytes)),
            Self::File(path) => path,
        };
        let unreadable = |got: String| ImageProblem::Unreadable { got };
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ImageProblem::NotFound,
            _ => unreadable(error.to_string()),
        };
        // Opening a pipe would wait for its writer.
        let metadata = path.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(unreadable("a directory".to_owned()));
        }
        if !metadata.is_file() {
            return Err(unreadable("a pipe or device".to_owned()));
        }
        if metadata.len() > MAX_BYTES {
            return Err(unreadable(format!("{} bytes, more than {MAX_BYTES}", metadata.len())));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)).map_err(io)?;
        Ok(Cow::Owned(bytes))
    }

    /// Returns the path, if the image is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Bytes(_) => None,
        }
    }

    /// Returns a name for messages: the path, or the number of bytes.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => printable_path(path),
            Self::Bytes(bytes) => format!("image of {} bytes", bytes.len()),
        }
    }
}

fn serialize_bytes<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

fn deserialize_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    Vec::<u8>::deserialize(deserializer).map(Into::into)
}

/// The field of a record that names an image, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOrigin {
    /// The file of the record.
    pub file: Arc<Path>,
    /// The column of the image.
    pub column: Arc<str>,
}
