//! Directory listings, lines and JSON files, without the files that operating systems add.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, Result};

/// Maximum number of directories that a search for threads visits when it recognizes a form.
const MAX_VISITED: usize = 4_000;

/// Extensions of archives.
const ARCHIVES: [&str; 9] = ["zip", "tar", "tgz", "gz", "bz2", "xz", "zst", "rar", "7z"];

/// Returns the entries of a directory, sorted: numbers by value, then other names. Hidden files, AppleDouble files (`._x`) and
/// `__MACOSX` are ignored.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let error = |e| Error::io(dir, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = name(&path);
        if !name.starts_with('.') && name != "__MACOSX" {
            paths.push(path);
        }
    }
    paths.sort_by_cached_key(|path| sort_key(&stem(path)));
    Ok(paths)
}

/// Returns a key that orders ids by value if they are numbers.
pub(super) fn sort_key(id: &str) -> (usize, String) {
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    (if is_number { id.len() } else { usize::MAX }, id.to_owned())
}

/// Returns the subdirectories of a directory, sorted.
pub(super) fn dirs(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Returns the files of a directory with this extension, sorted; empty if it does not exist.
pub(super) fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let has_extension = |path: &PathBuf| {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension)) && path.is_file()
    };
    Ok(entries(dir)?.into_iter().filter(has_extension).collect())
}

/// Returns the name of a file or directory.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns the name of a file without its extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns an entry of a directory by its name, ignoring case.
pub(super) fn find(dir: &Path, wanted: &str) -> Option<PathBuf> {
    let exact = dir.join(wanted);
    if exact.exists() {
        return Some(exact);
    }
    entries(dir).ok()?.into_iter().find(|path| name(path).eq_ignore_ascii_case(wanted))
}

/// Returns the directory itself and its subdirectories down to `depth` for which `is_wanted` holds, without looking below them.
/// With `first`, the search ends at the first one, or after some thousand directories.
pub(super) fn search(
    dir: &Path,
    depth: usize,
    first: bool,
    is_wanted: &dyn Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![(dir.to_path_buf(), 0)];
    let mut n_visited = 0;
    while let Some((dir, level)) = todo.pop() {
        n_visited += 1;
        if first && n_visited > MAX_VISITED {
            break;
        }
        if is_wanted(&dir) {
            found.push(dir);
            if first {
                break;
            }
        } else if level < depth {
            // Reversed, so that directories are visited in their order.
            todo.extend(dirs(&dir).unwrap_or_default().into_iter().rev().map(|dir| (dir, level + 1)));
        }
    }
    found
}

/// Describes what a path is, for messages: the first entries of a directory.
pub(super) fn describe(path: &Path) -> String {
    if path.is_file() {
        let extension = path.extension().map(|it| it.to_string_lossy().to_lowercase()).unwrap_or_default();
        let is_archive = ARCHIVES.contains(&extension.as_str());
        return if is_archive { "an archive, which must be unpacked first" } else { "a file" }.to_owned();
    }
    let names: Vec<String> = entries(path).unwrap_or_default().iter().map(|path| name(path)).collect();
    match names.len() {
        0 => "an empty directory".to_owned(),
        n @ 1..=5 => format!("a directory with {n} {}: {}", plural(n), names.join(", ")),
        n => format!("a directory with {n} {}: {}, …", plural(n), names[..5].join(", ")),
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "entry" } else { "entries" }
}

/// Calls `each` with the number, from 1, and the text of each line that is not blank, without its line end and byte order mark.
pub(super) fn for_each_line(path: &Path, mut each: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(|e| Error::io(path, e))? == 0 {
            break;
        }
        let line = str::from_utf8(&bytes).map_err(|_| Error::line(path, number, "expected UTF-8"))?;
        let line = if number == 1 { line.trim_start_matches('\u{feff}') } else { line };
        let line = line.trim_end_matches(['\r', '\n']);
        if !line.trim().is_empty() {
            each(number, line)?;
        }
    }
    Ok(())
}

/// Returns the first line of a file, at most 64 KiB, if it is text.
pub(super) fn first_line(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).ok()?.take(1 << 16)).read_until(b'\n', &mut bytes).ok()?;
    let line = String::from_utf8(bytes).ok()?;
    Some(line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a JSON file.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let content = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::file(path, "expected JSON, got an empty file"));
    }
    serde_json::from_slice(content).map_err(|e| Error::file(path, format!("expected JSON: {e}")))
}
