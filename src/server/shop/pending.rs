//! The purchases that a browser's cookies name: which of them can still become access, and which are over.
//!
//! Nothing that may have been paid is thrown away: a cookie is cleared only with an answer that knows its purchase to be
//! finished. What cannot be checked now, with BTCPay or the Lightning node away or another key set in force, is kept, and so is
//! what was cancelled or expired as long as BTCPay looks for a payment of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::Full;
use serde::Serialize;

use super::bill::readable;
use super::ledger::Known;
use super::status::{Judged, Word, judge};
use super::{Shop, token_cookies};
use crate::gate::decision::CarriedTokens;
use crate::gate::scope::VideoId;
use crate::gate::time::UnixTime;
use crate::gate::token::UntrustedToken;
use crate::live::Live;
use crate::shop::claim::VerifiedClaim;
use crate::shop::invoice::Invoice;
use crate::shop::order::Order;

/// Longest time that the page waits to learn of its purchases.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most purchases that are looked at.
pub(crate) const MAX_PURCHASES: usize = 4;

/// What the cookies' purchases come to, for one video.
#[derive(Debug, Default)]
pub(crate) struct Purchases {
    /// The one that is farthest.
    pub(crate) pending: Option<Pending>,
    /// One that is over: for a line that says so.
    pub(crate) ended: Option<Ended>,
    /// Those of which nothing can be known now.
    pub(crate) unknown: Vec<String>,
    over: Vec<String>,
}

/// A purchase that can still become access.
#[derive(Debug, Serialize)]
pub(crate) struct Pending {
    invoice: String,
    status: Word,
    #[serde(skip)]
    holds_money: bool,
}

/// A purchase that cannot.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<String>,
    tier: String,
    covers: String,
    why: Why,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

/// Why a purchase is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Why {
    /// Its time passed.
    Ended,
    /// The operator took it back.
    Revoked,
    /// Not confirmed, or cancelled by a person.
    Invalid,
    /// Nobody paid.
    Expired,
}

/// What is to be done about one purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It can still become access.
    Open,
    /// It is over: why and when. It is `kept` where a payment, a confirmation or a person can still bring it to count.
    Over { why: Why, at: Option<UnixTime>, kept: bool },
    /// The browser has its token.
    Kept,
}

/// Looks at every purchase that the cookies name.
pub(crate) async fn look(
    shop: &Shop,
    live: &Live,
    video: &VideoId,
    headers: &HeaderMap,
    carried: &CarriedTokens<'_>,
    now: UnixTime,
) -> Purchases {
    let deadline = Instant::now() + PATIENCE;
    let mut found = Purchases::default();
    let Some(selling) = &live.selling else { return found };
    for (id, claim) in token_cookies::pending(headers).take(MAX_PURCHASES) {
        // Made under a key that this daemon does not have, or not ours: kept, and not looked up.
        let Some(claim) = VerifiedClaim::verify(claim, id, &live.policy.keyring) else { continue };
        let Some(known) = learn(shop, id, deadline).await else { continue };
        let Some(invoice) = known.invoice else {
            found.unknown.push(id.to_owned());
            continue;
        };
        let fits = invoice.order.as_deref().is_some_and(|order| claim.is_for(order));
        let judged = if fits { judge(&invoice, &selling.config.terms, &live.policy) } else { None };
        // BTCPay's metadata was changed; a person can change it back.
        let Some(judged) = judged else { continue };
        let concerns = judged.order.video() == video || judged.order.sub().covers(video, &live.policy.passes);
        let certain = known.fresh && !known.node_silent;
        match state(&judged, &invoice, certain, live, carried, now) {
            State::Open if concerns => found.offer(Pending::of(&invoice, &judged)),
            State::Open => {}
            State::Kept => found.over.push(id.to_owned()),
            State::Over { why, at, kept } => {
                if concerns && found.ended.is_none() {
                    found.ended = Some(Ended::of(&invoice, &judged.order, why, at));
                }
                if !kept {
                    found.over.push(id.to_owned());
                }
            }
        }
    }
    found
}

async fn learn(shop: &Shop, invoice: &str, deadline: Instant) -> Option<Known> {
    let mut held = shop.ledger.hold(invoice).ok()?;
    loop {
        let known = held.known();
        if known.fresh || known.error.is_some() {
            return Some(known);
        }
        if tokio::time::timeout_at(deadline.into(), held.changed()).await.is_err() {
            return Some(known);
        }
    }
}

/// - `certain`: nobody who may know of a payment is silent.
fn state(
    judged: &Judged,
    invoice: &Invoice,
    certain: bool,
    live: &Live,
    carried: &CarriedTokens<'_>,
    now: UnixTime,
) -> State {
    if let Some(settlement) = &judged.settlement {
        let token = &settlement.token;
        return match token.exp {
            _ if live.policy.revocations.contains(&token.jti) => {
                State::Over { why: Why::Revoked, at: None, kept: false }
            }
            Some(exp) if exp <= now => State::Over { why: Why::Ended, at: Some(exp), kept: false },
            _ if carries(carried, &token.jti, live, now) => State::Kept,
            _ => State::Open,
        };
    }
    let over = certain && judged.is_over(invoice, now);
    match judged.word {
        Word::Invalid => State::Over { why: Why::Invalid, at: None, kept: !over },
        _ if over => State::Over { why: Why::Expired, at: Some(invoice.expires), kept: false },
        _ => State::Open,
    }
}

/// Whether the browser has a token of this purchase that opens.
fn carries(carried: &CarriedTokens<'_>, jti: &str, live: &Live, now: UnixTime) -> bool {
    let policy = &live.policy;
    let tokens =
        carried.iter().filter_map(|token| UntrustedToken::parse(&token.text).ok()?.verify(&policy.keyring).ok());
    tokens
        .filter(|claims| claims.jti() == jti)
        .any(|claims| claims.refused_at(now, policy.leeway, 0, &policy.revocations).is_none())
}

/// The latest carried token that opened this video until its time passed.
pub(crate) fn ended_by_token(
    carried: &CarriedTokens<'_>,
    video: &VideoId,
    live: &Live,
    now: UnixTime,
) -> Option<Ended> {
    let policy = &live.policy;
    let tokens =
        carried.iter().filter_map(|token| UntrustedToken::parse(&token.text).ok()?.verify(&policy.keyring).ok());
    let ended = tokens.filter(|claims| claims.sub().covers(video, &policy.passes));
    let ended = ended.filter_map(|claims| Some((claims.exp().filter(|exp| *exp <= now)?, claims)));
    let (exp, claims) = ended.max_by_key(|(exp, _)| *exp)?;
    Some(Ended {
        invoice: None,
        tier: claims.tier().to_string(),
        covers: claims.sub().to_string(),
        why: Why::Ended,
        at: Some(exp),
        paid: None,
        currency: None,
    })
}

impl Purchases {
    /// Takes what is farther than what was found before.
    fn offer(&mut self, pending: Pending) {
        if self.pending.as_ref().is_none_or(|found| found.progress() < pending.progress()) {
            self.pending = Some(pending);
        }
    }

    /// Takes the purchases that are over out of the browser's cookies.
    pub(crate) fn clear(&self, response: &mut Response<Full<Bytes>>, headers: &HeaderMap, live: &Live) {
        if !self.over.is_empty() {
            token_cookies::forget(response, headers, &self.over, live);
        }
    }
}

impl Pending {
    fn of(invoice: &Invoice, judged: &Judged) -> Pending {
        Pending { invoice: invoice.id.clone(), status: judged.word, holds_money: invoice.holds_money() }
    }

    fn progress(&self) -> (u8, bool) {
        let by_word = match self.status {
            Word::Settled => 2,
            Word::Processing => 1,
            Word::New | Word::Expired | Word::Invalid => 0,
        };
        (by_word, self.holds_money)
    }
}

impl Ended {
    fn of(invoice: &Invoice, order: &Order, why: Why, at: Option<UnixTime>) -> Ended {
        let money = why == Why::Invalid && invoice.holds_money();
        Ended {
            invoice: Some(invoice.id.clone()),
            tier: order.tier().to_string(),
            covers: order.sub().to_string(),
            why,
            at,
            paid: money.then(|| readable(invoice.paid(false), invoice.amount).to_string()),
            currency: money.then(|| invoice.currency.clone()),
        }
    }
}
