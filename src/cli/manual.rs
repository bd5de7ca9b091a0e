//! `hlsgate manual`

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::failure::Failure;

/// Write the man pages and the completions for shells.
///
/// Packages bring both. For a binary that was installed without one: below /usr/local/share every program finds them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate manual /usr/local/share
  hlsgate manual ~/.local/share      # for you alone")]
pub(crate) struct Manual {
    /// Where man/, bash-completion/, zsh/ and fish/ are, or are made.
    folder: PathBuf,
}

/// Where each shell looks, below a `share` folder, and under which name.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/hlsgate"),
    (Shell::Zsh, "zsh/site-functions/_hlsgate"),
    (Shell::Fish, "fish/vendor_completions.d/hlsgate.fish"),
];

impl Manual {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        // One page for each command: hlsgate.1, hlsgate-token-issue.1, …
        let pages = self.folder.join("man/man1");
        std::fs::create_dir_all(&pages)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &pages))
            .map_err(|err| failed(&pages, &err))?;
        println!("made {}: a page for each command", pages.display());
        for (shell, name) in COMPLETIONS {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hlsgate", &mut script);
            let file = self.folder.join(name);
            std::fs::create_dir_all(file.with_file_name(""))
                .and_then(|()| std::fs::write(&file, script))
                .map_err(|err| failed(&file, &err))?;
            println!("made {}: completion for {shell}", file.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn failed(file: &Path, err: &io::Error) -> Failure {
    Failure::file("write", file, err)
}
