//! `hlsgate init`

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::keys::new_key;
use super::on_disk;
use crate::config::{Config, DEFAULT_FILE};
use crate::failure::Failure;
use crate::gate::jwk::JwkSet;

/// The commented configuration that every installation begins with.
pub(crate) const TEMPLATE: &str = include_str!("hlsgate.toml");

/// Make keys and a configuration, and tell the next steps.
///
/// What is there already stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate init
  hlsgate init --config ./hlsgate.toml")]
pub(crate) struct Init {}

impl Init {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let made = on_disk::create_public(file, TEMPLATE.as_bytes())?;
        say(made, file, "the configuration");
        let config = Config::load(file)?;
        let set = JwkSet::new(vec![new_key()?]);
        let made = on_disk::create_secret(&config.keys_file, set.to_json().as_bytes())?;
        say(made, &config.keys_file, "the keys; back them up with `hlsgate keys backup`");
        println!();
        // Another configuration than the unit's has to be named everywhere, and started by hand.
        let (named, start) = match file == Path::new(DEFAULT_FILE) {
            true => (String::new(), "systemctl enable --now hlsgate.socket hlsgate.service".into()),
            false => (format!(" --config {}", file.display()), format!("hlsgate serve --config {} &", file.display())),
        };
        println!("Next steps:");
        println!("  1. Edit {}: public_url is your site's address. To sell, also take the # away", file.display());
        println!("     before [btcpay], its url and store, and one of the [[offers]], and fill them in; then");
        println!("         hlsgate btcpay connect{named}");
        println!("  2. In the server block of your site, in nginx's configuration:");
        println!("         include snippets/hlsgate.conf;");
        println!("         location ^~ {} {{ include snippets/hlsgate-protect.conf; }}", config.media.prefix());
        println!("     (`hlsgate nginx{named}` prints these files.)");
        println!("  3. {start}");
        println!("     nginx -t && systemctl reload nginx");
        println!("  4. hlsgate check{named}");
        println!("  5. hlsgate token issue{named} --video ID --for 1h    # a token to try it with");
        Ok(ExitCode::SUCCESS)
    }
}

fn say(made: bool, file: &Path, what: &str) {
    println!("{} {}: {what}", if made { "made" } else { "kept" }, file.display());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    #[test]
    fn the_template_is_a_good_configuration() {
        Config::parse(TEMPLATE, Path::new("hlsgate.toml")).unwrap();
    }

    /// Every line that can be switched on by taking its `#` away is a good one, with the default as its value.
    #[test]
    fn the_template_is_good_with_everything_switched_on() {
        let all: String = TEMPLATE
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
            .collect();
        assert_ne!(all.lines().filter(|line| line.starts_with('[')).count(), 0);
        let parsed = Config::parse(&all, Path::new("hlsgate.toml"));
        assert!(
            matches!(&parsed, Ok(config) if config.btcpay.is_some()),
            "{:?}",
            parsed.map_err(|err: ConfigError| err.to_string()).err()
        );
    }
}
