//! The webhook at BTCPay and what became of its latest deliveries, by the rules of its version.

use super::registration::{self, PATH, Registered, problems};
use super::report::{Level, Report};
use super::trouble::{CONNECT, GROUP, trouble};
use crate::btcpay::Client;
use crate::btcpay::setup::{DeliveryRecord, DeliveryStatus, REFUSALS_END, Version, Webhook};
use crate::gate::time::UnixTime;
use crate::live::clock::{date, now};

/// Attempts to deliver that are looked at.
const RECENT: usize = 50;
/// A delivery that came later than this after its event was held up by others.
const LATE: u64 = 60;
/// So many in a row that arrived say that what failed before was mended.
const MENDED: usize = 3;
/// From this version on the other webhooks of a store go on beside one whose events are null.
const NULL_IS_HARMLESS: Version = Version([2, 3, 7]);
/// Seconds that BTCPay waits before each repetition.
const WAITS: [u64; 8] = [10, 60, 600, 600, 600, 600, 600, 600];

/// Looks at the webhook and its deliveries.
///
/// - `url`: where it is to go.
pub(crate) async fn look(
    client: &Client,
    registered: Option<&Registered>,
    url: &str,
    version: Version,
    report: &mut Report,
) {
    let known = match client.webhooks().await {
        Ok(known) => known,
        Err(err) => return trouble(report, "webhook", &err, "the store's webhooks"),
    };
    if version < NULL_IS_HARMLESS {
        silenced(&known, report);
    }
    let exact = registration::own(&known, registered, url);
    let Some(found) = exact.or_else(|| known.iter().find(|webhook| webhook.url.ends_with(PATH))) else {
        let seen = format!("none of the store's {} goes to this site", known.len());
        return report.note(GROUP, Level::Wrong, "webhook", seen, url, CONNECT);
    };
    if found.url != url {
        report.note(
            GROUP,
            Level::Warning,
            "webhook",
            format!("goes to {}", found.url),
            format!("{url}, unless BTCPay reaches the site by another address"),
            "`hlsgate btcpay connect --url …` remembers another address",
        );
    }
    match problems(found) {
        problems if problems.is_empty() => report.ok(GROUP, "webhook", format!("{} goes to {}", found.id, found.url)),
        problems => {
            // A sale is noticed without it, but later.
            let level = if !found.enabled { Level::Wrong } else { Level::Warning };
            let expected = "enabled, redelivered automatically, for the events of a sale and no others";
            report.note(GROUP, level, "webhook", problems.join("; "), expected, CONNECT);
        }
    }
    match client.deliveries(&found.id, RECENT).await {
        Ok(recent) => judge(&recent, version, now(), report),
        Err(err) => trouble(report, "deliveries", &err, "the webhook's deliveries"),
    }
}

fn silenced(known: &[Webhook], report: &mut Report) {
    for webhook in known.iter().filter(|webhook| webhook.authorized_events.silences_its_store()) {
        report.note(
            GROUP,
            Level::Wrong,
            "webhook",
            format!(
                "{}, to {}, has no list of events (null): before 2.3.7 BTCPay then delivers nothing to any webhook of the store",
                webhook.id, webhook.url
            ),
            "a list of events, or all, in each webhook of the store; until then sales are seen by asking only, 4 s later",
            "choose its events in BTCPay (Store Settings, Webhooks), delete it, or update BTCPay to 2.3.7 or newer",
        );
    }
}

/// - `recent`: newest first.
fn judge(recent: &[DeliveryRecord], version: Version, now: UnixTime, report: &mut Report) {
    if recent.is_empty() {
        return report.ok(GROUP, "deliveries", "none yet");
    }
    // The daemon answers 204: what says 200 is something else, at the end of a redirect most likely.
    let elsewhere = recent.iter().filter(|delivery| delivery.arrived() && delivery.http_code == Some(200)).count();
    if elsewhere > 0 {
        report.note(
            GROUP,
            Level::Wrong,
            "deliveries",
            format!("{elsewhere} of the latest {} were answered 200, which hlsgate never does", recent.len()),
            "204 for each: BTCPay follows a redirect (301, 302, 303) without the body, and counts that as delivered",
            "register the final address: `hlsgate btcpay connect`, with `--url` if it is not below public_url",
        );
    }
    let failed: Vec<&DeliveryRecord> = recent.iter().filter(|delivery| !delivery.arrived()).collect();
    let Some(newest) = failed.first() else {
        late(recent, report);
        return report.ok(GROUP, "deliveries", format!("the latest {} arrived", recent.len()));
    };
    let since = recent.iter().take_while(|delivery| delivery.arrived()).count();
    let answer = newest.http_code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
    if since >= MENDED {
        let seen =
            format!("the latest {since} arrived; before, {} failed until {}", failed.len(), date(newest.timestamp.0));
        report.ok(GROUP, "deliveries", format!("{seen} ({answer})"));
        return late(recent, report);
    }
    let level = if since > 0 { Level::Warning } else { Level::Wrong };
    let mut seen = format!(
        "{} of the latest {} failed, the last one at {} ({answer})",
        failed.len(),
        recent.len(),
        date(newest.timestamp.0),
    );
    if let Some(at) = repeated_at(recent, version).filter(|at| *at > now) {
        let minutes = now.until(at).div_ceil(60);
        seen +=
            &format!("; BTCPay repeats it at {}, in {minutes} min, and all later events wait behind it", date(at.0));
    }
    let todo = match newest.http_code {
        _ if newest.has_bad_signature() => {
            "BTCPay signs with another secret, or a firewall is in the way: run `hlsgate btcpay connect`"
        }
        Some(404) => "include snippets/hlsgate.conf in the site's server block, and run the daemon with [btcpay]",
        Some(300..400) => "register the final address: run `hlsgate btcpay connect`",
        Some(_) => "look into the daemon's log and nginx's error log for that time",
        None => "let BTCPay's machine reach the site (DNS, firewall, certificate)",
    };
    report.note(GROUP, level, "deliveries", seen, "2xx for each; no sale is lost, but viewers wait longer", todo);
    late(recent, report);
}

/// When the one that failed last comes again, if it does.
fn repeated_at(recent: &[DeliveryRecord], version: Version) -> Option<UnixTime> {
    let newest = recent.first().filter(|delivery| delivery.status != DeliveryStatus::HttpSuccess)?;
    let ends = version >= REFUSALS_END
        && newest.http_code.is_some_and(|code| (300..500).contains(&code) && code != 408 && code != 429);
    let attempts = recent.iter().take_while(|delivery| delivery.status != DeliveryStatus::HttpSuccess).count();
    WAITS.get(attempts - 1).filter(|_| !ends).map(|wait| newest.timestamp.plus(*wait))
}

fn late(recent: &[DeliveryRecord], report: &mut Report) {
    let told = recent.iter().filter_map(|delivery| Some(delivery.timestamp.until(delivery.delivery_time?))).max();
    // BTCPay before 2.3.4 does not tell when an attempt was made: an event that came while another failed waited for its end.
    let longest = told.unwrap_or_else(|| longest_wait(recent));
    if longest > LATE {
        report.note(
            GROUP,
            Level::Warning,
            "deliveries",
            format!("one was made {longest} s after its event"),
            format!(
                "at most {LATE} s: BTCPay delivers one after the other, and a failing one holds up those behind it"
            ),
            "",
        );
    }
}

/// From the first failure of a delivery to the success that ended it, the longest of all.
fn longest_wait(recent: &[DeliveryRecord]) -> u64 {
    let (mut longest, mut began, mut last) = (0, None, UnixTime(0));
    for delivery in recent.iter().rev() {
        match (delivery.status, began) {
            (DeliveryStatus::HttpSuccess, Some(since)) if delivery.timestamp > last => {
                longest = longest.max(UnixTime::until(since, delivery.timestamp));
                began = None;
            }
            // Its event is of the same second as the failure, or older: it waits as well.
            (DeliveryStatus::HttpSuccess, _) => {}
            (_, since) => (began, last) = (since.or(Some(delivery.timestamp)), delivery.timestamp),
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(2000);
    const NEW: Version = Version([2, 4, 1]);
    const OLD: Version = Version([2, 0, 8]);

    fn delivery(at: u64, made: Option<u64>, code: u16) -> DeliveryRecord {
        DeliveryRecord {
            timestamp: UnixTime(at),
            delivery_time: made.map(UnixTime),
            http_code: Some(code),
            status: if code < 300 { DeliveryStatus::HttpSuccess } else { DeliveryStatus::HttpError },
        }
    }

    fn findings(recent: &[DeliveryRecord], version: Version) -> Vec<String> {
        let mut report = Report::default();
        judge(recent, version, NOW, &mut report);
        let json = report.json();
        let line = |finding: &serde_json::Value| format!("{} {}", finding["level"], finding["seen"]).replace('"', "");
        json["findings"].as_array().unwrap().iter().map(line).collect()
    }

    #[test]
    fn a_delivery_that_waited_is_told_on_every_version() {
        let punctual = [delivery(1000, Some(1060), 204), delivery(1000, Some(1000), 204)];
        assert_eq!(findings(&punctual, NEW), ["ok the latest 2 arrived"]);
        let waited = [delivery(1000, Some(1061), 204), delivery(1000, Some(1400), 204)];
        assert_eq!(findings(&waited, NEW)[0], "warning one was made 400 s after its event");
        // Recorded: 2.0.8/hlsgate-404-repeated. There is no deliveryTime.
        let old = [
            delivery(1178, None, 204),
            delivery(1118, None, 404),
            delivery(1108, None, 204),
            delivery(1108, None, 204),
            delivery(1108, None, 404),
            delivery(1106, None, 204),
        ];
        let found = findings(&old, OLD);
        assert_eq!(found[1], "warning one was made 70 s after its event", "{found:?}");
    }

    /// Before 2.3.4 BTCPay would repeat a refusal for an hour, with all later events behind it.
    #[test]
    fn a_delivery_that_was_not_believed_is_no_success() {
        let recent = [delivery(1990, None, 202), delivery(1980, None, 204)];
        assert!(findings(&recent, OLD)[0].starts_with("wrong 1 of the latest 2 failed, the last one at"));
        assert_eq!(repeated_at(&recent, OLD), None, "nothing waits");
    }

    #[test]
    fn how_long_the_queue_stands_is_told_where_it_does() {
        let failing = [delivery(1990, None, 404), delivery(1930, None, 404), delivery(1920, None, 404)];
        let found = findings(&failing, OLD);
        assert!(found[0].contains("; BTCPay repeats it at 1970-01-01T00:43:10Z, in 10 min"), "{found:?}");
        let found = findings(&failing, NEW);
        assert!(found[0].ends_with("(404)"), "since 2.3.4 it is lost, and nothing waits: {found:?}");
        let failing = [delivery(1999, Some(1999), 500)];
        assert!(findings(&failing, NEW)[0].contains("in 1 min"));
    }

    #[test]
    fn what_failed_before_a_repair_is_no_fault_of_today() {
        let mut recent = vec![delivery(1000, Some(1000), 403), delivery(999, Some(999), 403)];
        assert!(findings(&recent, NEW)[0].starts_with("wrong 2 of the latest 2 failed"));
        recent.insert(0, delivery(1100, Some(1100), 204));
        assert!(findings(&recent, NEW)[0].starts_with("warning 2 of the latest 3 failed"));
        (0..2).for_each(|_| recent.insert(0, delivery(1100, Some(1100), 204)));
        assert!(findings(&recent, NEW)[0].starts_with("ok the latest 3 arrived; before, 2 failed until"));
    }

    #[test]
    fn a_redirect_that_btcpay_counts_as_delivered_is_seen() {
        let recent = [delivery(1000, Some(1000), 200), delivery(999, Some(999), 204)];
        assert!(findings(&recent, NEW)[0].starts_with("wrong 1 of the latest 2 were answered 200"));
    }
}
