//! The places where the daemon listens: a Unix socket, TCP, either of its own or as systemd hands it over.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use nix::sys::stat::{Mode, umask};
use nix::unistd::Group;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Config, Listen};

/// An open listener for nginx.
pub(crate) enum Listener {
    /// A Unix socket; the file is removed at the end if we made it.
    Unix(UnixListener, Option<SocketFile>),
    /// TCP.
    Tcp(TcpListener),
}

/// A socket file of ours, removed on drop; not, if another has taken its place.
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Why there is no listener.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// Something that is no socket is in the way.
    #[error("{} is there and is not a socket; remove it, or give `listen` another path", .0.display())]
    NotASocket(PathBuf),
    /// Somebody answers there.
    #[error("another daemon already listens on {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// `socket_group` names nobody.
    #[error("socket_group: this machine has no group {0:?}; name the group of nginx's workers")]
    NoGroup(String),
    /// `listen = "systemd"` without a socket.
    #[error(
        "listen is \"systemd\", but the service manager handed over no socket; start hlsgate.socket, or give `listen` an address"
    )]
    NothingHandedOver,
    /// systemd listens elsewhere. Taking another place would leave nginx waiting at a socket that nobody answers.
    #[error(
        "listen is \"{wanted}\", but the service manager handed over {}; let ListenStream= of hlsgate.socket \
         (`systemctl edit hlsgate.socket`) and `listen` name the same place",
        .handed_over.join(", ")
    )]
    AnotherHandedOver {
        /// As the configuration has it.
        wanted: Listen,
        /// What came instead.
        handed_over: Vec<String>,
    },
    /// The system does not give the socket to the group.
    #[error(
        "socket_group: cannot give the socket to the group {group:?}: {source}; start as root or as a user of that group, or \
         write socket_group = \"\""
    )]
    Group {
        /// Its name.
        group: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot listen on {place}: {source}{}", remedy(.place, .source))]
    Refused {
        /// The address or path.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// Opens the listener that the configuration asks for.
///
/// A socket that the service manager handed over is taken if it is the one that `listen` names: it outlives a restart, so
/// that no request is refused meanwhile. Without any, the daemon makes its own.
pub(crate) fn open(config: &Config) -> Result<Listener, ListenError> {
    let handed_over = handed_over()?;
    if handed_over.is_empty() {
        return match &config.listen {
            Listen::Unix(path) => own_socket(path, config.socket_mode, config.socket_group.as_deref())
                .map(|(listener, file)| Listener::Unix(listener, Some(file))),
            Listen::Tcp(address) => tcp("listen", *address).map(Listener::Tcp),
            Listen::Systemd => Err(ListenError::NothingHandedOver),
        };
    }
    let places = handed_over.iter().map(|listener| format!("\"{}\"", listener.place())).collect();
    handed_over
        .into_iter()
        .find(|listener| listener.is_at(&config.listen))
        .ok_or_else(|| ListenError::AnotherHandedOver { wanted: config.listen.clone(), handed_over: places })
}

/// Opens a TCP listener.
///
/// - `field`: where the configuration names it, for the error.
pub(crate) fn tcp(field: &str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let refused = |source| ListenError::Refused { place: format!("{address} ({field})"), source };
    let listener = std::net::TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    TcpListener::from_std(listener).map_err(refused)
}

/// Makes a Unix socket of our own at `path`, in the place of one that nobody answers at any more.
///
/// - `group`: who may connect, by name; `None` leaves the group of this process.
pub(crate) fn own_socket(
    path: &Path,
    mode: u32,
    group: Option<&str>,
) -> Result<(UnixListener, SocketFile), ListenError> {
    let refused = |source| ListenError::Refused { place: path.display().to_string(), source };
    let group = match group.map(|name| (name, Group::from_name(name))) {
        None => None,
        Some((name, Ok(Some(group)))) => Some((name, group.gid.as_raw())),
        Some((name, _)) => return Err(ListenError::NoGroup(name.into())),
    };
    // One at a time: of two daemons that start at once, the second would take the first one's new socket for a leftover.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _turn = File::open(folder).and_then(|folder| folder.lock().map(|()| folder)).map_err(refused)?;
    remove_leftover(path)?;
    // Nobody may connect before the file has its group and mode.
    let before = umask(Mode::from_bits_truncate(0o777));
    let bound = std::os::unix::net::UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(refused)?;
    let file = SocketFile { path: path.into(), inode: std::fs::symlink_metadata(path).map_err(refused)?.ino() };
    if let Some((name, id)) = group {
        std::os::unix::fs::chown(path, None, Some(id))
            .map_err(|source| ListenError::Group { group: name.into(), source })?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok((UnixListener::from_std(listener).map_err(refused)?, file))
}

/// What to do about the system's refusal, where its own words do not say it.
fn remedy(place: &str, refusal: &io::Error) -> &'static str {
    match refusal.kind() {
        io::ErrorKind::NotFound => "; make its folder, or give `listen` another path",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied if place.starts_with('/') => "; let this user write to the socket's folder",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for root: choose a higher one",
        io::ErrorKind::AddrInUse => "; something listens there already: stop it, or choose another port",
        _ => "",
    }
}

/// Removes the socket of a daemon that was killed; one that still answers stays.
fn remove_leftover(path: &Path) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NotASocket(path.into())),
        Ok(_) => {}
    }
    let refused = |source| ListenError::Refused { place: path.display().to_string(), source };
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ListenError::InUse(path.into())),
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(refused),
        // Somebody else took it away, or it cannot be told whether anybody answers there: then it stays.
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(refused(err)),
    }
}

/// Every socket that the service manager handed over to this process (sd_listen_fds(3)).
fn handed_over() -> Result<Vec<Listener>, ListenError> {
    let refused = |source| ListenError::Refused { place: "a socket handed over".into(), source };
    let mut handed = ListenFd::from_env();
    let mut found = Vec::new();
    for index in 0..handed.len() {
        // A socket of the other kind is an error of `take_…`, not an absence: ask for both.
        if let Ok(Some(listener)) = handed.take_unix_listener(index) {
            listener.set_nonblocking(true).map_err(refused)?;
            found.push(Listener::Unix(UnixListener::from_std(listener).map_err(refused)?, None));
        } else if let Ok(Some(listener)) = handed.take_tcp_listener(index) {
            listener.set_nonblocking(true).map_err(refused)?;
            found.push(Listener::Tcp(TcpListener::from_std(listener).map_err(refused)?));
        }
    }
    Ok(found)
}

impl Listener {
    fn is_at(&self, wanted: &Listen) -> bool {
        match (self, wanted) {
            (_, Listen::Systemd) => true,
            (Listener::Unix(listener, _), Listen::Unix(path)) => {
                listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
            }
            (Listener::Tcp(listener), Listen::Tcp(wanted)) => {
                listener.local_addr().is_ok_and(|address| address == *wanted)
            }
            _ => false,
        }
    }

    /// Where it listens, in the words of `listen`.
    pub(crate) fn place(&self) -> String {
        let unknown = || "a socket without an address".to_owned();
        match self {
            Listener::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(unknown, |path| format!("unix:{}", path.display()))
            }
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|_| unknown(), |address| address.to_string()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
