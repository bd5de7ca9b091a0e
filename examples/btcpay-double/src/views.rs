//! What answers show of invoices, webhooks and deliveries.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    bolt11, ids,
    invoice::{AdditionalStatus, Invoice, Kind, Status},
    jsonb::Jsonb,
    money,
    payment::{MethodId, PaymentStatus, SpeedPolicy},
    version::{METHODS_IN_INVOICE, NO_RETRY_OF_4XX, PAID_AMOUNT},
    webhook::{Outcome, Webhook},
    world::{Attempt, World},
};

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
    metadata: Jsonb,
    checkout: CheckoutData,
    receipt: Value,
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
        false => (world.version >= METHODS_IN_INVOICE).then(Vec::new),
    };
    InvoiceData {
        id: invoice.id.clone(),
        store_id: invoice.store.clone(),
        amount: invoice.amount.to_string(),
        paid_amount: (world.version >= PAID_AMOUNT).then(|| money::text(invoice.paid())),
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
        metadata: invoice.metadata.clone(),
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
        let payments: Vec<_> = payments.filter(|payment| !accounted || payment.status != PaymentStatus::Invalid).map(|payment| payment.json()).collect();
                let link = match (method.id, &method.destination) {
            (MethodId::Chain, Some(address)) if sums.due > rust_decimal::Decimal::ZERO => Some(format!("bitcoin:{address}?amount={}", money::text(sums.due))),
            (MethodId::Chain, Some(address)) => Some(format!("bitcoin:{address}")),
            (MethodId::Lightning, Some(bolt11)) => Some(format!("lightning:{bolt11}")),
            (MethodId::Lnurl, _) if method.activated => Some(format!("lightning:{}", bolt11::lnurl(&format!("{base}/BTC/lnurl/pay/i/{}", invoice.id)))),
            _ => None,
        };
        let hash = ids::hex(&method.payment_hash);
            let paid = invoice.payments.iter().any(|payment| payment.id == hash);
        let additional = match method.id {
            _ if !method.activated => json!({}),
            MethodId::Chain => json!({"keyPath": "0/1", "payjoinEnabled": false, "recommendedFeeRate": "1.0", "paymentMethodFeeRate": "1.0"}),
            MethodId::Lightning => json!({
                "paymentHash": hash, "preimage": paid.then(|| ids::hex(&method.preimage)), "invoiceId": hash,
                "nodeInfo": format!("{}@203.0.113.7:9735", world.node.id()),
            }),
            MethodId::Lnurl => json!({"providedComment": null, "consumedLightningAddress": null}),
        };
        let rate = match invoice.currency.as_str() {
            "BTC" => "1.0".into(),
            _ => money::text(method.rate),
        };
        json!({
            "paymentMethodId": method.id, "currency": "BTC", "activated": method.activated, "destination": method.destination,
            "paymentLink": link, "rate": rate, "amount": money::text(sums.amount), "due": money::text(sums.due),
            "totalPaid": money::text(sums.total_paid), "paymentMethodPaid": money::text(sums.method_paid),
            "paymentMethodFee": money::text(sums.fee), "payments": payments, "additionalData": additional,
        })
    });
    methods.collect()
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

/// An answer with `patch` over its top level: the unkind kind.
pub fn distorted(data: &InvoiceData, patch: &Map<String, Value>) -> Value {
    let mut value = serde_json::to_value(data).expect("answers can be written as JSON");
    if let Some(fields) = value.as_object_mut() {
        fields.extend(patch.iter().map(|(name, new)| (name.clone(), new.clone())));
    }
    value
}
