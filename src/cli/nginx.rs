//! `hlsgate nginx`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::on_disk;
use crate::check::nginx::adapted::{SHIPPED, adapted};
use crate::config::Config;
use crate::failure::Failure;

/// Print the nginx files for the configured media path and socket.
///
/// With the defaults they equal the files that the package installs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate nginx                                        # all of them, to read
  hlsgate nginx --only snippets/hlsgate-protect.conf   # one of them, to redirect into a file
  hlsgate nginx --write /etc/nginx                     # into their places; nothing is overwritten")]
pub(crate) struct Nginx {
    /// Print this file alone.
    #[arg(long, value_name = "NAME", conflicts_with = "write", value_parser = SHIPPED.map(|(name, _)| name))]
    only: Option<String>,
    /// Write the files below this folder.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

impl Nginx {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        let config = Config::load(config)?;
        let printed = SHIPPED.map(|(name, text)| (name, adapted(text, &config)));
        match (&self.only, &self.write) {
            (Some(only), _) => printed.iter().filter(|(name, _)| name == only).for_each(|(_, text)| print!("{text}")),
            (None, Some(folder)) => write(folder, &printed)?,
            (None, None) => {
                for (name, text) in &printed {
                    println!("# ==== {name}\n{text}");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(folder: &Path, printed: &[(&str, String)]) -> Result<(), Failure> {
    let mut differ = Vec::new();
    for (name, text) in printed {
        let file = folder.join(name);
        if on_disk::create_public(&file, text.as_bytes())? {
            println!("made {}", file.display());
        } else if std::fs::read(&file).is_ok_and(|there| there == text.as_bytes()) {
            println!("kept {}", file.display());
        } else {
            differ.push(file.display().to_string());
        }
    }
    match differ.as_slice() {
        [] => Ok(()),
        _ => Err(Failure::new(format!("there already, and different: {}", differ.join(", ")))
            .hint("compare them with `hlsgate nginx --only NAME`, or remove them first")),
    }
}
