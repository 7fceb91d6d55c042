//! The changes of settings that `resume_settings` tries: one or more for every key of the reference.

use Effect::{Config as ConfigOnly, File, History, Unfit, Weights};

/// How an accepted change can be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    /// The weights after the second epoch differ from those without the change.
    Weights,
    /// The results of validation or the number of epochs differ.
    History,
    /// This file of the run differs or is new.
    File(&'static str),
    /// Only `config.toml`: a resource, a path, or a rule that does not apply to this short run.
    Config,
    /// The value is refused, even if it is allowed: it does not fit the data or the weights. The error has this text.
    Unfit(&'static str),
}

/// A setting: key, settings of the run at its start, settings on resume.
pub(crate) type Case = (&'static str, &'static str, &'static str, Effect);

/// Settings are separated by `; `; `DIR` is the directory of the files.
pub(crate) const GENERAL: &[Case] = &[
    ("seed", "", "seed=7", ConfigOnly),
    ("device", "", "device=auto", ConfigOnly),
    ("threads", "threads=0", "threads=1", ConfigOnly),
    ("baseline", "baseline=false", "baseline=true", File("baseline.json")),
    ("data.train", "", "data.train=DIR/moved.csv", ConfigOnly),
    ("data.valid", "", "data.valid=DIR/moved-valid.csv", ConfigOnly),
    ("data.test", "", "data.test=DIR/other.csv", File("predictions/test.csv")),
    ("data.text", "", "data.text=body", Weights),
    ("data.label", "", "data.label=flag", Weights),
    ("data.domain", "", "data.domain=topic", File("predictions/test.csv")),
    ("data.entities", "", "data.entities=topic", Unfit("`data.entities`")),
    ("data.image", "", "data.image=topic", Unfit("`data.image`")),
    ("data.image_dir", "", "data.image_dir=DIR", Unfit("`data.image_dir`")),
    ("data.title", "", "data.title=topic", Unfit("`data.title`")),
    ("image.encoder", "", "image.encoder=DIR/x.pth", Unfit("`image.encoder`")),
    ("image.size", "", "image.size=64", Unfit("`image.size`")),
    ("image.resize", "", "image.resize=stretch", Unfit("`image.resize`")),
    ("image.max_megapixels", "", "image.max_megapixels=7", Unfit("`image.max_megapixels`")),
    ("image.on_problem", "", "image.on_problem=missing", Unfit("`image.on_problem`")),
    ("image.memory", "", "image.memory=7", Unfit("`image.memory`")),
    ("image.cache", "", "image.cache=DIR", Unfit("`image.cache`")),
    ("data.features", "", "data.features=['emotions']", Unfit("`data.features`")),
    ("data.fang", "", "data.fang=DIR", Unfit("`data.fang`")),
    ("data.comments", "", "data.comments=topic", Unfit("`data.comments`")),
    ("data.classes", "", "data.classes=[\"fake\", \"real\"]", ConfigOnly),
    ("data.values", "", "data.values.fake=[\"hoax\"]; data.train=DIR/hoax.csv", ConfigOnly),
    ("data.format", "", "data.format=csv", ConfigOnly),
    ("data.encoding", "", "data.encoding=utf-8", ConfigOnly),
    ("data.delimiter", "", "data.delimiter=\",\"", ConfigOnly),
    ("data.drop_classes", "", "data.drop_classes=['satire']", Unfit("`data.drop_classes`")),
    ("data.skip_broken", "", "data.skip_broken=3", ConfigOnly),
    ("data.header", "", "data.header=false", Unfit("no such column `text`")),
    ("data.quotes", "", "data.quotes=false", ConfigOnly),
    ("data.split", NO_FILES, "data.split=[0.5, 0.25, 0.25]", Weights),
    ("data.fold", "data.test=none; data.fold=1 of 3", "data.fold=2 of 3", Weights),
    ("text.language", "", "text.language=zh", ConfigOnly),
    ("text.tokenizer", "", "text.tokenizer=characters", ConfigOnly),
    ("text.lowercase", "", "text.lowercase=false", ConfigOnly),
    ("text.punctuation", "", "text.punctuation=true", ConfigOnly),
    ("text.normalize_urls", "", "text.normalize_urls=false", ConfigOnly),
    ("text.normalize_mentions", "", "text.normalize_mentions=true", ConfigOnly),
    ("text.normalize_unicode", "", "text.normalize_unicode=false", ConfigOnly),
    ("text.stop_words", "", "text.stop_words=DIR/stop.txt", ConfigOnly),
    ("text.max_length", "", "text.max_length=5", ConfigOnly),
    ("text.min_count", "", "text.min_count=2", ConfigOnly),
    ("text.max_vocab", "", "text.max_vocab=9", ConfigOnly),
    ("text.vectors", "", "text.vectors=DIR/vectors.txt", ConfigOnly),
    ("text.encoder", "", "text.encoder=DIR", Unfit("`text.encoder`")),
    ("text.lexicons", "", "text.lexicons=DIR", Unfit("`text.lexicons`")),
    ("text.memory", "", "text.memory=1", ConfigOnly),
    ("text.cache", "", "text.cache=DIR/cache", ConfigOnly),
    ("loader.batch_size", "", "loader.batch_size=6", Weights),
    ("loader.max_tokens", "", "loader.max_tokens=24", Weights),
    ("loader.eval_batch_size", "", "loader.eval_batch_size=3", ConfigOnly),
    ("loader.buckets", "", "loader.buckets=2", Weights),
    ("loader.drop_last", "", "loader.drop_last=true", Weights),
    ("loader.balanced", "", "loader.balanced=true", Weights),
    ("loader.workers", "", "loader.workers=1", ConfigOnly),
    ("model.name", "", "model.name=bigcn", ConfigOnly),
    ("model.weights", "", "model.weights=DIR/weights.safetensors", ConfigOnly),
    ("model.embedding_size", "", "model.embedding_size=9", Unfit("`model.embedding_size` was 8, now 9")),
    ("model.n_filters", "", "model.n_filters=5", Unfit("`model.n_filters` was 4, now 5")),
    ("model.kernel_sizes", "", "model.kernel_sizes=[2]", Unfit("`model.kernel_sizes` was")),
    ("model.activation", "", "model.activation=leaky_relu", Weights),
    ("model.dropout", "", "model.dropout=0.1", Weights),
    ("model.freeze_embedding", "", "model.freeze_embedding=true", Weights),
    ("decision.temperature", "", "decision.temperature=false", File("calibration.json")),
    ("decision.threshold", "", "decision.threshold=0.9", File("calibration.json")),
    (
        "decision.precision",
        "decision.threshold=precision",
        "decision.precision=0.4",
        File("calibration.json"),
    ),
];

const NO_FILES: &str = "data.valid=none; data.test=none; data.split=[0.6, 0.2, 0.2]";

pub(crate) const UPDATES: &[Case] = &[
    ("loss.name", "loss={}", "loss.name=focal", Weights),
    ("loss.gamma", "loss.name=focal", "loss.gamma=0.5", Weights),
    ("loss.label_smoothing", "loss={}", "loss.label_smoothing=0.3", Weights),
    ("loss.class_weights", "loss={}", "loss.class_weights=[1.0, 5.0]", Weights),
    ("adversarial.name", FGM, "adversarial={ name = 'pgd', pattern = 'word*', steps = 2 }", Weights),
    ("adversarial.pattern", FGM, "adversarial.pattern=classifier*", Weights),
    ("adversarial.epsilon", FGM, "adversarial.epsilon=5.0", Weights),
    ("adversarial.alpha", PGD, "adversarial.alpha=3.0", Weights),
    ("adversarial.steps", PGD, "adversarial.steps=1", Weights),
    ("optimizer.name", "", "optimizer.name=adamw", Weights),
    ("optimizer.name", "", "optimizer.name=sgd", Weights),
    ("optimizer.lr", "", "optimizer.lr=0.1", Weights),
    ("optimizer.lr", "schedule.name=plateau", "optimizer.lr=0.1", Weights),
    ("optimizer.weight_decay", "", "optimizer.weight_decay=0.5", Weights),
    ("optimizer.betas", "optimizer.name=adamw", "optimizer.betas=[0.5, 0.9]", Weights),
    ("optimizer.amsgrad", "", "optimizer.amsgrad=true", Weights),
    ("optimizer.eps", "", "optimizer.eps=0.1", Weights),
    ("optimizer.momentum", "optimizer.name=sgd", "optimizer.momentum=0.9", Weights),
    ("optimizer.dampening", MOMENTUM, "optimizer.dampening=0.5", Weights),
    ("optimizer.nesterov", MOMENTUM, "optimizer.nesterov=true", Weights),
    ("optimizer.alpha", "optimizer.name=rmsprop", "optimizer.alpha=0.5", Weights),
    ("optimizer.centered", "optimizer.name=rmsprop", "optimizer.centered=true", Weights),
    ("optimizer.lr_decay", "optimizer.name=adagrad", "optimizer.lr_decay=0.5", Weights),
    (
        "optimizer.initial_accumulator_value",
        "optimizer.name=adagrad",
        "optimizer.initial_accumulator_value=0.5",
        ConfigOnly,
    ),
    ("optimizer.groups", "", "optimizer.groups=[{ pattern = 'classifier*', lr = 0.5 }]", Weights),
    ("average.name", EMA, "average={ name = 'swa', start = '1 step', every = '1 step' }", Weights),
    ("average.decay", EMA, "average.decay=0.1", Weights),
    ("average.start", SWA, "average.start=1 step", Weights),
    ("average.every", SWA, "average.every=1 step", Weights),
    ("freeze.pattern", "freeze=[{ pattern = 'word*' }]", "freeze=[{ pattern = 'classifier*' }]", Weights),
    (
        "freeze.until",
        "freeze=[{ pattern = 'word*' }]",
        "freeze=[{ pattern = 'word*', until = '4 steps' }]",
        Weights,
    ),
];

const FGM: &str = "adversarial={ name = 'fgm', pattern = 'word*' }";
const PGD: &str = "adversarial={ name = 'pgd', pattern = 'word*', steps = 2 }";
const MOMENTUM: &str = "optimizer={ name = 'sgd', lr = 0.1, momentum = 0.9 }";
const EMA: &str = "average={ name = 'ema', decay = 0.9 }";
const SWA: &str = "average={ name = 'swa', start = '4 steps', every = '2 steps' }";

pub(crate) const SCHEDULES: &[Case] = &[
    ("schedule.name", "", "schedule={ name = 'exponential', gamma = 0.1 }", Weights),
    (
        "schedule.name",
        "schedule={ name = 'exponential', gamma = 0.1 }",
        "schedule={ name = 'constant' }",
        Weights,
    ),
    ("schedule.name", "schedule.name=warmup_linear", "schedule={ name = 'plateau' }", Weights),
    (
        "schedule.interval",
        "schedule={ name = 'exponential', gamma = 0.5 }",
        "schedule.interval=step",
        Weights,
    ),
    ("schedule.gamma", "schedule={ name = 'exponential', gamma = 0.5 }", "schedule.gamma=0.1", Weights),
    ("schedule.gamma", "schedule={ name = 'step', step_size = 1 }", "schedule.gamma=0.9", Weights),
    ("schedule.step_size", "schedule={ name = 'step', step_size = 1 }", "schedule.step_size=2", Weights),
    (
        "schedule.milestones",
        "schedule={ name = 'multi_step', milestones = [1] }",
        "schedule.milestones=[2]",
        Weights,
    ),
    ("schedule.milestones", SEQUENTIAL, "schedule.milestones=[2]", Weights),
    (
        "schedule.schedules",
        SEQUENTIAL,
        "schedule.schedules=[{ name = 'constant' }, { name = 'constant_factor', factor = 0.5 }]",
        Weights,
    ),
    ("schedule.factor", "schedule.name=constant_factor", "schedule.factor=0.9", Weights),
    ("schedule.factor", PLATEAU, "schedule.factor=0.9", Weights),
    ("schedule.total_iters", "schedule.name=constant_factor", "schedule.total_iters=1", Weights),
    (
        "schedule.total_iters",
        "schedule={ name = 'polynomial', power = 2.0 }",
        "schedule.total_iters=3",
        Weights,
    ),
    ("schedule.power", "schedule={ name = 'polynomial' }", "schedule.power=3.0", Weights),
    ("schedule.start_factor", "schedule.name=linear", "schedule.start_factor=0.9", Weights),
    ("schedule.end_factor", "schedule.name=linear", "schedule.end_factor=0.1", Weights),
    ("schedule.t_max", "schedule.name=cosine", "schedule.t_max=3", Weights),
    ("schedule.eta_min", "schedule.name=cosine", "schedule.eta_min=0.005", Weights),
    ("schedule.t_0", RESTARTS, "schedule.t_0=3", Weights),
    ("schedule.t_mult", RESTARTS, "schedule.t_mult=3", Weights),
    ("schedule.max_lr", "schedule.name=one_cycle", "schedule.max_lr=0.5", Weights),
    ("schedule.total_steps", "schedule.name=one_cycle", "schedule.total_steps=20", Weights),
    ("schedule.total_steps", "schedule.name=warmup_linear", "schedule.total_steps=9", Weights),
    ("schedule.pct_start", "schedule.name=one_cycle", "schedule.pct_start=0.9", Weights),
    ("schedule.anneal_strategy", "schedule.name=one_cycle", "schedule.anneal_strategy=linear", Weights),
    ("schedule.div_factor", ONE_CYCLE, "schedule.div_factor=3.0", Weights),
    ("schedule.final_div_factor", "schedule.name=one_cycle", "schedule.final_div_factor=2.0", Weights),
    ("schedule.three_phase", "schedule.name=one_cycle", "schedule.three_phase=true", Weights),
    ("schedule.warmup_steps", "schedule.name=warmup_linear", "schedule.warmup_steps=8", Weights),
    ("schedule.warmup_ratio", "schedule.name=warmup_cosine", "schedule.warmup_ratio=0.7", Weights),
    ("schedule.num_cycles", "schedule.name=warmup_cosine", "schedule.num_cycles=1.5", Weights),
    ("schedule.mode", EAGER_PLATEAU, "schedule.mode=max", Weights),
    ("schedule.patience", PLATEAU, "schedule.patience=5", Weights),
    ("schedule.threshold", EAGER_PLATEAU, "schedule.threshold=100.0", Weights),
    ("schedule.threshold_mode", EAGER_PLATEAU, "schedule.threshold_mode=abs", ConfigOnly),
    ("schedule.cooldown", PLATEAU, "schedule.cooldown=5", Weights),
    ("schedule.min_lr", PLATEAU, "schedule.min_lr=0.005", Weights),
    ("schedule.eps", PLATEAU, "schedule.eps=1.0", Weights),
];

const SEQUENTIAL: &str = "schedule={ name = 'sequential', milestones = [1], schedules = [{ name = 'exponential', gamma = 0.1 }, { name = 'constant' }] }";
const RESTARTS: &str = "schedule={ name = 'cosine_warm_restarts', t_0 = 2, interval = 'step' }";
/// The learning rate rises in most of the run.
const ONE_CYCLE: &str = "schedule={ name = 'one_cycle', pct_start = 0.9 }";
/// Values that do not improve by 1000: a reduction after every second validation.
const PLATEAU: &str = "trainer.validate_every=1 step; schedule={ name = 'plateau', patience = 0, threshold = 1000.0, threshold_mode = 'abs' }";
const EAGER_PLATEAU: &str = "trainer.validate_every=1 step; trainer.monitor=loss; schedule={ name = 'plateau', patience = 0, threshold = 0.0 }";

pub(crate) const TRAINING: &[Case] = &[
    ("trainer.epochs", "", "trainer.epochs=3", History),
    ("trainer.max_steps", "", "trainer.max_steps=4", History),
    ("trainer.max_time", "", "trainer.max_time=0.001 seconds", History),
    ("trainer.accumulate", "", "trainer.accumulate=2", Weights),
    ("trainer.clip_norm", "", "trainer.clip_norm=0.001", Weights),
    ("trainer.clip_value", "", "trainer.clip_value=0.001", Weights),
    ("trainer.on_non_finite", "", "trainer.on_non_finite=skip", ConfigOnly),
    ("trainer.validate_every", "", "trainer.validate_every=1 step", History),
    ("trainer.sanity_batches", "", "trainer.sanity_batches=0", ConfigOnly),
    ("trainer.monitor", "", "trainer.monitor=loss", File("summary.json")),
    ("trainer.restore_best", "", "trainer.restore_best=false", ConfigOnly),
    ("trainer.metrics", "", "trainer.metrics=[\"accuracy\", \"roc_auc\"]", History),
    ("trainer.train_metrics", "", "trainer.train_metrics=[\"f1\"]", History),
    ("trainer.limit_batches", "", "trainer.limit_batches=2", Weights),
    ("trainer.overfit_batches", "", "trainer.overfit_batches=2", Weights),
    ("trainer.histograms_every", "", "trainer.histograms_every=1", ConfigOnly),
    ("trainer.fast_dev_run", "", "trainer.fast_dev_run=true", ConfigOnly),
    ("early_stopping.enabled", STOPS, "early_stopping.enabled=false", History),
    ("early_stopping.patience", STOPS, "early_stopping.patience=9", History),
    (
        "early_stopping.min_delta",
        "early_stopping.patience=1",
        "early_stopping.min_delta=1000.0; trainer.epochs=5",
        ConfigOnly,
    ),
    ("early_stopping.stopping_threshold", "", "early_stopping.stopping_threshold=0.0", History),
    ("early_stopping.divergence_threshold", "", "early_stopping.divergence_threshold=1.5", History),
    ("early_stopping.start_from_epoch", STOPS, "early_stopping.start_from_epoch=2", History),
    (
        "early_stopping.monitor",
        "early_stopping.stopping_threshold=0.0",
        "early_stopping.monitor=loss",
        History,
    ),
    ("checkpoint.every", "", "checkpoint.every=1 step; checkpoint.keep=1", File("checkpoints/epoch-0002")),
    ("checkpoint.keep", "", "checkpoint.keep=2", File("checkpoints/epoch-0002")),
    ("checkpoint.best", "", "checkpoint.best=2", File("checkpoints/epoch-0001")),
    ("checkpoint.monitors", "", "checkpoint.monitors=[\"loss\"]", File("checkpoints/best-loss")),
    ("checkpoint.background", "", "checkpoint.background=true", ConfigOnly),
];

/// Stops after the first two validations within the first epoch.
const STOPS: &str =
    "trainer.validate_every=1 step; early_stopping.patience=1; early_stopping.min_delta=1000.0";

pub(crate) const TREES: &[Case] = &[
    ("data.trees", "", "data.trees=DIR/moved-trees.txt", ConfigOnly),
    ("data.labels", "", "data.labels=DIR/moved-labels.txt", ConfigOnly),
    ("data.train_ids", "", "data.train_ids=DIR/fewer-ids.txt", Weights),
    ("data.valid_ids", "data.train_ids=DIR/fewer-ids.txt", "data.valid_ids=DIR/valid-ids.txt", Weights),
    ("data.test_ids", "", "data.test_ids=DIR/fewer-ids.txt", Unfit("expected each tree in one file of ids")),
    ("data.upfd", "", "data.upfd=DIR", Unfit("data.trees")),
    ("data.feature", "", "data.feature=content", ConfigOnly),
    ("data.weighting", "", "data.weighting=none", ConfigOnly),
    ("data.split_by_event", "data.train_ids=none; data.test_ids=none", "data.split_by_event=true", Weights),
];
