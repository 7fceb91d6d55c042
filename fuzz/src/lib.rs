//! What the fuzz targets share: inputs of several files, and a directory for readers of paths.

use std::io::{Cursor, Write as _};
use std::path::Path;

use tempfile::TempDir;

/// Separates the files of an input.
const SEPARATOR: &[u8] = b"--file--\n";

/// Splits an input into `N` files; missing ones are empty.
pub fn files<const N: usize>(mut input: &[u8]) -> [&[u8]; N] {
    let mut files = [&[][..]; N];
    for file in &mut files {
        let end = input.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR);
        let (content, rest) = match end {
            Some(end) => (&input[..end], &input[end + SEPARATOR.len()..]),
            None => (input, &[][..]),
        };
        (*file, input) = (content, rest);
    }
    files
}

/// Calls `read` with a directory that contains these files.
pub fn with_files(files: &[(&str, &[u8])], read: impl FnOnce(&Path)) {
    thread_local!(static DIR: TempDir = TempDir::new().expect("a temporary directory"));
    DIR.with(|dir| {
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).expect("a writable directory");
        }
        read(dir.path());
    });
}

/// Returns a zip archive of arrays.
pub fn archive(arrays: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), options).expect("a new file in memory");
        zip.write_all(array).expect("a file in memory");
    }
    zip.finish().expect("an archive in memory").into_inner()
}
