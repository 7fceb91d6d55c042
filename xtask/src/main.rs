//! `cargo xtask`: the project's own tasks. One file per command; none needs libtorch to start.

mod bench;
mod ci;
mod demo;
mod dist;
mod encoder;
mod fuzz;
mod inspected_data;
mod load;
mod process;
mod program;
mod real_data;
mod required;
mod setup;
#[path = "../../crates/skip.rs"]
mod skip;
mod soak;
mod summary;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use ci::{book, browser, deny, exported, external_crates, layers, openapi, tidy, tutorial};
use summary::Summary;
use workspace::Workspace;

/// The tasks of this project. Exit codes: 0 good, 1 failed, 2 wrong usage.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install libtorch 2.13.0, and configure cargo to use it
    Setup(setup::Args),
    /// Set up, build, and train a detector on the built-in corpus
    Demo(demo::Args),
    /// Fetch a pretrained encoder of texts into the cache, for --encoder
    Encoder(encoder::Args),
    /// Run all tests, the documentation tests and the layer check
    Test(test::Args),
    /// Check everything that must hold before a change lands
    Ci(ci::Args),
    /// Check which crate depends on which, and which directory of a crate on which
    Layers,
    /// Check the first lines, lengths and leftovers of files, the READMEs, and the links of the documentation
    Tidy,
    /// Build the documentation with mdBook and check its links
    Book,
    /// Build and run two crates outside the workspace
    ExternalCrates,
    /// Train on real datasets and check the accuracy (needs the shared data)
    RealData,
    /// Measure the speed of training, evaluation or (--serve) the server
    Bench(bench::Args),
    /// Check the HTML pages in headless Chromium
    Browser(browser::Args),
    /// Check an exported detector in C++ and Python
    Exported,
    /// Compare the OpenAPI document of the server with its responses
    Openapi,
    /// Check licenses, sources and advisories of the dependencies
    Deny,
    /// Pack the program with its libtorch into an archive
    Dist(dist::Args),
    /// Run the commands of docs/tutorial.md
    Tutorial,
    /// Kill, interrupt and resume random runs, and compare their results with uninterrupted ones
    Soak(soak::Args),
    /// Fuzz the readers of data files (needs a nightly toolchain)
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(summary)) => {
            println!("{summary}");
            ExitCode::from(u8::from(summary.failed > 0))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task; a task that counts its checks ends with their numbers.
fn run(task: Task) -> Result<Option<Summary>> {
    let workspace = &mut Workspace::open()?;
    match task {
        Task::Setup(args) => setup::run(workspace, &args).map(|()| None),
        Task::Demo(args) => demo::run(workspace, &args).map(|()| None),
        Task::Encoder(args) => encoder::run(workspace, &args).map(|()| None),
        Task::Bench(args) => bench::run(workspace, &args).map(|()| None),
        Task::Dist(args) => dist::run(workspace, &args).map(|()| None),
        Task::Layers => layers::check(workspace).map(|()| None),
        Task::Book => book::check(workspace).map(|()| None),
        Task::Tidy => tidy::check(workspace).map(|()| None),
        Task::Ci(args) => ci::run(workspace, &args),
        Task::Test(args) => test::run(workspace, &args).map(Some),
        Task::Soak(args) => soak::run(workspace, &args).map(|()| None),
        Task::Fuzz(args) => fuzz::run(workspace, &args).map(Some),
        Task::ExternalCrates => external_crates::check(workspace).map(Some),
        Task::RealData => real_data::check(workspace).map(Some),
        Task::Browser(args) => browser::check(workspace, &args).map(Some),
        Task::Exported => exported::check(workspace).map(Some),
        Task::Deny => deny::check(workspace).map(Some),
        Task::Openapi => openapi::check(workspace).map(Some),
        Task::Tutorial => tutorial::check(workspace).map(Some),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
}
