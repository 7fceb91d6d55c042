//! The field of a record that names the file of an image.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::missing::is_missing;
use super::options::ReadOptions;
use crate::common::printable;
use crate::image::ImageSource;
use crate::input::is_stream;

/// Returns the directory of the images of the records at `path`.
pub(crate) fn image_dir(path: &Path, options: &ReadOptions) -> PathBuf {
    let of_file = || match is_stream(path) {
        true => PathBuf::new(),
        false => path.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    options.image_dir.clone().unwrap_or_else(of_file)
}

/// Returns the image of a field, a path that is relative to `dir` or absolute; of an array, or of a string that contains one, its
/// first entry that is not missing.
///
/// # Errors
/// The value is not a path.
pub(crate) fn image_of(value: Option<&Value>, dir: &Path) -> Result<Option<ImageSource>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_missing(text) => Ok(None),
        Some(Value::String(text)) if text.trim_start().starts_with('[') => {
            match serde_json::from_str::<Value>(text) {
                Ok(value @ Value::Array(_)) => image_of(Some(&value), dir),
                _ => Ok(Some(file(text, dir))),
            }
        }
        Some(Value::String(text)) if is_url(text) => Err(format!(
            "expected the path of an image file, got the URL `{}`: download the images and give the paths of the files",
            printable(text.trim(), 60)
        )),
        Some(Value::String(text)) => Ok(Some(file(text, dir))),
        Some(Value::Array(items)) => {
            let is_present = |item: &&Value| match item {
                Value::Null => false,
                Value::String(text) => !is_missing(text),
                _ => true,
            };
            match items.iter().find(is_present) {
                Some(Value::Array(_)) => Err(not_a_path("an array in an array")),
                item => image_of(item, dir),
            }
        }
        Some(other) => Err(not_a_path(&format!("`{}`", printable(&other.to_string(), 30)))),
    }
}

fn not_a_path(got: &str) -> String {
    format!("expected the path of an image file, got {got}")
}

fn file(path: &str, dir: &Path) -> ImageSource {
    ImageSource::File(dir.join(path.trim()))
}

fn is_url(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("//") || text.starts_with("data:") || {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_relative_to_the_directory() {
        let check = |value: Value, expected: Result<Option<&str>, &str>| {
            let got = image_of(Some(&value), Path::new("posts"));
            let expected = expected.map(|path| path.map(|path| ImageSource::File(path.into())));
            assert_eq!(
                got,
                expected.map_err(|message| format!("expected the path of an image file, got {message}"))
            );
        };
        check(json!(" a/b c.jpg "), Ok(Some("posts/a/b c.jpg")));
        check(json!("/a.jpg"), Ok(Some("/a.jpg")));
        check(json!(["", null, "NaN", "b.jpg", "c.jpg"]), Ok(Some("posts/b.jpg")));
        check(json!("[\"\", \"b.jpg\"]"), Ok(Some("posts/b.jpg")));
        check(json!("[draft] a.jpg"), Ok(Some("posts/[draft] a.jpg")));
        for missing in [json!(null), json!(""), json!(" "), json!("nan"), json!([]), json!([""]), json!("[]")]
        {
            check(missing, Ok(None));
        }
        let help = ": download the images and give the paths of the files";
        check(json!("https://x.org/a.jpg"), Err(&format!("the URL `https://x.org/a.jpg`{help}")));
        check(json!(["data:image/png;base64,AA"]), Err(&format!("the URL `data:image/png;base64,AA`{help}")));
        check(json!(5), Err("`5`"));
        check(json!({"path": "a.jpg"}), Err("`{\"path\":\"a.jpg\"}`"));
        check(json!([["a.jpg"]]), Err("an array in an array"));
        assert_eq!(image_of(None, Path::new("")), Ok(None));
    }
}
