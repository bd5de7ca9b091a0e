//! An age file: what goes in, what comes out, and who can open it.

use std::io::{Cursor, IsTerminal, Read, Write};
use std::path::Path;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, tagpq, x25519};
use zeroize::Zeroizing;

use crate::config::files::too_open;
use crate::failure::Failure;

/// Fewest characters of a passphrase: a backup lies about for years, and whoever finds it has all the time to guess.
const MIN_PASSPHRASE: usize = 12;

pub(super) fn encrypt(encryptor: Encryptor, plain: &[u8]) -> Result<Vec<u8>, Failure> {
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

pub(super) fn decrypt(encrypted: &[u8], identities: &[&dyn Identity]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(Cursor::new(encrypted))).map_err(|err| not_opened(&err))?;
    let mut reader = decryptor.decrypt(identities.iter().copied()).map_err(|err| not_opened(&err))?;
    let mut plain = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut plain).map_err(|err| {
        Failure::new(format!("the backup is damaged or cut short: {err}")).hint("take another copy of it")
    })?;
    Ok(plain)
}

/// Whether a passphrase opens it, and no secret key.
pub(super) fn is_by_passphrase(encrypted: &[u8]) -> Result<bool, Failure> {
    let header = Decryptor::new_buffered(ArmoredReader::new(Cursor::new(encrypted)));
    header.map(|header| header.is_scrypt()).map_err(|err| not_opened(&err))
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

pub(super) fn recipient(name: &str) -> Result<Box<dyn Recipient>, Failure> {
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

pub(super) fn identities(file: &Path) -> Result<Vec<Box<dyn Identity>>, Failure> {
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

pub(super) fn new_passphrase(file: Option<&Path>) -> Result<SecretString, Failure> {
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
pub(super) fn passphrase_from(file: &Path) -> Result<SecretString, Failure> {
    let text = match file == Path::new("-") {
        true => crate::cli::token::read_stdin().map(Zeroizing::new)?,
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
pub(super) fn ask(question: &str) -> Result<SecretString, Failure> {
    let nobody =
        || Failure::new("nobody is there to be asked for the passphrase").hint("name a file: --passphrase-file FILE");
    if !std::io::stderr().is_terminal() && !std::io::stdin().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(question).map(SecretString::from).map_err(|_| nobody())
}
