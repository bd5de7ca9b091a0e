//! The one TOML file: what every field means, its default, and everything that is wrong with it at once.
//!
//! [`Config::load`] reads the values; [`files`] reads the secrets and lists that they name.

pub(crate) mod files;
pub(crate) mod media;
pub(crate) mod problems;
pub(crate) mod section;
mod selling;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use media::MediaPath;
pub use problems::{ConfigError, Problems};
pub(crate) use selling::{Btcpay, Machines, Shop, Videos};

use crate::address::Address;
use crate::shop::offers::Catalogue;
use section::Section;

/// Where the configuration is, if `--config` does not say otherwise.
pub(crate) const DEFAULT_FILE: &str = "/etc/hlsgate/hlsgate.toml";

/// Ends the id of a payment method by Lightning invoices, of any coin.
const LIGHTNING: &str = "-LN";
/// Longest path of a Unix socket in bytes (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// A configuration whose values fit together.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub(crate) file: PathBuf,
    /// Where nginx reaches the daemon.
    pub(crate) listen: Listen,
    /// Mode of the socket file, for instance `0o660`.
    pub(crate) socket_mode: u32,
    /// Group of the socket file; nginx's workers are in it.
    pub(crate) socket_group: Option<String>,
    /// Where health and metrics are told; `None` is `"off"`.
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Where viewers reach the site.
    pub(crate) public_url: Option<Address>,
    /// What nginx protects.
    pub(crate) media: MediaPath,
    /// The JWK Set.
    pub(crate) keys_file: PathBuf,
    /// The revoked token ids.
    pub(crate) revocations_file: PathBuf,
    /// Seconds that clocks may differ.
    pub(crate) leeway: Duration,
    /// For how long an expired token still opens segments.
    pub(crate) grace: Duration,
    /// Attributes of the cookies.
    pub(crate) cookie: Cookie,
    /// The shop's own settings.
    pub(crate) shop: Shop,
    /// What is sold to machines.
    pub(crate) machines: Machines,
    /// The payment machine; `None` is a gate only.
    pub(crate) btcpay: Option<Btcpay>,
    /// What is sold, and at which price.
    pub catalogue: Catalogue,
    /// Which videos there are.
    pub(crate) videos: Videos,
}

/// `listen`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `unix:/run/hlsgate/hlsgate.sock`
    Unix(PathBuf),
    /// `127.0.0.1:9090`
    Tcp(SocketAddr),
    /// `systemd`: the socket that the service manager hands over.
    Systemd,
}

impl Listen {
    /// Where nginx asks while the daemon is away, if `hlsgate hold` runs there: beside the daemon's socket.
    pub(crate) fn hold_socket(&self) -> PathBuf {
        match self {
            Listen::Unix(path) => path.with_file_name("hold.sock"),
            Listen::Tcp(_) | Listen::Systemd => PathBuf::from("/run/hlsgate/hold.sock"),
        }
    }
}

impl std::fmt::Display for Listen {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Systemd => f.write_str("systemd"),
        }
    }
}

/// `[cookie]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// Sent over HTTPS only.
    pub(crate) secure: bool,
    /// Which cross-site requests carry it.
    pub(crate) same_site: SameSite,
    /// Kept apart for each embedding site (CHIPS).
    pub(crate) partitioned: bool,
}

/// The cookie attribute of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    /// Top-level navigations too.
    Lax,
    /// None.
    Strict,
    /// All; browsers want `Secure` with it.
    None,
}

impl Config {
    /// Reads `file`. Everything that is wrong with it comes at once.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|err| {
            let (reason, hint) = match err.kind() {
                std::io::ErrorKind::NotFound => {
                    (err.to_string(), "\n  hint: `hlsgate init` makes one; `--config FILE` names another")
                }
                std::io::ErrorKind::InvalidData => {
                    ("it is not text in UTF-8".into(), "\n  hint: save it in UTF-8, or write it in plain ASCII")
                }
                std::io::ErrorKind::PermissionDenied => {
                    (err.to_string(), "\n  hint: it is for root and for the user that owns it")
                }
                _ => (err.to_string(), ""),
            };
            ConfigError::Unreadable { file: file.into(), reason, hint }
        })?;
        Config::parse(&text, file)
    }

    /// The payment method that machines pay by, the first of Lightning: only a BOLT11 has a preimage that proves the payment.
    /// `None` where nothing is sold to them.
    pub(crate) fn machines_pay_by(&self) -> Option<&str> {
        let methods = &self.btcpay.as_ref().filter(|_| self.machines.sell)?.payment_methods;
        methods.iter().find(|method| method.ends_with(LIGHTNING)).map(String::as_str)
    }

    /// Reads the text of `file`; relative paths in it are relative to that file's folder.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        let table = text
            .parse::<toml::Table>()
            .map_err(|err| ConfigError::Syntax { file: file.into(), reason: syntax(text, &err) })?;
        let mut problems = Problems::default();
        let config = read(Section::root(table), file, &mut problems);
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::Problems { file: file.into(), problems }),
        }
    }
}

/// Where the text stops being TOML, and why. Without the line itself: somebody may have pasted a secret there.
fn syntax(text: &str, err: &toml::de::Error) -> String {
    let before = err.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().map_or(0, str::len) + 1);
    format!("line {line}, column {column}: {}", err.message())
}

fn read(mut root: Section, file: &Path, problems: &mut Problems) -> Config {
    let folder = file.parent().unwrap_or(Path::new("."));
    let listen =
        root.read("listen", problems, listen).unwrap_or_else(|| Listen::Unix("/run/hlsgate/hlsgate.sock".into()));
    let socket_mode = root.read("socket_mode", problems, mode).unwrap_or(0o660);
    let socket_group = root.string("socket_group", problems).unwrap_or_else(|| "www-data".into());
    let admin_listen = root.read("admin_listen", problems, admin_listen).unwrap_or(Some(([127, 0, 0, 1], 9464).into()));
    let public_url = root.read("public_url", problems, |text| Address::parse(text, "https://video.example"));
    let media = root.parsed("media", problems).unwrap_or_default();

    let keys_file = file_of(&mut root, "keys", "keys.json", folder, problems);
    let revocations_file = file_of(&mut root, "revocations", "/var/lib/hlsgate/revoked", folder, problems);

    let mut gate = root.section("gate", problems);
    let leeway = gate.duration("leeway", problems).unwrap_or_default();
    let grace = gate.duration("grace", problems).unwrap_or_default();
    gate.finish(problems);

    let cookie = cookie(root.section("cookie", problems), problems);
    let shop = selling::shop(root.section("shop", problems), problems);
    let machines = selling::machines(root.section("machines", problems), problems);
    let btcpay_section = root.optional_section("btcpay", problems);
    let sells = btcpay_section.is_some();
    let btcpay = btcpay_section.and_then(|section| selling::btcpay(section, folder, problems));
    if sells {
        root.require("public_url", &public_url, problems, "with [btcpay] the checkout has to know where to send viewers back to; write public_url = \"https://video.example\"");
    }
    let (catalogue, videos) = selling::catalogue(&mut root, folder, problems);
    root.finish(problems);

    let socket_group = Some(socket_group).filter(|group| !group.is_empty());
    Config {
        file: file.into(),
        listen,
        socket_mode,
        socket_group,
        admin_listen,
        public_url,
        media,
        keys_file,
        revocations_file,
        leeway,
        grace,
        cookie,
        shop,
        machines,
        btcpay,
        catalogue,
        videos,
    }
}

/// `[name] file = …`, relative to the configuration's folder.
fn file_of(root: &mut Section, name: &'static str, default: &str, folder: &Path, problems: &mut Problems) -> PathBuf {
    let mut section = root.section(name, problems);
    let path = section.string("file", problems).unwrap_or_else(|| default.into());
    section.finish(problems);
    folder.join(path)
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "systemd" {
        return Ok(Listen::Systemd);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path)
            .map(|()| Listen::Unix(path.into()))
            .map_err(|wrong| format!("{text:?} {wrong}; write it like \"unix:/run/hlsgate/hlsgate.sock\""));
    }
    match text.parse() {
        Ok(address) => Ok(Listen::Tcp(address)),
        Err(_) if text.parse::<u16>().is_ok() => Err(format!("{text:?} has no host; write \"127.0.0.1:{text}\"")),
        Err(_) => Err(format!(
            "{text:?} is no place to listen; write \"unix:/run/hlsgate/hlsgate.sock\", \"127.0.0.1:9090\" or \"systemd\""
        )),
    }
}

/// The path stands in nginx's configuration as it is, too.
fn socket_path(path: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\;{}$#:".contains(&byte);
    match path.len() {
        _ if !path.starts_with('/') => Err("is not an absolute path".into()),
        len if len > MAX_SOCKET_PATH => {
            Err(format!("has a path of {len} bytes, and a socket's has at most {MAX_SOCKET_PATH}"))
        }
        _ if !path.bytes().all(plain) => Err("has a space, quote or other character that nginx would misread".into()),
        _ => Ok(()),
    }
}

fn admin_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{text:?} is no address with a port; write \"127.0.0.1:9464\", or \"off\"")),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("{text:?} is no file mode; write it in octal, such as \"0660\"")),
    }
}

fn cookie(mut section: Section, problems: &mut Problems) -> Cookie {
    let secure = section.boolean("secure", problems).unwrap_or(true);
    let same_site = section.read("same_site", problems, |text| match text {
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        "none" => Ok(SameSite::None),
        _ => Err(format!("{text:?} is none of \"lax\", \"strict\", \"none\"")),
    });
    let same_site = same_site.unwrap_or(SameSite::Lax);
    let partitioned = section.boolean("partitioned", problems).unwrap_or(false);
    if same_site == SameSite::None && !secure {
        problems.note(
            section.path_of("same_site"),
            "browsers drop SameSite=None cookies without Secure; set secure = true",
        );
    }
    if partitioned && !(secure && same_site == SameSite::None) {
        problems.note(
            section.path_of("partitioned"),
            "it is for embeds on other sites; set same_site = \"none\" and secure = true with it",
        );
    }
    section.finish(problems);
    Cookie { secure, same_site, partitioned }
}
