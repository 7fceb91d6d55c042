//! Adds the options that solve a problem to error messages of the library.

use std::path::Path;

use clap::Command;
use faknow::data::common::printable_path;
use faknow::data::raw::recognize;
use faknow::{data, trainer};

/// Returns an error message with the option that solves the problem, if the command has one.
pub(crate) fn with_advice(message: &str, error: &anyhow::Error, arguments: &[String]) -> String {
    let command = subcommand(crate::command(), arguments);
    let has = |option: &str| command.get_arguments().any(|it| it.get_long() == option.strip_prefix("--"));
    // `data prepare` itself says what it found.
    if has("--unescape-html") {
        return message.replace("`skip_broken`", "`--skip-broken N`");
    }
    if let Some(path) = path(error).filter(|path| path.is_dir())
        && let Some(kind) = recognize(path)
    {
        let path = printable_path(path);
        return format!(
            "{message}; these are raw posts ({kind}): convert them with `faknow data prepare {kind} {path} --out {kind}.jsonl`"
        );
    }
    if let Some(option) = data_error(error).and_then(column_option).filter(|option| has(option)) {
        // Only commands that train define classes; the others use the columns of the training.
        let is_given = arguments.iter().any(|it| it == option || it.starts_with(&format!("{option}=")));
        let origin = if has("--classes") || is_given { "" } else { "; the column is that of the training" };
        return format!("{message}{origin}; name another column with `{option} COLUMN`");
    }
    if has("--text") && ["`data.text`: ", "`data.label`: "].iter().any(|start| message.starts_with(start)) {
        return message.replace("`data.text=", "`--text ").replace("`data.label=", "`--label ");
    }
    if let Some(data::Error::Record { can_skip: true, .. }) = data_error(error)
        && has("--skip-broken")
    {
        return format!("{message}; skip such records with `--skip-broken N` or `--skip-broken P%`");
    }
    if message.contains("broken records (`skip_broken`)") && has("--skip-broken") {
        return message.replace("`skip_broken`", "`--skip-broken`");
    }
    if message.contains("unknown label `") && has("--drop-classes") {
        return format!(
            "{message}; name the classes with `--classes A,B`, or leave out records by label with `--drop-classes A,B`"
        );
    }
    if message.contains("unknown label `") && has("--classes") {
        return format!("{message}; name the classes with `--classes A,B`");
    }
    if message.starts_with("`--classes`: expected at least 2") {
        return format!("{message}; separate class names by commas");
    }
    if let Some(faknow::Error::Trainer(trainer::Error::RunDir { path, .. })) = error.downcast_ref()
        && has("--out")
    {
        let run = path.display();
        let advice =
            format!("continue it with `faknow resume {run}`, or choose another directory with `--out`");
        return message.replace("resume it, or choose another directory", &advice);
    }
    if let Some((_, fallback)) = message.split_once("; the newest valid checkpoint is `")
        && let Some((name, _)) = fallback.split_once('`')
        && has("--from")
    {
        return format!("{message}; resume from it with `--from {name}`, or copy the run directory again");
    }
    if message.contains("another program uses this port") && has("--port") {
        return format!("{message}, with `--port`");
    }
    message.to_owned()
}

/// Returns the command that the arguments call.
fn subcommand(command: Command, arguments: &[String]) -> Command {
    arguments
        .iter()
        .skip(1)
        .fold(command, |command, argument| command.find_subcommand(argument).cloned().unwrap_or(command))
}

/// Returns the file or directory of an error.
fn path(error: &anyhow::Error) -> Option<&Path> {
    match (error.downcast_ref(), data_error(error)) {
        (Some(faknow::Error::Io { path, .. }), _)
        | (_, Some(data::Error::Io { path, .. } | data::Error::File { path, .. })) => Some(path),
        _ => None,
    }
}

fn data_error(error: &anyhow::Error) -> Option<&data::Error> {
    match error.downcast_ref() {
        Some(faknow::Error::Data(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// Returns the option that names the column of an error.
fn column_option(error: &data::Error) -> Option<&'static str> {
    match error {
        data::Error::MissingColumn { setting: "columns.text", .. } => Some("--text"),
        data::Error::MissingColumn { setting: "columns.label", .. } => Some("--label"),
        data::Error::MissingColumn { setting: "columns.domain", .. } => Some("--domain"),
        _ => None,
    }
}
