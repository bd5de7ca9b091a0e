//! What BTCPay's own checkout page asks for while it waits: `/i/{id}/status`.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use url::Url;

use crate::{
    http::{Call, Reply, ok},
    invoice::{Invoice, Kind},
    payment::{Method, MethodId, PaymentStatus},
    version::STORE_OF_2_2,
    views,
    world::World,
};

/// The status of `invoice`, paid by the method that the caller names, or by the one that the page would open with.
pub fn answer(world: &World, call: &Call, invoice: &Invoice) -> Reply {
    let named = call.param("paymentMethodId").and_then(MethodId::parse);
    ok(&shown(world, invoice, named.filter(|id| invoice.method(*id).is_some()).or_else(|| first(invoice)), &call.base))
}

/// The method that the page opens with: the invoice's default, else on-chain, else whatever there is.
pub fn first(invoice: &Invoice) -> Option<MethodId> {
    let default = invoice.checkout.default_method.as_deref().and_then(MethodId::parse);
    let there = |id: &MethodId| invoice.method(*id).is_some();
    default.or(Some(MethodId::Chain)).filter(there).or_else(|| invoice.methods.first().map(|method| method.id))
}

fn shown(world: &World, invoice: &Invoice, id: Option<MethodId>, base: &str) -> Value {
    let method = id.and_then(|id| invoice.method(id));
    let sums = method.map(|method| invoice.sums(method, world.network_fee()));
    let metadata = invoice.metadata.value();
    let expires = invoice.expires.div_euclid(1000) * 1000;
    let left = (expires - world.now()).max(0).div_euclid(1000);
    let minutes = invoice.checkout.expiration_minutes;
    let chain = id == Some(MethodId::Chain);
    let in_bitcoin = |amount: Decimal| format!("{amount:.8}");
    let priced = |rate: &dyn Fn(&Method) -> Decimal| match (invoice.currency.as_str(), method) {
        ("BTC", _) | (_, None) => Value::Null,
        (currency, Some(method)) => format!("{:.2} {currency}", rate(method)).into(),
    };
    let link = method.map(|method| views::payment_link(world, invoice, method, base));
    let due = sums.as_ref().map(|sums| in_bitcoin(sums.due));
    let mut status = look();
    let about = json!({
        "availablePaymentMethods": available(invoice), "isUnsetTopUp": invoice.kind == Kind::TopUp && !invoice.priced,
        "invoiceId": invoice.id, "customerEmail": metadata.get("buyerEmail"), "expirationSeconds": left,
        "status": invoice.status, "maxTimeSeconds": minutes * 60, "storeName": world.store.name,
        "merchantRefLink": invoice.checkout.redirect_url.as_ref().map_or_else(|| "/".into(), |url| back(url, invoice)),
        "itemDesc": metadata.get("itemDesc"), "timeLeft": format!("{:02}:{:02}", left / 60, left % 60),
        "orderId": invoice.order_id(), "maxTimeMinutes": minutes, "storeId": invoice.store,
        "redirectAutomatically": invoice.checkout.redirect_automatically, "invoiceCurrency": invoice.currency,
        "receiptLink": has_receipt(invoice).then(|| format!("{base}/i/{}/receipt", invoice.id)),
    });
    let paying = json!({
        "checkoutBodyComponentName": if chain { "BitcoinLikeMethodCheckout" } else { "LightningCheckoutBody" },
        "address": method.and_then(|method| method.destination.clone()), "due": due, "showRecommendedFee": chain,
        "feeRate": if chain { views::FEE_RATE } else { 0.0 }, "rate": priced(&|method| method.rate),
        "orderAmount": sums.as_ref().map(|sums| in_bitcoin(sums.amount)), "orderAmountFiat": priced(&|_| invoice.amount),
        "invoiceBitcoinUrl": link, "invoiceBitcoinUrlQR": link.as_deref().map(in_capitals),
        "txCount": transactions(invoice, chain), "paid": sums.as_ref().map(|sums| in_bitcoin(sums.total_paid)),
        "networkFee": sums.as_ref().map_or(0.0, |sums| f64::try_from(sums.fee).unwrap_or_default()),
        "paymentMethodId": id, "paymentMethodName": id.map(name),
        "cryptoImage": if chain { "/imlegacy/bitcoin.svg" } else { "/imlegacy/bitcoin-lightning.svg" },
        "peerInfo": (!chain).then(|| views::node_info(world)), "activated": method.is_some_and(|method| method.activated),
        "requiredConfirmations": null, "receivedConfirmations": null,
    });
    for (name, value) in [about, paying].into_iter().filter_map(|part| part.as_object().cloned()).flatten() {
        status[name] = value;
    }
    if world.version >= STORE_OF_2_2 {
        status["taxIncluded"] = json!({"value": 0.0, "formatted": null});
        status["checkoutText"] = Value::Null;
    }
    let unconfirmed = |payment: &&crate::payment::Payment| payment.status == PaymentStatus::Processing;
    if let Some(payment) = invoice.payments.iter().filter(|_| chain).find(unconfirmed) {
        status["requiredConfirmations"] = payment.needed.into();
        status["receivedConfirmations"] = payment.confirmations.into();
    }
    status
}

/// How the store has the page look: as with no settings of its own.
fn look() -> Value {
    json!({
        "storeBranding": {"brandColor": null, "applyBrandColorToBackend": false, "logoUrl": null, "cssUrl": null},
        "paymentSoundUrl": null, "nfcReadSoundUrl": null, "errorSoundUrl": null, "brandColor": null, "isModal": false,
        "htmlTitle": "BTCPay Invoice", "defaultLang": "en", "showPayInWalletButton": true, "showStoreHeader": true,
        "onChainWithLnInvoiceFallback": false, "celebratePayment": true, "paymentMethodCurrency": "BTC",
        "displayExpirationTimer": views::EXPIRATION_TIMER, "txCountForFee": 0, "storeSupportUrl": null, "rootPath": "/",
    })
}

/// As the page's tabs show them. An LNURL has none where there is a BOLT11.
fn available(invoice: &Invoice) -> Value {
    let tabs = [(MethodId::Chain, 0), (MethodId::Lightning, 1), (MethodId::Lnurl, 2), (MethodId::Monero, 3)];
    let there = |id: MethodId| invoice.method(id).is_some();
    let tabs = tabs.into_iter().filter(|(id, _)| there(*id)).map(|(id, order)| {
        let displayed = id != MethodId::Lnurl || !there(MethodId::Lightning);
        json!({"paymentMethodId": id, "displayed": displayed, "paymentMethodName": name(id), "order": order})
    });
    tabs.collect()
}

fn name(id: MethodId) -> &'static str {
    match id {
        MethodId::Chain => "Bitcoin",
        MethodId::Lightning | MethodId::Lnurl => "Lightning",
        MethodId::Monero => "Monero",
    }
}

/// How many transactions it takes: those that were made, and one more while something is due.
fn transactions(invoice: &Invoice, chain: bool) -> usize {
    let made = invoice.payments.iter().filter(|payment| payment.status != PaymentStatus::Invalid && chain).count();
    (made + usize::from(invoice.paid() < invoice.amount)).max(1)
}

/// Scheme as it is, the rest in capitals, which make a smaller QR code.
fn in_capitals(link: &str) -> String {
    match link.split_once(':') {
        Some((scheme, rest)) if scheme == "lightning" => format!("{scheme}:{}", rest.to_uppercase()),
        _ => link.to_owned(),
    }
}

pub fn has_receipt(invoice: &Invoice) -> bool {
    invoice.receipt.get("enabled").and_then(Value::as_bool) == Some(true)
}

/// The redirect URL with its placeholders filled in, url-encoded; `/` where it is none of http and https.
///
/// As .NET writes an absolute one: host as it was typed, path, query and fragment encoded.
pub fn back(template: &str, invoice: &Invoice) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let status = format!("{:?}", invoice.status);
    let pairs = [
        ("{InvoiceId}", invoice.id.as_str()),
        ("{OrderId}", invoice.order_id().unwrap_or_default()),
        ("{Status}", &status),
    ];
    let filled = pairs.into_iter().fold(template.to_owned(), |url, (mark, value)| url.replace(mark, &encode(value)));
    let parsed = Url::parse(&filled).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let authority = filled.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    match (parsed, authority) {
        (Some(url), Some(authority)) => {
            format!("{}://{authority}{}", url.scheme(), &url[url::Position::BeforePath..])
        }
        _ => "/".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    #[test]
    fn where_the_page_goes_back_to() {
        let mut world = World::new("2.4.1".parse().unwrap(), 1.0, "store");
        let new = crate::request::creation(
            &crate::json::Document::parse(r#"{"amount": "1", "currency": "BTC", "metadata": {"orderId": "a b"}}"#, 64)
                .unwrap_or_else(|_| unreachable!()),
            &world.store,
            "store",
            &crate::settings::Switches::default(),
        );
        let id = world.create(new.unwrap_or_else(|_| unreachable!())).unwrap();
        let invoice = world.invoice(&id).unwrap();
        for (template, expected) in [
            ("https://vidéo.example/ä b", "https://vidéo.example/%C3%A4%20b"),
            ("https://user:word@video.example/#part", "https://user:word@video.example/#part"),
            ("https://video.example/?o={OrderId}&s={Status}", "https://video.example/?o=a+b&s=New"),
            ("javascript:alert(1)", "/"),
            ("/relative", "/"),
            ("", "/"),
        ] {
            assert_eq!(back(template, invoice), expected, "{template}");
        }
    }
}
