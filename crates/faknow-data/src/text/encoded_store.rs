//! The output of an encoder for texts, in files that are mapped into memory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memmap2::Mmap;
use tch::Tensor;

use super::Encoded;
use crate::common::{AtomicFile, is_temporary};
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// Extension of the files.
const EXTENSION: &str = "vectors";
/// The last bytes of a file.
const MAGIC: u64 = u64::from_le_bytes(*b"fknvec01");
/// Age of a temporary file that no process writes anymore: one that was killed has left it.
const ABANDONED: Duration = Duration::from_hours(24);
/// Bytes of the entry of a text: hash, number of tokens, number of vectors.
const ENTRY: usize = 16;
/// Bytes of the footer: number of texts, size of a vector, number of vectors, checksum, magic.
const FOOTER: usize = 40;

/// A directory with the output of an encoder for texts, by their token ids: vectors of their tokens, or one per text.
///
/// Files are written atomically and never changed, so that several processes can add texts at the same time. The directory
/// belongs to one encoder with its settings.
#[derive(Debug)]
pub struct EncodedStore {
    dir: PathBuf,
    /// Length of a vector.
    size: usize,
    files: Vec<Arc<Mmap>>,
    texts: HashMap<TextKey, Location>,
}

/// What identifies a text: the hash and the number of its token ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TextKey {
    hash: u64,
    n_tokens: u32,
}

/// Where the vectors of a text are.
#[derive(Debug, Clone, Copy)]
struct Location {
    file: u32,
    /// Position of the first byte.
    start: u64,
    n_vectors: u32,
}

/// A writer of a file of an [`EncodedStore`].
#[derive(Debug)]
pub struct EncodedWriter {
    file: AtomicFile,
    path: PathBuf,
    size: usize,
    entries: Vec<u8>,
    n_vectors: u64,
    checksum: Fingerprint,
}

/// The vectors of all samples of a dataset.
#[derive(Debug)]
pub(crate) struct EncodedColumn {
    size: usize,
    files: Vec<Arc<Mmap>>,
    rows: Vec<Location>,
}

impl TextKey {
    pub(crate) fn new(ids: &[u32]) -> Self {
        let mut hash = Fingerprint::new();
        ids.iter().for_each(|&id| hash.add(u64::from(id)));
        Self { hash: hash.finish(), n_tokens: ids.len() as u32 }
    }
}

impl EncodedStore {
    /// Opens a directory, which is created if missing, for vectors of length `size`. Files that are corrupted or not of this size are
    /// removed with a warning: their texts have to be encoded again. So are temporary files of killed processes, after a day.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn open(dir: impl Into<PathBuf>, size: usize) -> Result<Self> {
        let dir = dir.into();
        let io = |error| Error::io(&dir, error);
        fs::create_dir_all(&dir).map_err(io)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io)? {
            paths.push(entry.map_err(io)?.path());
        }
        paths.iter().filter(|path| is_abandoned(path)).for_each(|path| drop(fs::remove_file(path)));
        paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        paths.sort_unstable();
        let mut store = Self { dir, size, files: Vec::new(), texts: HashMap::new() };
        for path in paths {
            if let Err(problem) = store.add_file(&path) {
                tracing::warn!("{}: {problem}; its texts are encoded again", path.display());
                let _ = fs::remove_file(&path);
            }
        }
        Ok(store)
    }

    /// Returns the number of texts.
    pub fn n_texts(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn contains(&self, key: &TextKey) -> bool {
        self.texts.contains_key(key)
    }

    /// Creates a writer of further texts, which are available after [`add`](Self::add).
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn writer(&self) -> Result<EncodedWriter> {
        // Another writer of this process or of another one has another temporary file; the name follows from the content.
        let path = self.dir.join(format!("new.{EXTENSION}"));
        let file = AtomicFile::create(&path).map_err(|error| Error::io(&path, error))?;
        let (entries, n_vectors, checksum) = (Vec::new(), 0, Fingerprint::new());
        Ok(EncodedWriter { file, path, size: self.size, entries, n_vectors, checksum })
    }

    /// Completes the file of a writer and adds its texts.
    ///
    /// # Errors
    /// The file cannot be written or read.
    pub fn add(&mut self, writer: EncodedWriter) -> Result<()> {
        if writer.entries.is_empty() {
            return Ok(());
        }
        let path = writer.finish()?;
        self.add_file(&path).map_err(|problem| Error::file(&path, problem))
    }

    /// Maps a file and adds its texts; returns what is wrong with it otherwise.
    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let map = map(path).map_err(|error| error.to_string())?;
        let corrupted = || "the file is corrupted".to_owned();
        let footer = map.len().checked_sub(FOOTER).ok_or_else(corrupted)?;
        let number = |index: usize| u64_at(&map, footer + 8 * index);
        let [n_texts, size, n_vectors, checksum, magic] = [0, 1, 2, 3, 4].map(number);
        if magic != MAGIC {
            return Err(corrupted());
        }
        if size != self.size as u64 {
            return Err(format!("expected vectors of length {}, got {size}", self.size));
        }
        let sizes = n_vectors.checked_mul(4 * size).zip(n_texts.checked_mul(ENTRY as u64));
        let (n_data, n_entries) = sizes.ok_or_else(corrupted)?;
        if n_data.checked_add(n_entries) != Some(footer as u64) {
            return Err(corrupted());
        }
        let (data, entries) = map[..footer].split_at(n_data as usize);
        let (file, mut start, mut actual) = (self.files.len() as u32, 0, Fingerprint::new());
        let mut texts = Vec::with_capacity(n_texts as usize);
        for entry in entries.chunks_exact(ENTRY) {
            let counts = u64_at(entry, 8);
            let (n_tokens, n_vectors) = (counts as u32, (counts >> 32) as u32);
            texts.push((TextKey { hash: u64_at(entry, 0), n_tokens }, Location { file, start, n_vectors }));
            let end = start + u64::from(n_vectors) * 4 * size;
            add_words(&mut actual, data.get(start as usize..end as usize).ok_or_else(corrupted)?);
            start = end;
        }
        add_words(&mut actual, entries);
        if start != n_data || actual.finish() != checksum {
            return Err(corrupted());
        }
        self.texts.extend(texts);
        self.files.push(Arc::new(map));
        Ok(())
    }

    /// Returns the vectors of texts, in order; `None` if a text is missing.
    pub(crate) fn column(
        &self,
        keys: impl Iterator<Item = Result<TextKey>>,
    ) -> Result<Option<EncodedColumn>> {
        let mut rows = Vec::new();
        for key in keys {
            match self.texts.get(&key?) {
                Some(location) => rows.push(*location),
                None => return Ok(None),
            }
        }
        Ok(Some(EncodedColumn { size: self.size, files: self.files.clone(), rows }))
    }
}

impl EncodedWriter {
    /// Adds a text with these token ids and its vectors, f32 `[n_vectors, size]` on the CPU.
    ///
    /// # Errors
    /// The vectors have another shape or kind, or the file cannot be written.
    pub fn push(&mut self, ids: &[u32], vectors: &Tensor) -> Result<()> {
        let n_vectors = match vectors.size()[..] {
            [n, size] if size == self.size as i64 && vectors.kind() == tch::Kind::Float => n as u32,
            _ => return Err(Error::tensor("vectors", &format!("f32 [n, {}]", self.size), vectors)),
        };
        let values = Vec::<f32>::try_from(vectors.f_contiguous()?.f_view([-1])?)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let key = TextKey::new(ids);
        self.entries.extend(key.hash.to_le_bytes());
        self.entries.extend(key.n_tokens.to_le_bytes());
        self.entries.extend(n_vectors.to_le_bytes());
        self.n_vectors += u64::from(n_vectors);
        add_words(&mut self.checksum, &bytes);
        self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))
    }

    /// Completes the file and returns its path.
    fn finish(mut self) -> Result<PathBuf> {
        let n_texts = (self.entries.len() / ENTRY) as u64;
        add_words(&mut self.checksum, &self.entries);
        let checksum = self.checksum.finish();
        let io = |error| Error::io(&self.path, error);
        self.file.write_all(&self.entries).map_err(io)?;
        for number in [n_texts, self.size as u64, self.n_vectors, checksum, MAGIC] {
            self.file.write_all(&number.to_le_bytes()).map_err(io)?;
        }
        // Two processes that encode the same texts write the same file.
        let path = self.path.with_file_name(format!("{checksum:016x}.{EXTENSION}"));
        self.file.finish_as(&path).map_err(|error| Error::io(&path, error))?;
        Ok(path)
    }
}

impl EncodedColumn {
    /// Returns the texts at `rows` as a padded batch.
    pub(crate) fn collate(&self, rows: &[usize]) -> Result<Encoded> {
        self.collate_rows(&rows.iter().map(|&row| Some(row)).collect::<Vec<_>>(), 0)
    }

    /// Returns the inputs at `rows` as a padded batch; missing ones have length 0. All inputs of the column have the same number of
    /// vectors, which is that of each batch, even if all its inputs are missing.
    pub(crate) fn collate_present(&self, rows: &[Option<usize>]) -> Result<Encoded> {
        let n_vectors = self.rows.first().map_or(1, |location| location.n_vectors);
        self.collate_rows(rows, n_vectors)
    }

    fn collate_rows(&self, rows: &[Option<usize>], min_width: u32) -> Result<Encoded> {
        let length = |row: &Option<usize>| row.map_or(0, |row| i64::from(self.rows[row].n_vectors));
        let lengths: Vec<i64> = rows.iter().map(length).collect();
        let width = lengths.iter().copied().fold(i64::from(min_width), i64::max);
        let size = self.size as i64;
        let mut values = vec![0_f32; rows.len() * width as usize * self.size];
        let row_size = (width as usize * self.size).max(1);
        for (padded, row) in values.chunks_exact_mut(row_size).zip(rows) {
            let Some(row) = *row else { continue };
            let Location { file, start, n_vectors } = self.rows[row];
            let n_bytes = 4 * n_vectors as usize * self.size;
            let bytes = &self.files[file as usize][start as usize..start as usize + n_bytes];
            for (value, bytes) in padded.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        let vectors = Tensor::f_from_slice(&values)?.f_view([rows.len() as i64, width, size])?;
        Encoded::new(vectors, Tensor::f_from_slice(&lengths)?)
    }
}

/// Returns whether a file is a temporary one that a killed process has left.
fn is_abandoned(path: &Path) -> bool {
    let age = || path.metadata().ok()?.modified().ok()?.elapsed().ok();
    path.file_name().is_some_and(is_temporary) && age().is_some_and(|age| age > ABANDONED)
}

/// Maps a file into memory.
#[expect(
    unsafe_code,
    reason = "files of a store are renamed to their names when they are complete, and never changed afterwards"
)]
fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: no process of this program writes to the file or truncates it while it is mapped; a removed file stays readable.
    unsafe { Mmap::map(&file) }
}

/// Adds bytes as words of 8 bytes, the last one filled with 0.
fn add_words(fingerprint: &mut Fingerprint, bytes: &[u8]) {
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        fingerprint.add(u64::from_le_bytes(word));
    }
}

/// Returns the number at a position, which must be at least 8 bytes before the end.
fn u64_at(bytes: &[u8], start: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[start..start + 8]);
    u64::from_le_bytes(number)
}
