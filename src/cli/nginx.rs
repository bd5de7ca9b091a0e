//! `hlsgate nginx`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, files};
use crate::config::{Config, Listen, MediaPath};

/// The shipped files: path below nginx's configuration folder, and text.
pub const SHIPPED: [(&str, &str); 6] = [
    ("conf.d/hlsgate.conf", include_str!("../../nginx/conf.d/hlsgate.conf")),
    ("snippets/hlsgate.conf", include_str!("../../nginx/snippets/hlsgate.conf")),
    ("snippets/hlsgate-protect.conf", include_str!("../../nginx/snippets/hlsgate-protect.conf")),
    ("snippets/hlsgate-cors.conf", include_str!("../../nginx/snippets/hlsgate-cors.conf")),
    ("snippets/hlsgate-cache.conf", include_str!("../../nginx/snippets/hlsgate-cache.conf")),
    ("snippets/hlsgate-l402.conf", include_str!("../../nginx/snippets/hlsgate-l402.conf")),
];

/// Print the nginx files for the configured media path and socket.
///
/// With the defaults they equal the files that the package installs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate nginx                                        # all of them, to read
  hlsgate nginx --only snippets/hlsgate-protect.conf   # one of them, to redirect into a file
  hlsgate nginx --write /etc/nginx                     # into their places; nothing is overwritten")]
pub struct Nginx {
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
        if files::create_public(&file, text.as_bytes())? {
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

/// The text of a shipped file for another media path and socket.
pub fn adapted(text: &str, config: &Config) -> String {
    let socket = match &config.listen {
        Listen::Unix(path) => format!("unix:{}", path.display()),
        Listen::Tcp(address) => address.to_string(),
        // hlsgate.socket listens at the default place.
        Listen::Systemd => SOCKET.into(),
    };
    let MediaParts { prefix, prefix_pattern, suffix_pattern } = MediaParts::of(&config.media);
    let within = prefix.trim_end_matches('/');
    text.replace(SOCKET, &socket)
        .replace(
            r#""~^/hls/(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})/""#,
            &format!(r#""~^{prefix_pattern}(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}){suffix_pattern}""#),
        )
        .replace(r#"rewrite "^/hls/~"#, &format!(r#"rewrite "^{prefix_pattern}~"#))
        .replace("/hls$hlsgate_rest", &format!("{within}$hlsgate_rest"))
        .replace("location ^~ /hls/ {", &format!("location ^~ {prefix} {{"))
}

/// The shipped files' socket.
const SOCKET: &str = "unix:/run/hlsgate/hlsgate.sock";

struct MediaParts<'a> {
    prefix: &'a str,
    prefix_pattern: String,
    suffix_pattern: String,
}

impl<'a> MediaParts<'a> {
    /// The parts of the path as PCRE patterns: of all their characters only the dot has a meaning there.
    fn of(media: &'a MediaPath) -> Self {
        let pattern = |text: &str| text.replace('.', r"\.");
        MediaParts {
            prefix: media.prefix(),
            prefix_pattern: pattern(media.prefix()),
            suffix_pattern: pattern(media.suffix()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("hlsgate.toml")).unwrap()
    }

    #[test]
    fn with_the_defaults_the_shipped_files_are_printed() {
        let config = config("");
        for (name, text) in SHIPPED {
            assert!(adapted(text, &config) == text, "{name}");
        }
    }

    #[test]
    fn nothing_of_the_default_path_is_left_when_another_is_configured() {
        let config = config("media = \"/v1.0/films/{video}/stream/\"\nlisten = \"127.0.0.1:9090\"");
        let all: String = SHIPPED.iter().map(|(_, text)| adapted(text, &config)).collect();
        assert!(
            !all.contains("/hls/") && !all.contains(SOCKET),
            "{:?}",
            all.lines().find(|line| line.contains("/hls/"))
        );
        assert!(all.contains(r#""~^/v1\.0/films/(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})/stream/""#));
        assert!(
            all.contains(
                r#"rewrite "^/v1\.0/films/~(?:(?<hlsgate_path_token>[!-.0-~]+)|[^/]+)(?<hlsgate_rest>/.*)$" "#
            )
        );
        assert!(all.contains(r#" /v1.0/films$hlsgate_rest last;"#));
        assert!(all.contains("server 127.0.0.1:9090;"));
    }
}
