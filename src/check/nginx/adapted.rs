//! The nginx files that hlsgate ships, and what they say for another media path and socket.

use crate::config::{Config, Listen, MediaPath};

/// The shipped files: path below nginx's configuration folder, and text.
pub(crate) const SHIPPED: [(&str, &str); 8] = [
    ("conf.d/hlsgate.conf", include_str!("../../../nginx/conf.d/hlsgate.conf")),
    ("snippets/hlsgate.conf", include_str!("../../../nginx/snippets/hlsgate.conf")),
    ("snippets/hlsgate-protect.conf", include_str!("../../../nginx/snippets/hlsgate-protect.conf")),
    ("snippets/hlsgate-cors.conf", include_str!("../../../nginx/snippets/hlsgate-cors.conf")),
    ("snippets/hlsgate-cache.conf", include_str!("../../../nginx/snippets/hlsgate-cache.conf")),
    ("snippets/hlsgate-origin.conf", include_str!("../../../nginx/snippets/hlsgate-origin.conf")),
    ("snippets/hlsgate-l402.conf", include_str!("../../../nginx/snippets/hlsgate-l402.conf")),
    ("snippets/hlsgate-discovery.conf", include_str!("../../../nginx/snippets/hlsgate-discovery.conf")),
];

/// The text of a shipped file for another media path and socket.
pub(crate) fn adapted(text: &str, config: &Config) -> String {
    let socket = match &config.listen {
        Listen::Unix(path) => format!("unix:{}", path.display()),
        Listen::Tcp(address) => address.to_string(),
        // hlsgate.socket listens at the default place.
        Listen::Systemd => SOCKET.into(),
    };
    let MediaParts { prefix, prefix_pattern, suffix_pattern } = MediaParts::of(&config.media);
    let within = prefix.trim_end_matches('/');
    text.replace(SOCKET, &socket)
        .replace(HOLD_SOCKET, &format!("unix:{}", config.listen.hold_socket().display()))
        .replace(
            r#""~^/hls/(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})/""#,
            &format!(r#""~^{prefix_pattern}(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}){suffix_pattern}""#),
        )
        .replace(
            r#""~^on GET /hls/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}/(?:master\.m3u8)\z""#,
            &format!(
                r#""~^on GET {prefix_pattern}[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}{suffix_pattern}(?:{})\z""#,
                config.machines.playlists.join("|").replace('.', r"\."),
            ),
        )
        .replace(r#""~^/hls/[^/]+/(?:"#, &format!(r#""~^{prefix_pattern}[^/]+{suffix_pattern}(?:"#))
        .replace(" media /hls/[^/]+/(?:", &format!(" media {prefix_pattern}[^/]+{suffix_pattern}(?:"))
        .replace(r#""~^/hls/~"#, &format!(r#""~^{prefix_pattern}~"#))
        .replace("\"/hls/~$hlsgate_public_rest\"", &format!("\"{prefix}~$hlsgate_public_rest\""))
        .replace(r#"rewrite "^/hls/~"#, &format!(r#"rewrite "^{prefix_pattern}~"#))
        .replace("/hls$hlsgate_rest", &format!("{within}$hlsgate_rest"))
        .replace("location ^~ /hls/ {", &format!("location ^~ {prefix} {{"))
}

/// The shipped files' socket.
const SOCKET: &str = "unix:/run/hlsgate/hlsgate.sock";
/// That of `hlsgate hold`.
const HOLD_SOCKET: &str = "unix:/run/hlsgate/hold.sock";

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
    use std::path::Path;

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
        let config = config(
            "media = \"/v1.0/films/{video}/stream/\"\nlisten = \"127.0.0.1:9090\"\n[machines]\nplaylists = [\"index.m3u8\", \"live.mpd\"]",
        );
        let all: String = SHIPPED.iter().map(|(_, text)| adapted(text, &config)).collect();
        assert!(
            !all.contains("/hls/") && !all.contains(SOCKET),
            "{:?}",
            all.lines().find(|line| line.contains("/hls/"))
        );
        assert!(all.contains(r#""~^/v1\.0/films/(?<hlsgate_id>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})/stream/""#));
        assert!(all.contains(
            r#"rewrite "^/v1\.0/films/~(?:(?<hlsgate_path_token>[!-.0-~]+)|[^/]+)(?:/+~[^/]*)*(?<hlsgate_rest>/.*)$" "#
        ));
        assert!(all.contains(r#" /v1.0/films$hlsgate_rest last;"#));
        assert!(all.contains(r"/stream/(?:index\.m3u8|live\.mpd)\z"), "the files that a film begins with");
        assert!(all.contains("server 127.0.0.1:9090;") && all.contains("server 127.0.0.1:9090 max_fails=0;"));
    }
}
