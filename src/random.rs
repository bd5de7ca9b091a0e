//! Random bytes of the system, and names made of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::failure::Failure;

/// Fills `bytes` with what nobody can guess.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|err| Failure::new(format!("the system gives no random bytes: {err}")))
}

/// A name that nothing else has, of `LEN` random bytes: letters and digits, for a command takes what begins with `-` for an
/// option.
pub(crate) fn name<const LEN: usize>() -> Result<String, Failure> {
    let mut bytes = [0; LEN];
    fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).replace(['-', '_'], "x"))
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
