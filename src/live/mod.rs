//! What is in force now: the configuration, and the keys and revocations that it names. Replaced as a whole by a reload.

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod selling;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::config::{Config, ConfigError, Problems, files};
use crate::gate::decision::Policy;
use selling::Selling;

/// A configuration with everything that an answer needs. It never changes: a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Live {
    /// The values of the file.
    pub(crate) config: Config,
    /// What the gate decides by.
    pub policy: Policy,
    /// The payment machine; `None` for a gate only, and for commands that need none.
    pub(crate) selling: Option<Arc<Selling>>,
    /// The files of keys and revocations, as they were when they were read.
    stamps: [Option<Stamp>; 2],
}

/// Tells one state of a file from another without reading it: device, inode, length, and time of change, which nobody can set
/// back as `cp -p` and `rsync -t` do with the time of modification.
type Stamp = (u64, u64, u64, i64, i64);

impl Live {
    /// Reads the configuration and its files. Everything that is wrong with them comes at once.
    pub fn load(file: &Path) -> Result<Live, ConfigError> {
        Live::read(file, |_, _| None)
    }

    /// As [`Live::load`], with the secrets of `[btcpay]`: what the daemon runs by.
    pub(crate) fn load_to_serve(file: &Path) -> Result<Live, ConfigError> {
        Live::read(file, Selling::load)
    }

    /// What the files say now, to be put in this one's place.
    pub(crate) fn load_again(&self) -> Result<Live, ConfigError> {
        Live::read(&self.config.file, |config, problems| {
            self.note_lost_revocations(config, problems);
            Selling::load(config, problems)
        })
    }

    fn read(file: &Path, selling: impl FnOnce(&Config, &mut Problems) -> Option<Selling>) -> Result<Live, ConfigError> {
        let config = Config::load(file)?;
        let mut problems = Problems::default();
        let stamps = stamps(&config);
        let keyring = files::keyring(&config, &mut problems);
        let revocations = files::revocations(&config, &mut problems);
        let selling = selling(&config, &mut problems).map(Arc::new);
        match (keyring, revocations) {
            (Some(keyring), Some(revocations)) if problems.is_empty() => {
                let policy = Policy {
                    keyring,
                    revocations,
                    passes: config.catalogue.passes.clone(),
                    leeway: config.leeway.as_secs(),
                    grace: config.grace.as_secs(),
                };
                Ok(Live { config, policy, selling, stamps })
            }
            _ => Err(ConfigError::Problems { file: file.into(), problems }),
        }
    }

    /// The same configuration with its keys and revocations read anew; each of them stays as it was if it is bad now.
    pub(crate) fn with_files_read_again(&self) -> (Live, Problems) {
        let mut problems = Problems::default();
        let mut live = Live { stamps: stamps(&self.config), ..self.clone() };
        if let Some(keyring) = files::keyring(&self.config, &mut problems) {
            live.policy.keyring = keyring;
        }
        let lost = self.note_lost_revocations(&self.config, &mut problems);
        if let Some(revocations) = files::revocations(&self.config, &mut problems).filter(|_| !lost) {
            live.policy.revocations = revocations;
        }
        (live, problems)
    }

    /// Whether the files of keys and revocations are others than those that were read.
    pub(crate) fn files_changed(&self) -> bool {
        self.stamps != stamps(&self.config)
    }

    /// At a start no file means that nothing was revoked yet. Later it means that the list is lost, and a lost list must not
    /// bring tokens back to life.
    fn note_lost_revocations(&self, config: &Config, problems: &mut Problems) -> bool {
        let (file, revoked) = (&config.revocations_file, self.policy.revocations.len());
        let lost = revoked > 0 && !file.exists();
        if lost {
            problems.note(
                "revocations.file",
                format_args!(
                    "{} is gone, and it held {revoked} ids; put it back, or make an empty file to let all of them open again",
                    file.display()
                ),
            );
        }
        lost
    }
}

fn stamps(config: &Config) -> [Option<Stamp>; 2] {
    [&config.keys_file, &config.revocations_file].map(|file| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
    })
}

/// The one place from which every request reads what is in force; a reload replaces it as a whole.
#[derive(Debug)]
pub(crate) struct InForce(ArcSwap<Live>);

impl InForce {
    /// This is in force until something else is.
    pub(crate) fn new(live: Live) -> InForce {
        InForce(ArcSwap::from_pointee(live))
    }

    /// What is in force now, to be kept as long as it is needed.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.0.load_full()
    }

    /// What is in force now, for an answer that waits for nothing.
    pub(crate) fn glance(&self) -> Guard<Arc<Live>> {
        self.0.load()
    }

    /// Puts something else in force, for all requests that come from now on.
    pub(crate) fn replace(&self, live: Live) {
        self.0.store(Arc::new(live));
    }
}
