//! `docs/cli.md` contains the reference of all commands, generated from their arguments.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command};
use expect_test::expect_file;

const START: &str = "<!-- The rest is generated: UPDATE_EXPECT=1 cargo xtask test documentation -->\n\n";

/// Returns all commands with their full names, without the helps and groups of commands.
fn commands(command: &Command, name: &str, all: &mut Vec<(String, Command)>) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        if sub.has_subcommands() {
            commands(sub, &name, all);
        } else {
            all.push((name, sub.clone()));
        }
    }
}

/// Returns all commands with their full names, without groups of commands.
pub(crate) fn all_commands() -> Vec<(String, Command)> {
    let mut root = crate::command();
    root.build();
    let mut all = Vec::new();
    commands(&root, "faknow", &mut all);
    all
}

fn row(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let values = if arg.get_action().takes_values() { values.join(" ") } else { String::new() };
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("`-{short}`, `{}`", format!("--{long} {values}").trim_end()),
        (Some(long), None) => format!("`{}`", format!("--{long} {values}").trim_end()),
        _ => format!("`{values}`"),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = match &defaults[..] {
        _ if !arg.get_action().takes_values() => String::new(),
        [] => String::new(),
        values => format!(" (default: `{}`)", values.join(",")),
    };
    let row = format!("{name} | {}{default}", help.replace('\n', " "));
    // Only the separator of the columns is one.
    let row = row.replace('|', "\\|").replacen(" \\| ", " | ", 1).replace('<', "\\<");
    format!("| {row} |\n")
}

pub(crate) fn is_documented(arg: &&Arg) -> bool {
    !arg.is_hide_set() && !["help", "version", "verbose", "quiet"].contains(&arg.get_id().as_str())
}

const HEAD: &str = "| argument | meaning |\n|---|---|\n";

fn markdown() -> String {
    let all = all_commands();
    let mut page = String::from("| command | |\n|---|---|\n");
    for (name, command) in &all {
        let anchor = name.replace(' ', "-");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "| [`{name}`](#{anchor}) | {about} |").unwrap();
    }
    // The options below a heading that are the same in several commands are listed once.
    let mut headings: Vec<String> = Vec::new();
    let mut counts: Vec<(String, String, usize)> = Vec::new();
    for (_, command) in &all {
        for arg in command.get_arguments().filter(is_documented) {
            let Some(heading) = arg.get_help_heading().map(str::to_owned) else { continue };
            let row = row(arg);
            match counts.iter_mut().find(|(h, r, _)| *h == heading && *r == row) {
                Some((_, _, n)) => *n += 1,
                None => counts.push((heading.clone(), row, 1)),
            }
            if !headings.contains(&heading) {
                headings.push(heading);
            }
        }
    }
    counts.retain(|(_, _, n)| *n > 1);
    for heading in &headings {
        let rows: Vec<&str> =
            counts.iter().filter(|(h, _, _)| h == heading).map(|(_, row, _)| row.as_str()).collect();
        if !rows.is_empty() {
            write!(page, "\n## Shared options: {heading}\n\n{HEAD}{}", rows.concat()).unwrap();
        }
    }
    for (name, command) in &all {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = command.clone().render_usage().to_string();
        write!(page, "\n## {name}\n\n{about}.\n\n```text\n{}\n```\n", usage.trim_start_matches("Usage: "))
            .unwrap();
        let (mut own, mut shared) = (String::new(), Vec::new());
        for arg in command.get_arguments().filter(is_documented) {
            let row = row(arg);
            let is_shared = |(h, r, _): &&(String, String, usize)| {
                Some(h.as_str()) == arg.get_help_heading() && *r == row
            };
            match counts.iter().find(is_shared) {
                Some((heading, ..)) => {
                    let option = arg.get_long().map_or_else(String::new, |long| format!("`--{long}`"));
                    shared.push((heading, option));
                }
                None => own.push_str(&row),
            }
        }
        if !own.is_empty() {
            write!(page, "\n{HEAD}{own}").unwrap();
        }
        for heading in &headings {
            let options: Vec<&str> =
                shared.iter().filter(|(h, _)| *h == heading).map(|(_, option)| option.as_str()).collect();
            if !options.is_empty() {
                let anchor = heading.to_lowercase().replace(' ', "-");
                writeln!(page, "\n[{heading}](#shared-options-{anchor}): {}", options.join(", ")).unwrap();
            }
        }
    }
    page
}

#[test]
fn every_command_and_option_has_a_help_text() {
    let all = all_commands();
    assert!(all.len() > 15, "{}", all.len());
    for (name, command) in &all {
        assert!(command.get_about().is_some(), "{name}");
        for arg in command.get_arguments().filter(is_documented) {
            assert!(arg.get_help().is_some(), "{name}: {}", arg.get_id());
        }
    }
}

#[test]
fn cli_page_contains_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let Ok(page) = fs::read_to_string(&path) else {
        crate::skip::check("docs").unwrap();
        println!("SKIPPED: {} does not exist", path.display());
        return;
    };
    let (head, _) = page.split_once(START).expect("the page has the line that starts the generated part");
    expect_file![path].assert_eq(&format!("{head}{START}{}", markdown()));
}
