//! What is in force now: the configuration, and the keys and revocations that it names. Replaced as a whole by a reload.

use std::path::Path;
use std::sync::Arc;

use super::shop::selling::Selling;
use crate::config::{Config, ConfigError, Problems, files};
use crate::gate::decision::Policy;
use crate::gate::keyring::Keyring;
use crate::gate::revocations::Revocations;

/// A configuration with everything that an answer needs. It never changes: a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Live {
    /// The values of the file.
    pub config: Config,
    /// What the gate decides by.
    pub policy: Policy,
    /// The payment machine; `None` for a gate only, and for commands that need none.
    pub selling: Option<Arc<Selling>>,
}

impl Live {
    /// Reads the configuration and its files. Everything that is wrong with them comes at once.
    pub fn load(file: &Path) -> Result<Live, ConfigError> {
        let config = Config::load(file)?;
        let mut problems = Problems::default();
        let keyring = files::keyring(&config, &mut problems);
        let revocations = files::revocations(&config, &mut problems);
        match (keyring, revocations) {
            (Some(keyring), Some(revocations)) if problems.is_empty() => Ok(Live::new(config, keyring, revocations)),
            _ => Err(ConfigError::Problems { file: file.into(), problems }),
        }
    }

    /// As [`Live::load`], with the secrets of `[btcpay]`: what the daemon runs by.
    pub fn load_to_serve(file: &Path) -> Result<Live, ConfigError> {
        let mut live = Live::load(file)?;
        let mut problems = Problems::default();
        live.selling = Selling::load(&live.config, &mut problems).map(Arc::new);
        match problems.is_empty() {
            true => Ok(live),
            false => Err(ConfigError::Problems { file: file.into(), problems }),
        }
    }

    /// The same configuration with its keys and revocations read anew; each of them stays as it was if it is bad now.
    pub fn with_files_read_again(&self) -> (Live, Problems) {
        let mut problems = Problems::default();
        let keyring = files::keyring(&self.config, &mut problems);
        let revocations = files::revocations(&self.config, &mut problems);
        let mut live = self.clone();
        if let Some(keyring) = keyring {
            live.policy.keyring = keyring;
        }
        if let Some(revocations) = revocations {
            live.policy.revocations = revocations;
        }
        (live, problems)
    }

    fn new(config: Config, keyring: Keyring, revocations: Revocations) -> Live {
        let policy = Policy {
            keyring,
            revocations,
            passes: config.catalogue.passes.clone(),
            leeway: config.leeway.as_secs(),
            grace: config.grace.as_secs(),
        };
        Live { config, policy, selling: None }
    }
}
