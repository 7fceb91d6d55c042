//! The registry: builtin and custom models.

use faknow::callbacks::Callbacks;
use faknow::data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow::data::{Classes, DataLoader, FieldBatch, FieldDataset, Record};
use faknow::model::layers::{Embedding, Linear};
use faknow::model::{Mode, Model, Output, Result, loss};
use faknow::models::{BoxedModel, Fields, ModelSpec, Registry, Shape};
use faknow::tch::{Device, nn};
use faknow::train::ResumeOptions;
use faknow::trainer::{RunDir, Trainer};
use faknow::{Config, Detector, train};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::support::{Bench, posts};

/// The training settings of the models' authors.
const TRAINING: &str = r#"
[upfd]
optimizer = { name = "adam", lr = 0.001, weight_decay = 0.01 }
loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 60 }
early_stopping = { patience = 15 }

[encoder]
optimizer = { name = "adamw", lr = 0.0005 }
schedule = { name = "warmup_linear" }
loader = { batch_size = 64, max_tokens = 1536 }
trainer = { epochs = 10, clip_norm = 1.0 }

[linear]
optimizer = { name = "sgd", lr = 0.01 }
loader = { batch_size = 8192, eval_batch_size = 8192, buckets = 0 }
trainer = { epochs = 10, restore_best = false }
early_stopping = { enabled = false }
text = { max_length = 100000 }
checkpoint = { every = "10 seconds" }

[mdfend]
optimizer = { name = "adam", lr = 0.0005, weight_decay = 0.00005 }
loader = { batch_size = 64, buckets = 0 }
trainer = { epochs = 50 }

[endef]
optimizer = { name = "adam", lr = 0.0005, weight_decay = 0.00005 }
loader = { batch_size = 64, buckets = 0 }
trainer = { epochs = 50 }

[m3fend]
optimizer = { name = "adam", lr = 0.0001, weight_decay = 0.00005 }
loader = { batch_size = 64, buckets = 0 }
trainer = { epochs = 50 }

[eann]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 100 }
trainer = { epochs = 100 }

[spotfake]
optimizer = { name = "adamw", lr = 0.001 }
loader = { batch_size = 64 }
trainer = { epochs = 50 }
text = { max_length = 500 }

[safe]
optimizer = { name = "adam", lr = 0.0005 }
loader = { batch_size = 64 }
trainer = { epochs = 100 }

[mcan]
optimizer = { name = "adamw", lr = 0.01, weight_decay = 0.15 }
schedule = { name = "warmup_linear" }
loader = { batch_size = 16, buckets = 0 }
trainer = { epochs = 100, clip_norm = 1.0 }

[hmcan]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 256, buckets = 0 }
trainer = { epochs = 150 }

[mfan]
optimizer = { name = "adam", lr = 0.002 }
adversarial = { name = "pgd", epsilon = 6.0, alpha = 1.8, steps = 3 }
loader = { batch_size = 64 }

[cafe]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 64, buckets = 0 }
trainer = { epochs = 100 }

[gnncl]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 128, eval_batch_size = 128 }
trainer = { epochs = 60 }
early_stopping = { patience = 15 }

[ebgcn]
optimizer = { name = "adam", lr = 0.0005, weight_decay = 0.0001, groups = [{ pattern = "BURumorGCN.conv*", lr = 0.0001 }] }
loader = { batch_size = 128, eval_batch_size = 64, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }

[bigcn]
optimizer = { name = "adam", lr = 0.0005, weight_decay = 0.0001, groups = [{ pattern = "BURumorGCN.*", lr = 0.0001 }] }
loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }

[dudef]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 32 }
trainer = { epochs = 50 }
early_stopping = { patience = 10 }

[eddfn]
optimizer = { name = "adam", lr = 0.001 }
loader = { batch_size = 64 }
trainer = { epochs = 300 }
early_stopping = { patience = 10 }

[fang]
optimizer = { name = "adam", lr = 0.001, weight_decay = 0.0005 }
loader = { batch_size = 32, buckets = 0 }
trainer = { epochs = 100 }
early_stopping = { patience = 15 }

[trustrd]
optimizer = { name = "adam", lr = 0.0005, weight_decay = 0.0001 }
loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }
"#;

#[test]
fn builtin_models_have_training_settings_of_their_authors() {
    let settings_by_model = TRAINING.parse::<Table>().unwrap();
    for model in Registry::builtin().models() {
        let table = settings_by_model
            .get(model.name)
            .or_else(|| settings_by_model.get("upfd"))
            .and_then(toml::Value::as_table);
        let expected = if model.name == "textcnn" { Table::new() } else { table.unwrap().clone() };
        let config = Config::for_model(model.name).unwrap().to_table().unwrap();
        for (name, settings) in &expected {
            for (key, value) in settings.as_table().unwrap() {
                assert_eq!(config[name].get(key), Some(value), "{}: {name}.{key}", model.name);
            }
        }
        assert!(model.training.keys().all(|table| expected.contains_key(table)), "{}", model.training);
        Config::for_model(model.name).unwrap().validate().unwrap();
    }
}

/// A model of the mean of word vectors and a linear layer.
struct BagOfWords {
    embedding: Embedding,
    classifier: Linear,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BagConfig {
    size: i64,
}

impl Default for BagConfig {
    fn default() -> Self {
        Self { size: 4 }
    }
}

impl Model for BagOfWords {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        let vectors = self.embedding.forward(&batch.words()?.ids)?;
        let mean = vectors.f_mean_dim(Some([1].as_slice()), false, vectors.kind())?;
        loss::classify(self.classifier.forward(&mean)?, batch)
    }
}

struct BagSpec;

impl ModelSpec for BagSpec {
    const NAME: &'static str = "bag-of-words";
    const TITLE: &'static str = "mean of word vectors, linear layer";
    const PAPER: &'static str = "none";
    type Config = BagConfig;

    fn fields(_: &BagConfig) -> Fields {
        Fields::words()
    }

    fn build(path: &nn::Path<'_>, config: &BagConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(BagOfWords {
            embedding: Embedding::random(&(path / "embedding"), shape.vocab_size as i64, config.size)?,
            classifier: Linear::new(&(path / "classifier"), config.size, shape.n_classes as i64)?,
        }))
    }
}

fn registry() -> Registry {
    let mut registry = Registry::builtin();
    registry.register::<BagSpec>().unwrap();
    registry
}

#[test]
fn custom_model_trains_resumes_and_predicts() {
    let bench = Bench::new(&posts(40));
    let settings = ["model.name=bag-of-words", "model.size=3", "trainer.epochs=2", "device=cpu", "threads=1"];
    let config = Config { registry: registry(), data: bench.config.data.clone(), ..Config::default() };
    let config = config.set_all(&settings).unwrap();
    let outcome = train(&config, || RunDir::create(bench.path("run")), Callbacks::default()).unwrap();
    assert_eq!(outcome.fit.history.epochs.len(), 2);

    let more = ResumeOptions { set: vec!["trainer.epochs=3".into()], ..ResumeOptions::default() };
    let error = faknow::resume(&outcome.run, &more, Callbacks::default()).unwrap_err().to_string();
    assert!(error.contains("unknown model `bag-of-words`"), "{error}");
    let error = faknow::Detector::load(&outcome.run, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("config.toml") && error.contains("use that program or register"), "{error}");
    let outcome = registry().resume(&outcome.run, &more, Callbacks::default()).unwrap();
    assert_eq!(outcome.fit.history.epochs.len(), 3);

    let detector = registry().load_detector(&outcome.run, Device::Cpu).unwrap();
    assert_eq!(detector.predict(&["rain and storm"]).unwrap().len(), 1);
    assert_eq!(detector.config().model.hyperparameters["size"].as_integer(), Some(3));

    bench.write("words.vec", "2 2\nrain 1 2\nstorm 3 4\n");
    let vectors = config.set(&format!("text.vectors='{}'", bench.path("words.vec").display())).unwrap();
    let error = train(&vectors, || RunDir::create(bench.path("other")), Callbacks::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("`text.vectors`: model `bag-of-words` does not support pretrained"),
        "{error}"
    );
    let error = config.set("model.no_such_key=1").unwrap().validate().unwrap_err().to_string();
    assert!(error.starts_with("`model.no_such_key`: unknown field"), "{error}");
    let error = config.set("model.siz=1").unwrap().validate().unwrap_err().to_string();
    assert!(error.ends_with("did you mean `size`?"), "{error}");
}

#[test]
fn builds_detector_from_model_trained_in_rust() {
    let records = posts(40)
        .into_iter()
        .map(|(text, label)| Ok(Record { label: Some(usize::from(label == "fake")), ..Record::new(text) }));
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let (data, vocab) = FieldDataset::build(records, &tokenizer, &VocabOptions::default()).unwrap();
    let vars = nn::VarStore::new(Device::Cpu);
    let config = registry().config_for("bag-of-words").unwrap();
    let model = BagOfWords {
        embedding: Embedding::random(&(&vars.root() / "embedding"), vocab.len() as i64, 4).unwrap(),
        classifier: Linear::new(&(&vars.root() / "classifier"), 4, 2).unwrap(),
    };
    let loader = DataLoader::builder(data).batch_size(10).shuffle(1).build().unwrap();
    let mut trainer = Trainer::builder(model, vars).max_epochs(2).restore_best(false).build().unwrap();
    trainer.fit(&loader, None).unwrap();

    let classes = Classes::new(["real", "fake"]).unwrap();
    let vars = &trainer.run().vars;
    let error = Detector::builder(config.clone(), classes.clone()).build(vars).unwrap_err().to_string();
    assert!(error.contains("`.words(vocab, tokenizer)`"), "{error}");
    let detector = Detector::builder(config, classes).words(vocab, tokenizer).build(vars).unwrap();
    let dir = tempfile::tempdir().unwrap();
    detector.save(&dir.path().join("mine")).unwrap();
    assert!(detector.save(&dir.path().join("mine")).is_err(), "an existing detector is not overwritten");
    let loaded = registry().load_detector(&dir.path().join("mine"), Device::Cpu).unwrap();
    let texts = ["rain and storm", "shocking"];
    let predictions = loaded.predict(&texts).unwrap();
    assert_eq!(predictions, detector.predict(&texts).unwrap());
    assert_eq!(predictions[0].prediction().unwrap().scores.len(), 2);
}

/// Defines the specification of a bag-of-words model with another name.
macro_rules! renamed {
    ($spec:ident, $name:literal, $config:ty) => {
        struct $spec;

        impl ModelSpec for $spec {
            const NAME: &'static str = $name;
            const TITLE: &'static str = "";
            const PAPER: &'static str = "";
            type Config = $config;

            fn fields(_: &$config) -> Fields {
                Fields::words()
            }

            fn build(path: &nn::Path<'_>, _: &$config, shape: &Shape<'_>) -> Result<BoxedModel> {
                BagSpec::build(path, &BagConfig::default(), shape)
            }
        }
    };
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Reserved {
    weights: i64,
}

renamed!(Duplicate, "textcnn", BagConfig);
renamed!(Capital, "TextCNN", BagConfig);
renamed!(Empty, "", BagConfig);
renamed!(Path, "a/b", BagConfig);
renamed!(WithReserved, "reserved", Reserved);

#[test]
fn rejects_duplicate_and_invalid_names() {
    fn check<S: ModelSpec>(expected: &str) {
        let mut registry = Registry::builtin();
        let error = registry.register::<S>().unwrap_err();
        assert!(error.is_input() && error.to_string().contains(expected), "{error}");
        assert_eq!(registry, Registry::builtin());
    }
    check::<Duplicate>("expected a unique name, got `textcnn`, which is already registered");
    for check_invalid in [check::<Capital>, check::<Empty>, check::<Path>] {
        check_invalid("expected a name of lowercase letters, digits, `-` and `_` that starts with a letter");
    }
    check::<WithReserved>("`model.weights`: `reserved` has a hyperparameter with this reserved name");
}
