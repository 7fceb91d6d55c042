//! Settings of the training loop, checkpoints and weights.

use super::policies::{CONFIG, DATA, FREE, SMOKE_TEST};
use super::setting::{StaticTable, setting, table};

pub(super) const TABLES: &[StaticTable] = &[
    table(
        "trainer",
        "The training loop. A *length* is a number and a unit, such as `\"5 steps\"` or `\"0.5 epochs\"`: `epochs`, `steps` (weight \
         updates), `samples`, `seconds`, `minutes`, `hours`. Metrics are named as in `faknow test --json`.",
        &[
            setting("epochs", FREE, "at least 1", "maximum number of epochs"),
            setting("max_steps", FREE, "at least 1", "maximum number of weight updates"),
            setting("max_time", FREE, "a time such as `\"90 minutes\"`", "maximum training time, including time before an interruption; a schedule is laid out for the estimated number of updates"),
            setting("accumulate", CONFIG, "batches, at least 1", "batches whose gradients are accumulated for one update"),
            setting("clip_norm", CONFIG, "above 0", "maximum global gradient norm; not with `clip_value`"),
            setting("clip_value", CONFIG, "above 0", "maximum absolute value of a gradient"),
            setting("on_non_finite", CONFIG, "`stop`, `skip`, `roll_back`", "on a NaN or infinite loss or gradient: fail; skip the update (at most 10 in a row); or return to the last checkpoint with half the learning rate (at most 3 times)"),
            setting("validate_every", CONFIG, "length", "how often to validate; default: after each epoch"),
            setting("sanity_batches", FREE, "batches; 0: none", "validation batches that are tried before the first epoch"),
            setting("monitor", CONFIG, "`loss` or a metric", "validation value that selects the best epoch"),
            setting("restore_best", CONFIG, "boolean", "use the weights of the best epoch instead of the last"),
            setting("metrics", CONFIG, "`all` or list of metrics", "metrics of each validation and test; default: the twelve most common"),
            setting("train_metrics", CONFIG, "list of metrics", "metrics of the training pass; those that need only predicted classes"),
            setting("limit_batches", DATA, "batches, at least 1", "maximum batches per pass over training, validation and test records"),
            setting("overfit_batches", DATA, "batches, at least 1", "train and validate on these few batches: a model that learns can memorize them"),
            setting("histograms_every", FREE, "epochs, at least 1", "how often TensorBoard gets histograms of weights and gradients; default: never"),
            setting("fast_dev_run", SMOKE_TEST, "boolean", "train, validate and test on one batch, to check that everything works"),
        ],
    ),
    table(
        "early_stopping",
        "Stopping before the last epoch; needs validation records.",
        &[
            setting("enabled", FREE, "boolean", "whether to stop early"),
            setting("patience", FREE, "validations, at least 1", "validations in a row without improvement"),
            setting("min_delta", FREE, "at least 0", "minimum improvement; does not affect the best epoch"),
            setting("stopping_threshold", FREE, "number", "stop as soon as the value reaches this"),
            setting("divergence_threshold", FREE, "number", "stop as soon as the value is worse than this"),
            setting("start_from_epoch", FREE, "at least 1", "first epoch that is counted"),
            setting("monitor", FREE, "`loss` or a metric", "value to monitor; default: `trainer.monitor`"),
        ],
    ),
    table(
        "average",
        "An average of the weights, which is validated, saved as the best and used at the end. Default: none.",
        &[
            setting("name", CONFIG, "`ema`, `swa` (Izmailov et al., 2018)", "exponential moving average, or stochastic weight averaging"),
            setting("decay", CONFIG, "0 to below 1", "`average = decay * average + (1 - decay) * weights` after each update").of(&["ema"]),
            setting("start", CONFIG, "length", "when averaging starts").of(&["swa"]).required("'1 epoch'"),
            setting("every", CONFIG, "length", "how often weights are added").of(&["swa"]),
        ],
    )
    .by_name(&["ema", "swa"]),
    table(
        "checkpoint",
        "Checkpoints, each of which can be resumed.",
        &[
            setting("every", FREE, "length", "how often `last` is saved, besides at each new best and at the end"),
            setting("keep", FREE, "checkpoints", "how many of these are retained as `epoch-0007` or `step-00000120`"),
            setting("best", FREE, "at least 1", "how many of the best are retained; `best` is the first"),
            setting("monitors", FREE, "list of `loss` or metrics", "further values whose best checkpoint is retained, as `best-<value>`"),
            setting("background", FREE, "boolean", "save while training continues, from a copy of the state in memory"),
        ],
    ),
    table(
        "freeze",
        "A list of tables: weights that are not trained, for a time or at all. For gradual unfreezing give each layer its own `until`.",
        &[
            setting("pattern", CONFIG, "weight names, `*` matches any characters", "frozen weights; at least one weight must be trainable").required("'word_embedding.*'"),
            setting("until", CONFIG, "length", "when the weights become trainable; default: never"),
        ],
    )
    .list(),
];
