//! BTCPay: there, willing, and sending its webhooks here.

use std::time::{Duration, SystemTime};

use super::report::{Level, Report};
use super::webhook::{PATH, Tried, problems, target, try_out};
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::permissions::{MODIFY_WEBHOOKS, Permissions, TO_SELL, VIEW_STORE};
use crate::btcpay::setup::{DeliveryRecord, DeliveryStatus, Webhook};
use crate::btcpay::{Client, Error};
use crate::config::{Btcpay, Config, Problems, files};
use crate::failure::chain;
use crate::live::client;

const GROUP: &str = "BTCPay";
const ANOTHER_KEY: &str =
    "make another in BTCPay under Account, API Keys, and paste it into `hlsgate btcpay connect --key-from-stdin`";
const CONNECT: &str = "hlsgate btcpay connect";
/// Clocks that differ by more are a nuisance: a token seems to begin in the future, or ends early.
const CLOCK_NUISANCE: Duration = Duration::from_secs(5);
/// Clocks that differ by more are wrong.
const CLOCK_WRONG: Duration = Duration::from_secs(60);
/// Attempts to deliver that are looked at.
const RECENT: usize = 50;
/// A delivery that came later than this after its event was held up by others.
const LATE: u64 = 60;

/// Looks at everything that the configured key may see.
pub(super) async fn look(config: &Config, report: &mut Report) {
    let Some(section) = &config.btcpay else { return };
    let client = match client::client(config) {
        Ok(client) => client,
        Err(failure) => {
            let expected = "the API key of the store, alone in its file";
            report.note(GROUP, Level::Wrong, "API key", failure.what(), expected, CONNECT);
            return;
        }
    };
    if !reachable(&client, report).await {
        return;
    }
    let Some(permissions) = key(&client, section, report).await else { return };
    store(&client, &permissions, report).await;
    methods(&client, section, &permissions, report).await;
    super::payments::look(&client, report).await;
    if permissions.allow(MODIFY_WEBHOOKS, &section.store) {
        webhook(&client, config, report).await;
    } else {
        report.note(
            GROUP,
            Level::Warning,
            "webhook",
            "the API key may not look at webhooks, so neither it nor its deliveries were looked at",
            format!("a key with {MODIFY_WEBHOOKS}, or a look at Settings, Webhooks in BTCPay"),
            "",
        );
    }
    trial(config, section, report).await;
}

async fn reachable(client: &Client, report: &mut Report) -> bool {
    let health = match client.health().await {
        Ok(health) => health,
        Err(err) => {
            trouble(report, "reachable", &err, "an answer of BTCPay's API");
            return false;
        }
    };
    match health.synchronized {
        true => report.ok(GROUP, "reachable", client.at()),
        false => report.note(
            GROUP,
            Level::Warning,
            "reachable",
            format!("{} answers, but its nodes are still synchronizing", client.at()),
            "synchronized nodes: until then payments may not be seen",
            "wait, or look at the server's nodes",
        ),
    }
    match health.date {
        Some(date) => clock(date, SystemTime::now(), report),
        None => report.note(GROUP, Level::Unknown, "clock", "the answer has no Date", "a Date header", ""),
    }
    match client.server_info().await {
        Ok(info) => {
            let major: Option<u32> = info.version.split('.').next().and_then(|major| major.parse().ok());
            match major {
                Some(2..) => report.ok(GROUP, "version", info.version),
                _ => report.note(
                    GROUP,
                    Level::Wrong,
                    "version",
                    info.version,
                    "2.0 or newer: before, payment methods had other names",
                    "update BTCPay Server",
                ),
            }
        }
        // The key's own finding says what to do.
        Err(Error::Unauthenticated { .. }) => {}
        Err(err) => trouble(report, "version", &err, "the server's version"),
    }
    true
}

/// The `Date` header has whole seconds, so one second of difference is none.
fn clock(theirs: SystemTime, ours: SystemTime, report: &mut Report) {
    let (difference, which) = match ours.duration_since(theirs) {
        Ok(behind) => (behind, "behind"),
        Err(err) => (err.duration(), "ahead"),
    };
    let seen = format!("BTCPay's clock is {} s {which}", difference.as_secs());
    let level = match difference {
        _ if difference <= CLOCK_NUISANCE => return report.ok(GROUP, "clock", "agrees with this machine's"),
        _ if difference <= CLOCK_WRONG => Level::Warning,
        _ => Level::Wrong,
    };
    report.note(
        GROUP,
        level,
        "clock",
        seen,
        "the same time on both machines",
        "turn on NTP: `timedatectl set-ntp true`",
    );
}

async fn key(client: &Client, section: &Btcpay, report: &mut Report) -> Option<Permissions> {
    let permissions = match client.api_key().await {
        Ok(info) => info.permissions,
        Err(err) => {
            trouble(report, "API key", &err, "a key that BTCPay knows");
            return None;
        }
    };
    let store = section.store.as_str();
    let missing: Vec<&str> = TO_SELL.into_iter().filter(|needed| !permissions.allow(needed, store)).collect();
    if !missing.is_empty() {
        let seen = format!("may not {} in store {store}", missing.join(", "));
        report.note(GROUP, Level::Wrong, "API key", seen, TO_SELL.join(" and "), ANOTHER_KEY);
    } else {
        report.ok(GROUP, "API key", "may make and see invoices");
    }
    let enough: Vec<&str> = TO_SELL.into_iter().chain([MODIFY_WEBHOOKS, VIEW_STORE]).collect();
    let beyond = permissions.beyond(&enough, store);
    if !beyond.is_empty() {
        report.note(
            GROUP,
            Level::Warning,
            "API key",
            format!("may more than it needs: {}", beyond.join(", ")),
            format!("rights for store {store} alone, and none to move money or change settings"),
            ANOTHER_KEY,
        );
    }
    missing.is_empty().then_some(permissions)
}

async fn store(client: &Client, permissions: &Permissions, report: &mut Report) {
    let id = client.store_id().to_owned();
    let found = match permissions.allow(VIEW_STORE, &id) {
        true => client.store().await.map(|store| format!("{id} ({})", store.name)),
        false => client.invoices(InvoiceQuery { take: 1, ..InvoiceQuery::default() }).await.map(|_| id),
    };
    match found {
        Ok(seen) => report.ok(GROUP, "store", seen),
        Err(err) => trouble(report, "store", &err, "the store in btcpay.store, open to this key"),
    }
}

/// Whether the configured payment methods are really there: by the store's settings where the key may see them, else by
/// what the latest invoice had.
async fn methods(client: &Client, section: &Btcpay, permissions: &Permissions, report: &mut Report) {
    let store = client.store_id();
    let (available, source) = if permissions.allow(VIEW_STORE, store) {
        match client.store_payment_methods().await {
            Ok(methods) => {
                let enabled = methods.into_iter().filter(|method| method.enabled);
                (enabled.map(|method| method.payment_method_id).collect::<Vec<_>>(), "turned on in the store")
            }
            Err(err) => return trouble(report, "payment methods", &err, "the store's payment methods"),
        }
    } else {
        match client.invoices(InvoiceQuery { take: 1, ..InvoiceQuery::default() }).await {
            Ok(page) => match page.invoices.into_iter().next() {
                Some(invoice) => (invoice.checkout.payment_methods, "offered by the latest invoice"),
                None => {
                    let seen = "not known: the store has no invoice yet, and the API key may not see its settings";
                    let todo = "make one invoice; if its QR code is there, all is well";
                    let expected = section.payment_methods.join(", ");
                    return report.note(GROUP, Level::Warning, "payment methods", seen, expected, todo);
                }
            },
            Err(err) => return trouble(report, "payment methods", &err, "the latest invoice"),
        }
    };
    let is_there = |wanted: &&String| available.contains(wanted);
    let (there, missing): (Vec<&String>, Vec<&String>) = section.payment_methods.iter().partition(is_there);
    let list = |methods: &[&String]| methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        return report.ok(GROUP, "payment methods", format!("{} {source}", list(&there)));
    }
    // BTCPay leaves a method out silently as long as another one works.
    let level = if there.is_empty() { Level::Wrong } else { Level::Warning };
    report.note(
        GROUP,
        level,
        "payment methods",
        format!("{} not {source}", list(&missing)),
        format!("all of btcpay.payment_methods: {}", section.payment_methods.join(", ")),
        "connect a wallet or a Lightning node in BTCPay, or take them out of btcpay.payment_methods",
    );
}

async fn webhook(client: &Client, config: &Config, report: &mut Report) {
    let Some(target) = target(config) else { return };
    let known = match client.webhooks().await {
        Ok(known) => known,
        Err(err) => return trouble(report, "webhook", &err, "the store's webhooks"),
    };
    let exact = known.iter().find(|webhook| webhook.url == target.as_str());
    let Some(found) = exact.or_else(|| known.iter().find(|webhook| webhook.url.ends_with(PATH))) else {
        let seen = format!("none of the store's {} goes to this site", known.len());
        return report.note(GROUP, Level::Wrong, "webhook", seen, target.as_str(), CONNECT);
    };
    if exact.is_none() {
        report.note(
            GROUP,
            Level::Warning,
            "webhook",
            format!("goes to {}", found.url),
            format!("{target}, unless BTCPay reaches the site by another address"),
            "",
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
    deliveries(client, found, report).await;
}

async fn deliveries(client: &Client, webhook: &Webhook, report: &mut Report) {
    let recent = match client.deliveries(&webhook.id, RECENT).await {
        Ok(recent) => recent,
        Err(err) => return trouble(report, "deliveries", &err, "the webhook's deliveries"),
    };
    let Some(latest) = recent.first() else {
        return report.ok(GROUP, "deliveries", "none yet");
    };
    let failed: Vec<&DeliveryRecord> =
        recent.iter().filter(|delivery| delivery.status != DeliveryStatus::HttpSuccess).collect();
    let Some(newest) = failed.first() else {
        late(&recent, report);
        return report.ok(GROUP, "deliveries", format!("the latest {} arrived", recent.len()));
    };
    let level = if latest.status == DeliveryStatus::HttpSuccess { Level::Warning } else { Level::Wrong };
    let seen = format!(
        "{} of the latest {} failed, the last one at {} ({})",
        failed.len(),
        recent.len(),
        crate::live::clock::date(newest.timestamp.0),
        newest.http_code.map_or_else(|| "no answer".to_owned(), |code| code.to_string()),
    );
    let todo = match newest.http_code {
        Some(403) => "BTCPay signs with another secret, or a firewall is in the way: run `hlsgate btcpay connect`",
        Some(404) => "include snippets/hlsgate.conf in the site's server block, and run the daemon with [btcpay]",
        Some(300..400) => "register the final address: run `hlsgate btcpay connect`",
        Some(_) => "look into the daemon's log and nginx's error log for that time",
        None => "let BTCPay's machine reach the site (DNS, firewall, certificate)",
    };
    report.note(GROUP, level, "deliveries", seen, "2xx for each; no sale is lost, but viewers wait longer", todo);
    late(&recent, report);
}

fn late(recent: &[DeliveryRecord], report: &mut Report) {
    let delay = |delivery: &DeliveryRecord| delivery.delivery_time.map(|made| delivery.timestamp.until(made));
    let late = recent.iter().filter_map(delay).filter(|seconds| *seconds > LATE).max();
    if let Some(longest) = late {
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

/// A signed delivery that means nothing, sent from here: the daemon, nginx and the secret at once.
async fn trial(config: &Config, section: &Btcpay, report: &mut Report) {
    let Some(target) = target(config) else { return };
    let mut unread = Problems::default();
    let secrets = files::secret_lines("btcpay.webhook_secret_file", &section.webhook_secret_file, &mut unread);
    let secret = secrets.and_then(|lines| crate::btcpay::secret::WebhookSecret::new(lines.first()?).ok());
    let Some(secret) = secret else {
        let seen = unread.iter().map(|problem| problem.text.clone()).collect::<Vec<_>>().join("; ");
        return report.note(GROUP, Level::Wrong, "webhook secret", seen, "the secret that BTCPay signs with", CONNECT);
    };
    let tried = try_out(target.as_str(), &secret).await;
    let todo = match &tried {
        Tried::Accepted => return report.ok(GROUP, "trial delivery", "accepted by the running daemon"),
        Tried::Answered(403) => "systemctl reload hlsgate",
        Tried::Answered(_) => "see what answers there",
        Tried::Failed(_) => "if this machine cannot reach its own public address, the deliveries above tell more",
    };
    let level = if matches!(tried, Tried::Failed(_)) { Level::Unknown } else { Level::Wrong };
    report.note(GROUP, level, "trial delivery", tried.told(target.as_str()), format!("204 at {target}"), todo);
}

/// Something that BTCPay did not answer as it should: wrong, or, where it may pass by itself, not looked at.
fn trouble(report: &mut Report, what: &str, err: &Error, expected: &str) {
    let level = if err.is_passing() { Level::Unknown } else { Level::Wrong };
    report.note(GROUP, level, what, chain(err), expected, "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::time::UnixTime;

    #[test]
    fn clocks_may_differ_by_seconds() {
        let ours = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_000_000);
        for (seconds, level) in [(0, "ok"), (5, "ok"), (6, "warning"), (60, "warning"), (61, "wrong")] {
            for theirs in [ours - Duration::from_secs(seconds), ours + Duration::from_secs(seconds)] {
                let mut report = Report::default();
                clock(theirs, ours, &mut report);
                assert_eq!(report.json()["findings"][0]["level"], level, "{seconds} s");
            }
        }
    }

    #[test]
    fn a_delivery_that_waited_is_told() {
        let delivery = |made: u64| DeliveryRecord {
            timestamp: UnixTime(1000),
            delivery_time: Some(UnixTime(made)),
            http_code: Some(204),
            status: DeliveryStatus::HttpSuccess,
        };
        let mut report = Report::default();
        late(&[delivery(1000), delivery(1060)], &mut report);
        assert_eq!(report.json()["findings"], serde_json::json!([]));
        late(&[delivery(1061), delivery(1400)], &mut report);
        assert_eq!(report.json()["findings"][0]["seen"], "one was made 400 s after its event");
    }
}
