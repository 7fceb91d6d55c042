//! Options that say where propagation trees are.

use std::path::PathBuf;

use clap::Args;
use faknow::config::DataConfig;

/// Propagation trees, for models that read them.
#[derive(Debug, Default, Args)]
pub(crate) struct TreeOptions {
    /// Trees in one file of the TD_RvNN format, or a directory of FaKnow's <id>.npz
    #[arg(long, value_name = "FILE|DIR", help_heading = "Trees")]
    trees: Option<PathBuf>,
    /// Labels of --trees, a line each: label, event, id of the root
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Ids of the training trees, one a line
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    train_ids: Option<PathBuf>,
    /// Ids of the validation trees (default: a share of the training trees)
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    valid_ids: Option<PathBuf>,
    /// Ids of the test trees
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    test_ids: Option<PathBuf>,
    /// Share of the training trees that chooses the best epoch (default 0.125)
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Trees")]
    valid_fraction: Option<f64>,
    /// Raw directory of a UPFD data set, which has its own split
    #[arg(long, value_name = "DIR", help_heading = "Trees")]
    upfd: Option<PathBuf>,
    /// Features of --upfd: profile, spacy, bert or content (default profile)
    #[arg(long, value_name = "NAME", help_heading = "Trees")]
    feature: Option<String>,
    /// Cut --trees by whole events, so that none is in two parts
    #[arg(long, help_heading = "Trees")]
    split_by_event: bool,
}

impl TreeOptions {
    /// Puts what was given into the `data` table of a config.
    pub(crate) fn apply(&self, data: &mut DataConfig) {
        let paths = [
            (&self.trees, &mut data.trees),
            (&self.labels, &mut data.labels),
            (&self.train_ids, &mut data.train_ids),
            (&self.valid_ids, &mut data.valid_ids),
            (&self.test_ids, &mut data.test_ids),
            (&self.upfd, &mut data.upfd),
        ];
        for (given, setting) in paths {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        if let Some(valid) = self.valid_fraction {
            // Of what is for training and validation; the test keeps its share.
            let rest = 1.0 - data.split[2];
            data.split = [rest * (1.0 - valid), rest * valid, data.split[2]];
        }
        if let Some(feature) = &self.feature {
            data.feature.clone_from(feature);
        }
        data.split_by_event |= self.split_by_event;
    }
}

/// Trees to classify or to test on.
#[derive(Debug, Default, Args)]
pub(crate) struct InputTrees {
    /// Trees in one file of the TD_RvNN format, or a directory of FaKnow's <id>.npz
    #[arg(long, value_name = "FILE|DIR", help_heading = "Trees")]
    trees: Option<PathBuf>,
    /// Labels of --trees, a line each: label, event, id of the root
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Ids of the trees of --trees that count, one a line (default: all)
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    ids: Option<PathBuf>,
    /// Raw directory of a UPFD data set, of which the test trees count
    #[arg(long, value_name = "DIR", help_heading = "Trees")]
    upfd: Option<PathBuf>,
    /// Features of --upfd: profile, spacy, bert or content
    #[arg(long, value_name = "NAME", default_value = "profile", help_heading = "Trees")]
    feature: String,
}

impl InputTrees {
    /// As settings.
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

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to below 1".to_owned())
}
