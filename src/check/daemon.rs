//! The daemon behind its socket: reachable for nginx's workers and for nobody else, answering by these keys.

use std::ffi::CString;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group, User, getgrouplist};

use super::nginx::Dump;
use super::report::{Level, Report};
use super::tokens::TestTokens;
use super::wire::{RawResponse, exchange};
use crate::config::{Config, Listen};
use crate::gate::scope::VideoId;
use crate::live::Live;

const GROUP: &str = "daemon";
/// Where hlsgate.socket listens, which `listen = "systemd"` stands for.
const SYSTEMD_SOCKET: &str = "/run/hlsgate/hlsgate.sock";
/// nginx waits no longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
const START: &str =
    "start it: `systemctl enable --now hlsgate.socket hlsgate.service`; its log: `journalctl -u hlsgate`";

/// Looks at the socket, asks the daemon, and sees whether nginx's workers can ask too.
pub(super) fn look(live: &Live, nginx: Option<&Dump>, report: &mut Report) {
    let socket = socket_of(&live.config);
    if let Some(path) = &socket {
        socket_file(&live.config, path, report);
        if let Some(nginx) = nginx {
            workers(path, nginx, report);
        }
    }
    questions(live, socket.as_deref(), report);
    folder(live, socket.as_deref(), report);
}

fn socket_file(config: &Config, path: &Path, report: &mut Report) {
    let Ok(found) = std::fs::metadata(path) else { return };
    if !found.file_type().is_socket() {
        let todo = "remove it and start the daemon again";
        return report.wrong(GROUP, "socket", format!("{} is no socket", path.display()), "a socket", todo);
    }
    let group = group_name(found.gid());
    let mode = found.mode() & 0o777;
    let seen = format!("{} has mode {mode:04o} and group {group}", path.display());
    let expected_group = config.socket_group.as_ref().is_none_or(|expected| *expected == group);
    match (mode & 0o002 == 0, mode == config.socket_mode && expected_group || config.listen == Listen::Systemd) {
        (true, true) => report.ok(GROUP, "socket", seen),
        (open_to_nobody, _) => report.note(
            GROUP,
            if open_to_nobody { Level::Warning } else { Level::Wrong },
            "socket",
            seen,
            format!(
                "mode {:04o} and group {}",
                config.socket_mode,
                config.socket_group.as_deref().unwrap_or("of the daemon")
            ),
            "restart the daemon; with hlsgate.socket, SocketMode= and SocketGroup= say it",
        ),
    }
}

/// The user that nginx's workers run as can connect.
fn workers(path: &Path, nginx: &Dump, report: &mut Report) {
    let Ok(socket) = std::fs::metadata(path) else { return };
    let Some(directive) = nginx.main.iter().find(|directive| directive.name == "user") else { return };
    let name = directive.first();
    let Ok(Some(user)) = User::from_name(name) else {
        let todo = "look on the machine where nginx runs";
        return report.note(
            GROUP,
            Level::Unknown,
            "nginx's workers",
            format!("this machine has no user {name}"),
            "the user of nginx's workers",
            todo,
        );
    };
    let own_group =
        directive.args.get(1).and_then(|group| Group::from_name(group).ok()?).map_or(user.gid, |group| group.gid);
    let groups = CString::new(name).ok().and_then(|name| getgrouplist(&name, own_group).ok()).unwrap_or_default();
    let mode = socket.mode();
    let can = user.uid.is_root()
        || socket.uid() == user.uid.as_raw() && mode & 0o600 == 0o600
        || groups.contains(&Gid::from_raw(socket.gid())) && mode & 0o060 == 0o060
        || mode & 0o006 == 0o006;
    let group = group_name(socket.gid());
    match can {
        true => report.ok(GROUP, "nginx's workers", format!("{name} may connect to {}", path.display())),
        false => report.wrong(
            GROUP,
            "nginx's workers",
            format!(
                "{name} may not connect to {} (mode {:04o}, group {group}): every viewer gets 500",
                path.display(),
                mode & 0o777
            ),
            "a socket whose group has the workers in it",
            format!("set socket_group to a group of {name}, or `usermod -aG {group} {name}` and restart nginx"),
        ),
    }
}

/// Asks without a token, and with a good one.
fn questions(live: &Live, socket: Option<&Path>, report: &mut Report) {
    let Ok(tokens) = TestTokens::new(live, VideoId::from_bytes(b"hlsgate-check").expect("a video id")) else { return };
    let hostile = match ask(&live.config, socket, None) {
        Ok(status) => status,
        Err(err) => return unreachable(&live.config, socket, &err, report),
    };
    match hostile.as_str() {
        "401 missing" => report.ok(GROUP, "question without a token", "it refuses: 401 missing"),
        other => report.wrong(
            GROUP,
            "question without a token",
            format!("it answers {other}"),
            "401 missing",
            "something else listens there: see who with `ss -lxp`",
        ),
    }
    match ask(&live.config, socket, Some(&tokens.good)) {
        Ok(answer) if answer.starts_with("204") => report.ok(GROUP, "question with a good token", "it opens: 204"),
        Ok(answer) => report.wrong(
            GROUP,
            "question with a good token",
            format!("it answers {answer}"),
            "204 for a token signed by the first key of this configuration",
            "the daemon has other keys or another clock: `systemctl reload hlsgate`, and see its log",
        ),
        Err(err) => unreachable(&live.config, socket, &err, report),
    }
}

/// Whether the running daemon refuses a token as revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuses {
    /// It does.
    Yes,
    /// It opens for it.
    No,
    /// Nobody listens.
    NoDaemon,
    /// This user may not ask, or another daemon answers.
    Unknown,
}

impl Refuses {
    /// Asks with a token of this id, signed for a video that nobody has.
    pub(crate) fn ask(live: &Live, jti: &str) -> Refuses {
        let Ok(video) = "hlsgate-check".parse() else { return Refuses::Unknown };
        let Ok(token) = super::tokens::with_jti(live, video, jti) else { return Refuses::Unknown };
        match ask(&live.config, socket_of(&live.config).as_deref(), Some(&token)) {
            Ok(answer) if answer == "403 revoked" => Refuses::Yes,
            Ok(answer) if answer.starts_with("204") => Refuses::No,
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Refuses::NoDaemon
            }
            _ => Refuses::Unknown,
        }
    }
}

fn socket_of(config: &Config) -> Option<PathBuf> {
    match &config.listen {
        Listen::Unix(path) => Some(path.clone()),
        Listen::Systemd => Some(PathBuf::from(SYSTEMD_SOCKET)),
        Listen::Tcp(_) => None,
    }
}

/// The daemon itself sees the folder of the videos: its sandbox hides most of the disk from it, and then nothing is on sale.
fn folder(live: &Live, socket: Option<&Path>, report: &mut Report) {
    let (Some(folder), Some(_)) = (&live.config.videos.folder, &live.selling) else { return };
    let catalogue = &live.config.catalogue;
    let sold = |id: &VideoId| !catalogue.videos.contains_key(id) && !catalogue.offers_for(id).is_empty();
    let Some(video) = std::fs::read_dir(folder).ok().and_then(|entries| {
        let mut there = entries.flatten().filter(|entry| entry.path().is_dir());
        there.find_map(|entry| VideoId::from_bytes(entry.file_name().as_encoded_bytes()).filter(sold))
    }) else {
        return;
    };
    let question = format!("GET /hlsgate/videos/{video} HTTP/1.1\r\nHost: hlsgate\r\nConnection: close\r\n\r\n");
    let Ok(answer) = send(&live.config, socket, &question) else { return };
    match String::from_utf8_lossy(&answer.body).contains("\"offers\":[]") {
        false => report.ok(GROUP, "videos.folder", format!("the daemon sees {} and sells {video}", folder.display())),
        true => report.wrong(
            GROUP,
            "videos.folder",
            format!(
                "the daemon offers nothing for {video}, whose folder lies in {}: it does not see it",
                folder.display()
            ),
            "the offers of the configuration",
            format!(
                "`systemctl edit hlsgate`: [Service] BindReadOnlyPaths=-{}, then `systemctl restart hlsgate`",
                folder.display()
            ),
        ),
    }
}

fn unreachable(config: &Config, socket: Option<&Path>, err: &io::Error, report: &mut Report) {
    let place = match (socket, &config.listen) {
        (Some(path), _) => path.display().to_string(),
        (None, Listen::Tcp(address)) => address.to_string(),
        (None, _) => "its socket".into(),
    };
    match err.kind() {
        io::ErrorKind::PermissionDenied => {
            let todo = "run this as root, or as a member of the socket's group";
            report.note(
                GROUP,
                Level::Unknown,
                "answer",
                format!("this user may not connect to {place}"),
                "an answer",
                todo,
            );
        }
        _ => report.wrong(GROUP, "answer", format!("nobody answers at {place}: {err}"), "a running daemon", START),
    }
}

/// The status of an answer and, for a refusal, its reason.
fn ask(config: &Config, socket: Option<&Path>, token: Option<&str>) -> io::Result<String> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let question = format!(
        "GET /auth HTTP/1.1\r\nHost: hlsgate\r\nConnection: close\r\nX-Hlsgate-Video: hlsgate-check\r\nX-Hlsgate-Kind: media\r\n{token}\r\n"
    );
    let response = send(config, socket, &question)?;
    let status = response.status.map_or_else(|| "no HTTP".to_owned(), |status| status.to_string());
    Ok(match response.header("x-hlsgate-reason") {
        Some(reason) => format!("{status} {reason}"),
        None => status,
    })
}

fn send(config: &Config, socket: Option<&Path>, question: &str) -> io::Result<RawResponse> {
    match (socket, &config.listen) {
        (Some(path), _) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, question.as_bytes(), PATIENCE)
        }
        (None, Listen::Tcp(address)) => {
            let stream = TcpStream::connect_timeout(address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, question.as_bytes(), PATIENCE)
        }
        (None, _) => Err(io::Error::other("there is no address to ask at")),
    }
}

fn group_name(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}
