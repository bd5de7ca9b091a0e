//! The commands that ask BTCPay: what they do, and what they print.
// A test may stop on what cannot happen.
#![allow(clippy::unwrap_used)]

mod reach;
mod shop;

use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use hlsgate::Cli;
use hlsgate::btcpay::{InvoiceQuery, Webhook};
use serde_json::json;

use crate::harness::btcpay::{API_KEY, STORE};
use shop::Shop;

/// 2026-11-21 12:00 and 2026-11-22 12:00, UTC.
const DAYS: [u64; 2] = [1_795_262_400, 1_795_348_800];

#[tokio::test]
async fn without_a_key_connect_tells_how_to_get_one() {
    let shop = Shop::new(&[]).await;
    let outcome = shop.run(&["btcpay", "connect"]);
    let expected = "\
There is no API key in DIR/btcpay-api-key yet.

  1. Open this in a browser, log in to BTCPay, and confirm:

     BTCPAY/api-keys/authorize?permissions=btcpay.store.cancreateinvoice%3A9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776\
&permissions=btcpay.store.canviewinvoices%3A9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776\
&permissions=btcpay.store.webhooks.canmodifywebhooks%3A9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776\
&permissions=btcpay.store.canviewlightninginvoice%3A9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776&applicationName=hlsgate&strict=true

     It asks for three rights in the store 9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776 alone: make invoices, see them, manage webhooks.
     A fourth, btcpay.store.canviewlightninginvoice, is optional: with it the Lightning node itself is asked about an
     invoice that BTCPay gives up unpaid, so that nobody loses what they paid while the node was away. It shows every
     invoice of that node, with the proofs of payment, whoever made it. To go without, leave this out of the link:
     &permissions=btcpay.store.canviewlightninginvoice%3A9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776
  2. hlsgate btcpay connect --key-from-stdin    # paste the key that it shows, then Enter and Ctrl-D
     This stores it in DIR/btcpay-api-key, for the daemon alone to read, and goes on.
";
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (1, expected, ""));
    assert!(!shop.file("btcpay-webhook-secret").exists());

    // A key that BTCPay does not know is not stored; a good one is, closed to others, and the rest follows.
    let unknown =
        shop.run_with(&["btcpay", "connect", "--key-from-stdin"], "2222222222222222222222222222222222222222\n");
    assert!(unknown.code == 1 && unknown.stderr.contains("refused the API key (401)"), "{unknown:?}");
    let no_key = shop.run_with(&["btcpay", "connect", "--key-from-stdin"], "two words\n");
    assert_eq!(no_key.code, 2, "{no_key:?}");
    assert!(!shop.file("btcpay-api-key").exists());
    let outcome = shop.run_with(&["btcpay", "connect", "--key-from-stdin"], &format!(" {API_KEY}\n"));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(std::fs::read_to_string(shop.file("btcpay-api-key")).unwrap(), format!("{API_KEY}\n"));
    assert_eq!(mode(&shop, "btcpay-api-key"), 0o600);
    assert_eq!(the_webhook(&shop).await.url, format!("{}/hlsgate/webhooks/btcpay", shop.site.url));
}

#[tokio::test]
async fn connect_registers_once_and_repairs() {
    let shop = Shop::new(&[]).await;
    shop.store_key(API_KEY);
    let outcome = shop.run(&["btcpay", "connect"]);
    let webhook = the_webhook(&shop).await;
    let expected = "\
BTCPay   BTCPAY: the API key may make and see invoices, and manage webhooks
secret   made: DIR/btcpay-webhook-secret
webhook  made: WEBHOOK
         to SITE/hlsgate/webhooks/btcpay
         for InvoiceProcessing, InvoiceSettled, InvoicePaymentSettled, InvoicePaidAfterExpiration, InvoiceInvalid
trial    a trial delivery found nothing there (404): the daemon runs without [btcpay], or nginx does not include \
snippets/hlsgate.conf

Next steps: `systemctl reload hlsgate` (or start it), then `hlsgate check`.
";
    assert_eq!((outcome.code, outcome.stdout.replace(&webhook.id, "WEBHOOK").as_str()), (0, expected), "{outcome:?}");
    assert!(webhook.enabled && webhook.automatic_redelivery && !webhook.authorized_events.everything);
    let secrets = shop.secrets();
    assert_eq!((secrets.len(), secrets[0].len()), (1, 43));
    assert_eq!(mode(&shop, "btcpay-webhook-secret"), 0o600);

    // What BTCPay signs now is what the file says.
    shop.reload();
    sale_is_delivered(&shop).await;

    // Again: the same webhook, the same secret.
    let outcome = shop.run(&["btcpay", "connect"]);
    assert!(outcome.stdout.contains("secret   kept: DIR/btcpay-webhook-secret\n"), "{outcome:?}");
    assert!(outcome.stdout.contains("webhook  was right already: "), "{outcome:?}");
    assert!(outcome.stdout.ends_with("trial    a signed trial delivery was accepted\n"), "{outcome:?}");
    assert_eq!((the_webhook(&shop).await.id, shop.secrets()), (webhook.id.clone(), secrets.clone()));

    // Somebody meddled with it in BTCPay, and set another secret.
    let elsewhere = json!({ "url": webhook.url, "enabled": false, "automaticRedelivery": false, "secret": "other",
        "authorizedEvents": { "everything": false, "specificEvents": ["InvoiceCreated", "InvoiceSettled"] } });
    let put = reqwest::Client::new()
        .put(format!("{}/api/v1/stores/{STORE}/webhooks/{}", shop.btcpay.url, webhook.id))
        .header("Authorization", format!("token {API_KEY}"))
        .json(&elsewhere);
    assert!(put.send().await.unwrap().status().is_success());
    let outcome = shop.run(&["btcpay", "connect"]);
    let expected = "webhook  repaired (it was disabled; automatic redelivery was off; it did not deliver InvoiceProcessing, \
        InvoicePaymentSettled, InvoicePaidAfterExpiration, InvoiceInvalid; it delivered InvoiceCreated besides): ";
    assert!(outcome.stdout.contains(expected), "{outcome:?}");
    let repaired = the_webhook(&shop).await;
    assert!(repaired.enabled && repaired.automatic_redelivery && repaired.id == webhook.id);
    sale_is_delivered(&shop).await;
}

#[tokio::test]
async fn a_new_secret_loses_no_delivery() {
    let shop = Shop::connected().await;
    let before = shop.secrets();
    // The first step is no error: it ends with what comes next.
    let outcome = shop.run(&["btcpay", "connect", "--new-secret"]);
    let expected = "\
webhook  BTCPay goes on with the secret that it has; nothing is lost meanwhile

Next steps: `systemctl reload hlsgate`, and then `hlsgate btcpay connect` again.
";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.stdout.ends_with(expected), "{outcome:?}");
    let during = shop.secrets();
    assert_eq!((during.len(), &during[1]), (2, &before[0]));
    assert_ne!(during[0], before[0]);
    // Again without a reload: still not, and now it is an error.
    let outcome = shop.run(&["btcpay", "connect"]);
    let expected = "\
error: BTCPay goes on with the secret that it has: a signed trial delivery was refused (403): the running daemon has another secret, or a firewall is in the way
  hint: run `systemctl reload hlsgate`, and then `hlsgate btcpay connect` again
";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, expected));
    // A second new one before BTCPay was told the first: the one that it signs with is still there.
    assert_eq!(shop.run(&["btcpay", "connect", "--new-secret"]).code, 0);
    let during = shop.secrets();
    assert_eq!((during.len(), &during[2]), (3, &before[0]));
    // The daemon has not reloaded, BTCPay still signs with the old one: nothing is lost. Nor when it has.
    sale_is_delivered(&shop).await;
    shop.reload();
    sale_is_delivered(&shop).await;

    let outcome = shop.run(&["btcpay", "connect"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("webhook  repaired (it was told the secret): "), "{outcome:?}");
    assert_eq!(shop.secrets(), during, "none goes before a delivery under a newer one has come");
    let again = shop.run(&["btcpay", "connect"]);
    assert!(again.stdout.contains("webhook  was right already: "), "{again:?}");
    // Hours later, when all that was queued under an earlier one has come, they go.
    shop.btcpay.control("clock", json!({ "advance": 3 * 60 * 60 })).await;
    sale_is_delivered(&shop).await;
    let outcome = shop.run(&["btcpay", "connect"]);
    assert!(outcome.stdout.contains("the earlier ones were dropped"), "{outcome:?}");
    assert_eq!(shop.secrets(), during[..1]);
    // Now BTCPay signs with the new one alone.
    shop.reload();
    sale_is_delivered(&shop).await;
}

/// An inner address stays the webhook's, whatever is run afterwards: there is one webhook, and rotation reaches it.
#[tokio::test]
async fn connect_remembers_where_its_webhook_goes() {
    let shop = Shop::connected().await;
    let made = the_webhook(&shop).await;
    let inner = format!("{}/hlsgate/webhooks/btcpay", shop.site.url.replace("127.0.0.1", "localhost"));
    let outcome = shop.run(&["btcpay", "connect", "--url", &inner]);
    assert!(outcome.stdout.contains("webhook  repaired (it went to SITE/hlsgate/webhooks/btcpay): "), "{outcome:?}");
    let (code, findings) = shop.check();
    assert!(code == 0 && findings.contains(&format!("ok webhook: {} goes to {inner}", made.id)), "{findings:#?}");

    assert_eq!(shop.run(&["btcpay", "connect", "--new-secret"]).code, 0);
    shop.reload();
    assert_eq!(shop.run(&["btcpay", "connect"]).code, 0);
    let webhook = the_webhook(&shop).await;
    assert_eq!((webhook.id, webhook.url), (made.id, inner));
    std::fs::write(shop.file("btcpay-webhook-secret"), &shop.secrets()[0]).unwrap();
    shop.reload();
    sale_is_delivered(&shop).await;
    // Back to public_url, when that is said.
    let usual = format!("{}/hlsgate/webhooks/btcpay", shop.site.url);
    assert_eq!(shop.run(&["btcpay", "connect", "--url", &usual]).code, 0);
    assert_eq!(the_webhook(&shop).await.url, usual);
}

#[tokio::test]
async fn a_key_that_sells_is_enough_and_another_one_can_be_had_at_any_time() {
    let shop = Shop::new(&[]).await;
    for rights in [["cancreateinvoice", "canviewinvoices"], ["cancreateinvoice", "canviewstoresettings"]] {
        let rights: Vec<String> = rights.iter().map(|right| format!("btcpay.store.{right}:{STORE}")).collect();
        shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": rights })).await;
        let outcome = shop.run_with(&["btcpay", "connect", "--key-from-stdin"], API_KEY);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        assert!(outcome.stdout.contains("         Payload URL SITE/hlsgate/webhooks/btcpay\n"), "{outcome:?}");
    }
    let outcome = shop.run(&["btcpay", "connect", "--new-key"]);
    assert!(outcome.code == 0 && outcome.stdout.contains("BTCPAY/api-keys/authorize?"), "{outcome:?}");
}

/// Recorded: `hlsgate-null-webhook`, and `hlsgate-null-webhook-sale` of 2.0.8.
#[tokio::test]
async fn anothers_webhook_without_events_stops_nothing_here_and_is_named_where_it_stops_btcpay() {
    for (version, silenced) in [("2.4.1", false), ("2.3.7", false), ("2.3.6", true), ("2.0.8", true)] {
        let shop = Shop::new(&["--version", version]).await;
        shop.store_key(API_KEY);
        let other = json!({ "url": "https://other.example/hook", "enabled": true, "automaticRedelivery": true,
            "authorizedEvents": { "everything": false, "specificEvents": null } });
        let post = reqwest::Client::new()
            .post(format!("{}/api/v1/stores/{STORE}/webhooks", shop.btcpay.url))
            .header("Authorization", format!("token {API_KEY}"))
            .json(&other);
        assert!(post.send().await.unwrap().status().is_success());
        let outcome = shop.run(&["btcpay", "connect"]);
        assert_eq!(outcome.code, 0, "{version}: {outcome:?}");
        shop.reload();
        let (_, findings) = shop.check();
        let named = findings.iter().find(|finding| finding.contains("https://other.example/hook"));
        assert_eq!(
            named.is_some_and(|finding| finding.starts_with("wrong webhook: ")),
            silenced,
            "{version}: {findings:#?}"
        );
    }
}

#[tokio::test]
async fn connect_says_what_the_key_lacks() {
    let shop = Shop::new(&[]).await;
    let weak = "1111111111111111111111111111111111111111";
    let permissions = [format!("btcpay.store.canviewinvoices:{STORE}"), "btcpay.store.cancreateinvoice:Other".into()];
    shop.btcpay.control("keys", json!({ "key": weak, "permissions": permissions })).await;
    shop.store_key(weak);
    let outcome = shop.run(&["btcpay", "connect"]);
    assert_eq!(outcome.code, 1);
    let expected = "error: the API key may not do this in store 9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776: \
        btcpay.store.cancreateinvoice\n  hint: make another at BTCPAY/api-keys/";
    assert!(outcome.stderr.starts_with(expected), "{outcome:?}");
    assert!(!shop.file("btcpay-webhook-secret").exists());

    shop.store_key("2222222222222222222222222222222222222222");
    let outcome = shop.run(&["btcpay", "connect"]);
    let expected = "error: cannot ask BTCPay what the API key may: BTCPay at BTCPAY refused the API key (401); \
        make a new one and put it into btcpay.api_key_file\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, expected));
}

#[tokio::test]
async fn check_finds_nothing_wrong_where_nothing_is() {
    let shop = Shop::connected().await;
    let invoice = shop.order("c05f2318", "24h").await;
    shop.pay(&invoice, DAYS[0]).await;
    shop.btcpay.idle().await;
    let webhook = the_webhook(&shop).await;
    let outcome = shop.run(&["check"]);
    let group: String = outcome.stdout.split_inclusive('\n').skip_while(|line| *line != "BTCPay\n").collect();
    let group: String = group.split_inclusive('\n').take_while(|l| *l == "BTCPay\n" || l.starts_with(' ')).collect();
    let expected = "\
BTCPay
  ✓ reachable: BTCPAY
  ✓ clock: agrees with this machine's
  ✓ version: 2.4.1
  ✓ API key: may make and see invoices
  ✓ second witness: none: the API key has no btcpay.store.canviewlightninginvoice, so what was paid while the Lightning \
node was away has to be found by a person
  ✓ store: 9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776 (Stand-in)
  ✓ sale: 24h (100 SATS), forever (5.00 USD), 30d (20000 SATS) by BTC-LN, BTC-CHAIN
  ✓ sale: without on-chain, as BTCPay leaves it out below 294 sats: 24h (100 SATS)
  ✓ time zone: the latest payments are told in UTC
  ✓ network fee: added to on-chain payments after an invoice's first; \"never\" is kinder to who pays in parts
  ✓ webhook: WEBHOOK goes to SITE/hlsgate/webhooks/btcpay
  ✓ deliveries: the latest 3 arrived
  ✓ trial delivery: accepted by the running daemon
";
    assert_eq!(group.replace(&webhook.id, "WEBHOOK"), expected);

    // The optional right is told, and is none too many.
    let names = ["cancreateinvoice", "canviewinvoices", "webhooks.canmodifywebhooks", "canviewlightninginvoice"];
    let all = names.map(|name| format!("btcpay.store.{name}:{STORE}"));
    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": all })).await;
    let (code, findings) = shop.check();
    let told = "ok second witness: the Lightning node itself is asked about invoices that BTCPay gives up unpaid";
    assert!(code == 0 && findings.iter().any(|finding| finding == told), "{findings:#?}");
    assert!(!findings.iter().any(|finding| finding.contains("more than it needs")), "{findings:#?}");
}

#[tokio::test]
async fn check_names_each_trouble() {
    let shop = Shop::connected().await;
    let finds = |code: i32, expected: &str| {
        let (got, findings) = shop.check();
        assert!(findings.iter().any(|finding| finding == expected), "{expected}\nnot in {findings:#?}");
        assert_eq!(got, code, "{expected}: {findings:#?}");
    };
    finds(0, "ok deliveries: none yet");

    shop.btcpay.switch(json!({ "down": "502" })).await;
    finds(2, "unknown reachable: BTCPay at BTCPAY is in trouble (502): no reason given");
    shop.btcpay.switch(json!({ "down": null, "synchronized": false })).await;
    finds(0, "warning reachable: BTCPAY answers, but its nodes are still synchronizing");
    shop.btcpay.switch(json!({ "synchronized": true })).await;
    let invoice = shop.order("c05f2318", "24h").await;

    // Deliveries that were refused: the daemon has another secret than BTCPay.
    let secrets = shop.site.secrets.lock().unwrap().replace(hlsgate::btcpay::WebhookSecrets::parse("x").unwrap());
    finds(
        1,
        "wrong trial delivery: a signed trial delivery was refused (403): the running daemon has another secret, or a firewall is in the way",
    );
    shop.pay(&invoice, DAYS[0]).await;
    shop.btcpay.idle().await;
    *shop.site.secrets.lock().unwrap() = secrets;
    let (code, findings) = shop.check();
    let failed = findings.iter().find(|finding| finding.starts_with("wrong deliveries: 3 of the latest 3 failed"));
    assert!(code == 1 && failed.is_some_and(|finding| finding.ends_with("(403)")), "{findings:#?}");
    sale_is_delivered(&shop).await;
    let (code, findings) = shop.check();
    let mended =
        findings.iter().any(|finding| finding.starts_with("ok deliveries: the latest 3 arrived; before, 3 failed"));
    assert!(code == 0 && mended, "{findings:#?}");

    shop.btcpay.control("clock", json!({ "advance": 30 })).await;
    let (_, findings) = shop.check();
    assert!(findings.iter().any(|f| f.starts_with("warning clock: BTCPay's clock is ") && f.ends_with("s ahead")));
    shop.btcpay.control("clock", json!({ "advance": 100 })).await;
    assert!(shop.check().1.iter().any(|finding| finding.starts_with("wrong clock: ")));

    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": ["unrestricted"] })).await;
    let (_, findings) = shop.check();
    assert!(findings.contains(&"warning API key: may more than it needs: unrestricted".to_owned()), "{findings:#?}");
    let few = [format!("btcpay.store.canviewinvoices:{STORE}")];
    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": few })).await;
    finds(1, &format!("wrong API key: may not btcpay.store.cancreateinvoice in store {STORE}"));
    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": null })).await;
    finds(
        1,
        "wrong API key: BTCPay at BTCPAY refused the API key (401); make a new one and put it into btcpay.api_key_file",
    );
}

#[tokio::test]
async fn check_sees_a_webhook_that_is_missing_or_elsewhere() {
    let shop = Shop::connected().await;
    let webhook = the_webhook(&shop).await;
    remove(&shop, &webhook).await;
    let (code, findings) = shop.check();
    let expected = "wrong webhook: none of the store's 0 goes to this site".to_owned();
    assert!(code == 1 && findings.contains(&expected), "{findings:#?}");

    // Made by hand, by another address.
    let internal = format!("{}/hlsgate/webhooks/btcpay", shop.site.url.replace("127.0.0.1", "localhost"));
    let hand = json!({ "url": internal, "enabled": true, "automaticRedelivery": true, "secret": shop.secrets()[0],
        "authorizedEvents": { "everything": false, "specificEvents": webhook.authorized_events.listed() } });
    let post = reqwest::Client::new()
        .post(format!("{}/api/v1/stores/{STORE}/webhooks", shop.btcpay.url))
        .header("Authorization", format!("token {API_KEY}"))
        .json(&hand);
    assert!(post.send().await.unwrap().status().is_success());
    let (code, findings) = shop.check();
    let expected = format!("warning webhook: goes to {internal}");
    assert!(code == 0 && findings.contains(&expected), "{findings:#?}");
    let outcome = shop.run(&["btcpay", "connect"]);
    let expected = format!(", goes to {internal}: delete it in BTCPay if it is not needed\n");
    assert!(outcome.code == 0 && outcome.stdout.contains(&expected), "{outcome:?}");
}

/// `check` asks for what a viewer would: it is red while nothing sells, and no stranger's invoice makes it so.
#[tokio::test]
async fn check_tries_a_sale_at_every_price() {
    let shop = Shop::connected().await;
    let sale = || -> Vec<String> { shop.check().1.into_iter().filter(|finding| finding.contains(" sale: ")).collect() };
    // A Lightning address is a stranger's invoice, for one method alone.
    shop.btcpay
        .control(
            "invoices",
            json!({ "amount": "0.00001", "currency": "BTC",
        "checkout": { "paymentMethods": ["BTC-LNURL"] } }),
        )
        .await;
    shop.btcpay.switch(json!({ "rates": {} })).await;
    let found = sale();
    assert!(
        found.iter().any(|it| it.starts_with("wrong sale: forever (5.00 USD): ") && it.contains("BTC_USD")),
        "{found:#?}"
    );
    assert!(found.iter().any(|it| it.starts_with("ok sale: 24h (100 SATS), 30d (20000 SATS) by ")), "{found:#?}");
    // The next look within ten minutes makes no further invoice for what went well.
    let creations = async || shop.btcpay.calls("method=POST&path=/invoices").await.len();
    let before = creations().await;
    sale();
    assert_eq!(creations().await, before + 1);

    // The node goes away: what was made lately is as it was made, and an hour later it shows.
    shop.btcpay.switch(json!({ "rates": { "USD": "50000" }, "left_out": ["BTC-LN"] })).await;
    assert!(sale().iter().any(|it| it == "warning sale: forever (5.00 USD): offered without BTC-LN"), "{:#?}", sale());
    shop.btcpay.switch(json!({ "left_out": ["BTC-LN", "BTC-CHAIN"], "answer_create": {} })).await;
    an_hour_passes(&shop).await;
    assert!(sale().iter().any(|it| it.starts_with("wrong sale: 24h (100 SATS): ")), "{:#?}", sale());
    // Another amount than was asked for: named with the remedy.
    shop.btcpay.switch(json!({ "left_out": [], "answer_create": { "amount": "5.01" } })).await;
    let found = sale();
    assert!(found.iter().any(|it| it == "wrong sale: forever (5.00 USD): BTCPay makes 5.01 USD of it"), "{found:#?}");
}

/// Without NBXplorer BTCPay is well for up to a minute, and then answers the question for its version with an empty 500.
#[tokio::test]
async fn check_says_what_an_empty_answer_means() {
    let shop = Shop::connected().await;
    let of = |findings: &[String], what: &str| -> Vec<String> {
        findings.iter().filter(|finding| finding.contains(&format!(" {what}: "))).cloned().collect()
    };
    shop.btcpay.control("explorer", json!({ "up": false })).await;
    let (_, findings) = shop.check();
    assert_eq!(of(&findings, "version"), ["ok version: 2.4.1"], "BTCPay has not noticed");
    // A real first step tells it at once.
    let sale = "warning sale: forever (5.00 USD): offered without BTC-CHAIN";
    assert!(of(&findings, "sale").iter().any(|finding| finding == sale), "{findings:#?}");
    shop.btcpay.control("clock", json!({ "advance": 70 })).await;
    let (_, findings) = shop.check();
    let version = "unknown version: BTCPay cannot describe itself (500, without a word): its explorer (NBXplorer) or a node is away, \
                   most likely";
    assert_eq!(of(&findings, "version"), [version]);
    assert_eq!(
        of(&findings, "reachable"),
        ["warning reachable: BTCPAY answers, but its nodes are still synchronizing"]
    );
}

/// An hour passes: no invoice is a recent one any more.
async fn an_hour_passes(shop: &Shop) {
    let all = InvoiceQuery { take: 100, ..InvoiceQuery::default() };
    for invoice in shop.client().invoices(all).await.unwrap().invoices {
        let earlier = invoice.created_time.0 - 3600;
        shop.btcpay.control("tamper", json!({ "invoice": invoice.id, "createdTime": earlier })).await;
    }
}

#[tokio::test]
async fn sales_adds_up_what_the_shop_counts() {
    for version in ["2.0.0", "2.4.1"] {
        let shop = Shop::new(&["--version", version]).await;
        shop.store_key(API_KEY);
        for (video, tier, day) in [
            ("film", "24h", DAYS[0]),
            ("film", "24h", DAYS[1]),
            ("film", "forever", DAYS[1]),
            ("series", "30d", DAYS[1]),
        ] {
            let invoice = shop.order(video, tier).await;
            shop.pay(&invoice, day).await;
        }
        let _unpaid = shop.order("film", "24h").await;
        // A stranger's, paid; one whose order is a copy; and one that somebody says was paid.
        let stranger = shop.invoice("1", "BTC", json!({ "orderId": "film 24h", "buyerEmail": "a@b.example" })).await;
        let paid = shop.order("film", "24h").await;
        let copied = shop.invoice("0.00000001", "BTC", json!({ "hlsgate": paid.metadata.text("hlsgate") })).await;
        shop.pay(&stranger, DAYS[0]).await;
        shop.pay(&copied, DAYS[0]).await;

        let outcome = shop.run(&["sales", "--since", "2026-01-01"]);
        let expected = "\
Sales of invoices made since 2026-01-01T00:00:00Z

day (UTC)   sales         BTC   USD
2026-11-21      1  0.00000100        ██████████
2026-11-22      3  0.00020100  5.00  ██████████████████████████████
total           4  0.00020200  5.00

video   sales         BTC   USD
film        3  0.00000200  5.00  ██████████████████████████████
series      1  0.00020000        ██████████
total       4  0.00020200  5.00

tier     sales         BTC   USD
24h          2  0.00000200        ██████████████████████████████
30d          1  0.00020000        ███████████████
forever      1              5.00  ███████████████
total        4  0.00020200  5.00
";
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, expected, ""), "{version}");

        let outcome = shop.run(&["sales", "--since", "2026-01-01", "--csv"]);
        let mut lines: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!(lines.remove(0), "settled_at,video,covers,tier,amount,currency,invoice,lane");
        lines.sort_unstable();
        let lines: Vec<&str> = lines.iter().map(|line| line.strip_suffix(",page").unwrap()).collect();
        // Each with its number, to be compared with BTCPay's books.
        assert!(lines.iter().all(|line| line.rsplit(',').next().unwrap().len() >= 21), "{lines:?}");
        let lines: Vec<&str> = lines.iter().map(|line| line.rsplit_once(',').unwrap().0).collect();
        let expected = [
            "2026-11-21T12:00:00Z,film,film,24h,0.00000100,BTC",
            "2026-11-22T12:00:00Z,film,film,24h,0.00000100,BTC",
            "2026-11-22T12:00:00Z,film,film,forever,5.00,USD",
            "2026-11-22T12:00:00Z,series,pass:summer,30d,0.00020000,BTC",
        ];
        assert_eq!(lines, expected, "{version}");
        assert_eq!(shop.run(&["sales", "--since", "2999-01-01"]).stdout.lines().last(), Some("None."));
        let outcome = shop.run(&["sales", "--since", "lately"]);
        assert!(outcome.code == 2 && outcome.stderr.contains("neither a date such as"), "{outcome:?}");
    }
}

/// More invoices than BTCPay is asked for at once; a stranger's, settled without a payment, are in front of ours.
#[tokio::test]
async fn sales_pages_through_everything() {
    let shop = Shop::new(&[]).await;
    shop.store_key(API_KEY);
    let invoice = shop.order("film", "24h").await;
    shop.pay(&invoice, DAYS[0]).await;
    shop.btcpay.control("invoices", json!({ "amount": "0", "currency": "BTC", "copies": 201 })).await;
    // A page that fails is asked for again, and no run is lost by it.
    shop.btcpay.switch(json!({ "fail_next": { "count": 1, "status": 502, "path": "/invoices" } })).await;
    let outcome = shop.run(&["sales", "--since", "2026-01-01", "--csv"]);
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
    let calls = shop.btcpay.calls("method=GET&path=/invoices").await;
    assert_eq!(calls.len(), 4);
    let asks = |call: &serde_json::Value, what: &str| call["query"].as_str().unwrap().contains(what);
    assert!(asks(&calls[0], "take=200") && !calls.iter().any(|call| asks(call, "skip=")), "{calls:#?}");
}

#[tokio::test]
async fn a_token_by_its_invoice_is_the_buyers_own() {
    let shop = Shop::new(&[]).await;
    shop.store_key(API_KEY);
    let invoice = shop.order("film", "24h").await;
    let outcome = shop.run(&["token", "issue", "--invoice", &invoice.id]);
    let expected = format!("error: invoice {} bought nothing: the invoice is New/None\n", invoice.id);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr), (1, "", expected));

    shop.pay(&invoice, DAYS[0]).await;
    let token = shop.run(&["token", "issue", "--invoice", &invoice.id]);
    assert_eq!((token.code, &token.stdout), (0, &shop.run(&["token", "issue", "--invoice", &invoice.id]).stdout));
    let told = shop.run(&["token", "inspect", "--json", token.stdout.trim()]);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    // It can be paid for days, so a host in any zone can have written that time: the pass counts from the latest.
    let exp = DAYS[0] + 14 * 3_600 + 86_400;
    let expected = json!({ "sub": "film", "tier": "24h", "iat": DAYS[0], "exp": exp, "jti": invoice.id });
    assert_eq!(told["claims"], expected);
    // It ended long ago: said with the way to make it good, beside the token.
    let (over, good) =
        ("is over since 2026-11-23T02:00:00Z", "`hlsgate token issue --video film --tier 24h --for 86400s`");
    assert!(token.stderr.contains(over) && token.stderr.contains(good), "{token:?}");
    let link = shop.run(&["token", "link", "--invoice", &invoice.id]);
    assert!(link.stderr.contains(over), "{link:?}");
    assert!(link.stdout.contains(&format!("SITE/hls/~{}/film/master.m3u8\n", token.stdout.trim())), "{link:?}");

    assert_eq!(shop.run(&["revoke", &invoice.id]).code, 0);
    let outcome = shop.run(&["token", "issue", "--invoice", &invoice.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("was revoked"), "{outcome:?}");

    let outcome = shop.run(&["token", "issue", "--invoice", "HMprBnL9BTXWuPvpoKBS6e"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("is it an id of this store?"), "{outcome:?}");
    let outcome = shop.run(&["token", "issue", "--invoice", &invoice.id, "--tier", "press"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");

    // Half paid, and its time passed: what lies in it, and what a person can do.
    let half = shop.order("film", "24h").await;
    shop.btcpay.control("pay", json!({ "invoice": half.id, "fraction": 0.5 })).await;
    shop.btcpay.control("expire", json!({ "invoice": half.id })).await;
    let told = shop.run(&["token", "issue", "--invoice", &half.id]).stderr;
    let expected = "the invoice is Expired/PaidPartial; 0.00000050 of 0.00000100 BTC was paid, 0.00000050 of it confirmed\n  hint: ";
    assert!(told.contains(expected) && told.contains("mark it as settled in BTCPay"), "{told}");
}

/// Recorded: `never-confirmed-then-block`. BTCPay has given it up, and has its money.
#[tokio::test]
async fn what_was_confirmed_after_btcpay_gave_it_up_is_a_token_and_a_sale() {
    let shop = Shop::new(&[]).await;
    shop.store_key(API_KEY);
    let invoice = shop.order("film", "forever").await;
    let id = json!({ "invoice": invoice.id });
    shop.btcpay.control("pay", json!({ "invoice": invoice.id, "method": "BTC-CHAIN" })).await;
    shop.btcpay.control("stop-monitoring", id.clone()).await;
    let issue = || shop.run(&["token", "issue", "--invoice", &invoice.id]);
    let sold = || shop.run(&["sales", "--csv"]).stdout.contains(&invoice.id);
    let waiting = issue();
    let expected = "of 5.00 USD was paid, 0 of it confirmed";
    assert!(waiting.code == 1 && waiting.stderr.contains(expected) && !sold(), "{waiting:?}");
    shop.btcpay.control("confirm", id).await;
    let settled = issue();
    assert_eq!((settled.code, settled.stderr.as_str(), sold()), (0, "", true), "{settled:?}");
}

fn mode(shop: &Shop, name: &str) -> u32 {
    std::fs::metadata(shop.file(name)).unwrap().permissions().mode() & 0o777
}

async fn remove(shop: &Shop, webhook: &Webhook) {
    let delete = reqwest::Client::new()
        .delete(format!("{}/api/v1/stores/{STORE}/webhooks/{}", shop.btcpay.url, webhook.id))
        .header("Authorization", format!("token {API_KEY}"));
    assert!(delete.send().await.unwrap().status().is_success());
}

async fn the_webhook(shop: &Shop) -> Webhook {
    let mut webhooks = shop.client().webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 1);
    webhooks.remove(0)
}

/// A sale's deliveries arrive: BTCPay signs with a secret that the site takes.
async fn sale_is_delivered(shop: &Shop) {
    let invoice = shop.order("c05f2318", "24h").await;
    shop.pay(&invoice, DAYS[0]).await;
    shop.btcpay.idle().await;
    let attempts = shop.btcpay.ask(&format!("attempts?invoice={}", invoice.id)).await;
    let attempts: Vec<(&str, u64)> = attempts["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["type"].as_str().unwrap(), attempt["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(attempts, [("InvoicePaymentSettled", 204), ("InvoiceProcessing", 204), ("InvoiceSettled", 204)]);
}

/// Every `hlsgate …` line of the page is one that the program understands.
#[test]
fn the_page_shows_real_commands() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/btcpay.md")).unwrap();
    // Every second part stands between two fences; prose may begin a line with the program's name as well.
    let shell = page.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh\n"));
    let lines: Vec<&str> = shell.flat_map(str::lines).filter(|line| line.starts_with("hlsgate ")).collect();
    assert!(lines.len() > 8);
    for line in lines {
        let command = line.split(['#', '>']).next().unwrap();
        if let Err(err) = Cli::try_parse_from(command.split_whitespace()) {
            panic!("{line}: {err}");
        }
    }
}
