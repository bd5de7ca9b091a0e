//! L402: the challenge's macaroon, and the credential of macaroon and preimage.
//!
//! Sources: bLIP 26 and `lightninglabs/L402`. What clients accept differs from the text: the form here is the one that all
//! clients which were tried take (docs/machines.md).

use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use super::macaroon::{TOKEN_ID_LEN, UntrustedMacaroon, mint};
use super::{Bought, CredentialError, MAX_CREDENTIALS, Paid, PaymentHash, VALID_UNTIL, is_paid};
use crate::gate::keyring::{Keyring, Purpose};
use crate::gate::time::UnixTime;

/// Longest macaroon in base64 that is looked at: ours have some 300 bytes.
const MAX_MACAROON_LEN: usize = 2048;
/// Standard and URL-safe letters, with or without padding: clients copy what they got, and some write it anew.
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&alphabet::STANDARD, PADDING), GeneralPurpose::new(&alphabet::URL_SAFE, PADDING)];

/// The value of one `WWW-Authenticate` line.
///
/// - `token_id`: random, so that no two challenges are alike, even over one invoice.
/// - `bolt11`: the invoice whose payment hash is `hash`.
pub(crate) fn challenge(
    keyring: &Keyring,
    bought: &Bought,
    hash: &PaymentHash,
    token_id: &[u8; TOKEN_ID_LEN],
    bolt11: &str,
) -> String {
    let mac = keyring.signing().mac(Purpose::Macaroon);
    let macaroon = STANDARD.encode(mint(mac, hash, token_id, &bought.caveats()));
    // Capitals, this order, quotes, and a space behind each comma: each is something that one client or another insists on.
    format!(r#"L402 macaroon="{macaroon}", invoice="{bolt11}", version="0", token="{macaroon}""#)
}

/// What the credentials of one header line buy: what stands behind the scheme, `MACAROON[,MACAROON…]:PREIMAGE`.
pub(super) fn credentials(text: &[u8], keyring: &Keyring) -> Vec<Result<Paid, CredentialError>> {
    let Some(at) = text.iter().rposition(|byte| *byte == b':') else {
        return vec![Err(CredentialError::Malformed("no colon between macaroon and preimage"))];
    };
    let (macaroons, preimage) = (&text[..at], text[at + 1..].trim_ascii());
    let macaroons = macaroons.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    macaroons.take(MAX_CREDENTIALS).map(|macaroon| credential(macaroon, preimage, keyring)).collect()
}

fn credential(text: &[u8], preimage: &[u8], keyring: &Keyring) -> Result<Paid, CredentialError> {
    if text.len() > MAX_MACAROON_LEN {
        return Err(CredentialError::Malformed("a macaroon longer than any of ours"));
    }
    let decoded = LENIENT.iter().find_map(|engine| engine.decode(text).ok());
    let bytes = decoded.ok_or(CredentialError::Malformed("the macaroon is not base64"))?;
    let macaroon = UntrustedMacaroon::parse(&bytes)?;
    // Every key, retired ones included: as with a claim, what was paid is not lost by a rotation.
    if !keyring.iter().any(|key| macaroon.verify(key.mac(Purpose::Macaroon)).is_ok()) {
        return Err(CredentialError::BadSignature);
    }
    let hash = macaroon.payment_hash()?;
    is_paid(preimage, &hash)?;
    let (mut bought, added) = Bought::parse(macaroon.caveats()).ok_or(CredentialError::Malformed("not our caveats"))?;
    // Whoever holds a macaroon may add caveats that narrow it. One that we cannot enforce must not be passed over.
    for caveat in added {
        let until = caveat.strip_prefix(VALID_UNTIL).and_then(|rest| rest.strip_prefix('=')?.parse().ok());
        let until = UnixTime(until.ok_or(CredentialError::Malformed("an added caveat other than video_valid_until"))?);
        bought.exp = Some(bought.exp.map_or(until, |exp| exp.min(until)));
    }
    Ok(Paid { bought, hash, challenge: None })
}
