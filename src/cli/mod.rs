//! The commands, one file each. A command reads its input, calls the rooms below, and prints.

pub(crate) mod backup;
pub(crate) mod btcpay;
pub(crate) mod check;
pub(crate) mod hold;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod manual;
pub(crate) mod nginx;
pub(crate) mod on_disk;
pub(crate) mod revoke;
pub(crate) mod sales;
pub(crate) mod serve;
pub(crate) mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::DEFAULT_FILE;

/// Sells HLS video on nginx for Bitcoin and Lightning, without user accounts.
///
/// nginx asks hlsgate for every playlist, segment and key whether the viewer may have it; a signed token answers. BTCPay
/// Server sells the tokens.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Begin with `hlsgate init`; `hlsgate help COMMAND` tells more of each."
)]
pub struct Cli {
    /// The configuration.
    #[arg(long, short, global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(crate) config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every command. What it is for stands at its own type, whose whole text `--help` shows.
#[derive(Debug, Subcommand)]
// Made once a run: its size is nobody's cost.
#[expect(clippy::large_enum_variant)]
pub(crate) enum Command {
    Serve(serve::Serve),
    Hold(hold::Hold),
    Init(init::Init),
    Check(check::Check),
    Nginx(nginx::Nginx),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Token(token::Token),
    Revoke(revoke::Revoke),
    #[command(subcommand)]
    Btcpay(btcpay::Btcpay),
    Sales(sales::Sales),
    Manual(manual::Manual),
}

/// Runs a command. A failure is printed to standard error; the exit code tells its kind.
pub fn run(cli: Cli) -> ExitCode {
    end_with_the_reader();
    let config = &cli.config;
    let done = match cli.command {
        Command::Serve(command) => command.run(config),
        Command::Hold(command) => command.run(config),
        Command::Init(command) => command.run(config),
        Command::Check(command) => command.run(config),
        Command::Nginx(command) => command.run(config),
        Command::Keys(command) => command.run(config),
        Command::Token(command) => command.run(config),
        Command::Revoke(command) => command.run(config),
        Command::Btcpay(command) => command.run(config),
        Command::Sales(command) => command.run(config),
        Command::Manual(command) => command.run(),
    };
    done.unwrap_or_else(|failure| failure.report())
}

/// The exit code of a program whose reader has left, as the shell tells it: 128 + SIGPIPE.
const READER_LEFT: i32 = 141;

/// `hlsgate … | head` is no failure of ours: where the reader has enough, the command ends without a word.
fn end_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // `println!` knows no other way to say it.
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout: Broken pipe")) {
            std::process::exit(READER_LEFT);
        }
        otherwise(panic);
    }));
}
