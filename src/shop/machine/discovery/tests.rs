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
[videos.clock]
title = "The clock"
offers = [{ tier = "once", price = "5.00", currency = "USD" }]
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
                "/hlsgate/videos/clock/access?tier=once",
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
    let paths = document["paths"].as_object().unwrap();
    let paid: Vec<_> = paths.iter().filter(|(path, _)| path.ends_with("/access")).collect();
    assert_eq!(
        paid.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
        ["/hlsgate/videos/clock/access", "/hlsgate/videos/{video}/access"]
    );
    for (path, item) in &paid {
        assert!(item["get"]["responses"]["402"]["description"].is_string(), "{path}");
        assert_eq!(item["get"]["x-payment-info"]["offers"][0]["method"], "lightning", "{path}");
    }
    let amounts = |item: &Value| {
        let offers = item["get"]["x-payment-info"]["offers"].as_array().unwrap().iter();
        offers.map(|offer| offer["amount"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(amounts(paid[0].1), [None]);
    assert_eq!(amounts(paid[1].1), [Some("100".into()), Some("20000".into())]);
    assert_eq!(paid[1].1["get"]["x-l402-pricing"]["price_msat"], 100_000, "without a tier the first one is sold");
}

#[test]
fn a_model_reads_prices_and_addresses() {
    let text = with(CONFIG, "https://video.example", |site| site.llms_txt());
    assert!(text.starts_with("# video.example\n\n> "), "{text}");
    for line in [
        "- [any film](https://video.example/hlsgate/videos/{video}/access?tier=24h): 100 SATS, 24 hours\n",
        "- [All of  summer ](https://video.example/hlsgate/videos/{video}/access?tier=30d&covers=pass%3Asummer): 0.0002 BTC, 30 days\n",
        "- [The clock](https://video.example/hlsgate/videos/clock/access?tier=once): 5.00 USD, for ever\n",
        "- [Films](https://video.example/videos.json)",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_site_of_many_films_is_told_in_bounds() {
    let films: String = (0..2 * MAX_VIDEOS)
        .map(|it| format!("[videos.f{it}]\noffers = [{{ tier = \"a\", price = \"1\", currency = \"SATS\" }}]\n"))
        .collect();
    let entries = with(&films, "", |site| site.entries().len());
    assert_eq!(entries, MAX_VIDEOS);
}
