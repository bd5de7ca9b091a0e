//! Invoices, their payment methods and payments: as BTCPay answers them, and as they are asked for.
//!
//! Unknown fields are ignored and unknown words become `Unknown` or `Other`, so a newer BTCPay is read like today's; neither is ever
//! a reason to grant anything.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{lenient, money};
use crate::gate::time::UnixTime;
use crate::shop::invoice::{Additional, PaymentStatus, Status};

/// An invoice as BTCPay holds it now.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// BTCPay's id, 21 or 22 characters in base58. Public: it stands in the checkout's address.
    pub id: String,
    /// The store that it belongs to.
    pub(crate) store_id: String,
    /// `TopUp` means that any payment settles it.
    #[serde(rename = "type")]
    pub(crate) kind: InvoiceType,
    /// What is asked, in `currency`.
    #[serde(with = "money")]
    pub(crate) amount: Decimal,
    /// Upper-case code, for instance `BTC` or `USD`.
    pub(crate) currency: String,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) additional_status: Additional,
    /// When it was made, by BTCPay's clock.
    pub created_time: UnixTime,
    /// Until when it can be paid in time, by BTCPay's clock.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) expiration_time: Option<UnixTime>,
    /// Until when BTCPay watches for late payments and confirmations.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) monitoring_expiration: Option<UnixTime>,
    /// What its maker said about it. Strangers can make invoices with any metadata in the same store.
    #[serde(default)]
    pub metadata: Metadata,
    /// How it is to be paid.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) checkout: Checkout,
    /// How it can be and was paid. Empty unless asked for, and in BTCPay before 2.4.1 always: see
    /// [`Client::payment_methods`](super::Client::payment_methods).
    #[serde(default, deserialize_with = "lenient::list")]
    pub payment_methods: Vec<PaymentMethod>,
}

/// What kind of invoice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) enum InvoiceType {
    /// A fixed amount.
    Standard,
    /// Any payment, however small, settles it.
    TopUp,
    /// A word that this version does not know.
    #[serde(other)]
    Other,
}

/// How BTCPay was told to have an invoice paid, as far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Checkout {
    /// The ids that can really be used. BTCPay leaves out one that fails, without a word.
    #[serde(deserialize_with = "lenient::list")]
    pub(crate) payment_methods: Vec<String>,
}

/// One way to pay an invoice, and what came in by it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethod {
    /// For instance `BTC-LN`, `BTC-CHAIN`, `BTC-LNURL`.
    pub payment_method_id: String,
    /// False for a lazy method that nobody opened yet.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) activated: bool,
    /// A BOLT11 invoice, or an address.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub destination: Option<String>,
    /// `lightning:` or `bitcoin:` URI.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) payment_link: Option<String>,
    /// The currency that payments are counted in, for instance `BTC`; null for some plugins' methods.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) currency: Option<String>,
    /// Invoice currency per unit of `currency`.
    #[serde(with = "money")]
    pub(crate) rate: Decimal,
    /// The whole price, in `currency`.
    #[serde(default, deserialize_with = "money::optional_or_none")]
    pub(crate) amount: Option<Decimal>,
    /// What is left to pay, in `currency`; negative when overpaid.
    #[serde(default, deserialize_with = "money::optional_or_none")]
    pub(crate) due: Option<Decimal>,
    /// Payments by this method, in the order of BTCPay.
    #[serde(default, deserialize_with = "lenient::list")]
    pub payments: Vec<Payment>,
    /// What only this kind of method has. It holds the node's address and later the preimage: none of that is read.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub additional_data: AdditionalData,
}

/// What only one kind of method has, as far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdditionalData {
    /// Lightning: the node's own id of the invoice, which its API knows it by.
    pub invoice_id: Option<String>,
    /// Lightning: SHA-256 of the preimage, in hexadecimal.
    pub payment_hash: Option<String>,
    /// On-chain: when BTCPay adds a network fee, `Always`, `MultiplePaymentsOnly` or `Never`.
    pub fee_mode: Option<String>,
}

/// One payment of an invoice.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Payment hash, or transaction id and output number.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) id: String,
    /// When BTCPay saw it first.
    pub(crate) received_date: UnixTime,
    /// What came in, in the payment method's currency.
    #[serde(with = "money")]
    pub(crate) value: Decimal,
    /// What the merchant added for the network's fee: it pays for no part of the price.
    #[serde(with = "money")]
    pub(crate) fee: Decimal,
    /// Whether it counts.
    pub(crate) status: PaymentStatus,
}

/// One Lightning invoice, as the store's node holds it now. It comes with the proof of its payment, which is not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LightningInvoice {
    /// `Unpaid`, `Paid` or `Expired`; the last of an unpaid one only.
    #[serde(deserialize_with = "lenient::or_default")]
    pub(crate) status: String,
    /// What its BOLT11 asks for, in millisatoshi.
    #[serde(deserialize_with = "money::optional_or_none")]
    pub(crate) amount: Option<Decimal>,
    /// What came in, in millisatoshi.
    #[serde(deserialize_with = "money::optional_or_none")]
    pub(crate) amount_received: Option<Decimal>,
    /// When it came in, right in every zone.
    #[serde(deserialize_with = "lenient::or_default")]
    pub(crate) paid_at: Option<UnixTime>,
}

/// An invoice's metadata. `Debug` shows the names of its members only, for buyers' data may be among the values.
#[derive(Clone, Default, PartialEq)]
pub struct Metadata(pub Map<String, Value>);

/// An invoice to be made. What decides money has no default: left out, the store's settings would decide.
#[derive(Clone, Debug, Serialize)]
pub struct NewInvoice {
    /// More than zero: BTCPay takes an invoice over 0 for settled at once.
    #[serde(with = "money")]
    pub amount: Decimal,
    /// Upper-case code. `BTC` with 8 decimals for exact satoshis: `SATS` would be subject to the store's spread.
    pub currency: String,
    /// Kept and given back by BTCPay.
    pub metadata: Metadata,
    /// How it is to be paid.
    pub checkout: NewCheckout,
    /// BTCPay's public receipt.
    pub receipt: NewReceipt,
}

/// How a new invoice is to be paid.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCheckout {
    /// Confirmations asked of an on-chain payment: `HighSpeed` 0, `MediumSpeed` 1, `LowMediumSpeed` 2, `LowSpeed` 6.
    pub speed_policy: String,
    /// The ids offered, and no others.
    pub payment_methods: Vec<String>,
    /// The one shown first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_payment_method: Option<String>,
    /// False: the BOLT11 and the address are there at once.
    pub lazy_payment_methods: bool,
    /// Minutes to pay in, at least 1.
    pub expiration_minutes: u32,
    /// Minutes after that in which BTCPay still watches.
    pub monitoring_minutes: u32,
    /// Percent that may be missing. Zero, or less than the price would settle.
    pub payment_tolerance: u8,
    /// Where the checkout sends the viewer back to.
    #[serde(rename = "redirectURL", skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
    /// Whether it does so by itself once the invoice is settled.
    pub redirect_automatically: bool,
}

/// BTCPay's public receipt of a new invoice.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NewReceipt {
    /// Whether there is one. It would tell whoever has the link what was bought.
    pub enabled: bool,
}

impl NewInvoice {
    /// One of which nothing may be missing: no tolerance, codes and addresses at once; no receipt, and no way back.
    ///
    /// - `minutes`: to pay in, and for BTCPay to watch after that.
    pub fn exact(
        (amount, currency): (Decimal, &str),
        metadata: Metadata,
        speed_policy: &str,
        payment_methods: &[String],
        minutes: (u32, u32),
    ) -> NewInvoice {
        NewInvoice {
            amount,
            currency: currency.into(),
            metadata,
            checkout: NewCheckout {
                speed_policy: speed_policy.into(),
                payment_methods: payment_methods.into(),
                default_payment_method: None,
                lazy_payment_methods: false,
                expiration_minutes: minutes.0,
                monitoring_minutes: minutes.1,
                payment_tolerance: 0,
                redirect_url: None,
                redirect_automatically: false,
            },
            receipt: NewReceipt { enabled: false },
        }
    }
}

impl Metadata {
    /// These members, all of them texts.
    pub(crate) fn of<const LEN: usize>(members: [(&str, String); LEN]) -> Metadata {
        Metadata(members.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect())
    }

    /// The member of this name, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    /// Anything but an object counts as empty: what strangers write must not keep an invoice from being read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Object(members) => Metadata(members),
            _ => Metadata::default(),
        })
    }
}

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btcpay::money::decimal;

    const ANSWER: &str = r#"{ "id": "HMprBnL9BTXWuPvpoKBS6e", "storeId": "9Ci", "amount": "0.00010000", "paidAmount": "0",
        "currency": "BTC", "type": "Standard", "checkoutLink": "https://btcpay.example/i/HMprBnL9BTXWuPvpoKBS6e",
        "status": "New", "additionalStatus": "None", "createdTime": 1785000000, "expirationTime": 1785000900,
        "monitoringExpiration": 1785087300, "availableStatusesForManualMarking": ["Settled", "Invalid"], "archived": false,
        "metadata": { "hlsgate": "a.b.c", "buyerEmail": "alice@example.com" },
        "checkout": { "paymentMethods": ["BTC-LN"], "paymentTolerance": 0.0, "lazyPaymentMethods": null } }"#;

    #[test]
    fn an_answer_is_read_and_buyers_data_not_shown() {
        let invoice: Invoice = serde_json::from_str(ANSWER).unwrap();
        assert_eq!((invoice.kind, invoice.amount), (InvoiceType::Standard, decimal("0.0001")));
        assert_eq!((invoice.status, invoice.additional_status), (Status::New, Additional::None));
        assert_eq!(invoice.metadata.text("hlsgate"), Some("a.b.c"));
        assert_eq!(invoice.checkout.payment_methods, ["BTC-LN"]);
        assert!(!format!("{invoice:?}").contains("alice"));
    }

    #[test]
    fn unknown_words_are_other_and_never_a_grant() {
        let changed = ANSWER
            .replace("\"status\": \"New\"", "\"status\": \"SettledTwice\"")
            .replace("\"None\"", "\"PaidInGold\"")
            .replace("\"Standard\"", "\"Auction\"")
            .replace("{ \"hlsgate\": \"a.b.c\", \"buyerEmail\": \"alice@example.com\" }", "null");
        let invoice: Invoice = serde_json::from_str(&changed).unwrap();
        assert_eq!(invoice.status, Status::Unknown);
        assert_eq!(invoice.additional_status, Additional::Other);
        assert_eq!(invoice.kind, InvoiceType::Other);
        assert_eq!(invoice.metadata, Metadata::default());
    }

    #[test]
    fn payments_are_read() {
        let methods: Vec<PaymentMethod> = serde_json::from_str(
            r#"[{ "paymentMethodId": "BTC-LN", "currency": "BTC", "activated": true, "destination": "lnbc100u1p",
                "paymentLink": "lightning:lnbc100u1p", "rate": "1.0", "amount": "0.0001", "due": "-0.0001", "totalPaid": "0",
                "paymentMethodPaid": "0", "paymentMethodFee": "0", "additionalData": { "preimage": "00" },
                "payments": [{ "id": "6b3f", "receivedDate": 1785000122, "value": "0.0001", "fee": "0", "status": "Settled",
                "destination": "lnbc100u1p" }] },
              { "paymentMethodId": "BTC-LNURL", "currency": "BTC", "activated": false, "destination": null, "paymentLink": null,
                "rate": 64000.5, "amount": 1, "due": 0, "payments": null }]"#,
        )
        .unwrap();
        let payment = &methods[0].payments[0];
        assert_eq!((payment.status, payment.received_date), (PaymentStatus::Settled, UnixTime(1785000122)));
        assert_eq!(methods[1].rate, decimal("64000.5"));
        assert!(methods[1].payments.is_empty());
    }

    #[test]
    fn a_new_invoice_says_all_that_decides_money() {
        let (price, metadata) = ((decimal("0.00010000"), "BTC"), Metadata::of([("hlsgate", "a.b.c".into())]));
        let mut invoice = NewInvoice::exact(price, metadata, "MediumSpeed", &["BTC-LN".into()], (30, 1440));
        invoice.checkout.redirect_url = Some("https://video.example/watch.html?v=a".into());
        invoice.checkout.redirect_automatically = true;
        let expected = serde_json::json!({
            "amount": "0.00010000", "currency": "BTC", "metadata": { "hlsgate": "a.b.c" },
            "checkout": { "speedPolicy": "MediumSpeed", "paymentMethods": ["BTC-LN"], "lazyPaymentMethods": false,
                "expirationMinutes": 30, "monitoringMinutes": 1440, "paymentTolerance": 0,
                "redirectURL": "https://video.example/watch.html?v=a", "redirectAutomatically": true },
            "receipt": { "enabled": false }
        });
        assert_eq!(serde_json::to_value(&invoice).unwrap(), expected);
    }
}
