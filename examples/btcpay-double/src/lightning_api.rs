//! The store's Lightning node over the API: the second witness of a payment.

use serde_json::{Value, json};

use crate::{
    bolt11::{Description, Terms},
    greenfield::authorise,
    http::{Call, Reply, error, invalid, ok},
    ids,
    json::Json,
    keys,
    ledger::NodeInvoice,
    payment::MethodId,
    world::World,
};

/// Answers under `/stores/{store}/lightning/BTC`.
pub fn answer(world: &mut World, call: &Call, store: &str, rest: &[&str]) -> Result<Reply, Reply> {
    match (call.method.as_str(), rest) {
        ("GET", ["info"]) => {
            authorise(world, call, keys::USE_NODE, Some(store))?;
            reachable(world)?;
            let id = world.node.id();
            Ok(ok(&json!({
                "nodeURIs": [format!("{id}@127.0.0.1:9735")], "blockHeight": 307, "alias": "btcpay-double", "color": &id[..6],
                "version": format!("btcpay-double {}", env!("CARGO_PKG_VERSION")), "peersCount": 0, "activeChannelsCount": 0,
                "inactiveChannelsCount": 0, "pendingChannelsCount": 0,
            })))
        }
        ("GET", ["invoices"]) => {
            authorise(world, call, keys::VIEW_LIGHTNING, Some(store))?;
            reachable(world)?;
            let now = world.now();
            let pending = call.param("pendingOnly").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
            let from: Option<usize> = call.param("offsetIndex").and_then(|text| text.parse().ok());
            let paid_before =
                |position: usize| world.node_invoices[..position].iter().filter(|known| known.paid.is_some()).count();
            let wanted = world.node_invoices.iter().enumerate().filter(|(position, known)| {
                let open = !pending || known.status(now) == "Unpaid";
                let since = from.is_none_or(|from| known.paid.is_some() && paid_before(*position) + 1 >= from);
                !known.cancelled && open && since
            });
            Ok(ok(&wanted.map(|(_, known)| shown(known, now)).collect::<Vec<_>>()))
        }
        ("GET", ["invoices", id]) => {
            authorise(world, call, keys::VIEW_LIGHTNING, Some(store))?;
            reachable(world)?;
            let now = world.now();
            let named = |known: &&NodeInvoice| known.id == *id || ids::hex(&known.payment_hash) == *id;
            // A cancelled one is deleted.
            let found = world.node_invoices.iter().filter(|known| !known.cancelled).find(named);
            let found = found.ok_or_else(|| {
                error(404, "invoice-not-found", "Impossible to find a lightning invoice with this id")
            })?;
            Ok(ok(&shown(found, now)))
        }
        ("POST", ["invoices"]) => {
            authorise(world, call, keys::CREATE_LIGHTNING, Some(store))?;
            create(world, &call.document()?.value)
        }
        _ => Err(crate::greenfield::nothing(call)),
    }
}

fn create(world: &mut World, request: &Json) -> Result<Reply, Reply> {
    let whole = |name: &str| match request.member(name) {
        Some(Json::Number(text) | Json::Text(text)) => text.parse::<u64>().ok(),
        _ => None,
    };
    let Some(millisatoshi) = whole("amount") else {
        return Err(invalid(&[("Amount", "Amount should be more than 0")]));
    };
    let expiry = whole("expiry").unwrap_or(86_400);
    if expiry == 0 {
        return Err(invalid(&[("Expiry", "Expiry should be more than 0")]));
    }
    reachable(world)?;
    let (preimage, payment_hash) = ids::preimage();
    let now = world.now();
    let description = request.member("description").and_then(Json::text).unwrap_or_default();
    let bolt11 = world.node.invoice(&Terms {
        millisatoshi: Some(millisatoshi),
        payment_hash,
        description: Description::Text(description),
        timestamp: now.div_euclid(1000).unsigned_abs(),
        expiry,
    });
    let made = NodeInvoice {
        id: world.switches.lightning_node.label(&payment_hash),
        bolt11,
        payment_hash,
        preimage,
        millisatoshi: Some(millisatoshi),
        expires: now + i64::try_from(expiry).unwrap_or(i64::MAX / 2000) * 1000,
        paid: None,
        cancelled: false,
        unheard: false,
        invoice: None,
        method: MethodId::Lightning,
    };
    let answer = ok(&shown(&made, now));
    world.node_invoices.push(made);
    Ok(answer)
}

fn shown(known: &NodeInvoice, now: i64) -> Value {
    let paid = known.paid;
    let mut value = json!({
        "id": known.id, "status": known.status(now), "BOLT11": known.bolt11, "paymentHash": ids::hex(&known.payment_hash),
        "paidAt": paid.map(|(at, _)| at.div_euclid(1000)), "expiresAt": known.expires.div_euclid(1000),
        "amount": known.millisatoshi.map_or_else(|| "0".into(), |amount| amount.to_string()),
        "amountReceived": paid.map(|(_, amount)| amount.to_string()),
    });
    if paid.is_some() {
        value["preimage"] = ids::hex(&known.preimage).into();
    }
    value
}

fn reachable(world: &World) -> Result<(), Reply> {
    match world.lightning_away() {
        true => Err(error(
            503,
            "lightning-node-unavailable",
            "The lightning node is unavailable (SocketException: Cannot assign requested address)",
        )),
        false => Ok(()),
    }
}
