//! Fields of batches and datasets: presence, collation and validation.

use std::collections::HashSet;
use std::sync::Arc;

use faknow_data::graph::{NewsGraph, SparseRows, Tree};
use faknow_data::synth::{NewsGraphOptions, write_news_graph};
use faknow_data::text::{NGramEncoder, NGramOptions, TokenStorage, Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{Batch as _, Dataset as _, FieldBatch, FieldDataset, Record, Result};
use tch::{Device, Kind, Tensor};

fn words() -> FieldBatch {
    FieldBatch::from_words(Tensor::from_slice2(&[[5_i64, 2], [7, 0]]), None).unwrap()
}

fn features(n: i64) -> Tensor {
    Tensor::arange(3 * n, (Kind::Float, Device::Cpu)).view([n, 3])
}

fn trees() -> FieldDataset {
    let tree = |id: &str, n: usize, label| {
        let parents = (0..n).map(|node| (node > 0).then_some(0)).collect();
        Tree::new(id, parents, SparseRows::empty(n, 4)).unwrap().with_label(label)
    };
    FieldDataset::from_trees(vec![tree("a", 1, 0), tree("b", 3, 1), tree("c", 2, 0)]).unwrap()
}

fn news() -> FieldDataset {
    let dir = tempfile::tempdir().unwrap();
    write_news_graph(dir.path(), &NewsGraphOptions::default()).unwrap();
    FieldDataset::from_news(Arc::new(NewsGraph::read(dir.path()).unwrap()))
}

fn texts() -> FieldDataset {
    let record = |text: &str, domain: &str| {
        Ok(Record { domain: Some(domain.to_owned()), ..Record::new(text).with_label(text.len() % 2) })
    };
    let records = [record("one two", "x"), record("two", "y"), record("three one two", "x")];
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    FieldDataset::build(records, &tokenizer, &VocabOptions::default()).unwrap().0
}

type Accessor = fn(&FieldBatch) -> Result<()>;

/// Every accessor, and the API that provides its field.
const ACCESSORS: [(&str, Accessor, &str); 6] = [
    (
        "words",
        |batch| batch.words().map(drop),
        "`FieldDataset::build`, `FieldDataset::from_records` or `FieldBatch::from_words`",
    ),
    ("ngrams", |batch| batch.ngrams().map(drop), "`FieldDataset::with_ngrams`"),
    ("trees", |batch| batch.trees().map(drop), "`FieldDataset::from_trees` or `FieldBatch::from_trees`"),
    ("news", |batch| batch.news().map(drop), "`FieldDataset::from_news`"),
    ("domains", |batch| batch.domains().map(drop), "a domain column of the records (`ColumnMap::domain`)"),
    ("age", |batch| batch.feature("age").map(drop), "`FieldDataset::with_feature`"),
];

/// Returns batches, the fields that they have, and how errors list these.
fn batches() -> [(FieldBatch, &'static [&'static str], &'static str); 7] {
    let encoder = NGramEncoder::fit(&texts(), &NGramOptions::default()).unwrap();
    let batch = |data: FieldDataset| data.batch(&[0, 1]).unwrap();
    [
        (FieldBatch::new(2), &[], "a batch without fields"),
        (words(), &["words"], "`words`"),
        (batch(texts()), &["words", "domains"], "`words`, `domains`"),
        (batch(texts().with_ngrams(&encoder).unwrap()), &["ngrams", "domains"], "`ngrams`, `domains`"),
        (batch(trees()), &["trees"], "`trees`"),
        (batch(news()), &["news"], "`news`"),
        (batch(trees().with_feature("age", &features(3)).unwrap()), &["trees", "age"], "`trees`, `age`"),
    ]
}

#[test]
fn accessors_return_the_field_or_name_its_provider() {
    for (batch, fields, field_list) in batches() {
        for batch in [batch.to_device(Device::Cpu), batch] {
            assert_eq!(batch.n_samples(), 2);
            for (name, accessor, provider) in ACCESSORS {
                let expected = match fields.contains(&name) {
                    true => None,
                    false => Some(format!(
                        "batch: expected the field `{name}`, which {provider} provides, got {field_list}"
                    )),
                };
                assert_eq!(
                    accessor(&batch).err().map(|error| error.to_string()),
                    expected,
                    "{name}, {field_list}"
                );
            }
        }
    }
}

#[test]
fn features_are_collated_with_the_other_fields() {
    let sequence = Tensor::arange(12, (Kind::Double, Device::Cpu)).view([3, 2, 2]);
    let data = texts().with_feature("age", &features(3)).unwrap().with_feature("path", &sequence).unwrap();
    let subset = data.subset(&[2, 0]).unwrap();
    let batch = subset.batch(&[1, 0]).unwrap();
    assert_eq!(batch.feature("age").unwrap(), &features(3).index_select(0, &Tensor::from_slice(&[0_i64, 2])));
    assert_eq!(batch.feature("path").unwrap().size(), [2, 2, 2]);
    assert_eq!(batch.feature("path").unwrap().kind(), Kind::Float);
    assert_eq!(Vec::<i64>::try_from(&batch.words().unwrap().lengths).unwrap(), [2, 3]);
    assert_eq!(Vec::<i64>::try_from(batch.domains().unwrap()).unwrap(), [0, 0]);
    assert_eq!(subset.length(0), 3, "the length is the number of tokens; features do not count");
    assert_eq!((trees().length(1), trees().id(1)), (3, Some("b")));
}

#[test]
fn rejects_invalid_features() {
    let check = |data: FieldDataset, name: &str, values: &Tensor, expected: &str| {
        assert_eq!(data.with_feature(name, values).unwrap_err().to_string(), expected);
    };
    let with_age = || texts().with_feature("age", &features(3)).unwrap();
    let duplicate = "the dataset already has a field of this name";
    check(texts(), "age", &features(2), "feature `age`: expected 3 rows, one per sample, got 2");
    check(with_age(), "age", &features(3), &format!("feature `age`: {duplicate}"));
    check(texts(), "words", &features(3), &format!("feature `words`: {duplicate}"));
    let subset = "expected a complete dataset, got a subset: add features before taking subsets";
    check(texts().subset(&[0]).unwrap(), "age", &features(1), &format!("feature `age`: {subset}"));
    let shape = "feature: expected floats [n, d] or [n, len, d], got Float [3]";
    check(texts(), "age", &features(1).view([3]), shape);
    let error = with_age().save("/nowhere/data").unwrap_err().to_string();
    assert_eq!(error, "datasets with features or further texts cannot be saved");
    let error = trees().save("/nowhere/data").unwrap_err().to_string();
    assert_eq!(error, "expected a dataset of texts without trees: others cannot be saved");
}

#[test]
fn fingerprint_covers_every_column() {
    let with_age = |data: FieldDataset| data.with_feature("age", &features(3)).unwrap();
    let changed = features(3) + 1.0;
    let data = [
        texts(),
        trees(),
        news(),
        with_age(texts()),
        with_age(trees()),
        texts().with_feature("height", &features(3)).unwrap(),
        texts().with_feature("age", &changed).unwrap(),
        texts().subset(&[1, 0, 2]).unwrap(),
        texts().subset(&[0, 1]).unwrap(),
    ];
    let distinct: HashSet<_> = data.iter().map(|data| data.fingerprint().unwrap()).collect();
    assert_eq!(distinct.len(), data.len());
    assert_eq!(with_age(texts()).fingerprint(), with_age(texts()).fingerprint());
    assert_eq!(texts().subset(&[0, 1, 2]).unwrap().fingerprint(), texts().fingerprint());
}

#[test]
fn rejects_class_indices_out_of_range() {
    let tree = Tree::new("a", vec![None], SparseRows::empty(1, 4)).unwrap().with_label(4_000_000_000);
    let error = FieldDataset::from_trees(vec![tree]).unwrap_err().to_string();
    assert_eq!(error, "tree `a`: expected a class index from 0 to 65535, got 4000000000");
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let records = [Ok(Record::new("one").with_label(70_000))];
    let options = VocabOptions::default();
    let error = FieldDataset::build_in(records, &tokenizer, &options, &TokenStorage::default()).unwrap_err();
    assert_eq!(error.to_string(), "record 1: expected a class index from 0 to 65535, got 70000");
}
