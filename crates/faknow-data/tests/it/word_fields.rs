//! Text datasets and their batches.

use faknow_data::text::{Tokenizer, TokenizerConfig, Vocab, VocabBuilder, VocabOptions};
use faknow_data::{
    Batch, Classes, ColumnMap, DataLoader, Dataset, FieldBatch, FieldDataset, Loader, ReadOptions, Record,
    RecordReader, Result,
};
use tch::{Device, Kind, Tensor};

use crate::shared_data::shared_data;

fn record(text: &str, label: Option<usize>, domain: Option<&str>) -> Record {
    Record { text: text.to_owned(), label, domain: domain.map(str::to_owned), ..Record::default() }
}

fn records(texts: &[(&str, usize)]) -> Vec<Result<Record>> {
    texts.iter().map(|&(text, label)| Ok(record(text, Some(label), None))).collect()
}

fn build(records: impl IntoIterator<Item = Result<Record>, IntoIter: Send>) -> Result<(FieldDataset, Vocab)> {
    FieldDataset::build(records, &Tokenizer::new(TokenizerConfig::default())?, &VocabOptions::default())
}

fn ints(tensor: &Tensor) -> Vec<i64> {
    Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn batches_are_padded_to_their_longest_text() {
    let (dataset, _) = build(records(&[("a a a", 0), ("", 1), ("a b", 0), ("a b c a", 1)])).unwrap();
    assert_eq!((dataset.n_samples(), dataset.n_tokens(), dataset.n_unknown().unwrap()), (4, 9, 0));
    let check = |dataset: &FieldDataset, indices: &[usize], expected: &[&[i64]]| {
        let batch = dataset.batch(indices).unwrap();
        let size = [indices.len() as i64, expected.first().map_or(1, |row| row.len() as i64)];
        assert_eq!(batch.words().unwrap().ids.size(), size);
        assert_eq!(ints(&batch.words().unwrap().ids), expected.concat());
        assert_eq!(batch.words().unwrap().ids.kind(), Kind::Int64);
        assert_eq!(batch.indices, indices);
        assert_eq!(batch.n_samples(), indices.len());
        let lengths: Vec<i64> = indices.iter().map(|&i| dataset.length(i) as i64).collect();
        assert_eq!(ints(&batch.words().unwrap().lengths), lengths);
        let labels: Vec<i64> =
            indices.iter().filter_map(|&i| dataset.class(i)).map(|class| class as i64).collect();
        assert_eq!(ints(batch.labels().unwrap()), labels);
        assert!(batch.domains.is_none());
    };
    check(&dataset, &[0, 2], &[&[2, 2, 2], &[2, 3, 0]]);
    check(&dataset, &[1], &[&[0]]);
    check(&dataset, &[], &[]);
    check(&dataset, &[1, 1, 2], &[&[0, 0], &[0, 0], &[2, 3]]);
    check(&dataset.clone().with_extra_padding(2), &[2, 1], &[&[2, 3, 0, 0], &[0, 0, 0, 0]]);
    check(&dataset.clone().with_min_length(5), &[2], &[&[2, 3, 0, 0, 0]]);
    check(&dataset.clone().with_extra_padding(4).with_min_length(5), &[2], &[&[2, 3, 0, 0, 0, 0]]);
    assert_eq!(dataset.clone().with_min_length(0).batch(&[1]).unwrap().words().unwrap().ids.size(), [1, 0]);

    let subset = dataset.subset(&[3, 2]).unwrap();
    check(&subset, &[1, 0], &[&[2, 3, 0, 0], &[2, 3, 4, 2]]);
    let again = subset.subset(&[1]).unwrap();
    assert_eq!((again.n_samples(), &*again.tokens(0).unwrap(), again.class(0)), (1, &[2, 3][..], Some(0)));
    assert_eq!((again.class(1), again.tokens(1).unwrap().len()), (None, 0));
    let out_of_range = "expected an index below 1, the number of samples, got 1";
    assert_eq!(again.batch(&[0, 1]).unwrap_err().to_string(), out_of_range);
    assert_eq!(again.subset(&[1]).unwrap_err().to_string(), out_of_range);
}

#[test]
fn one_pass_equals_two_passes() {
    // More than one chunk of very different lengths, so that shards and chunks end at various positions.
    let texts: Vec<String> = (0..20_000_usize)
        .map(|i| (0..i * 7 % 23).map(|j| format!("w{} ", (i * i + j * 31) % 997)).collect())
        .collect();
    let records =
        || texts.iter().enumerate().map(|(i, text)| Ok(record(text, Some(i % 3), Some(["b", "a"][i % 2]))));
    let config =
        TokenizerConfig { max_length: Some(15), stop_words: vec!["w5".into()], ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::new(config).unwrap();
    let options = VocabOptions { min_count: 200, max_size: Some(300) };

    let (dataset, vocab) = FieldDataset::build(records(), &tokenizer, &options).unwrap();
    let mut builder = VocabBuilder::new();
    texts.iter().for_each(|text| builder.add_text(&tokenizer, text));
    let expected = builder.build(&options).unwrap();
    assert_eq!(vocab.words().collect::<Vec<_>>(), expected.words().collect::<Vec<_>>());
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(*dataset.tokens(i).unwrap(), expected.encode(&tokenizer, text), "text {i}");
        assert_eq!((dataset.class(i), dataset.domain(i)), (Some(i % 3), Some(1 - i % 2)));
    }
    assert!(dataset.n_unknown().unwrap() > 0);

    let second = FieldDataset::from_records(records(), &tokenizer, &vocab, dataset.domains()).unwrap();
    assert_eq!(second.fingerprint(), dataset.fingerprint());
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (third, vocab_3) =
        one_thread.install(|| FieldDataset::build(records(), &tokenizer, &options)).unwrap();
    assert_eq!((third.fingerprint(), vocab_3.fingerprint()), (dataset.fingerprint(), vocab.fingerprint()));
}

#[test]
fn fingerprints_of_different_datasets_differ() {
    let all = [
        records(&[("a b", 0), ("b", 1)]),
        records(&[("a b", 0), ("b", 0)]),
        records(&[("b a", 0), ("b", 1)]),
        records(&[("b", 1), ("a b", 0)]),
        records(&[("a", 0), ("b b", 1)]),
        vec![Ok(record("a b", None, None)), Ok(record("b", None, None))],
        vec![Ok(record("a b", Some(0), Some("x"))), Ok(record("b", Some(1), None))],
        vec![Ok(record("a b", Some(0), Some("y"))), Ok(record("b", Some(1), None))],
    ];
    let n = all.len();
    let distinct: std::collections::HashSet<u64> =
        all.into_iter().map(|records| build(records).unwrap().0.fingerprint().unwrap()).collect();
    assert_eq!(distinct.len(), n);
    let (dataset, _) = build(records(&[("a b", 0), ("b", 1)])).unwrap();
    assert_eq!(dataset.subset(&[0, 1]).unwrap().fingerprint(), dataset.fingerprint());
    assert_ne!(dataset.subset(&[1, 0]).unwrap().fingerprint(), dataset.fingerprint());
}

#[test]
fn domains_are_numbered_by_name() {
    let records = |domains: &[Option<&str>]| {
        domains.iter().map(|domain| Ok(record("a", Some(0), *domain))).collect::<Vec<Result<Record>>>()
    };
    let (dataset, vocab) =
        build(records(&[Some("10"), None, Some("sport"), Some("2"), Some("art")])).unwrap();
    assert_eq!(dataset.domains(), ["2", "10", "art", "sport"]);
    assert_eq!(ints(&dataset.batch(&[0, 1, 2, 3, 4]).unwrap().domains.unwrap()), [1, -1, 3, 0, 2]);

    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let other = |domains: &[String]| {
        FieldDataset::from_records(records(&[Some("sport"), Some("new"), None]), &tokenizer, &vocab, domains)
            .unwrap()
    };
    let test = other(dataset.domains());
    assert_eq!(test.domains(), dataset.domains());
    assert_eq!((test.domain(0), test.domain(1), test.domain(2)), (Some(3), None, None));
    assert_eq!(ints(&test.batch(&[0, 1, 2]).unwrap().domains.unwrap()), [3, -1, -1]);
    assert!(other(&[]).batch(&[0]).unwrap().domains.is_none());
}

#[test]
fn rejects_invalid_records() {
    let check = |records: Vec<Result<Record>>, expected: &str| {
        assert_eq!(build(records).unwrap_err().to_string(), expected);
    };
    let mixed = |first, second| vec![Ok(record("a", first, None)), Ok(record("b", second, None))];
    check(vec![], "the vocabulary is empty: the texts contain no words");
    check(records(&[("", 0), (" ", 1)]), "the vocabulary is empty: the texts contain no words");
    check(mixed(Some(0), None), "record 2: expected all records to be labeled or none, got no label");
    check(mixed(None, Some(0)), "record 2: expected all records to be labeled or none, got the first label");
    let mut broken = records(&[("a", 0); 9000]);
    broken[8500] = Err(faknow_data::Error::Dataset("record 8501 is broken".into()));
    check(broken, "record 8501 is broken");
}

#[test]
fn check_classes_rejects_missing_and_unknown_classes() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let check = |labels: &[usize], class_names: &[&str], expected: Option<&str>| {
        let texts: Vec<(&str, usize)> = labels.iter().map(|&label| ("a", label)).collect();
        let (dataset, _) = build(records(&texts)).unwrap();
        let got = dataset.check_classes(&names(class_names)).err().map(|error| error.to_string());
        assert_eq!(got.as_deref(), expected);
    };
    check(&[0, 1, 1], &["real", "fake"], None);
    check(&[1, 1], &["real", "fake"], Some("no record of class `real` among 2 records"));
    check(&[1], &["a", "b", "c"], Some("no records of classes `a`, `c` among 1 records"));
    check(&[0, 2], &["real", "fake"], Some("expected class indices below 2 (real, fake), got 2"));
    let (unlabeled, _) = build([Ok(record("a", None, None))]).unwrap();
    assert!(!unlabeled.is_labeled() && unlabeled.batch(&[0]).unwrap().labels.is_none());
    let error = unlabeled.check_classes(&names(&["real", "fake"])).unwrap_err();
    assert_eq!(error.to_string(), "expected labels (real, fake), got unlabeled records");
    let (dataset, _) = build(records(&[("a", 2), ("b", 0), ("c", 2)])).unwrap();
    assert_eq!(dataset.class_counts(), [1, 0, 2]);
    assert_eq!(dataset.subset(&[1]).unwrap().class_counts(), [1]);
}

#[test]
fn from_words_checks_shapes() {
    let tokens = || Tensor::from_slice2(&[[5_i64, 0, 2, 0], [0, 0, 0, 0]]);
    let batch = FieldBatch::from_words(tokens(), Some(Tensor::from_slice(&[1_i64, 0]))).unwrap();
    assert_eq!(ints(&batch.words().unwrap().lengths), [3, 0]);
    assert_eq!((batch.n_samples(), batch.indices.as_slice()), (2, &[0, 1][..]));
    let moved = batch.to_device(Device::Cpu);
    assert_eq!(
        (&moved.words().unwrap().ids, &moved.labels, &moved.indices),
        (&batch.words().unwrap().ids, &batch.labels, &batch.indices)
    );
    let empty = FieldBatch::from_words(Tensor::zeros([2, 0], (Kind::Int64, Device::Cpu)), None).unwrap();
    assert_eq!(ints(&empty.words().unwrap().lengths), [0, 0]);

    let error = FieldBatch::from_words(Tensor::from_slice(&[1_i64]), None).unwrap_err().to_string();
    assert_eq!(error, "ids: expected i64 [n, len], got Int64 [1]");
    let error = FieldBatch::from_words(tokens(), Some(Tensor::from_slice(&[1_i64]))).unwrap_err().to_string();
    assert_eq!(error, "labels: expected i64 [2], got Int64 [1]");
}

#[test]
fn real_posts_become_batches() {
    let Some(data) = shared_data("real_posts_become_batches") else { return };
    let check = |set: &str,
                 extension: &str,
                 column: &str,
                 language: &str,
                 counts: &[[usize; 2]; 3],
                 words: &[&str]| {
        let columns = ColumnMap {
            text: Some(column.into()),
            label: Some("label".into()),
            domain: (set == "weibo21").then(|| "domain".into()),
            ..ColumnMap::default()
        };
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let classes = Classes::new(["real", "fake"]).unwrap();
        let read = |part: &str| {
            RecordReader::open(data.join(format!("{set}/{part}.{extension}")), &options, Some(&classes))
                .unwrap()
        };
        let tokenizer = Tokenizer::new(TokenizerConfig::for_language(language).unwrap()).unwrap();
        let (train, vocab) =
            FieldDataset::build(read("train"), &tokenizer, &VocabOptions::default()).unwrap();
        let other =
            |part| FieldDataset::from_records(read(part), &tokenizer, &vocab, train.domains()).unwrap();
        for (dataset, counts) in [train.clone(), other("valid"), other("test")].into_iter().zip(counts) {
            assert_eq!(dataset.class_counts(), counts, "{set}");
            dataset.check_classes(classes.names()).unwrap();
            let unknown = dataset.n_unknown().unwrap() as f64 / dataset.n_tokens() as f64;
            assert!(unknown < 0.1, "{set}: {unknown} of the tokens are unknown");
            let n = dataset.n_samples();
            let loader = DataLoader::builder(dataset).batch_size(50).shuffle(1).buckets(20).build().unwrap();
            let n_loaded: usize = loader.batches(0, 0).map(|batch| batch.unwrap().n_samples()).sum();
            assert_eq!(n_loaded, n);
        }
        assert_eq!(train.n_unknown().unwrap(), 0);
        assert_eq!(train.domains().len(), if set == "weibo21" { 9 } else { 0 });
        words.iter().for_each(|word| assert!(vocab.contains(word), "{set}: {word}"));
    };
    check(
        "covid",
        "csv",
        "tweet",
        "en",
        &[[3360, 3060], [1120, 1020], [1120, 1020]],
        &["covid", "can't", "<url>"],
    );
    let counts = [[2773, 2700], [927, 898], [940, 890]];
    check("weibo21", "jsonl", "text", "zh", &counts, &["谣言", "网友", "北京", "<url>"]);
}
