//! `hlsgate keys backup|restore`: the key file in the age format (age-encryption.org/v1), which the `age` tool reads too.
//!
//! The format brings many crates along, so it is a feature, which packages turn on. Without it the commands say what `age` does in
//! their place.

#[cfg(feature = "backup")]
mod age_file;
#[cfg(not(feature = "backup"))]
mod left_out;
#[cfg(feature = "backup")]
mod made;

use std::path::PathBuf;

use clap::Args;

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
