//! `faknow data prepare`: converts the raw form of a public dataset to JSON lines.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::data::common::{AtomicFile, most_similar, printable_name, shell_word};
use faknow::data::raw::{RawKind, RawLabels, RawOptions, RawSummary, prepare};
use faknow::data::{Error as DataError, SkipBroken};

use crate::console::{is_closed, print};

/// Convert the raw posts of a public dataset to JSON lines, for text and tree models
#[derive(Debug, Args)]
#[command(override_usage = "faknow data prepare [OPTIONS] --out <FILE> [KIND] <PATH>")]
#[command(before_help = "Examples:
  faknow data prepare twitter16 posts/threads --out threads.jsonl    # posts: `faknow data example posts`
  faknow data prepare twitter16 rumor_detection_acl2017 --out twitter16.jsonl
  faknow data prepare pheme all-rnr-annotated-threads --labels veracity --out pheme.jsonl
  faknow data prepare FakeNewsNet/dataset --out news.jsonl     # the kind is recognized")]
#[command(after_help = "KIND is the dataset, ignoring case; without it, the content of PATH is recognized:
  acl2017      Twitter15 or Twitter16 (also: twitter15, twitter16): tree/, label.txt, source_tweets.txt
  pheme        events with rumours/ and non-rumours/, each thread with source-tweets/ and reactions/
  rumoureval   RumourEval 2017 and 2019: threads of Twitter, and key files with their veracity
  weibo        Weibo.txt and Weibo/<id>.json
  fakenewsnet  politifact_fake.csv, …, or politifact/fake/<id>/news content.json (also: politifact, gossipcop)
  mediaeval    tweets.txt, posts.txt or posts_groundtruth.txt of the image verification corpus
Each line of the output has id, label, event, text and the nodes of the tree, with times in seconds since the source.
What is left out or changed is counted and named on standard error; the last lines are the commands that train on it.
docs/datasets says where the datasets come from.")]
pub(crate) struct PrepareArgs {
    /// Name of the dataset (optional), then its directory or file
    #[arg(value_name = "[KIND] PATH", required = true, num_args = 1..=2)]
    inputs: Vec<PathBuf>,
    /// Output file of JSON lines; - for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Labels of PHEME: rumor, or veracity for non-rumor, true, false and unverified [default: rumor]
    #[arg(long, value_name = "SET")]
    labels: Option<String>,
    /// Skip up to N, or P%, broken files or rows, and count them [default: 0, the first is an error]
    #[arg(long, value_name = "N|P%")]
    skip_broken: Option<SkipBroken>,
    /// Decode HTML entities in texts, such as &amp; [default: texts as released]
    #[arg(long)]
    unescape_html: bool,
    /// Print the summary as JSON to standard output
    #[arg(long)]
    json: bool,
}

impl PrepareArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let (options, path) = self.options()?;
        let is_stdout = self.out == Path::new("-");
        if self.json && is_stdout {
            let message = "expected --out FILE, got --out -: standard output has the records";
            return Err(faknow::Error::config("--json", message).into());
        }
        let result = if is_stdout {
            prepare(path, &options, &mut BufWriter::new(std::io::stdout()), Path::new("standard output"))
        } else {
            self.write_file(path, &options)
        };
        let summary = match result {
            Err(DataError::Io { source, .. }) if is_stdout && is_closed(&source) => return Ok(()),
            Err(DataError::Setting { name: "labels", expected, got }) => {
                return Err(
                    faknow::Error::config("--labels", format!("expected {expected}, got {got}")).into()
                );
            }
            other => other?,
        };
        if self.json {
            return print(&serde_json::to_string(&summary)?);
        }
        let out = if is_stdout { Path::new("FILE") } else { self.out.as_path() };
        // Without a terminal, no one reads the summary.
        let _ = writeln!(std::io::stderr(), "{summary}\n{}", commands(&summary, out));
        Ok(())
    }

    fn write_file(&self, path: &Path, options: &RawOptions) -> faknow::data::Result<RawSummary> {
        let error = |e| DataError::io(&self.out, e);
        let mut file = AtomicFile::create(&self.out).map_err(error)?;
        let summary = prepare(path, options, &mut file, &self.out)?;
        file.finish().map_err(error)?;
        Ok(summary)
    }

    /// Returns the options, and the directory or file to read.
    fn options(&self) -> Result<(RawOptions, &Path)> {
        let error = |option: &str, message: String| Err(faknow::Error::config(option, message).into());
        let mut options = RawOptions::default();
        options.unescape_html = self.unescape_html;
        options.skip_broken = self.skip_broken.unwrap_or_default();
        if let Some(name) = &self.labels {
            options.labels = RawLabels::from_name(name);
            if options.labels.is_none() {
                return error("--labels", format!("expected rumor or veracity, got `{name}`"));
            }
        }
        let (kind, path) = match &self.inputs[..] {
            [kind, path] => (Some(kind.to_string_lossy().to_lowercase()), path),
            [path, ..] => (None, path),
            [] => return error("PATH", "expected a directory or file, got none".to_owned()),
        };
        let Some(name) = kind else {
            if !path.exists()
                && let Some(kind) = RawKind::from_name(&path.to_string_lossy())
            {
                return error(
                    "PATH",
                    format!("expected {} after `{}`, got none", kind.layout(), path.display()),
                );
            }
            return Ok((options, path));
        };
        options.kind = RawKind::from_name(&name);
        let Some(kind) = options.kind else {
            let names = RawKind::ALL.map(RawKind::name).join(", ");
            let similar = most_similar(&name, RawKind::names());
            let hint = similar.map_or_else(String::new, |it| format!("; did you mean `{it}`?"));
            return error("KIND", format!("expected one of {names}, got `{name}`{hint}"));
        };
        options.part = kind.parts().contains(&name.as_str()).then_some(name);
        Ok((options, path))
    }
}

/// Returns the commands that train a text model and, if there are trees, a tree model on the output.
fn commands(summary: &RawSummary, out: &Path) -> String {
    let mut names: Vec<String> = summary.class_names().into_iter().map(str::to_owned).collect();
    if names.len() < 2 {
        let name = printable_name(&names.concat());
        return format!("only one class, `{name}`, occurs: training requires at least two");
    }
    if names.len() > 2 && summary.kind == RawKind::MediaEval {
        // Jokes count as fake in the evaluations.
        names.retain(|name| name != "humor");
        names.iter_mut().filter(|name| *name == "fake").for_each(|name| name.push_str("=humor"));
    }
    let (out, classes) = (shell_word(&out.display().to_string()), shell_word(&names.join(",")));
    let language = if summary.kind == RawKind::Weibo { " --language zh" } else { "" };
    let mut text = String::from("train with:");
    let _ = write!(
        text,
        "\n  faknow train textcnn --train {out} --text text --label label --classes {classes}{language}"
    );
    if summary.has_trees() {
        let _ = write!(text, "\n  faknow train bigcn --train {out} --classes {classes}{language}");
        if summary.events.len() > 2 {
            text.push_str("\nthreads of an event resemble each other: --split-by-event tests a tree model on other events");
        }
    }
    text
}
