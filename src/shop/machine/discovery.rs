//! What machines can buy, told before they ask: the four documents that clients and directories of paid services read.
//!
//! Sources: `discovery-spec.md` of `lightninglabs/L402` (`l402.json` and `x-l402-*`), the manifest of ngx-l402
//! (`l402-services`), draft-payment-discovery-01 (`x-payment-info`), llmstxt.org. All are drafts or one project's own: the
//! challenge decides, and these only point at it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};

use super::VALID_UNTIL;
use crate::gate::scope::{PassName, Tier};
use crate::shop::money::Price;
use crate::shop::offers::{Catalogue, Offer};
use crate::shop::words;

/// Below the site's address: where the documents are, whatever else the vhost serves.
pub(crate) const FOLDER: &str = "/hlsgate/machines/";
/// Stands for a video's id. None is named: a film can be sold without being listed, and its own offers are told to who asks for it.
const ANY: &str = "{video}";
const SUMMARY: &str = "Films as HLS, paid for by Lightning: ask, pay the invoice of the 402, ask again with the proof.";

/// The site whose offers are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    /// Its host, for people and models.
    pub(crate) name: &'a str,
    /// Its address without a slash at the end; empty where only paths are known.
    pub(crate) base: &'a str,
    /// What is on sale.
    pub(crate) catalogue: &'a Catalogue,
    /// Titles of passes and videos by the `sub` of their tokens.
    pub(crate) titles: &'a BTreeMap<String, String>,
    /// Whether the site has a list of its films at `/videos.json`.
    pub(crate) lists_films: bool,
}

/// One offer, and where it is sold.
struct Entry<'a> {
    pass: Option<&'a PassName>,
    offer: &'a Offer,
}

impl<'a> Site<'a> {
    /// The general offers and those of passes.
    fn entries(&self) -> Vec<Entry<'a>> {
        let Catalogue { general, pass_offers, .. } = self.catalogue;
        let by = |pass| move |offer| Entry { pass, offer };
        let passes = pass_offers.iter().flat_map(|(name, offers)| offers.iter().map(by(Some(name))));
        general.iter().map(by(None)).chain(passes).collect()
    }

    fn document(&self, name: &str) -> String {
        format!("{}{FOLDER}{name}", self.base)
    }

    /// `/.well-known/l402.json`
    pub(crate) fn l402_json(&self) -> Value {
        let resources = self.entries().into_iter().map(|entry| {
            let mut resource = json!({
                "path": entry.address(""), "method": "GET", "pricing": pricing(&entry.offer.price),
                "duration_seconds": entry.offer.duration,
            });
            if let Some(title) = self.title(&entry) {
                resource["title"] = title.into();
            }
            resource
        });
        json!({
            "version": "1.0",
            "provider": self.provider(),
            "currencies": ["msat"],
            "macaroon_versions": [0],
            "payment_methods": ["bolt11"],
            "openapi": self.document("openapi.json"),
            "services": [{ "name": "video", "description": SUMMARY, "resources": resources.collect::<Vec<_>>() }],
            "caveats": caveats(),
        })
    }

    /// `/.well-known/l402-services`, which knows prices in bitcoin alone.
    pub(crate) fn l402_services(&self) -> Value {
        let routes = self.entries().into_iter().filter_map(|entry| {
            let msat = millisatoshi(&entry.offer.price)?;
            Some(json!({ "path": entry.address(""), "price": { "type": "static", "amount_msat": msat } }))
        });
        json!({
            "version": "1",
            "service": { "name": self.name, "description": SUMMARY },
            "payment_methods": [{ "type": "lightning" }],
            "routes": routes.collect::<Vec<_>>(),
        })
    }

    /// `/openapi.json`
    pub(crate) fn openapi(&self) -> Value {
        let paths = Map::from_iter([
            (path(ANY), json!({ "get": operation(&self.entries()) })),
            (format!("/hlsgate/videos/{ANY}"), json!({ "get": prices() })),
        ]);
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.name, "version": "1", "summary": SUMMARY,
                "x-l402-version": "1.0", "x-l402-provider": self.provider(),
            },
            "x-service-info": { "categories": ["media"], "docs": { "llms": self.document("llms.txt") } },
            "x-l402-caveats": caveats(),
            "paths": paths,
            "components": { "securitySchemes": {
                "L402": { "type": "apiKey", "in": "header", "name": "Authorization", "x-l402-scheme": "L402" },
                "Payment": { "type": "http", "scheme": "Payment" },
            } },
        });
        if !self.base.is_empty() {
            document["servers"] = json!([{ "url": self.base }]);
        }
        document
    }

    /// `/llms.txt`
    pub(crate) fn llms_txt(&self) -> String {
        let (mut text, base) = (format!("# {}\n\n> {SUMMARY}\n\n", self.name), self.base);
        text.push_str(
            "Without a credential an address below answers 402 with two `WWW-Authenticate` lines over one Lightning invoice, \
             `L402` and `Payment`. Pay it once, then ask the same address again with the credential: 200 with `token` and \
             `playlist`. Any player plays `playlist`; it needs no further payment. Never pay for variants or segments.\n\n\
             ## Offers\n\n",
        );
        for entry in self.entries() {
            let Offer { price, duration, .. } = entry.offer;
            let lasts = duration.map_or("for ever".into(), words::duration);
            let name = || entry.pass.map_or("any film".into(), |pass| format!("pass {pass}"));
            let title = self.title(&entry).unwrap_or_else(name);
            let (address, price) = (entry.address(base), format_args!("{} {}", price.value(), price.currency()));
            let _ = writeln!(text, "- [{}]({address}): {price}, {lasts}", plain(&title));
        }
        text.push_str("\n## More\n\n");
        if self.lists_films {
            let _ = writeln!(text, "- [Films]({base}/videos.json): ids and titles; `id` stands for `{ANY}`");
        }
        let _ = writeln!(text, "- [One film's offers]({base}/hlsgate/videos/{ANY}): free");
        for (name, what) in [("openapi.json", "OpenAPI 3.1"), ("l402.json", "L402 manifest")] {
            let _ = writeln!(text, "- [{what}]({})", self.document(name));
        }
        text
    }

    fn provider(&self) -> Value {
        match self.base.is_empty() {
            true => json!({ "name": self.name }),
            false => json!({ "name": self.name, "uri": self.base }),
        }
    }

    fn title(&self, entry: &Entry<'_>) -> Option<String> {
        self.titles.get(&format!("pass:{}", entry.pass?)).cloned()
    }
}

impl Entry<'_> {
    fn address(&self, base: &str) -> String {
        address(base, ANY, &self.offer.tier, self.pass)
    }
}

/// The address at which one offer is sold to machines.
///
/// - `base`: the site's address without a slash at the end.
/// - `pass`: what is bought where it is not the video alone.
pub(crate) fn address(base: &str, video: &str, tier: &Tier, pass: Option<&PassName>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("tier", tier.as_str());
    if let Some(pass) = pass {
        query.append_pair("covers", &format!("pass:{pass}"));
    }
    format!("{base}{}?{}", path(video), query.finish())
}

fn path(video: &str) -> String {
    format!("/hlsgate/videos/{video}/access")
}

/// A price that is one of bitcoin, in thousandths of a satoshi; others depend on the rate of the moment.
fn millisatoshi(price: &Price) -> Option<u64> {
    let price = price.as_invoiced();
    let in_bitcoin = price.currency().as_str() == "BTC";
    in_bitcoin.then(|| (price.value() * Decimal::from(100_000_000_000u64)).to_u64()).flatten()
}

fn pricing(price: &Price) -> Value {
    match millisatoshi(price) {
        Some(msat) => json!({ "model": "fixed", "price_msat": msat }),
        // The challenge is the quote.
        None => {
            json!({ "model": "dynamic", "price": price.value().to_string(), "currency": price.currency().to_string() })
        }
    }
}

/// What stands in a macaroon. A holder may add the one that ends it sooner.
fn caveats() -> Value {
    json!({
        "services": { "type": "service_list", "attenuation": "subset" },
        "video_capabilities": { "type": "string", "description": "the video or the pass that the token opens" },
        VALID_UNTIL: { "type": "timestamp", "attenuation": "earlier" },
        "video_issued_at": { "type": "timestamp" },
        "invoice": { "type": "string", "description": "the seller's number of the invoice" },
    })
}

/// The operation that sells, with every offer.
fn operation(entries: &[Entry<'_>]) -> Value {
    let offers = entries.iter().map(|entry| {
        let Offer { tier, price, duration } = entry.offer;
        let lasts = duration.map_or("for ever".into(), words::duration);
        let covers = entry.pass.map_or(String::new(), |pass| format!("&covers=pass:{pass}"));
        // No amount where it is the rate's to say; the price stands in the text then.
        let sats = millisatoshi(price).map(|msat| msat.div_ceil(1000).to_string());
        json!({
            "intent": "charge", "method": "lightning", "amount": sats, "currency": "sat",
            "description": format!("?tier={tier}{covers}: {} {}, {lasts}", price.value(), price.currency()),
        })
    });
    let distinct = |mut values: Vec<String>| {
        values.sort_unstable();
        values.dedup();
        values
    };
    let tiers = distinct(entries.iter().map(|entry| entry.offer.tier.to_string()).collect());
    let passes = distinct(entries.iter().filter_map(|entry| Some(format!("pass:{}", entry.pass?))).collect());
    // A film with offers of its own has other tiers.
    let mut parameters = vec![
        video_parameter(),
        json!({
            "name": "tier", "in": "query", "description": "Which offer; without it the first one.",
            "schema": { "type": "string", "examples": tiers },
        }),
    ];
    if !passes.is_empty() {
        parameters.push(json!({
            "name": "covers", "in": "query", "description": "Buys a pass, for videos that it holds.",
            "schema": { "type": "string", "enum": passes },
        }));
    }
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    json!({
        "operationId": "buy",
        "summary": "Buys a film: 402 with a Lightning invoice, 200 with the playlist for its credential.",
        "parameters": parameters,
        "security": [{ "L402": [] }, { "Payment": [] }],
        "x-payment-info": { "offers": offers.collect::<Vec<_>>() },
        "x-l402-service": "video",
        "x-l402-pricing": entries.first().map(|entry| pricing(&entry.offer.price)),
        "responses": {
            "200": {
                "description": "Paid: every player plays `playlist`.",
                "headers": { "Payment-Receipt": { "schema": { "type": "string" } } },
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["video", "tier", "covers", "token", "playlist"],
                    "properties": {
                        "video": { "type": "string" },
                        "tier": { "type": "string" },
                        "covers": { "type": "string" },
                        "token": { "type": "string" },
                        "expires_at": { "type": "integer", "description": "UNIX seconds; absent: it never ends." },
                        "playlist": text("/~"),
                    },
                } } },
            },
            "402": {
                "description": "Payment Required",
                "headers": { "WWW-Authenticate": {
                    "schema": { "type": "string" },
                    "description": "Two lines, `L402 macaroon=\"…\", invoice=\"…\"` and `Payment …`, over one invoice.",
                } },
                "content": { "application/problem+json": { "schema": { "type": "object" } } },
            },
            "403": { "description": "A credential that was not paid for, or was revoked. Do not pay again." },
            "429": { "description": "One unpaid invoice a minute and address; see `Retry-After`." },
            "503": { "description": "No invoice can be made now." },
        },
    })
}

/// What a film costs, for nothing.
fn prices() -> Value {
    json!({
        "operationId": "offers",
        "summary": "One film's offers.",
        "parameters": [video_parameter()],
        "security": [],
        "responses": { "200": {
            "description": "Its offers.",
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["video", "offers"],
                "properties": { "video": { "type": "string" }, "offers": { "type": "array", "items": { "type": "object" } } },
            } } },
        } },
    })
}

fn video_parameter() -> Value {
    json!({ "name": "video", "in": "path", "required": true, "schema": { "type": "string" } })
}

/// A title as the text of a link.
fn plain(title: &str) -> String {
    title.chars().map(|c| if c.is_control() || "[]()`".contains(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
