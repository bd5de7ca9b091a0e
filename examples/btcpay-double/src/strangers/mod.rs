//! Invoices that the shop did not make: those of the store's apps, pay button, payment requests and Lightning addresses. Any
//! visitor can make them, and their deliveries come like all others.

mod apps;
mod lightning_addresses;
mod pay_button;
mod payment_requests;

use crate::{
    greenfield::nothing,
    http::{Call, Reply},
    world::World,
};

pub use {lightning_addresses::lnurlp, payment_requests::invoice_changed};

/// All that there is, oldest first.
#[derive(Default)]
pub struct Strangers {
    apps: Vec<apps::App>,
    requests: Vec<payment_requests::PaymentRequest>,
    addresses: Vec<lightning_addresses::Address>,
}

/// Answers the API's part; `path` is what follows `/stores/{store}`, or `/api/v1` without a store.
pub fn answer(world: &mut World, call: &Call, store: Option<&str>, path: &[&str]) -> Result<Reply, Reply> {
    match (store, path) {
        (Some(store), ["apps", kind]) => apps::create(world, call, store, kind),
        (Some(store), ["lightning-addresses", name]) => lightning_addresses::create(world, call, store, name),
        (store, ["payment-requests", rest @ ..]) => payment_requests::answer(world, call, store, rest),
        (None, ["invoices"]) => Ok(pay_button::answer(world, call)),
        _ => Ok(nothing(call)),
    }
}

/// Answers `/apps/{id}/pos` and `/apps/{id}/crowdfund`: the forms that visitors send.
pub fn app(world: &mut World, call: &Call, id: &str, view: &str) -> Reply {
    apps::visit(world, call, id, view)
}

/// A form's fields, as a browser sends them.
fn form(call: &Call) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(&call.body).unwrap_or_default()
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}
