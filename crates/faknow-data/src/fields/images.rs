//! The images of a dataset, as pixels or as the output of an encoder.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::dataset::FieldDataset;
use crate::image::{ImageColumn, ImageOptions, ImageOrigin, ImageProblems, ImageSource, RecordImage};
use crate::text::{Encoded, EncodedStore, TextKey};
use crate::{Dataset as _, Error, Result};

impl FieldDataset {
    /// Reads the images of the records from which the dataset was created, and decodes each distinct one once, in parallel.
    ///
    /// [`build`](Self::build), [`from_records`](Self::from_records) and [`from_subwords`](Self::from_subwords) collect where the
    /// images are ([`Record::image`](crate::Record::image)); batches have images only after this call. Without any image,
    /// all are missing.
    ///
    /// Pixels stay in memory up to [`ImageOptions::memory`]; the others are decoded when a batch needs them. Files must not change
    /// as long as the dataset is used. A second call reads the images again, as for another size.
    ///
    /// # Errors
    /// An option is out of range; an image cannot be used, unless
    /// [`OnImageProblem::Missing`](crate::image::OnImageProblem::Missing) is set; the cache cannot be opened.
    pub fn load_images(mut self, options: &ImageOptions) -> Result<Self> {
        let no_images = || Arc::new(vec![None; self.columns.n_rows]);
        let sources = self.columns.image_sources.clone().unwrap_or_else(no_images);
        self.columns.images = Some(Arc::new(ImageColumn::load(&sources, options)?));
        self.columns.encoded_images = None;
        Ok(self)
    }

    /// Adds images, one per sample, `None` for samples without an image; `origin` is the file that errors name.
    ///
    /// # Errors
    /// As [`load_images`](Self::load_images); the number of images differs from the number of samples, or the dataset is a
    /// [`subset`](Self::subset).
    pub fn with_images(
        mut self,
        sources: Vec<Option<ImageSource>>,
        options: &ImageOptions,
        origin: &Path,
    ) -> Result<Self> {
        let error = |message: String| Err(Error::Dataset(format!("images: {message}")));
        if self.rows.is_some() {
            return error(
                "expected a complete dataset, got a subset: add images before taking subsets".to_owned(),
            );
        }
        if sources.len() != self.columns.n_rows {
            let (n, got) = (self.columns.n_rows, sources.len());
            return error(format!("expected {n}, one per sample, got {got}"));
        }
        let origin = ImageOrigin { file: Arc::from(origin), column: Arc::from("image") };
        let image = |(source, record): (Option<ImageSource>, usize)| {
            source.map(|source| RecordImage { source, record, origin: Some(origin.clone()) })
        };
        self.columns.image_sources = Some(Arc::new(sources.into_iter().zip(1..).map(image).collect()));
        self.load_images(options)
    }

    /// Returns whether the samples have images, of which some may be missing.
    pub fn has_images(&self) -> bool {
        self.columns.images.is_some()
    }

    /// Returns the number of samples that have an image.
    pub fn n_images(&self) -> usize {
        let Some(images) = &self.columns.images else { return 0 };
        (0..self.n_samples())
            .filter_map(|index| self.row(index))
            .filter(|&row| images.image(row).is_some())
            .count()
    }

    /// Returns the number of samples without an image, or with one that cannot be used; 0 if the dataset has no images.
    pub fn n_missing_images(&self) -> usize {
        if self.has_images() { self.n_samples() - self.n_images() } else { 0 }
    }

    /// Returns the images that cannot be used and count as missing, of the complete dataset; `None` if it has no images.
    pub fn image_problems(&self) -> Option<&ImageProblems> {
        self.columns.images.as_ref().map(|images| images.problems())
    }

    /// Returns what identifies the image of a sample in an [`EncodedStore`], in place of token ids: a hash of its file and of the
    /// options that change its pixels. `None` if it has no image, or the index is out of range.
    pub fn image_key(&self, index: usize) -> Option<[u32; 4]> {
        self.columns.images.as_ref()?.key(self.row(index)?)
    }

    /// Adds the output of an encoder for the images, which batches then have instead of their pixels. The content of the dataset
    /// and its [`fingerprint`](crate::Dataset::fingerprint) remain the same.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no images, or the store lacks one.
    pub fn with_encoded_images(mut self, store: &EncodedStore) -> Result<Self> {
        let keys = self.image_column()?.keys().map(|key| Ok(TextKey::new(&key)));
        let Some(column) = store.column(keys)? else {
            return Err(Error::Dataset("encoded images: expected all images, some are missing".to_owned()));
        };
        self.columns.encoded_images = Some(Arc::new(column));
        Ok(self)
    }

    /// Sets whether batches have the pixels of images in addition to the output of an encoder; default false.
    #[must_use]
    pub fn with_pixels(mut self, has_pixels: bool) -> Self {
        self.columns.has_pixels = has_pixels;
        self
    }

    /// Returns the samples whose images a store lacks, one per distinct image; of a subset, those of the complete dataset.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no images.
    pub fn not_encoded_images(&self, store: &EncodedStore) -> Result<Self> {
        let images = self.image_column()?;
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        for row in 0..self.columns.n_rows {
            if let Some(key) = images.key(row)
                && !store.contains(&TextKey::new(&key))
                && seen.insert(key)
            {
                rows.push(row as u32);
            }
        }
        Ok(Self { rows: Some(rows.into()), ..self.clone() })
    }

    /// Returns the output of an encoder for the images of the samples at `rows`, if it was added.
    pub(super) fn encoded_images(&self, rows: &[usize]) -> Result<Option<Encoded>> {
        let (Some(images), Some(encoded)) = (&self.columns.images, &self.columns.encoded_images) else {
            return Ok(None);
        };
        let rows: Vec<Option<usize>> = rows.iter().map(|&row| images.image(row)).collect();
        encoded.collate_present(&rows).map(Some)
    }

    fn image_column(&self) -> Result<&ImageColumn> {
        let images = self.columns.images.as_deref();
        images.ok_or_else(|| Error::Dataset("encoded images: expected a dataset with images".to_owned()))
    }
}
