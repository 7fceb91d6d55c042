//! `faknow completions`: completion scripts for shells.

use anyhow::Result;
use clap::Args;
use clap_complete::{Shell, generate};

use crate::console::print;

/// Print the script that completes commands and options in a shell
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow completions bash > faknow.bash
  faknow completions zsh > ~/.zfunc/_faknow
  faknow completions fish > ~/.config/fish/completions/faknow.fish
  faknow completions powershell >> $PROFILE")]
#[command(after_help = "The shell must read the script: bash with `source faknow.bash` in ~/.bashrc, or from
~/.local/share/bash-completion/completions/faknow; zsh from a directory in $fpath; fish from the directory above.
Repeat the command after an update of the program.")]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum, ignore_case = true)]
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(&self) -> Result<()> {
        print(script(self.shell).trim_end())
    }
}

/// Returns the completion script of a shell.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut crate::command(), "faknow", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::documentation::{all_commands, is_documented};

    #[test]
    fn scripts_complete_every_command_and_option() {
        let commands = all_commands();
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for (name, command) in &commands {
                let last = name.rsplit(' ').next().unwrap();
                assert!(script.contains(last), "{shell}: {name}");
                for option in command.get_arguments().filter(is_documented).filter_map(|it| it.get_long()) {
                    // fish names options without dashes: `-l epochs`.
                    assert!(
                        script.contains(&format!("--{option}")) || script.contains(&format!("-l {option}")),
                        "{shell}: {name} --{option}"
                    );
                }
            }
        }
    }
}
