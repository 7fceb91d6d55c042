//! Selection of training samples by locality-sensitive hashing of their input.

use faknow_data::{Dataset, FieldDataset, LshOptions, lsh_selection};
use faknow_model::Eddfn;

use crate::data::corpus::Corpus;
use crate::{Error, Result};

/// Number of samples per batch that is read.
const CHUNK: usize = 256;

impl Corpus {
    /// Reduces the training samples to this share, selected by locality-sensitive hashing of their input: the numeric feature
    /// `input` if they have one, else the numbers of occurrences of tokens.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(crate) fn select_training(&mut self, share: f64, seed: u64) -> Result<()> {
        let vectors = vectors(&self.train)?;
        let size = vectors.iter().flatten().map(|(position, _)| position + 1).max().unwrap_or(0);
        let options = LshOptions { share, seed, ..LshOptions::default() };
        let selected = lsh_selection(size, vectors, options).map_err(|e| Error::from_data("model", e))?;
        self.train = self.train.subset(&selected)?;
        Ok(())
    }
}

/// Returns the input of each sample as positions and values.
fn vectors(data: &FieldDataset) -> Result<Vec<Vec<(usize, f64)>>> {
    let indices: Vec<usize> = (0..data.n_samples()).collect();
    if data.feature_size(Eddfn::INPUT).is_none() {
        let counts = |index: &usize| -> Result<Vec<(usize, f64)>> {
            Ok(data.tokens(*index)?.iter().map(|&token| (token as usize, 1.0)).collect())
        };
        return indices.iter().map(counts).collect();
    }
    let mut vectors = Vec::with_capacity(indices.len());
    for chunk in indices.chunks(CHUNK) {
        let batch = data.batch(chunk)?;
        let rows =
            Vec::<Vec<f32>>::try_from(batch.feature(Eddfn::INPUT)?).map_err(faknow_data::Error::from)?;
        vectors.extend(rows.iter().map(|row| row.iter().map(|x| f64::from(*x)).enumerate().collect()));
    }
    Ok(vectors)
}
