//! Reading of archives of NumPy arrays (`.npz`), with the feature `npz`.

#[cfg(feature = "npz")]
use std::fs::File;
use std::path::Path;

use super::npy::Npy;
#[cfg(feature = "npz")]
use super::npy::parse;
#[cfg(feature = "npz")]
use crate::bounds::{FREE_ARRAY_BYTES, MAX_ARRAY_EXPANSION};
use crate::{Error, Result};

/// The arrays of a `.npz` file.
#[cfg(feature = "npz")]
pub(super) struct Npz<'a> {
    path: &'a Path,
    archive: zip::ZipArchive<File>,
}

#[cfg(feature = "npz")]
impl<'a> Npz<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let archive = zip::ZipArchive::new(file)
            .map_err(|e| Error::file(path, format!("expected a NumPy archive (.npz): {e}")))?;
        Ok(Self { path, archive })
    }

    /// Returns the array with the first of these names that exists.
    pub(super) fn read(&mut self, names: &[&str]) -> Result<Npy> {
        let has = |name: &&&str| self.archive.index_for_name(&format!("{name}.npy")).is_some();
        let Some(name) = names.iter().find(has) else {
            let existing: Vec<_> = self.archive.file_names().flatten().collect();
            let message =
                format!("expected an array `{}`, got {}", names.join("` or `"), existing.join(", "));
            return Err(Error::file(self.path, message));
        };
        let array_error = |message: String| Error::file(self.path, format!("array `{name}`: {message}"));
        let entry = self.archive.by_name(&format!("{name}.npy")).map_err(|e| array_error(e.to_string()))?;
        // Sizes that the archive declares, which the values are compared with.
        let (size, compressed) = (entry.size(), entry.compressed_size());
        if size > FREE_ARRAY_BYTES.max(compressed.saturating_mul(MAX_ARRAY_EXPANSION)) {
            let message = format!(
                "expected an array of at most {MAX_ARRAY_EXPANSION} times its compressed size ({compressed} bytes), got {size} \
                 bytes"
            );
            return Err(array_error(message));
        }
        parse(entry, size).map_err(array_error)
    }
}

/// A placeholder for an archive in a build without the feature.
#[cfg(not(feature = "npz"))]
pub(super) enum Npz {}

#[cfg(not(feature = "npz"))]
impl Npz {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Err(Error::file(path, "reading NumPy archives (.npz) requires a build with the feature `npz`"))
    }

    pub(super) fn read(&mut self, _: &[&str]) -> Result<Npy> {
        match *self {}
    }
}
