//! The token ids of all samples' texts.

use std::borrow::Cow;

use tch::Tensor;

use super::tokens::Tokens;
use crate::Result;
use crate::column::Column;
use crate::fingerprint::Fingerprint;

/// The concatenated tokens of the texts of all samples.
#[derive(Debug)]
pub(crate) struct TokenColumn {
    tokens: Tokens,
    /// The end of each text in `tokens`.
    ends: Vec<usize>,
    /// Hash of the texts.
    content: u64,
}

impl TokenColumn {
    /// Creates a column from tokens and the ends of the texts.
    pub(crate) fn new(tokens: Tokens, ends: Vec<usize>) -> Result<Self> {
        let mut fingerprint = Fingerprint::new();
        ends.iter().for_each(|&end| fingerprint.add(end as u64));
        tokens.for_each_block(&mut |tokens| {
            tokens.iter().for_each(|&token| fingerprint.add(u64::from(token)));
            Ok(())
        })?;
        Ok(Self { tokens, ends, content: fingerprint.finish() })
    }

    /// Returns the token ids of a text.
    pub(crate) fn row(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.tokens.read(self.start(row), self.ends[row])
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }

    /// Returns the ids of the texts at `rows`, i64 `[n, width]`, and their lengths, i64 `[n]`; `width` maps the length of the
    /// longest text to the number of columns, which `padding` fills.
    pub(crate) fn collate(
        &self,
        rows: &[usize],
        width: impl FnOnce(usize) -> usize,
        padding: u32,
    ) -> Result<(Tensor, Tensor)> {
        let lengths: Vec<i64> = rows.iter().map(|&row| self.size(row) as i64).collect();
        let width = width(lengths.iter().max().map_or(0, |&longest| longest as usize));
        let mut ids = vec![i64::from(padding); rows.len() * width];
        for (padded, &row) in ids.chunks_exact_mut(width.max(1)).zip(rows) {
            for (id, &token) in padded.iter_mut().zip(&*self.row(row)?) {
                *id = i64::from(token);
            }
        }
        let ids = Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, width as i64])?;
        Ok((ids, Tensor::f_from_slice(&lengths)?))
    }

    /// Returns the number of tokens with this id in the texts at `rows`, or in all texts.
    pub(crate) fn count(&self, id: u32, rows: Option<&[u32]>) -> Result<usize> {
        let mut n = 0;
        let mut count = |tokens: &[u32]| n += tokens.iter().filter(|&&token| token == id).count();
        match rows {
            Some(rows) => rows.iter().try_for_each(|&row| {
                count(&self.row(row as usize)?);
                Ok(())
            }),
            None => self.tokens.for_each_block(&mut |tokens| {
                count(tokens);
                Ok(())
            }),
        }?;
        Ok(n)
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

impl Column for TokenColumn {
    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(self.content);
    }

    fn size(&self, row: usize) -> usize {
        self.ends[row] - self.start(row)
    }
}
