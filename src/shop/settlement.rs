//! When an invoice is settled, and the claims of the token that it buys: a pure function of the fetched invoice.
//!
//! Same invoice and keys, same bytes: nothing here knows today's prices, the clock or the daemon.

use rust_decimal::Decimal;
use thiserror::Error;

use super::invoice::{Additional, Invoice, Payment, PaymentStatus, Status, Tolerance};
use super::order::{Order, OrderError};
use super::start::{Evidence, Start};
use crate::gate::keyring::Keyring;
use crate::gate::revocations::is_jti;
use crate::gate::token::{Jti, NewToken};

/// The type of an invoice with a price; `TopUp` takes any amount.
const STANDARD: &str = "Standard";

/// What a sale depends on beside the invoice and the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Our store's id.
    pub(crate) store: String,
    /// Whether an invoice that a person marked as settled counts though its payments do not cover the price.
    pub(crate) accept_marked: bool,
    /// Whether confirmed payments count though BTCPay calls the invoice invalid.
    pub(crate) accept_invalid: bool,
    /// What may be missing at the price.
    pub(crate) tolerance: Tolerance,
}

/// A settled invoice of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// What was bought.
    pub(crate) order: Order,
    /// The claims of its token.
    pub(crate) token: NewToken,
    /// When it was paid, and from when the token's time counts.
    pub(crate) start: Start,
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
    /// Paid and confirmed after BTCPay had given it up, and the configuration does not count that.
    #[error("the invoice was paid after BTCPay had called it invalid, and btcpay.accept_invalid is false")]
    PaidInvalid,
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
    /// Settled means: our store, a price, an order of ours with that price, and confirmed payments over it, whatever BTCPay
    /// calls the invoice; or what BTCPay calls settled by a lesser payment; or marked by a person, if `terms` count that.
    pub(crate) fn settle(&self, terms: &Terms, keyring: &Keyring) -> Result<Settlement, NotSettled> {
        let order = self.order(terms, keyring)?;
        let start = self.start(self.evidence(terms)?);
        let jti = Some(self.id.as_str()).filter(|id| is_jti(id)).and_then(|id| Jti::from(id).ok());
        let token = NewToken {
            sub: *order.sub(),
            tier: *order.tier(),
            iat: start.paid,
            exp: order.duration().map(|seconds| start.counts.plus(seconds)),
            jti: jti.ok_or(NotSettled::BadId)?,
        };
        Ok(Settlement { order, token, start })
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

    /// Whether something was paid, as far as its status says, so that its payments have to be known to judge it.
    pub(crate) fn needs_payments(&self) -> bool {
        !matches!((self.status, self.additional), (Status::New | Status::Expired, Additional::None))
    }

    /// Whether it counts as paid, whoever's order it carries.
    pub(crate) fn is_paid(&self, terms: &Terms) -> bool {
        self.evidence(terms).is_ok()
    }

    /// Whether all that was seen covers the price, once it is confirmed.
    pub(crate) fn is_covered(&self, terms: &Terms) -> bool {
        let seen: Vec<&Payment> =
            self.payments.iter().flatten().filter(|payment| payment.status != PaymentStatus::Invalid).collect();
        completed(&seen, self.amount, terms.tolerance).is_ok()
    }

    /// Whether BTCPay will never take it back: settled by a payment, not by a person.
    pub(crate) fn is_final(&self) -> bool {
        self.status == Status::Settled
            && self.additional != Additional::Marked
            && self.payments.iter().flatten().any(Payment::is_settled)
    }

    /// What shows that it is settled.
    fn evidence(&self, terms: &Terms) -> Result<Evidence<'_>, NotSettled> {
        let not_paid = NotSettled::NotPaid(self.status, self.additional);
        let payments = match &self.payments {
            Some(payments) => payments.as_slice(),
            None if self.paid_at_node => &[],
            None if self.needs_payments() => return Err(NotSettled::PaymentsUnknown),
            None => return Err(not_paid),
        };
        let mut settled: Vec<&Payment> = payments.iter().filter(|payment| payment.is_settled()).collect();
        settled.sort_by(|a, b| (a.received, &a.id).cmp(&(b.received, &b.id)));
        let covered = completed(&settled, self.amount, terms.tolerance);
        match (self.status, self.additional) {
            (Status::Settled, Additional::Marked) if covered.is_ok() || terms.accept_marked || self.paid_at_node => {
                Ok(Evidence::Undated)
            }
            (Status::Settled, Additional::Marked) => Err(NotSettled::Marked),
            (Status::Settled, _) => {
                // BTCPay took less for the whole (a tolerance that somebody set afterwards). Its first payment is the only
                // one that no later payment can change.
                covered.or_else(|_| settled.first().map(|payment| by(payment)).ok_or(NotSettled::NoPayment))
            }
            (Status::Invalid, _) => match covered {
                Ok(_) if terms.accept_invalid => Ok(Evidence::Undated),
                Ok(_) => Err(NotSettled::PaidInvalid),
                Err(_) => Err(not_paid),
            },
            (Status::Expired, Additional::PaidLate) if !self.paid_at_node || covered.is_ok() => {
                let late = covered.map(|evidence| match evidence {
                    Evidence::Instant(payment) | Evidence::Confirmed(payment) => Evidence::Late(payment),
                    other => other,
                });
                late.map_err(|settled| NotSettled::PaidLateUnconfirmed { settled, amount: self.amount })
            }
            (Status::Expired, _) if covered.is_err() && self.paid_at_node => Ok(Evidence::Undated),
            (Status::Unknown, _) => Err(not_paid),
            // Over the price, and BTCPay misses its network fee.
            (Status::New | Status::Processing | Status::Expired, _) => covered.map_err(|_| not_paid),
        }
    }
}

/// The payments that complete the price, or what all come to.
///
/// Lightning alone counts first, though others may be older: it settles an invoice at once, and what is confirmed later
/// changes nothing.
fn completed<'a>(settled: &[&'a Payment], amount: Decimal, tolerance: Tolerance) -> Result<Evidence<'a>, Decimal> {
    let instant = settled.iter().copied().filter(|payment| payment.is_instant());
    if let Ok(payment) = reaching(instant, amount, tolerance) {
        return Ok(Evidence::Instant(payment));
    }
    reaching(settled.iter().copied(), amount, tolerance).map(Evidence::Confirmed)
}

/// The payment with which these, in order, first reach `amount`; else what they come to.
fn reaching<'a>(
    payments: impl Iterator<Item = &'a Payment>,
    amount: Decimal,
    tolerance: Tolerance,
) -> Result<&'a Payment, Decimal> {
    let mut sum = Decimal::ZERO;
    for payment in payments {
        // A payment beyond what a Decimal can hold is none that a wallet made: it counts for nothing.
        sum = payment.worth(tolerance).and_then(|worth| sum.checked_add(worth)).unwrap_or(sum);
        if sum >= amount {
            return Ok(payment);
        }
    }
    Err(sum)
}

/// What a payment is evidence of, taken for enough.
fn by(payment: &Payment) -> Evidence<'_> {
    if payment.is_instant() { Evidence::Instant(payment) } else { Evidence::Confirmed(payment) }
}

#[cfg(test)]
mod tests;
