//! Adds the options that solve a problem to error messages of the library.

use faknow::{data, trainer};

use crate::path_advice::path_advice;
use crate::usage_error::{called_command, has_option};

/// What to do about an error.
struct Advice {
    /// A part of the message.
    part: &'static str,
    /// The option that solves the problem; the advice is for commands that have it.
    option: &'static str,
    /// The advice, which names the option.
    text: &'static str,
}

/// The remedies of errors that users can solve with an option. The first that applies is shown.
const ADVICE: [Advice; 24] = [
    advice(
        "unknown label `",
        "drop-classes",
        "name the classes with `--classes A,B`, or leave out records by label with `--drop-classes A,B`",
    ),
    advice("unknown label `", "classes", "name the classes with `--classes A,B`"),
    advice("`--classes`: expected at least 2", "classes", "separate class names by commas"),
    advice("missing label", "label", "name the label column with `--label COLUMN`"),
    advice("expected a string as text", "text", "name another column with `--text COLUMN`"),
    advice("missing text", "text", "name another column with `--text COLUMN`"),
    advice("unknown file extension", "format", "name the format with `--format csv`"),
    advice("is the file in another format?", "format", "name the format with `--format csv`"),
    advice("does the file use another separator?", "delimiter", "name it with `--delimiter ';'`"),
    advice("unclosed quote", "no-quotes", "if quotes are plain text in this file, use `--no-quotes`"),
    advice("disable quoting", "no-quotes", "for that, use `--no-quotes`"),
    advice("must be quoted", "delimiter", "for another separator, use `--delimiter CHAR`"),
    advice(
        "expected records after the header",
        "no-header",
        "if the first line is a record, use `--no-header`",
    ),
    advice("not UTF-8", "encoding", "or name the encoding with `--encoding NAME`"),
    advice("`data.split`: expected at least one", "valid", "as options: `--valid FILE`, `--test FILE`"),
    advice(
        "the loss is NaN",
        "set",
        "for example `--set optimizer.lr=0.0001` or `--set trainer.clip_norm=1.0`",
    ),
    advice("the loss is infinite", "set", "for example `--set optimizer.lr=0.0001`"),
    advice(
        "with drop_last",
        "set",
        "use `--set loader.drop_last=false`, or a smaller `--set loader.batch_size=N`",
    ),
    advice("not enough memory", "set", "use a smaller `--set loader.batch_size=N`"),
    advice("another program uses this port", "port", "with `--port`"),
    advice("cannot read weights", "set", "use a .pt, .pth or .safetensors file: `--set model.weights=FILE`"),
    advice("was written by a newer version", "out", "or start a new run with `--out`"),
    advice("finds no CUDA device", "device", "or use `--device cpu`"),
    advice("unknown metric", "set", "as in `--set trainer.metrics=[\"f1\"]`"),
];

const fn advice(part: &'static str, option: &'static str, text: &'static str) -> Advice {
    Advice { part, option, text }
}

/// Returns an error message with the option that solves the problem, if the command has one.
pub(crate) fn with_advice(message: &str, error: &anyhow::Error, arguments: &[String]) -> String {
    let (_, command) = called_command(arguments);
    let has = |option: &str| has_option(&command, option);
    // `data prepare` itself says what it found.
    if has("unescape-html") {
        return message.replace("`skip_broken`", "`--skip-broken N`");
    }
    if let Some(advice) = path_advice(error) {
        return format!("{message}; {advice}");
    }
    if let Some(option) = data_error(error).and_then(column_option).filter(|option| has(option)) {
        // Only commands that train define classes; the others use the columns of the training.
        let is_given = arguments
            .iter()
            .any(|it| *it == format!("--{option}") || it.starts_with(&format!("--{option}=")));
        let origin = if has("classes") || is_given { "" } else { "; the column is that of the training" };
        let by_file = match option {
            "label" if has("train") => ", or give each file a label with `--train LABEL=FILE,…`",
            _ => "",
        };
        let value = if option == "features" { "NAME=COLUMN" } else { "COLUMN" };
        return format!("{message}{origin}; name another column with `--{option} {value}`{by_file}");
    }
    if has("text") && ["`data.text`: ", "`data.label`: "].iter().any(|start| message.starts_with(start)) {
        return message.replace("`data.text=", "`--text ").replace("`data.label=", "`--label ");
    }
    if message.contains("broken records (`skip_broken`)") && has("skip-broken") {
        return message.replace("`skip_broken`", "`--skip-broken`");
    }
    if let Some(name) = data_file_as_model(message)
        && has("train")
    {
        return format!("{message}; did you mean `--train {name}`?");
    }
    if let Some(faknow::Error::Trainer(trainer::Error::RunDir { path, .. })) = error.downcast_ref()
        && has("out")
    {
        let run = path.display();
        let advice =
            format!("continue it with `faknow resume {run}`, or choose another directory with `--out`");
        return message.replace("resume it, or choose another directory", &advice);
    }
    if let Some((_, fallback)) = message.split_once("; the newest valid checkpoint is `")
        && let Some((name, _)) = fallback.split_once('`')
        && has("from")
    {
        return format!("{message}; resume from it with `--from {name}`, or copy the run directory again");
    }
    let applies = |it: &&Advice| {
        let option = format!("--{}", it.option);
        let is_named = it.text.contains(&option) && message.contains(&option);
        message.contains(it.part) && has(it.option) && !is_named
    };
    let skip = (can_skip(error) && has("skip-broken"))
        .then_some("skip such records with `--skip-broken N` or `--skip-broken P%`");
    match (ADVICE.iter().find(applies), skip) {
        (Some(advice), Some(skip)) => format!("{message}; {}, or {skip}", advice.text),
        (Some(advice), None) => format!("{message}; {}", advice.text),
        (None, Some(skip)) => format!("{message}; {skip}"),
        (None, None) => message.to_owned(),
    }
}

fn data_error(error: &anyhow::Error) -> Option<&data::Error> {
    match error.downcast_ref() {
        Some(faknow::Error::Data(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// Returns whether the records after that of the error can be read.
fn can_skip(error: &anyhow::Error) -> bool {
    matches!(data_error(error), Some(data::Error::Record { can_skip: true, .. }))
}

/// Returns the option that names the column of an error.
fn column_option(error: &data::Error) -> Option<&'static str> {
    match error {
        data::Error::MissingColumn { setting: "columns.text", .. } => Some("text"),
        data::Error::MissingColumn { setting: "columns.label", .. } => Some("label"),
        data::Error::MissingColumn { setting: "columns.domain", .. } => Some("domain"),
        data::Error::MissingColumn { setting: "columns.comments", .. } => Some("comments"),
        data::Error::MissingColumn { setting: "columns.features", .. } => Some("features"),
        _ => None,
    }
}

/// Returns the name of an unknown model that is rather a file of records.
fn data_file_as_model(message: &str) -> Option<&str> {
    const EXTENSIONS: [&str; 11] =
        [".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt", ".xlsx", ".parquet", ".gz", ".zst", ".xls"];
    let name = message.split_once("unknown model `")?.1.split('`').next()?;
    EXTENSIONS.iter().any(|extension| name.to_lowercase().ends_with(extension)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documentation::all_commands;

    #[test]
    fn every_advice_names_an_option_of_some_command() {
        let commands = all_commands();
        for Advice { part, option, text } in ADVICE {
            assert!(commands.iter().any(|(_, command)| has_option(command, option)), "--{option}");
            let names = commands.iter().flat_map(|(_, command)| command.get_arguments());
            let names: Vec<String> = names.filter_map(|it| Some(format!("--{}", it.get_long()?))).collect();
            assert!(
                text.contains("commas") || names.iter().any(|name| text.contains(name)),
                "{part}: {text}"
            );
        }
    }
}
