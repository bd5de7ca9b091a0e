//! `POST /hlsgate/session`: a token kept elsewhere becomes cookies, so that any player can use it.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{body, token_cookies};
use crate::gate::decision::Refusal;
use crate::gate::jws::UntrustedJws;
use crate::gate::time::UnixTime;
use crate::gate::token::{Claims, TokenError, UntrustedToken};
use crate::live::Live;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionRequest {
    token: String,
}

#[derive(Serialize)]
struct RenewedToken<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
}

/// Gives the token back, signed by today's key, and sets its cookies.
pub(super) async fn answer(
    headers: &HeaderMap,
    body: Incoming,
    live: &Live,
    now: UnixTime,
) -> Result<Response<Full<Bytes>>, Problem> {
    let asked: SessionRequest = body::json(headers, body, "{\"token\": \"…\"}").await?;
    let (claims, token) = renewed(&asked.token, live, now).map_err(Problem::token)?;
    let mut response = body::answer(StatusCode::OK, &RenewedToken { token: &token, expires_at: claims.exp() });
    token_cookies::set_token(&mut response, &token, claims.sub(), claims.exp(), live, now);
    Ok(response)
}

/// The token's claims if it opens anything now, and its text under the first key.
fn renewed(text: &str, live: &Live, now: UnixTime) -> Result<(Claims, String), Refusal> {
    let policy = &live.policy;
    if text.is_empty() {
        return Err(Refusal::Missing);
    }
    let claims = UntrustedToken::parse(text.as_bytes())?.verify(&policy.keyring)?;
    if let Some(err) = claims.refused_at(now, policy.leeway, 0, &policy.revocations) {
        return Err(err.into());
    }
    let signing = policy.keyring.signing();
    let kid = UntrustedJws::parse(text.as_bytes()).and_then(|jws| jws.kid()).map_err(TokenError::from)?;
    let token = match kid.as_str() == signing.kid() {
        true => text.to_owned(),
        false => claims.renewed().sign(signing).expose().to_owned(),
    };
    Ok((claims, token))
}
