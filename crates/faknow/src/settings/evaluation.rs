//! Settings of predictions.

use super::policies::FREE;
use super::setting::{StaticTable, setting, table};

pub(super) const TABLES: &[StaticTable] = &[table(
    "decision",
    "From scores to predicted classes: chosen on the validation records after training, saved in `calibration.json`, \
     used by `test`, `predict` and `serve`.",
    &[
        setting("temperature", FREE, "boolean", "calibrate scores by temperature scaling"),
        setting(
            "threshold",
            FREE,
            "`highest`, `f1`, `precision`, or 0 to 1",
            "decision threshold of the second of two classes: the highest score, the threshold with the best F1, the one with the \
             best recall at `decision.precision`, or this value",
        ),
        setting("precision", FREE, "0 to 1", "minimum precision of the threshold `precision`"),
    ],
)];
