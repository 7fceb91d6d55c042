//! The image verification corpus of MediaEval: tab-separated posts with the ids of their images.
//!
//! The columns differ between the years: `tweetId tweetText userId imageId(s) username timestamp label` (2015), `post_id post_text
//! user_id image_id(s) username timestamp label` and `… username image_id …` (2016). Quotes are plain text.

use std::path::{Path, PathBuf};

use super::files;
use super::posts::{Post, RawThread};
use super::sink::Sink;
use crate::{Error, Result};

/// Positions of the columns.
struct Columns {
    n: usize,
    id: usize,
    text: usize,
    image: usize,
    label: Option<usize>,
}

impl Columns {
    /// Returns the columns of a header; `None` if it is not one of this corpus.
    fn from_header(header: &str) -> Option<Self> {
        let name =
            |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
        let names: Vec<String> = header.split('\t').map(name).collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        Some(Self {
            n: names.len(),
            id: find(&["tweetid", "postid"])?,
            text: find(&["tweettext", "posttext"])?,
            image: find(&["imageids", "imageid"])?,
            label: find(&["label"]),
        })
    }
}

fn columns(path: &Path) -> Option<Columns> {
    Columns::from_header(&files::first_line(path)?)
}

pub(super) fn is_form(path: &Path) -> bool {
    !tables(path, 2).is_empty()
}

/// Returns the tables of posts: the file itself, or those of a directory.
fn tables(path: &Path, depth: usize) -> Vec<PathBuf> {
    if path.is_file() {
        return columns(path).map(|_| path.to_path_buf()).into_iter().collect();
    }
    let mut found: Vec<PathBuf> = files::files(path, "txt").unwrap_or_default();
    found.retain(|file| columns(file).is_some());
    if depth > 0 {
        let dirs = files::dirs(path).unwrap_or_default();
        found.extend(dirs.into_iter().flat_map(|dir| tables(&dir, depth - 1)));
    }
    found
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let tables = tables(path, 2);
    // Test sets are distributed with and without labels.
    let labeled: Vec<&PathBuf> =
        tables.iter().filter(|file| columns(file).is_some_and(|columns| columns.label.is_some())).collect();
    match labeled[..] {
        [file] => read_table(file, sink),
        [] => {
            let file = tables.first().map_or(path, PathBuf::as_path);
            let message = "no such column `label`; the labels of test posts are in `posts_groundtruth.txt`";
            Err(Error::file(file, message))
        }
        _ => {
            let names: Vec<String> = labeled.iter().map(|file| file.display().to_string()).collect();
            let names = names.join(", ");
            Err(Error::file(
                path,
                format!("expected one file of posts, got {}: choose one of {names}", labeled.len()),
            ))
        }
    }
}

fn read_table(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let mut columns = None;
    files::for_each_line(path, |number, line| {
        let Some(Columns { n, id, text, image, label: Some(label) }) = columns else {
            columns = Columns::from_header(line);
            return Ok(());
        };
        let fields: Vec<&str> = line.split('\t').collect();
        sink.count_read();
        if fields.len() != n {
            let message = format!("expected {n} fields separated by tabs, got {}", fields.len());
            return sink.skip(Error::line(path, number, message));
        }
        let field = |column: usize| fields[column].trim().to_owned();
        let (id, text, label) = (field(id), field(text), field(label));
        if label.is_empty() {
            sink.leave_out("posts without a label", &id);
            return Ok(());
        }
        let images: Vec<String> = fields[image]
            .split(',')
            .map(|image| image.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect();
        if images.len() > 1 {
            sink.adjust("posts with several images, of which `image` is the first and `images` has all", &id);
        }
        let root = Post { id: id.clone(), parent: None, time: Some(0.0), text: Some(text.clone()) };
        sink.write(RawThread {
            id,
            label,
            event: images.first().map(|image| event(image)),
            text,
            image: images.first().cloned(),
            extra: if images.len() > 1 { vec![("images", images.into())] } else { Vec::new() },
            posts: vec![root],
        })
    })
}

/// Returns the event of an image: its id without number, without `_fake` or `_real`, and without the letter that numbers the parts
/// of an event (`sandyA_fake_03`).
fn event(image: &str) -> String {
    let stem = image.rsplit_once('.').map_or(image, |(stem, _)| stem);
    let event = stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    let event = ["_fake", "_real"].iter().find_map(|suffix| event.strip_suffix(suffix)).unwrap_or(event);
    let mut chars = event.chars().rev();
    let has_part_letter = chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let event = if has_part_letter { &event[..event.len() - 1] } else { event };
    if event.is_empty() { image.to_owned() } else { event.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_image_ids_without_number_and_label() {
        let check = |image: &str, expected: &str| assert_eq!(event(image), expected, "{image}");
        check("flood_fake_03", "flood");
        check("floodA_real_12", "flood");
        check("two_boats_1", "two_boats");
        check("eclipse_01.jpg", "eclipse");
        check("bigFish_01", "bigFish");
        check("boats_video", "boats_video");
        check("17", "17");
    }
}
