//! `hlsgate keys list|add|promote|rotate|retire|remove`; `backup` and `restore` have a file of their own.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::backup::{Backup, Restore};
use super::on_disk;
use crate::config::{Config, ConfigError, Problems, files};
use crate::failure::Failure;
use crate::gate::jwk::{Jwk, JwkSet, MIN_KEY_LEN, Secret};
use crate::live::clock::{date, now};
use crate::random;

/// Look after the keys that sign tokens.
///
/// The first key signs, all verify. A running daemon picks changes up by itself.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  hlsgate keys rotate               # a new key signs; tokens of the old ones go on
  hlsgate keys add                  # with several daemons: add everywhere first …
  hlsgate keys promote KID          # … then let it sign everywhere
  hlsgate keys retire KID           # its tokens are dead, its buyers claim again
  hlsgate keys remove KID           # for a leaked key: its purchases are gone too
  hlsgate keys backup keys.age      # whoever has lost the keys has lost every token and claim")]
pub(crate) enum Keys {
    /// Show every key: name, age, what it is for. No key material.
    List,
    /// Add a new key at the second place: it verifies, and does not sign yet.
    Add,
    /// Let a key sign.
    Promote(Named),
    /// Make a new key that signs; the others go on verifying.
    Rotate,
    /// Take a key out of use: its tokens no longer open anything, but its orders and claims stay good.
    Retire(Ended),
    /// Remove a key altogether: nothing that it signed is believed again. For a leaked key.
    Remove(Ended),
    /// Write an encrypted copy of the keys.
    Backup(Backup),
    /// Bring the keys back from an encrypted copy.
    Restore(Restore),
}

/// A key.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The key's name, as `keys list` shows it.
    kid: String,
}

/// A key whose end needs a second thought.
#[derive(Debug, Args)]
pub(crate) struct Ended {
    /// The key's name, as `keys list` shows it.
    kid: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Keys {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        let config = Config::load(config)?;
        if let Some(seen) = files::too_open(&files::credential(&config.keys_file)) {
            eprintln!("warning: {seen}");
        }
        match self {
            Keys::List => list(&read(&config)?),
            Keys::Add => edit(&config, |set| {
                let key = new_key()?;
                let said = format!("added {}; promote it when every daemon has it", key.kid);
                set.keys.insert(1, key);
                Ok(said)
            })?,
            Keys::Promote(Named { kid }) => edit(&config, |set| {
                let at = find(set, &kid)?;
                if at == 0 {
                    return Ok(format!("{kid} signs already"));
                }
                if set.keys[at].retired {
                    return Err(Failure::new(format!("{kid} is retired and cannot sign"))
                        .hint("make a new key with `hlsgate keys rotate`"));
                }
                let key = set.keys.remove(at);
                sign_with(set, key);
                Ok(format!("{kid} signs now"))
            })?,
            Keys::Rotate => edit(&config, |set| {
                let key = new_key()?;
                let others = match set.keys.iter().filter(|key| !key.retired).count() {
                    1 => "1 other key still verifies".to_owned(),
                    others => format!("{others} other keys still verify"),
                };
                let said = format!("{} signs now; {others}", key.kid);
                sign_with(set, key);
                Ok(said)
            })?,
            Keys::Retire(ended) => ended.retire(&config)?,
            Keys::Remove(ended) => ended.remove(&config)?,
            Keys::Backup(backup) => backup.run(&config)?,
            Keys::Restore(restore) => restore.run(&config)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Ended {
    fn retire(self, config: &Config) -> Result<(), Failure> {
        self.ask(config, "Every token that it signed stops opening anything now. Viewers who bought through the shop get a new one by \
                          their claim or invoice; tokens issued by hand are lost.")?;
        edit(config, |set| {
            let at = find(set, &self.kid)?;
            if at == 0 {
                return Err(signs(&self.kid));
            }
            match std::mem::replace(&mut set.keys[at].retired, true) {
                true => Ok(format!("{} was retired already", self.kid)),
                false => Ok(format!("retired {}", self.kid)),
            }
        })
    }

    fn remove(self, config: &Config) -> Result<(), Failure> {
        self.ask(config, "Every token, order and claim that it signed becomes worthless now; a running purchase under it cannot be claimed.")?;
        edit(config, |set| {
            let at = find(set, &self.kid)?;
            if at == 0 {
                return Err(signs(&self.kid));
            }
            set.keys.remove(at);
            Ok(format!("removed {}", self.kid))
        })
    }

    /// Tells how much is at stake, as far as this machine can know, and asks.
    fn ask(&self, config: &Config, consequence: &str) -> Result<(), Failure> {
        let set = read(config)?;
        let at = find(&set, &self.kid)?;
        if at == 0 {
            return Err(signs(&self.kid));
        }
        println!("{consequence}");
        println!("{}", still_alive(config, &set.keys[at]));
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new("not done: nobody is there to be asked").hint("add --yes"));
        }
        print!("Go on? Type the key's name to confirm: ");
        let mut answer = String::new();
        let read = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
        match read {
            Ok(_) if answer.trim() == self.kid => Ok(()),
            _ => Err(Failure::new("not done: not confirmed")),
        }
    }
}

/// How many tokens of a key can still be alive: nobody counts tokens, but offers say how long they last.
fn still_alive(config: &Config, key: &Jwk) -> String {
    let durations: Vec<Option<u64>> = config.catalogue.every_offer().map(|offer| offer.duration).collect();
    let by_hand = "; what was issued by hand may live longer";
    match (key.retired, durations.iter().copied().max(), key.signed_until()) {
        (true, ..) => "It is retired: its tokens are dead already.".into(),
        (_, None, _) => "No offers are configured, so how long its tokens live cannot be told from here.".into(),
        (_, _, _) if durations.contains(&None) => {
            "You sell offers that never expire: some of its tokens may be alive for ever.".into()
        }
        (_, Some(Some(longest)), Some(stopped)) => match (stopped + longest).saturating_sub(now().0) {
            0 => format!("By the offers of today, every token that the shop sold under it has expired{by_hand}."),
            left => format!(
                "By the offers of today, the last token that the shop sold under it expires in {}{by_hand}.",
                humantime::format_duration(std::time::Duration::from_secs(left))
            ),
        },
        (_, Some(longest), _) => format!(
            "The file does not say when it stopped signing, if it ever signed; by the offers of today its tokens live for {}{by_hand}.",
            humantime::format_duration(std::time::Duration::from_secs(longest.unwrap_or_default()))
        ),
    }
}

/// Puts a key in the first place; the one that signed until now keeps the time at which it stopped.
fn sign_with(set: &mut JwkSet, mut key: Jwk) {
    if let Some(before) = set.keys.first_mut() {
        before.set_signed_until(Some(now().0));
    }
    key.set_signed_until(None);
    set.keys.insert(0, key);
}

/// A new key with 32 random bytes; its name is random too.
pub(crate) fn new_key() -> Result<Jwk, Failure> {
    let mut secret = vec![0; MIN_KEY_LEN];
    random::fill(&mut secret)?;
    Ok(Jwk::new(random::name::<6>()?, Secret::new(secret), now().0))
}

fn list(set: &JwkSet) {
    println!("{:<16} {:<10} {:<20} BITS", "KID", "STATE", "MADE");
    for (index, key) in set.keys.iter().enumerate() {
        let state = match (index, key.retired) {
            (_, true) => "retired",
            (0, false) => "signs",
            _ => "verifies",
        };
        let made = key.created().map_or("unknown".into(), date);
        println!("{:<16} {state:<10} {made:<20} {}", key.kid, key.secret.expose().len() * 8);
    }
}

fn find(set: &JwkSet, kid: &str) -> Result<usize, Failure> {
    let names = || set.keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>().join(", ");
    set.keys
        .iter()
        .position(|key| key.kid == kid)
        .ok_or_else(|| Failure::new(format!("there is no key {kid:?}")).hint(format!("the file has {}", names())))
}

fn signs(kid: &str) -> Failure {
    Failure::new(format!("{kid} signs, so it cannot go")).hint("let another sign first: `hlsgate keys rotate`")
}

fn read(config: &Config) -> Result<JwkSet, Failure> {
    let mut problems = Problems::default();
    files::key_set(config, &mut problems)
        .ok_or_else(|| ConfigError::Problems { file: config.file.clone(), problems }.into())
}

/// Changes the key file under a lock, in one step.
fn edit(config: &Config, change: impl FnOnce(&mut JwkSet) -> Result<String, Failure>) -> Result<(), Failure> {
    let file: &PathBuf = &config.keys_file;
    let _lock = on_disk::lock_folder(file)?;
    let mut set = read(config)?;
    let said = change(&mut set)?;
    on_disk::replace(file, set.to_json().as_bytes())?;
    println!("{said}");
    Ok(())
}
