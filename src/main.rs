//! Arguments, command, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hlsgate::run(hlsgate::Cli::parse())
}
