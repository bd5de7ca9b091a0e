//! What answers show of invoices, webhooks and deliveries.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    bolt11, ids,
    invoice::{AdditionalStatus, Invoice, Kind, Status},
    json::Json,
    jsonb::Jsonb,
    money,
    payment::{Method, MethodId, PaymentStatus, SpeedPolicy},
    version::{METHODS_IN_LIST, NO_RETRY_OF_4XX, PAID_AMOUNT, STORE_OF_2_2},
    webhook::{Outcome, Webhook},
    world::{Attempt, World},
};

/// The node's estimate of a good fee, in satoshi a virtual byte.
pub const FEE_RATE: f64 = 4.505;
/// The checkout counts the last so many seconds down.
pub const EXPIRATION_TIMER: i64 = 300;

/// Metadata as stored, or as they came.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Stored(Jsonb),
    First(Json),
}

/// An invoice as the API answers it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceData {
    id: String,
    store_id: String,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_amount: Option<String>,
    currency: String,
    #[serde(rename = "type")]
    kind: Kind,
    checkout_link: String,
    status: Status,
    additional_status: AdditionalStatus,
    created_time: i64,
    expiration_time: i64,
    monitoring_expiration: i64,
    available_statuses_for_manual_marking: Vec<Status>,
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_methods: Option<Vec<Value>>,
    metadata: Shown,
    checkout: CheckoutData,
    receipt: Value,
}

impl InvoiceData {
    pub fn with_metadata(mut self, metadata: &Json) -> Self {
        self.metadata = Shown::First(metadata.clone());
        self
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckoutData {
    speed_policy: SpeedPolicy,
    payment_methods: Vec<&'static str>,
    default_payment_method: Option<String>,
    expiration_minutes: i64,
    monitoring_minutes: i64,
    payment_tolerance: f64,
    #[serde(rename = "redirectURL")]
    redirect_url: Option<String>,
    redirect_automatically: bool,
    default_language: Option<String>,
    lazy_payment_methods: Option<bool>,
}

/// `base`: what the caller calls this server. `with_methods`: he asked for the payment methods.
pub fn invoice(world: &World, invoice: &Invoice, base: &str, with_methods: bool) -> InvoiceData {
    let methods = match with_methods {
        true => Some(payment_methods(world, invoice, base, true)),
        false => (world.version >= METHODS_IN_LIST).then(Vec::new),
    };
    InvoiceData {
        id: invoice.id.clone(),
        store_id: invoice.store.clone(),
        amount: match invoice.amount.is_zero() {
            true => "0.0".into(),
            false => invoice.amount.to_string(),
        },
        paid_amount: (world.version >= PAID_AMOUNT).then(|| match invoice.paid() {
            paid if paid.is_zero() => "0".into(),
            paid => money::at_most(paid, &invoice.currency).to_string(),
        }),
        currency: invoice.currency.clone(),
        kind: invoice.kind,
        checkout_link: format!("{base}/i/{}", invoice.id),
        status: invoice.status,
        additional_status: invoice.additional,
        created_time: invoice.created.div_euclid(1000),
        expiration_time: invoice.expires.div_euclid(1000),
        monitoring_expiration: invoice.monitored.div_euclid(1000),
        available_statuses_for_manual_marking: invoice.markable(),
        archived: invoice.archived,
        payment_methods: methods,
        metadata: Shown::Stored(invoice.metadata.clone()),
        checkout: CheckoutData {
            speed_policy: invoice.checkout.speed_policy,
            payment_methods: invoice.methods.iter().map(|method| method.id.name()).collect(),
            default_payment_method: invoice.checkout.default_method.clone(),
            expiration_minutes: invoice.checkout.expiration_minutes,
            monitoring_minutes: invoice.checkout.monitoring_minutes,
            payment_tolerance: invoice.checkout.tolerance,
            redirect_url: invoice.checkout.redirect_url.clone(),
            redirect_automatically: invoice.checkout.redirect_automatically,
            default_language: invoice.checkout.language.clone(),
            lazy_payment_methods: None,
        },
        receipt: invoice.receipt.clone(),
    }
}

/// The invoice's payment methods. `accounted`: without replaced payments.
pub fn payment_methods(world: &World, invoice: &Invoice, base: &str, accounted: bool) -> Vec<Value> {
    let methods = invoice.methods.iter().map(|method| {
        let sums = invoice.sums(method, world.network_fee());
        let payments = invoice.payments.iter().filter(|payment| payment.method == method.id);
        let payments: Vec<_> = payments.filter(|payment| !accounted || payment.status != PaymentStatus::Invalid).map(|payment| payment.json(invoice.zone)).collect();
        let link = payment_link(world, invoice, method, base);
        let hash = ids::hex(&method.payment_hash);
            let paid = invoice.payments.iter().any(|payment| payment.id == hash);
        let additional = match method.id {
            _ if !method.activated => Value::Null,
            MethodId::Chain => chain_data(world, invoice),
            MethodId::Monero => json!({}),
            MethodId::Lightning => json!({
                "paymentHash": hash, "preimage": paid.then(|| ids::hex(&method.preimage)), "invoiceId": method.label,
                "nodeInfo": node_info(world),
            }),
            MethodId::Lnurl => {
                let asked = method.asked.as_ref();
                json!({
                    "providedComment": asked.and_then(|asked| asked.comment.as_ref()), "consumedLightningAddress": null,
                    "generatedBoltAmount": asked.map(|asked| asked.millisatoshi.to_string()), "bech32Mode": true,
                    "payRequest": asked.map(|asked| &asked.terms), "paymentHash": asked.map(|_| &hash),
                    "preimage": paid.then(|| ids::hex(&method.preimage)), "invoiceId": asked.map(|_| &method.label),
                    "nodeInfo": node_info(world),
                })
            }
        };
        let rate = method.rate.to_string();
        json!({
            "paymentMethodId": method.id, "currency": method.id.currency(), "activated": method.activated, "destination": method.destination,
            "paymentLink": link, "rate": rate, "amount": money::text(sums.amount), "due": money::text(sums.due),
            "totalPaid": money::text(sums.total_paid), "paymentMethodPaid": money::text(sums.method_paid),
            "paymentMethodFee": money::text(sums.fee), "payments": payments, "additionalData": additional,
        })
    });
    methods.collect()
}

/// What a wallet opens: empty for a lazy method.
pub fn payment_link(world: &World, invoice: &Invoice, method: &Method, base: &str) -> String {
    let due = invoice.sums(method, world.network_fee()).due;
    match (method.id, &method.destination) {
        (MethodId::Chain, Some(address)) if due > Decimal::ZERO => {
            format!("bitcoin:{address}?amount={}", money::text(due))
        }
        (MethodId::Chain, Some(address)) => format!("bitcoin:{address}"),
        (MethodId::Lightning, Some(bolt11)) => format!("lightning:{bolt11}"),
        (MethodId::Monero, Some(address)) => format!("monero:{address}?tx_amount={}", money::text(due)),
        (MethodId::Lnurl, _) if method.activated => {
            format!("lightning:{}", bolt11::lnurl(&format!("{base}/BTC/UILNURL/pay/i/{}", invoice.id)))
        }
        _ => String::new(),
    }
}

/// Where the Lightning node can be reached.
pub fn node_info(world: &World) -> String {
    format!("{}@203.0.113.7:9735", world.node.id())
}

fn chain_data(world: &World, invoice: &Invoice) -> Value {
    let rate = if world.store.network_fee_mode == "Never" { 0.0 } else { FEE_RATE };
    let mut data = json!({
        "feeMode": world.store.network_fee_mode, "paymentMethodFeeRate": rate, "payjoinEnabled": false, "recommendedFeeRate": FEE_RATE,
        "keyPath": format!("0/{}", invoice.number), "accountDerivation": null,
    });
    if world.version >= STORE_OF_2_2 {
        data["keyIndex"] = invoice.number.into();
    }
    data
}

/// A webhook; its secret only in the answer to its creation.
pub fn webhook(webhook: &Webhook, with_secret: bool) -> Value {
    let mut value = json!({
        "id": webhook.id, "enabled": webhook.enabled, "automaticRedelivery": webhook.automatic_redelivery, "url": webhook.url,
        "authorizedEvents": webhook.events,
    });
    if with_secret {
        value["secret"] = webhook.secret.clone().into();
    }
    value
}

/// An entry of the delivery list.
pub fn delivery(world: &World, attempt: &Attempt) -> Value {
    let (code, message, status) = match &attempt.outcome {
        Outcome::Answered(code @ 200..=299) => (Some(*code), None, "HttpSuccess"),
        Outcome::Answered(code) => (Some(*code), Some(format!("HTTP Error Code {code}")), "HttpError"),
        Outcome::Failed(message) => (None, Some(message.clone()), "Failed"),
    };
    let mut value = json!({"id": attempt.delivery, "timestamp": attempt.queued, "httpCode": code, "errorMessage": message, "status": status});
    if world.version >= NO_RETRY_OF_4XX {
        value["deliveryTime"] = attempt.sent.into();
    }
    value
}

/// An answer with `patch` over its top level: the unkind kind. Numbers keep their text.
pub fn distorted(data: &InvoiceData, patch: &Map<String, Value>) -> Json {
    let text = serde_json::to_string(data).expect("answers can be written as JSON");
    let mut value = Json::parse_within(&text, 200).unwrap_or(Json::Null);
    if let Json::Object(members) = &mut value {
        for (name, new) in patch {
            members.retain(|(known, _)| known != name);
            members.push((name.clone(), new.into()));
        }
    }
    value
}
