//! The setting that is probably meant by an unknown key.

use faknow_data::common::most_similar;
use toml::{Table, Value};

use crate::config::Config;

/// Settings, and their names in PyTorch, Lightning, Hugging Face, scikit-learn and FaKnow. A name that several tables of a config
/// have is that of the setting which is meant most often.
const OTHER_NAMES: [(&str, &[&str]); 36] = [
    ("optimizer.lr", &["learning_rate", "learning_rate_init", "base_lr", "init_lr", "eta0", "lrate"]),
    ("optimizer.name", &["optim", "solver"]),
    ("optimizer.weight_decay", &["wd", "l2", "l2_reg", "weightdecay"]),
    ("schedule.name", &["scheduler", "lr_scheduler", "lr_scheduler_type", "lr_schedule"]),
    ("schedule.warmup_steps", &["warmup", "n_warmup_steps", "num_warmup_steps"]),
    (
        "trainer.epochs",
        &["max_epochs", "num_epochs", "n_epochs", "num_train_epochs", "max_iter", "n_iter", "epoch"],
    ),
    ("trainer.accumulate", &["accumulate_grad_batches", "gradient_accumulation_steps", "accumulation_steps"]),
    (
        "trainer.clip_norm",
        &["gradient_clip_val", "max_grad_norm", "grad_clip", "clip_grad_norm", "clip", "grad_norm"],
    ),
    ("trainer.clip_value", &["clip_grad_value", "clipvalue"]),
    ("trainer.monitor", &["monitor", "metric_for_best_model"]),
    ("trainer.metrics", &["metric", "scoring", "eval_metric"]),
    ("trainer.restore_best", &["load_best_model_at_end", "restore_best_weights"]),
    (
        "trainer.validate_every",
        &["val_check_interval", "check_val_every_n_epoch", "eval_steps", "eval_interval"],
    ),
    ("trainer.sanity_batches", &["num_sanity_val_steps"]),
    ("trainer.limit_batches", &["limit_train_batches", "limit_val_batches"]),
    ("early_stopping.patience", &["patience", "early_stop", "early_stopping_patience", "n_iter_no_change"]),
    ("early_stopping.enabled", &["early_stopping"]),
    ("checkpoint.best", &["save_top_k"]),
    ("checkpoint.keep", &["save_total_limit", "max_to_keep"]),
    ("checkpoint.every", &["save_steps", "save_freq", "save_interval"]),
    (
        "loader.batch_size",
        &["bs", "batch", "train_batch_size", "per_device_train_batch_size", "minibatch_size"],
    ),
    ("loader.eval_batch_size", &["per_device_eval_batch_size", "val_batch_size", "test_batch_size"]),
    ("loader.workers", &["num_workers", "n_workers", "dataloader_num_workers"]),
    ("loader.balanced", &["oversample", "weighted_sampler", "balance"]),
    ("loss.class_weights", &["class_weight", "class_weights", "pos_weight"]),
    ("loss.name", &["criterion", "loss_fn", "loss_function"]),
    (
        "data.split",
        &["test_size", "val_size", "train_size", "validation_split", "val_split", "test_split", "ratio"],
    ),
    (
        "text.max_length",
        &["max_len", "maxlen", "max_seq_length", "max_seq_len", "sequence_length", "max_tokens"],
    ),
    ("text.min_count", &["min_df", "min_freq", "min_word_count"]),
    ("text.max_vocab", &["max_features", "vocab_size", "max_vocab_size", "num_words"]),
    (
        "text.vectors",
        &["embeddings", "glove", "word2vec", "fasttext", "word_vectors", "pretrained_embeddings"],
    ),
    ("model.weights", &["pretrained", "init_checkpoint", "load_weights", "model_path"]),
    ("model.embedding_size", &["embedding_dim", "embed_dim", "emb_dim", "emb_size", "word_dim"]),
    ("model.n_filters", &["num_filters", "filter_num", "n_filter", "filters", "out_channels"]),
    ("model.kernel_sizes", &["filter_sizes", "kernel_size", "window_sizes"]),
    ("model.hidden_size", &["hidden_dim", "hidden_units", "nhid", "hid_feats", "hidden_channels"]),
];

/// Returns the key of the default config that is probably meant by an unknown one.
pub(crate) fn similar_default_key(key: &str) -> Option<String> {
    let mut keys = Vec::new();
    add_keys("", &Config::default().to_table().ok()?, &mut keys);
    similar(key, &keys)
}

/// Returns the key of the same name in another table, of this name in other libraries, or with a similar spelling.
pub(crate) fn similar(key: &str, keys: &[String]) -> Option<String> {
    if keys.iter().any(|it| it == key) {
        // It belongs to another optimizer, attack, … than the selected one.
        return None;
    }
    let name = |key: &str| key.rsplit_once('.').map_or(key, |(_, name)| name).to_owned();
    let key = &key.to_lowercase().replace('-', "_");
    let other_name =
        OTHER_NAMES.iter().find(|(_, others)| others.contains(&name(key).as_str())).map(|(key, _)| *key);
    // `name` means something else in each table.
    let same_name = keys.iter().find(|it| name(it) == name(key) && name(key) != "name");
    let similar = other_name.or(same_name.map(String::as_str));
    similar.or_else(|| most_similar(key, keys.iter().map(String::as_str))).map(str::to_owned)
}

fn add_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(table) => add_keys(&format!("{prefix}{name}."), table, keys),
            _ => keys.push(format!("{prefix}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Registry;
    use crate::settings::{reference, similar_key};

    #[test]
    fn other_names_lead_to_settings_that_exist() {
        let registry = Registry::builtin();
        let keys: Vec<String> =
            reference(&registry).into_iter().flat_map(|it| it.settings).map(|it| it.key).collect();
        for (key, others) in OTHER_NAMES {
            assert!(keys.iter().any(|it| it == key), "{key}");
            for other in others {
                assert_eq!(similar_key(&registry, other).as_deref(), Some(key), "{other}");
                let count = OTHER_NAMES.iter().filter(|(_, names)| names.contains(other)).count();
                assert_eq!(count, 1, "{other}");
            }
        }
    }
}
