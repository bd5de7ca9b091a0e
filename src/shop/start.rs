//! From when on a pass counts: never from a time at which its buyer could not watch yet.
//!
//! A pure function of what BTCPay keeps, so that every daemon gives the same bytes, and asking again prolongs nothing. BTCPay
//! keeps three times that are right (`createdTime`, `expirationTime`, `monitoringExpiration`) and one that is off by its host's
//! time zone (`receivedDate`, which besides is the first sight of a payment, not its confirmation). When an invoice was
//! settled it does not keep at all. So each kind of evidence has an upper bound, and the pass counts from that.

use super::invoice::{Additional, Invoice, Payment, Status};
use crate::gate::time::UnixTime;

const HOUR: u64 = 60 * 60;
/// Offsets of time zones from UTC are whole quarters of an hour ...
const ZONE_STEP: u64 = HOUR / 4;
/// ... and none is closer to UTC than this without being UTC ...
const ZONE_NEAREST: u64 = HOUR;
/// ... nor farther from it (the Line Islands).
const ZONE_FARTHEST: u64 = 14 * HOUR;
/// For how long after its creation a purchase without any other bound can be settled: as long as its buyer's browser keeps it.
pub(crate) const WEEK: u64 = 7 * 24 * HOUR;

/// When a purchase was paid, and from when its time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The token's `iat`: when it was paid, as far as that is known. Never in the future, for libraries reject such tokens.
    pub(crate) paid: UnixTime,
    /// The token's `exp` is the pass's duration after this: no earlier than when the buyer could watch.
    pub(crate) counts: UnixTime,
}

/// By which kind of evidence an invoice is settled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evidence<'a> {
    /// Lightning in time, complete with this payment: it settles at once.
    Instant(&'a Payment),
    /// A payment in time that had to be confirmed, complete with this one: BTCPay saw that before it stopped to watch.
    Confirmed(&'a Payment),
    /// Complete after the invoice's time, with this payment.
    Late(&'a Payment),
    /// Confirmed after BTCPay had given it up, or a person's word, or the Lightning node's of what BTCPay saw nothing of.
    /// BTCPay keeps no time of it. The node does, but the buyer could not watch before somebody asked it; and once a person
    /// has marked the invoice, as they are asked to, its token has to be the same bytes on a daemon that never asked.
    Undated,
}

impl Invoice {
    /// From when on the pass counts that this evidence pays for.
    pub(super) fn start(&self, evidence: Evidence<'_>) -> Start {
        match evidence {
            Evidence::Instant(payment) => {
                Start { paid: self.paid_at(payment), counts: self.latest_reading(payment.received) }
            }
            Evidence::Confirmed(payment) => Start { paid: self.paid_at(payment), counts: self.watched_until },
            Evidence::Late(payment) => {
                // As long to be confirmed as a payment in time has, from the latest moment that a zone can have written so.
                let watched = self.expires.until(self.watched_until);
                let counts = self.watched_until.max(payment.received.plus(ZONE_FARTHEST + watched));
                Start { paid: self.expires, counts }
            }
            Evidence::Undated => Start { paid: self.created, counts: self.watched_until.max(self.created.plus(WEEK)) },
        }
    }

    /// When a payment in time came: its `receivedDate` if no host in any zone can mean an earlier time by it, else when the
    /// invoice was made.
    fn paid_at(&self, payment: &Payment) -> UnixTime {
        let earlier = UnixTime(payment.received.0.saturating_sub(ZONE_NEAREST));
        let is_certain = self.is_in_time(payment.received) && !self.is_in_time(earlier);
        if is_certain { payment.received } else { self.created }
    }

    /// The latest time within the invoice's that a host in some time zone writes as this `receivedDate`.
    ///
    /// In UTC, and with less than an hour to pay, that is the `receivedDate` itself; else it is less than the invoice's time
    /// later than the payment.
    fn latest_reading(&self, received: UnixTime) -> UnixTime {
        let steps = || (ZONE_NEAREST / ZONE_STEP..=ZONE_FARTHEST / ZONE_STEP).map(|step| step * ZONE_STEP);
        let east = steps().rev().map(|seconds| received.plus(seconds));
        let west = steps().map(|seconds| UnixTime(received.0.saturating_sub(seconds)));
        // A clock that is wrong by something else than a zone gives no reading: the latest that can be is the end.
        east.chain([received]).chain(west).find(|reading| self.is_in_time(*reading)).unwrap_or(self.expires)
    }

    fn is_in_time(&self, time: UnixTime) -> bool {
        (self.created..=self.expires).contains(&time)
    }
}

/// Seconds by which BTCPay tells the times of payments too late (negative: too early), by invoices that were paid in time.
///
/// `None` if none says anything. An invoice leaves a few zones open, a quarter of an hour apart; several together fewer; of
/// those that are left the roundest is told.
pub(crate) fn zone_error(invoices: &[Invoice]) -> Option<i64> {
    let mut left: Option<Vec<i64>> = None;
    for (invoice, received) in invoices.iter().flat_map(|invoice| in_time(invoice).map(move |time| (invoice, time))) {
        let fits =
            |error: &i64| received.0.checked_add_signed(-error).is_some_and(|time| invoice.is_in_time(UnixTime(time)));
        let by_this: Vec<i64> = zones().filter(fits).collect();
        left = match left {
            None => Some(by_this).filter(|zones| !zones.is_empty()),
            Some(before) => {
                let both: Vec<i64> = before.iter().copied().filter(|zone| by_this.contains(zone)).collect();
                // The zone was changed since this older one, or a clock.
                Some(if both.is_empty() { before } else { both })
            }
        };
    }
    let step = ZONE_STEP.cast_signed();
    left?.into_iter().min_by_key(|zone| (*zone != 0, zone % (4 * step) != 0, zone % (2 * step) != 0, zone.abs()))
}

/// The times of payments that completed an invoice in time.
fn in_time(invoice: &Invoice) -> impl Iterator<Item = UnixTime> {
    let counts = invoice.status == Status::Settled && invoice.additional != Additional::Marked;
    let payments = invoice.payments.iter().flatten().filter(move |payment| counts && payment.is_settled());
    payments.map(|payment| payment.received)
}

fn zones() -> impl Iterator<Item = i64> {
    let (step, nearest, farthest) = (ZONE_STEP.cast_signed(), ZONE_NEAREST.cast_signed(), ZONE_FARTHEST.cast_signed());
    (-farthest / step..=farthest / step)
        .map(move |steps| steps * step)
        .filter(move |zone| *zone == 0 || zone.abs() >= nearest)
}

#[cfg(test)]
mod tests;
