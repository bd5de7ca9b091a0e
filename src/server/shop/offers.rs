//! `GET /hlsgate/videos/{video}`: what it is sold at, whether this viewer has it, and a purchase under way.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::machine::discovery;
use super::pending::{self, Ended, Pending};
use super::problem::Problem;
use super::{Shop, body};
use crate::gate::decision::{AuthRequest, CarriedTokens, Carrier, Kind, Refusal, decide};
use crate::gate::scope::{Scope, Tier, VideoId};
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::server::carriers;
use crate::shop::bill;
use crate::shop::offers::OfferFor;

#[derive(Serialize)]
struct VideoOnSale<'a> {
    video: &'a str,
    offers: Vec<OfferAnswer<'a>>,
    access: Access,
    pending: Option<Pending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
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
    let carried = carried(headers, query);
    let mut purchases = pending::look(shop, live, &video, headers, &carried, now).await;
    let access = access(live, video, carried.clone(), now);
    let ended = match access.granted {
        true => None,
        false => purchases.ended.take().or_else(|| pending::ended_by_token(&carried, &video, live, now)),
    };
    let config = live.selling.as_ref().map(|selling| &selling.config);
    let answer = VideoOnSale {
        video: video.as_str(),
        offers: offers.collect(),
        access,
        pending: purchases.pending.take(),
        ended,
        unknown: std::mem::take(&mut purchases.unknown),
        methods: config.map(|config| config.payment_methods.iter().map(|id| bill::name(id)).collect()),
    };
    let mut response = body::answer(StatusCode::OK, &answer);
    purchases.clear(&mut response, headers, live);
    discovery::advertise(live, response.headers_mut());
    response
}

/// The tokens that the viewer has.
fn carried<'a>(headers: &'a HeaderMap, query: &'a str) -> CarriedTokens<'a> {
    let mut tokens = CarriedTokens::default();
    for token in carriers::query_tokens(query.as_bytes()) {
        tokens.push(Carrier::Query, token);
    }
    carriers::bearer_and_cookies(headers, &mut tokens);
    tokens
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

/// The offer of this name.
pub(super) async fn named<'a>(
    live: &'a Live,
    video: &VideoId,
    tier: &str,
    covers: Option<&str>,
) -> Result<OfferFor<'a>, Problem> {
    let tier: Tier = tier.parse().map_err(|_| Problem::bad_field("tier is of no form that an offer has"))?;
    let covers: Option<Scope> = match covers {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::bad_field("covers is neither a video nor a pass"))?),
    };
    let on_sale = on_sale(live, video).await;
    let known: Vec<String> = on_sale.iter().map(|found| format!("{} ({})", found.offer.tier, found.covers)).collect();
    let found = live.config.catalogue.find(video, &tier, covers.as_ref()).filter(|_| !on_sale.is_empty());
    found.ok_or_else(|| {
        Problem::bad_field(match known.is_empty() {
            true => format!("{video} is not on sale"),
            false => format!("{video} is not sold so; its offers are {}", known.join(", ")),
        })
    })
}

/// What the gate would say to a viewer of this video who begins now: by grace a film goes on, and none begins.
fn access(live: &Live, video: VideoId, tokens: CarriedTokens<'_>, now: UnixTime) -> Access {
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
