//! The files that a configuration names: keys, revocations, secrets. What is wrong with them is told without their content.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Config, Problems};
use crate::gate::jwk::JwkSet;
use crate::gate::keyring::Keyring;
use crate::gate::revocations::Revocations;

/// Largest file that is read: far above any honest one.
const MAX_FILE: u64 = 64 << 20;

/// Reads the keys.
pub(crate) fn keyring(config: &Config, problems: &mut Problems) -> Option<Keyring> {
    key_set(config, problems).map(|set| Keyring::new(&set))
}

/// Reads the keys as they stand in the file.
pub(crate) fn key_set(config: &Config, problems: &mut Problems) -> Option<JwkSet> {
    let file = credential(&config.keys_file);
    let bytes = match read(&file) {
        Ok(bytes) => bytes,
        Err(err) => {
            let absent = "; `hlsgate init` makes new keys, `hlsgate keys restore` brings a backup back";
            unreadable("keys.file", &file, &err, absent, problems);
            return None;
        }
    };
    match JwkSet::parse(&bytes) {
        Ok(set) => Some(set),
        Err(errors) => {
            for err in errors {
                problems.note("keys.file", format_args!("{}: {err}", file.display()));
            }
            None
        }
    }
}

/// Reads the revocations. No file means that nothing was revoked yet.
pub(crate) fn revocations(config: &Config, problems: &mut Problems) -> Option<Revocations> {
    let file = &config.revocations_file;
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Some(Revocations::default()),
        Err(err) => {
            unreadable("revocations.file", file, &err, "", problems);
            return None;
        }
    };
    // A comment in another encoding, or one cut in the middle of a letter, is no reason to stop; an id is ASCII.
    let text = String::from_utf8_lossy(&bytes);
    problems.check("revocations.file", Revocations::parse(&text).map_err(|err| format!("{}: {err}", file.display())))
}

/// Reads a secret's file, by `parse`; none of its text is shown.
pub(crate) fn secret<T, E: std::fmt::Display>(
    field: &str,
    file: &Path,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let file = credential(file);
    let bytes = read(&file).map(Zeroizing::new);
    let bytes =
        bytes.map_err(|err| unreadable(field, &file, &err, "; `hlsgate btcpay connect` leads to it", problems)).ok()?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        problems.note(field, format_args!("{} is not text", file.display()));
        return None;
    };
    if text.trim().is_empty() {
        problems.note(field, format_args!("{} is empty; put the secret on its first line", file.display()));
        return None;
    }
    problems.check(field, parse(text))
}

/// The file itself where it can be read, so that a reload finds what it says now; else the copy that systemd made of it at the
/// start (`LoadCredential=NAME:…` under the same name), for one that is root's alone.
///
/// An empty line is what the shipped unit hands over for a file that was not there when the daemon began.
pub(crate) fn credential(file: &Path) -> PathBuf {
    let empty = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.len() <= 1);
    if std::fs::File::open(file).is_ok() && !empty(file) {
        return file.to_owned();
    }
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY")
        .and_then(|folder| Some(Path::new(&folder).join(file.file_name()?)))
        .filter(|path| path.is_file() && !empty(path));
    handed_over.unwrap_or_else(|| file.to_owned())
}

/// Every file of the configuration that holds a secret and is there.
pub(crate) fn secrets(config: &Config) -> Vec<PathBuf> {
    let selling = config.btcpay.iter().flat_map(|btcpay| [&btcpay.api_key_file, &btcpay.webhook_secret_file]);
    let files = std::iter::once(&config.keys_file).chain(selling).map(|file| credential(file));
    files.filter(|file| file.exists()).collect()
}

/// A secret's file that others than its owner and group can read, or others than its owner write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{seen}; run `{remedy}`")]
pub(crate) struct TooOpen {
    /// The file and its mode.
    pub(crate) seen: String,
    /// The command that closes it.
    pub(crate) remedy: String,
}

/// What is wrong with a secret file's mode, if anything.
pub(crate) fn too_open(file: &Path) -> Option<TooOpen> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o027 != 0).then(|| TooOpen {
        seen: format!("{} has mode {mode:04o} and holds a secret", file.display()),
        remedy: format!("chmod 600 {}", file.display()),
    })
}

/// Notes why a file cannot be read.
///
/// - `absent`: what to do where there is no such file.
fn unreadable(field: &str, file: &Path, err: &io::Error, absent: &str, problems: &mut Problems) {
    let said = format!("cannot read {}: {err}", file.display());
    match err.kind() {
        io::ErrorKind::NotFound => problems.note(field, said + absent),
        io::ErrorKind::PermissionDenied => {
            problems.note_denied(field, said + "; it is for root and for the user that owns it");
        }
        _ => problems.note(field, said),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // The length that a file gives says nothing of a device.
    let read = std::fs::File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    match read as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20))),
        false => Ok(content),
    }
}
