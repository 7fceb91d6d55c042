//! `faknow serve` in a build without the feature `serve`: an error that names the feature.

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;

/// Serve a trained detector over HTTP (requires a build with the feature `serve`)
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow serve runs/textcnn-…")]
pub(crate) struct ServeArgs {
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, hide = true)]
    _arguments: Vec<String>,
}

impl ServeArgs {
    pub(crate) fn run(&self, _: &Registry) -> Result<()> {
        Err(faknow::Error::config("serve", "requires a build with the feature `serve`").into())
    }
}
