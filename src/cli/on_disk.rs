//! Files that commands write: whole or not at all, with the mode and owner that they should have.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::failure::Failure;

/// The daemon's own user, if the package made one.
const DAEMON_USER: &str = "hlsgate";

/// Makes a file that only its owner can read. Gives `false`, and leaves it as it is, if something is there already.
///
/// Made by root, it belongs to the daemon's user, so that the daemon can read it.
pub(crate) fn create_secret(file: &Path, content: &[u8]) -> Result<bool, Failure> {
    create(file, content, 0o600, true)
}

/// The same for a file that stays with whoever made it: a backup.
#[cfg(feature = "backup")]
pub(crate) fn create_own(file: &Path, content: &[u8]) -> Result<bool, Failure> {
    create(file, content, 0o600, false)
}

/// Puts a secret of one line into a file that only its owner can read, in place of what is there.
pub(crate) fn put_secret(file: &Path, secret: &[u8]) -> Result<(), Failure> {
    let line = zeroize::Zeroizing::new([secret, b"\n"].concat());
    match create_secret(file, &line)? {
        true => Ok(()),
        false => replace_secret(file, &line),
    }
}

/// Puts new content into a secret's file, and lets the daemon read it by itself, so that a reload finds it.
pub(crate) fn replace_secret(file: &Path, content: &[u8]) -> Result<(), Failure> {
    replace(file, content)?;
    give_to_daemon(file).map_err(|err| Failure::file("give the daemon", file, &err))
}

/// Puts something that is no secret into a file that everybody may read.
pub(crate) fn put_public(file: &Path, content: &[u8]) -> Result<(), Failure> {
    match create_public(file, content)? {
        true => Ok(()),
        false => replace(file, content),
    }
}

/// Makes a file that everybody may read. Gives `false`, and leaves it as it is, if something is there already.
pub(crate) fn create_public(file: &Path, content: &[u8]) -> Result<bool, Failure> {
    create(file, content, 0o644, false)
}

fn create(file: &Path, content: &[u8], mode: u32, for_daemon: bool) -> Result<bool, Failure> {
    let failed = |err: io::Error| Failure::file("write", file, &err);
    let folder = folder_of(file);
    if !folder.exists() {
        std::fs::create_dir_all(folder).map_err(|err| Failure::file("make the folder", folder, &err))?;
    }
    let mut out = match OpenOptions::new().write(true).create_new(true).mode(mode).open(file) {
        Ok(out) => out,
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(err) => return Err(failed(err)),
    };
    // Not what the umask leaves of it: root's is often 077, and the daemon has to read its configuration.
    let moded = out.set_permissions(Permissions::from_mode(mode));
    let written = moded.and_then(|()| out.write_all(content)).and_then(|()| out.sync_all());
    let owned = written.and_then(|()| if for_daemon { give_to_daemon(file) } else { Ok(()) });
    if let Err(err) = owned {
        // Half a key file would be worse than none.
        let _ = std::fs::remove_file(file);
        return Err(failed(err));
    }
    Ok(true)
}

/// Puts new content into an existing file in one step; mode and owner stay. A link stays a link: the file behind it is
/// the one that is replaced.
pub(crate) fn replace(file: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |err: io::Error| Failure::file("write", file, &err);
    let file = &std::fs::canonicalize(file).map_err(failed)?;
    let before = std::fs::metadata(file).map_err(failed)?;
    let folder = folder_of(file);
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(content).map_err(failed)?;
    let new_file = new.as_file();
    new_file.set_permissions(Permissions::from_mode(before.mode() & 0o7777)).map_err(failed)?;
    if (before.uid(), before.gid()) != (Uid::effective().as_raw(), nix::unistd::Gid::effective().as_raw()) {
        chown(new.path(), Some(before.uid()), Some(before.gid())).map_err(failed)?;
    }
    new_file.sync_all().map_err(failed)?;
    new.persist(file).map_err(|err| failed(err.error))?;
    // The new name lasts when the folder is on the disk.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Holds the folder of `file` for one editing command at a time, until dropped. Behind a link it is the file's own folder,
/// so that two names of one file share one lock.
pub(crate) fn lock_folder(file: &Path) -> Result<File, Failure> {
    let file = &std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = folder_of(file);
    let failed = |err: io::Error| Failure::file("lock", folder, &err);
    let handle = File::open(folder).map_err(failed)?;
    handle.lock().map_err(failed)?;
    Ok(handle)
}

/// Lets the daemon read a file that root made.
pub(crate) fn give_to_daemon(file: &Path) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    match User::from_name(DAEMON_USER) {
        Ok(Some(user)) => chown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        _ => Ok(()),
    }
}

/// The folder of a file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
