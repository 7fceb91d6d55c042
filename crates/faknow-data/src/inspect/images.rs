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
    /// Records that wait for their image: number, path, whether they have a text.
    waiting: Vec<(usize, PathBuf, bool)>,
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

    /// Adds a record; returns the problems of this and earlier records, if some were checked.
    pub(super) fn add(
        &mut self,
        record: usize,
        image: Option<ImageSource>,
        has_text: bool,
    ) -> Vec<BrokenImage> {
        let Some(ImageSource::File(path)) = image else {
            self.counts.n_missing += 1;
            self.count(has_text, false);
            return Vec::new();
        };
        self.n_new += usize::from(!self.checked.contains_key(&path));
        self.waiting.push((record, path, has_text));
        if self.n_new >= CHUNK { self.check() } else { Vec::new() }
    }

    /// Adds a record with a field that is not the path of an image.
    pub(super) fn add_invalid(&mut self, has_text: bool) {
        self.counts.n_broken += 1;
        self.count(has_text, false);
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
        let mut new: Vec<&PathBuf> = waiting
            .iter()
            .map(|(_, path, _)| path)
            .filter(|path| !self.checked.contains_key(*path))
            .collect();
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
            let problem = self.checked.get(&path).cloned().flatten();
            self.count(has_text, problem.is_none());
            if let Some(problem) = problem {
                self.counts.n_broken += 1;
                let message = format!("{}: {problem}", printable_path(&path));
                broken.push(BrokenImage { record, kind: kind_of(&problem), message });
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
