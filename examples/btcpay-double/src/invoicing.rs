//! Making invoices and paying them.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::{
    bolt11::{self, Description, Terms},
    creation_log::{CreationLog, Unavailable},
    ids,
    invoice::{AdditionalStatus, Checkout, Event, Invoice, Kind, Status},
    jsonb::Jsonb,
    ledger::NodeInvoice,
    money,
    payment::{Method, MethodId, Paying},
    version::AMOUNTLESS_BOLT11,
    world::{World, no_invoice},
    zone,
};

/// What a payment to a P2WPKH address must have at least, in satoshi.
const DUST: i64 = 294;

/// A creation after every field got its value.
pub struct NewInvoice {
    pub store: String,
    /// `None`: a top-up.
    pub amount: Option<Decimal>,
    /// The amount was a text without digits.
    pub blank_amount: bool,
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
            number: self.invoices.len(),
            bolt11_over: None,
            fee_always: self.store.network_fee_mode == "Always",
            zone: zone::offset(&self.switches.host_zone, created.div_euclid(1000)),
        };
        let free = invoice.kind == Kind::Standard && amount.is_zero();
        if !free {
            let wanted = new.methods.unwrap_or_else(|| self.switches.methods.clone());
            self.equip(&mut invoice, &wanted, new.lazy)?;
        }
        let index = self.invoices.len();
        self.deadlines.extend([(invoice.expires, index), (invoice.monitored, index)]);
        self.index.insert(id.clone(), index);
        self.invoices.push(invoice);
        self.raise(&id, vec![Event::new("InvoiceCreated", &[])]);
        Ok(id)
    }

    /// Gives the invoice its payment methods; what fails is left out.
    fn equip(&mut self, invoice: &mut Invoice, wanted: &[MethodId], lazy: bool) -> Result<(), String> {
        let mut log = CreationLog::begin(self.now());
        let Some(rate) = self.rate(&invoice.currency) else {
            log.no_rate(self, &invoice.currency);
            return Err(log.refusal(self.version));
        };
        log.rate(self, &invoice.currency, rate);
        let wanted = MethodId::ALL.into_iter().filter(|id| wanted.contains(id) && self.switches.methods.contains(id));
        for id in wanted
            .filter(|id| ![&self.switches.left_out, &self.switches.disabled].iter().any(|list| list.contains(id)))
            .collect::<Vec<_>>()
        {
            if id == MethodId::Lightning && invoice.kind == Kind::TopUp && self.version < AMOUNTLESS_BOLT11 {
                continue;
            }
            let (preimage, payment_hash) = ids::preimage();
            let destination = None;
            let Some(rate) = self.rate_of(id, rate) else { continue };
            let method = Method {
                id,
                activated: !lazy,
                destination,
                rate,
                preimage,
                payment_hash,
                label: String::new(),
                asked: None,
            };
            let why = self.unavailable(invoice, &method);
            // A lazy method asks node and explorer only once it is activated.
            let why = why.filter(|why| !lazy || id == MethodId::Lnurl || matches!(why, Unavailable::Criteria(_)));
            if let Some(why) = why {
                log.unavailable(id, &why, lazy);
                continue;
            }
            invoice.methods.push(method);
            if !lazy || id == MethodId::Lnurl {
                self.point(invoice, id);
            }
        }
        match invoice.methods.is_empty() {
            true if self.switches.methods.is_empty() => {
                Err("No wallet has been linked to your BTCPay Store. See the following link for more information on how to connect your store and wallet. (https://docs.btcpayserver.org/WalletSetup/)\n".into())
            }
            true => Err(log.refusal(self.version)),
            false => Ok(()),
        }
    }

    /// Price of one unit of a method's currency, where one bitcoin costs `rate`.
    fn rate_of(&self, id: MethodId, rate: Decimal) -> Option<Decimal> {
        if !id.of_plugin() {
            return Some(rate);
        }
        let per_bitcoin = self.rate(id.currency()).filter(|rate| !rate.is_zero())?;
        Some((rate / per_bitcoin).round_dp(12))
    }

    /// Why a method cannot be had for this invoice.
    fn unavailable(&self, invoice: &Invoice, method: &Method) -> Option<Unavailable> {
        let sums = invoice.sums(method, Decimal::ZERO);
        let priced = invoice.kind == Kind::Standard;
        let bound = |name: &str| {
            let bounds = self.switches.criteria.get(method.id.name())?.get(name);
            money::read(bounds).ok().flatten()
        };
        if priced && bound("below").is_some_and(|below| invoice.amount > below) {
            return Some(Unavailable::Criteria("Invoice amount above accepted value for payment method"));
        }
        if priced && bound("above").is_some_and(|above| invoice.amount < above) {
            return Some(Unavailable::Criteria("Invoice amount below accepted value for payment method"));
        }
        match method.id {
            MethodId::Chain if self.outages.explorer.is_some() => Some(Unavailable::Explorer),
            MethodId::Chain if priced && sums.due < Decimal::new(DUST, 8) => Some(Unavailable::Dust),
            MethodId::Lightning if priced && sums.due >= Decimal::new(21_000_000, 0) => Some(Unavailable::Node),
            MethodId::Lightning if self.lightning_away() => Some(Unavailable::Node),
            _ => None,
        }
    }

    /// Gives a method its destination, over what is due now.
    fn point(&mut self, invoice: &mut Invoice, id: MethodId) {
        let Some(position) = invoice.methods.iter().position(|method| method.id == id) else { return };
        let due = invoice.sums(&invoice.methods[position], Decimal::ZERO).due;
        let destination = match id {
            MethodId::Chain => Some(bolt11::address()),
            MethodId::Lnurl => None,
            MethodId::Monero => Some(ids::monero_address()),
            MethodId::Lightning => {
                let millisatoshi = (due * Decimal::new(100_000_000_000, 0)).round();
                let amount = u64::try_from(millisatoshi).ok().filter(|&amount| amount > 0);
                let description = self.description(invoice);
                invoice.bolt11_over = Some(due);
                Some(self.ask_node(invoice, position, amount, Description::Text(&description)))
            }
        };
        let method = &mut invoice.methods[position];
        method.activated = true;
        method.destination = destination;
    }

    /// What a payer reads.
    pub fn description(&self, invoice: &Invoice) -> String {
        format!("Paid to {} (Order ID: {})", self.store.name, invoice.order_id().unwrap_or_default())
    }

    /// The node makes a BOLT11 for the method at `position`, to live as long as the invoice.
    pub fn ask_node(
        &mut self,
        invoice: &mut Invoice,
        position: usize,
        millisatoshi: Option<u64>,
        description: Description<'_>,
    ) -> String {
        let now = self.now();
        let method = &mut invoice.methods[position];
        let bolt11 = self.node.invoice(&Terms {
            millisatoshi,
            payment_hash: method.payment_hash,
            description,
            timestamp: now.div_euclid(1000).unsigned_abs(),
            expiry: (invoice.expires.div_euclid(1000) - now.div_euclid(1000)).max(1).unsigned_abs(),
        });
        method.label = self.switches.lightning_node.label(&method.payment_hash);
        self.node_invoices.push(NodeInvoice {
            id: method.label.clone(),
            bolt11: bolt11.clone(),
            payment_hash: method.payment_hash,
            preimage: method.preimage,
            millisatoshi,
            expires: invoice.expires,
            paid: None,
            cancelled: false,
            unheard: self.polls(),
            invoice: Some(invoice.id.clone()),
            method: method.id,
        });
        bolt11
    }

    /// Activates a lazy method. A failing or unknown one stays as it is, and nobody is told.
    pub fn activate(&mut self, invoice: &str, id: MethodId) {
        let Some(&index) = self.index.get(invoice) else { return };
        let mut invoice = self.invoices[index].clone();
        let gone = id == MethodId::Lightning && self.lightning_away()
            || id == MethodId::Chain && self.outages.explorer.is_some();
        if !gone && !self.switches.left_out.contains(&id) && invoice.method(id).is_some_and(|method| !method.activated)
        {
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
        }
        .normalize();
        if value <= Decimal::ZERO {
            return Err(format!("nothing is due on invoice {id}; give an \"amount\" in bitcoin"));
        }
        let unwatched = now >= invoice.expires && matches!(invoice.status, Status::New | Status::Expired);
        if method_id.instant() && (unwatched && !late_seen || now >= invoice.monitored) {
            self.evaluate(id);
            return Ok(false);
        }
        let (rbf, received) = (request.rbf, request.received);
        let paying = Paying { method: method_id, value, rbf, fee, received, transaction: None, destination: None };
        if self.outages.btcpay || method_id.instant() && self.lightning_deaf() {
            self.mark_paid(id, method_id);
            self.arrive(id, paying)?;
            return Ok(false);
        }
        self.mark_paid(id, method_id);
        let invoice = self.invoice_mut(id).ok_or_else(|| no_invoice(id))?;
        let mut events = invoice.pay(&paying, now)?;
        if request.confirmed {
            events.extend(invoice.confirm(None, now));
        }
        self.renew_bolt11(id);
        self.raise(id, events);
        Ok(true)
    }

    /// The node knows that the invoice's BOLT11 is paid.
    fn mark_paid(&mut self, id: &str, method: MethodId) {
        let now = self.now();
        let Some(hash) = self.invoice(id).and_then(|invoice| invoice.method(method)).map(|method| method.payment_hash)
        else {
            return;
        };
        for known in self.node_invoices.iter_mut().filter(|known| known.payment_hash == hash && known.paid.is_none()) {
            known.paid = Some((now, known.millisatoshi.unwrap_or_default()));
        }
    }

    /// After a partial payment the old BOLT11 is cancelled for one over the rest.
    pub fn renew_bolt11(&mut self, id: &str) {
        let Some(&index) = self.index.get(id) else { return };
        let invoice = &self.invoices[index];
        let active = invoice.method(MethodId::Lightning).is_some_and(|method| method.activated);
        let now = self.now();
        // One that was decided upon goes ahead, whatever was paid in the meantime.
        let decided = self.renewals.iter().any(|(due, waiting)| waiting == id && *due <= now);
        let half = invoice.status == Status::New && invoice.additional == AdditionalStatus::PaidPartial;
        if active && (half || decided) {
            let mut invoice = invoice.clone();
            let due = invoice.method(MethodId::Lightning).map(|method| invoice.sums(method, Decimal::ZERO).due);
            let old = invoice.method(MethodId::Lightning).map(|method| method.payment_hash).unwrap_or_default();
            if self.lightning_away() || due == invoice.bolt11_over {
                return;
            }
            let wait = self.switches.bolt11_renewal_ms;
            if wait > 0 && !self.renewals.iter().any(|(due, waiting)| waiting == id && *due <= self.now()) {
                self.renewals.retain(|(_, waiting)| waiting != id);
                self.renewals.push((self.now() + wait, id.to_owned()));
                return;
            }
            self.renewals.retain(|(_, waiting)| waiting != id);
            for known in self.node_invoices.iter_mut().filter(|known| known.payment_hash == old) {
                known.cancelled = true;
            }
            for method in invoice.methods.iter_mut().filter(|method| method.id == MethodId::Lightning) {
                (method.preimage, method.payment_hash) = ids::preimage();
            }
            self.point(&mut invoice, MethodId::Lightning);
            self.invoices[index] = invoice;
        }
    }
}
