//! When an invoice is settled, and the claims of the token that it buys: a pure function of the fetched invoice.
//!
//! Same invoice and keys, same bytes: nothing here knows today's prices, the clock or the daemon.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use thiserror::Error;

use super::order::{Order, OrderError};
use crate::gate::keyring::Keyring;
use crate::gate::revocations::is_jti;
use crate::gate::time::UnixTime;
use crate::gate::token::{Jti, NewToken};

/// The type of an invoice with a price; `TopUp` takes any amount.
const STANDARD: &str = "Standard";

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
    /// When it was made.
    pub(crate) created: UnixTime,
    /// The order's text in its metadata, if there is one.
    pub(crate) order: Option<String>,
    /// Its payments; `None` when they were not asked for.
    pub(crate) payments: Option<Vec<Payment>>,
}

/// One payment on an invoice, by any method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    /// The method's id, for instance `BTC-LN`.
    pub(crate) method: String,
    /// Payment hash, or transaction and output.
    pub(crate) id: String,
    /// When BTCPay recorded it.
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

/// An invoice's `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
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
}

/// An invoice's `additionalStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Additional {
    /// Nothing special.
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
    Other,
}

/// A payment's `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PaymentStatus {
    /// Seen, not confirmed.
    Processing,
    /// Confirmed.
    Settled,
    /// Replaced, or never confirmed; also every word that this version does not know.
    Invalid,
}

/// What a sale depends on beside the invoice and the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Our store's id.
    pub(crate) store: String,
    /// Whether an invoice that a person marked as settled counts.
    pub(crate) accept_marked: bool,
}

/// A settled invoice of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// What was bought.
    pub(crate) order: Order,
    /// The claims of its token.
    pub(crate) token: NewToken,
}

/// Why an invoice buys nothing (yet).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotSettled {
    /// It is in another store.
    #[error("the invoice is in store {0:?}, which is not the configured one")]
    OtherStore(String),
    /// A top-up, which any payment settles.
    #[error("the invoice has type {0:?}; only \"{STANDARD}\" ones have a price")]
    NotStandard(String),
    /// Somebody else's invoice.
    #[error("the invoice's metadata holds no order")]
    NoOrder,
    /// An order that we did not sign.
    #[error("the invoice's order does not verify: {0}")]
    BadOrder(#[from] OrderError),
    /// Not the price that was ordered.
    #[error("the invoice is over {invoice}, and the order over {order}")]
    OtherPrice {
        /// What the invoice says.
        invoice: String,
        /// What the order says.
        order: String,
    },
    /// Its id is of no form that a token can carry.
    #[error("the invoice's id cannot be a token's jti")]
    BadId,
    /// Not, not fully, or not finally paid.
    #[error("the invoice is {0}/{1:?}")]
    NotPaid(Status, Additional),
    /// Paid late, by payments that are not all confirmed.
    #[error("the invoice was paid late, and its settled payments come to {settled} of {amount}")]
    PaidLateUnconfirmed {
        /// Sum of the settled payments in the invoice's currency.
        settled: Decimal,
        /// The price.
        amount: Decimal,
    },
    /// Marked by a person, and the configuration does not count that.
    #[error("the invoice was marked as settled by hand, and btcpay.accept_marked is false")]
    Marked,
    /// BTCPay calls it settled though nothing was paid: a tolerance, or an amount of zero.
    #[error("the invoice is settled without a settled payment")]
    NoPayment,
    /// The answer that was read did not list payments.
    #[error("the invoice's payments were not asked for")]
    PaymentsUnknown,
}

impl Invoice {
    /// Judges the invoice: what it bought, or why nothing.
    ///
    /// Settled means: our store, a price, an order of ours with that price, and fully paid by confirmed payments (late
    /// ones included), or marked by a person if `terms` count that.
    pub(crate) fn settle(&self, terms: &Terms, keyring: &Keyring) -> Result<Settlement, NotSettled> {
        let order = self.order(terms, keyring)?;
        let iat = self.settled_at(terms)?;
        let jti = Some(self.id.as_str()).filter(|id| is_jti(id)).and_then(|id| Jti::from(id).ok());
        let token = NewToken {
            sub: *order.sub(),
            tier: *order.tier(),
            iat,
            exp: order.duration().map(|seconds| iat.plus(seconds)),
            jti: jti.ok_or(NotSettled::BadId)?,
        };
        Ok(Settlement { order, token })
    }

    /// The order that the invoice carries, if the invoice is the one that was ordered, paid or not.
    pub(crate) fn order(&self, terms: &Terms, keyring: &Keyring) -> Result<Order, NotSettled> {
        if self.store != terms.store {
            return Err(NotSettled::OtherStore(self.store.clone()));
        }
        if self.kind != STANDARD {
            return Err(NotSettled::NotStandard(self.kind.clone()));
        }
        let order = Order::verify(self.order.as_deref().ok_or(NotSettled::NoOrder)?, keyring)?;
        if order.amount() != self.amount || order.currency().as_str() != self.currency {
            let invoice = format!("{} {}", self.amount, self.currency);
            return Err(NotSettled::OtherPrice { invoice, order: format!("{} {}", order.amount(), order.currency()) });
        }
        Ok(order)
    }

    /// Whether BTCPay counts it as paid, so that its payments have to be known to judge it.
    pub(crate) fn needs_payments(&self) -> bool {
        matches!((self.status, self.additional), (Status::Settled, _) | (Status::Expired, Additional::PaidLate))
    }

    /// Whether it counts as paid, whoever's order it carries.
    pub(crate) fn is_paid(&self, terms: &Terms) -> bool {
        self.settled_at(terms).is_ok()
    }

    /// Whether BTCPay will never take it back: settled by a payment, not by a person.
    pub(crate) fn is_final(&self) -> bool {
        self.status == Status::Settled
            && self.additional != Additional::Marked
            && self.payments.iter().flatten().any(Payment::is_settled)
    }

    /// The token's `iat`: when the payment was received that completed the price.
    fn settled_at(&self, terms: &Terms) -> Result<UnixTime, NotSettled> {
        if !self.needs_payments() {
            return Err(NotSettled::NotPaid(self.status, self.additional));
        }
        let marked = self.additional == Additional::Marked;
        if marked && !terms.accept_marked {
            return Err(NotSettled::Marked);
        }
        let payments = self.payments.as_deref().ok_or(NotSettled::PaymentsUnknown)?;
        let mut settled: Vec<&Payment> = payments.iter().filter(|payment| payment.is_settled()).collect();
        settled.sort_by(|a, b| (a.received, &a.id).cmp(&(b.received, &b.id)));
        let completed = completed_at(&settled, self.amount);
        match completed {
            Ok(received) => Ok(received),
            Err(_) if marked => Ok(self.created),
            Err(sum) if self.status == Status::Expired => {
                Err(NotSettled::PaidLateUnconfirmed { settled: sum, amount: self.amount })
            }
            // BTCPay took less for the whole (a tolerance that somebody set afterwards). Its first payment is the only
            // one whose date no later payment can change.
            Err(_) => settled.first().map(|payment| payment.received).ok_or(NotSettled::NoPayment),
        }
    }
}

/// When the payments, in order, first reached `amount`; else what they come to.
fn completed_at(settled: &[&Payment], amount: Decimal) -> Result<UnixTime, Decimal> {
    let mut sum = Decimal::ZERO;
    for payment in settled {
        // A payment beyond what a Decimal can hold is none that a wallet made: it counts for nothing.
        sum = payment.worth().and_then(|worth| sum.checked_add(worth)).unwrap_or(sum);
        if sum >= amount {
            return Ok(payment.received);
        }
    }
    Err(sum)
}

impl Payment {
    /// What it pays of the price, in the invoice's currency.
    fn worth(&self) -> Option<Decimal> {
        self.value.checked_sub(self.fee)?.checked_mul(self.rate)
    }

    fn is_settled(&self) -> bool {
        self.status == PaymentStatus::Settled
    }
}

impl FromStr for Status {
    type Err = String;
    /// Takes BTCPay's word; gives an unknown one back.
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "New" => Ok(Status::New),
            "Processing" => Ok(Status::Processing),
            "Settled" => Ok(Status::Settled),
            "Expired" => Ok(Status::Expired),
            "Invalid" => Ok(Status::Invalid),
            other => Err(other.into()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl From<&str> for Additional {
    fn from(word: &str) -> Self {
        match word {
            "None" => Additional::None,
            "PaidLate" => Additional::PaidLate,
            "PaidPartial" => Additional::PaidPartial,
            "PaidOver" => Additional::PaidOver,
            "Marked" => Additional::Marked,
            _ => Additional::Other,
        }
    }
}

impl From<&str> for PaymentStatus {
    fn from(word: &str) -> Self {
        match word {
            "Processing" => PaymentStatus::Processing,
            "Settled" => PaymentStatus::Settled,
            _ => PaymentStatus::Invalid,
        }
    }
}

#[cfg(test)]
mod tests;
