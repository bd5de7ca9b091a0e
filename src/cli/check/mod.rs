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

use clap::{Args, ValueEnum};

use super::Failure;
use crate::config::{Config, ConfigError};
use crate::server::live::Live;
use report::{Level, Report};

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
    /// Look at this alone; may be given several times. Without it, everything is looked at.
    #[arg(long, value_enum, value_name = "GROUP")]
    only: Vec<Group>,
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

/// What can be looked at alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The file's values, keys, revocations, file modes.
    Configuration,
    /// Key rights, store, webhook, clock.
    Btcpay,
    /// nginx's configuration.
    Nginx,
    /// The socket, who may connect, what is answered.
    Daemon,
}

impl Check {
    fn wants(&self, group: Group) -> bool {
        self.only.is_empty() || self.only.contains(&group)
    }

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
        if self.wants(Group::Configuration) {
            configuration::look(&config, &mut report);
        }
        if self.wants(Group::Btcpay) {
            super::ledger::wait(btcpay::look(&config, &mut report))?;
        }
        let nginx = match self.wants(Group::Nginx) {
            true => nginx::look(&config, self.nginx_config.as_deref(), &mut report),
            false => None,
        };
        match &live {
            Some(live) => {
                if self.wants(Group::Daemon) {
                    daemon::look(live, nginx.as_ref(), &mut report);
                }
                if let Some(target) = target {
                    probe::look(&target, self.connect.as_deref(), live, &mut report)?;
                }
            }
            // What is wrong with keys and revocations is told under "configuration".
            None => {
                for (group, wanted) in [("daemon", self.wants(Group::Daemon)), ("probe", self.probe.is_some())] {
                    if wanted {
                        without_keys(group, &mut report);
                    }
                }
            }
        }
        match self.json {
            true => println!("{}", report.json()),
            false => print!("{report}"),
        }
        Ok(report.exit_code())
    }
}

/// Questions need tokens, and tokens a key to sign them.
fn without_keys(group: &'static str, report: &mut Report) {
    report.note(
        group,
        Level::Unknown,
        "questions",
        "not asked: without the keys and revocations there is no token to ask with",
        "both, as the daemon reads them",
        "see `hlsgate check --only configuration`",
    );
}
