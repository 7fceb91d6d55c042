//! Options of the columns of records that some models read in addition to the text.

use std::path::PathBuf;

use clap::Args;
use faknow::config::DataConfig;

/// Columns in addition to text and label.
#[derive(Debug, Default, Args)]
pub(crate) struct ColumnOptions {
    /// Field of the domain (topic, event), for models and results by domain
    #[arg(long, visible_alias = "event", value_name = "COLUMN", help_heading = "Records")]
    pub(crate) domain: Option<String>,
    /// Field of the image of a post: the path of a file, for models that read images
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    image: Option<String>,
    /// Directory of the images [default: that of the file of records]
    #[arg(long, value_name = "DIR", help_heading = "Records")]
    image_dir: Option<PathBuf>,
    /// Field of the comments on the text, for models of emotions computed from lexicons
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    comments: Option<String>,
    /// Numeric features (F) and their fields; FEATURE alone if both names are the same
    #[arg(long, value_name = "F=COLUMN,…", value_delimiter = ',', help_heading = "Records")]
    features: Vec<String>,
}

impl ColumnOptions {
    /// Applies the options to the `data` table of a config.
    pub(crate) fn apply(&self, data: &mut DataConfig) {
        let columns = [
            (&self.domain, &mut data.domain),
            (&self.image, &mut data.image),
            (&self.comments, &mut data.comments),
        ];
        for (given, setting) in columns {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        if self.image_dir.is_some() {
            data.image_dir.clone_from(&self.image_dir);
        }
        for feature in &self.features {
            let (name, column) = feature.split_once('=').unwrap_or((feature, feature));
            data.features.0.insert(name.trim().to_owned(), column.trim().to_owned());
        }
    }
}
