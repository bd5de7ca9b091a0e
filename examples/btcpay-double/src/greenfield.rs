//! The Greenfield API: who may call what, and everything that is neither an invoice nor a webhook.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    http::{Call, Reply, empty, error, html_error, invalid, missing_permission, ok, unauthenticated},
    ids, invoice_api,
    json::Json,
    keys::{self, ApiKey},
    lightning_api,
    payment::MethodId,
    refunds,
    settings::patched,
    strangers, subscriptions,
    version::{SAYS_WHY_401, SHORT_ROUTES, STORE_OF_2_2, TAKES_ANY_PERMISSION},
    views, webhook_api,
    world::World,
};

/// Which exchange gives the rate of which currency where the store says nothing.
const DEFAULT_RATES: &str = "X_EUR = kraken(X_EUR);\n\
    X_USD = kraken(X_USD);\n\
    X_CAD = kraken(X_CAD);\n\
    X_GBP = kraken(X_GBP);\n\
    X_CHF = kraken(X_CHF);\n\
    X_GTQ = bitpay(X_GTQ);\n\
    X_COP = yadio(X_COP);\n\
    X_ARS = yadio(X_ARS);\n\
    X_JPY = bitbank(X_JPY);\n\
    X_TRY = btcturk(X_TRY);\n\
    X_UGX = yadio(X_UGX);\n\
    X_RSD = bitpay(X_RSD);\n\
    X_NGN = bitnob(X_NGN);\n\
    X_NOK = barebitcoin(X_NOK);\n\
    X_CZK = coinmate(X_CZK);\n\
    X_ZAR = luno(X_ZAR);\n\
    X_INR = coindcx(X_INR);";

/// Answers a call under `/api/v1`; `path` is what follows.
pub async fn answer(app: &Arc<App>, call: &Call, path: &[&str]) -> Reply {
    if path.iter().any(|part| part.contains('\0')) {
        return empty(400);
    }
    if let ("OPTIONS", Some((method, headers))) = (call.method.as_str(), &call.preflight) {
        return preflight(method, headers);
    }
    let version = app.with(|world| world.version);
    if let Some(verbs) = verbs(path, version >= SHORT_ROUTES)
        && !verbs.split(", ").any(|verb| verb == call.method)
    {
        let mut reply = empty(405);
        reply.headers_mut().insert("allow", http::HeaderValue::from_static(verbs));
        return reply;
    }
    let result = match (call.method.as_str(), path) {
        ("GET", ["health"]) => Ok(ok(&json!({"synchronized": app.with(|world| world.synchronized())}))),
        ("GET", ["server", "info"]) => app.with(|world| server_info(world, call)),
        (_, ["api-keys", rest @ ..]) => app.with(|world| api_keys(world, call, rest)),
        ("GET", ["stores"]) => app.with(|world| stores(world, call)),
        ("GET", ["stores", store]) => app.with(|world| store_data(world, call, store)),
        ("PUT", ["stores", store]) => app.with(|world| change_store(world, call, store)),
        ("GET", ["stores", store, "payment-methods"]) => app.with(|world| store_methods(world, call, store)),
        ("GET", ["stores", store, "payment-methods", id]) => app.with(|world| store_method(world, call, store, id)),
        ("GET", ["stores", store, "rates", "configuration"]) => app.with(|world| rate_rules(world, call, store)),
        ("GET", ["stores", store, "rates"]) => app.with(|world| rates(world, call, store)),
        ("GET", ["stores", store, "invoices"]) => app.with(|world| invoice_api::list(world, call, store)),
        ("POST", ["stores", store, "invoices"]) => invoice_api::create(app, call, store).await,
        (_, ["stores", store, "invoices", id, "refund", rest @ ..]) => {
            app.with(|world| refunds::invoice_refund(world, call, Some(store), id, rest))
        }
        (_, ["invoices", id, "refund", rest @ ..]) if version >= SHORT_ROUTES => {
            app.with(|world| refunds::invoice_refund(world, call, None, id, rest))
        }
        (_, ["stores", store, "pull-payments" | "payouts" | "payout-processors", ..]) => {
            app.with(|world| refunds::answer(world, call, Some(store), &path[2..]))
        }
        (_, ["pull-payments" | "payouts", ..]) => app.with(|world| refunds::answer(world, call, None, path)),
        (_, ["stores", store, "offerings", rest @ ..]) => {
            app.with(|world| subscriptions::offerings(world, call, store, rest))
        }
        (_, ["stores", store, "apps" | "lightning-addresses" | "payment-requests", ..]) => {
            app.with(|world| strangers::answer(world, call, Some(store), &path[2..]))
        }
        (_, ["payment-requests", ..]) | ("POST", ["invoices"]) => {
            app.with(|world| strangers::answer(world, call, None, path))
        }
        (_, ["plan-checkout" | "subscriber-portal", ..]) => {
            app.with(|world| subscriptions::sessions(world, call, path))
        }
        (_, ["stores", store, "invoices", id, rest @ ..]) => {
            app.with(|world| invoice_api::one(world, call, Some(store), id, rest))
        }
        (_, ["invoices", id, rest @ ..]) if version >= SHORT_ROUTES => {
            app.with(|world| invoice_api::one(world, call, None, id, rest))
        }
        (_, ["stores", store, "lightning", "BTC", rest @ ..]) => {
            app.with(|world| lightning_api::answer(world, call, store, rest))
        }
        (_, ["stores", store, "webhooks"]) => webhook_api::all(app, call, store),
        (_, ["stores", store, "webhooks", id, rest @ ..]) => {
            app.with(|world| webhook_api::one(world, call, Some(store), id, rest))
        }
        (_, ["webhooks", id, rest @ ..]) if version >= SHORT_ROUTES => {
            app.with(|world| webhook_api::one(world, call, None, id, rest))
        }
        _ => Ok(nothing(call)),
    };
    result.unwrap_or_else(|refusal| refusal)
}

/// A route that does not exist: a page for browsers, else nothing.
pub fn nothing(call: &Call) -> Reply {
    match call.accept.as_ref().is_some_and(|accept| accept.contains("text/html")) {
        true => html_error(404),
        false => empty(404),
    }
}

/// What a known route takes, as `Allow` says it.
fn verbs(path: &[&str], short: bool) -> Option<&'static str> {
    match path {
        ["health"] | ["server", "info"] | ["stores", _, "payment-methods"] => Some("GET"),
        ["stores", _, "invoices" | "webhooks"] => Some("GET, POST"),
        ["stores", _, "invoices" | "webhooks", _] => Some("DELETE, GET, PUT"),
        ["invoices" | "webhooks", _] if short => Some("DELETE, GET, PUT"),
        ["stores", _, "invoices", _, "status" | "unarchive"] => Some("POST"),
        ["stores", _, "invoices", _, "payment-methods"] => Some("GET"),
        _ => subscriptions::verbs(path),
    }
}

/// Lets the call through if its key has `permission` in `store`; a store other than ours is nobody's.
pub fn authorise(world: &World, call: &Call, permission: &str, store: Option<&str>) -> Result<(), Reply> {
    let wanted = "Authentication is required for accessing this endpoint";
    let Some(presented) = &call.key else {
        let basic = call.authorization.as_ref().and_then(|text| text.strip_prefix("Basic "));
        let message = match basic {
            Some(text) if !text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c)) => {
                "Basic authentication header was not in a correct format. (username:password encoded in base64)"
            }
            Some(_) => "Basic authentication failed: User not found or invalid password",
            None => wanted,
        };
        return Err(unauthenticated(if world.version < SAYS_WHY_401 { wanted } else { message }));
    };
    let Some(key) = world.keys.iter().find(|key| key.key == *presented) else {
        let unknown = "ApiKey authentication failed: Unknown API Key";
        return Err(unauthenticated(if world.version < SAYS_WHY_401 { wanted } else { unknown }));
    };
    let known = store.is_none_or(|store| store == world.store.id);
    match permission.is_empty() || known && key.permits(permission, store) {
        true => Ok(()),
        false => Err(missing_permission(permission)),
    }
}

/// Any origin; the method and the headers that were asked for.
fn preflight(method: &str, headers: &str) -> Reply {
    let mut reply = empty(204);
    for (name, value) in [("access-control-allow-methods", method), ("access-control-allow-headers", headers)] {
        if let Ok(value) = value.parse() {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

fn server_info(world: &World, call: &Call) -> Result<Reply, Reply> {
    authorise(world, call, "", None)?;
    let synched = world.synchronized();
    if !synched && world.switches.synchronized {
        // The explorer is gone, and its state is asked for.
        return Err(empty(500));
    }
    let node = json!({"headers": 905_000, "blocks": if synched { 905_000 } else { 904_000 }, "verificationProgress": if synched { 1.0 } else { 0.998 }});
    Ok(ok(&json!({
        "version": format!("{}+03345c2886a5", world.version), "onion": null, "supportedPaymentMethods": ["BTC-CHAIN", "BTC-LN", "BTC-LNURL"], "fullySynched": synched,
        "syncStatus": [{"paymentMethodId": "BTC-CHAIN", "nodeInformation": node, "chainHeight": 905_000, "syncHeight": 905_000, "available": true}],
    })))
}

/// The caller's key; keys that the server's owner makes and deletes.
fn api_keys(world: &mut World, call: &Call, rest: &[&str]) -> Result<Reply, Reply> {
    authorise(world, call, "", None)?;
    let own = call.key.clone().unwrap_or_default();
    let shown = |key: &ApiKey| json!({"apiKey": key.key, "label": key.label, "permissions": key.permissions});
    match (call.method.as_str(), rest) {
        ("GET", ["current"]) => Ok(ok(&world.keys.iter().find(|key| key.key == own).map(shown))),
        ("DELETE", ["current"]) => {
            world.keys.retain(|key| key.key != own);
            Ok(empty(200))
        }
        ("DELETE", [key]) => {
            let before = world.keys.len();
            world.keys.retain(|known| known.key != *key);
            match world.keys.len() < before {
                true => Ok(empty(200)),
                false => Err(error(400, "apikey-not-found", "This apikey does not exists")),
            }
        }
        ("POST", []) => {
            authorise(world, call, keys::UNRESTRICTED, None)?;
            let request = call.document()?.value;
            let mut permissions: Vec<String> = vec![];
            if let Some(Json::List(names)) = request.member("permissions") {
                for (position, name) in names.iter().enumerate() {
                    let name = name.text().unwrap_or_default();
                    if !keys::known_form(name) || world.version < TAKES_ANY_PERMISSION && !keys::known(name) {
                        let path = format!("permissions[{position}]");
                        return Err(invalid(&[(&path, "Invalid 'Permission' String")]));
                    }
                    if !permissions.iter().any(|known| known == name) {
                        permissions.push(name.to_owned());
                    }
                }
            }
            let label = request.member("label").and_then(Json::text).unwrap_or_default().to_owned();
            let key = ApiKey { key: ids::hex(&ids::random::<20>()), label, permissions };
            let answer = ok(&shown(&key));
            world.keys.push(key);
            Ok(answer)
        }
        _ => Ok(nothing(call)),
    }
}

fn stores(world: &World, call: &Call) -> Result<Reply, Reply> {
    match authorise(world, call, keys::VIEW_STORE, None) {
        Ok(()) => {
            let ours = authorise(world, call, keys::VIEW_STORE, Some(&world.store.id)).is_ok().then(|| store(world));
            let permits = |id: &String| {
                let key = world.keys.iter().find(|key| call.key.as_ref() == Some(&key.key));
                key.is_some_and(|key| key.permits(keys::VIEW_STORE, Some(id)))
            };
            let others = world.switches.other_stores.iter().filter(|id| permits(id)).map(|id| {
                let mut other = store(world);
                other["id"] = id.as_str().into();
                other["name"] = "Another store".into();
                other
            });
            Ok(ok(&ours.into_iter().chain(others).collect::<Vec<_>>()))
        }
        // Earlier versions listed what the key may see: nothing.
        Err(refusal) if refusal.status() == 403 && world.version < TAKES_ANY_PERMISSION => Ok(ok(&[(); 0])),
        Err(refusal) => Err(refusal),
    }
}

fn store_data(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    Ok(ok(&store(world)))
}

/// Changes those of the store's settings that mean anything here.
fn change_store(world: &mut World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::MODIFY_STORE, Some(id))?;
    let request = call.document()?.value;
    let Ok(Value::Object(known)) = serde_json::to_value(&world.store) else { return Err(empty(500)) };
    let mut patch = serde_json::Map::new();
    for name in known.keys().filter(|name| *name != "id") {
        if let Some(value) = request.member(name) {
            patch.insert(name.clone(), serde_json::from_str(&value.compact()).unwrap_or_default());
        }
    }
    world.store = patched(&world.store, &patch.into()).map_err(|message| invalid(&[("", &message)]))?;
    Ok(ok(&store(world)))
}

fn store(world: &World) -> Value {
    let mut data = json!({
        "website": null, "supportUrl": null, "logoUrl": null, "cssUrl": null, "paymentSoundUrl": null, "brandColor": null,
        "applyBrandColorToBackend": false, "additionalTrackedRates": [], "displayExpirationTimer": views::EXPIRATION_TIMER, "refundBOLT11Expiration": 30,
        "lightningDescriptionTemplate": "Paid to {StoreName} (Order ID: {OrderId})", "archived": false,         "receipt": {"enabled": true, "showQR": true, "showPayments": true}, "lightningAmountInSatoshi": false, "lightningPrivateRouteHints": false,
        "onChainWithLnInvoiceFallback": false, "showRecommendedFee": true, "recommendedFeeBlockTarget": 1, "htmlTitle": null,
        "payJoinEnabled": false, "autoDetectLanguage": false, "showPayInWalletButton": true,
        "showStoreHeader": true, "celebratePayment": true, "playSoundOnPayment": false, "paymentMethodCriteria": [],
    });
    if let (Some(data), Ok(Value::Object(settings))) = (data.as_object_mut(), serde_json::to_value(&world.store)) {
        data.extend(settings);
        let absent: &[&str] = match world.version < STORE_OF_2_2 {
            true => &["additionalTrackedRates", "refundBOLT11Expiration"],
            false => &["defaultLang"],
        };
        absent.iter().for_each(|name| drop(data.remove(*name)));
    }
    data
}

fn store_methods(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    let with_config = call.param("includeConfig") == Some("true");
    if with_config {
        authorise(world, call, keys::MODIFY_STORE, Some(id))?;
    }
    let only_enabled = call.param("onlyEnabled") == Some("true");
    let methods = MethodId::ALL.iter().filter(|method| world.switches.methods.contains(method));
    let methods = methods.map(|method| (method, !world.switches.disabled.contains(method)));
    let methods: Vec<_> = methods
        .filter(|(_, enabled)| *enabled || !only_enabled)
        .map(|(method, enabled)| match with_config {
            true => json!({"paymentMethodId": method, "enabled": enabled, "config": {}}),
            false => json!({"paymentMethodId": method, "enabled": enabled}),
        })
        .collect();
    Ok(ok(&methods))
}

fn store_method(world: &World, call: &Call, id: &str, method: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    match MethodId::parse(method).filter(|method| world.switches.methods.contains(method)) {
        Some(method) => {
            Ok(ok(&json!({"paymentMethodId": method, "enabled": !world.switches.disabled.contains(&method)})))
        }
        None => Err(error(404, "paymentmethod-not-found", "The payment method is not found")),
    }
}

/// The store's own rules, or those that come with BTCPay.
fn rate_rules(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    let own: String = world
        .switches
        .rates
        .keys()
        .filter_map(|currency| Some(format!("BTC_{currency} = {};\n", world.rule(currency)?)))
        .collect();
    // Three currencies came later.
    let known = if world.version < STORE_OF_2_2 { 14 } else { usize::MAX };
    let default = DEFAULT_RATES.lines().take(known).collect::<Vec<_>>().join("\n");
    let script = if own.is_empty() { &default } else { &own };
    let spread: f64 = world.switches.spread.parse().unwrap_or_default();
    let preferred = own.is_empty().then_some("kraken");
    Ok(ok(&json!({
        "spread": spread * 100.0, "isCustomScript": !own.is_empty(), "effectiveScript": script, "preferredSource": preferred,
    })))
}

fn rates(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_STORE, Some(id))?;
    let pairs: Vec<_> = call
        .params("currencyPair")
        .map(|pair| {
            let rate = pair.strip_prefix("BTC_").and_then(|currency| world.rate(currency));
            let errors: &[&str] = if rate.is_some() { &[] } else { &["RateUnavailable"] };
            json!({"currencyPair": pair, "rate": rate.map(|rate| rate.to_string()), "errors": errors})
        })
        .collect();
    Ok(ok(&pairs))
}

#[cfg(test)]
#[path = "greenfield_tests.rs"]
pub mod tests;
