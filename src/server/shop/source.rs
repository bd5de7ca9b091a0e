//! Whom the ledger asks: BTCPay, through a trait so that its tests need no network.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::node::{Node, Word};
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::facts::payments;
use crate::btcpay::pages::Pages;
use crate::btcpay::{Client, Error, invoice as wire};
use crate::gate::time::UnixTime;
use crate::shop::invoice::{Invoice, Status};
use crate::shop::settlement::Terms;

/// Invoices in one page of a listing.
pub(crate) const PAGE: usize = 200;

/// Something that knows invoices.
pub(crate) trait Source: Send + Sync + 'static {
    /// One invoice as it stands, with its payments once it counts as paid.
    fn invoice<'a>(&'a self, id: &'a str) -> Lookup<'a, Looked>;
    /// The store's invoices of this part, newest first.
    fn walk(&self, part: &Part) -> Box<dyn Walk>;
    /// Whether a look-up asks the Lightning node as well, where BTCPay's word is not enough.
    fn asks_node(&self) -> bool;
}

/// A part of the store's list of invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Made at this second or later.
    pub(crate) since: UnixTime,
    /// Made at this second or earlier.
    pub(crate) until: Option<UnixTime>,
    /// In one of these; whatever their status if it is empty.
    pub(crate) statuses: Vec<Status>,
}

impl Part {
    /// Whether an invoice of this time and status is in it.
    pub(crate) fn holds(&self, created: UnixTime, status: Status) -> bool {
        created >= self.since
            && self.until.is_none_or(|until| created <= until)
            && (self.statuses.is_empty() || self.statuses.contains(&status))
    }
}

/// A list on its way: none of it comes twice.
pub(crate) trait Walk: Send {
    /// The next page, without those that cannot be read.
    fn next(&mut self) -> Lookup<'_, Vec<Invoice>>;
    /// Whether that was the last one.
    fn is_done(&self) -> bool;
}

/// What a [`Source`] promises.
pub(crate) type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<T, LookupError>> + Send + 'a>>;

/// An invoice that was looked up.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    /// The invoice; with `paid_at_node` where the node was asked and has its price.
    pub(crate) invoice: Invoice,
    /// What the Lightning node said, where it was asked.
    pub(crate) node: Option<Word>,
    /// How many requests it took.
    pub(crate) requests: u32,
}

/// Why a look-up told nothing, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// BTCPay as a whole cannot be asked now.
    #[error("BTCPay cannot be asked now")]
    Outage,
    /// The same, and BTCPay, or the proxy before it, says when to come again.
    #[error("BTCPay asks to come again in {} s", .0.as_secs())]
    ComeAgain(Duration),
    /// There is no such invoice.
    #[error("BTCPay has no such invoice")]
    Unknown,
    /// There is no such invoice, or the API key may not see it: BTCPay does not say which.
    #[error("BTCPay has no such invoice, or does not let us see it")]
    Hidden,
    /// This one invoice cannot be read.
    #[error("BTCPay's answer about this invoice cannot be read")]
    Unreadable,
}

impl LookupError {
    /// What an error of the client means for later look-ups.
    pub(crate) fn of(err: &Error) -> LookupError {
        match err {
            Error::NotFound { .. } | Error::BadId { .. } => LookupError::Unknown,
            Error::MissingPermission { .. } => LookupError::Hidden,
            Error::TooLarge { .. } | Error::Unreadable { .. } | Error::Invalid { .. } | Error::Refused { .. } => {
                LookupError::Unreadable
            }
            _ => err.retry_after().map_or(LookupError::Outage, LookupError::ComeAgain),
        }
    }

    /// Whether BTCPay as a whole cannot be asked now.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, LookupError::Outage | LookupError::ComeAgain(_))
    }

    /// When BTCPay asked to be asked again.
    pub(crate) fn come_again(self) -> Option<Duration> {
        if let LookupError::ComeAgain(after) = self { Some(after) } else { None }
    }
}

/// Told what was being done, and what went wrong.
pub(crate) type OnError = Arc<dyn Fn(&'static str, &Error) + Send + Sync>;

/// The store that the configuration names, at its BTCPay.
pub(crate) struct Store {
    /// The client.
    pub(crate) client: Client,
    /// Told of every failure.
    pub(crate) on_error: OnError,
    /// What counts as settled without the node's word.
    pub(crate) terms: Terms,
    /// The Lightning node, if it may be asked.
    pub(crate) node: Option<Node>,
}

impl Store {
    fn failed(&self, what: &'static str, err: &Error) -> LookupError {
        (self.on_error)(what, err);
        LookupError::of(err)
    }
}

impl Source for Store {
    fn invoice<'a>(&'a self, id: &'a str) -> Lookup<'a, Looked> {
        Box::pin(async move {
            let failed = |err: Error| self.failed("look up an invoice", &err);
            let fetched = self.client.invoice(id).await.map_err(failed)?;
            let mut invoice = fetched.facts();
            if invoice.id != id {
                return Err(LookupError::Unreadable);
            }
            let mut requests = 1;
            let node = self.node.as_ref().filter(|node| node.may_be_asked());
            let lacks_witness = |invoice: &Invoice| node.filter(|_| invoice.lacks_witness(&self.terms));
            // Where nothing was paid in time, there is nothing more to ask but the node; what is open has to be payable again.
            let is_over = invoice.status == Status::Expired && !invoice.needs_payments();
            if invoice.payments.is_none() && is_over && lacks_witness(&invoice).is_none() {
                invoice.payments = Some(Vec::new());
            }
            if invoice.payments.is_none() {
                // Asked after the status: payments only add up, so what made it settled is among them.
                let methods = self.client.payment_methods(id).await.map_err(failed)?;
                invoice.payments = Some(payments(&methods));
                invoice.methods = methods.iter().filter_map(wire::PaymentMethod::facts).collect();
                requests += 1;
            }
            let word = match lacks_witness(&invoice) {
                Some(node) => Some(node.ask(&self.client, &invoice, &mut requests).await),
                None => None,
            };
            invoice.paid_at_node = word == Some(Word::Paid);
            Ok(Looked { invoice, node: word, requests })
        })
    }

    fn asks_node(&self) -> bool {
        self.node.as_ref().is_some_and(Node::may_be_asked)
    }

    fn walk(&self, part: &Part) -> Box<dyn Walk> {
        let query = InvoiceQuery {
            start_date: Some(part.since),
            end_date: part.until,
            statuses: part.statuses.clone(),
            include_payment_methods: true,
            include_archived: true,
            take: PAGE,
            ..InvoiceQuery::default()
        };
        Box::new(Listing { pages: self.client.pages(query), on_error: self.on_error.clone() })
    }
}

struct Listing {
    pages: Pages,
    on_error: OnError,
}

impl Walk for Listing {
    fn next(&mut self) -> Lookup<'_, Vec<Invoice>> {
        Box::pin(async move {
            let page = self.pages.next().await.map_err(|err| {
                (self.on_error)("list invoices", &err);
                LookupError::of(&err)
            })?;
            Ok(page.unwrap_or_default().invoices.iter().map(wire::Invoice::facts).collect())
        })
    }

    fn is_done(&self) -> bool {
        self.pages.is_done()
    }
}
