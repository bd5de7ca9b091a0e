//! The client against answers of every shape, kind and unkind.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::btcpay::invoice::Metadata;
use crate::btcpay::money::decimal;
use crate::btcpay::secret::WebhookSecret;
use crate::btcpay::setup::AuthorizedEvents;
use crate::btcpay::test_server::{Reply, TestServer, html, json};

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        public_url: None,
        store: "9CiNzKo".into(),
        api_key: ApiKey::parse(KEY).unwrap(),
        ca_file: None,
        timeouts: Timeouts { read: Duration::from_millis(500), write: Duration::from_secs(5) },
    }
}

fn client(server: &TestServer) -> Client {
    Client::new(&settings(&server.url)).unwrap()
}

fn invoice_json(id: &str, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","storeId":"9CiNzKo","amount":"0.00010000","currency":"BTC","type":"Standard","status":"New",
        "additionalStatus":"None","createdTime":1785000000,"expirationTime":1785000900,
        "monitoringExpiration":1785087300,"metadata":{{}}{more}}}"#
    )
}

const METHODS: &str = r#"[{"paymentMethodId":"BTC-LN","currency":"BTC","activated":true,"destination":"lnbc1","rate":"1.0",
    "amount":"0.0001","due":"0.0001","payments":[]}]"#;

fn new_invoice() -> NewInvoice {
    let price = (decimal("0.00010000"), "BTC");
    NewInvoice::exact(price, Metadata::default(), "MediumSpeed", &["BTC-LN".into()], (30, 1440))
}

/// Each shape of refusal, what it is called, and whether a creation that ends so may have happened.
#[tokio::test]
async fn every_answer_has_its_error() {
    type Case = (fn() -> Reply, &'static str, &'static str);
    let cases: [Case; 17] = [
        (
            || json("401 Unauthorized", r#"{"code":"unauthenticated","message":"ApiKey authentication failed"}"#),
            "unauthenticated",
            "refused the API key (401)",
        ),
        (
            || {
                json(
                    "403 Forbidden",
                    r#"{"missingPermission":"btcpay.store.cancreateinvoice","code":"missing-permission"}"#,
                )
            },
            "missing-permission",
            "lacks btcpay.store.cancreateinvoice (403)",
        ),
        (|| html("403 Forbidden"), "forbidden", "something before BTCPay"),
        (
            || json("404 Not Found", r#"{"code":"invoice-not-found","message":"The invoice was not found"}"#),
            "not-found",
            "The invoice was not found (invoice-not-found)",
        ),
        (|| html("404 Not Found"), "not-greenfield", "(404, text/html)"),
        (
            || {
                json(
                    "422 Unprocessable Entity",
                    r#"[{"path":"Checkout.PaymentMethods[0]","message":"Invalid PaymentMethodId"},
                    {"path":"amount","message":"no"}]"#,
                )
            },
            "invalid",
            "Checkout.PaymentMethods[0]: Invalid PaymentMethodId; amount: no",
        ),
        (
            || json("400 Bad Request", r#"{"code":"generic-error","message":"Rate unavailable"}"#),
            "refused",
            "(400): Rate unavailable (generic-error)",
        ),
        (|| json("409 Conflict", r#"{"code":"webhookdelivery-pruned"}"#), "refused", "webhookdelivery-pruned"),
        (|| html("429 Too Many Requests"), "busy", "(429)"),
        (|| html("502 Bad Gateway"), "unavailable", "(502): no reason given"),
        (
            || json("503 Service Unavailable", r#"{"code":"lightning-node-unavailable","message":null}"#),
            "unavailable",
            "lightning-node-unavailable",
        ),
        (
            || Reply::Full("HTTP/1.1 302 Found\r\nLocation: https://u:p@evil.example/x?k=v".into(), vec![]),
            "redirected",
            "(302, to https://evil.example/x)",
        ),
        (|| html("200 OK"), "not-greenfield", "(200, text/html)"),
        (|| json("200 OK", r#"{"id":"a"}"#), "unreadable", "not an invoice"),
        (|| Reply::Raw(b""), "interrupted", "broke before"),
        (
            || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
            "interrupted",
            "broke before",
        ),
        (
            || Reply::Full("HTTP/1.1 200 OK\r\nContent-Type: application/json".into(), vec![b' '; MAX_BODY + 1]),
            "too-large",
            "longer than",
        ),
    ];
    for (reply, kind, words) in cases {
        let server = TestServer::start(move |_| reply());
        let err = client(&server).create_invoice(&new_invoice()).await.unwrap_err();
        assert_eq!(err.kind(), kind, "{err}");
        assert!(err.to_string().contains(words), "{kind}: {err}");
        assert!(Error::KINDS.contains(&kind));
        assert_eq!(server.requests().len(), 1, "{kind}: asked once");
        assert!(!format!("{err} {err:?}").contains(KEY), "{kind}");
    }
}

#[tokio::test]
async fn silence_ends_and_an_open_door_is_told_from_a_closed_one() {
    let server = TestServer::start(|_| Reply::Silence);
    let err = client(&server).invoice("abc").await.unwrap_err();
    assert_eq!(err.kind(), "timeout");

    // Bound and closed again: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&settings(&format!("http://{closed}"))).unwrap();
    let err = client.create_invoice(&new_invoice()).await.unwrap_err();
    assert_eq!(err.kind(), "unreachable");
    assert!(!format!("{err} {err:?} {client:?}").contains(KEY));
}

#[tokio::test]
async fn a_slow_creation_is_awaited() {
    let server = TestServer::start(|_| {
        std::thread::sleep(Duration::from_millis(800));
        json("200 OK", &invoice_json("HMp", ""))
    });
    let client = client(&server);
    assert_eq!(client.create_invoice(&new_invoice()).await.unwrap().id, "HMp");
    assert_eq!(client.invoice("HMp").await.unwrap_err().kind(), "timeout");
}

#[tokio::test]
async fn a_busy_proxy_says_when_to_come_again() {
    // As seconds, or as a date beside the answer's own: the two machines' clocks need not agree.
    for (says, expected) in [
        ("Retry-After: 7", Some(7)),
        ("Date: Sun, 06 Nov 1994 08:49:30 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:30 GMT", None),
        ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Retry-After: soon", None),
        ("Retry-After: -7", None),
    ] {
        let server =
            TestServer::start(move |_| Reply::Full(format!("HTTP/1.1 503 Service Unavailable\r\n{says}"), vec![]));
        let err = client(&server).health().await.unwrap_err();
        assert_eq!(err.retry_after(), expected.map(Duration::from_secs), "{says}");
        assert!(err.is_passing());
    }
}

#[tokio::test]
async fn routes_are_nested_keep_the_root_path_and_carry_the_key() {
    let server = TestServer::start(|line| match line {
        _ if line.contains("/payment-methods") => json("200 OK", METHODS),
        _ => json("200 OK", &invoice_json("HMp", "")),
    });
    let client = Client::new(&settings(&format!("{}/pay/", server.url))).unwrap();
    let invoice = client.invoice_with_payments("HMp").await.unwrap();
    assert_eq!(invoice.payment_methods[0].destination.as_deref(), Some("lnbc1"));
    client.create_invoice(&new_invoice()).await.unwrap();
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().filter_map(|request| request.lines().next()).collect();
    assert_eq!(
        lines,
        [
            "GET /pay/api/v1/stores/9CiNzKo/invoices/HMp?includePaymentMethods=true HTTP/1.1",
            "GET /pay/api/v1/stores/9CiNzKo/invoices/HMp/payment-methods HTTP/1.1",
            "POST /pay/api/v1/stores/9CiNzKo/invoices HTTP/1.1",
        ]
    );
    for request in requests {
        assert!(request.contains(&format!("authorization: token {KEY}\r\n")));
        assert!(!request.contains("x-forwarded-host"));
    }
}

#[tokio::test]
async fn payments_that_came_with_the_invoice_are_not_asked_for_again() {
    let server = TestServer::start(|_| json("200 OK", &invoice_json("HMp", &format!(",\"paymentMethods\":{METHODS}"))));
    let invoice = client(&server).invoice_with_payments("HMp").await.unwrap();
    assert_eq!((invoice.payment_methods.len(), server.requests().len()), (1, 1));
}

#[tokio::test]
async fn links_name_the_public_address() {
    let server = TestServer::start(|_| json("200 OK", &invoice_json("HMp", "")));
    let public_url = Some("https://pay.example:8443/btcpay/".parse().unwrap());
    let client = Client::new(&Settings { public_url, ..settings(&server.url) }).unwrap();
    assert_eq!(client.checkout_url("HMp"), "https://pay.example:8443/btcpay/i/HMp");
    client.invoice("HMp").await.unwrap();
    let request = server.requests().remove(0);
    assert!(request.contains("x-forwarded-host: pay.example:8443\r\nx-forwarded-proto: https\r\n"), "{request}");
}

#[tokio::test]
async fn ids_of_strangers_stay_in_their_segment() {
    let server = TestServer::start(|_| html("200 OK"));
    for id in ["", "..", "a/b", "a?b", "a%2fb", "ä", &"a".repeat(65)] {
        let err = client(&server).invoice(id).await.unwrap_err();
        assert!(matches!(err, Error::BadId { .. }) && err.may_be_unknown_id(), "{id}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_sold_for_nothing() {
    let server = TestServer::start(|_| html("200 OK"));
    for amount in ["0", "0.00", "-1"] {
        let invoice = NewInvoice { amount: decimal(amount), ..new_invoice() };
        assert!(matches!(client(&server).create_invoice(&invoice).await, Err(Error::NotPositive { .. })), "{amount}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_list_leaves_out_what_cannot_be_read() {
    let server = TestServer::start(|_| {
        let topup = invoice_json("Top", "").replace("\"0.00010000\"", "null");
        json("200 OK", &format!("[{},{topup},{{}},{}]", invoice_json("One", ""), invoice_json("Two", "")))
    });
    let query = InvoiceQuery {
        start_date: Some(UnixTime(1785000000)),
        statuses: vec![Status::Settled, Status::Expired],
        include_payment_methods: true,
        take: 25,
        ..InvoiceQuery::default()
    };
    let page = client(&server).invoices(query).await.unwrap();
    let ids: Vec<&str> = page.invoices.iter().map(|invoice| &*invoice.id).collect();
    assert_eq!((ids, page.unreadable), (vec!["One", "Two"], 2));
    assert!(server.requests()[0].starts_with(
        "GET /api/v1/stores/9CiNzKo/invoices?take=25&startDate=1785000000&status=Settled&status=Expired\
         &includePaymentMethods=true HTTP/1.1"
    ));
}

/// BTCPay's list: newest second first, and within a second in another order each time it is asked.
struct Listed {
    /// Creation times, newest first; the id is the place.
    created: Vec<u64>,
    /// Those that are longer than an answer may be.
    bloated: Vec<usize>,
}

impl Listed {
    fn start(self) -> TestServer {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        TestServer::start(move |line| {
            let number = |name: &str| -> Option<usize> {
                let rest = line.split(&format!("{name}=")).nth(1)?;
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            };
            let (skip, take, end) = (number("skip").unwrap_or(0), number("take").unwrap(), number("endDate"));
            let mut list: Vec<usize> = (0..self.created.len())
                .filter(|place| end.is_none_or(|end| self.created[*place] <= end as u64))
                .collect();
            let turn = ASKED.fetch_add(1, Ordering::Relaxed);
            // The bloated ones stay where they are: one by one is asked for in one order.
            if self.bloated.is_empty() && turn % 2 == 1 {
                list.sort_by_key(|place| (std::cmp::Reverse(self.created[*place]), std::cmp::Reverse(*place)));
            }
            let list: Vec<usize> = list.into_iter().skip(skip).take(take).collect();
            if list.iter().any(|place| self.bloated.contains(place)) {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json".into();
                return Reply::Full(head, vec![b' '; MAX_LIST_BODY + 1]);
            }
            let list: Vec<String> = list
                .into_iter()
                .map(|place| {
                    invoice_json(&format!("I{place}"), "").replacen("1785000000", &self.created[place].to_string(), 1)
                })
                .collect();
            json("200 OK", &format!("[{}]", list.join(",")))
        })
    }
}

async fn walk(server: &TestServer, take: usize) -> (Vec<String>, usize) {
    let timeouts = Timeouts { read: Duration::from_secs(20), ..Timeouts::default() };
    let client = Client::new(&Settings { timeouts, ..settings(&server.url) }).unwrap();
    let mut pages = client.pages(InvoiceQuery { take, ..InvoiceQuery::default() });
    let (mut ids, mut unreadable) = (Vec::new(), 0);
    while let Some(page) = pages.next().await.unwrap() {
        ids.extend(page.invoices.into_iter().map(|invoice| invoice.id));
        unreadable += page.unreadable;
    }
    (ids, unreadable)
}

#[tokio::test]
async fn every_invoice_is_listed_once_however_many_fall_into_one_second() {
    // Bursts of 1 to 23 within one second, as when a stream begins.
    let created: Vec<u64> =
        (0..30).flat_map(|second| vec![1_785_000_900 - second; 1 + (second as usize * 7) % 23]).collect();
    let all = created.len();
    for take in [1, 2, 5, 10, 50, 1000] {
        let server = Listed { created: created.clone(), bloated: vec![] }.start();
        let (mut ids, unreadable) = walk(&server, take).await;
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), unreadable), (all, 0), "pages of {take}");
    }
    let server = Listed { created: vec![], bloated: vec![] }.start();
    assert_eq!(walk(&server, 5).await, (vec![], 0));
}

/// Invoices of strangers, with more metadata than a page may have, hide none of their neighbours.
#[tokio::test]
async fn a_bloated_invoice_is_skipped_and_its_neighbours_found() {
    let second = |times: &[u64]| times.iter().map(|at| 1_785_000_000 + at).collect::<Vec<u64>>();
    for (created, bloated) in [
        (second(&[0; 8]), vec![5]),
        (second(&[9, 8, 8, 8, 7, 6, 6, 5]), vec![2]),
        (second(&[9, 8, 7, 6, 5]), vec![0]),
        (second(&[9, 8, 8, 7]), vec![3]),
        (second(&[9, 8, 7, 6, 6, 6]), vec![1, 4]),
    ] {
        let wanted: Vec<String> =
            (0..created.len()).filter(|place| !bloated.contains(place)).map(|place| format!("I{place}")).collect();
        let server = Listed { created: created.clone(), bloated: bloated.clone() }.start();
        for take in [2, 100] {
            let (mut ids, unreadable) = walk(&server, take).await;
            ids.sort_unstable();
            assert_eq!(ids, wanted, "{created:?} {bloated:?} by {take}");
            assert!(unreadable >= bloated.len());
        }
    }
}

#[tokio::test]
async fn the_set_up_is_read_and_written() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = TestServer::start(|line| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let webhook = r#"{"id":"N3h","url":"https://video.example/w","enabled":true,"automaticRedelivery":false,
            "authorizedEvents":{"everything":true,"specificEvents":[]}}"#;
        match line.split(' ').nth(1).unwrap().strip_prefix("/api/v1").unwrap() {
            "/health" => Reply::Full(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT".into(),
                br#"{"synchronized":false}"#.into(),
            ),
            "/server/info" => json("200 OK", r#"{"version":"2.4.1","onion":null,"fullySynched":true,"syncStatus":[]}"#),
            "/api-keys/current" => {
                json("200 OK", &format!(r#"{{"apiKey":"{KEY}","label":null,"permissions":["unrestricted"]}}"#))
            }
            "/stores/9CiNzKo" => json("200 OK", r#"{"id":"9CiNzKo","name":"Cinema"}"#),
            "/stores/9CiNzKo/payment-methods" => json("200 OK", r#"[{"paymentMethodId":"BTC-LN","enabled":true}]"#),
            "/stores/9CiNzKo/webhooks" if line.starts_with("GET") => json("200 OK", &format!("[{webhook}]")),
            "/stores/9CiNzKo/webhooks/N3h/deliveries?count=50" => json(
                "200 OK",
                r#"[{"id":"d","timestamp":1785000000,"httpCode":null,"errorMessage":"no","status":"Failed"}]"#,
            ),
            path if path.starts_with("/stores/9CiNzKo/webhooks") => json("200 OK", webhook),
            _ => html("404 Not Found"),
        }
    });
    let client = client(&server);
    let health = client.health().await.unwrap();
    assert!(!health.synchronized);
    let date = health.date.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(date.as_secs(), 1_795_420_800);
    assert_eq!(client.server_info().await.unwrap().version, "2.4.1");
    let key = client.api_key().await.unwrap();
    assert!(key.permissions.allow(permissions::CREATE_INVOICE, "9CiNzKo") && !format!("{key:?}").contains(KEY));
    assert_eq!(client.store().await.unwrap().name, "Cinema");
    assert!(client.webhooks().await.unwrap()[0].authorized_events.contains("InvoiceSettled"));
    assert_eq!(client.deliveries("N3h", 50).await.unwrap()[0].http_code, None);

    let secret = WebhookSecret::new("hush").unwrap();
    let webhook = NewWebhook {
        url: "https://video.example/w",
        enabled: true,
        automatic_redelivery: true,
        authorized_events: AuthorizedEvents::only(&["InvoiceSettled"]),
        secret: Some(&secret),
    };
    client.create_webhook(&webhook).await.unwrap();
    client.update_webhook("N3h", &NewWebhook { secret: None, ..webhook.clone() }).await.unwrap();
    let written: Vec<serde_json::Value> = server.requests()[CALLS.load(Ordering::Relaxed) - 2..]
        .iter()
        .map(|request| serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap())
        .collect();
    let expected = serde_json::json!({ "url": "https://video.example/w", "enabled": true, "automaticRedelivery": true,
        "authorizedEvents": { "everything": false, "specificEvents": ["InvoiceSettled"] } });
    assert_eq!(written[1], expected);
    assert_eq!(written[0]["secret"], "hush");
    assert!(!format!("{webhook:?}").contains("hush"));
}

#[test]
fn the_link_asks_for_the_least_rights_in_one_store() {
    let link = authorize_link(&"https://pay.example/btcpay".parse().unwrap(), "9CiNzKo");
    assert_eq!(
        link.as_str(),
        "https://pay.example/btcpay/api-keys/authorize?permissions=btcpay.store.cancreateinvoice%3A9CiNzKo\
         &permissions=btcpay.store.canviewinvoices%3A9CiNzKo\
         &permissions=btcpay.store.webhooks.canmodifywebhooks%3A9CiNzKo\
         &permissions=btcpay.store.canviewlightninginvoice%3A9CiNzKo&applicationName=hlsgate&strict=true"
    );
    let without = link.as_str().replacen(&optional_part("9CiNzKo"), "", 1);
    assert!(without != link.as_str() && !without.contains("lightning"), "{without}");
}
