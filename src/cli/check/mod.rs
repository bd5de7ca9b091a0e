//! `hlsgate check`: what was seen, what was expected, what to do. One file per group of findings.

mod btcpay;
mod configuration;
mod daemon;
mod nginx;
mod probe;
pub mod report;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{Config, ConfigError};
use crate::server::live::Live;
use report::Report;

/// Prove that the installation is right.
///
/// Looks at the configuration, at nginx's, and at the running daemon. Run it as root: nginx's configuration is for root.
///
/// Exit code: 0 clean, 1 something is wrong, 2 something could not be looked at, 78 the configuration is unusable.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate check
  hlsgate check --probe https://video.example/hls/c05f2318/master.m3u8
  ssh web nginx -T | hlsgate check --nginx-config -
  hlsgate check --json | jq '.findings[] | select(.level != \"ok\")'")]
pub struct Check {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Read what `nginx -T` printed from here instead of running it; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    nginx_config: Option<PathBuf>,
    /// Ask the site for this file, a playlist or segment that is there, in every way that must not work.
    #[arg(long, value_name = "URL")]
    probe: Option<String>,
    /// Go to this address, such as 127.0.0.1:443, instead of the one that the name in the URL stands for.
    #[arg(long, value_name = "ADDRESS", requires = "probe")]
    connect: Option<String>,
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
        let live = Live::load(file).ok();
        let target = match (&self.probe, &live) {
            (Some(url), Some(live)) => Some(probe::Target::new(url, live)?),
            _ => None,
        };
        configuration::look(&config, &mut report);
        super::ledger::wait(btcpay::look(&config, &mut report))?;
        let nginx = nginx::look(&config, self.nginx_config.as_deref(), &mut report);
        // What is wrong with keys and revocations was told above.
        if let Some(live) = &live {
            daemon::look(live, nginx.as_ref(), &mut report);
            if let Some(target) = target {
                probe::look(&target, self.connect.as_deref(), live, &mut report)?;
            }
        }
        match self.json {
            true => println!("{}", report.json()),
            false => print!("{report}"),
        }
        Ok(report.exit_code())
    }
}
