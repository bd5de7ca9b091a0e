//! `hlsgate check`: what was seen, what was expected, what to do. One file per group of findings.

mod btcpay;
mod configuration;
pub mod report;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{Config, ConfigError};
use report::Report;

/// Prove that the installation is right.
///
/// Exit code: 0 clean, 1 something is wrong, 2 something could not be looked at, 78 the configuration is unusable.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate check
  hlsgate check --json | jq '.findings[] | select(.level != \"ok\")'")]
pub struct Check {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let mut report = Report::default();
        let loaded: Result<Config, ConfigError> = Config::load(file);
        let config = match loaded {
            Ok(config) => config,
            Err(err) if self.json => {
                report.unusable(&err);
                println!("{}", report.json());
                return Ok(ExitCode::from(super::failure::EXIT_CONFIG));
            }
            Err(err) => return Err(err.into()),
        };
        configuration::look(&config, &mut report);
        super::ledger::wait(btcpay::look(&config, &mut report))?;
        match self.json {
            true => println!("{}", report.json()),
            false => print!("{report}"),
        }
        Ok(report.exit_code())
    }
}
