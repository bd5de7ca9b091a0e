//! The pay button: a form on anybody's page, which makes an invoice where the store lets anybody make them.

use serde_json::json;

use super::{field, form};
use crate::{
    http::{Call, Reply, html, redirect},
    invoice_api,
    world::World,
};

pub fn answer(world: &mut World, call: &Call) -> Reply {
    let form = form(call);
    let ours = field(&form, "storeId") == Some(world.store.id.as_str());
    // A page says so, with 200.
    let refused =
        |why: &str| html(200, format!("<!DOCTYPE html>\n<html lang=\"en\"><body><p>{why}</p></body></html>\n"));
    if !ours || !world.store.anyone_can_create_invoice {
        return refused("Store has not enabled Pay Button");
    }
    let mut metadata = json!({});
    for (name, value) in [("orderId", "orderId"), ("itemDesc", "checkoutDesc")] {
        if let Some(value) = field(&form, value) {
            metadata[name] = value.into();
        }
    }
    let creation = json!({
        "amount": field(&form, "price"), "currency": field(&form, "currency"), "metadata": metadata,
        "checkout": {"redirectURL": field(&form, "browserRedirect")},
    });
    match invoice_api::make(world, &creation, None) {
        Ok(id) => redirect(302, &format!("{}/i/{id}", call.base)),
        Err(message) => refused(&message.replace('<', "&lt;")),
    }
}
