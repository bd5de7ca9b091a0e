//! Any text as the configuration: read, or refused with what is wrong.
#![no_main]

use std::path::Path;

use hlsgate::config::{Config, ConfigError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(ConfigError::Problems { problems, .. }) = Config::parse(text, Path::new("hlsgate.toml")) {
        assert!(!problems.is_empty());
    }
});
