//! `GET /hlsgate/invoices/{id}`: how far a purchase is, held until that changes, and the token once it is settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::{info, warn};

use super::bill::Bill;
use super::ledger::{Full as LedgerFull, Held, Known, MAX_HELD};
use super::problem::Problem;
use super::source::LookupError;
use super::status::{Judged, Word, judge};
use super::{Shop, body, token_cookies};
use crate::gate::decision::Refusal;
use crate::gate::time::UnixTime;
use crate::live::clock::now;
use crate::live::{InForce, Live};
use crate::server::carriers;
use crate::shop::claim::VerifiedClaim;
use crate::shop::invoice::Invoice;
use crate::shop::settlement::Settlement;

/// Longest time that a request is held: nginx and browsers give up later.
const MAX_WAIT: u64 = 50;
/// Longest wait for the first facts of an invoice, whatever `wait` says: without them there is no answer.
const FIRST_FACTS: Duration = Duration::from_secs(5);
/// A token with less left than one part in so many of its duration is nearly over.
const SHORT: u64 = 10;
/// Longest `facts` that is looked at; ours are shorter.
const MAX_FACTS: usize = 64;
/// What `facts` ends with where they may be out of date.
const STALE: char = '~';
/// Longest wait for facts to be confirmed, whatever `wait` says.
const FRESH_FACTS: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct InvoiceView<'a> {
    status: Word,
    video: &'a str,
    tier: &'a str,
    covers: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    invoice: &'a str,
    amount: String,
    currency: &'a str,
    facts: String,
    age: u64,
    stale: bool,
    replaced: bool,
    r#final: bool,
    #[serde(flatten)]
    bill: Bill<'a>,
}

/// The query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    wait: Duration,
    seen: Option<Word>,
    facts: Option<String>,
}

/// What is known of an invoice, and what it is worth.
struct Found {
    invoice: Arc<Invoice>,
    judged: Judged,
}

/// Answers whoever has the claim. Nothing is asked, nor said, before it is verified.
pub(super) async fn answer(
    shop: &Shop,
    in_force: &InForce,
    id: &str,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response<Full<Bytes>>, Problem> {
    let claim = claim_on(id, headers, &in_force.live()).ok_or_else(Problem::wrong_claim)?;
    let wish = Wish::parse(query)?;
    let mut held = shop.ledger.hold(id).map_err(|full| match full {
        LedgerFull::Invoice => Problem::too_often(&format!("{MAX_HELD} requests are already held for this invoice"), 5),
        LedgerFull::Ledger => Problem::overloaded("too many viewers wait", 5),
    })?;
    let _counted = shop.count_held();
    let began = Instant::now();
    let mut draining = shop.draining();
    let mut over = false;
    let mut differs_since = None;
    loop {
        // Read anew each time, and before the answer: keys and revocations may change while a request is held.
        let live = in_force.live();
        let selling = live.selling.as_ref().ok_or_else(|| Problem::not_found("nothing is sold here"))?;
        let known = held.known();
        if known.invoice.is_none() && known.error == Some(LookupError::Unknown) {
            return Err(Problem::not_found("there is no such invoice any more"));
        }
        let found = match &known.invoice {
            Some(invoice) => {
                Some(Found { invoice: invoice.clone(), judged: judged(invoice, &claim, &selling.config.terms, &live)? })
            }
            None => None,
        };
        let bill = found.as_ref().map(|found| Bill::of(&found.invoice, found.judged.word, selling));
        let differs = found.as_ref().zip(bill.as_ref()).is_some_and(|(found, bill)| wish.differs(found, bill, &known));
        let unsure = !known.fresh && known.error.is_none();
        differs_since = differs.then(|| differs_since.unwrap_or_else(Instant::now));
        let until = match found.as_ref().zip(bill) {
            Some((found, bill)) if over || (differs && !unsure) => {
                return told(shop, &held, &known, found, bill, &live);
            }
            None if over && *shop.draining().borrow() => {
                return Err(Problem::overloaded("the server is being restarted", 1));
            }
            None if over && known.error.is_some() => return Err(Problem::btcpay_unavailable()),
            // Nothing says that BTCPay cannot be reached: it was not asked yet, or takes its time.
            None if over => return Err(Problem::overloaded("the payment server has not answered yet", 1)),
            // Nobody confirmed it for a while: a payment may have come since, or a person's mark been taken back. Or the
            // Lightning node has a word in it, and is being asked.
            Some(_) if differs => differs_since.unwrap_or(began) + FRESH_FACTS,
            Some(_) => began + wish.wait.max(if unsure { FRESH_FACTS } else { Duration::ZERO }),
            None => began + wish.wait.max(FIRST_FACTS),
        };
        over = tokio::select! {
            () = held.changed() => false,
            () = tokio::time::sleep_until(until.into()) => true,
            _ = draining.wait_for(|draining| *draining) => true,
        };
    }
}

/// The invoice's state, if the claim is for the order that it carries.
fn judged(
    invoice: &Arc<Invoice>,
    claim: &VerifiedClaim,
    terms: &crate::shop::settlement::Terms,
    live: &Live,
) -> Result<Judged, Problem> {
    let fits = invoice.order.as_deref().is_some_and(|order| claim.is_for(order));
    let judged = if fits { judge(invoice, terms, &live.policy) } else { None };
    judged.ok_or_else(|| {
        info!(invoice = %invoice.id, "the invoice no longer carries the order that the claim is for");
        Problem::wrong_claim()
    })
}

fn told(
    shop: &Shop,
    held: &Held,
    known: &Known,
    found: &Found,
    bill: Bill<'_>,
    live: &Live,
) -> Result<Response<Full<Bytes>>, Problem> {
    let Found { invoice, judged } = found;
    let (now, order) = (now(), &judged.order);
    let mut answer = InvoiceView {
        status: judged.word,
        video: order.video().as_str(),
        tier: order.tier().as_str(),
        covers: order.sub().to_string(),
        token: None,
        expires_at: None,
        invoice: &invoice.id,
        amount: invoice.amount.to_string(),
        currency: &invoice.currency,
        facts: digest(&bill, known),
        age: known.age.as_secs(),
        stale: is_stale(known),
        replaced: known.fell_back && judged.word == Word::New,
        r#final: !is_stale(known) && judged.is_over(invoice, now),
        bill,
    };
    let Some(settlement) = &judged.settlement else {
        return Ok(body::answer(StatusCode::OK, &answer));
    };
    let claims = &settlement.token;
    if live.policy.revocations.contains(&claims.jti) {
        return Err(Problem::token(Refusal::Revoked));
    }
    let token = claims.sign(live.policy.keyring.signing());
    (answer.token, answer.expires_at) = (Some(token.expose()), claims.exp);
    let mut response = body::answer(StatusCode::OK, &answer);
    token_cookies::set_token(&mut response, token.expose(), &claims.sub, claims.exp, live, now);
    if held.claimed_first() {
        let after = claims.iat.until(now);
        info!(invoice = %claims.jti, tier = %claims.tier, after, "handed out a token");
        complain_of_a_short_one(settlement, now);
        shop.metrics.claimed(Duration::from_secs(after));
    }
    Ok(response)
}

/// Whether the invoice may stand otherwise: BTCPay does not answer, or its Lightning node where only that can still say.
fn is_stale(known: &Known) -> bool {
    !known.fresh || known.node_silent
}

/// By what a page says what it knows.
fn digest(bill: &Bill<'_>, known: &Known) -> String {
    let mut digest = bill.digest();
    digest.extend(is_stale(known).then_some(STALE));
    digest
}

/// A buyer who gets a token that is over, or nearly so, has paid for nothing, and will not say so here.
fn complain_of_a_short_one(settlement: &Settlement, now: UnixTime) {
    let Some((exp, duration)) = settlement.token.exp.zip(settlement.order.duration()) else { return };
    let (left, invoice) = (now.until(exp), &settlement.token.jti);
    if left * SHORT < duration {
        warn!(
            %invoice, left, duration,
            "the token that was just handed out is over, or nearly so: its invoice was settled long ago, or the clocks of this \
             machine and BTCPay's disagree (`hlsgate check` tells); `hlsgate token issue --video {} --tier {} --for {duration}s` \
             makes it good",
            settlement.order.video(), settlement.order.tier()
        );
    }
}

/// The claim on this invoice that the request carries, as Bearer or in the cookie of a pending purchase.
fn claim_on(id: &str, headers: &HeaderMap, live: &Live) -> Option<VerifiedClaim> {
    let bearer = headers.get_all(AUTHORIZATION).into_iter().filter_map(|value| carriers::bearer(value.as_bytes()));
    let cookies = token_cookies::pending(headers).filter(|(invoice, _)| *invoice == id).map(|(_, claim)| claim);
    bearer.chain(cookies).take(MAX_HELD).find_map(|claim| VerifiedClaim::verify(claim, id, &live.policy.keyring))
}

impl Wish {
    fn parse(query: &str) -> Result<Wish, Problem> {
        let mut wish = Wish::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "wait" => {
                    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    if !digits {
                        return Err(Problem::bad_field(format!("wait is not a number of seconds up to {MAX_WAIT}")));
                    }
                    // A number too large to read is a long wait as well.
                    wish.wait = Duration::from_secs(value.parse().unwrap_or(MAX_WAIT).min(MAX_WAIT));
                }
                "seen" => {
                    let expected = "seen is none of new, processing, settled, expired, invalid";
                    wish.seen = Some(Word::parse(&value).ok_or_else(|| Problem::bad_field(expected))?);
                }
                // Opaque, and only compared: what is no digest of ours is none that is known.
                "facts" => wish.facts = Some(value.chars().take(MAX_FACTS).collect()),
                _ => {}
            }
        }
        Ok(wish)
    }

    /// Whether there is something that the page does not know; that what it knows is certain now, too. That it may be out of date
    /// can wait for the next answer.
    fn differs(&self, found: &Found, bill: &Bill<'_>, known: &Known) -> bool {
        let facts = |facts: &String| {
            let (digest, stale) = facts.strip_suffix(STALE).map_or((facts.as_str(), false), |digest| (digest, true));
            digest != bill.digest() || (stale && !is_stale(known))
        };
        self.seen != Some(found.judged.word) || self.facts.as_ref().is_some_and(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_number_of_seconds_and_a_word() {
        let wish = |seconds, seen| Ok(Wish { wait: Duration::from_secs(seconds), seen, facts: None });
        for (query, expected) in [
            ("", wish(0, None)),
            ("wait=25&seen=new", wish(25, Some(Word::New))),
            ("wait=50&seen=expired&x=y", wish(50, Some(Word::Expired))),
            ("wait=99999999999999999999999", wish(50, None)),
            ("wait=51", wish(50, None)),
        ] {
            assert_eq!(Wish::parse(query), expected, "{query}");
        }
        for query in ["wait=", "wait=-1", "wait=1.5", "wait=soon", "seen=", "seen=New", "seen=paid"] {
            assert_eq!(Wish::parse(query).unwrap_err().reason(), "bad-field", "{query}");
        }
    }
}
