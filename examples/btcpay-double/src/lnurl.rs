//! LNURL (LUD-06, LUD-12, LUD-21): what a wallet asks before it gets a BOLT11 to pay.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    bolt11::Description,
    http::{Call, Reply, error, ok},
    ids,
    invoice::{Invoice, Kind, Status},
    payment::{Asked, MethodId},
    world::World,
};

/// What a wallet may send where the invoice has no price, in millisatoshi.
const BOUNDS: (u64, u64) = (1_000, 612_000_000_000);
/// Characters of a payer's comment.
const COMMENT: u64 = 2000;

/// Answers `/BTC/lnurl/pay/i/{id}` and `/BTC/UILNURL/pay/i/{id}`; with an `amount` in millisatoshi it makes the BOLT11.
pub fn pay(world: &mut World, call: &Call, id: &str) -> Reply {
    let open = |invoice: &&Invoice| invoice.status == Status::New && invoice.method(MethodId::Lnurl).is_some();
    let Some(invoice) = world.invoice(id).filter(open) else {
        return refusal("Invoice not in a valid payable state");
    };
    let request = request(world, invoice, &call.base);
    let bound = |name: &str| request[name].as_u64().unwrap_or_default();
    let Some(amount) = call.param("amount") else { return ok(&request) };
    let amount = amount.parse().ok().filter(|amount| (bound("minSendable")..=bound("maxSendable")).contains(amount));
    let Some(amount) = amount else { return refusal("Amount is out of bounds.") };
    let asked = Asked { millisatoshi: amount, comment: call.param("comment").map(str::to_owned), terms: request };
    match point(world, id, asked) {
        Some((bolt11, hash)) => ok(&json!({
            "pr": bolt11, "routes": [], "disposable": true, "successAction": null,
            "verify": format!("{}/lnurlp/verify/{}", call.base, ids::hex(&hash)),
        })),
        None => refusal("Lightning node could not generate invoice"),
    }
}

/// Answers `/lnurlp/verify/{payment hash}`.
pub fn verify(world: &World, hash: &str) -> Reply {
    let known = world.node_invoices.iter().find(|known| ids::hex(&known.payment_hash) == hash);
    match known {
        Some(known) => ok(&json!({
            "status": "OK", "settled": known.paid.is_some(), "preimage": known.paid.map(|_| ids::hex(&known.preimage)), "pr": known.bolt11,
        })),
        None => error(404, "not-found", "Not found"),
    }
}

/// Has the node make the BOLT11 that the wallet asked for. Gives it and its payment hash; `None` while the node is away.
fn point(world: &mut World, id: &str, asked: Asked) -> Option<(String, [u8; 32])> {
    let index = *world.index.get(id)?;
    if world.lightning_away() {
        return None;
    }
    let mut invoice = world.invoices[index].clone();
    let position = invoice.methods.iter().position(|method| method.id == MethodId::Lnurl)?;
    let (preimage, payment_hash) = ids::preimage();
    let said = asked.terms["metadata"].as_str().unwrap_or_default().to_owned();
    let amount = Some(asked.millisatoshi);
    let method = &mut invoice.methods[position];
    (method.preimage, method.payment_hash, method.asked) = (preimage, payment_hash, Some(asked));
    let bolt11 = world.ask_node(&mut invoice, position, amount, Description::Hashed(&said));
    invoice.methods[position].destination = Some(bolt11.clone());
    world.invoices[index] = invoice;
    Some((bolt11, payment_hash))
}

fn request(world: &World, invoice: &Invoice, base: &str) -> Value {
    let due = invoice.method(MethodId::Lnurl).map(|method| invoice.sums(method, Decimal::ZERO).due);
    let exact = due.map(|due| (due * Decimal::new(100_000_000_000, 0)).round()).and_then(|due| u64::try_from(due).ok());
    let (least, most) = match (invoice.kind, exact) {
        (Kind::Standard, Some(exact)) => (exact, exact),
        _ => BOUNDS,
    };
    json!({
        "callback": format!("{base}/BTC/UILNURL/pay/i/{}", invoice.id), "metadata": json!([["text/plain", world.description(invoice)]]).to_string(),
        "tag": "payRequest", "minSendable": least, "maxSendable": most, "commentAllowed": COMMENT,
    })
}

fn refusal(reason: &str) -> Reply {
    ok(&json!({"status": "ERROR", "reason": reason}))
}
