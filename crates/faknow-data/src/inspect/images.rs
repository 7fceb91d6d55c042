//! Images of a file of records: how many there are, and which cannot be used.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::Serialize;

use super::ProblemKind;
use crate::common::printable_path;
use crate::image::{ImageOptions, ImageProblem, ImageSource, decode};

/// Number of distinct images that are decoded together.
const CHUNK: usize = 64;
/// Number of records that wait for their images.
const MAX_WAITING: usize = 10_000;

/// Numbers of records by what they have; an image that cannot be used counts as none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageCounts {
    /// Records with a text and an image.
    pub n_both: usize,
    /// Records with a text only.
    pub n_text_only: usize,
    /// Records with an image only.
    pub n_image_only: usize,
    /// Records with neither.
    pub n_neither: usize,
    /// Records without an image: the field is missing, null or blank.
    pub n_missing: usize,
    /// Records with an image that cannot be used.
    pub n_broken: usize,
    /// Distinct paths.
    pub n_files: usize,
}

/// Checks the images of records, several at a time.
pub(super) struct ImageChecker {
    options: ImageOptions,
    counts: ImageCounts,
    /// The problem of each path that was checked.
    checked: HashMap<PathBuf, Option<ImageProblem>>,
    /// Records that wait for their image: number, path or why it is not one, whether they have a text.
    waiting: Vec<(usize, Result<PathBuf, String>, bool)>,
    n_new: usize,
}

/// An image of a record that cannot be used.
pub(super) struct BrokenImage {
    pub(super) record: usize,
    pub(super) kind: ProblemKind,
    pub(super) message: String,
}

impl ImageChecker {
    pub(super) fn new() -> Self {
        Self {
            // Only decoding is checked, so a small size is enough.
            options: ImageOptions { size: 16, ..ImageOptions::default() },
            counts: ImageCounts::default(),
            checked: HashMap::new(),
            waiting: Vec::new(),
            n_new: 0,
        }
    }

    /// Adds a record with its image, or with the reason why its field is not the path of one; returns the problems of this and
    /// earlier records, if some were checked.
    pub(super) fn add(
        &mut self,
        record: usize,
        image: Result<Option<ImageSource>, String>,
        has_text: bool,
    ) -> Vec<BrokenImage> {
        let path = match image {
            Ok(Some(ImageSource::File(path))) => Ok(path),
            Ok(_) => {
                self.counts.n_missing += 1;
                self.count(has_text, false);
                return Vec::new();
            }
            Err(message) => Err(message),
        };
        self.n_new += usize::from(path.as_ref().is_ok_and(|path| !self.checked.contains_key(path)));
        self.waiting.push((record, path, has_text));
        match self.n_new >= CHUNK || self.waiting.len() >= MAX_WAITING {
            true => self.check(),
            false => Vec::new(),
        }
    }

    fn count(&mut self, has_text: bool, has_image: bool) {
        *match (has_text, has_image) {
            (true, true) => &mut self.counts.n_both,
            (true, false) => &mut self.counts.n_text_only,
            (false, true) => &mut self.counts.n_image_only,
            (false, false) => &mut self.counts.n_neither,
        } += 1;
    }

    /// Checks the images of the records that wait.
    pub(super) fn check(&mut self) -> Vec<BrokenImage> {
        let waiting = std::mem::take(&mut self.waiting);
        self.n_new = 0;
        let paths = waiting.iter().filter_map(|(_, path, _)| path.as_ref().ok());
        let mut new: Vec<&PathBuf> = paths.filter(|path| !self.checked.contains_key(*path)).collect();
        new.sort_unstable();
        new.dedup();
        let options = &self.options;
        let problem = |path: &&PathBuf| {
            let problem = match ImageSource::File((*path).clone()).read() {
                Ok(bytes) => decode(&bytes, options).err(),
                Err(problem) => Some(problem),
            };
            ((*path).clone(), problem)
        };
        let problems: Vec<_> = new.par_iter().map(problem).collect();
        self.checked.extend(problems);
        let mut broken = Vec::new();
        for (record, path, has_text) in waiting {
            let problem = match path {
                Err(message) => Some((ProblemKind::NotImages, message)),
                Ok(path) => self
                    .checked
                    .get(&path)
                    .and_then(Option::as_ref)
                    .map(|problem| (kind_of(problem), format!("{}: {problem}", printable_path(&path)))),
            };
            self.count(has_text, problem.is_none());
            if let Some((kind, message)) = problem {
                self.counts.n_broken += 1;
                broken.push(BrokenImage { record, kind, message });
            }
        }
        broken
    }

    /// Returns the counts of all records; none may wait.
    pub(super) fn finish(self) -> ImageCounts {
        ImageCounts { n_files: self.checked.len(), ..self.counts }
    }
}

fn kind_of(problem: &ImageProblem) -> ProblemKind {
    match problem {
        ImageProblem::NotFound | ImageProblem::Unreadable { .. } => ProblemKind::MissingImageFiles,
        ImageProblem::Empty | ImageProblem::NotAnImage { .. } => ProblemKind::NotImages,
        ImageProblem::Unsupported { .. } => ProblemKind::UnsupportedImages,
        ImageProblem::Broken { .. } => ProblemKind::BrokenImages,
        ImageProblem::TooLarge { .. } => ProblemKind::LargeImages,
    }
}
