//! In a build without the feature `backup`: the commands of `age` that do the same.

use std::path::Path;

use super::{Backup, Restore};
use crate::config::Config;
use crate::config::files::credential;
use crate::failure::Failure;

impl Backup {
    pub(in crate::cli) fn run(&self, config: &Config) -> Result<(), Failure> {
        let to = match self.recipient.as_slice() {
            [] => " --passphrase".to_owned(),
            names => names.iter().map(|name| format!(" --recipient {name}")).collect(),
        };
        let (file, keys) = (self.file.display(), credential(&config.keys_file));
        let command = format!("umask 077 && age --encrypt --armor{to} --output {file} {}", keys.display());
        Err(left_out(&command, self.passphrase_file.as_deref()))
    }
}

impl Restore {
    pub(in crate::cli) fn run(&self, config: &Config) -> Result<(), Failure> {
        let (file, keys) = (self.file.display(), config.keys_file.display());
        let aside = if self.force { format!("mv {keys} {keys}.before && ") } else { String::new() };
        let by = self.identity.as_ref().map(|identity| format!(" --identity {}", identity.display()));
        let command = format!("{aside}umask 077 && age --decrypt{} --output {keys} {file}", by.unwrap_or_default());
        Err(left_out(&command, self.passphrase_file.as_deref()))
    }
}

/// - `passphrase_file`: what `age` has no option for.
fn left_out(command: &str, passphrase_file: Option<&Path>) -> Failure {
    let asks = if passphrase_file.is_some() { " (it asks for the passphrase)" } else { "" };
    Failure::new("this hlsgate was built without backups")
        .hint(format!("`{command}` does the same{asks}; or build it with --features backup"))
}
