//! BTCPay: there, willing, and sending its webhooks here.

use std::time::{Duration, SystemTime};

use super::report::{Level, Report};
use super::trial::{Tried, try_out};
use super::trouble::{CONNECT, GROUP, trouble};
use super::{deliveries, registration, sale};
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::error::Answered;
use crate::btcpay::permissions::{MODIFY_WEBHOOKS, Permissions, TO_SELL, VIEW_LIGHTNING, VIEW_STORE};
use crate::btcpay::secret::WebhookSecrets;
use crate::btcpay::setup::Version;
use crate::btcpay::{Client, Error};
use crate::config::{Btcpay, Config, Problems, files};
use crate::live::{Live, client};

const ANOTHER_KEY: &str =
    "make another in BTCPay under Account, API Keys, and paste it into `hlsgate btcpay connect --key-from-stdin`";
/// Clocks that differ by more are a nuisance: a token seems to begin in the future, or ends early.
const CLOCK_NUISANCE: Duration = Duration::from_secs(5);
/// Clocks that differ by more are wrong.
const CLOCK_WRONG: Duration = Duration::from_secs(60);

/// Looks at everything that the configured key may see.
pub(crate) async fn look(config: &Config, live: Option<&Live>, report: &mut Report) {
    let Some(section) = &config.btcpay else { return };
    let client = match client::client(config) {
        Ok(client) => client,
        Err(failure) => {
            let expected = "the API key of the store, alone in its file";
            report.note(GROUP, Level::Wrong, "API key", failure.what(), expected, CONNECT);
            return;
        }
    };
    let Some(version) = reachable(&client, report).await else { return };
    let Some(permissions) = key(&client, section, report).await else { return };
    store(&client, &permissions, report).await;
    sale::look(&client, section, config, live, report).await;
    super::payments::look(&client, report).await;
    let registered = registration::read(section);
    let url = registered.as_ref().and_then(|it| it.url.clone()).or_else(|| registration::target(config));
    let Some(url) = url else { return };
    if permissions.allow(MODIFY_WEBHOOKS, &section.terms.store) {
        deliveries::look(&client, registered.as_ref(), &url, version, report).await;
    } else {
        report.note(
            GROUP,
            Level::Warning,
            "webhook",
            "the API key may not look at webhooks, so neither it nor its deliveries were looked at",
            format!("a key with {MODIFY_WEBHOOKS}, or a look at Store Settings, Webhooks in BTCPay"),
            "",
        );
    }
    trial(&url, section, report).await;
}

/// BTCPay's version, or what counts as the newest where it is not told; `None` if nothing answers.
async fn reachable(client: &Client, report: &mut Report) -> Option<Version> {
    let health = match client.health().await {
        Ok(health) => health,
        Err(err) => {
            trouble(report, "reachable", &err, "an answer of BTCPay's API");
            return None;
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
    let mut known = Version([u32::MAX; 3]);
    match client.server_info().await {
        Ok(info) => {
            known = Version::of(&info.version);
            match known {
                Version([major, _, _]) if major >= 2 => report.ok(GROUP, "version", info.version),
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
        // Without NBXplorer BTCPay has no words for it, and its health is fine for up to a minute (2.4.1).
        Err(Error::Unavailable { status: 500, answer, .. }) if answer == Answered::default() => report.note(
            GROUP,
            Level::Unknown,
            "version",
            "BTCPay cannot describe itself (500, without a word): its explorer (NBXplorer) or a node is away, most likely",
            "the server's version",
            "look at BTCPay's Server Settings and at NBXplorer; on-chain payments are not seen until it is back",
        ),
        Err(err) => trouble(report, "version", &err, "the server's version"),
    }
    Some(known)
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
    let store = section.terms.store.as_str();
    let missing: Vec<&str> = TO_SELL.into_iter().filter(|needed| !permissions.allow(needed, store)).collect();
    if !missing.is_empty() {
        let seen = format!("may not {} in store {store}", missing.join(", "));
        report.note(GROUP, Level::Wrong, "API key", seen, TO_SELL.join(" and "), ANOTHER_KEY);
    } else {
        report.ok(GROUP, "API key", "may make and see invoices");
    }
    let enough: Vec<&str> = TO_SELL.into_iter().chain([MODIFY_WEBHOOKS, VIEW_STORE, VIEW_LIGHTNING]).collect();
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
    if missing.is_empty() {
        report.ok(GROUP, "second witness", witness(section, permissions.allow(VIEW_LIGHTNING, store)));
    }
    missing.is_empty().then_some(permissions)
}

/// Nothing of this is wrong: the right is optional.
fn witness(section: &Btcpay, may_ask: bool) -> String {
    match (section.lightning_witness, may_ask) {
        (true, true) => "the Lightning node itself is asked about invoices that BTCPay gives up unpaid".into(),
        (true, false) => format!(
            "none: the API key has no {VIEW_LIGHTNING}, so what was paid while the Lightning node was away has to be found by a \
             person"
        ),
        (false, _) => "none: btcpay.lightning_witness is false".into(),
    }
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

/// A signed delivery that means nothing, sent from here: the daemon, nginx and the secret at once.
async fn trial(url: &str, section: &Btcpay, report: &mut Report) {
    let mut unread = Problems::default();
    let file = &section.webhook_secret_file;
    let Some(secrets) = files::secret("btcpay.webhook_secret_file", file, &mut unread, WebhookSecrets::parse) else {
        let seen = unread.iter().map(|problem| problem.text.clone()).collect::<Vec<_>>().join("; ");
        return report.note(GROUP, Level::Wrong, "webhook secret", seen, "the secret that BTCPay signs with", CONNECT);
    };
    let tried = try_out(url, &secrets.current).await;
    let todo = match &tried {
        Tried::Accepted => return report.ok(GROUP, "trial delivery", "accepted by the running daemon"),
        Tried::Answered(403) => "systemctl reload hlsgate",
        Tried::Answered(300..400) => {
            "register the final address (`hlsgate btcpay connect --url …`): BTCPay follows a redirect without the body, and lists \
             what is lost so as delivered"
        }
        Tried::Answered(_) => "see what answers there",
        Tried::Failed(_) => "if this machine cannot reach its own public address, the deliveries above tell more",
    };
    let level = if matches!(tried, Tried::Failed(_)) { Level::Unknown } else { Level::Wrong };
    report.note(GROUP, level, "trial delivery", tried.told(url), format!("204 at {url}"), todo);
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
