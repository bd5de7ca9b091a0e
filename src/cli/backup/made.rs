//! A backup made and brought back.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::{Encryptor, Identity, Recipient, scrypt};
use zeroize::Zeroizing;

use super::age_file::{
    ask, decrypt, encrypt, identities, is_by_passphrase, new_passphrase, passphrase_from, recipient,
};
use super::{Backup, Restore};
use crate::cli::on_disk;
use crate::config::Config;
use crate::config::files::credential;
use crate::failure::Failure;
use crate::gate::jwk::JwkSet;
use crate::live::clock::{date, now};

/// Largest backup that is read: far above any honest one.
const MAX_BACKUP: u64 = 16 << 20;

impl Backup {
    pub(in crate::cli) fn run(&self, config: &Config) -> Result<(), Failure> {
        let keys_file = credential(&config.keys_file);
        let plain =
            std::fs::read(&keys_file).map(Zeroizing::new).map_err(|err| Failure::file("read", &keys_file, &err))?;
        // A backup of a broken file would be found out on the worst day.
        let set = parsed(&plain, &keys_file.display().to_string())?;
        if self.file != Path::new("-") && self.file.exists() {
            return Err(Failure::new(format!(
                "{} is there already, and backups are never overwritten",
                self.file.display()
            ))
            .hint("give it another name"));
        }
        let encrypted = match self.recipient.as_slice() {
            [] => {
                let passphrase = new_passphrase(self.passphrase_file.as_deref())?;
                let encrypted = encrypt(Encryptor::with_user_passphrase(passphrase.clone()), &plain)?;
                let opened = decrypt(&encrypted, &[&scrypt::Identity::new(passphrase)])?;
                if opened != plain {
                    return Err(Failure::new("the backup does not give back what went into it; nothing was written"));
                }
                encrypted
            }
            names => {
                let recipients = names.iter().map(|name| recipient(name)).collect::<Result<Vec<_>, _>>()?;
                let encryptor = Encryptor::with_recipients(recipients.iter().map(|one| &**one as &dyn Recipient))
                    .map_err(|err| Failure::new(format!("these recipients do not go together: {err}")))?;
                encrypt(encryptor, &plain)?
            }
        };
        if self.file == Path::new("-") {
            return std::io::stdout()
                .write_all(&encrypted)
                .map_err(|err| Failure::new(format!("cannot write to standard output: {err}")));
        }
        if !on_disk::create_own(&self.file, &encrypted)? {
            return Err(Failure::new(format!("{} has just been made by somebody else", self.file.display())));
        }
        println!("backed up {} to {}", kids(&set), self.file.display());
        Ok(())
    }
}

impl Restore {
    pub(in crate::cli) fn run(&self, config: &Config) -> Result<(), Failure> {
        let encrypted = self.read_backup()?;
        let identities: Vec<Box<dyn Identity>> = match &self.identity {
            Some(file) => identities(file)?,
            None => vec![Box::new(scrypt::Identity::new(self.known_passphrase(&encrypted)?))],
        };
        let borrowed: Vec<&dyn Identity> = identities.iter().map(|one| &**one).collect();
        let plain = decrypt(&encrypted, &borrowed)?;
        let set = parsed(&plain, &self.file.display().to_string())?;

        let file = &config.keys_file;
        if on_disk::create_secret(file, &plain)? {
            println!("restored {} to {}", kids(&set), file.display());
            return Ok(());
        }
        let _lock = on_disk::lock_folder(file)?;
        let there = std::fs::read(file).map(Zeroizing::new).map_err(|err| Failure::file("read", file, &err))?;
        if there == plain {
            println!("{} holds just these keys already: {}", file.display(), kids(&set));
            return Ok(());
        }
        if !self.force {
            let has = JwkSet::parse(&there).map_or("something that is no key file".into(), |set| kids(&set));
            return Err(Failure::new(format!(
                "{} is there and holds {has}; the backup holds {}",
                file.display(),
                kids(&set)
            ))
            .hint("with --force the backup takes its place; what is there now is kept in a file beside it"));
        }
        let aside = aside(file);
        if !on_disk::create_secret(&aside, &there)? {
            return Err(Failure::new(format!("{} is there already", aside.display())).hint("try again in a second"));
        }
        on_disk::replace(file, &plain)?;
        println!("restored {} to {}", kids(&set), file.display());
        println!("kept what was there in {}", aside.display());
        Ok(())
    }

    fn read_backup(&self) -> Result<Vec<u8>, Failure> {
        let failed = |err: std::io::Error| Failure::file("read", &self.file, &err);
        let mut encrypted = Vec::new();
        let mut source: Box<dyn Read> = match self.file == Path::new("-") {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(std::fs::File::open(&self.file).map_err(failed)?),
        };
        source.by_ref().take(MAX_BACKUP).read_to_end(&mut encrypted).map_err(failed)?;
        Ok(encrypted)
    }

    fn known_passphrase(&self, encrypted: &[u8]) -> Result<SecretString, Failure> {
        if !is_by_passphrase(encrypted)? {
            return Err(Failure::new("this backup was made for a recipient, not with a passphrase")
                .hint("name the file with its secret key: --identity FILE"));
        }
        match &self.passphrase_file {
            Some(file) => passphrase_from(file),
            None => ask("Passphrase of the backup: "),
        }
    }
}

fn parsed(plain: &[u8], whose: &str) -> Result<JwkSet, Failure> {
    JwkSet::parse(plain).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(format!("{whose} holds no good key file: {}", all.join("; ")))
    })
}

fn kids(set: &JwkSet) -> String {
    let names: Vec<&str> = set.keys.iter().map(|key| key.kid.as_str()).collect();
    match names.as_slice() {
        [one] => format!("key {one}"),
        _ => format!("keys {}", names.join(", ")),
    }
}

/// Where keys go that a restored file takes the place of.
fn aside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".before-{}", date(now().0).replace(':', "")));
    name.into()
}
