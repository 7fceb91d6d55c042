//! What to do about a path that cannot be read: a similar name, or the files of a directory.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;

use faknow::data::common::{most_similar, shell_word};
use faknow::data::raw::recognize;
use faknow::{callbacks, data, model, trainer};

/// Maximum number of entries of a directory that are compared.
const MAX_ENTRIES: usize = 10_000;
/// Maximum number of files of a directory that are named.
const MAX_NAMES: usize = 5;

/// Returns the advice for an error of reading a path.
pub(crate) fn path_advice(error: &anyhow::Error) -> Option<String> {
    if let Some(path) = opened_path(error) {
        // Its name is checked before it is opened.
        return match path {
            path if path.is_dir() => Some(directory(path)),
            path if !path.exists() && path != Path::new("standard input") => {
                Some(missing(path).unwrap_or_else(|| "there is also no such file".to_owned()))
            }
            _ => None,
        };
    }
    let (path, error) = path_error(error)?;
    match error.kind() {
        ErrorKind::NotFound => missing(path),
        ErrorKind::IsADirectory => Some(directory(path)),
        _ => None,
    }
}

/// Returns the file of an error about its content or its name.
fn opened_path(error: &anyhow::Error) -> Option<&Path> {
    match error.downcast_ref::<faknow::Error>() {
        Some(faknow::Error::Data(data::Error::File { path, .. })) => Some(path),
        _ => match error.downcast_ref() {
            Some(data::Error::File { path, .. }) => Some(path),
            _ => None,
        },
    }
}

/// Returns the path and the error of the operating system.
fn path_error(error: &anyhow::Error) -> Option<(&Path, &io::Error)> {
    use trainer::Error as T;
    if let Some(data::Error::Io { path, source }) = error.downcast_ref() {
        return Some((path, source));
    }
    match error.downcast_ref::<faknow::Error>()? {
        faknow::Error::Io { path, source }
        | faknow::Error::Data(data::Error::Io { path, source })
        | faknow::Error::Model(model::Error::Io { path, source })
        | faknow::Error::Trainer(T::Io { path, source }) => Some((path, source)),
        faknow::Error::Callback(callbacks::Error::Io { path, error }) => Some((path, error)),
        _ => None,
    }
}

/// Returns what is there instead of a missing file.
fn missing(path: &Path) -> Option<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.exists()) {
        return Some(format!("the directory `{}` does not exist", parent.display()));
    }
    let names = names(parent.unwrap_or(Path::new(".")));
    let name = path.file_name()?.to_str()?;
    let known = || names.iter().map(String::as_str).filter(|it| *it != name);
    let same_stem = known().find(|it| stem(it) == stem(name));
    let similar = same_stem.or_else(|| most_similar(name, known()))?;
    let similar = parent.map_or_else(|| similar.into(), |parent| parent.join(similar));
    Some(format!("did you mean `{}`?", similar.display()))
}

/// Returns the data files of a directory that is given instead of a file.
fn directory(path: &Path) -> String {
    if let Some(kind) = recognize(path) {
        let path = shell_word(&path.to_string_lossy());
        return format!(
            "these are raw posts ({kind}): convert them with `faknow data prepare {kind} {path} --out {kind}.jsonl`"
        );
    }
    let mut files = names(path);
    files.retain(|name| path.join(name).is_file() && !name.starts_with('.'));
    match files.len() {
        0 => "expected a file, got a directory without files".to_owned(),
        n => {
            let more = if n > MAX_NAMES { ", …" } else { "" };
            files.truncate(MAX_NAMES);
            let files: Vec<String> =
                files.iter().map(|name| format!("`{}`", path.join(name).display())).collect();
            format!("expected a file, got a directory; its files are {}{more}", files.join(", "))
        }
    }
}

/// Returns the names of the entries of a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn stem(name: &str) -> Option<String> {
    Path::new(name).file_stem().and_then(OsStr::to_str).map(str::to_lowercase)
}
