//! Config files of FaKnow: YAML with the arguments of its `run_<model>` functions.

use serde_yaml_ng::{Mapping, Value as Yaml};
use toml::Value;

use crate::config::Config;
use crate::{Error, Result};

/// The keys of FaKnow, and the settings that correspond to them.
const KEYS: &[(&str, &str)] = &[
    ("train_path", "data.train"),
    ("validate_path", "data.valid"),
    ("test_path", "data.test"),
    ("language", "text.language"),
    ("max_len", "text.max_length"),
    ("stop_words", "text.stop_words"),
    ("word_vectors", "text.vectors"),
    ("batch_size", "loader.batch_size"),
    ("lr", "optimizer.lr"),
    ("weight_decay", "optimizer.weight_decay"),
    ("num_epochs", "trainer.epochs"),
    ("metrics", "trainer.metrics"),
    ("device", "device"),
    ("filter_num", "model.n_filters"),
    ("kernel_sizes", "model.kernel_sizes"),
    ("activate_func", "model.activation"),
    ("dropout", "model.dropout"),
    ("freeze", "model.freeze_embedding"),
    ("data_root", "data.fang"),
    ("embedding_size", "model.embedding_size"),
    ("num_stance_hidden", "model.stance_size"),
    ("budget_size", "model.lsh_share"),
    ("MAX_NUM_WORDS", "text.max_vocab"),
    ("epochs", "trainer.epochs"),
    ("lr_param", "optimizer.lr"),
    ("bert", "text.encoder"),
    ("mlp_dims", "model.hidden_sizes"),
    ("dropout_rate", "model.dropout"),
    ("filter_sizes", "model.kernel_sizes"),
    ("expert_num", "model.n_experts"),
    ("entity_weight", "model.entity_weight"),
    ("loss_weight", "model.loss_weight"),
    ("semantic_num", "model.n_semantic_experts"),
    ("emotion_num", "model.n_emotion_experts"),
    ("style_num", "model.n_style_experts"),
    ("LNN_dim", "model.n_interactions"),
    ("pre_trained_bert_name", "text.encoder"),
    ("text_fc1_out", "model.text_hidden_size"),
    ("text_fc2_out", "model.text_size"),
    ("img_fc1_out", "model.image_hidden_size"),
    ("img_fc2_out", "model.image_size"),
    ("fusion_output_size", "model.fusion_size"),
    ("dropout_p", "model.dropout"),
    ("fine_tune_text_module", "model.train_encoder"),
    ("fine_tune_vis_module", "model.train_image_encoder"),
    ("conv_in_size", "model.reduced_size"),
    ("cnn_out_size", "model.feature_size"),
    ("fusion_lr", "optimizer.lr"),
    ("left_num_layers", "model.n_layers"),
    ("left_num_heads", "model.n_heads"),
    ("right_num_layers", "model.n_cross_layers"),
    ("right_num_heads", "model.n_cross_heads"),
    ("alpha", "model.alpha"),
    ("epoch_num", "trainer.epochs"),
];

/// Keys of FaKnow without a corresponding setting, and the reasons.
const SUPERFLUOUS: &[(&str, &str)] = &[
    ("vocab", "the vocabulary is built from the training texts"),
    ("domain_num", "the domains are those of the training records"),
    ("category_dict", "the domains are those of the training records"),
    ("dataset", "the sizes of the features are those of the training records"),
    ("event_num", "the events are those of the training records"),
    ("node_num", "the nodes are the users in the column `data.domain`, or those of an `MfanGraph`"),
    ("node_embedding", "vectors of users are trained; a graph with vectors is an `MfanGraph` in Rust"),
    ("adj_matrix", "the graph of users is an `MfanGraph` in Rust"),
    ("dataset_dir", "CAFE reads posts and images (`data.train`, `data.image`) instead of their features"),
    ("loss_weights", "they are `model.class_weight` and `model.similarity_weight` in TOML"),
    ("loss_func", "the loss is cross entropy, that of two classes included"),
    ("bert_lr", "it is the product of `fusion_lr` and `model.encoder_lr_factor` in TOML"),
    ("vgg_lr", "it is the product of `fusion_lr` and `model.encoder_lr_factor` in TOML"),
    ("dtc_lr", "it is the product of `fusion_lr` and `model.encoder_lr_factor` in TOML"),
    ("linear_lr", "it is that of `fusion_lr`; `optimizer.groups` in TOML has others"),
    ("classifier_lr", "it is that of `fusion_lr`; `optimizer.groups` in TOML has others"),
    ("emb_dim", "the size of the vectors is that of the encoder, or `model.embedding_size` in TOML"),
];

/// Keys whose values follow from the data or are fixed.
const FROM_DATA: [&str; 5] = ["input_size", "num_stance", "timestamp_size", "num_classes", "num_h"];

/// Keys that only the arguments of one model have, and the model, also if they have no value.
const MODEL_KEYS: &[(&str, &str)] = &[
    ("data_root", "fang"),
    ("budget_size", "eddfn"),
    ("MAX_NUM_WORDS", "dudef"),
    ("expert_num", "mdfend"),
    ("entity_weight", "endef"),
    ("LNN_dim", "m3fend"),
    ("event_num", "eann"),
    ("text_fc1_out", "spotfake"),
    ("pre_trained_bert_name", "spotfake"),
    ("conv_in_size", "safe"),
    ("cnn_out_size", "safe"),
    ("fusion_lr", "mcan"),
    ("bert_lr", "mcan"),
    ("left_num_layers", "hmcan"),
    ("left_num_heads", "hmcan"),
    ("node_num", "mfan"),
    ("dataset_dir", "cafe"),
];

/// Models of images, and the settings that correspond to the columns and the size of images in their code.
const MODELS_OF_IMAGES: &[(&str, &[(&str, &str)])] = &[
    ("eann", &[("data.image", "image"), ("data.domain", "domain")]),
    ("spotfake", &[("data.text", "post_text"), ("data.image", "image_id"), ("image.resize", "stretch")]),
    ("safe", &[("data.image", "image")]),
    ("mcan", &[("data.image", "image"), ("image.resize", "stretch")]),
    ("hmcan", &[("data.image", "image")]),
    ("mfan", &[("data.image", "image")]),
    ("cafe", &[("data.image", "image")]),
];

/// Reads a YAML text with FaKnow's keys; missing keys have FaKnow's defaults.
pub(crate) fn read(text: &str) -> Result<Config> {
    let yaml: Yaml =
        serde_yaml_ng::from_str(text).map_err(|e| Error::config("", format!("invalid YAML: {e}")))?;
    let mapping = match yaml {
        Yaml::Mapping(mapping) => mapping,
        Yaml::Null => Mapping::new(),
        _ => return Err(Error::config("", "expected `key: value` lines")),
    };
    let mut config = Config::default();
    // FaKnow reads these columns, and its labels are 0 and 1.
    (config.data.text, config.data.label) = (Some("text".into()), Some("label".to_owned()));
    config.data.classes = vec!["real".to_owned(), "fake".to_owned()];
    config.text.language = "zh".into();
    config.early_stopping.enabled = false;
    let model = MODEL_KEYS.iter().find(|(key, _)| mapping.contains_key(*key));
    config = match model {
        Some((_, model)) => config.with("model.name", Value::String((*model).to_owned()))?,
        None => config.with("trainer.epochs", 25.into())?,
    };
    let of_images = MODELS_OF_IMAGES.iter().find(|(name, _)| model.is_some_and(|(_, model)| model == name));
    for (setting, value) in of_images.into_iter().flat_map(|(_, settings)| *settings) {
        config = config.with(setting, Value::String((*value).to_owned()))?;
    }
    if model.is_some_and(|(_, model)| *model == "fang") {
        // Its files have no columns.
        (config.data.text, config.data.label) = (None, None);
        config.text.language = "en".into();
    }
    for (key, value) in mapping {
        let key = key.as_str().map(str::to_owned).unwrap_or_else(|| format!("{key:?}"));
        if value.is_null() {
            continue;
        }
        let setting = setting_of(&key)?;
        let file = value.as_str().filter(|v| v.ends_with(".pkl") || v.ends_with(".pickle"));
        if let Some(file) = file {
            let expected = "a text file, since pickles can execute code: word vectors as word2vec or GloVe text, stop words one per line";
            return Err(Error::config(&key, format!("expected {expected}; got the pickle `{file}`")));
        }
        let value = to_toml(value).ok_or_else(|| Error::config(&key, "expected a scalar or a list"))?;
        config = config.with(setting, value).map_err(|error| match error {
            Error::Config { message, .. } => Error::config(&key, format!("{message} (`{setting}` in TOML)")),
            other => other,
        })?;
    }
    Ok(config)
}

fn setting_of(key: &str) -> Result<&'static str> {
    if let Some((_, message)) = SUPERFLUOUS.iter().find(|(name, _)| *name == key) {
        // The key itself may be all that names the model.
        let remedy = match MODEL_KEYS.iter().any(|(name, _)| *name == key) {
            true => "remove the value of this key",
            false => "remove this key",
        };
        return Err(Error::config(key, format!("{message}; {remedy}")));
    }
    if FROM_DATA.contains(&key) {
        return Err(Error::config(key, "the value follows from the data or is fixed; remove this key"));
    }
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, setting)| *setting).ok_or_else(|| {
        let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
        Error::config(key, format!("unknown key, expected one of {}", names.join(", ")))
    })
}

fn to_toml(value: Yaml) -> Option<Value> {
    Some(match value {
        Yaml::Bool(b) => Value::Boolean(b),
        Yaml::Number(n) => n.as_i64().map(Value::Integer).or_else(|| n.as_f64().map(Value::Float))?,
        Yaml::String(s) => Value::String(s),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(to_toml).collect::<Option<_>>()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MetricSelection;
    use faknow_data::image::Resize;

    #[test]
    fn converts_keys_of_faknow() {
        let config = read("train_path: t.json\nlanguage: en\nlr: 0.01\nnum_epochs: 3\nfilter_num: 7\nfreeze: true\nmetrics: [accuracy, auc]\ndevice: cpu\ntest_path: ~\n").unwrap();
        assert_eq!(config.data.train, Some("t.json".into()));
        assert_eq!(
            (config.optimizer.lr(), config.trainer.epochs, config.text.language.as_str()),
            (0.01, 3, "en")
        );
        assert_eq!(config.model.hyperparameters["n_filters"].as_integer(), Some(7));
        let metrics = MetricSelection::Names(vec!["accuracy".into(), "auc".into()]);
        assert_eq!(config.trainer.metrics, Some(metrics));
        assert_eq!(config.data.test, None);
        let config = read("bert: encoders/minilm\nmlp_dims: [384]\nexpert_num: 3\n").unwrap();
        assert_eq!(config.text.encoder, Some("encoders/minilm".into()));
        assert_eq!(config.model.hyperparameters["n_experts"].as_integer(), Some(3));
    }

    #[test]
    fn keys_of_one_model_select_it() {
        let model = |text: &str| {
            let config = read(text).unwrap();
            config.configured_model().unwrap();
            config.model.name
        };
        assert_eq!(
            model("data_root: graph\nembedding_size: 8\nnum_stance_hidden: 2\ndropout: 0.1\n"),
            "fang"
        );
        assert_eq!(model("train_path: t.json\nbudget_size: 0.5\n"), "eddfn");
        assert_eq!(model("train_path: t.json\nmlp_dims: [384]\nexpert_num: 3\n"), "mdfend");
        assert_eq!(model("train_path: t.json\nmlp_dims: [384]\nentity_weight: 0.2\n"), "endef");
        assert_eq!(model("train_path: t.json\nsemantic_num: 3\nLNN_dim: 20\n"), "m3fend");
        assert_eq!(model("train_path: t.json\nMAX_NUM_WORDS: 600\nepochs: 5\nlr_param: 0.01\n"), "dudef");
        assert_eq!(model("train_path: t.json\nevent_num:\nmax_len: 255\nlr: 0.001\n"), "eann");
        assert_eq!(
            model("pre_trained_bert_name: bert\ntext_fc1_out: 64\ndropout_p: 0.4\nepochs: 5\n"),
            "spotfake"
        );
        assert_eq!(
            model("embedding_size: 300\nconv_in_size: 32\nfilter_num: 128\ncnn_out_size: 200\n"),
            "safe"
        );
        assert_eq!(model("bert: bert\nfusion_lr: 0.01\nweight_decay: 0.15\n"), "mcan");
        assert_eq!(model("left_num_layers: 2\nright_num_heads: 12\nalpha: 0.7\nbert: bert\n"), "hmcan");
        assert_eq!(model("node_num:\nmax_len: 50\n"), "mfan");
        assert_eq!(model("dataset_dir:\ntrain_path: t.json\nepoch_num: 100\n"), "cafe");
        let error = read("data_root: graph\nnum_stance: 4\n").unwrap_err().to_string();
        assert_eq!(error, "`num_stance`: the value follows from the data or is fixed; remove this key");
    }

    #[test]
    fn models_of_images_have_faknows_columns() {
        let spotfake = read("text_fc1_out: 64\nimg_fc2_out: 16\nfine_tune_vis_module: true\n").unwrap();
        assert_eq!(spotfake.data.text, Some("post_text".into()));
        assert_eq!(spotfake.data.image.as_deref(), Some("image_id"));
        assert_eq!(spotfake.image.resize, Resize::Stretch);
        assert_eq!(spotfake.model.hyperparameters["image_size"].as_integer(), Some(16));
        let eann = read("event_num: ~").unwrap();
        assert_eq!(
            (eann.data.image.as_deref(), eann.data.domain.as_deref()),
            (Some("image"), Some("domain"))
        );
        assert_eq!(eann.image.resize, Resize::Crop);
        assert_eq!(read("filter_num: 7").unwrap().data.image, None);
    }

    #[test]
    fn rejects_unknown_keys_and_pickles() {
        for (text, parts) in [
            ("learning_rate: 1", ["learning_rate", "lr, weight_decay"]),
            ("word_vectors: w.pkl", ["word_vectors", "pickle"]),
            ("vocab: v.pkl", ["vocab", "training texts"]),
            ("domain_num: 9", ["domain_num", "training records; remove this key"]),
            ("event_num: 9", ["event_num", "training records; remove the value of this key"]),
            ("adj_matrix: adj.json", ["adj_matrix", "`MfanGraph` in Rust; remove this key"]),
            ("num_epochs: x", ["`num_epochs`: invalid type", "`trainer.epochs`"]),
            ("- a", ["key: value", ""]),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }
}
