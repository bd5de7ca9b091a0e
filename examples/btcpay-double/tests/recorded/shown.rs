//! What a recording shows only somewhere in its text: hosts, destinations, secrets.

use crate::mail::SECRET;

/// Where the recorded shop listened: hosts whose addresses have `/case/` or `/hook` in them.
pub fn hosts(text: &str) -> Vec<String> {
    let mut hosts: Vec<String> = vec![];
    for (at, _) in text.match_indices("http://127.0.0.1:") {
        let rest = &text[at + "http://".len()..];
        let Some((host, path)) = rest.split_once('/') else { continue };
        if host.len() <= 15
            && (path.starts_with("case/") || path.starts_with("hlsgate/"))
            && !hosts.iter().any(|known| known == host)
        {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

/// The server's own name in the links that it makes.
pub fn server(text: &str) -> String {
    let usual = if text.contains("https://btcpay.example/") { "btcpay.example" } else { "127.0.0.1:33021" };
    let links = ["\"checkoutLink\":\"", "\"checkoutLink\": \"", "\"viewLink\":\"", "\"viewLink\": \""];
    let link = links.iter().find_map(|name| text.split_once(&format!("{name}http://")));
    link.and_then(|(_, rest)| rest.split_once('/')).map_or(usual.into(), |(host, _)| host.to_owned())
}

/// Every text that begins as a BOLT11 or an address.
pub fn destinations(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut found: Vec<String> = words
        .filter(|word| (word.starts_with("lnbcrt") || word.starts_with("bcrt1")) && word.len() > 30)
        .map(str::to_owned)
        .collect();
    // A BOLT11 that is cut in what a hand did is the beginning of a whole one.
    let mut seen = std::collections::HashSet::new();
    found.retain(|word| seen.insert(word.clone()) && (word.starts_with("bcrt1") || word.len() > 150));
    // Of several that begin alike, the one of whose payment the shop was told.
    let told: std::collections::HashSet<&str> =
        text.split("\\\"destination\\\": \\\"").skip(1).filter_map(|rest| rest.split('\\').next()).collect();
    found.sort_by_cached_key(|word| !told.contains(word.as_str()));
    found
}

pub fn secrets(text: &str) -> Vec<String> {
    let mut secrets = vec![SECRET.to_owned()];
    for (at, _) in text.match_indices("\"secret\":") {
        let value = text[at + "\"secret\":".len()..].trim_start();
        if let Some(secret) = value.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            secrets.push(secret.0.to_owned());
        }
    }
    secrets
}
