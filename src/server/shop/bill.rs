//! What is to be paid of an invoice and what came in, as a page is told it: with the answer to its creation, and while it waits.

use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::status::Word;
use crate::btcpay::money;
use crate::gate::time::UnixTime;
use crate::live::selling::Selling;
use crate::shop::bill::{name, satoshis};
use crate::shop::invoice::{Additional, Invoice, Kind, Method, Payment, PaymentStatus};

/// Bytes of the digest by which a page says what it knows.
const DIGEST_LEN: usize = 6;

/// All that a page draws beside the status. Money is in the invoice's currency unless a member says another.
#[derive(Debug, Serialize)]
pub(crate) struct Bill<'a> {
    invoice_expires_at: UnixTime,
    checkout_url: String,
    #[serde(serialize_with = "money::serialize")]
    paid: Decimal,
    #[serde(serialize_with = "money::serialize")]
    confirmed: Decimal,
    received: Vec<Received<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overpaid: Option<Surplus<'a>>,
    partial: bool,
    late: bool,
    marked: bool,
    payable: bool,
    confirmations: Confirmations,
    methods: Vec<Way<'a>>,
    lightning: Option<Lightning<'a>>,
    onchain: Option<Onchain<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unified: Option<String>,
}

#[derive(Debug, Serialize)]
struct Received<'a> {
    method: &'a str,
    name: String,
    currency: &'a str,
    #[serde(serialize_with = "money::serialize")]
    value: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    sats: Option<String>,
    #[serde(serialize_with = "money::serialize")]
    fee: Decimal,
    confirmed: bool,
    id: &'a str,
}

#[derive(Debug, Serialize)]
struct Surplus<'a> {
    #[serde(serialize_with = "money::serialize")]
    value: Decimal,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sats: Option<String>,
}

#[derive(Debug, Serialize)]
struct Confirmations {
    wanted: u8,
}

#[derive(Debug, Serialize)]
struct Way<'a> {
    id: &'a str,
    kind: &'static str,
    name: String,
    currency: &'a str,
    #[serde(serialize_with = "money::serialize")]
    rate: Decimal,
    #[serde(serialize_with = "money::serialize")]
    amount: Decimal,
    #[serde(serialize_with = "money::serialize")]
    due: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_sats: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

#[derive(Debug, Serialize)]
struct Lightning<'a> {
    bolt11: &'a str,
    uri: String,
}

#[derive(Debug, Serialize)]
struct Onchain<'a> {
    address: &'a str,
    uri: String,
}

impl<'a> Bill<'a> {
    /// The bill of an invoice that its buyer is told as `word`.
    pub(crate) fn of(invoice: &'a Invoice, word: Word, selling: &Selling) -> Bill<'a> {
        let (lightning, onchain) = (invoice.payable_by(Kind::Lightning), invoice.payable_by(Kind::Bitcoin));
        let covered = invoice.is_covered(&selling.config.terms);
        Bill {
            invoice_expires_at: invoice.expires,
            checkout_url: selling.client.checkout_url(&invoice.id),
            paid: readable(invoice.paid(false), invoice.amount),
            confirmed: readable(invoice.paid(true), invoice.amount),
            received: received(invoice).collect(),
            overpaid: invoice.surplus().map(|value| Surplus {
                value: readable(value, invoice.amount),
                currency: &invoice.currency,
                sats: invoice.methods.iter().find_map(Method::due_satoshis).map(|due| (-due).to_string()),
            }),
            partial: word != Word::Settled && invoice.holds_money() && !covered,
            late: invoice.additional == Additional::PaidLate || (word == Word::Expired && covered),
            marked: invoice.additional == Additional::Marked,
            payable: word == Word::New && invoice.methods.iter().any(Method::is_due),
            confirmations: Confirmations { wanted: selling.config.confirmations() },
            methods: invoice.methods.iter().map(Way::of).collect(),
            lightning: lightning
                .and_then(|method| Some(Lightning { bolt11: method.payable_to()?, uri: method.uri()? })),
            onchain: onchain.and_then(|method| Some(Onchain { address: method.payable_to()?, uri: method.uri()? })),
            unified: invoice.unified(),
        }
    }

    /// A short text that differs whenever the bill does, so that a page can say what it knows.
    pub(crate) fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(json)[..DIGEST_LEN].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// At least as many decimals as the price has, and no more zeros than that.
pub(crate) fn readable(value: Decimal, like: Decimal) -> Decimal {
    let mut value = value.normalize();
    value.rescale(value.scale().max(like.scale()));
    value
}

fn received(invoice: &Invoice) -> impl Iterator<Item = Received<'_>> {
    let worth_something = |payment: &&Payment| payment.status != PaymentStatus::Invalid;
    invoice.payments.iter().flatten().filter(worth_something).map(|payment| {
        let method = invoice.methods.iter().find(|method| method.id == payment.method);
        let currency = method.map_or("", |method| method.currency.as_str());
        Received {
            method: &payment.method,
            name: name(&payment.method),
            currency,
            value: payment.value,
            sats: if currency == "BTC" { satoshis(payment.value).map(|sats| sats.to_string()) } else { None },
            fee: payment.fee,
            confirmed: payment.is_settled(),
            id: &payment.id,
        }
    })
}

impl<'a> Way<'a> {
    fn of(method: &'a Method) -> Way<'a> {
        Way {
            id: &method.id,
            kind: method.kind().as_str(),
            name: name(&method.id),
            currency: &method.currency,
            rate: method.rate,
            amount: method.amount,
            due: method.due,
            due_sats: method.due_satoshis().map(|sats| sats.to_string()),
            destination: method.payable_to(),
            uri: method.uri(),
        }
    }
}
