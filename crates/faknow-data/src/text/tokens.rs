//! Storage of the concatenated token ids of many texts: in memory, or in a file above a limit.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::common::AtomicFile;
use crate::{Error, Result};

/// Options for where the tokens of a dataset are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenStorage {
    /// Maximum number of bytes of token ids in memory, 4 per token; beyond it, all tokens are stored in a file, from which
    /// batches are read. Default: no limit.
    pub max_bytes: Option<u64>,
    /// Directory of this file, an unnamed temporary file that is deleted with the dataset. Default: the system's directory for
    /// temporary files.
    pub dir: Option<PathBuf>,
}

/// The tokens of all texts.
#[derive(Debug)]
pub(crate) enum Tokens {
    Memory(Vec<u32>),
    File(TokenFile),
}

/// Tokens in a file, as little-endian u32.
#[derive(Debug)]
pub(crate) struct TokenFile {
    /// Locked, as reading moves the file's position.
    file: Mutex<File>,
    /// Path for error messages.
    path: PathBuf,
    n_tokens: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Tokens {
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn len(&self) -> usize {
        match self {
            Self::Memory(tokens) => tokens.len(),
            Self::File(file) => file.n_tokens,
        }
    }

    /// Returns the tokens `start..end`.
    pub(crate) fn read(&self, start: usize, end: usize) -> Result<Cow<'_, [u32]>> {
        match self {
            Self::Memory(tokens) => Ok(Cow::Borrowed(&tokens[start..end])),
            Self::File(file) => file.read(start, end).map(Cow::Owned),
        }
    }

    /// Calls `f` for consecutive blocks of all tokens.
    pub(crate) fn for_each_block(&self, f: &mut dyn FnMut(&[u32]) -> Result<()>) -> Result<()> {
        const BLOCK: usize = 1 << 18;
        let mut start = 0;
        while start < self.len() {
            let end = self.len().min(start + BLOCK);
            f(&self.read(start, end)?)?;
            start = end;
        }
        Ok(())
    }

    /// Opens a file written by [`save`](Self::save); tokens above the limit of `storage` are not loaded into memory.
    pub(crate) fn open(path: &Path, n_tokens: usize, storage: &TokenStorage) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let n_bytes = file.metadata().map_err(io)?.len();
        if n_bytes != 4 * n_tokens as u64 {
            return Err(Error::file(
                path,
                format!("expected {n_tokens} tokens of 4 bytes, got {n_bytes} bytes"),
            ));
        }
        let file = TokenFile { file: Mutex::new(file), path: path.to_owned(), n_tokens };
        match storage.max_bytes.is_none_or(|max| n_bytes <= max) {
            true => Ok(Self::Memory(file.read(0, n_tokens)?)),
            false => Ok(Self::File(file)),
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let io = |source| Error::io(path, source);
        let mut file = AtomicFile::create(path).map_err(io)?;
        self.for_each_block(&mut |tokens| write_tokens(&mut file, tokens).map_err(io))?;
        file.finish().map_err(io)
    }
}

impl TokenFile {
    fn read(&self, start: usize, end: usize) -> Result<Vec<u32>> {
        let mut bytes = vec![0; 4 * (end - start)];
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let position = SeekFrom::Start(4 * start as u64);
        file.seek(position)
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| Error::io(&self.path, e))?;
        let (tokens, _) = bytes.as_chunks::<4>();
        Ok(tokens.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }
}

/// A writer that appends tokens to memory or, above the limit, to a temporary file.
#[derive(Debug, Default)]
pub(crate) struct TokenWriter {
    storage: TokenStorage,
    /// The tokens not written to the file.
    memory: Vec<u32>,
    file: Option<(BufWriter<File>, PathBuf)>,
    n_tokens: usize,
}

impl TokenWriter {
    pub(crate) fn new(storage: &TokenStorage) -> Self {
        Self { storage: storage.clone(), ..Self::default() }
    }

    pub(crate) fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    pub(crate) fn push(&mut self, tokens: &[u32]) -> Result<()> {
        self.memory.extend_from_slice(tokens);
        self.n_tokens += tokens.len();
        let n_bytes = 4 * self.n_tokens as u64;
        if self.file.is_none() && self.storage.max_bytes.is_some_and(|max| n_bytes > max) {
            self.file = Some(temporary_file(&self.storage)?);
        }
        if let Some((file, path)) = &mut self.file {
            write_tokens(file, &self.memory).map_err(|source| Error::io(&*path, source))?;
            self.memory.clear();
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Tokens> {
        let Some((file, path)) = self.file else {
            self.memory.shrink_to_fit();
            return Ok(Tokens::Memory(self.memory));
        };
        let file = file.into_inner().map_err(|error| Error::io(&path, error.into_error()))?;
        Ok(Tokens::File(TokenFile { file: Mutex::new(file), path, n_tokens: self.n_tokens }))
    }

    /// Finishes like [`finish`](Self::finish), with each token replaced: `ends` are the ends of consecutive ranges of tokens,
    /// each with the function that maps the tokens of its range.
    pub(crate) fn finish_renumbered(
        self,
        ends: impl Iterator<Item = (usize, impl Fn(u32) -> u32)>,
    ) -> Result<Tokens> {
        let storage = self.storage.clone();
        let mut start = 0;
        match self.finish()? {
            Tokens::Memory(mut tokens) => {
                for (end, map) in ends {
                    tokens[start..end].iter_mut().for_each(|token| *token = map(*token));
                    start = end;
                }
                Ok(Tokens::Memory(tokens))
            }
            Tokens::File(file) => {
                let (new, path) = temporary_file(&storage)?;
                let mut new = Self { storage, file: Some((new, path)), ..Self::default() };
                let mut old = BufReader::with_capacity(
                    1 << 20,
                    file.file.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
                );
                old.rewind().map_err(|source| Error::io(&file.path, source))?;
                let mut bytes = Vec::new();
                for (end, map) in ends {
                    bytes.resize(4 * (end - start), 0);
                    old.read_exact(&mut bytes).map_err(|source| Error::io(&file.path, source))?;
                    let (tokens, _) = bytes.as_chunks::<4>();
                    let tokens: Vec<u32> =
                        tokens.iter().map(|bytes| map(u32::from_le_bytes(*bytes))).collect();
                    new.push(&tokens)?;
                    start = end;
                }
                new.finish()
            }
        }
    }
}

/// Creates an unnamed temporary file; returns it with its directory.
fn temporary_file(storage: &TokenStorage) -> Result<(BufWriter<File>, PathBuf)> {
    let dir = storage.dir.clone().unwrap_or_else(std::env::temp_dir);
    let file = tempfile::tempfile_in(&dir).map_err(|source| Error::io(&dir, source))?;
    Ok((BufWriter::with_capacity(1 << 20, file), dir))
}

fn write_tokens(file: &mut impl Write, tokens: &[u32]) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * tokens.len());
    tokens.iter().for_each(|token| bytes.extend_from_slice(&token.to_le_bytes()));
    file.write_all(&bytes)
}
