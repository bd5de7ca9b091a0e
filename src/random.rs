//! Random bytes of the system, and texts made of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The system gives no random bytes.
#[derive(Debug, Error)]
#[error("the system gives no random bytes: {0}")]
pub(crate) struct NoRandom(getrandom::Error);

/// Fills `bytes` with what nobody can guess.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandom> {
    getrandom::fill(bytes).map_err(NoRandom)
}

/// `LEN` random bytes.
pub(crate) fn bytes<const LEN: usize>() -> Result<[u8; LEN], NoRandom> {
    let mut bytes = [0; LEN];
    fill(&mut bytes).map(|()| bytes)
}

/// `LEN` random bytes in base64url.
pub(crate) fn text<const LEN: usize>() -> Result<Zeroizing<String>, NoRandom> {
    let mut bytes = Zeroizing::new([0; LEN]);
    fill(&mut *bytes)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// A name that nothing else has, of `LEN` random bytes: letters and digits, for a command takes what begins with `-` for an
/// option.
pub(crate) fn name<const LEN: usize>() -> Result<String, NoRandom> {
    text::<LEN>().map(|text| text.replace(['-', '_'], "x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_any_command() {
        for _ in 0..1000 {
            let name = name::<16>().unwrap();
            assert!(name.len() == 22 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
        }
    }
}
