//! The images of all samples of a dataset.

use std::fmt;

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;
use tch::Tensor;
use twox_hash::XxHash3_128;

use super::column_builder::pixels;
use super::options::Resize;
use super::pixel_cache::PixelCache;
use super::{ImageOptions, ImageProblems, ImageSource, Images};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// The row of a sample without an image.
pub(super) const NO_IMAGE: u32 = u32::MAX;
/// Increases when the same file becomes other pixels, so that stored pixels and vectors are not used anymore.
const DECODER_VERSION: u32 = 1;

/// The images of all samples; distinct ones are stored once, in memory up to a limit.
pub(crate) struct ImageColumn {
    /// Position of the image of each sample in `images`.
    rows: Vec<u32>,
    images: Vec<DistinctImage>,
    options: ImageOptions,
    cache: Option<PixelCache>,
    problems: ImageProblems,
}

/// An image by its content.
pub(super) struct DistinctImage {
    /// Hash of the file.
    pub(super) hash: u128,
    pub(super) source: ImageSource,
    /// The pixels `[3, size, size]`, if they are in memory.
    pub(super) pixels: Option<Box<[u8]>>,
}

impl ImageOptions {
    /// Returns what identifies the pixels of a file with these options.
    pub(super) fn key(&self, hash: u128) -> u128 {
        let resize = match self.resize {
            Resize::Crop => 0,
            Resize::Stretch => 1,
        };
        let mut bytes = hash.to_le_bytes().to_vec();
        [self.size, resize, DECODER_VERSION].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        XxHash3_128::oneshot(&bytes)
    }
}

impl ImageColumn {
    pub(super) fn new(
        rows: Vec<u32>,
        images: Vec<DistinctImage>,
        options: ImageOptions,
        cache: Option<PixelCache>,
        problems: ImageProblems,
    ) -> Self {
        Self { rows, images, options, cache, problems }
    }

    /// Returns the position of the distinct image of a sample, if it has one.
    pub(crate) fn image(&self, row: usize) -> Option<usize> {
        self.rows.get(row).filter(|&&image| image != NO_IMAGE).map(|&image| image as usize)
    }

    /// Returns the keys of the distinct images, which depend on the content and on the options.
    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = [u32; 4]> {
        self.images.iter().map(|image| words(self.options.key(image.hash)))
    }

    /// Returns the key of the image of a sample, if it has one.
    pub(crate) fn key(&self, row: usize) -> Option<[u32; 4]> {
        Some(words(self.options.key(self.images[self.image(row)?].hash)))
    }

    /// Returns the hash of the file of a sample, if it has an image.
    pub(crate) fn hash(&self, row: usize) -> Option<[u64; 2]> {
        let hash = self.images[self.image(row)?].hash;
        Some([hash as u64, (hash >> 64) as u64])
    }

    pub(crate) fn problems(&self) -> &ImageProblems {
        &self.problems
    }

    /// Returns the pixels of the samples at `rows`; those that are not in memory are decoded in parallel.
    ///
    /// # Errors
    /// A file cannot be read anymore or has changed.
    pub(crate) fn collate(&self, rows: &[usize]) -> Result<Images> {
        let n_values = self.options.n_values();
        let images: Vec<Option<&DistinctImage>> =
            rows.iter().map(|&row| self.image(row).map(|image| &self.images[image])).collect();
        let mut values = vec![0; rows.len() * n_values];
        values.par_chunks_exact_mut(n_values).zip(images.par_iter()).try_for_each(|(values, image)| {
            match image {
                None => {}
                Some(DistinctImage { pixels: Some(pixels), .. }) => values.copy_from_slice(pixels),
                Some(image) => values.copy_from_slice(&self.read(image)?),
            }
            Ok::<(), Error>(())
        })?;
        let (n, size) = (rows.len() as i64, i64::from(self.options.size));
        let present: Vec<bool> = images.iter().map(Option::is_some).collect();
        let pixels = Tensor::f_from_slice(&values)?.f_view([n, 3, size, size])?;
        Images::new(pixels, Tensor::f_from_slice(&present)?)
    }

    /// Returns the pixels of an image that are not in memory.
    fn read(&self, image: &DistinctImage) -> Result<Box<[u8]>> {
        let (options, cache) = (&self.options, self.cache.as_ref());
        if let Some(values) = cache.and_then(|it| it.get(options.key(image.hash), options.n_values())) {
            return Ok(values.into());
        }
        let failed = |message: String| match image.source.path() {
            Some(path) => Error::file(path, message),
            None => Error::Dataset(message),
        };
        let bytes = image.source.read().map_err(|problem| failed(problem.to_string()))?;
        if XxHash3_128::oneshot(&bytes) != image.hash {
            return Err(failed(
                "expected the image as it was when the dataset was created, got another one".into(),
            ));
        }
        pixels(image.hash, &bytes, options, cache).map_err(|problem| failed(problem.to_string()))
    }
}

impl Column for ImageColumn {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        // A key depends on the options as well.
        let keys: Vec<[u32; 4]> = self.keys().collect();
        for row in 0..self.n_rows() {
            let key = self.image(row).map(|image| keys[image]);
            fingerprint.add(u64::from(key.is_some()));
            key.into_iter().flatten().for_each(|word| fingerprint.add(u64::from(word)));
        }
    }
}

impl fmt::Debug for ImageColumn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ImageColumn")
            .field("n_rows", &self.rows.len())
            .field("n_images", &self.images.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn words(key: u128) -> [u32; 4] {
    [key as u32, (key >> 32) as u32, (key >> 64) as u32, (key >> 96) as u32]
}
