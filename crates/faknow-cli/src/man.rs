//! `faknow man`: man pages of all commands.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Command};
use clap_mangen::Man;
use faknow::data::common::write_atomically;

use crate::console::print;

/// Write a man page for each command
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow man man1                              # then: man ./man1/faknow-train.1
  faknow man ~/.local/share/man/man1           # then: man faknow-train")]
pub(crate) struct ManArgs {
    /// Directory for the pages faknow.1, faknow-train.1, …; created if missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ManArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let pages = pages();
        fs::create_dir_all(&self.dir).map_err(|error| faknow::Error::io(&self.dir, error))?;
        for (name, command) in &pages {
            let path = self.dir.join(name);
            write_atomically(&path, |file| write_page(command, file))
                .map_err(|error| faknow::Error::io(&path, error))?;
        }
        print(&format!("{} man pages in {}", pages.len(), self.dir.display()))
    }
}

/// Returns the file name of each page, and its command.
fn pages() -> Vec<(String, Command)> {
    fn add(command: &Command, pages: &mut Vec<(String, Command)>) {
        pages.push((Man::new(command.clone()).get_filename(), command.clone()));
        command.get_subcommands().filter(|it| it.get_name() != "help").for_each(|it| add(it, pages));
    }
    let mut root = crate::command().disable_help_subcommand(true);
    // Gives subcommands their full names.
    root.build();
    let mut pages = Vec::new();
    add(&root, &mut pages);
    pages
}

/// Writes the page of a command, whose examples come before its options.
fn write_page(command: &Command, out: &mut impl Write) -> io::Result<()> {
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    write_section("EXAMPLES", examples.trim_start_matches("Examples:\n"), &mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    write_section("NOTES", &notes, &mut page)?;
    out.write_all(&page)
}

/// Writes a section of unformatted lines, if there are any.
fn write_section(title: &str, text: &str, page: &mut Vec<u8>) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(page, ".SH {title}\n.nf")?;
    for line in text.lines() {
        // A period or an apostrophe at the start of a line is a request.
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(page, "{guard}{line}")?;
    }
    writeln!(page, ".fi")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documentation::{all_commands, is_documented};

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("share/man1");
        ManArgs { dir: dir.clone() }.run().unwrap();
        let commands = all_commands();
        assert!(dir.join("faknow.1").exists() && dir.join("faknow-data.1").exists());
        for (name, command) in &commands {
            let page = fs::read_to_string(dir.join(format!("{}.1", name.replace(' ', "-"))))
                .unwrap()
                .replace("\\-", "-");
            assert!(page.contains(".SH EXAMPLES") && page.contains(name), "{name}: {page}");
            for option in command.get_arguments().filter(is_documented).filter_map(|it| it.get_long()) {
                assert!(page.contains(&format!("--{option}")), "{name} --{option}: {page}");
            }
        }
    }
}
