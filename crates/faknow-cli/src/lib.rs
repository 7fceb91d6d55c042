#![doc = include_str!("../README.md")]

mod batch_size;
mod console;
mod cv;
mod data;
mod demo;
#[cfg(test)]
mod documentation;
mod export;
mod input;
mod interrupted;
mod job;
mod lr_find;
mod models;
mod option_names;
mod options;
mod predict;
mod report;
mod resume;
mod search;
#[cfg(feature = "serve")]
mod serve;
#[cfg(not(feature = "serve"))]
#[path = "serve_missing.rs"]
mod serve;
mod settings;
mod summary;
mod test;
mod tokens;
mod train;
mod training_options;
mod tree_options;
#[cfg(feature = "tui")]
mod tui;
mod writer;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use faknow::models::Registry;

/// Train, test and use fake-news detectors.
#[derive(Debug, Parser)]
#[command(name = "faknow", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Start here:
  faknow demo                         train on a built-in corpus and look at the result
  faknow data inspect posts.csv       what is in a file, and what is wrong with it
  faknow train textcnn --train train.csv --text tweet --label label --classes real,fake
  faknow resume RUN_DIR               resume an interrupted run
  faknow cv textcnn --folds 5 --train train.csv            mean and standard deviation over folds
  faknow search textcnn --grid optimizer.lr=0.001,0.0003 --train train.csv
  faknow predict RUN_DIR --input new.jsonl
  faknow serve RUN_DIR                serve it over HTTP, with a web page to try it
  faknow report RUN_DIR …             an HTML report of one run, or of several

Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 failed on the way, 2 something given is wrong (a setting, a file, a record), 130 interrupted
(Ctrl-C: the run saves itself and prints how to resume it; a second Ctrl-C exits immediately).")]
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
    Settings(settings::SettingsArgs),
    LrFind(Box<lr_find::LrFindArgs>),
    BatchSize(Box<batch_size::BatchSizeArgs>),
    Summary(Box<summary::SummaryArgs>),
    Data(data::DataArgs),
    Demo(demo::DemoArgs),
}

/// Runs the program with these models: parses the arguments of the process, prints results and errors, and returns the exit code.
///
/// ```no_run
/// use faknow::models::Registry;
///
/// fn main() -> std::process::ExitCode {
///     let registry = Registry::builtin();
///     // registry.register::<MyModel>() gives every command a custom model.
///     faknow_cli::main_with(registry)
/// }
/// ```
pub fn main_with(registry: Registry) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return console::refuse(&error),
    };
    // After a panic the program ends, so nothing sees a registry in between.
    console::run(AssertUnwindSafe(|| run(&cli, &registry)))
}

fn run(cli: &Cli, registry: &Registry) -> anyhow::Result<()> {
    let wants_view = match &cli.command {
        Command::Train(args) => args.tui,
        Command::Resume(args) => args.tui,
        _ => false,
    };
    let console = cli.console.start(wants_view)?;
    match &cli.command {
        Command::Train(args) => args.run(registry, &console),
        Command::Resume(args) => args.run(registry, &console),
        Command::Test(args) => args.run(registry),
        Command::Cv(args) => args.run(registry, &console),
        Command::Search(args) => args.run(registry, &console),
        Command::Predict(args) => args.run(registry),
        Command::Serve(args) => args.run(registry),
        Command::Report(args) => args.run(),
        Command::Export(args) => args.run(registry),
        Command::Tokens(args) => args.run(registry),
        Command::Models(args) => args.run(registry),
        Command::Settings(args) => args.run(registry),
        Command::LrFind(args) => args.run(registry),
        Command::BatchSize(args) => args.run(registry),
        Command::Summary(args) => args.run(registry),
        Command::Data(args) => args.run(),
        Command::Demo(args) => args.run(registry, &console),
    }
}
