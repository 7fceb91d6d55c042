//! Datasets of tensors, subsets and folds.

use std::collections::BTreeSet;
use std::sync::Arc;

use faknow_data::{Batch, DataLoader, Dataset, Folds, Loader, Subset, TensorDataset};
use tch::{Device, Kind, Tensor};

/// Creates a dataset whose sample `i` is the row `[i, i + 0.5]` of class `i % 3`.
fn numbered(n: i64) -> TensorDataset {
    let x = Tensor::arange(n, (Kind::Float, Device::Cpu)).unsqueeze(1);
    let labels = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(3);
    TensorDataset::new(Tensor::cat(&[&x, &(&x + 0.5)], 1), labels).unwrap()
}

#[test]
fn batches_contain_the_rows_at_their_indices() {
    let loader = DataLoader::builder(numbered(10)).batch_size(4).shuffle(3).prefetch(2, 2).build().unwrap();
    let order = loader.order(0);
    for (batch, indices) in loader.batches(0, 0).zip(order) {
        let (x, labels) = batch.unwrap();
        let rows: Vec<f32> = Vec::try_from(x.select(1, 0)).unwrap();
        assert_eq!(rows, indices.iter().map(|&index| index as f32).collect::<Vec<_>>());
        let classes: Vec<i64> = Vec::try_from(labels.unwrap()).unwrap();
        assert_eq!(classes, indices.iter().map(|&index| index as i64 % 3).collect::<Vec<_>>());
    }
    let unlabeled = TensorDataset::new(Tensor::zeros([2, 3, 4], (Kind::Half, Device::Cpu)), None).unwrap();
    let batch = unlabeled.batch(&[1]).unwrap();
    assert_eq!((batch.n_samples(), batch.labels().is_none(), batch.0.size()), (1, true, vec![1, 3, 4]));
}

#[test]
fn rejects_invalid_tensors_and_indices() {
    let x = || Tensor::zeros([3, 2], tch::kind::FLOAT_CPU);
    let check = |result: faknow_data::Result<TensorDataset>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(TensorDataset::new(Tensor::from(1.0), None), "inputs: expected a tensor [n, ...]");
    check(TensorDataset::new(x(), Tensor::from_slice(&[0_i64, 1])), "labels: expected class indices [3]");
    check(TensorDataset::new(x(), Tensor::from_slice(&[0.0, 1.0, 1.0])), "got Double [3]");
    check(TensorDataset::new(x(), Tensor::from_slice(&[0_i64, -1, 1])), "got the label -1");
    assert!(numbered(3).batch(&[3]).unwrap_err().to_string().contains("expected an index below 3"));
    let error = Subset::new(numbered(3), vec![0, 5]).unwrap_err().to_string();
    assert_eq!(error, "indices: expected indices below 3, the number of samples, got 5");
}

#[test]
fn fingerprint_depends_on_values_labels_shape_and_subset() {
    let fingerprint =
        |x: Tensor, labels: Option<Tensor>| TensorDataset::new(x, labels).unwrap().fingerprint().unwrap();
    let x = || Tensor::arange(6, (Kind::Float, Device::Cpu));
    let labels = || Some(Tensor::from_slice(&[0_i64, 1, 0, 1, 0, 1]));
    let data = Arc::new(TensorDataset::new(x(), labels()).unwrap());
    let subset_fingerprint =
        |indices: &[usize]| Subset::new(Arc::clone(&data), indices.to_vec()).unwrap().fingerprint().unwrap();
    let fingerprints = [
        fingerprint(x(), None),
        fingerprint(x(), labels()),
        fingerprint(x(), Some(Tensor::from_slice(&[0_i64, 1, 0, 1, 0, 0]))),
        fingerprint(x().view([6, 1]), labels()),
        fingerprint(x().to_kind(Kind::Double), labels()),
        fingerprint(x() + 1, labels()),
        subset_fingerprint(&[0, 1]),
        subset_fingerprint(&[1, 0]),
    ];
    assert_eq!(fingerprints.iter().collect::<BTreeSet<_>>().len(), fingerprints.len());
    assert_eq!(fingerprint(x(), labels()), fingerprints[1]);
}

#[test]
fn each_sample_is_in_one_validation_fold() {
    let data = Arc::new(numbered(20));
    for folds in [Folds::new(4), Folds::stratified(4).seed(7)] {
        let mut validated = Vec::new();
        for (train, valid) in folds.split(&data).unwrap() {
            validated.extend_from_slice(valid.indices());
            let both = [train.indices(), valid.indices()].concat();
            assert_eq!(both.into_iter().collect::<BTreeSet<_>>().len(), 20);
            let (x, _) = valid.batch(&[0]).unwrap();
            assert_eq!(x.double_value(&[0, 0]) as usize, valid.indices()[0]);
        }
        validated.sort_unstable();
        assert_eq!(validated, (0..20).collect::<Vec<_>>());
    }
    assert_ne!(
        Folds::new(4).split(&data).unwrap()[0].1.indices(),
        Folds::new(4).seed(1).split(&data).unwrap()[0].1.indices()
    );
}

#[test]
fn rejects_invalid_folds() {
    let check = |folds: Folds, data: TensorDataset, expected: &str| {
        let error = folds.split(&Arc::new(data)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(Folds::new(1), numbered(9), "n_folds: expected 2 to 9 folds");
    check(Folds::new(10), numbered(9), "got 10");
    check(Folds::stratified(4), numbered(9), "the rarest class has 3 samples");
    let unlabeled = TensorDataset::new(Tensor::zeros([4], tch::kind::FLOAT_CPU), None).unwrap();
    check(Folds::stratified(2), unlabeled, "sample 0 has no label");
}
