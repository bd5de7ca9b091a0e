//! `hlsgate keys backup|restore`: the key file in the age format (age-encryption.org/v1), which the `age` tool reads too.

use std::io::{Cursor, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, scrypt, tagpq, x25519};
use clap::Args;
use zeroize::Zeroizing;

use super::on_disk;
use crate::config::Config;
use crate::config::files::{credential, too_open};
use crate::failure::Failure;
use crate::gate::jwk::JwkSet;
use crate::live::clock::{date, now};

/// Fewest characters of a passphrase: a backup lies about for years, and whoever finds it has all the time to guess.
const MIN_PASSPHRASE: usize = 12;
/// Largest backup that is read: far above any honest one.
const MAX_BACKUP: u64 = 16 << 20;

/// Where an encrypted copy of the keys goes, and who can open it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate keys backup keys-2026-07.age                      # asks for a passphrase
  hlsgate keys backup keys.age --passphrase-file pass.txt
  hlsgate keys backup keys.age --recipient age1ql3z7hjy54…  # for a key that this machine has not
  hlsgate keys backup - --recipient age1… | ssh vault 'cat > keys.age'

It is an age file: `age --decrypt keys.age` gives the key file back without hlsgate.")]
pub(crate) struct Backup {
    /// The new file; `-` is standard output. Nothing is overwritten.
    file: PathBuf,
    /// Who can open it: a public key of age. May be given several times.
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,
    /// The file with the passphrase on its first line; `-` reads it from standard input. Without both it is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
}

/// Where the encrypted copy is, and how to open it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate keys restore keys-2026-07.age                     # asks for the passphrase
  hlsgate keys restore keys.age --passphrase-file pass.txt
  hlsgate keys restore keys.age --identity identity.txt     # as age-keygen makes it
  hlsgate keys restore keys.age --force                     # other keys are kept beside it")]
pub(crate) struct Restore {
    /// The backup; `-` is standard input.
    file: PathBuf,
    /// The file with the secret key that a backup for a recipient needs.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The file with the passphrase on its first line.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// Put it in place of other keys that are there. They are kept in a file beside it.
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(super) fn run(self, config: &Config) -> Result<(), Failure> {
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
    pub(super) fn run(self, config: &Config) -> Result<(), Failure> {
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
        let header =
            Decryptor::new_buffered(ArmoredReader::new(Cursor::new(encrypted))).map_err(|err| not_opened(&err))?;
        if !header.is_scrypt() {
            return Err(Failure::new("this backup was made for a recipient, not with a passphrase")
                .hint("name the file with its secret key: --identity FILE"));
        }
        match &self.passphrase_file {
            Some(file) => passphrase_from(file),
            None => ask("Passphrase of the backup: "),
        }
    }
}

fn encrypt(encryptor: Encryptor, plain: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut encrypted = Vec::new();
    // As text, for it may have to survive a mail, a password manager or a sheet of paper.
    let armored = ArmoredWriter::wrap_output(&mut encrypted, Format::AsciiArmor);
    armored
        .and_then(|armored| encryptor.wrap_output(armored))
        .and_then(|mut writer| writer.write_all(plain).map(|()| writer))
        .and_then(|writer| writer.finish()?.finish().map(drop))
        .map_err(|err| Failure::new(format!("cannot encrypt: {err}")))?;
    Ok(encrypted)
}

fn decrypt(encrypted: &[u8], identities: &[&dyn Identity]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(Cursor::new(encrypted))).map_err(|err| not_opened(&err))?;
    let mut reader = decryptor.decrypt(identities.iter().copied()).map_err(|err| not_opened(&err))?;
    let mut plain = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut plain).map_err(|err| {
        Failure::new(format!("the backup is damaged or cut short: {err}")).hint("take another copy of it")
    })?;
    Ok(plain)
}

fn not_opened(err: &DecryptError) -> Failure {
    match err {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            Failure::new("the backup does not open: the passphrase is another one, or the file is damaged")
        }
        DecryptError::NoMatchingKeys => {
            Failure::new("the backup does not open with this secret: it was made for another")
                .hint("a backup with a passphrase needs --passphrase-file, one for a recipient --identity")
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat | DecryptError::Io(_) => {
            Failure::new("this is no age file").hint("name a file that `hlsgate keys backup` or `age` made")
        }
        other => Failure::new(format!("the backup does not open: {other}")),
    }
}

fn recipient(name: &str) -> Result<Box<dyn Recipient>, Failure> {
    if let Ok(recipient) = name.parse::<x25519::Recipient>() {
        return Ok(Box::new(recipient));
    }
    match name.parse::<tagpq::Recipient>() {
        Ok(recipient) => Ok(Box::new(recipient)),
        Err(_) => Err(Failure::new(format!("{name:?} is no public key of age"))
            .hint("`age-keygen -y identity.txt` prints the one of a secret key; it begins with age1")
            .exit(2)),
    }
}

fn identities(file: &Path) -> Result<Vec<Box<dyn Identity>>, Failure> {
    if let Some(seen) = too_open(file) {
        eprintln!("warning: {seen}");
    }
    let text = std::fs::read(file).map(Zeroizing::new).map_err(|err| Failure::file("read", file, &err))?;
    let wrong = || {
        Failure::new(format!("{} holds no secret key of age", file.display()))
            .hint("it has a line that begins with AGE-SECRET-KEY-1, as `age-keygen` writes it")
    };
    let found = IdentityFile::from_buffer(Cursor::new(text.as_slice())).map_err(|_| wrong())?;
    let identities = found.into_identities().map_err(|_| wrong())?;
    match identities.is_empty() {
        true => Err(wrong()),
        false => Ok(identities.into_iter().map(|one| one as Box<dyn Identity>).collect()),
    }
}

fn new_passphrase(file: Option<&Path>) -> Result<SecretString, Failure> {
    use age::secrecy::ExposeSecret;
    let passphrase = match file {
        Some(file) => passphrase_from(file)?,
        None => {
            let first = ask("New passphrase for the backup: ")?;
            let again = ask("The same once more: ")?;
            if first.expose_secret() != again.expose_secret() {
                return Err(Failure::new("the two passphrases differ; nothing was written"));
            }
            first
        }
    };
    let length = passphrase.expose_secret().chars().count();
    match length >= MIN_PASSPHRASE {
        true => Ok(passphrase),
        false => {
            Err(Failure::new(format!("the passphrase has {length} characters; it needs at least {MIN_PASSPHRASE}"))
                .hint("five random words are good and can be remembered"))
        }
    }
}

/// The first line of a file, or of standard input.
fn passphrase_from(file: &Path) -> Result<SecretString, Failure> {
    let text = match file == Path::new("-") {
        true => super::token::read_stdin().map(Zeroizing::new)?,
        false => {
            if let Some(seen) = too_open(file) {
                eprintln!("warning: {seen}");
            }
            std::fs::read_to_string(file).map(Zeroizing::new).map_err(|err| Failure::file("read", file, &err))?
        }
    };
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(SecretString::from(line.to_owned())),
        None => Err(Failure::new(format!("there is no passphrase on the first line of {}", file.display()))),
    }
}

/// Asks the person at the terminal, without showing what is typed.
fn ask(question: &str) -> Result<SecretString, Failure> {
    let nobody =
        || Failure::new("nobody is there to be asked for the passphrase").hint("name a file: --passphrase-file FILE");
    if !std::io::stderr().is_terminal() && !std::io::stdin().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(question).map(SecretString::from).map_err(|_| nobody())
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
