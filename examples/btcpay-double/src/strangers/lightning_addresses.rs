//! Lightning addresses: any wallet that asks for one leaves an invoice in the store.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, html_error, ok},
    invoice_api, keys,
    reading::{amount, number, object, text},
    world::World,
};

#[derive(Clone, Debug)]
pub struct Address {
    name: String,
    currency: Option<String>,
    min: Option<Decimal>,
    max: Option<Decimal>,
    /// For each invoice; `null` without.
    metadata: Value,
}

pub fn create(world: &mut World, call: &Call, store: &str, name: &str) -> Result<Reply, Reply> {
    if call.method != "POST" {
        return Ok(nothing(call));
    }
    authorise(world, call, keys::MODIFY_STORE, Some(store))?;
    let request = call.document()?.value;
    let made = Address {
        name: name.to_owned(),
        currency: text(&request, "currencyCode"),
        min: amount(&request, "min"),
        max: amount(&request, "max"),
        metadata: object(&request, "invoiceMetadata").unwrap_or_default(),
    };
    let answer = ok(&json!({
        "username": made.name, "currencyCode": made.currency, "min": made.min.map(number),
        "max": made.max.map(number), "invoiceMetadata": made.metadata,
    }));
    world.strangers.addresses.retain(|known| known.name != name);
    world.strangers.addresses.push(made);
    Ok(answer)
}

/// Millisatoshi: the bounds are taken for satoshi whatever the currency, whole ones, and one at least.
fn millisatoshi(bound: Option<Decimal>, usual: u64) -> u64 {
    let satoshi = bound.map(|amount| amount.trunc().max(Decimal::ONE));
    satoshi.and_then(|satoshi| u64::try_from(satoshi).ok()).map_or(usual, |satoshi| satoshi * 1000)
}

/// Answers `/.well-known/lnurlp/{name}`: makes an invoice to whose LNURL the wallet goes on.
pub fn lnurlp(world: &mut World, call: &Call, name: &str) -> Reply {
    let Some(address) = world.strangers.addresses.iter().find(|known| known.name == name).cloned() else {
        return html_error(404);
    };
    let host =
        call.base.split_once("://").map_or("", |(_, host)| host).split('/').next().unwrap_or_default().to_owned();
    let mut metadata = if address.metadata.is_object() { address.metadata.clone() } else { json!({}) };
    metadata["lightningAddress"] = format!("{name}@{host}").into();
    let creation = json!({
        "currency": address.currency, "metadata": metadata, "checkout": {"paymentMethods": ["BTC-LNURL"]},
    });
    let Ok(id) = invoice_api::make(world, &creation, None) else { return html_error(500) };
    let said =
        json!([["text/plain", format!("Paid to {}", world.store.name)], ["text/identifier", format!("{name}@{host}")]]);
    ok(&json!({
        "tag": "payRequest", "callback": format!("{}/BTC/UILNURL/pay/i/{id}", call.base), "metadata": said.to_string(),
        "minSendable": millisatoshi(address.min, 1000),
        "maxSendable": millisatoshi(address.max, 612_000_000_000), "commentAllowed": 0,
    }))
}
