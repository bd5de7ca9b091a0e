//! Writes the man pages and shell completions, made from the commands themselves: `cargo run --example manual -- FOLDER`.
//!
//! A program of its own, so that the daemon's binary does not carry what is needed once.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use hlsgate::Cli;

fn main() -> io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        return Err(io::Error::other("where should they go? Name a folder"));
    };
    let (man, completions) = (Path::new(&folder).join("man"), Path::new(&folder).join("completions"));
    for folder in [&man, &completions] {
        std::fs::create_dir_all(folder)?;
    }
    // One page for each command: hlsgate.1, hlsgate-token-issue.1, …
    clap_mangen::generate_to(Cli::command(), man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let made = clap_complete::generate_to(shell, &mut Cli::command(), "hlsgate", &completions)?;
        if shell == Shell::Bash {
            // bash-completion looks for a file of the command's own name.
            std::fs::rename(made, completions.join("hlsgate"))?;
        }
    }
    Ok(())
}
