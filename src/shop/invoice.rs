//! An invoice as the shop sees it: what BTCPay says of it, its payments, and the ways to pay it.
//!
//! Facts alone: [`super::settlement`] judges them, [`super::start`] dates them, [`super::bill`] says what is left to pay.

use std::fmt;

use rust_decimal::Decimal;
use serde::Deserialize;

use super::lane::Lane;
use crate::gate::time::UnixTime;

/// What BTCPay's ids of Lightning methods end with, behind the coin.
pub(super) const LIGHTNING: &str = "LN";
pub(super) const LNURL: &str = "LNURL";
pub(super) const CHAIN: &str = "CHAIN";
pub(super) const BTC: &str = "BTC";

/// What BTCPay tells of one invoice, as far as a sale depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    /// The invoice's id.
    pub(crate) id: String,
    /// The store it is in.
    pub(crate) store: String,
    /// `Standard` or `TopUp`.
    pub(crate) kind: String,
    /// How far it is.
    pub(crate) status: Status,
    /// By which way it got there.
    pub(crate) additional: Additional,
    /// The price, in `currency`.
    pub(crate) amount: Decimal,
    /// The price's currency.
    pub(crate) currency: String,
    /// When it was made. This time and the next two are right in every zone.
    pub(crate) created: UnixTime,
    /// Until when it can be paid in time.
    pub(crate) expires: UnixTime,
    /// Until when BTCPay waits for confirmations and late payments.
    pub(crate) watched_until: UnixTime,
    /// The order's text in its metadata, if there is one.
    pub(crate) order: Option<String>,
    /// Its payments; `None` when they were not asked for.
    pub(crate) payments: Option<Vec<Payment>>,
    /// How it can be paid, as BTCPay says now; empty when that was not asked for.
    pub(crate) methods: Vec<Method>,
    /// Whether the Lightning node itself has received the whole price, of which BTCPay may know nothing.
    pub(crate) paid_at_node: bool,
    /// Who it was made for.
    pub(crate) lane: Lane,
}

/// One payment on an invoice, by any method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    /// The method's id, for instance `BTC-LN`.
    pub(crate) method: String,
    /// Payment hash, or transaction and output.
    pub(crate) id: String,
    /// When BTCPay saw it first, off by the time zone of its host.
    pub(crate) received: UnixTime,
    /// In the method's currency.
    pub(crate) value: Decimal,
    /// In the method's currency: the part of `value` that pays for the payment itself.
    pub(crate) fee: Decimal,
    /// What one unit of the method's currency is in the invoice's.
    pub(crate) rate: Decimal,
    /// Whether it is confirmed.
    pub(crate) status: PaymentStatus,
}

/// An invoice's `status`, in BTCPay's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Status {
    /// Not paid, or not fully.
    New,
    /// Paid, not yet confirmed.
    Processing,
    /// Paid and confirmed, or marked so.
    Settled,
    /// Its time passed.
    Expired,
    /// Not confirmed in time, or marked so.
    Invalid,
    /// A word that this version does not know: waited on, for it says neither that it was paid nor that it never will be.
    #[serde(other)]
    Unknown,
}

/// An invoice's `additionalStatus`, in BTCPay's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) enum Additional {
    /// Nothing special.
    #[default]
    None,
    /// Paid after it expired.
    PaidLate,
    /// Paid in part.
    PaidPartial,
    /// Paid more than the price.
    PaidOver,
    /// Set by a person.
    Marked,
    /// A word that this version does not know; it grants nothing by itself.
    #[serde(other)]
    Other,
}

/// A payment's `status`, in BTCPay's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) enum PaymentStatus {
    /// Seen, not confirmed.
    Processing,
    /// Confirmed.
    Settled,
    /// Replaced, or never confirmed; also every word that this version does not know.
    #[serde(other)]
    Invalid,
}

/// One way to pay an invoice, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// BTCPay's id, for instance `BTC-LN`.
    pub(crate) id: String,
    /// What `amount` and `due` are in, for instance `BTC`.
    pub(crate) currency: String,
    /// What one unit of `currency` is in the invoice's.
    pub(crate) rate: Decimal,
    /// The whole price and what this way costs beside it.
    pub(crate) amount: Decimal,
    /// What is left to pay this way; negative when overpaid.
    pub(crate) due: Decimal,
    /// BOLT11 or address; `None` for a method that nobody opened yet.
    pub(crate) destination: Option<String>,
    /// BTCPay's own URI for wallets.
    pub(crate) link: Option<String>,
    /// The node's id of the Lightning invoice.
    pub(crate) witness: Option<String>,
}

/// What kind of way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// BOLT11.
    Lightning,
    /// LNURL-pay.
    Lnurl,
    /// Bitcoin on-chain.
    Bitcoin,
    /// What BTCPay's plugins add.
    Other,
}

impl Kind {
    /// The kind that an id says.
    pub(crate) fn of(id: &str) -> Kind {
        match id.split_once('-') {
            Some((_, LIGHTNING)) => Kind::Lightning,
            Some((_, LNURL)) => Kind::Lnurl,
            Some((BTC, CHAIN)) => Kind::Bitcoin,
            _ => Kind::Other,
        }
    }

    /// The stable word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Lightning => "lightning",
            Kind::Lnurl => "lnurl",
            Kind::Bitcoin => "bitcoin",
            Kind::Other => "other",
        }
    }

    /// Whether a payment is final the moment that it is seen.
    pub(crate) fn is_lightning(self) -> bool {
        matches!(self, Kind::Lightning | Kind::Lnurl)
    }
}

/// What may be missing of the price, so that it still counts as paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// Nothing: BTCPay's own view.
    None,
    /// The network fee that BTCPay takes off a further on-chain payment: the buyer sent the price.
    #[default]
    NetworkFee,
}

impl Method {
    /// Its kind.
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.id)
    }

    /// Whether bitcoin is paid by it, on any layer.
    pub(super) fn is_btc(&self) -> bool {
        self.id.split_once('-').is_some_and(|(coin, _)| coin == BTC)
    }
}

impl Payment {
    /// What it pays of the price, in the invoice's currency.
    pub(crate) fn worth(&self, tolerance: Tolerance) -> Option<Decimal> {
        let counts = match tolerance {
            Tolerance::None => self.value.checked_sub(self.fee)?,
            Tolerance::NetworkFee => self.value,
        };
        counts.checked_mul(self.rate)
    }

    /// Whether it is confirmed.
    pub(crate) fn is_settled(&self) -> bool {
        self.status == PaymentStatus::Settled
    }

    /// Whether it is final the moment that it is seen.
    pub(super) fn is_instant(&self) -> bool {
        Kind::of(&self.method).is_lightning()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
