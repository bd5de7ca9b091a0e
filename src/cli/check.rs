//! `hlsgate check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::check::{self, Group, Wanted, report::Report};
use crate::config::Config;
use crate::failure::{EXIT_CONFIG, Failure};
use crate::live::client;

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
pub(crate) struct Check {
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

impl Check {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let config = match Config::load(file) {
            Ok(config) => config,
            Err(err) if self.json => {
                let mut report = Report::default();
                report.unusable(&err);
                println!("{}", report.json());
                return Ok(ExitCode::from(EXIT_CONFIG));
            }
            Err(err) => return Err(err.into()),
        };
        let wanted = Wanted {
            only: &self.only,
            nginx_config: self.nginx_config.as_deref(),
            probe: self.probe.as_deref(),
            connect: self.connect.as_deref(),
        };
        let report = client::wait(check::look(&config, &wanted))??;
        match self.json {
            true => println!("{}", report.json()),
            false => print!("{report}"),
        }
        Ok(report.exit_code())
    }
}
