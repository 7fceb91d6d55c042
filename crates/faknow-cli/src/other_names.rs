//! Names that users of other programs know: options and commands of PyTorch, Lightning, Hugging Face, scikit-learn, pandas and
//! FaKnow, and their names here.

/// Options, and what other programs call them; without dashes, in lowercase with `-` between words. An option that a command
/// lacks is not suggested for it.
const OPTIONS: [(&str, &[&str]); 35] = [
    (
        "train",
        &[
            "train-file",
            "train-path",
            "train-data",
            "training",
            "trainset",
            "dataset",
            "data",
            "input",
            "i",
            "x",
        ],
    ),
    (
        "valid",
        &[
            "val",
            "dev",
            "validation",
            "valid-file",
            "val-file",
            "val-path",
            "dev-file",
            "validation-path",
            "eval",
        ],
    ),
    ("test", &["test-file", "test-path", "test-data", "testset"]),
    ("data", &["test", "test-file", "test-path", "test-data", "input", "i", "file", "dataset"]),
    ("input", &["data", "file", "in", "i", "texts", "test", "predict-file", "stdin"]),
    (
        "out",
        &[
            "output",
            "output-dir",
            "out-dir",
            "outdir",
            "o",
            "dir",
            "save",
            "save-dir",
            "save-path",
            "log-dir",
            "logdir",
            "run-dir",
            "work-dir",
            "default-root-dir",
            "checkpoint-dir",
        ],
    ),
    ("output", &["out", "o", "out-file", "outfile", "output-file", "save", "save-path"]),
    ("text", &["text-column", "text-col", "text-field", "content", "column", "x-column"]),
    ("label", &["target", "target-column", "label-column", "label-col", "labels-column", "label-field", "y"]),
    ("delimiter", &["sep", "separator", "field-separator", "delim", "d", "fs"]),
    ("encoding", &["charset", "codec", "input-encoding"]),
    ("classes", &["class-names", "classnames", "target-names", "label-names", "names", "categories"]),
    ("drop-classes", &["exclude-classes", "ignore-classes", "drop-labels", "exclude-labels"]),
    (
        "skip-broken",
        &[
            "on-bad-lines",
            "error-bad-lines",
            "skip-bad-lines",
            "ignore-errors",
            "skip-errors",
            "skip-invalid",
        ],
    ),
    ("no-header", &["header", "headerless", "has-header"]),
    ("no-quotes", &["quoting", "no-quote", "quotechar", "quote-none"]),
    ("format", &["type", "file-type", "filetype", "input-format"]),
    ("domain", &["topic", "event", "domain-column"]),
    ("language", &["lang", "locale"]),
    ("config", &["cfg", "conf", "config-file", "config-path", "c", "yaml"]),
    ("epochs", &["max-epochs", "num-epochs", "n-epochs", "num-train-epochs", "max-iter", "n-iter", "e"]),
    ("seed", &["random-state", "random-seed", "manual-seed", "seed-everything", "s"]),
    ("device", &["gpu", "gpus", "cuda", "use-gpu", "use-cuda", "accelerator", "devices"]),
    ("threads", &["n-jobs", "jobs", "num-threads", "cpus", "cores", "j", "n-threads"]),
    ("folds", &["k", "n-splits", "n-folds", "num-folds", "kfold", "cv"]),
    ("grid", &["param-grid", "grid-search", "param"]),
    ("space", &["search-space", "param-distributions"]),
    ("trials", &["n-trials", "num-trials", "max-trials", "n-iter", "num-samples"]),
    ("from", &["checkpoint", "ckpt", "ckpt-path", "resume-from", "resume-from-checkpoint"]),
    ("threshold", &["cutoff"]),
    ("explain", &["explanation", "explanations", "interpret", "lime", "shap"]),
    ("port", &["p", "http-port"]),
    ("host", &["bind", "address", "ip", "hostname"]),
    ("quiet", &["silent", "no-progress", "disable-tqdm"]),
    ("verbose", &["debug", "verbosity", "log-level"]),
];

/// Commands, and what other programs call them.
const COMMANDS: [(&str, &[&str]); 17] = [
    ("train", &["fit", "training", "finetune", "fine-tune", "learn", "run"]),
    ("test", &["eval", "evaluate", "evaluation", "validate", "score"]),
    ("predict", &["classify", "infer", "inference", "prediction", "predictions", "detect"]),
    ("resume", &["continue", "restart"]),
    ("cv", &["crossval", "cross-validate", "cross-validation", "kfold", "k-fold"]),
    ("search", &["tune", "hpo", "optimize", "grid-search", "sweep", "hyperopt"]),
    ("serve", &["api", "server", "deploy", "web", "http"]),
    ("report", &["html", "plot", "compare"]),
    ("export", &["convert", "jit", "torchscript", "onnx", "save"]),
    ("tokens", &["tokenize", "encode"]),
    ("models", &["list", "list-models", "ls", "model"]),
    ("settings", &["config", "params", "parameters", "hyperparameters", "defaults"]),
    ("lr-find", &["lr", "lr-finder", "lrfind", "find-lr"]),
    ("batch-size", &["scale-batch-size", "find-batch-size"]),
    ("summary", &["describe", "show", "info"]),
    ("data inspect", &["check", "stats", "statistics", "head", "profile"]),
    ("demo", &["try", "quickstart", "tutorial", "hello"]),
];

/// Returns the name with lowercase letters and dashes, as options and commands are written.
pub(crate) fn plain(name: &str) -> String {
    name.trim_start_matches('-').to_lowercase().replace('_', "-")
}

/// Returns the options that other programs call `name`.
pub(crate) fn options(name: &str) -> impl Iterator<Item = &'static str> {
    let name = plain(name);
    OPTIONS.iter().filter(move |(_, others)| others.contains(&name.as_str())).map(|(option, _)| *option)
}

/// Returns the command that other programs call `name`.
pub(crate) fn command(name: &str) -> Option<&'static str> {
    let name = plain(name);
    COMMANDS.iter().find(|(_, others)| others.contains(&name.as_str())).map(|(command, _)| *command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documentation::all_commands;

    #[test]
    fn names_of_this_program_exist_and_other_names_do_not_hide_them() {
        let commands = all_commands();
        let has = |option: &str| {
            let mut options = commands.iter().flat_map(|(_, command)| command.get_arguments());
            options.any(|it| it.get_long() == Some(option))
        };
        for (option, others) in OPTIONS {
            assert!(has(option), "no command has --{option}");
            assert!(others.iter().all(|other| plain(other) == *other), "{others:?}");
        }
        for (command, others) in COMMANDS {
            assert!(commands.iter().any(|(name, _)| *name == format!("faknow {command}")), "{command}");
            for other in others {
                assert!(commands.iter().all(|(name, _)| *name != format!("faknow {other}")), "{other}");
            }
        }
    }
}
