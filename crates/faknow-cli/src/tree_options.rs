//! Options for propagation trees.

use std::path::PathBuf;

use clap::Args;
use faknow::config::DataConfig;

/// Propagation trees for training.
#[derive(Debug, Default, Args)]
pub(crate) struct TreeOptions {
    /// Propagation trees: a TD_RvNN file, or a directory of FaKnow's <id>.npz files
    #[arg(long, value_name = "FILE|DIR", help_heading = "Trees")]
    trees: Option<PathBuf>,
    /// Labels of --trees, one line per tree: label, event, root id
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Ids of the training trees, one per line [default: a fraction of --trees]
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    train_ids: Option<PathBuf>,
    /// Ids of the validation trees [default: a fraction of the training trees]
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    valid_ids: Option<PathBuf>,
    /// Ids of the test trees [default: a fraction of --trees, or none with --train-ids]
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    test_ids: Option<PathBuf>,
    /// Fraction of training trees for validation, 0 to below 1 [default: 0.125]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, help_heading = "Trees")]
    valid_fraction: Option<f64>,
    /// Raw directory of a UPFD dataset, which has its own split
    #[arg(long, value_name = "DIR", help_heading = "Trees")]
    upfd: Option<PathBuf>,
    /// Directory of a graph of articles, sources and users in the format of FANG
    #[arg(long, value_name = "DIR", help_heading = "Trees")]
    fang: Option<PathBuf>,
    /// Node features of --upfd: profile, spacy, bert or content [default: profile]
    #[arg(long, value_name = "NAME", help_heading = "Trees")]
    feature: Option<String>,
    /// Split by event, of records that of --event, so that no event is in two subsets
    #[arg(long, help_heading = "Records")]
    split_by_event: bool,
}

impl TreeOptions {
    /// Applies the options to the `data` table of a config.
    pub(crate) fn apply(&self, data: &mut DataConfig) {
        let paths = [
            (&self.trees, &mut data.trees),
            (&self.labels, &mut data.labels),
            (&self.train_ids, &mut data.train_ids),
            (&self.valid_ids, &mut data.valid_ids),
            (&self.test_ids, &mut data.test_ids),
            (&self.upfd, &mut data.upfd),
            (&self.fang, &mut data.fang),
        ];
        for (given, setting) in paths {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        if let Some(valid) = self.valid_fraction {
            // A fraction of the training and validation trees; the test fraction does not change.
            let remaining = 1.0 - data.split[2];
            data.split = [remaining * (1.0 - valid), remaining * valid, data.split[2]];
        }
        if let Some(feature) = &self.feature {
            data.feature.clone_from(feature);
        }
        data.split_by_event |= self.split_by_event;
    }
}

/// Propagation trees to classify or to test on.
#[derive(Debug, Default, Args)]
pub(crate) struct InputTrees {
    /// Propagation trees: a TD_RvNN file, or a directory of FaKnow's <id>.npz files
    #[arg(long, value_name = "FILE|DIR", help_heading = "Trees")]
    trees: Option<PathBuf>,
    /// Labels of --trees, one line per tree: label, event, root id
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Ids of the trees of --trees to use, one per line [default: all]
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    ids: Option<PathBuf>,
    /// Raw directory of a UPFD dataset; its test trees are used
    #[arg(long, value_name = "DIR", help_heading = "Trees")]
    upfd: Option<PathBuf>,
    /// Node features of --upfd: profile, spacy, bert or content
    #[arg(long, value_name = "NAME", default_value = "profile", help_heading = "Trees")]
    feature: String,
}

impl InputTrees {
    /// Returns the options as data settings.
    pub(crate) fn to_data(&self) -> DataConfig {
        DataConfig {
            trees: self.trees.clone(),
            labels: self.labels.clone(),
            test_ids: self.ids.clone(),
            upfd: self.upfd.clone(),
            feature: self.feature.clone(),
            ..DataConfig::default()
        }
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse().ok().filter(|fraction| (0.0..1.0).contains(fraction));
    fraction.ok_or_else(|| "expected a fraction from 0 to below 1".to_owned())
}
