#![doc = include_str!("../README.md")]

mod advice;
mod batch_size;
mod column_options;
mod completions;
mod console;
mod cv;
mod data;
mod demo;
#[cfg(test)]
mod documentation;
mod example;
mod export;
mod input;
mod interrupted;
mod job;
mod lr_find;
mod man;
mod models;
mod option_names;
mod options;
mod other_names;
mod path_advice;
mod predict;
mod predict_summary;
mod prepare;
mod report;
mod resume;
mod search;
#[cfg(feature = "serve")]
mod serve;
#[cfg(not(feature = "serve"))]
#[path = "serve_missing.rs"]
mod serve;
mod settings;
#[cfg(test)]
#[path = "../../skip.rs"]
mod skip;
mod summary;
mod test;
mod tokens;
mod train;
mod training_options;
mod tree_options;
#[cfg(feature = "tui")]
mod tui;
mod usage_error;
mod writer;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use faknow::models::Registry;

/// Train, test and use fake-news detectors
#[derive(Debug, Parser)]
#[command(name = "faknow", version, arg_required_else_help = true, max_term_width = 110)]
#[command(before_help = "Examples:
  faknow data example posts                          # write a built-in synthetic dataset
  faknow data inspect posts/train.csv                # count records and classes, and report problems
  faknow train textcnn --train posts/train.csv --out runs/first
  faknow predict runs/first --input posts/test.csv > predictions.csv
  faknow resume runs/first                           # resume an interrupted run
  faknow cv textcnn --folds 5 --train posts/train.csv        # mean and standard deviation over folds
  faknow search textcnn --grid optimizer.lr=0.001,0.0003 --train posts/train.csv
  faknow serve runs/first                            # serve the detector over HTTP, with a web page to try it
  faknow report runs/first                           # create an HTML report of one or several runs
  faknow demo                                        # all of this on a larger dataset, in one command")]
#[command(
    after_help = "Results go to standard output, everything else (log, progress, errors) to standard error.
Exit codes: 0 success, 1 runtime failure, 2 invalid input (argument, setting, file, record), 130 interrupted.
Ctrl-C saves the run and prints the command that resumes it; a second Ctrl-C exits immediately. SIGTERM, SIGHUP,
SIGUSR1, SIGUSR2 and SIGXCPU save the run too."
)]
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
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Layout of `--help`: the examples come first.
const HELP_TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Returns the command-line parser.
fn command() -> clap::Command {
    fn examples_first(command: clap::Command) -> clap::Command {
        command.help_template(HELP_TEMPLATE).mut_subcommands(examples_first)
    }
    examples_first(Cli::command())
}

/// Parses the arguments of the process.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Runs the program with the models of a registry: parses the arguments of the process, prints results and errors, and
/// returns the exit code.
///
/// ```no_run
/// use faknow::models::Registry;
///
/// fn main() -> std::process::ExitCode {
///     let registry = Registry::builtin();
///     // registry.register::<MyModel>() adds a custom model to every command.
///     faknow_cli::main_with(registry)
/// }
/// ```
pub fn main_with(registry: Registry) -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error::report_usage_error(&error, &registry),
    };
    // The program ends after a panic, so an inconsistent registry is never used.
    console::run(AssertUnwindSafe(|| run(&cli, &registry)))
}

fn run(cli: &Cli, registry: &Registry) -> anyhow::Result<()> {
    let is_live = match &cli.command {
        Command::Train(args) => args.tui,
        Command::Resume(args) => args.tui,
        _ => false,
    };
    let console = cli.console.start(is_live)?;
    match &cli.command {
        Command::Train(args) => args.run(registry, &console),
        Command::Resume(args) => args.run(registry, &console),
        Command::Test(args) => args.run(registry),
        Command::Cv(args) => args.run(registry, &console),
        Command::Search(args) => args.run(registry, &console),
        Command::Predict(args) => args.run(registry, &console),
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
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all commands with their full names, without the generated `help` commands.
    fn commands(command: clap::Command, name: &str) -> Vec<(String, clap::Command)> {
        let subcommands = command.get_subcommands().filter(|it| it.get_name() != "help").cloned();
        let nested: Vec<_> =
            subcommands.flat_map(|it| commands(it.clone(), &format!("{name} {}", it.get_name()))).collect();
        [(name.to_owned(), command)].into_iter().chain(nested).collect()
    }

    /// Returns the command lines of the examples of a help text, without comments, pipes and redirections.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let block = help.split("\nExamples:\n").nth(1).unwrap_or_default();
        let block = block.split("\n\n").next().unwrap_or_default().replace("\\\n", " ");
        let lines = block.lines().filter_map(|line| line.find("faknow ").map(|start| &line[start..]));
        let lines = lines.filter_map(|line| line.split(['#', '>']).next());
        lines.map(|line| line.split_whitespace().map(|word| word.replace('\'', "")).collect()).collect()
    }

    #[test]
    fn every_help_starts_with_examples_that_parse() {
        let all = commands(command(), "faknow");
        for expected in ["faknow", "faknow train", "faknow data", "faknow data inspect", "faknow settings"] {
            assert!(all.iter().any(|(name, _)| name == expected), "{expected}");
        }
        for (name, mut command) in all {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let first = about.split_whitespace().next().unwrap_or_default();
            assert!(!about.ends_with('.') && !first.ends_with('s'), "{name}: `{about}` is not imperative");
            for help in [command.render_long_help().to_string(), command.render_help().to_string()] {
                let start = format!("{about}\n\nExamples:\n  ");
                let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                assert!(help.starts_with(&start), "{name}:\n{help}");
                let usage = help.find("Usage:").unwrap();
                assert!(help.find("Examples:").is_some_and(|position| position < usage), "{name}:\n{help}");
                let examples = examples(&help);
                assert!(examples.iter().any(|it| it.join(" ").starts_with(&name)), "{name}:\n{help}");
                for example in examples {
                    let parsed = super::command().try_get_matches_from(&example);
                    assert!(parsed.is_ok(), "{example:?}: {}", parsed.unwrap_err());
                }
            }
        }
    }
}
