//! The `faknow` program: train, test and use fake-news detectors from the command line.

mod batch_size;
mod console;
mod cv;
mod data;
mod data_trees;
mod demo;
mod export;
mod input;
mod interrupted;
mod job;
mod lr_find;
mod models;
mod options;
mod predict;
mod predict_trees;
mod report;
mod resume;
mod search;
#[cfg(feature = "serve")]
mod serve;
#[cfg(not(feature = "serve"))]
#[path = "serve_missing.rs"]
mod serve;
mod summary;
mod test;
mod tokens;
mod train;
mod training_options;
mod tree_options;
#[cfg(feature = "tui")]
mod tui;
mod writer;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train, test and use fake-news detectors.
#[derive(Debug, Parser)]
#[command(name = "faknow", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Start here:
  faknow demo                         train on a built-in corpus and look at the result
  faknow data inspect posts.csv       what is in a file, and what is wrong with it
  faknow train textcnn --train train.csv --text tweet --label label --classes real,fake
  faknow resume RUN_DIR               go on with a run that was cut off
  faknow cv textcnn --folds 5 --train train.csv            mean and deviation over folds
  faknow search textcnn --grid optimizer.lr=0.001,0.0003 --train train.csv
  faknow predict RUN_DIR --input new.jsonl
  faknow serve RUN_DIR                answer over HTTP, with a page to try it
  faknow report RUN_DIR …             runs as a page, side by side

Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 failed on the way, 2 something given is wrong (a setting, a file, a record), 130 interrupted
(Ctrl-C: the run saves itself and tells how to go on; a second Ctrl-C ends it at once).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    console: console::ConsoleOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Resume(resume::ResumeArgs),
    Test(test::TestArgs),
    Cv(Box<cv::CvArgs>),
    Search(Box<search::SearchArgs>),
    Predict(predict::PredictArgs),
    Serve(serve::ServeArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Tokens(tokens::TokensArgs),
    Models(models::ModelsArgs),
    LrFind(Box<lr_find::LrFindArgs>),
    BatchSize(Box<batch_size::BatchSizeArgs>),
    Summary(Box<summary::SummaryArgs>),
    Data(data::DataArgs),
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return console::refuse(&error),
    };
    console::run(|| run(&cli))
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let wants_view = match &cli.command {
        Command::Train(args) => args.tui,
        Command::Resume(args) => args.tui,
        _ => false,
    };
    let console = cli.console.start(wants_view)?;
    match &cli.command {
        Command::Train(args) => args.run(&console),
        Command::Resume(args) => args.run(&console),
        Command::Test(args) => args.run(),
        Command::Cv(args) => args.run(&console),
        Command::Search(args) => args.run(&console),
        Command::Predict(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Tokens(args) => args.run(),
        Command::Models(args) => args.run(),
        Command::LrFind(args) => args.run(),
        Command::BatchSize(args) => args.run(),
        Command::Summary(args) => args.run(),
        Command::Data(args) => args.run(),
        Command::Demo(args) => args.run(&console),
    }
}
