//! Each command as its user meets it: what it says, its exit code and its files, compared as text with `tests/cli`.
//!
//! `[..]` stands for what differs from run to run: times, random names, tokens. After a change that is meant,
//! `TRYCMD=overwrite cargo test --test it cli` writes the texts anew, to be read before they are committed.

use std::path::Path;

use clap::CommandFactory;
use hlsgate::Cli;

use crate::harness::command::program;

#[test]
fn every_command_says_does_and_leaves_what_is_written_down() {
    let hlsgate = Path::new(program());
    let folder = hlsgate.parent().unwrap().to_str().unwrap();
    let cases = trycmd::TestCases::new();
    cases
        .case("tests/cli/*.trycmd")
        .register_bin("hlsgate", hlsgate)
        // Redirections, pipes, and a look at the files' modes.
        .register_bin("sh", Path::new("/bin/sh"))
        .env("PATH", format!("{folder}:/usr/bin:/bin"))
        .env("RUST_LOG", "")
        .env("LC_ALL", "C");
    cases.run();
}

/// A command without its help in `help.trycmd` would be one that nobody has read.
#[test]
fn the_help_of_every_command_is_written_down() {
    let written = include_str!("../cli/help.trycmd");
    let mut commands = vec![(String::from("hlsgate"), Cli::command())];
    while let Some((path, command)) = commands.pop() {
        assert!(written.contains(&format!("\n$ {path} --help\n")), "{path} --help");
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        commands.extend(below.map(|below| (format!("{path} {}", below.get_name()), below.clone())));
    }
}
