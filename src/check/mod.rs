//! Looks at an installation: what was seen, what was expected, what to do. One file per group of findings.

mod btcpay;
mod configuration;
mod daemon;
mod deliveries;
pub(crate) mod nginx;
mod payments;
mod probe;
pub(crate) mod registration;
pub(crate) mod report;
mod sale;
mod tokens;
pub(crate) mod trial;
mod trouble;
mod wire;

use std::path::Path;

use clap::ValueEnum;

use crate::config::Config;
use crate::failure::Failure;
use crate::live::Live;
pub(crate) use daemon::Refuses;
use report::{Level, Report};

/// What can be looked at alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// The file's values, keys, revocations, file modes.
    Configuration,
    /// Key rights, store, webhook, clock.
    Btcpay,
    /// nginx's configuration.
    Nginx,
    /// The socket, who may connect, what is answered.
    Daemon,
}

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// These groups alone; all of them if there is none.
    pub only: &'a [Group],
    /// Where to read what `nginx -T` printed, instead of running it; `-` is standard input.
    pub nginx_config: Option<&'a Path>,
    /// The URL of a playlist or segment to ask for.
    pub probe: Option<&'a str>,
    /// The address to go to instead of the URL's.
    pub connect: Option<&'a str>,
}

impl Wanted<'_> {
    fn has(&self, group: Group) -> bool {
        self.only.is_empty() || self.only.contains(&group)
    }
}

/// Looks at all that is wanted.
///
/// Errors: the probe's URL or address is none that could be asked.
pub(crate) async fn look(config: &Config, wanted: &Wanted<'_>) -> Result<Report, Failure> {
    let mut report = Report::default();
    let live = Live::load(&config.file).ok();
    let target = match (wanted.probe, &live) {
        (Some(url), Some(live)) => Some(probe::Target::new(url, live)?),
        _ => None,
    };
    if wanted.has(Group::Configuration) {
        configuration::look(config, &mut report);
    }
    if wanted.has(Group::Btcpay) {
        btcpay::look(config, live.as_ref(), &mut report).await;
    }
    let nginx = match wanted.has(Group::Nginx) {
        true => nginx::look(config, wanted.nginx_config, &mut report),
        false => None,
    };
    match &live {
        Some(live) => {
            if wanted.has(Group::Daemon) {
                daemon::look(live, nginx.as_ref(), &mut report);
            }
            if let Some(target) = target {
                probe::look(&target, wanted.connect, live, &mut report)?;
            }
        }
        // What is wrong with keys and revocations is told under "configuration".
        None => {
            for (group, wanted) in [("daemon", wanted.has(Group::Daemon)), ("probe", wanted.probe.is_some())] {
                if wanted {
                    without_keys(group, &mut report);
                }
            }
        }
    }
    Ok(report)
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
