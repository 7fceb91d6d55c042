//! How the tokens of a batch are stored in rows: without padding, or with it.

use faknow_data::text::Subwords;
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// The order of the tokens of a batch in the rows of hidden states `[n_rows, size]`.
///
/// Packed rows have no padding: the tokens of one text after those of another, texts sorted by length, so that texts of equal
/// length are a block `[n_texts, len]` for the attention. Padded rows are all positions of the batch, in order.
#[derive(Debug)]
pub(super) struct Layout {
    /// Number of texts and columns of the batch.
    pub size: [i64; 2],
    /// Index in the batch `[n * len]` of each row, i64 `[n_rows]`; `None` for padded rows.
    pub tokens: Option<Tensor>,
    /// The column of each row, i64 `[n_rows]`.
    pub columns: Tensor,
    /// The blocks of texts of equal length, in order.
    pub blocks: Vec<Block>,
    /// The number of each text of the batch in the order of the blocks, i64 `[n]`; `None` for padded rows.
    pub order: Option<Tensor>,
    /// Which columns of padded rows are tokens, bool `[n, len]`; `None` if all are.
    pub mask: Option<Tensor>,
}

/// Texts of equal length in consecutive rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub n_texts: i64,
    pub len: i64,
}

impl Layout {
    /// Creates packed rows. A text without tokens has one row, of its first padding, so that every text has a result.
    pub(super) fn packed(subwords: &Subwords) -> Result<Self> {
        let (size, lengths) = sizes(subwords)?;
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&text| lengths[text]);
        let n_rows = lengths.iter().sum::<i64>() as usize;
        let (mut tokens, mut columns) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
        let mut blocks: Vec<Block> = Vec::new();
        let mut numbers = vec![0_i64; lengths.len()];
        for (number, &text) in order.iter().enumerate() {
            let len = lengths[text];
            numbers[text] = number as i64;
            tokens.extend((0..len).map(|column| text as i64 * size[1] + column));
            columns.extend(0..len);
            match blocks.last_mut() {
                Some(block) if block.len == len => block.n_texts += 1,
                _ => blocks.push(Block { n_texts: 1, len }),
            }
        }
        let device = subwords.ids.device();
        let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        Ok(Self {
            size,
            tokens: Some(tensor(&tokens)?),
            columns: tensor(&columns)?,
            blocks,
            order: Some(tensor(&numbers)?),
            mask: None,
        })
    }

    /// Creates padded rows, as Hugging Face's library has them.
    pub(super) fn padded(subwords: &Subwords) -> Result<Self> {
        let (size, lengths) = sizes(subwords)?;
        let full = Self::full(size, subwords.ids.device())?;
        if lengths.iter().all(|&length| length == size[1]) {
            return Ok(full);
        }
        let lengths = Tensor::f_from_slice(&lengths)?.f_to_device(subwords.ids.device())?;
        let mask = full.columns.f_view(size)?.f_lt_tensor(&lengths.f_unsqueeze(1)?)?;
        Ok(Self { mask: Some(mask), ..full })
    }

    /// Creates rows of `n` texts of `len` tokens each, without padding.
    pub(super) fn full([n, len]: [i64; 2], device: Device) -> Result<Self> {
        let columns = Tensor::f_arange(len, (Kind::Int64, device))?.f_repeat([n])?;
        let blocks = vec![Block { n_texts: n, len }];
        Ok(Self { size: [n, len], tokens: None, columns, blocks, order: None, mask: None })
    }

    /// Returns the number of tokens of the longest text.
    pub(super) fn max_len(&self) -> i64 {
        self.blocks.iter().map(|block| block.len).max().unwrap_or(0)
    }

    /// Selects the rows of a batch `[n, len, ..]`: `[n_rows, ..]`.
    pub(super) fn select(&self, batch: &Tensor) -> Result<Tensor> {
        let flat = batch.f_flatten(0, 1)?;
        Ok(match &self.tokens {
            Some(tokens) => flat.f_index_select(0, tokens)?,
            None => flat,
        })
    }

    /// Returns rows `[n_rows, size]` as a batch `[n, len, size]`; packed rows have zeros after the end of a text.
    pub(super) fn pad(&self, rows: &Tensor) -> Result<Tensor> {
        let [n, len] = self.size;
        let size = rows.size()[1];
        let flat = match &self.tokens {
            Some(tokens) => rows
                .f_new_zeros([n * len, size], (rows.kind(), rows.device()))?
                .f_index_copy(0, tokens, rows)?,
            None => rows.shallow_clone(),
        };
        Ok(flat.f_view([n, len, size])?)
    }

    /// Splits rows `[n_rows, size]` into the blocks `[n_texts, len, size]`.
    pub(super) fn split(&self, rows: &Tensor) -> Result<Vec<Tensor>> {
        let size = rows.size()[1];
        let view = |rows: &Tensor, block: &Block| rows.f_view([block.n_texts, block.len, size]);
        if let [block] = &self.blocks[..] {
            return Ok(vec![view(rows, block)?]);
        }
        let n_rows: Vec<i64> = self.blocks.iter().map(|block| block.n_texts * block.len).collect();
        let parts = rows.f_split_with_sizes(&n_rows, 0)?;
        parts.iter().zip(&self.blocks).map(|(part, block)| Ok(view(part, block)?)).collect()
    }

    /// Reduces the rows of each text to a vector: `[n_texts, len, size]` of a block and the mask of its tokens, `[n_texts, len]`,
    /// to `[n_texts, size]`. Returns `[n, size]` in the order of the batch.
    pub(super) fn pool(
        &self,
        rows: &Tensor,
        reduce: impl Fn(&Tensor, Option<&Tensor>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let blocks = self.split(rows)?;
        let pooled =
            blocks.iter().map(|block| reduce(block, self.mask.as_ref())).collect::<Result<Vec<_>>>()?;
        let pooled = Tensor::f_cat(&pooled, 0)?;
        Ok(match &self.order {
            Some(order) => pooled.f_index_select(0, order)?,
            None => pooled,
        })
    }
}

/// Returns the size of a batch and the number of rows of each text, at least 1.
fn sizes(subwords: &Subwords) -> Result<([i64; 2], Vec<i64>)> {
    let invalid =
        |expected: &str, got: String| Error::Batch { model: "encoder", expected: expected.into(), got };
    let size = match subwords.ids.size()[..] {
        [n, len] if len > 0 => [n, len],
        _ => {
            return Err(invalid(
                "token ids [n, len] with at least one column",
                format!("{:?}", subwords.ids.size()),
            ));
        }
    };
    let mut lengths = Vec::<i64>::try_from(&subwords.lengths)?;
    for length in &mut lengths {
        if !(0..=size[1]).contains(length) {
            return Err(invalid(&format!("texts of at most {} tokens", size[1]), length.to_string()));
        }
        *length = (*length).max(1);
    }
    Ok((size, lengths))
}
