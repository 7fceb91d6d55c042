//! `faknow data example`: the built-in dataset as files.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::Error;
use faknow::data::synth::{
    CascadeOptions, NewsGraphOptions, SynthOptions, write_csv, write_multimodal, write_news_graph,
    write_social, write_td_rvnn, write_threads,
};

use crate::console::print;

/// Name of the directory of the propagation trees.
const TREES: &str = "trees";
/// Name of the directory of the posts with comments, entities and numeric features.
const SOCIAL: &str = "social";
/// Name of the directory of the posts with images and events.
const MULTIMODAL: &str = "multimodal";
/// Name of the directory of the graph of articles.
const GRAPH: &str = "graph";
/// Name of the directory of the raw posts.
const THREADS: &str = "threads";

/// Write the built-in synthetic dataset: posts with labels, propagation trees, and raw threads
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow data example posts
  faknow train textcnn --train posts/train.csv --valid posts/valid.csv --test posts/test.csv
  faknow train bigcn --trees posts/trees/data.TD_RvNN.txt --labels posts/trees/label_All.txt --classes true,false")]
#[command(
    after_help = "The files are the same on every machine. No post is real, and a score on them says nothing about real fake news:
they only show that a program works. `faknow demo` trains on a larger dataset of the same kind."
)]
pub(crate) struct ExampleArgs {
    /// Directory for train.csv, valid.csv, test.csv, trees/, threads/, social/, multimodal/ and graph/; must be new or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Number of posts in all files, at least 10; there are fewer trees and threads
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = n_posts)]
    posts: usize,
}

impl ExampleArgs {
    pub(crate) fn run(&self) -> Result<()> {
        match fs::read_dir(&self.dir).map(|mut entries| entries.next().is_some()) {
            Ok(true) => {
                let message = format!("expected a new or empty directory, got {}", self.dir.display());
                return Err(Error::config("DIR", message).into());
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(&self.dir, error).into());
            }
            _ => {}
        }
        let mut lines = Vec::new();
        for path in write_csv(&self.dir, &SynthOptions { n_samples: self.posts, ..SynthOptions::default() })?
        {
            lines.push(path.display().to_string());
        }
        let options = CascadeOptions { n_trees: self.posts / 3, ..CascadeOptions::default() };
        let files = write_td_rvnn(&self.dir.join(TREES), &options)?;
        for path in [&files.trees, &files.labels, &files.train_ids, &files.test_ids] {
            lines.push(path.display().to_string());
        }
        let options = SynthOptions { n_samples: self.posts.div_ceil(10), seed: 1, ..SynthOptions::default() };
        for path in write_threads(&self.dir.join(THREADS), &options)? {
            lines.push(path.display().to_string());
        }
        let options = SynthOptions { n_samples: self.posts, ..SynthOptions::default() };
        for path in write_social(&self.dir.join(SOCIAL), &options)? {
            lines.push(path.display().to_string());
        }
        let images = SynthOptions { n_samples: self.posts.div_ceil(2).max(10), ..options };
        for path in write_multimodal(&self.dir.join(MULTIMODAL), &images)? {
            lines.push(path.display().to_string());
        }
        let graph = self.dir.join(GRAPH);
        write_news_graph(&graph, &NewsGraphOptions::default())?;
        lines.push(graph.display().to_string());
        lines.push(format!("\nNext: faknow data inspect {}", self.dir.join("train.csv").display()));
        print(&lines.join("\n"))
    }
}

fn n_posts(text: &str) -> Result<usize, String> {
    let n = text.parse().ok().filter(|n| (10..=1_000_000).contains(n));
    n.ok_or_else(|| "expected an integer from 10 to 1000000".to_owned())
}
