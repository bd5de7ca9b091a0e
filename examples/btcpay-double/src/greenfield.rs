//! The Greenfield API: who may call what, and everything that is neither an invoice nor a webhook.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    http::{Call, Reply, empty, html_error, missing_permission, ok, unauthenticated},
    invoice_api, keys,
    version::SHORT_ROUTES,
    webhook_api,
    world::World,
};

/// Answers a call under `/api/v1`; `path` is what follows.
pub async fn answer(app: &Arc<App>, call: &Call, path: &[&str]) -> Reply {
    let short = app.with(|world| world.version >= SHORT_ROUTES);
    let result = match (call.method.as_str(), path) {
        // Preflights: any origin, method and header.
        ("OPTIONS", _) => Ok(preflight()),
        ("GET", ["health"]) => Ok(ok(&json!({"synchronized": app.with(|world| world.switches.synchronized)}))),
        ("GET", ["server", "info"]) => app.with(|world| server_info(world, call)),
        ("GET", ["api-keys", "current"]) => app.with(|world| current_key(world, call)),
        ("GET", ["stores"]) => app.with(|world| stores(world, call)),
        ("GET", ["stores", store]) => app.with(|world| store_data(world, call, store)),
        ("GET", ["stores", store, "payment-methods"]) => app.with(|world| store_methods(world, call, store)),
        ("GET", ["stores", store, "invoices"]) => app.with(|world| invoice_api::list(world, call, store)),
        ("POST", ["stores", store, "invoices"]) => invoice_api::create(app, call, store).await,
        (_, ["stores", store, "invoices", id, rest @ ..]) => {
            app.with(|world| invoice_api::one(world, call, Some(store), id, rest))
        }
        (_, ["invoices", id, rest @ ..]) if short => app.with(|world| invoice_api::one(world, call, None, id, rest)),
        (_, ["stores", store, "webhooks"]) => webhook_api::all(app, call, store),
        (_, ["stores", store, "webhooks", id, rest @ ..]) => {
            app.with(|world| webhook_api::one(world, call, Some(store), id, rest))
        }
        (_, ["webhooks", id, rest @ ..]) if short => app.with(|world| webhook_api::one(world, call, None, id, rest)),
        (_, ["health"] | ["server", "info"] | ["api-keys", "current"] | ["stores", _, "invoices"]) => Ok(empty(405)),
        _ => Ok(html_error(404)),
    };
    result.unwrap_or_else(|refusal| refusal)
}

/// Lets the call through if its key has `permission` in `store`; a store other than ours is nobody's.
pub fn authorise(world: &World, call: &Call, permission: &str, store: Option<&str>) -> Result<(), Reply> {
    let Some(presented) = &call.key else {
        return Err(unauthenticated("Authentication is required for accessing this endpoint"));
    };
    let Some(key) = world.keys.iter().find(|key| key.key == *presented) else {
        return Err(unauthenticated("ApiKey authentication failed: Unknown API Key"));
    };
    let known = store.is_none_or(|store| store == world.store.id);
    match permission.is_empty() || known && key.permits(permission, store) {
        true => Ok(()),
        false => Err(missing_permission(permission)),
    }
}

fn preflight() -> Reply {
    let mut reply = empty(204);
    for (name, value) in [
        ("access-control-allow-methods", "GET, POST, PUT, DELETE"),
        ("access-control-allow-headers", "authorization, content-type"),
    ] {
        reply.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    reply
}

fn server_info(world: &World, call: &Call) -> Result<Reply, Reply> {
    authorise(world, call, "", None)?;
    let synched = world.switches.synchronized;
    let node = json!({"headers": 905_000, "blocks": if synched { 905_000 } else { 904_000 }, "verificationProgress": if synched { 1.0 } else { 0.998 }});
    Ok(ok(&json!({
        "version": world.version.to_string(), "onion": null, "supportedPaymentMethods": ["BTC-CHAIN", "BTC-LN", "BTC-LNURL"], "fullySynched": synched,
        "syncStatus": [{"paymentMethodId": "BTC-CHAIN", "nodeInformation": node, "chainHeight": 905_000, "syncHeight": 905_000, "available": true}],
    })))
}

fn current_key(world: &World, call: &Call) -> Result<Reply, Reply> {
    authorise(world, call, "", None)?;
    let key = world.keys.iter().find(|key| call.key.as_ref() == Some(&key.key));
    Ok(ok(&key.map(|key| json!({"apiKey": key.key, "label": key.label, "permissions": key.permissions}))))
}

fn stores(world: &World, call: &Call) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, None)?;
    Ok(ok(&[store(world)]))
}

fn store_data(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    Ok(ok(&store(world)))
}

fn store(world: &World) -> Value {
    let mut data = json!({
        "website": null, "supportUrl": null, "logoUrl": null, "cssUrl": null, "paymentSoundUrl": null, "brandColor": null,
        "applyBrandColorToBackend": false, "additionalTrackedRates": [], "displayExpirationTimer": 300, "refundBOLT11Expiration": 30,
        "lightningDescriptionTemplate": "Paid to {StoreName} (Order ID: {OrderId})", "archived": false, "anyoneCanCreateInvoice": false,
        "receipt": {"enabled": true, "showQR": null, "showPayments": null}, "lightningAmountInSatoshi": false, "lightningPrivateRouteHints": false,
        "onChainWithLnInvoiceFallback": false, "showRecommendedFee": true, "recommendedFeeBlockTarget": 1, "htmlTitle": null,
        "networkFeeMode": "MultiplePaymentsOnly", "payJoinEnabled": false, "autoDetectLanguage": false, "showPayInWalletButton": true,
        "showStoreHeader": true, "celebratePayment": true, "playSoundOnPayment": false, "paymentMethodCriteria": null,
    });
    if let (Some(data), Ok(Value::Object(settings))) = (data.as_object_mut(), serde_json::to_value(&world.store)) {
        data.extend(settings);
    }
    data
}

fn store_methods(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    let with_config = call.param("includeConfig") == Some("true");
    if with_config {
        authorise(world, call, keys::MODIFY_STORE, Some(id))?;
    }
    let methods = world.switches.methods.iter().filter(|_| call.param("onlyEnabled") != Some("false"));
    let methods: Vec<_> = methods
        .map(|method| match with_config {
            true => json!({"paymentMethodId": method, "enabled": true, "config": {}}),
            false => json!({"paymentMethodId": method, "enabled": true}),
        })
        .collect();
    Ok(ok(&methods))
}

#[cfg(test)]
#[path = "greenfield_tests.rs"]
mod tests;
