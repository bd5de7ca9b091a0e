//! Arguments, command, exit code.

use std::process::ExitCode;

use clap::Parser;
use hlsgate::cli::Cli;

fn main() -> ExitCode {
    hlsgate::cli::run(Cli::parse())
}
