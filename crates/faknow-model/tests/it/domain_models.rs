//! MDFEND, ENDEF and M3FEND: padding, unknown domains, the memory, small batches and invalid settings.

use faknow_data::text::{TextFields, Words};
use faknow_data::{FieldBatch, Rng};
use faknow_model::content::TextSource;
use faknow_model::{
    Endef, EntityConfig, Loss, M3fend, M3fendConfig, Mdfend, MdfendConfig, Mode, Model, TextCnn,
    TextCnnConfig,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::assert_close;

const SOURCE: TextSource<'_> = TextSource::Random { vocab_size: 30, size: 6 };

type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

fn mdfend() -> MdfendConfig {
    MdfendConfig {
        n_experts: 2,
        n_filters: 3,
        kernel_sizes: vec![1, 4],
        hidden_sizes: vec![5],
        ..MdfendConfig::default()
    }
}

fn m3fend() -> M3fendConfig {
    M3fendConfig {
        n_semantic_experts: 2,
        n_emotion_experts: 2,
        n_style_experts: 1,
        n_filters: 3,
        kernel_sizes: vec![1, 4],
        expert_hidden_sizes: vec![4],
        n_interactions: 4,
        n_slots: 2,
        hidden_sizes: vec![5],
        ..M3fendConfig::default()
    }
}

fn entities() -> EntityConfig {
    EntityConfig { n_filters: 3, kernel_sizes: vec![1, 2], hidden_sizes: vec![4], ..EntityConfig::default() }
}

const FEATURES: [(&str, i64); 3] = [("content_emotion", 3), ("emotion_gap", 2), ("style_feature", 2)];

/// Builds a model by name, in f64, for three domains and three classes.
fn build(vars: &VarStore, name: &str) -> BoxedModel {
    tch::manual_seed(3);
    let path = vars.root();
    let features = FEATURES.map(|(name, size)| (name.to_owned(), size as usize));
    match name {
        "mdfend" => Box::new(Mdfend::new(&path, &mdfend(), &SOURCE, 3, 3).unwrap()),
        "m3fend" => Box::new(M3fend::new(&path, &m3fend(), &SOURCE, &features, 3, 3).unwrap()),
        "m3fend-text" => Box::new(M3fend::new(&path, &m3fend(), &SOURCE, &[], 3, 3).unwrap()),
        "endef-textcnn" => {
            let config = TextCnnConfig {
                embedding_size: 6,
                n_filters: 3,
                kernel_sizes: vec![1, 2],
                ..TextCnnConfig::default()
            };
            let base = TextCnn::new(&(&path / Endef::BASE), &config, 30, 3).unwrap();
            Box::new(Endef::new(&path, &entities(), Box::new(base), &SOURCE, 3).unwrap())
        }
        "endef" => {
            let base = Mdfend::new(&(&path / Endef::BASE), &mdfend(), &SOURCE, 3, 3).unwrap();
            Box::new(Endef::new(&path, &entities(), Box::new(base), &SOURCE, 3).unwrap())
        }
        other => panic!("no model {other}"),
    }
}

const MODELS: [&str; 5] = ["mdfend", "m3fend", "m3fend-text", "endef", "endef-textcnn"];

const TEXTS: [&[i64]; 4] = [&[3, 4, 5, 6, 7, 8, 9], &[5, 2], &[7, 8, 9, 3, 3], &[4]];

/// Returns a batch of these texts, padded to `len`, with everything that the models read.
fn batch(rows: &[usize], len: usize) -> FieldBatch {
    let words = |row: &usize| TEXTS[*row].iter().copied().chain(std::iter::repeat(0)).take(len);
    let ids: Vec<i64> = rows.iter().flat_map(words).collect();
    let ids = Tensor::from_slice(&ids).view([rows.len() as i64, len as i64]);
    let of_rows =
        |values: [i64; 4]| Tensor::from_slice(&rows.iter().map(|row| values[*row]).collect::<Vec<_>>());
    let mut batch = FieldBatch::from_words(ids.shallow_clone(), Some(of_rows([0, 1, 2, 0]))).unwrap();
    batch.domains = Some(of_rows([0, 2, -1, 2]));
    let entities = TextFields { words: Some(Words::new(ids).unwrap()), ..TextFields::default() };
    batch.texts.insert(Endef::ENTITIES.into(), entities);
    for (name, size) in FEATURES {
        let feature = Tensor::arange(4 * size, (Kind::Double, Device::Cpu)).view([4, size]).sin();
        let rows = Tensor::from_slice(&rows.iter().map(|row| *row as i64).collect::<Vec<_>>());
        batch.features.insert(name.into(), feature.index_select(0, &rows));
    }
    batch
}

fn double() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

fn logits(model: &BoxedModel, batch: &FieldBatch) -> Tensor {
    tch::no_grad(|| model.forward(batch, Mode::Eval).unwrap().logits)
}

/// Runs the pass over the training data, if the model has one.
fn prepare(model: &BoxedModel) {
    if let Some(mut pass) = model.training_data_pass().unwrap() {
        tch::no_grad(|| {
            pass.add(&batch(&[0, 1], 8)).unwrap();
            pass.add(&batch(&[2, 3], 8)).unwrap();
            pass.finish(&mut Rng::new(1)).unwrap();
        });
    }
}

#[test]
fn batch_mates_and_padding_do_not_change_results() {
    let _generator = crate::generator();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name);
        prepare(&model);
        let together = logits(&model, &batch(&[0, 1, 2, 3], 8));
        assert_eq!(together.size(), [4, 3], "{name}");
        assert_close(name, &logits(&model, &batch(&[0, 1, 2, 3], 20)), &together, 1e-12, 1.0);
        for (row, text) in TEXTS.iter().enumerate() {
            let len = if name == "endef-textcnn" { 8 } else { text.len() };
            let alone = logits(&model, &batch(&[row], len));
            assert_close(name, &alone.get(0), &together.get(row as i64), 1e-12, 1.0);
        }
    }
}

#[test]
fn batch_of_one_post_is_trained_with_running_statistics() {
    let _generator = crate::generator();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name);
        prepare(&model);
        let statistics = |vars: &VarStore| {
            let mut all: Vec<_> =
                vars.variables().into_iter().filter(|(name, _)| name.contains("running")).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all.into_iter().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>()
        };
        let before = statistics(&vars);
        let loss = model.forward(&batch(&[1], 8), Mode::Train).unwrap().loss.unwrap().total;
        loss.backward();
        assert!(loss.double_value(&[]).is_finite(), "{name}");
        assert_eq!(statistics(&vars), before, "{name}");
    }
}

#[test]
fn posts_of_unknown_domains_are_gated_by_the_mean_of_all_domains() {
    let _generator = crate::generator();
    let vars = double();
    let model = build(&vars, "mdfend");
    let with_domain = |domain: i64| {
        let mut batch = batch(&[0], 8);
        batch.domains = Some(Tensor::from_slice(&[domain]));
        logits(&model, &batch)
    };
    let unknown = with_domain(-1);
    assert!((with_domain(0) - &unknown).abs().max().double_value(&[]) > 1e-6);
    tch::no_grad(|| {
        let mut embeddings = vars.variables().remove("domain_embedder.weight").unwrap();
        let mean = embeddings.mean_dim([0].as_slice(), true, Kind::Double);
        embeddings.copy_(&mean.expand([3, -1], false));
    });
    assert_close("mean", &with_domain(1), &unknown, 1e-12, 1.0);
}

#[test]
fn memory_is_initialized_once_and_written_after_steps() {
    let _generator = crate::generator();
    for name in ["m3fend", "m3fend-text"] {
        let vars = double();
        let model = build(&vars, name);
        let memory = || vars.variables()["domain_memory.memory"].copy();
        assert_eq!(memory().abs().max().double_value(&[]), 0.0);
        prepare(&model);
        // Domains 0 and 2 have posts, the third post has no domain.
        let initial = memory();
        let norms = initial.norm_scalaropt_dim(2.0, [2].as_slice(), false);
        assert_close("slots", &norms, &Tensor::from_slice2(&[[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]), 1e-6, 1.0);
        assert!(model.training_data_pass().unwrap().is_none(), "the memory is initialized twice");
        tch::no_grad(|| model.after_step(&batch(&[2, 3], 8)).unwrap());
        let written = memory();
        assert_ne!(written.get(2), initial.get(2));
        assert_eq!(written.narrow(0, 0, 2), initial.narrow(0, 0, 2));
        // Neither evaluation nor the forward pass of training writes.
        let _ = logits(&model, &batch(&[0, 1], 8));
        let loss = model.forward(&batch(&[0, 1], 8), Mode::Train).unwrap().loss.unwrap().total;
        loss.backward();
        assert_eq!(memory(), written);
        let interactions = vars.variables()["lnn_weight"].grad();
        assert!(interactions.abs().max().double_value(&[]) > 0.0, "the interactions are not trained");
    }
}

#[test]
fn m3fend_names_missing_features() {
    let _generator = crate::generator();
    let vars = double();
    let model = build(&vars, "m3fend");
    let mut batch = batch(&[0], 8);
    batch.features.remove("emotion_gap");
    let error = model.forward(&batch, Mode::Eval).unwrap_err().to_string();
    assert!(error.contains("`emotion_gap`"), "{error}");
}

#[test]
fn endef_trains_on_combined_logits_and_predicts_with_its_base() {
    let _generator = crate::generator();
    let vars = double();
    let base = Mdfend::new(&(vars.root() / Endef::BASE), &mdfend(), &SOURCE, 3, 3).unwrap();
    let config = EntityConfig {
        entity_weight: 1.0,
        loss_weight: 0.5,
        dropout: 0.0,
        embedding_dropout: 0.0,
        ..entities()
    };
    let model = Endef::new(&vars.root(), &config, Box::new(base), &SOURCE, 3).unwrap();
    let mut batch = batch(&[0, 1, 2, 3], 8);
    let Loss { total, parts } = model.forward(&batch, Mode::Train).unwrap().loss.unwrap();
    // With weight 1, the combined logits are those of the entities, so both losses are equal.
    let parts: Vec<f64> = parts.iter().map(|(_, part)| part.double_value(&[])).collect();
    assert_eq!(parts[0], parts[1]);
    assert!((total.double_value(&[]) - 1.5 * parts[0]).abs() < 1e-12);
    total.backward();
    let gradient = |name: &str| vars.variables()[name].grad().abs().max().double_value(&[]);
    assert!(gradient("entity_mlp.mlp.0.weight") > 0.0);
    assert_eq!(gradient("base_model.gate.0.weight"), 0.0);
    batch.texts.clear();
    assert!(model.forward(&batch, Mode::Train).unwrap_err().to_string().contains("`entities`"));
    model.forward(&batch, Mode::Eval).unwrap();
}

#[test]
fn new_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = double();
    let check = |result: faknow_model::Result<()>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let new_mdfend = |config: MdfendConfig, n_domains: usize| {
        Mdfend::new(&vars.root(), &config, &SOURCE, n_domains, 2).map(drop)
    };
    check(
        new_mdfend(MdfendConfig { n_experts: 0, ..mdfend() }, 2),
        "MDFEND: `n_experts`: expected at least 1, got 0",
    );
    check(
        new_mdfend(MdfendConfig { kernel_sizes: vec![], ..mdfend() }, 2),
        "MDFEND: `kernel_sizes`: expected at least one size, got none",
    );
    check(
        new_mdfend(MdfendConfig { embedding_dropout: 1.0, ..mdfend() }, 2),
        "MDFEND: `embedding_dropout`: expected from 0 to below 1, got 1",
    );
    check(new_mdfend(mdfend(), 0), "MDFEND: `n_domains`: expected at least 1, got 0");
    let new_m3fend = |config: M3fendConfig| M3fend::new(&vars.root(), &config, &SOURCE, &[], 2, 2).map(drop);
    check(
        new_m3fend(M3fendConfig { n_slots: 0, ..m3fend() }),
        "M3FEND: `n_slots`: expected at least 1, got 0",
    );
    check(
        new_m3fend(M3fendConfig { hidden_sizes: vec![3, -1], ..m3fend() }),
        "M3FEND: `hidden_sizes`: expected at least 1, got -1",
    );
    let new_endef = |config: EntityConfig, n_classes: usize| {
        let base = Mdfend::new(&(vars.root() / "base"), &mdfend(), &SOURCE, 2, n_classes).unwrap();
        Endef::new(&vars.root(), &config, Box::new(base), &SOURCE, n_classes).map(drop)
    };
    check(
        new_endef(EntityConfig { entity_weight: 1.5, ..entities() }, 2),
        "ENDEF: `entity_weight`: expected from 0 to 1, got 1.5",
    );
    check(
        new_endef(EntityConfig { faithful: true, ..entities() }, 3),
        "ENDEF: `faithful`: expected false with 3 classes, got true",
    );
}
