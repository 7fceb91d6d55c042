//! Errors in the arguments, with what is probably meant.

use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use faknow::data::common::most_similar;
use faknow::models::Registry;
use faknow::settings::similar_key;

use crate::console::print_error;
use crate::other_names;

/// Maximum number of commands that are named for an option.
const MAX_COMMANDS: usize = 3;
/// Options for files, in the order in which a file without an option is taken for one of them.
const FILE_OPTIONS: [&str; 3] = ["input", "data", "train"];

/// Prints a message of clap: help as it is, an error in one line. Returns the exit code.
pub(crate) fn report_usage_error(error: &clap::Error, registry: &Registry) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A failure to print cannot be reported.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    print_error(&format!("{}; see --help", message(error, registry, &arguments)));
    ExitCode::from(2)
}

/// Returns the message of a usage error in one line.
fn message(error: &clap::Error, registry: &Registry, arguments: &[String]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(name) = context(ContextKind::InvalidSubcommand) {
        let hint = similar_command(name).map(|command| format!("; did you mean `faknow {command}`?"));
        return format!("unknown command `{name}`{}", hint.unwrap_or_default());
    }
    let argument = context(ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument);
    if let Some(argument) = argument {
        let (name, command) = called_command(arguments);
        let hint = match argument.starts_with('-') {
            true => option_hint(argument, &name, &command, registry, arguments),
            false => file_hint(argument, &command, arguments),
        };
        return format!("unexpected argument `{argument}` of `{name}`{hint}");
    }
    let text = error.to_string();
    let parts: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let message = parts.join(" ").replace(" tip: ", "; ");
    message.strip_prefix("error: ").unwrap_or(&message).to_owned()
}

/// Returns the command that the arguments call, and its full name.
pub(crate) fn called_command(arguments: &[String]) -> (String, Command) {
    let mut called = ("faknow".to_owned(), crate::command());
    for argument in arguments.iter().skip(1) {
        if let Some(command) = called.1.find_subcommand(argument) {
            called = (format!("{} {argument}", called.0), command.clone());
        } else if !argument.starts_with('-') {
            break;
        }
    }
    called
}

/// Returns whether a command has an option.
pub(crate) fn has_option(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|it| it.get_long() == Some(option))
}

/// Returns what is probably meant by an unknown option.
fn option_hint(
    argument: &str,
    command_name: &str,
    command: &Command,
    registry: &Registry,
    arguments: &[String],
) -> String {
    let option = argument.split('=').next().unwrap_or(argument);
    let value = value_of(option, arguments);
    let name = other_names::plain(option);
    let did_you_mean = |text: String| format!("; did you mean `{text}`?");
    // `--gpu` has no value, or the number of GPUs.
    let with_value = |option: &str| match (option, &value) {
        ("device", None) => "--device cuda".to_owned(),
        (_, Some(value)) if takes_value(command, option) => format!("--{option} {value}"),
        _ => format!("--{option}"),
    };
    let own: Vec<&str> = command.get_arguments().filter_map(|it| it.get_long()).collect();
    let found = own.iter().copied().find(|it| *it == name);
    let found = found.or_else(|| other_names::options(&name).find(|it| own.contains(it)));
    let found = found.or_else(|| most_similar(&name, own.iter().copied()));
    if let Some(found) = found {
        return did_you_mean(with_value(found));
    }
    let key = similar_key(registry, &name.replace('-', "_"));
    if let Some(key) = &key
        && has_option(command, "set")
    {
        let value = value.as_deref().unwrap_or("VALUE");
        return did_you_mean(format!("--set {key}={value}"));
    }
    let others = commands_with(&name);
    if !others.is_empty() {
        return format!(", which is an option of {}", others.join(", "));
    }
    match key {
        Some(key) => format!(": `{key}` is a setting of training, as in `faknow train --set {key}=VALUE`"),
        None => other_names::options(&name)
            .map(|option| (option, commands_with(option)))
            .find(|(_, commands)| {
                !commands.is_empty() && commands.iter().all(|it| *it != format!("`{command_name}`"))
            })
            .map(|(option, commands)| format!("; `--{option}` is an option of {}", commands.join(", ")))
            .unwrap_or_default(),
    }
}

/// Returns the option for a file that is given without one.
fn file_hint(file: &str, command: &Command, arguments: &[String]) -> String {
    let is_given = |option: &str| {
        arguments.iter().any(|it| *it == format!("--{option}") || it.starts_with(&format!("--{option}=")))
    };
    let option = FILE_OPTIONS.iter().find(|option| has_option(command, option) && !is_given(option));
    option.map(|option| format!("; did you mean `--{option} {file}`?")).unwrap_or_default()
}

/// Returns the command that is probably meant by an unknown one.
fn similar_command(name: &str) -> Option<String> {
    let all: Vec<String> = all_commands("", &crate::command());
    let plain = other_names::plain(name);
    let last = |command: &str| command.rsplit(' ').next().unwrap_or_default().to_owned();
    all.iter()
        .find(|command| last(command) == plain)
        .cloned()
        .or_else(|| other_names::command(name).map(str::to_owned))
        .or_else(|| {
            let names: Vec<String> = all.iter().map(|command| last(command)).collect();
            let similar = most_similar(&plain, names.iter().map(String::as_str))?;
            all.iter().find(|command| last(command) == similar).cloned()
        })
}

/// Returns the commands of the program without its name, as in `data inspect`.
fn all_commands(prefix: &str, command: &Command) -> Vec<String> {
    let mut all = Vec::new();
    for sub in command.get_subcommands() {
        let name = format!("{prefix}{}", sub.get_name());
        all.extend(all_commands(&format!("{name} "), sub));
        all.push(name);
    }
    all
}

/// Returns some commands with an option, in backticks, and `…` if there are more.
fn commands_with(option: &str) -> Vec<String> {
    let root = crate::command();
    let mut all = all_commands("", &root);
    all.retain(|name| {
        let command = name.split(' ').try_fold(&root, |command, name| command.find_subcommand(name));
        command.is_some_and(|command| has_option(command, option))
    });
    let mut names: Vec<String> =
        all.iter().take(MAX_COMMANDS).map(|name| format!("`faknow {name}`")).collect();
    if all.len() > MAX_COMMANDS {
        names.push("…".to_owned());
    }
    names
}

/// Returns the value of an option: after `=`, or the next argument unless that is an option.
fn value_of(option: &str, arguments: &[String]) -> Option<String> {
    let start = format!("{option}=");
    if let Some(value) = arguments.iter().find_map(|argument| argument.strip_prefix(&start)) {
        return Some(value.to_owned());
    }
    let position = arguments.iter().position(|argument| argument == option)?;
    arguments.get(position + 1).filter(|value| !value.starts_with('-')).cloned()
}

fn takes_value(command: &Command, option: &str) -> bool {
    let argument = command.get_arguments().find(|it| it.get_long() == Some(option));
    argument.is_some_and(|it| it.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let error = crate::command().try_get_matches_from(&arguments).unwrap_err();
        let message = message(&error, &Registry::builtin(), &arguments);
        assert!(message.ends_with(expected), "{line}\n{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn unknown_options_suggest_options_and_settings() {
        check("faknow train --lr 0.01", "`--lr` of `faknow train`; did you mean `--set optimizer.lr=0.01`?");
        check("faknow train --lr=0.01", "did you mean `--set optimizer.lr=0.01`?");
        check("faknow train textcnn --learning-rate 1", "did you mean `--set optimizer.lr=1`?");
        check("faknow train --batch-size 8", "did you mean `--set loader.batch_size=8`?");
        check("faknow train --batch_size 8", "did you mean `--set loader.batch_size=8`?");
        check("faknow train --dropout 0.1 --train x", "did you mean `--set model.dropout=0.1`?");
        check("faknow train --patience", "did you mean `--set early_stopping.patience=VALUE`?");
        check("faknow train --gpu", "did you mean `--device cuda`?");
        check("faknow train --output runs/x", "did you mean `--out runs/x`?");
        check("faknow predict run --out x.csv", "did you mean `--output x.csv`?");
        check("faknow train --target y", "did you mean `--label y`?");
        check("faknow train --Epochs 3", "did you mean `--epochs 3`?");
        check("faknow train --epoch 3", "did you mean `--epochs 3`?");
        check("faknow train --no_header", "did you mean `--no-header`?");
        check("faknow cv --n-splits 3", "did you mean `--folds 3`?");
        check("faknow train -o x", "did you mean `--out x`?");
        check("faknow train --qqqqqqqq", "unexpected argument `--qqqqqqqq` of `faknow train`");
    }

    #[test]
    fn options_of_other_commands_name_these() {
        check(
            "faknow predict run --epochs 3",
            "which is an option of `faknow train`, `faknow resume`, `faknow cv`, …",
        );
        check("faknow report run --folds 3", "which is an option of `faknow cv`");
        check(
            "faknow predict run --lr 3",
            ": `optimizer.lr` is a setting of training, as in `faknow train --set optimizer.lr=VALUE`",
        );
    }

    #[test]
    fn files_without_an_option_suggest_one() {
        check("faknow predict run new.csv", "did you mean `--input new.csv`?");
        check("faknow test run new.csv", "did you mean `--data new.csv`?");
        check("faknow train textcnn new.csv", "did you mean `--train new.csv`?");
    }

    #[test]
    fn unknown_commands_suggest_commands() {
        check("faknow evaluate", "unknown command `evaluate`; did you mean `faknow test`?");
        check("faknow fit", "did you mean `faknow train`?");
        check("faknow infer", "did you mean `faknow predict`?");
        check("faknow Train", "did you mean `faknow train`?");
        check("faknow trian", "did you mean `faknow train`?");
        check("faknow lr_find", "did you mean `faknow lr-find`?");
        check("faknow inspect x.csv", "did you mean `faknow data inspect`?");
        check("faknow data inspct x.csv", "did you mean `faknow data inspect`?");
        check("faknow qqqqq", "unknown command `qqqqq`");
    }
}
