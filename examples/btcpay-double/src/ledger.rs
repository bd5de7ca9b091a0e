//! The Lightning node, the chain, and what BTCPay learns of them, and when: also while it, the node's RPC or the explorer is away.

use rust_decimal::Decimal;

use crate::{
    ids,
    payment::{MethodId, Paying},
    refunds,
    world::{World, no_invoice},
};

/// A BOLT11 that the node made.
#[derive(Clone, Debug)]
pub struct NodeInvoice {
    /// What BTCPay calls it: a label with Core Lightning, the payment hash with LND.
    pub id: String,
    pub bolt11: String,
    pub payment_hash: [u8; 32],
    pub preimage: [u8; 32],
    /// `None`: the payer chooses.
    pub millisatoshi: Option<u64>,
    /// UNIX milliseconds.
    pub expires: i64,
    /// When it was paid, UNIX milliseconds, and how much came, in millisatoshi.
    pub paid: Option<(i64, u64)>,
    /// Deleted: BTCPay replaced it by one over the rest.
    pub cancelled: bool,
    /// BTCPay does not listen to it before it polls again.
    pub unheard: bool,
    /// The invoice of BTCPay that it pays, and by which method.
    pub invoice: Option<String>,
    pub method: MethodId,
}

impl NodeInvoice {
    pub fn status(&self, now: i64) -> &'static str {
        match self.paid {
            Some(_) => "Paid",
            None if now >= self.expires => "Expired",
            None => "Unpaid",
        }
    }
}

/// A payment of which BTCPay does not know yet.
#[derive(Clone, Debug)]
pub struct Unnoticed {
    pub invoice: String,
    pub paying: Paying,
    /// Blocks on top of it.
    pub blocks: u32,
}

/// What is away at present. Times in UNIX milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Outages {
    /// BTCPay itself.
    pub btcpay: bool,
    /// The node's RPC is back then.
    pub lightning_until: Option<i64>,
    /// BTCPay polls the open invoices then.
    pub lightning_polled: Option<i64>,
    /// It is through with that then.
    pub lightning_heard: Option<i64>,
    /// NBXplorer is away since then.
    pub explorer: Option<i64>,
    /// NBXplorer was away: what it missed comes with the next block.
    pub explorer_missed: bool,
}

/// BTCPay looks at the connection to the node so often, and at its explorer.
const LOOK: i64 = 60_000;
/// An open invoice is looked at so long after a start, if nothing happens before.
const LOOK_AFTER_START: i64 = 120_000;

impl World {
    pub fn lightning_away(&self) -> bool {
        self.outages.lightning_until.is_some_and(|until| self.now() < until)
    }

    /// BTCPay does not know what the node gets: the node is away, or BTCPay has not seen yet that it is back.
    pub fn lightning_deaf(&self) -> bool {
        self.lightning_away() || self.outages.lightning_polled.is_some()
    }

    /// BTCPay polls the open Lightning invoices, and will not listen to one that is made meanwhile.
    pub fn polls(&self) -> bool {
        self.outages.lightning_heard.is_some_and(|until| self.now() < until)
    }

    /// `/health`: NBXplorer's absence shows after most of a minute.
    pub fn synchronized(&self) -> bool {
        let gone = self.outages.explorer.is_some_and(|since| self.now() - since > LOOK - 5_000);
        self.switches.synchronized && !gone
    }

    /// Somebody pays a BOLT11 or an address. The outcome is `complete`, or `failed` and why.
    ///
    /// `received`: when the node got it, UNIX seconds, where that is not now.
    pub fn pay_to(
        &mut self,
        destination: &str,
        amount: Option<Decimal>,
        rbf: bool,
        transaction: Option<&str>,
        received: Option<i64>,
    ) -> Result<String, String> {
        if destination.starts_with("ln") {
            return self.pay_bolt11(destination, amount, received);
        }
        let has = |address: &Option<String>| address.as_deref() == Some(destination);
        let to = self.invoices.iter().find(|invoice| {
            invoice.methods.iter().any(|method| method.id == MethodId::Chain && has(&method.destination))
        });
        let Some(invoice) = to.map(|invoice| invoice.id.clone()) else {
            return Err(format!("{destination} belongs to no invoice"));
        };
        let value = amount.ok_or("\"amount\": expected bitcoin as a string, for an address does not say how much")?;
        let transaction = transaction.map_or_else(|| ids::hex(&ids::random::<32>()), str::to_owned);
        let paying = self.paying(MethodId::Chain, value.normalize(), rbf, Some(transaction));
        self.arrive(&invoice, paying)?;
        Ok("complete".into())
    }

    fn pay_bolt11(&mut self, bolt11: &str, amount: Option<Decimal>, received: Option<i64>) -> Result<String, String> {
        let now = self.now();
        let late = self.switches.late_lightning_seen;
        let Some(position) = self.node_invoices.iter().position(|known| known.bolt11 == bolt11) else {
            return Err(format!("the node made no {bolt11}"));
        };
        let known = &mut self.node_invoices[position];
        match known.status(now) {
            "Paid" => return Ok("failed (DuplicatePayment)".into()),
            "Expired" if !late => return Ok("failed (the invoice has expired)".into()),
            _ if known.cancelled => return Ok("failed (RecipientRejected)".into()),
            _ => {}
        }
        let given = amount.map(|amount| (amount * Decimal::new(100_000_000_000, 0)).trunc());
        let given = given.and_then(|amount| u64::try_from(amount).ok());
        let Some(millisatoshi) = known.millisatoshi.or(given).or(self.switches.wallet_pays_msat) else {
            return Err("this BOLT11 has no amount; give one".into());
        };
        known.paid = Some((received.map_or(now, |received| received * 1000), millisatoshi));
        let value = Decimal::new(i64::try_from(millisatoshi).unwrap_or(i64::MAX), 11).normalize();
        let (hash, invoice, method) = (ids::hex(&known.payment_hash), known.invoice.clone(), known.method);
        if let Some(invoice) = invoice {
            let mut paying = self.paying(method, value, false, Some(hash));
            paying.destination = Some(bolt11.to_owned());
            paying.received = received;
            self.arrive(&invoice, paying)?;
        }
        Ok("complete".into())
    }

    fn paying(&self, method: MethodId, value: Decimal, rbf: bool, id: Option<String>) -> Paying {
        Paying { method, value, rbf, fee: self.network_fee(), received: None, transaction: id, destination: None }
    }

    /// Money arrives; BTCPay notices it now, or later.
    pub fn arrive(&mut self, invoice: &str, paying: Paying) -> Result<(), String> {
        let chain = !paying.method.instant();
        let hash = paying.transaction.as_ref();
        let unheard = |known: &NodeInvoice| known.unheard && hash == Some(&ids::hex(&known.payment_hash));
        let deaf = || self.lightning_deaf() || self.node_invoices.iter().any(unheard);
        let blind = self.outages.btcpay || if chain { self.outages.explorer.is_some() } else { deaf() };
        if blind {
            let mut paying = paying;
            // The node knows when it was paid; of a transaction BTCPay knows only when it saw it.
            if !chain {
                paying.received = paying.received.or(Some(self.now().div_euclid(1000)));
            }
            self.unnoticed.push(Unnoticed { invoice: invoice.to_owned(), paying, blocks: 0 });
            return Ok(());
        }
        self.record(invoice, &paying, false)
    }

    /// BTCPay records a payment. `found`: it was not there when the payment came, and has not looked at the invoice since.
    fn record(&mut self, id: &str, paying: &Paying, found: bool) -> Result<(), String> {
        let now = self.now();
        let invoice = self.invoice_mut(id).ok_or_else(|| no_invoice(id))?;
        let events = if found { invoice.find(paying, now)? } else { invoice.pay(paying, now)? };
        self.renew_bolt11(id);
        self.raise(id, events);
        Ok(())
    }

    /// Blocks for everything that waits for one.
    pub fn mine(&mut self, blocks: u32) {
        if self.outages.btcpay || self.outages.explorer.is_some() {
            self.unnoticed.iter_mut().for_each(|payment| payment.blocks += blocks);
            return;
        }
        if std::mem::take(&mut self.outages.explorer_missed) {
            self.notice(|payment| payment.paying.method == MethodId::Chain);
        }
        for position in 0..self.invoices.len() {
            let now = self.now();
            let events = self.invoices[position].mine(blocks, now);
            let id = self.invoices[position].id.clone();
            self.raise(&id, events);
            self.renew_bolt11(&id);
        }
        if blocks > 0 {
            refunds::confirm(self);
        }
    }

    /// A transaction is replaced by one that pays elsewhere, or, `pays`, the same to the invoice.
    pub fn replace(&mut self, transaction: &str, by: &str, pays: bool) -> Result<(), String> {
        let holds = |id: &str| id.starts_with(transaction);
        let now = self.now();
        let fee = self.network_fee();
        let found = self.invoices.iter_mut().find(|invoice| invoice.payments.iter().any(|payment| holds(&payment.id)));
        let invoice = found.ok_or_else(|| format!("no payment has the transaction {transaction}"))?;
        let id = invoice.id.clone();
        let events = invoice.double_spend(holds, pays.then_some((by, fee)), now)?;
        self.raise(&id, events);
        Ok(())
    }

    /// Records what waited for BTCPay's notice and is `wanted`, in the order in which it came.
    fn notice(&mut self, wanted: impl Fn(&Unnoticed) -> bool) {
        let (found, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unnoticed).into_iter().partition(wanted);
        self.unnoticed = left;
        for payment in found {
            // An invoice that is gone takes nothing.
            let _ = self.record(&payment.invoice, &payment.paying, true);
            if payment.blocks > 0 {
                let now = self.now();
                if let Some(invoice) = self.invoice_mut(&payment.invoice) {
                    let events = invoice.mine(payment.blocks, now);
                    self.raise(&payment.invoice, events);
                }
            }
        }
    }

    /// The node's RPC goes away for `seconds`. BTCPay sees that it is back when it looks, once a minute, for the first time after
    /// `looks` seconds.
    pub fn lightning_goes_away(&mut self, seconds: f64, looks: Option<f64>) {
        let (now, until) = (self.now(), self.now() + (seconds * 1000.0) as i64);
        let mut polled = now + looks.map_or(LOOK - 2_000, |looks| (looks * 1000.0) as i64);
        while polled < until {
            polled += LOOK;
        }
        self.outages.lightning_until = Some(until);
        self.outages.lightning_polled = Some(polled);
    }

    /// What falls due in outages: the poll of the open Lightning invoices.
    pub fn tick_outages(&mut self) {
        let now = self.now();
        let due: Vec<String> =
            self.renewals.iter().filter(|(due, _)| *due <= now).map(|(_, invoice)| invoice.clone()).collect();
        for invoice in due {
            self.renew_bolt11(&invoice);
            self.renewals.retain(|(_, waiting)| *waiting != invoice);
        }
        if self.outages.lightning_polled.is_some_and(|due| due <= now) && !self.outages.btcpay {
            self.outages.lightning_polled = None;
            self.outages.lightning_heard = Some(now + self.switches.lightning_poll_ms);
            self.node_invoices.iter_mut().for_each(|known| known.unheard = false);
            let open: Vec<String> = self
                .invoices
                .iter()
                .filter(|invoice| now < invoice.expires)
                .map(|invoice| invoice.id.clone())
                .collect();
            // Those of expired invoices are forgotten for good.
            self.unnoticed.retain(|payment| !payment.paying.method.instant() || open.contains(&payment.invoice));
            self.notice(|payment| payment.paying.method.instant());
        }
    }

    pub fn explorer(&mut self, up: bool) {
        let now = self.now();
        match (up, self.outages.explorer) {
            (false, None) => self.outages.explorer = Some(now),
            (true, Some(_)) => {
                self.outages.explorer = None;
                self.outages.explorer_missed = true;
            }
            _ => {}
        }
    }

    /// BTCPay is back: it finds what was paid meanwhile, and looks at the other open invoices in two minutes.
    ///
    /// `took`: how long the start took, in seconds; those two minutes began with it.
    pub fn btcpay_starts(&mut self, took: f64) {
        if !std::mem::take(&mut self.outages.btcpay) {
            return;
        }
        let later = self.now() - (took * 1000.0) as i64 + LOOK_AFTER_START;
        for (position, invoice) in self.invoices.iter().enumerate() {
            for due in [invoice.expires, invoice.monitored] {
                if self.deadlines.remove(&(due, position)) {
                    self.deadlines.insert((due.max(later), position));
                }
            }
        }
        self.notice(|payment| payment.paying.method != MethodId::Chain);
        self.notice(|_| true);
    }
}
