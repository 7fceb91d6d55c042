//! Node features, sparse or dense.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// A growable sparse matrix of which only the nonzero entries are stored, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseRows {
    n_features: usize,
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// Creates a matrix without rows and with `n_features` columns.
    pub fn new(n_features: usize) -> Self {
        Self { n_features, ends: Vec::new(), columns: Vec::new(), values: Vec::new() }
    }

    /// Creates a matrix of `n_rows` rows of zeros.
    pub fn empty(n_rows: usize, n_features: usize) -> Self {
        Self { ends: vec![0; n_rows], ..Self::new(n_features) }
    }

    /// Appends a row of pairs of column and value. Values of repeated columns are summed in products.
    ///
    /// # Errors
    /// [`Error::Dataset`]: a column is not below `n_features`, or a value is not finite. The matrix is then unchanged.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) -> Result<()> {
        let start = self.columns.len();
        for (column, value) in row {
            let error = if column as usize >= self.n_features {
                Some(format!("expected feature indices below {}, got {column}", self.n_features))
            } else {
                (!value.is_finite())
                    .then(|| format!("feature {column}: expected a finite number, got {value}"))
            };
            if let Some(message) = error {
                self.columns.truncate(start);
                self.values.truncate(start);
                return Err(Error::Dataset(message));
            }
            if value != 0.0 {
                self.columns.push(column);
                self.values.push(value);
            }
        }
        self.ends.push(self.columns.len());
        Ok(())
    }

    /// Appends all rows of another matrix.
    pub(crate) fn append(&mut self, other: &Self) {
        let start = self.columns.len();
        self.ends.extend(other.ends.iter().map(|end| start + end));
        self.columns.extend_from_slice(&other.columns);
        self.values.extend_from_slice(&other.values);
    }

    /// Returns the number of rows.
    pub fn n_rows(&self) -> usize {
        self.ends.len()
    }

    /// Returns the number of columns.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Returns the number of stored entries.
    pub fn n_entries(&self) -> usize {
        self.columns.len()
    }

    /// Returns the columns and values of a row; both are empty if the row does not exist.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let entries = self.entries(row);
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// Returns the columns and mutable values of a row.
    pub(super) fn row_mut(&mut self, row: usize) -> (&[u32], &mut [f32]) {
        let entries = self.entries(row);
        (&self.columns[entries.clone()], &mut self.values[entries])
    }

    fn entries(&self, row: usize) -> Range<usize> {
        let Some(&end) = self.ends.get(row) else { return 0..0 };
        if row == 0 { 0..end } else { self.ends[row - 1]..end }
    }
}

/// The features of the nodes of a batch.
#[derive(Debug)]
pub enum NodeFeatures {
    /// A dense matrix `[n_nodes, n_features]`.
    Dense(Tensor),
    /// A sparse matrix.
    Sparse(SparseFeatures),
}

/// A sparse matrix as tensors, in the layout of `embedding_bag`.
#[derive(Debug)]
pub struct SparseFeatures {
    /// Column of each entry, i32 `[n_entries]`, in row-major order.
    pub columns: Tensor,
    /// Start of each row and end of the last row, i32 `[n_nodes + 1]`.
    pub offsets: Tensor,
    /// Value of each entry, `[n_entries]`.
    pub values: Tensor,
    /// Number of columns.
    pub n_features: i64,
}

impl NodeFeatures {
    /// Returns the number of rows.
    pub fn n_nodes(&self) -> i64 {
        match self {
            Self::Dense(rows) => rows.size()[0],
            Self::Sparse(sparse) => sparse.offsets.size()[0] - 1,
        }
    }

    /// Returns the number of columns.
    pub fn n_features(&self) -> i64 {
        match self {
            Self::Dense(rows) => rows.size()[1],
            Self::Sparse(sparse) => sparse.n_features,
        }
    }

    /// Returns the device of the features.
    pub fn device(&self) -> Device {
        match self {
            Self::Dense(rows) => rows.device(),
            Self::Sparse(sparse) => sparse.values.device(),
        }
    }

    /// Returns the dense matrix `[n_nodes, n_features]`.
    ///
    /// # Errors
    /// A libtorch operation fails, for example for lack of memory.
    pub fn to_dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(rows) => Ok(rows.shallow_clone()),
            Self::Sparse(sparse) => {
                let lengths = sparse.offsets.f_diff::<Tensor>(1, 0, None, None)?;
                let rows = Tensor::f_repeat_interleave(&lengths.f_to_kind(Kind::Int64)?, None)?;
                let positions = rows.f_mul_scalar(sparse.n_features)?.f_add(&sparse.columns)?;
                let n_nodes = self.n_nodes();
                let (kind, device) = (sparse.values.kind(), sparse.values.device());
                let dense = Tensor::f_zeros([n_nodes * sparse.n_features], (kind, device))?;
                Ok(dense.f_index_add(0, &positions, &sparse.values)?.f_view([n_nodes, sparse.n_features])?)
            }
        }
    }

    /// Returns the sparse matrix without zeros.
    ///
    /// # Errors
    /// A libtorch operation fails.
    pub fn to_sparse(&self) -> Result<SparseFeatures> {
        match self {
            Self::Sparse(sparse) => Ok(sparse.to_device(sparse.values.device())),
            Self::Dense(rows) => {
                let positions = rows.f_nonzero()?; // [n_entries, 2], in row-major order
                let (row, column) = (positions.f_select(1, 0)?, positions.f_select(1, 1)?);
                let counts = row.f_bincount::<Tensor>(None, rows.size()[0])?;
                let ends = counts.f_cumsum(0, Kind::Int64)?;
                let start = Tensor::f_zeros([1], (Kind::Int64, rows.device()))?;
                Ok(SparseFeatures {
                    values: rows.f_index(&[Some(&row), Some(&column)])?,
                    columns: column.f_to_kind(Kind::Int)?.f_contiguous()?,
                    offsets: Tensor::f_cat(&[start, ends], 0)?.f_to_kind(Kind::Int)?,
                    n_features: rows.size()[1],
                })
            }
        }
    }

    /// Returns the rows at these indices, i64 `[n]`, in this order; indices may be repeated.
    ///
    /// # Errors
    /// An index is out of range.
    pub fn select(&self, rows: &Tensor) -> Result<Self> {
        match self {
            Self::Dense(dense) => Ok(Self::Dense(dense.f_index_select(0, rows)?)),
            Self::Sparse(sparse) => Ok(Self::Sparse(sparse.select(rows)?)),
        }
    }

    /// Returns the same features on `device`.
    pub fn to_device(&self, device: Device) -> Self {
        match self {
            Self::Dense(rows) => Self::Dense(rows.to_device(device)),
            Self::Sparse(sparse) => Self::Sparse(sparse.to_device(device)),
        }
    }
}

impl SparseFeatures {
    /// Returns the rows at these indices, i64 `[n]`, in this order; indices may be repeated.
    ///
    /// # Errors
    /// An index is out of range.
    pub fn select(&self, rows: &Tensor) -> Result<Self> {
        let starts = self.offsets.f_narrow(0, 0, self.offsets.size()[0] - 1)?.f_index_select(0, rows)?;
        let ends = self.offsets.f_narrow(0, 1, self.offsets.size()[0] - 1)?.f_index_select(0, rows)?;
        let lengths = ends.f_sub(&starts)?;
        let zero = Tensor::f_zeros([1], (Kind::Int, self.offsets.device()))?;
        let offsets = Tensor::f_cat(&[zero, lengths.f_cumsum(0, Kind::Int)?], 0)?;
        let n_entries = offsets.f_narrow(0, rows.size()[0], 1)?.f_int64_value(&[0])?;
        // The source position of each entry is its target position plus the shift of its row.
        let shifts = starts.f_sub(&offsets.f_narrow(0, 0, rows.size()[0])?)?;
        let lengths = lengths.f_to_kind(Kind::Int64)?;
        let positions = shifts
            .f_repeat_interleave_self_tensor(&lengths, 0, n_entries)?
            .f_add(&Tensor::f_arange(n_entries, (Kind::Int, self.offsets.device()))?)?;
        Ok(Self {
            columns: self.columns.f_index_select(0, &positions)?,
            values: self.values.f_index_select(0, &positions)?,
            offsets,
            n_features: self.n_features,
        })
    }

    fn to_device(&self, device: Device) -> Self {
        Self {
            columns: self.columns.to_device(device),
            offsets: self.offsets.to_device(device),
            values: self.values.to_device(device),
            n_features: self.n_features,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_conversions_round_trip() {
        let rows =
            Tensor::from_slice2(&[[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, -3.0], [0.0, 0.0, 0.0]]);
        let sparse = NodeFeatures::Dense(rows.shallow_clone()).to_sparse().unwrap();
        assert_eq!(Vec::<i32>::try_from(&sparse.columns).unwrap(), [1, 0, 2]);
        assert_eq!(Vec::<i32>::try_from(&sparse.offsets).unwrap(), [0, 1, 1, 3, 3]);
        assert_eq!(Vec::<f64>::try_from(&sparse.values).unwrap(), [2.0, 1.5, -3.0]);
        let sparse = NodeFeatures::Sparse(sparse);
        assert_eq!((sparse.n_nodes(), sparse.n_features()), (4, 3));
        assert_eq!(sparse.to_dense().unwrap(), rows);
    }

    #[test]
    fn sparse_select_equals_dense_select() {
        let rows = Tensor::from_slice2(&[[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, -3.0]]);
        let sparse = NodeFeatures::Sparse(NodeFeatures::Dense(rows.shallow_clone()).to_sparse().unwrap());
        for indices in [&[2i64, 0, 0, 1, 2][..], &[1, 1], &[]] {
            let indices = Tensor::from_slice(indices);
            let selected = sparse.select(&indices).unwrap().to_dense().unwrap();
            assert_eq!(selected, rows.index_select(0, &indices));
        }
        assert!(sparse.select(&Tensor::from_slice(&[3i64])).is_err());
    }

    #[test]
    fn push_rejects_invalid_row_and_leaves_the_matrix_unchanged() {
        let mut rows = SparseRows::new(3);
        rows.push([(2, 1.0), (0, 0.0), (1, 4.0)]).unwrap();
        let before = rows.clone();
        let error = rows.push([(0, 1.0), (3, 1.0)]).unwrap_err().to_string();
        assert_eq!(error, "expected feature indices below 3, got 3");
        let error = rows.push([(0, 1.0), (1, f32::NAN)]).unwrap_err().to_string();
        assert_eq!(error, "feature 1: expected a finite number, got NaN");
        assert_eq!(rows, before);
        assert_eq!(rows.row(0), (&[2, 1][..], &[1.0, 4.0][..]));
        assert_eq!((rows.row(1), rows.n_entries()), ((&[][..], &[][..]), 2));
    }
}
