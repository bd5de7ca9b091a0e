//! The lane of machines as a client sees it that pays nothing: what a challenge asks for, and where there is none. At most one
//! invoice comes of it, since the daemon shows one address the same one again.

use serde_json::Value;

use super::GROUP;
use crate::check::report::{Level, Report};
use crate::check::wire::{RawResponse, Site, reason};
use crate::config::Config;
use crate::gate::scope::VideoId;
use crate::live::clock::now;
use crate::shop::machine::bolt11::Bolt11;
use crate::shop::money::decimals_of_btc;
use crate::shop::offers::OfferFor;

/// A credential that nobody paid for.
const FORGED: &str = "Authorization: L402 AAAA:0000000000000000000000000000000000000000000000000000000000000000\r\n";
const OPEN: &str = "compare nginx's files with those that `hlsgate nginx` prints, and see the daemon's log";

/// Where the lane is looked at.
pub(super) struct Lane<'a> {
    pub site: &'a Site,
    pub video: VideoId,
    pub config: &'a Config,
}

/// Asks for the challenge, and for what must show none.
pub(super) fn look(lane: &Lane<'_>, report: &mut Report) {
    let offers = lane.config.catalogue.offers_for(&lane.video);
    let offer = offers.first().filter(|_| lane.config.machines_pay_by().is_some());
    let access = format!("/hlsgate/videos/{}/access", lane.video);
    let Some(answer) = lane.get(&access, "", "machines", report) else { return };
    let Some(offer) = offer else {
        return match answer.status {
            Some(404) => report.ok(GROUP, "machines", "nothing of this video is sold to them"),
            _ => report.wrong(GROUP, "machines", answer.summary(), "404: this configuration sells them nothing", OPEN),
        };
    };
    let bolt11 = match read(&answer, offer) {
        Ok((bolt11, sats)) => {
            report.ok(GROUP, "machines", format!("402 with two challenges over one Lightning invoice of {sats} sats"));
            bolt11
        }
        Err((level, seen, todo)) => {
            let expected = "402 with the challenges L402 and Payment, in this order, over one Lightning invoice at the offer's price";
            return report.note(GROUP, level, "machines", seen, expected, todo);
        }
    };
    if let Some(answer) = lane.get(&access, FORGED, "machines: a forged credential", report) {
        lane.refuses(&answer, "machines: a forged credential", report);
    }
    let folder = lane.config.media.of_video(&lane.video);
    // Refused before anybody looks whether the file is there.
    if let Some(answer) = lane.get(&format!("{folder}hlsgate-check.ts"), "", "machines: a segment", report) {
        lane.refuses(&answer, "machines: a segment", report);
    }
    lane.first_playlist(&folder, &bolt11, report);
    lane.manifest(report);
}

impl Lane<'_> {
    fn get(&self, path: &str, header: &str, what: &str, report: &mut Report) -> Option<RawResponse> {
        let host = &self.site.authority;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header}\r\n");
        let sent = self.site.send(request.as_bytes());
        let unknown = |err| {
            let seen = format!("no answer: {}", reason(&err));
            report.note(GROUP, Level::Unknown, what, seen, "an answer", "ask again; see nginx's error log");
        };
        sent.map_err(unknown).ok()
    }

    /// A client pays again on a 402: whatever is refused for good shows no challenge.
    fn refuses(&self, answer: &RawResponse, what: &str, report: &mut Report) {
        match (answer.status, answer.header("www-authenticate")) {
            (Some(403), None) => report.ok(GROUP, what, answer.summary()),
            (_, challenge) => {
                let with = if challenge.is_some() { ", with a challenge" } else { "" };
                let seen = format!("{}{with}", answer.summary());
                report.wrong(GROUP, what, seen, "403 without a challenge: clients pay again on every one", OPEN);
            }
        }
    }

    fn first_playlist(&self, folder: &str, bolt11: &str, report: &mut Report) {
        let Some(name) = self.config.machines.playlists.first() else { return };
        let what = format!("machines: {name}");
        let Some(answer) = self.get(&format!("{folder}{name}"), "", &what, report) else { return };
        match (answer.status, challenge(&answer)) {
            (Some(403), None) => report.ok(GROUP, what, "403: not sold where it lies (no hlsgate-l402.conf)"),
            (Some(402), Some(shown)) if shown == bolt11 => report.ok(GROUP, what, "402 over the same invoice"),
            (Some(402), Some(_)) => report.warning(
                GROUP,
                what,
                "402 over another invoice than the resource's",
                "the same one: an address that has not paid costs one invoice a minute",
                "see whether nginx sends X-Hlsgate-Address as the files of this version do",
            ),
            _ => report.wrong(GROUP, what, answer.summary(), "402 with challenges, or 403 without", OPEN),
        }
    }

    fn manifest(&self, report: &mut Report) {
        let (what, path) = ("machines: the manifest", "/.well-known/l402.json");
        let Some(answer) = self.get(path, "", what, report) else { return };
        let manifest: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let is_ours = manifest.is_some_and(|it| it["version"] == "1.0" && it["services"][0]["resources"].is_array());
        match answer.status {
            Some(200) if is_ours => report.ok(GROUP, what, format!("it is at {path}")),
            // Any site may answer an unknown path with a page of its own.
            _ => report.ok(GROUP, what, format!("not at {path} (no hlsgate-discovery.conf); `Link` names it")),
        }
    }
}

/// The invoice of an answer's first challenge.
fn challenge(answer: &RawResponse) -> Option<&str> {
    let line = answer.header("www-authenticate")?;
    line.strip_prefix("L402 macaroon=\"")?.split('"').nth(2)
}

/// What the challenge asks for: the invoice, and its satoshis. `Err` says how it is, what was seen, and what to do.
fn read(answer: &RawResponse, found: &OfferFor<'_>) -> Result<(String, u64), (Level, String, &'static str)> {
    let wrong = |seen: String| (Level::Wrong, seen, OPEN);
    match answer.status {
        Some(402) => {}
        Some(429) => {
            return Err((
                Level::Unknown,
                answer.summary(),
                "ask again in a minute: this address has an unpaid invoice",
            ));
        }
        Some(503) => return Err((Level::Wrong, answer.summary(), "see the findings of BTCPay and the daemon's log")),
        _ => return Err(wrong(answer.summary())),
    }
    let lines = answer.headers("www-authenticate");
    if lines.len() != 2 || !lines[1].starts_with("Payment ") {
        return Err(wrong(format!("402 with {} challenges, not L402 and Payment", lines.len())));
    }
    let bolt11 = challenge(answer).ok_or_else(|| wrong("402, and its first challenge is not L402".into()))?;
    let read = Bolt11::parse(bolt11).map_err(|err| wrong(format!("402, and its invoice cannot be read: {err}")))?;
    if read.expires <= now() {
        return Err(wrong(format!("402, and its invoice ended at {}", read.expires)));
    }
    let price = found.offer.price.as_invoiced();
    let asked = rust_decimal::Decimal::from(read.satoshi()) / rust_decimal::Decimal::from(10u64.pow(decimals_of_btc()));
    if price.currency().as_str() == "BTC" && price.value() != asked {
        return Err(wrong(format!(
            "402, and its invoice asks for {asked} BTC where the offer costs {}",
            price.value()
        )));
    }
    match (answer.header("cache-control"), answer.header("content-type")) {
        (Some("no-store"), Some("application/problem+json")) => Ok((bolt11.to_owned(), read.satoshi())),
        (kept, kind) => Err(wrong(format!("402 with Cache-Control {kept:?} and Content-Type {kind:?}"))),
    }
}
