//! Selection of training samples by locality-sensitive hashing of their input.

use faknow_data::{Dataset, FieldDataset, LshOptions, lsh_selection};
use faknow_model::Eddfn;
use tch::Tensor;

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
    let mut vectors = Vec::with_capacity(data.n_samples());
    let indices: Vec<usize> = (0..data.n_samples()).collect();
    for chunk in indices.chunks(CHUNK) {
        let batch = data.batch(chunk)?;
        if let Ok(input) = batch.feature(Eddfn::INPUT) {
            let rows = Vec::<Vec<f32>>::try_from(input).map_err(faknow_data::Error::from)?;
            vectors.extend(rows.iter().map(|row| row.iter().map(|x| f64::from(*x)).enumerate().collect()));
        } else if let Ok(subwords) = batch.subwords() {
            vectors.extend(counts(&subwords.ids, &subwords.lengths)?);
        } else {
            let words = batch.words()?;
            vectors.extend(counts(&words.ids, &words.lengths)?);
        }
    }
    Ok(vectors)
}

fn counts(ids: &Tensor, lengths: &Tensor) -> Result<Vec<Vec<(usize, f64)>>> {
    let rows = Vec::<Vec<i64>>::try_from(ids).map_err(faknow_data::Error::from)?;
    let lengths = Vec::<i64>::try_from(lengths).map_err(faknow_data::Error::from)?;
    let entry = |id: i64| (usize::try_from(id).unwrap_or(0), 1.0);
    let row = |(row, n): (Vec<i64>, i64)| row.into_iter().take(n as usize).map(entry).collect();
    Ok(rows.into_iter().zip(lengths).map(row).collect())
}
