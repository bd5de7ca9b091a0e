//! The checkout page `/i/{id}`, plain forms instead of a wallet, and the receipt.

use crate::{
    checkout_status::{self, back, has_receipt},
    greenfield::nothing,
    http::{Call, Reply, html, html_error, redirect},
    invoice::{Event, Invoice, Status},
    invoicing::PayRequest,
    money,
    payment::MethodId,
    views,
    world::World,
};

/// Answers under `/i`. Needs no key: whoever knows the id may look, and here also play the payer.
pub fn answer(world: &mut World, call: &Call, path: &[&str]) -> Reply {
    let Some((&id, rest)) = path.split_first() else { return nothing(call) };
    let Some(invoice) = world.invoice(id) else { return nothing(call) };
    match (call.method.as_str(), rest) {
        ("GET", ["status"]) => checkout_status::answer(world, call, invoice),
        ("GET", ["receipt"]) if has_receipt(invoice) => html(200, receipt(world, invoice)),
        ("GET", []) => {
            let first = checkout_status::first(invoice);
            open(world, call, id, first)
        }
        ("GET", [method]) if MethodId::parse(method).is_some() => open(world, call, id, MethodId::parse(method)),
        ("POST", [action]) => {
            let result = act(world, id, action);
            let Some(invoice) = world.invoice(id) else { return html_error(404) };
            let back = invoice.checkout.redirect_url.as_ref().map(|url| back(url, invoice));
            let paid = matches!(invoice.status, Status::Settled | Status::Processing) || *action == "pay-late";
            match (result, back) {
                (Err(message), _) => html(409, page(world, call, invoice, &message)),
                (Ok(()), Some(back)) if paid && ["pay", "pay-chain", "pay-late", "settle"].contains(action) => {
                    redirect(303, &back)
                }
                (Ok(()), _) => redirect(303, &format!("{}/i/{id}", call.base)),
            }
        }
        _ => nothing(call),
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

fn receipt(world: &World, invoice: &Invoice) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Receipt from {}</title></head>\n\
         <body><h1>{}</h1><p>{} {}, {:?}, paid {}</p></body></html>\n",
        escape(&world.store.name),
        escape(&world.store.name),
        invoice.amount,
        escape(&invoice.currency),
        invoice.status,
        money::text(invoice.paid()),
    )
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
                "<dt>{}</dt><dd>due {} {}<br><code>{}</code></dd>\n",
                text("paymentMethodId"),
                text("due"),
                text("currency"),
                text("paymentLink")
            )
        })
        .collect();
    let back = invoice.checkout.redirect_url.as_ref().map_or(String::new(), |url| {
        format!("<p><a id=\"return\" href=\"{}\">Return to the shop</a></p>", escape(&back(url, invoice)))
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
