//! The lane of machines: a 402 that they can pay, through the shipped nginx files (docs/machines.md).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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

/// The credential with one more caveat (v2 of the macaroons: fields behind each other, and a tag that goes on from the last one).
fn ended_at(challenge: &Challenge, preimage: &str, until: u64) -> String {
    use hmac::{Hmac, Mac};
    let bytes = STANDARD.decode(&challenge.macaroon).unwrap();
    let (fields, tag) = bytes.split_at(bytes.len() - 32);
    let caveat = format!("video_valid_until={until}");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(tag).unwrap();
    mac.update(caveat.as_bytes());
    // Behind the caveats: the end of their list, then kind and length of the tag.
    let (caveats, end) = fields.split_at(fields.len() - 3);
    assert_eq!(end, [0, 6, 32]);
    let added =
        [caveats, &[2, caveat.len() as u8], caveat.as_bytes(), &[0], end, &mac.finalize().into_bytes()].concat();
    format!("L402 {}:{preimage}", STANDARD.encode(added))
}

async fn get(shop: &Shop, path: &str, credential: &str) -> Response {
    let request = shop.h.request("GET", path);
    send(if credential.is_empty() { request } else { request.header("Authorization", credential) }).await
}

/// The challenge that another address is shown.
async fn request_from(shop: &Shop, address: &str) -> Challenge {
    let request = shop.direct().get(format!("http://hlsgate{ACCESS}")).header("X-Hlsgate-Address", address);
    challenge(send(request).await).await
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
    let shop = Shop::start().await;
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
    // The preimage is no secret (each node on the way learns it, LUD-21 shows it): with another challenge it opens nothing.
    let other = request_from(&shop, "198.51.100.7").await;
    for credential in [other.l402(&preimage), other.payment(&preimage), format!("L402 :{preimage}")] {
        assert_eq!(get(&shop, ACCESS, &credential).await.status(), 403, "{credential}");
    }
    // A good one beside bad ones opens; one for another film, or another offer, is an honest wish to buy.
    let several = format!("L402 AAAA,{}:{preimage}", first.macaroon);
    assert_eq!(get(&shop, ACCESS, &several).await.status(), 200);
    let other = get(&shop, "/hlsgate/videos/vid10/access?tier=24h", &first.l402(&preimage)).await;
    assert_eq!(other.status(), 402);
    assert_eq!(challenge(other).await.body["reason"], "other-video");
    // Ended, by a caveat that its holder added: it may be bought anew, if that address were not the last one's.
    let ended = shop.direct().get(format!("http://hlsgate{ACCESS}")).header("X-Hlsgate-Address", "198.51.100.9");
    let ended = send(ended.header("Authorization", ended_at(&first, &preimage, 1_700_000_000))).await;
    assert_eq!(challenge(ended).await.body["reason"], "expired");
    let kept = get(&shop, ACCESS, &ended_at(&first, &preimage, 4_000_000_000)).await;
    assert_eq!(kept.status(), 200, "a caveat narrows, and never widens");
    // Revoked: for good.
    shop.h.run(&["revoke", first.body["order"].as_str().unwrap()]);
    crate::harness::until("the revocation is in force", || async {
        let response = get(&shop, ACCESS, &first.l402(&preimage)).await;
        (response.status() == 403 && response.headers().get("www-authenticate").is_none()).then_some(())
    })
    .await;
}

/// What clients of earlier and of stricter drafts write, through nginx: at the resource, and with the files themselves.
#[tokio::test]
async fn older_forms_of_a_credential_open_the_same() {
    let shop = Shop::start().await;
    let challenge = challenge(get(&shop, ACCESS, "").await).await;
    let preimage = challenge.pay(&shop).await;
    let macaroon = &challenge.macaroon;
    for credential in [
        format!("LSAT {macaroon}:{preimage}"),
        format!("lsat {macaroon}:{}", preimage.to_uppercase()),
        format!("l402   {}:{preimage}", macaroon.trim_end_matches('=')),
        format!("L402 AAAA,{macaroon}:{preimage}"),
        challenge.payment(&preimage).replacen("Payment", "payment", 1) + "==",
    ] {
        for path in [ACCESS, PLAYLIST, "/hls/vid1/v0/seg0.ts"] {
            assert_eq!(get(&shop, path, &credential).await.status(), 200, "{path} {}", &credential[..8]);
        }
    }
    let apart = shop.h.request("GET", ACCESS).header("Authorization", "Basic YTpi");
    let apart = apart.header("Payment-Authorization", challenge.payment(&preimage));
    assert_eq!(send(apart).await.status(), 200, "where Authorization is somebody else's");
    assert_eq!(made(&shop).await, 1);
}

/// A payment on the chain has no preimage: the lane offers none, and shows the page where it can be made.
#[tokio::test]
async fn who_pays_on_the_chain_is_shown_the_page_and_pays_nothing_twice() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]", ..Wish::default() }).await;
    let offered = challenge(get(&shop, ACCESS, "").await).await;
    let asked = shop.btcpay.calls(&format!("method=POST&path=/api/v1/stores/{STORE}/invoices")).await;
    let methods = |call: &Value| call["body"]["checkout"]["paymentMethods"].clone();
    assert_eq!(
        methods(&asked[0]),
        json!(["BTC-LN"]),
        "neither the chain nor LNURL, which shows preimages to strangers"
    );
    assert_eq!(offered.body["page"], "https://site.test/watch.html?v=vid1");
    let purchase = shop.buy(A, "forever").await;
    shop.btcpay.control("pay", json!({ "invoice": purchase.invoice, "method": "BTC-CHAIN" })).await;
    shop.btcpay.control("confirm", json!({ "invoice": purchase.invoice })).await;
    let token = shop.token(&purchase, std::time::Duration::from_secs(20)).await;
    let access = ACCESS.replace("24h", "forever");
    let bought = get(&shop, &access, &format!("Bearer {token}")).await;
    assert_eq!(bought.status(), 200, "the lane knows what the page sold");
    assert_eq!(made(&shop).await, 2);
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

/// Where machines look for it, and on each answer by `Link`: cacheable, for every origin, and gone with the lane.
#[tokio::test]
async fn what_is_sold_is_found_where_machines_look_for_it() {
    const VHOST: &str = "
        include snippets/hlsgate.conf;
        include snippets/hlsgate-discovery.conf;
        root {root};
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; }
    ";
    let shop = Shop::with(Wish { vhost: Some(VHOST), ..Wish::default() }).await;
    let mut found = Vec::new();
    for (address, name) in [
        ("/.well-known/l402.json", "l402.json"),
        ("/.well-known/l402-services", "l402-services"),
        ("/openapi.json", "openapi.json"),
        ("/llms.txt", "llms.txt"),
    ] {
        let response = get(&shop, address, "").await;
        assert_eq!(response.status(), 200, "{address}");
        let headers = response.headers().clone();
        assert_eq!(
            (&headers["cache-control"], &headers["access-control-allow-origin"]),
            (&"public, max-age=300".parse().unwrap(), &"*".parse().unwrap())
        );
        let text = response.text().await.unwrap();
        assert_eq!(text, get(&shop, &format!("/hlsgate/machines/{name}"), "").await.text().await.unwrap());
        let again = shop.h.request("GET", address).header("If-None-Match", &headers["etag"]);
        assert_eq!(send(again).await.status(), 304, "{address}");
        found.push(text);
    }
    // An address of the manifest sells what it says, at its price.
    let manifest: Value = serde_json::from_str(&found[0]).unwrap();
    let resource = &manifest["services"][0]["resources"][0];
    assert_eq!(resource["path"], "/hlsgate/videos/{video}/access?tier=24h");
    let offer = get(&shop, &resource["path"].as_str().unwrap().replace("{video}", "vid1"), "").await;
    let links: Vec<_> = offer.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
    assert_eq!(
        links,
        [
            "<https://site.test/hlsgate/machines/l402.json>; rel=\"l402-manifest\"",
            "<https://site.test/hlsgate/machines/openapi.json>; rel=\"service-desc\"",
        ]
    );
    let sats = challenge(offer).await.body["priceSats"].as_u64().unwrap();
    assert_eq!(resource["pricing"], json!({ "model": "fixed", "price_msat": sats * 1000 }));
    // OpenAPI's own rules: each parameter of a path is there, and each operation has another name.
    let openapi: Value = serde_json::from_str(&found[2]).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    assert_eq!(openapi["servers"][0]["url"], "https://site.test");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().unwrap();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{path}");
        assert!(names.insert(item["get"]["operationId"].as_str().unwrap()), "{path}");
    }
    assert!(get(&shop, "/hlsgate/videos/vid1", "").await.headers().contains_key("link"));
}

#[tokio::test]
async fn with_the_lane_shut_there_is_nothing_to_find() {
    let shop = Shop::with(Wish { config: "[machines]\nsell = false", ..Wish::default() }).await;
    for path in [ACCESS, "/hlsgate/machines/l402.json", "/hlsgate/machines/llms.txt"] {
        assert_eq!(get(&shop, path, "").await.status(), 404, "{path}");
    }
    assert!(get(&shop, "/hlsgate/videos/vid1", "").await.headers().get("link").is_none());
    assert_eq!(made(&shop).await, 0);
}

/// What BTCPay makes is held against what it says of it: nobody is shown a bill that is another one, nor does it come twice.
#[tokio::test]
async fn an_invoice_that_ends_at_another_time_is_not_offered() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "answer_create": { "expirationTime": 1999999999u64 } })).await;
    let refused = get(&shop, ACCESS, "").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().get("www-authenticate").is_none());
    assert_eq!(get(&shop, ACCESS, "").await.status(), 429, "one a minute, even so");
    assert_eq!(made(&shop).await, 1);
}

/// Agents in browsers, on the origins that may play: they see the challenge, and get none of the site's cookies.
#[tokio::test]
async fn a_page_of_an_allowed_origin_can_pay() {
    const VHOST: &str = "
        include snippets/hlsgate.conf;
        set $hlsgate_cors_origins https://player.example;
        add_header Strict-Transport-Security max-age=1 always;
        root {root};
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-l402.conf; include snippets/hlsgate-cors.conf; }
    ";
    let shop = Shop::with(Wish { vhost: Some(VHOST), ..Wish::default() }).await;
    let from = async |method: &str, path: &str, origin: &str| {
        send(shop.h.request(method, path).header("Origin", origin)).await
    };
    let listed = |response: &Response, header: &str, name: &str| {
        let value = response.headers().get(header).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        value.split(", ").any(|found| found == name)
    };
    for path in [ACCESS, PLAYLIST] {
        let preflight = from("OPTIONS", path, "https://player.example").await;
        assert_eq!(preflight.status(), 204, "{path}");
        for name in ["Authorization", "Payment-Authorization", "Accept-Payment"] {
            assert!(listed(&preflight, "access-control-allow-headers", name), "{path} {name}");
        }
        let challenged = from("GET", path, "https://player.example").await;
        assert_eq!(challenged.status(), 402, "{path}");
        assert_eq!(challenged.headers()["access-control-allow-origin"], "https://player.example");
        for name in ["WWW-Authenticate", "Payment-Receipt", "Link", "Retry-After"] {
            assert!(listed(&challenged, "access-control-expose-headers", name), "{path} {name}");
        }
        let stranger = from("GET", path, "https://other.example").await;
        assert!(stranger.headers().get("access-control-allow-origin").is_none());
    }
    assert!(
        from("GET", ACCESS, "https://player.example").await.headers().get("access-control-allow-credentials").is_none()
    );
    // The rest of the shop is the site's own.
    let rest = from("GET", "/hlsgate/videos/vid1", "https://player.example").await;
    assert!(rest.headers().get("access-control-allow-origin").is_none());
    assert_eq!(rest.headers()["strict-transport-security"], "max-age=1", "what the vhost adds is still there");
    let spelt = get(&shop, "/hlsgate//videos/vid%31/access?tier=24h", "").await;
    assert_eq!(spelt.status(), 402, "the daemon sees the normalised path");
    let strange = from("OPTIONS", ACCESS, "https://other.example").await;
    assert_eq!(strange.status(), 405);
    assert_eq!(from("OPTIONS", "/hlsgate/videos/vid1", "https://player.example").await.status(), 405);
}

/// `sales` and the metrics tell the lanes apart.
#[tokio::test]
async fn the_books_tell_machines_from_people() {
    let shop = Shop::start().await;
    let challenge = challenge(get(&shop, ACCESS, "").await).await;
    let preimage = challenge.pay(&shop).await;
    assert_eq!(get(&shop, ACCESS, &challenge.l402(&preimage)).await.status(), 200);
    let purchase = shop.buy(A, "24h").await;
    shop.btcpay.pay(&purchase.invoice).await;
    shop.token(&purchase, std::time::Duration::from_secs(10)).await;
    let csv = shop.h.run(&["sales", "--csv"]);
    let mut lines: Vec<_> = csv.lines().skip(1).map(|line| line.rsplit(',').take(2).collect::<Vec<_>>()).collect();
    lines.sort_unstable();
    let order = challenge.body["order"].as_str().unwrap();
    assert_eq!(lines, [["machine", order], ["page", &purchase.invoice]], "{csv}");
    let table = shop.h.run(&["sales", "--by", "lane"]);
    assert!(
        table.contains("\nmachine      1  0.00000100") && table.contains("\npage         1  0.00000100"),
        "{table}"
    );
    let daemon = shop.h.daemon();
    for (name, lane) in [("created", "machine"), ("created", "page"), ("settled", "page"), ("settled", "machine")] {
        let name = format!("hlsgate_invoices_{name}_total{{lane=\"{lane}\"}}");
        crate::harness::until(&name, || async { (daemon.metric(&name).await == 1.0).then_some(()) }).await;
    }
    assert_eq!(daemon.metric("hlsgate_machine_tokens_total").await, 1.0);
}

#[tokio::test]
async fn without_the_include_a_playlist_is_refused_and_makes_no_invoice() {
    let shop = Shop::start().await;
    let response = get(&shop, PLAYLIST, "").await;
    assert_eq!(response.status(), 403);
    assert!(response.headers().get("www-authenticate").is_none());
    assert_eq!(made(&shop).await, 0);
}
