//! Reading and decoding of all images of a dataset, each distinct one once, in parallel.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use twox_hash::XxHash3_128;

use super::decode::decode;
use super::image_column::{DistinctImage, ImageColumn, NO_IMAGE};
use super::options::OnImageProblem;
use super::pixel_cache::PixelCache;
use super::{ImageOptions, ImageOrigin, ImageProblem, ImageProblems, ImageSource, RecordProblem};
use crate::Result;

/// Number of files per thread that are in memory at the same time.
const FILES_PER_THREAD: usize = 8;

/// The image of a record that is not read yet.
#[derive(Debug, Clone)]
pub(crate) struct RecordImage {
    pub(crate) source: ImageSource,
    /// Number of the record, from 1.
    pub(crate) record: usize,
    pub(crate) origin: Option<ImageOrigin>,
}

/// The distinct images that were read so far.
struct Builder<'a> {
    options: &'a ImageOptions,
    cache: Option<PixelCache>,
    images: Vec<DistinctImage>,
    /// Position in `images`, or the problem, by the hash of the content.
    by_hash: HashMap<u128, Result<u32, ImageProblem>>,
    /// Number of bytes of pixels in memory.
    n_bytes: usize,
}

impl ImageColumn {
    /// Reads the images of all samples; `None` for samples without an image.
    ///
    /// # Errors
    /// An option is out of range, the cache cannot be opened, or an image cannot be used and the options do not accept that.
    pub(crate) fn load(records: &[Option<RecordImage>], options: &ImageOptions) -> Result<Self> {
        options.check()?;
        let cache = match &options.cache {
            Some(dir) => Some(PixelCache::open(dir, options.cache_bytes)?),
            None => None,
        };
        let mut sources: Vec<&ImageSource> = Vec::new();
        let mut by_source: HashMap<&ImageSource, usize> = HashMap::new();
        for record in records.iter().flatten() {
            by_source.entry(&record.source).or_insert_with(|| {
                sources.push(&record.source);
                sources.len() - 1
            });
        }
        let mut builder = Builder { options, cache, images: Vec::new(), by_hash: HashMap::new(), n_bytes: 0 };
        let mut images: Vec<Result<u32, ImageProblem>> = Vec::with_capacity(sources.len());
        for sources in sources.chunks(FILES_PER_THREAD * rayon::current_num_threads()) {
            images.extend(builder.read(sources));
        }
        let mut problems = ImageProblems::default();
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let image = record.as_ref().map(|record| (record, &images[by_source[&record.source]]));
            rows.push(match image {
                None => NO_IMAGE,
                Some((_, Ok(image))) => *image,
                Some((record, Err(problem))) => {
                    let RecordImage { source, record, origin } = record;
                    let problem = || RecordProblem::new(origin.as_ref(), *record, source, problem.clone());
                    problems.push(problem);
                    NO_IMAGE
                }
            });
        }
        if options.on_problem == OnImageProblem::Error
            && let Some(error) = problems.error()
        {
            return Err(error);
        }
        let Builder { images, cache, .. } = builder;
        Ok(Self::new(rows, images, options.clone(), cache, problems))
    }
}

/// The content of a file and its hash.
type HashedFile<'a> = (u128, Cow<'a, [u8]>);

fn hashed(source: &ImageSource) -> Result<HashedFile<'_>, ImageProblem> {
    let bytes = source.read()?;
    Ok((XxHash3_128::oneshot(&bytes), bytes))
}

impl Builder<'_> {
    /// Reads some files; returns the position of each image, or its problem. The result does not depend on the number of threads.
    fn read(&mut self, sources: &[&ImageSource]) -> Vec<Result<u32, ImageProblem>> {
        let files: Vec<Result<HashedFile<'_>, ImageProblem>> =
            sources.par_iter().map(|source| hashed(source)).collect();
        let mut new: Vec<(u128, &[u8], &ImageSource)> = Vec::new();
        for (file, source) in files.iter().zip(sources) {
            if let Ok((hash, bytes)) = file
                && !self.by_hash.contains_key(hash)
                && new.iter().all(|(other, ..)| other != hash)
            {
                new.push((*hash, bytes, source));
            }
        }
        let (options, cache) = (self.options, self.cache.as_ref());
        let decoded: Vec<_> = new
            .into_par_iter()
            .map(|(hash, bytes, source)| (hash, source.clone(), pixels(hash, bytes, options, cache)))
            .collect();
        for (hash, source, pixels) in decoded {
            let image = pixels.map(|pixels| {
                let fits = self.n_bytes + pixels.len() <= options.memory;
                self.n_bytes += if fits { pixels.len() } else { 0 };
                self.images.push(DistinctImage { hash, source, pixels: fits.then_some(pixels) });
                (self.images.len() - 1) as u32
            });
            self.by_hash.insert(hash, image);
        }
        files.into_iter().map(|file| file.and_then(|(hash, _)| self.by_hash[&hash].clone())).collect()
    }
}

/// Returns the pixels of an image, `[3, size, size]`, from the cache or decoded.
///
/// # Errors
/// The image cannot be decoded.
pub(super) fn pixels(
    hash: u128,
    bytes: &[u8],
    options: &ImageOptions,
    cache: Option<&PixelCache>,
) -> Result<Box<[u8]>, ImageProblem> {
    let key = options.key(hash);
    if let Some(values) = cache.and_then(|cache| cache.get(key, options.n_values())) {
        return Ok(values.into());
    }
    let values = decode(bytes, options)?.into_values();
    if let Some(cache) = cache {
        cache.put(key, &values);
    }
    Ok(values)
}
