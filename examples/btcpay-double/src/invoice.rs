//! One invoice: its amounts, payments and statuses, and the events that a change raises, in BTCPay's order.
//!
//! Pure but for the randomness in ids: no clock, no socket. Times that decide something are milliseconds of UNIX time.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids,
    jsonb::Jsonb,
    money,
    payment::{Method, MethodId, Paying, Payment, PaymentStatus, SpeedPolicy},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    New,
    Processing,
    Settled,
    Expired,
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdditionalStatus {
    None,
    PaidPartial,
    PaidOver,
    PaidLate,
    Marked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Standard,
    TopUp,
}

/// What `checkout` settled to, request and store settings combined.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub speed_policy: SpeedPolicy,
    pub default_method: Option<String>,
    pub expiration_minutes: i64,
    pub monitoring_minutes: i64,
    /// Percent.
    pub tolerance: f64,
    pub redirect_url: Option<String>,
    pub redirect_automatically: bool,
    pub language: Option<String>,
}

/// A webhook event before it has ids: the fields that only its type has, in the order of a first delivery.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: String,
    /// Money that is written as a JSON number, before the rest.
    pub sums: Vec<(&'static str, Decimal)>,
    pub extra: Vec<(String, Value)>,
}

impl Event {
    pub fn new(kind: &str, extra: &[(&str, Value)]) -> Self {
        Event {
            kind: kind.to_owned(),
            sums: vec![],
            extra: extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Invoice {
    pub id: String,
    pub store: String,
    pub kind: Kind,
    pub amount: Decimal,
    pub currency: String,
    pub created: i64,
    pub expires: i64,
    pub monitored: i64,
    pub status: Status,
    pub additional: AdditionalStatus,
    pub archived: bool,
    pub metadata: Jsonb,
    pub checkout: Checkout,
    pub receipt: Value,
    pub methods: Vec<Method>,
    pub payments: Vec<Payment>,
    /// A top-up that got its amount.
    pub priced: bool,
    /// The network's fee is added to the first on-chain payment, too.
    pub fee_always: bool,
    /// Of its address, in the store's wallet.
    pub number: usize,
    /// What the BOLT11 that is shown asks for, in bitcoin.
    pub bolt11_over: Option<Decimal>,
    /// How far the server's own time is ahead of UTC, in seconds.
    pub zone: i64,
}

/// The sums of one payment method, in bitcoin.
pub struct Sums {
    pub amount: Decimal,
    pub due: Decimal,
    pub total_paid: Decimal,
    pub method_paid: Decimal,
    pub fee: Decimal,
}

impl Invoice {
    pub fn method(&self, id: MethodId) -> Option<&Method> {
        self.methods.iter().find(|method| method.id == id)
    }

    pub fn order_id(&self) -> Option<&str> {
        self.metadata.value().get("orderId").and_then(Value::as_str)
    }

    /// What counts as paid, in the invoice's currency; unconfirmed payments included.
    pub fn paid(&self) -> Decimal {
        self.accounted().map(Payment::net).sum()
    }

    fn accounted(&self) -> impl Iterator<Item = &Payment> {
        self.payments.iter().filter(|payment| payment.status != PaymentStatus::Invalid)
    }

    fn reaches_amount(&self, paid: Decimal) -> bool {
        if self.kind == Kind::TopUp && !self.priced {
            return paid > Decimal::ZERO;
        }
        let tolerance = Decimal::try_from(self.checkout.tolerance).unwrap_or_default();
        paid >= self.amount * (Decimal::ONE - tolerance / Decimal::ONE_HUNDRED)
    }

    fn overpaid(&self) -> bool {
        // Rounding up to a whole unit of the payment method is no overpayment.
        let unit = self.accounted().map(|payment| Decimal::new(1, payment.method.places()) * payment.rate).max();
        let priced = self.kind == Kind::Standard || self.priced;
        unit.is_some_and(|unit| priced && self.paid() - self.amount >= unit)
    }

    /// `network_fee`: what the store adds for a further on-chain payment, in bitcoin.
    pub fn sums(&self, method: &Method, network_fee: Decimal) -> Sums {
        let total_paid: Decimal = self.accounted().map(|payment| payment.value * payment.rate / method.rate).sum();
        let method_paid =
            self.accounted().filter(|payment| payment.method == method.id).map(|payment| payment.value).sum();
        let rest = match self.kind == Kind::TopUp && !self.priced {
            true => Decimal::ZERO,
            false => money::round_up((self.amount - self.paid()) / method.rate, method.id.places()),
        };
        let further = self.fee_always || self.payments.iter().any(|payment| payment.method == MethodId::Chain);
        let wanting = rest > Decimal::ZERO && !self.reaches_amount(self.paid());
        let fee = match method.id == MethodId::Chain && further && wanting {
            true => network_fee,
            false => Decimal::ZERO,
        };
        let due = rest + fee;
        let charged: Decimal = self.accounted().map(|payment| payment.fee).sum();
        let fee = fee + charged;
        Sums { amount: due + total_paid, due, total_paid, method_paid, fee }
    }

    /// Records a payment.
    ///
    /// `now`: milliseconds. Errors where the method cannot take a payment.
    pub fn pay(&mut self, paying: &Paying, now: i64) -> Result<Vec<Event>, String> {
        let mut events = self.evaluate(now);
        events.extend(self.find(paying, now)?);
        Ok(events)
    }

    /// Records a payment that came while nobody looked: the invoice's own time is up only afterwards.
    pub fn find(&mut self, paying: &Paying, now: i64) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        let Some(method) = self.method(paying.method).cloned() else {
            let names: Vec<_> = self.methods.iter().map(|method| method.id.name()).collect();
            return Err(format!("the invoice has no {}; it has {names:?}", paying.method.name()));
        };
        if !method.activated {
            return Err(format!("{} is not activated yet", paying.method.name()));
        }
        let instant = method.id.instant();
        let needed = if instant { 0 } else { self.checkout.speed_policy.confirmations(paying.rbf) };
        // A replaced payment counts, too.
        let second = self.payments.iter().any(|payment| payment.method == MethodId::Chain);
        let payment = Payment {
            id: match instant {
                // A replaced BOLT11 has a hash of its own; a repeated payment of one (which Lightning refuses) gets a random id.
                _ if paying.transaction.is_some() && instant => paying.transaction.clone().unwrap_or_default(),
                true if !self.payments.iter().any(|payment| payment.id == ids::hex(&method.payment_hash)) => {
                    ids::hex(&method.payment_hash)
                }
                true => ids::hex(&ids::random::<32>()),
                false => {
                    let fresh = || ids::hex(&ids::random::<32>());
                    format!("{}-0", paying.transaction.clone().unwrap_or_else(fresh))
                }
            },
            method: method.id,
            received: paying.received.unwrap_or(now.div_euclid(1000)),
            value: paying.value,
            fee: if method.id == MethodId::Chain && (second || self.fee_always) { paying.fee } else { Decimal::ZERO },
            rate: method.rate,
            status: if needed == 0 { PaymentStatus::Settled } else { PaymentStatus::Processing },
            destination: paying.destination.clone().or(method.destination).unwrap_or_default(),
            confirmations: 0,
            needed,
            doomed: false,
        };
        if payment.status == PaymentStatus::Settled {
            events.push(self.payment_event("InvoicePaymentSettled", &payment));
        }
        events.push(self.payment_event("InvoiceReceivedPayment", &payment));
        self.payments.push(payment);
        events.extend(self.evaluate(now));
        Ok(events)
    }

    /// Adds `blocks` to every on-chain payment, or as many as each needs.
    pub fn confirm(&mut self, blocks: Option<u32>, now: i64) -> Vec<Event> {
        let mut events = self.evaluate(now);
        for index in 0..self.payments.len() {
            let payment = &mut self.payments[index];
            if payment.status != PaymentStatus::Processing {
                continue;
            }
            payment.confirmations += blocks.unwrap_or(payment.needed);
            if payment.confirmations >= payment.needed {
                payment.status = PaymentStatus::Settled;
                events.push(self.payment_event("InvoicePaymentSettled", &self.payments[index]));
            }
        }
        events.extend(self.evaluate(now));
        events
    }

    /// Blocks come: what was replaced is gone, the rest has so many confirmations more.
    pub fn mine(&mut self, blocks: u32, now: i64) -> Vec<Event> {
        for payment in self.payments.iter_mut().filter(|payment| payment.doomed) {
            payment.doomed = false;
            payment.status = PaymentStatus::Invalid;
        }
        self.confirm(Some(blocks), now)
    }

    /// The transaction that `holds` names is replaced: by one that pays elsewhere, which shows with the next block, or by
    /// another that pays the same, with its id and the network's fee, which shows at once.
    pub fn double_spend(
        &mut self,
        holds: impl Fn(&str) -> bool,
        by: Option<(&str, Decimal)>,
        now: i64,
    ) -> Result<Vec<Event>, String> {
        let waits = |payment: &&mut Payment| holds(&payment.id) && payment.status == PaymentStatus::Processing;
        let old = self.payments.iter_mut().find(waits).ok_or("it is confirmed, or replaced already")?;
        let Some((by, fee)) = by else {
            old.doomed = true;
            return Ok(vec![]);
        };
        old.status = PaymentStatus::Invalid;
        let mut new = old.clone();
        (new.id, new.status, new.received) = (format!("{by}-0"), PaymentStatus::Processing, now.div_euclid(1000));
        // The event has the fee of a further payment, the payment that of the one which it replaces.
        let event = self.payment_event("InvoiceReceivedPayment", &Payment { fee, ..new.clone() });
        self.payments.push(new);
        let mut events = vec![event];
        events.extend(self.evaluate(now));
        Ok(events)
    }

    /// Every unconfirmed payment is double-spent, and a block says so: no event, the status falls back silently.
    pub fn replace(&mut self, now: i64) -> Result<Vec<Event>, String> {
        let mut replaced = false;
        for payment in self.payments.iter_mut().filter(|payment| payment.status == PaymentStatus::Processing) {
            payment.doomed = true;
            replaced = true;
        }
        match replaced {
            true => Ok(self.mine(0, now)),
            false => Err("the invoice has no unconfirmed payment to replace".into()),
        }
    }

    pub fn markable(&self) -> Vec<Status> {
        match (self.status, self.additional) {
            (Status::New | Status::Processing | Status::Expired, _) => vec![Status::Settled, Status::Invalid],
            (Status::Invalid, _) => vec![Status::Settled],
            (Status::Settled, AdditionalStatus::Marked) => vec![Status::Invalid],
            (Status::Settled, _) => vec![],
        }
    }

    /// A person says so. Errors where BTCPay would not let him.
    pub fn mark(&mut self, status: Status, now: i64) -> Result<Vec<Event>, String> {
        let mut events = self.evaluate(now);
        if !self.markable().contains(&status) {
            return Err("Status can only be marked to invalid or settled within certain conditions.".into());
        }
        self.status = status;
        self.additional = AdditionalStatus::Marked;
        events.push(match status {
            Status::Settled => {
                Event::new("InvoiceSettled", &[("manuallyMarked", true.into()), ("overPaid", false.into())])
            }
            _ => Event::new("InvoiceInvalid", &[("manuallyMarked", true.into())]),
        });
        Ok(events)
    }

    /// Brings the status up to date with payments and time, as BTCPay's `InvoiceWatcher` does.
    pub fn evaluate(&mut self, now: i64) -> Vec<Event> {
        let mut events = Vec::new();
        let paid = self.paid();
        let enough = self.reaches_amount(paid);

        if self.status == Status::New && now >= self.expires {
            let partially = self.additional == AdditionalStatus::PaidPartial;
            self.status = Status::Expired;
            events.push(Event::new("InvoiceExpired", &[("partiallyPaid", partially.into())]));
            if partially {
                events.push(Event::new("InvoiceExpiredPaidPartial", &[]));
            }
        }
        match self.status {
            Status::New if enough => {
                self.price_top_up(paid);
                self.status = Status::Processing;
                self.additional = self.paid_over_or_none();
                events.push(Event::new("InvoiceProcessing", &[("overPaid", self.overpaid().into())]));
            }
            Status::Expired if enough && self.additional != AdditionalStatus::PaidLate => {
                self.price_top_up(paid);
                self.additional = AdditionalStatus::PaidLate;
                events.push(Event::new("InvoicePaidAfterExpiration", &[]));
            }
            // A late payment that is gone leaves PaidLate, unless an earlier half is there.
            Status::New | Status::Expired
                if !enough && (self.additional != AdditionalStatus::PaidLate || paid > Decimal::ZERO) =>
            {
                self.additional =
                    if paid > Decimal::ZERO { AdditionalStatus::PaidPartial } else { AdditionalStatus::None };
            }
            Status::Processing if !enough => {
                self.status = Status::New;
                self.additional =
                    if paid > Decimal::ZERO { AdditionalStatus::PaidPartial } else { AdditionalStatus::None };
                // The expiration may have passed meanwhile.
                events.extend(self.evaluate(now));
            }
            Status::Processing => self.additional = self.paid_over_or_none(),
            _ => {}
        }
        if self.status == Status::Processing {
            let confirmed =
                self.payments.iter().filter(|payment| payment.status == PaymentStatus::Settled).map(Payment::net).sum();
            if self.reaches_amount(confirmed) {
                self.status = Status::Settled;
                let over = self.additional == AdditionalStatus::PaidOver;
                events
                    .push(Event::new("InvoiceSettled", &[("manuallyMarked", false.into()), ("overPaid", over.into())]));
            } else if now >= self.monitored {
                // What was paid over stays so.
                self.status = Status::Invalid;
                events.push(Event::new("InvoiceInvalid", &[("manuallyMarked", false.into())]));
            }
        }
        events
    }

    fn paid_over_or_none(&self) -> AdditionalStatus {
        match self.overpaid() {
            true => AdditionalStatus::PaidOver,
            false => AdditionalStatus::None,
        }
    }

    fn price_top_up(&mut self, paid: Decimal) {
        if self.kind == Kind::TopUp && !self.priced {
            self.amount = paid;
            self.priced = true;
        }
    }

    fn payment_event(&self, kind: &str, payment: &Payment) -> Event {
        let late = matches!(self.status, Status::Expired | Status::Invalid);
        let extra = [
            ("afterExpiration", late.into()),
            ("paymentMethodId", payment.method.name().into()),
            // The one event in which the time is right.
            (
                "payment",
                payment.json(if kind == "InvoicePaymentSettled" && !payment.method.instant() { 0 } else { self.zone }),
            ),
        ];
        Event::new(kind, &extra)
    }
}

#[cfg(test)]
#[path = "invoice_tests.rs"]
mod tests;
