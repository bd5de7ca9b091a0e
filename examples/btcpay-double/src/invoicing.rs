//! Making invoices and paying them.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::{
    bolt11::{self, Terms},
    ids,
    invoice::{AdditionalStatus, Checkout, Event, Invoice, Kind, Status},
    jsonb::Jsonb,
    money,
    payment::{Method, MethodId, Paying},
    version::AMOUNTLESS_BOLT11,
    world::{World, no_invoice},
};

/// A creation after every field got its value.
pub struct NewInvoice {
    pub store: String,
    /// `None`: a top-up.
    pub amount: Option<Decimal>,
    pub currency: String,
    pub metadata: Jsonb,
    pub checkout: Checkout,
    pub receipt: Value,
    /// `None`: all that the store has.
    pub methods: Option<Vec<MethodId>>,
    pub lazy: bool,
}

/// How somebody asks to pay: an amount in bitcoin, or a fraction of what is due.
#[derive(Clone, Debug, Default)]
pub struct PayRequest {
    pub method: Option<MethodId>,
    pub amount: Option<Decimal>,
    pub fraction: Option<Decimal>,
    pub rbf: bool,
    pub confirmed: bool,
    /// When the payment says that it was received, UNIX seconds; now by default.
    pub received: Option<i64>,
}

impl World {
    /// Saves an invoice and raises its first events. Errors with what a `generic-error` says.
    pub fn create(&mut self, new: NewInvoice) -> Result<String, String> {
        let amount = money::round_to_currency(new.amount.unwrap_or_default(), &new.currency);
        let created = self.now();
        let id = ids::fresh();
        let mut invoice = Invoice {
            id: id.clone(),
            store: new.store,
            kind: if new.amount.is_some() { Kind::Standard } else { Kind::TopUp },
            amount,
            currency: new.currency,
            created,
            expires: created + new.checkout.expiration_minutes * 60_000,
            monitored: created + (new.checkout.expiration_minutes + new.checkout.monitoring_minutes) * 60_000,
            status: Status::New,
            additional: AdditionalStatus::None,
            archived: false,
            metadata: new.metadata,
            checkout: new.checkout,
            receipt: new.receipt,
            methods: vec![],
            payments: vec![],
            priced: false,
        };
        let free = invoice.kind == Kind::Standard && amount.is_zero();
        if !free {
            let wanted = new.methods.unwrap_or_else(|| self.switches.methods.clone());
            self.equip(&mut invoice, &wanted, new.lazy)?;
        }
        let index = self.invoices.len();
        self.deadlines.extend([(invoice.expires, index), (invoice.monitored, index)]);
        self.index.insert(id.clone(), index);
        let after = invoice.evaluate(created);
        self.invoices.push(invoice);
        self.raise(&id, vec![Event::new("InvoiceCreated", &[])]);
        self.raise(&id, after);
        Ok(id)
    }

    /// Gives the invoice its payment methods; what fails is left out.
    fn equip(&self, invoice: &mut Invoice, wanted: &[MethodId], lazy: bool) -> Result<(), String> {
        let Some(rate) = self.rate(&invoice.currency) else {
            return Err(format!("Error while getting rates: no rate for BTC_{}", invoice.currency));
        };
        for &id in wanted.iter().filter(|id| self.switches.methods.contains(id) && !self.switches.left_out.contains(id))
        {
            if id == MethodId::Lightning && invoice.kind == Kind::TopUp && self.version < AMOUNTLESS_BOLT11 {
                continue;
            }
            let (preimage, payment_hash) = ids::preimage();
            let method = Method { id, activated: !lazy, destination: None, rate, preimage, payment_hash };
            invoice.methods.push(method);
            if !lazy {
                self.point(invoice, id);
            }
        }
        match invoice.methods.is_empty() {
            true => {
                Err("No wallet has been linked to your BTCPay Store, or no payment method is usable for this invoice."
                    .into())
            }
            false => Ok(()),
        }
    }

    /// Gives a method its destination, over what is due now.
    fn point(&self, invoice: &mut Invoice, id: MethodId) {
        let Some(position) = invoice.methods.iter().position(|method| method.id == id) else { return };
        let due = invoice.sums(&invoice.methods[position], Decimal::ZERO).due;
        let destination = match id {
            MethodId::Chain => Some(bolt11::address()),
            MethodId::Lnurl => None,
            MethodId::Lightning => {
                let millisatoshi = (due * Decimal::new(100_000_000_000, 0)).round();
                let order = invoice.order_id().unwrap_or_default();
                let now = self.now();
                Some(self.node.invoice(&Terms {
                    millisatoshi: u64::try_from(millisatoshi).ok().filter(|&amount| amount > 0),
                    payment_hash: invoice.methods[position].payment_hash,
                    description: &format!("Paid to {} (Order ID: {order})", self.store.name),
                    timestamp: now.div_euclid(1000).unsigned_abs(),
                    expiry: (invoice.expires.div_euclid(1000) - now.div_euclid(1000)).max(1).unsigned_abs(),
                }))
            }
        };
        let method = &mut invoice.methods[position];
        method.activated = true;
        method.destination = destination;
    }

    /// Activates a lazy method. A failing or unknown one stays as it is, and nobody is told.
    pub fn activate(&mut self, invoice: &str, id: MethodId) {
        let Some(&index) = self.index.get(invoice) else { return };
        let mut invoice = self.invoices[index].clone();
        if !self.switches.left_out.contains(&id) && invoice.method(id).is_some_and(|method| !method.activated) {
            self.point(&mut invoice, id);
            self.invoices[index] = invoice;
        }
    }

    /// Somebody pays. `Ok(false)`: the money is gone and BTCPay did not see it.
    pub fn pay(&mut self, id: &str, request: &PayRequest) -> Result<bool, String> {
        let now = self.now();
        let (fee, late_seen) = (self.network_fee(), self.switches.late_lightning_seen);
        let invoice = self.invoice(id).ok_or_else(|| no_invoice(id))?;
        let default = if invoice.method(MethodId::Lightning).is_some() { MethodId::Lightning } else { MethodId::Chain };
        let method_id = request.method.unwrap_or(default);
        let method = invoice.method(method_id).ok_or_else(|| format!("invoice {id} has no {}", method_id.name()))?;
        let due = invoice.sums(method, fee).due;
        let value = match (request.amount, request.fraction) {
            (Some(amount), _) => amount,
            (None, fraction) => money::round_up(due * fraction.unwrap_or(Decimal::ONE), method_id.places()),
        };
        if value <= Decimal::ZERO {
            return Err(format!("nothing is due on invoice {id}; give an \"amount\" in bitcoin"));
        }
        let unwatched = now >= invoice.expires && matches!(invoice.status, Status::New | Status::Expired);
        if method_id != MethodId::Chain && (unwatched && !late_seen || now >= invoice.monitored) {
            self.evaluate(id);
            return Ok(false);
        }
        let paying = Paying { method: method_id, value, rbf: request.rbf, fee, received: request.received };
        let invoice = self.invoice_mut(id).ok_or_else(|| no_invoice(id))?;
        let mut events = invoice.pay(&paying, now)?;
        if request.confirmed {
            events.extend(invoice.confirm(None, now));
        }
        self.renew_bolt11(id);
        self.raise(id, events);
        Ok(true)
    }

    /// After a partial payment the old BOLT11 is cancelled for one over the rest.
    fn renew_bolt11(&mut self, id: &str) {
        let Some(&index) = self.index.get(id) else { return };
        let invoice = &self.invoices[index];
        let active = invoice.method(MethodId::Lightning).is_some_and(|method| method.activated);
        if invoice.status == Status::New && invoice.additional == AdditionalStatus::PaidPartial && active {
            let mut invoice = invoice.clone();
            for method in invoice.methods.iter_mut().filter(|method| method.id == MethodId::Lightning) {
                (method.preimage, method.payment_hash) = ids::preimage();
            }
            self.point(&mut invoice, MethodId::Lightning);
            self.invoices[index] = invoice;
        }
    }
}
