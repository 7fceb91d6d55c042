//! The files of a run directory, and what commands do if one of them is missing or corrupted.

/// A file of a run directory, or several with `*` in their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFile {
    /// Path relative to the run directory.
    pub path: &'static str,
    /// What it contains.
    pub content: &'static str,
    /// What it is compared with when it is read.
    pub check: &'static str,
    /// Effect on loading a detector: `predict`, `test`, `serve`, `export`, `tokens`, `summary`.
    pub detector: Effect,
    /// Effect on `report`.
    pub report: Effect,
    /// Effect on `resume`.
    pub resume: Effect,
}

/// What a command does if a file is missing, truncated or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The command does not read the file.
    NotRead,
    /// The command fails with an error that names the file and what helps.
    Error,
    /// The command writes the file again; with a warning, if that loses anything or the file was not due.
    Rewritten,
}

const fn row(
    path: &'static str,
    content: &'static str,
    check: &'static str,
    [detector, report, resume]: [Effect; 3],
) -> RunFile {
    RunFile { path, content, check, detector, report, resume }
}

use Effect::{Error as E, NotRead as N, Rewritten as R};

const CHECKSUM: &str = "`checksums.json`";
const MANIFEST: &str = "`manifest.json`";

/// The files of the run directory of a detector; the first row whose path matches applies.
///
/// Runs of earlier versions, and those that were interrupted, have no checksums of some files, which are then not compared.
pub const RUN_FILES: &[RunFile] = &[
    row("config.toml", "all settings", CHECKSUM, [E, E, E]),
    row("classes.json", "the classes", "`checksums.json`, `config.toml`", [E, N, R]),
    row("vocab.txt", "the vocabulary", "`checksums.json`, size of the weights", [E, N, E]),
    row("tokenizer.json", "settings of the tokenizer", CHECKSUM, [E, N, E]),
    row(
        "encoder/*.json",
        "configuration and tokenizer of the encoder of texts, instead of `vocab.txt` and `tokenizer.json`",
        CHECKSUM,
        [E, N, E],
    ),
    row(
        "features/*",
        "output of an encoder that is not trained, without `text.cache`; safe to delete",
        "its own checksum",
        [N, N, R],
    ),
    row(
        "encoder/*.safetensors",
        "weights of the encoder, unless they are trained and therefore in the checkpoints (or `*.bin`)",
        CHECKSUM,
        [E, N, E],
    ),
    row(
        "ngrams.tsv",
        "the n-grams of `linear`, with the number of training texts that contain each",
        "`checksums.json`, size of the weights",
        [E, N, E],
    ),
    row(
        "features.json",
        "features of the nodes of trees",
        "`checksums.json`, size of the weights",
        [E, N, E],
    ),
    row(
        "domains.json",
        "names of the domains, of models that use them",
        "`checksums.json`, size of the weights",
        [E, N, E],
    ),
    row(
        "record_features.json",
        "numeric features of records: sizes, means, lexicons, of models that use them",
        "`checksums.json`, size of the weights",
        [E, N, E],
    ),
    row(
        "checksums.json",
        "sizes and checksums; without it, files are read unchecked",
        "its own checksum",
        [E, E, E],
    ),
    row("calibration.json", "[temperature and decision thresholds](calibration.md)", CHECKSUM, [E, E, R]),
    row("summary.json", "results, machine, versions", CHECKSUM, [N, E, R]),
    row("mistakes.json", "the most confident errors of the test, explained", CHECKSUM, [N, E, R]),
    row(
        "baseline.json",
        "the [comparison with the model `linear`](models.md#the-baseline)",
        CHECKSUM,
        [N, E, R],
    ),
    row("predictions/*.csv", "prediction for each sample, before temperature scaling", CHECKSUM, [N, E, R]),
    row("report.html", "the [report](report.md)", "nothing reads it", [N, N, R]),
    row(
        "history.jsonl",
        "records of epochs, validations, steps and the test",
        "`checksums.json`; on resume also the checkpoint",
        [N, E, R],
    ),
    row("metrics.csv", "one row per epoch", "nothing reads it", [N, N, R]),
    row("test_metrics.csv", "one row for the last test", "nothing reads it", [N, N, R]),
    row("run.log", "a readable log", "nothing reads it", [N, N, N]),
    row("tensorboard/*", "curves", "checksum of each event; only for display", [N, N, N]),
    row(
        ".lock",
        "the process that uses the run, or used it last; locked while it does",
        "only named to a second command",
        [N, N, R],
    ),
    row(
        "checkpoints/best/manifest.json",
        "sizes and checksums of the checkpoint; without it, weights are loaded unchecked",
        "its own checksum",
        [E, N, R],
    ),
    row("checkpoints/best/model.safetensors", "the weights, with PyTorch's names", MANIFEST, [E, N, R]),
    row("checkpoints/best/*", "state of the best epoch", MANIFEST, [N, N, R]),
    row("checkpoints/last/*", "state of the last epoch", MANIFEST, [N, N, E]),
    row("checkpoints/*", "further checkpoints, by `checkpoint.*`", MANIFEST, [N, N, N]),
];

impl RunFile {
    /// Returns the row of a file of a run directory, if it has one.
    pub fn of(path: &str) -> Option<&'static Self> {
        RUN_FILES.iter().find(|file| match file.path.split_once('*') {
            Some((start, end)) => path.starts_with(start) && path[start.len()..].ends_with(end),
            None => file.path == path,
        })
    }
}
