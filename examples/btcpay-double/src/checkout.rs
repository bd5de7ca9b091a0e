//! The checkout page `/i/{id}`, plain forms instead of a wallet, and its status in JSON.

use serde_json::json;

use crate::{
    http::{Call, Reply, html, html_error, ok, redirect},
    invoice::{Event, Invoice, Status},
    invoicing::PayRequest,
    money,
    payment::MethodId,
    views,
    world::World,
};

/// Answers under `/i`. Needs no key: whoever knows the id may look, and here also play the payer.
pub fn answer(world: &mut World, call: &Call, path: &[&str]) -> Reply {
    let Some((&id, rest)) = path.split_first() else { return html_error(404) };
    let Some(invoice) = world.invoice(id) else { return html_error(404) };
    match (call.method.as_str(), rest) {
        ("GET", ["status"]) => ok(&status(world, invoice)),
        ("GET", []) => {
            let first = invoice.methods.first().map(|method| method.id);
            open(world, call, id, first)
        }
        ("GET", [method]) if MethodId::parse(method).is_some() => open(world, call, id, MethodId::parse(method)),
        ("POST", [action]) => {
            let result = act(world, id, action);
            let Some(invoice) = world.invoice(id) else { return html_error(404) };
            let back = invoice.checkout.redirect_url.as_ref().map(|url| filled(url, invoice));
            let paid = matches!(invoice.status, Status::Settled | Status::Processing) || *action == "pay-late";
            match (result, back) {
                (Err(message), _) => html(409, page(world, call, invoice, &message)),
                (Ok(()), Some(back)) if paid && ["pay", "pay-chain", "pay-late", "settle"].contains(action) => {
                    redirect(303, &back)
                }
                (Ok(()), _) => redirect(303, &format!("{}/i/{id}", call.base)),
            }
        }
        _ => html_error(404),
    }
}

/// Opening the page activates a lazy method.
fn open(world: &mut World, call: &Call, id: &str, method: Option<MethodId>) -> Reply {
    if let Some(method) = method {
        world.activate(id, method);
    }
    world.invoice(id).map_or_else(|| html_error(404), |invoice| html(200, page(world, call, invoice, "")))
}

fn act(world: &mut World, id: &str, action: &str) -> Result<(), String> {
    let half = rust_decimal::Decimal::new(5, 1);
    let pay = |method, fraction| PayRequest { method, fraction, rbf: true, ..PayRequest::default() };
    match action {
        "pay" => world.pay(id, &pay(None, None)).map(drop),
        "pay-half" => world.pay(id, &pay(None, Some(half))).map(drop),
        "pay-chain" => world.pay(id, &pay(Some(MethodId::Chain), None)).map(drop),
        "confirm" => world.change(id, |invoice, now| Ok(invoice.confirm(None, now))),
        "expire" => world.change(id, expire),
        "pay-late" => {
            world.change(id, expire)?;
            match world.pay(id, &pay(None, None))? {
                true => Ok(()),
                false => Err("This version does not see a Lightning payment after the expiration.".into()),
            }
        }
        "settle" => world.change(id, |invoice, now| invoice.mark(Status::Settled, now)),
        "invalidate" => world.change(id, |invoice, now| invoice.mark(Status::Invalid, now)),
        other => Err(format!("There is no button {other}.")),
    }
}

/// Moves the expiration to now, if it was to come.
pub fn expire(invoice: &mut Invoice, now: i64) -> Result<Vec<Event>, String> {
    invoice.expires = invoice.expires.min(now);
    Ok(invoice.evaluate(now))
}

/// The redirect URL with its placeholders filled in, url-encoded.
fn filled(template: &str, invoice: &Invoice) -> String {
    if !template.starts_with("http://") && !template.starts_with("https://") {
        return "/".into();
    }
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let status = format!("{:?}", invoice.status);
    let pairs = [
        ("{InvoiceId}", invoice.id.as_str()),
        ("{OrderId}", invoice.order_id().unwrap_or_default()),
        ("{Status}", &status),
    ];
    pairs.into_iter().fold(template.to_owned(), |url, (placeholder, value)| url.replace(placeholder, &encode(value)))
}

fn status(world: &World, invoice: &Invoice) -> serde_json::Value {
    let methods = views::payment_methods(world, invoice, "", true);
    let first = methods.first();
    let field = |name: &str| first.and_then(|method| method.get(name)).cloned();
    let metadata = invoice.metadata.value();
    let left = (invoice.expires - world.now()).max(0) / 1000;
    json!({
        "invoiceId": invoice.id, "status": invoice.status, "orderId": metadata.get("orderId"), "customerEmail": metadata.get("buyerEmail"),
        "itemDesc": metadata.get("itemDesc"), "merchantRefLink": invoice.checkout.redirect_url.as_ref().map(|url| filled(url, invoice)),
        "address": field("destination"), "due": field("due"), "paid": field("totalPaid"), "expirationSeconds": left,
    })
}

fn page(world: &World, call: &Call, invoice: &Invoice, message: &str) -> String {
    let id = &invoice.id;
    let buttons = [
        ("pay", "Pay"),
        ("pay-half", "Pay half"),
        ("pay-late", "Pay late"),
        ("pay-chain", "Pay on-chain"),
        ("confirm", "Confirm on-chain"),
        ("expire", "Expire"),
        ("settle", "Mark settled"),
        ("invalidate", "Mark invalid"),
    ];
    let forms: String = buttons
        .iter()
        .map(|(action, label)| {
            format!(
                "<form method=\"post\" action=\"{}/i/{id}/{action}\"><button id=\"{action}\">{label}</button></form>\n",
                escape(&call.base)
            )
        })
        .collect();
    let methods: String = views::payment_methods(world, invoice, &call.base, true)
        .iter()
        .map(|method| {
            let text = |name: &str| escape(method[name].as_str().unwrap_or("–"));
            format!(
                "<dt>{}</dt><dd>due {} BTC<br><code>{}</code></dd>\n",
                text("paymentMethodId"),
                text("due"),
                text("paymentLink")
            )
        })
        .collect();
    let back = invoice.checkout.redirect_url.as_ref().map_or(String::new(), |url| {
        format!("<p><a id=\"return\" href=\"{}\">Return to the shop</a></p>", escape(&filled(url, invoice)))
    });
    let description = invoice.metadata.value().get("itemDesc").and_then(|text| text.as_str()).unwrap_or_default();
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{store}: invoice {id}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem }}
form {{ display: inline-block; margin: 0 .3rem .3rem 0 }}
code {{ overflow-wrap: anywhere; font-size: .8rem }}
.message {{ color: #b00 }}
</style>
</head>
<body>
<h1>{store}</h1>
<p>{description}</p>
<p><strong>{amount} {currency}</strong>, <span id="status">{status:?}</span> / <span id="additional">{additional:?}</span>, paid {paid}</p>
<p class="message">{message}</p>
{forms}
<dl>
{methods}</dl>
{back}
<p><small>A stand-in for BTCPay Server {version}: the buttons play the wallet, the chain and the merchant. No money moves.</small></p>
</body>
</html>
"#,
        store = escape(&world.store.name),
        description = escape(description),
        amount = invoice.amount,
        currency = escape(&invoice.currency),
        status = invoice.status,
        additional = invoice.additional,
        paid = money::text(invoice.paid()),
        message = escape(message),
        version = world.version,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
