//! `GET /hlsgate/videos/{video}`: what it is sold at, whether this viewer has it, and a purchase under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::status::{Judged, judge};
use super::{Shop, body, token_cookies};
use crate::gate::decision::{AuthRequest, CarriedTokens, Carrier, Kind, Refusal, decide};
use crate::gate::scope::VideoId;
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::server::carriers;
use crate::shop::claim::VerifiedClaim;
use crate::shop::offers::OfferFor;

/// Longest time that the page waits to learn of a purchase under way.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most purchases under way that are looked at.
const MAX_PENDING: usize = 4;

#[derive(Serialize)]
struct Answer<'a> {
    video: &'a str,
    offers: Vec<OfferAnswer<'a>>,
    access: Access,
    pending: Option<Pending>,
}

#[derive(Serialize)]
struct OfferAnswer<'a> {
    tier: &'a str,
    price: String,
    currency: String,
    duration: Option<u64>,
    covers: String,
}

#[derive(Serialize)]
struct Access {
    granted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Pending {
    invoice: String,
    status: &'static str,
}

/// Tells about one video.
pub(super) async fn answer(
    shop: &Shop,
    live: &Live,
    video: VideoId,
    headers: &HeaderMap,
    query: &str,
    now: UnixTime,
) -> Response<Full<Bytes>> {
    let on_sale = if live.selling.is_some() { on_sale(live, &video).await } else { Vec::new() };
    let offers = on_sale.iter().map(|found| OfferAnswer {
        tier: found.offer.tier.as_str(),
        price: found.offer.price.value().to_string(),
        currency: found.offer.price.currency().to_string(),
        duration: found.offer.duration,
        covers: found.covers.to_string(),
    });
    let answer = Answer {
        video: video.as_str(),
        offers: offers.collect(),
        access: access(live, video, headers, query, now),
        pending: pending(shop, live, &video, headers).await,
    };
    body::answer(StatusCode::OK, &answer)
}

/// The offers for a video that is there.
pub(super) async fn on_sale<'a>(live: &'a Live, video: &VideoId) -> Vec<OfferFor<'a>> {
    let listed = live.config.catalogue.videos.contains_key(video);
    if let Some(folder) = live.config.videos.folder.as_ref().filter(|_| !listed) {
        let folder = folder.join(video.as_str());
        // A disk that is slow to wake must not hold up other viewers.
        let there = tokio::task::spawn_blocking(move || folder.is_dir()).await;
        if !there.unwrap_or(false) {
            return Vec::new();
        }
    }
    live.config.catalogue.offers_for(video)
}

/// What the gate would say to a viewer of this video who begins now: by grace a film goes on, and none begins.
fn access(live: &Live, video: VideoId, headers: &HeaderMap, query: &str, now: UnixTime) -> Access {
    let mut tokens = CarriedTokens::default();
    for token in carriers::query_tokens(query.as_bytes()) {
        tokens.push(Carrier::Query, token);
    }
    carriers::bearer_and_cookies(headers, &mut tokens);
    let request = AuthRequest { video, kind: Kind::Playlist, tokens };
    let refused = match decide(&request, &live.policy, now) {
        Ok(grant) if grant.by_grace(&live.policy, now) => Refusal::Expired,
        Ok(grant) => {
            let tier = Some(grant.tier.to_string());
            return Access { granted: true, tier, expires_at: grant.expires, reason: None };
        }
        Err(refusal) => refusal,
    };
    Access { granted: false, tier: None, expires_at: None, reason: Some(refused.reason()) }
}

/// The purchase that the viewer's cookie names, if it would open this video.
async fn pending(shop: &Shop, live: &Live, video: &VideoId, headers: &HeaderMap) -> Option<Pending> {
    let deadline = Instant::now() + PATIENCE;
    for (invoice, claim) in token_cookies::pending(headers).take(MAX_PENDING) {
        let Some(claim) = VerifiedClaim::verify(claim, invoice, &live.policy.keyring) else { continue };
        let Some(judged) = learn(shop, live, invoice, &claim, deadline).await else { continue };
        if judged.order.video() == video || judged.order.sub().covers(video, &live.policy.passes) {
            return Some(Pending { invoice: invoice.to_owned(), status: judged.word.as_str() });
        }
    }
    None
}

async fn learn(shop: &Shop, live: &Live, invoice: &str, claim: &VerifiedClaim, deadline: Instant) -> Option<Judged> {
    let terms = &live.selling.as_ref()?.terms;
    let mut held = shop.ledger.hold(invoice).ok()?;
    let found = loop {
        let known = held.known();
        if known.fresh || known.error.is_some() {
            break known.invoice;
        }
        let before = known.invoice;
        if tokio::time::timeout_at(deadline.into(), held.changed()).await.is_err() {
            break before;
        }
    };
    let invoice: Arc<_> = found.filter(|invoice| invoice.order.as_deref().is_some_and(|order| claim.is_for(order)))?;
    judge(&invoice, terms, &live.policy)
}
