//! `cargo xtask`: the project's own tasks. Each sub-command has a file of its own; none needs libtorch to start.

mod bench;
mod book;
mod browser;
mod cache;
mod checks;
mod ci;
mod config;
mod cpu;
mod cuda;
mod demo;
mod dist;
mod exported;
mod layers;
mod libtorch;
mod load;
mod outside;
mod process;
mod program;
mod progress;
mod python;
mod real;
mod served;
mod setup;
mod soak;
mod summary;
mod test;
mod tidy;
mod toolchain;
mod tutorial;
mod webdriver;
mod wheels;
mod workspace;

use std::process::ExitCode;

use process::{Failed, Usage};
use workspace::Workspace;

const HELP: &str = "\
The tasks of this project: cargo xtask COMMAND [ARGS]

To use it:
  setup     find or make libtorch 2.13.0, and tell cargo where it is   [--cuda | --cpu] [--force] [--for DIR]
  demo      set up, build, train a detector on the built-in corpus     [--data DIR] [options of `faknow demo`]

To work on it:
  test      all tests, documentation tests and the layer check         [options of `cargo nextest run`]
  ci        everything that must hold before a change lands            [--keep-going] [--list] [--skip STEP] [STEP ...]
  layers    which crate may know which                                 [--self-test]
  tidy      file heads, lengths, leftovers, READMEs, links
  outside   build and run two crates that lie outside the workspace
  real      train on a real data set and check the accuracy            (needs the shared data)
  bench     speed of training and evaluation                           [options of the benchmark]
            speed of the server, overload, memory (needs wrk)          --serve [--soak SECONDS]
  browser   our pages in headless Chromium                             [--pictures DIR]
  exported  what C++ and Python make of an exported detector
  dist      the program with its libtorch, as an archive               [--release]
  tutorial  the commands of docs/tutorial.md, word for word
  soak      kill and resume runs, many times                           [--kills N] [--cases N]

`cargo xtask COMMAND --help` says more about setup, ci and test. Exit codes: 0 good, 1 failed, 2 wrong usage.
";

type Task = fn(&mut Workspace, &[String]) -> anyhow::Result<()>;

const TASKS: &[(&str, Task)] = &[
    ("setup", setup::run),
    ("demo", demo::run),
    ("test", test::run),
    ("ci", ci::run),
    ("layers", layers::run),
    ("tidy", tidy::run),
    ("outside", outside::run),
    ("real", real::run),
    ("bench", bench::run),
    ("browser", browser::run),
    ("exported", exported::run),
    ("dist", dist::run),
    ("tutorial", tutorial::run),
    ("soak", soak::run),
];

fn main() -> ExitCode {
    end_with_the_reader();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match dispatch(name, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Failed>() => ExitCode::from(1),
        Err(error) if error.is::<Usage>() => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// A reader that has gone away, as in `cargo xtask tidy | head`, ends a task without a word.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.contains("Broken pipe")) {
            std::process::exit(1);
        }
        usual(panic);
    }));
}

fn dispatch(name: &str, args: &[String]) -> anyhow::Result<()> {
    let Some((_, task)) = TASKS.iter().find(|(task, _)| *task == name) else {
        let names: Vec<&str> = TASKS.iter().map(|(task, _)| *task).collect();
        return Err(Usage(format!("no task `{name}`; there are: {}", names.join(", "))).into());
    };
    task(&mut Workspace::open()?, args)
}
