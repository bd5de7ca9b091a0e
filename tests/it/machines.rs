//! The lane of machines: a 402 that they can pay, through the shipped nginx files (docs/machines.md).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::btcpay::{API_KEY, STORE};
use crate::harness::shop::{Shop, Wish};
use crate::harness::{A, B, reason, send};

const ACCESS: &str = "/hlsgate/videos/vid1/access?tier=24h";
const PLAYLIST: &str = "/hls/vid1/master.m3u8";
/// The README's vhost with the opt-in.
const L402: &str = "
    include snippets/hlsgate.conf;
    root {root};
    location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-l402.conf; }
";

/// What a 402 offers.
struct Challenge {
    macaroon: String,
    payment: Value,
    bolt11: String,
    body: Value,
    headers: HeaderMap,
}

/// Reads a 402 as a client does.
async fn challenge(response: Response) -> Challenge {
    assert_eq!(response.status(), 402, "{}", response.text().await.unwrap_or_default());
    let headers = response.headers().clone();
    let lines: Vec<&str> = headers.get_all("www-authenticate").iter().map(|line| line.to_str().unwrap()).collect();
    let [l402, payment] = lines[..] else { panic!("two lines, not {lines:?}") };
    let quoted = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let (macaroon, bolt11) = (quoted(l402)[0].clone(), quoted(l402)[1].clone());
    assert_eq!(l402, format!(r#"L402 macaroon="{macaroon}", invoice="{bolt11}", version="0", token="{macaroon}""#));
    let values = payment.strip_prefix("Payment ").unwrap().split(", ").map(|part| part.split_once('=').unwrap());
    let payment = values.map(|(name, value)| (name.to_owned(), Value::from(value.trim_matches('"')))).collect();
    Challenge { macaroon, payment, bolt11, body: response.json().await.unwrap(), headers }
}

impl Challenge {
    /// The payment's preimage, from BTCPay, which has it as soon as the invoice is paid.
    async fn pay(&self, shop: &Shop) -> String {
        let id = self.body["order"].as_str().unwrap();
        shop.btcpay.pay(id).await;
        let url = format!("{}/api/v1/stores/{STORE}/invoices/{id}/payment-methods", shop.btcpay.url);
        let request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
        let methods: Value =
            request.header("Authorization", format!("token {API_KEY}")).send().await.unwrap().json().await.unwrap();
        methods[0]["additionalData"]["preimage"].as_str().expect("it is paid").to_owned()
    }

    fn l402(&self, preimage: &str) -> String {
        format!("L402 {}:{preimage}", self.macaroon)
    }

    fn payment(&self, preimage: &str) -> String {
        let credential = json!({ "challenge": self.payment, "payload": { "preimage": preimage } });
        format!("Payment {}", URL_SAFE_NO_PAD.encode(credential.to_string()))
    }
}

async fn get(shop: &Shop, path: &str, credential: &str) -> Response {
    let request = shop.h.request("GET", path);
    send(if credential.is_empty() { request } else { request.header("Authorization", credential) }).await
}

async fn made(shop: &Shop) -> usize {
    shop.btcpay.calls(&format!("method=POST&path=/api/v1/stores/{STORE}/invoices")).await.len()
}

#[tokio::test]
async fn a_machine_pays_once_and_gets_the_film_on_the_same_url() {
    let shop = Shop::start().await;
    let challenge = challenge(get(&shop, ACCESS, "").await).await;
    assert_eq!(challenge.headers["cache-control"], "no-store");
    assert_eq!(challenge.headers["content-type"], "application/problem+json");
    assert_eq!(challenge.body["reason"], "missing");
    assert_eq!((&challenge.body["price"], &challenge.body["priceSats"]), (&json!("100"), &json!(100)));
    assert_eq!(challenge.body["page"], "https://site.test/watch.html?v=vid1");
    for taken in ["invoice", "macaroon", "paymentRequest", "payment_request", "challenge", "accepts", "resource"] {
        assert_eq!(challenge.body.get(taken), None, "clients pay, or refuse, by {taken:?} alone");
    }
    let preimage = challenge.pay(&shop).await;

    let mut tokens = Vec::new();
    for credential in [challenge.l402(&preimage), challenge.payment(&preimage), challenge.l402(&preimage)] {
        let response = get(&shop, ACCESS, &credential).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let receipt = URL_SAFE_NO_PAD.decode(response.headers()["payment-receipt"].as_bytes()).unwrap();
        let receipt: Value = serde_json::from_slice(&receipt).unwrap();
        assert_eq!((&receipt["method"], &receipt["status"]), (&json!("lightning"), &json!("success")));
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().cloned().collect();
        assert_eq!(cookies.len(), 2);
        let answer: Value = response.json().await.unwrap();
        let playlist = answer["playlist"].as_str().unwrap().strip_prefix("https://site.test").unwrap();
        assert_eq!(shop.h.get(playlist).await.status(), 200, "any player plays it");
        assert_eq!(shop.h.get(&playlist.replace("/vid1/", "/vid10/")).await.status(), 403);
        tokens.push(answer["token"].as_str().unwrap().to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "the same credential is the same token, by either scheme");
    assert_eq!(made(&shop).await, 1);
    // The token and the cookie buy nothing twice either.
    assert_eq!(get(&shop, ACCESS, &format!("Bearer {}", tokens[0])).await.status(), 200);
    let inspected = shop.h.run(&["token", "inspect", "--json", &tokens[0]]);
    assert!(inspected.contains(challenge.body["order"].as_str().unwrap()), "{inspected}");
}

/// Clients pay again, some without a limit, when the answer after paying is another 402 or an error.
#[tokio::test]
async fn the_paid_way_asks_nobody() {
    let mut shop = Shop::start().await;
    let challenge = challenge(get(&shop, ACCESS, "").await).await;
    let preimage = challenge.pay(&shop).await;
    shop.btcpay.idle().await;
    shop.btcpay.switch(json!({ "fail_next": { "count": 1000, "status": 503 } })).await;
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    for credential in [challenge.l402(&preimage), challenge.payment(&preimage)] {
        assert_eq!(get(&shop, ACCESS, &credential).await.status(), 200, "BTCPay is down, the daemon knows nothing");
    }
}

#[tokio::test]
async fn a_wrong_credential_is_403_without_a_challenge_and_an_ended_one_402() {
    let shop = Shop::with(Wish {
        config: "[videos.short]\noffers = [{ tier = \"blink\", price = \"10\", currency = \"SATS\", duration = \"1s\" }]",
        ..Wish::default()
    })
    .await;
    let first = challenge(get(&shop, ACCESS, "").await).await;
    let preimage = first.pay(&shop).await;
    for (credential, expected) in [
        (first.l402(&"00".repeat(32)), "bad-signature"),
        (first.payment(&"00".repeat(32)), "bad-signature"),
        (first.l402("zz"), "malformed"),
        (format!("L402 AAAA:{preimage}"), "malformed"),
        (format!("Payment {preimage}"), "malformed"),
    ] {
        let response = get(&shop, ACCESS, &credential).await;
        assert_eq!(response.status(), 403, "{expected}");
        assert!(response.headers().get("www-authenticate").is_none());
        assert_eq!(reason(response).await, expected);
    }
    // A good one beside bad ones opens; one for another film, or another offer, is an honest wish to buy.
    let several = format!("L402 AAAA,{}:{preimage}", first.macaroon);
    assert_eq!(get(&shop, ACCESS, &several).await.status(), 200);
    let other = get(&shop, "/hlsgate/videos/vid10/access?tier=24h", &first.l402(&preimage)).await;
    assert_eq!(other.status(), 402);
    assert_eq!(challenge(other).await.body["reason"], "other-video");
    // Revoked: for good.
    shop.h.run(&["revoke", first.body["order"].as_str().unwrap()]);
    crate::harness::until("the revocation is in force", || async {
        let response = get(&shop, ACCESS, &first.l402(&preimage)).await;
        (response.status() == 403 && response.headers().get("www-authenticate").is_none()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_what_is_sold_is_challenged() {
    let shop = Shop::start().await;
    for (path, status) in [
        ("/hlsgate/videos/vid1/access?tier=nonsense", 422),
        ("/hlsgate/videos/vid1/access?tier=24h&covers=pass:winter", 422),
        ("/hlsgate/videos/off/access", 404),
        ("/hlsgate/videos/.hidden/access", 404),
    ] {
        assert_eq!(get(&shop, path, "").await.status(), status, "{path}");
    }
    for method in ["POST", "HEAD", "PUT"] {
        assert_eq!(send(shop.h.request(method, ACCESS)).await.status(), 405, "{method}");
    }
    assert_eq!(made(&shop).await, 0);
    // Without a tier the first offer is sold; a pass by its name.
    let first = challenge(get(&shop, "/hlsgate/videos/vid1/access", "").await).await;
    assert_eq!((&first.body["tier"], &first.body["covers"]), (&json!("24h"), &json!("vid1")));
    let offers = first.body["offers"].as_array().unwrap();
    let pass = offers.iter().find(|offer| offer["covers"] == "pass:summer").unwrap();
    assert_eq!(pass["url"], "https://site.test/hlsgate/videos/vid1/access?tier=30d&covers=pass%3Asummer");
}

/// A crawler, or a player that pays nothing, costs BTCPay one invoice a minute and address.
#[tokio::test]
async fn the_unpaid_get_the_same_invoice_and_a_payer_the_next_at_once() {
    let shop = Shop::start().await;
    let first = challenge(get(&shop, ACCESS, "").await).await;
    let again = challenge(get(&shop, ACCESS, "").await).await;
    assert_eq!(first.bolt11, again.bolt11);
    assert_ne!(first.macaroon, again.macaroon, "each has a challenge of its own");
    let other = get(&shop, "/hlsgate/videos/vid10/access?tier=24h", "").await;
    assert_eq!(other.status(), 429);
    assert!(other.headers().contains_key("retry-after"));
    assert_eq!(made(&shop).await, 1);
    let preimage = again.pay(&shop).await;
    assert_eq!(get(&shop, ACCESS, &again.l402(&preimage)).await.status(), 200);
    let next = challenge(get(&shop, "/hlsgate/videos/vid10/access?tier=24h", "").await).await;
    assert_ne!(next.bolt11, first.bolt11);
    // People's invoices are counted apart.
    shop.buy(B, "24h").await;
}

/// Machines have a share of their own: a thousand addresses keep nobody from buying on the page.
#[tokio::test]
async fn a_thousand_crawlers_cost_little_and_people_still_buy() {
    let shop = Shop::with(Wish { config: "[machines]\ninvoices_per_minute = 5", ..Wish::default() }).await;
    let daemon = shop.direct();
    let mut challenged = 0;
    for number in 0..1000 {
        let address = format!("10.0.{}.{}", number / 250, number % 250);
        let request = daemon.get(format!("http://hlsgate{ACCESS}")).header("X-Hlsgate-Address", address);
        match send(request).await.status().as_u16() {
            402 => challenged += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((5..=7).contains(&challenged), "{challenged}");
    shop.buy(A, "24h").await;
}

#[tokio::test]
async fn a_wallet_without_preimages_claims_what_it_paid() {
    let shop = Shop::start().await;
    let challenge = challenge(get(&shop, ACCESS, "").await).await;
    challenge.pay(&shop).await;
    let text = |name: &str| challenge.body[name].as_str().unwrap().to_owned();
    let purchase = crate::harness::shop::Purchase { invoice: text("order"), claim: text("claim"), answer: Value::Null };
    shop.h.with_secrets(|secrets| secrets.note(&purchase.claim));
    let token = shop.token(&purchase, std::time::Duration::from_secs(10)).await;
    assert_eq!(shop.h.get_with(PLAYLIST, &token).await.status(), 200);
}

#[tokio::test]
async fn the_first_playlist_is_sold_where_it_lies_and_no_other_file_ever_makes_an_invoice() {
    let shop = Shop::with(Wish { vhost: Some(L402), ..Wish::default() }).await;
    for (method, path) in
        [("GET", "/hls/vid1/v0/index.m3u8"), ("GET", "/hls/vid1/v0/seg0.ts"), ("HEAD", PLAYLIST), ("POST", PLAYLIST)]
    {
        let response = send(shop.h.request(method, path)).await;
        assert_eq!(response.status(), 403, "{method} {path}");
        assert!(response.headers().get("www-authenticate").is_none());
    }
    assert_eq!(reason(get(&shop, PLAYLIST, "L402 AAAA:00").await).await, "malformed");
    assert_eq!(reason(get(&shop, "/hls/off/master.m3u8", "").await).await, "missing", "it is not on sale");
    assert_eq!(made(&shop).await, 0);

    let challenge = challenge(get(&shop, PLAYLIST, "").await).await;
    assert_eq!(challenge.headers["content-type"], "application/problem+json");
    assert_eq!(challenge.headers["cache-control"], "no-store");
    let preimage = challenge.pay(&shop).await;
    for credential in [challenge.l402(&preimage), challenge.payment(&preimage)] {
        let paid = get(&shop, PLAYLIST, &credential).await;
        assert_eq!(paid.status(), 200);
        assert!(paid.headers().contains_key("payment-receipt"));
        let cookie = paid.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        assert!(paid.text().await.unwrap().starts_with("#EXTM3U"), "the playlist itself");
        // By the cookie, or by the credential again: a client may keep either.
        for file in ["v0/index.m3u8", "v0/seg0.ts"] {
            let path = format!("/hls/vid1/{file}");
            assert_eq!(send(shop.h.request("GET", &path).header("Cookie", &cookie)).await.status(), 200);
            assert_eq!(get(&shop, &path, &credential).await.status(), 200);
        }
        assert_eq!(get(&shop, "/hls/vid10/v0/seg0.ts", &credential).await.status(), 403);
    }
    assert_eq!(made(&shop).await, 1, "one payment for the whole film");
}

#[tokio::test]
async fn without_the_include_a_playlist_is_refused_and_makes_no_invoice() {
    let shop = Shop::start().await;
    let response = get(&shop, PLAYLIST, "").await;
    assert_eq!(response.status(), 403);
    assert!(response.headers().get("www-authenticate").is_none());
    assert_eq!(made(&shop).await, 0);
}
