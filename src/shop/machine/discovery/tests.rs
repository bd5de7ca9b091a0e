//! What is told of a shop with every kind of offer.

use std::path::Path;

use super::*;
use crate::config::Config;

const CONFIG: &str = r#"
[[offers]]
tier = "24h"
price = "100"
currency = "SATS"
duration = "24h"
[passes.summer]
videos = "all"
title = "All of [summer]"
offers = [{ tier = "30d", price = "0.0002", currency = "BTC", duration = "30d" }]
[passes.winter]
videos = "all"
offers = [{ tier = "once", price = "5.00", currency = "USD" }]
[videos.unlisted]
title = "The clock"
offers = [{ tier = "own", price = "5", currency = "SATS" }]
[videos.off]
offers = []
[videos.usual]
"#;

fn with<T>(config: &str, base: &str, read: impl FnOnce(Site<'_>) -> T) -> T {
    let config = Config::parse(config, Path::new("hlsgate.toml")).unwrap();
    let (catalogue, titles) = (&config.catalogue, &config.videos.titles);
    read(Site { name: "video.example", base, catalogue, titles, lists_films: true })
}

#[test]
fn the_manifest_has_every_offer_at_the_address_that_sells_it() {
    let manifest = with(CONFIG, "https://video.example", |site| site.l402_json());
    let resources = manifest["services"][0]["resources"].as_array().unwrap();
    let told: Vec<_> = resources.iter().map(|it| (it["path"].as_str().unwrap(), it["pricing"].clone())).collect();
    let fixed = |msat: u64| json!({ "model": "fixed", "price_msat": msat });
    assert_eq!(
        told,
        [
            ("/hlsgate/videos/{video}/access?tier=24h", fixed(100_000)),
            ("/hlsgate/videos/{video}/access?tier=30d&covers=pass%3Asummer", fixed(20_000_000)),
            (
                "/hlsgate/videos/{video}/access?tier=once&covers=pass%3Awinter",
                json!({ "model": "dynamic", "price": "5.00", "currency": "USD" })
            ),
        ]
    );
    assert_eq!(manifest["provider"], json!({ "name": "video.example", "uri": "https://video.example" }));
    assert_eq!(manifest["openapi"], "https://video.example/hlsgate/machines/openapi.json");
    let routes = with(CONFIG, "", |site| site.l402_services());
    assert_eq!(routes["routes"].as_array().unwrap().len(), 2, "a rate of the moment is no static price");
}

/// draft-payment-discovery-01: each paid operation has offers and a 402, amounts are digits or null.
#[test]
fn each_paid_operation_tells_its_offers_and_its_402() {
    let document = with(CONFIG, "https://video.example", |site| site.openapi());
    let sold = &document["paths"]["/hlsgate/videos/{video}/access"]["get"];
    assert!(sold["responses"]["402"]["description"].is_string());
    let offers = sold["x-payment-info"]["offers"].as_array().unwrap();
    let told: Vec<_> = offers.iter().map(|offer| (offer["method"].as_str(), offer["amount"].as_str())).collect();
    let lightning = Some("lightning");
    assert_eq!(told, [(lightning, Some("100")), (lightning, Some("20000")), (lightning, None)]);
    assert_eq!(sold["x-l402-pricing"]["price_msat"], 100_000, "without a tier the first one is sold");
}

#[test]
fn a_model_reads_prices_and_addresses() {
    let text = with(CONFIG, "https://video.example", |site| site.llms_txt());
    assert!(text.starts_with("# video.example\n\n> "), "{text}");
    for line in [
        "- [any film](https://video.example/hlsgate/videos/{video}/access?tier=24h): 100 SATS, 24 hours\n",
        "- [All of  summer ](https://video.example/hlsgate/videos/{video}/access?tier=30d&covers=pass%3Asummer): 0.0002 BTC, 30 days\n",
        "- [pass winter](https://video.example/hlsgate/videos/{video}/access?tier=once&covers=pass%3Awinter): 5.00 USD, for ever\n",
        "- [Films](https://video.example/videos.json)",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// A film can be sold without being listed: those who know its id are told what it costs, and nobody else that it is there.
#[test]
fn no_film_is_named() {
    let all = with(CONFIG, "https://video.example", |site| {
        [site.l402_json().to_string(), site.l402_services().to_string(), site.openapi().to_string(), site.llms_txt()]
    });
    assert!(all.iter().all(|text| !text.contains("unlisted") && !text.contains("The clock")), "{all:?}");
}
