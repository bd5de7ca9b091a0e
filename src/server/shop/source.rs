//! Whom the ledger asks: BTCPay, through a trait so that its tests need no network.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::facts::payments;
use crate::btcpay::{Client, Error, invoice as wire};
use crate::gate::time::UnixTime;
use crate::shop::settlement::Invoice;

/// Invoices in one page of a listing.
pub const PAGE: usize = 200;

/// Something that knows invoices.
pub trait Source: Send + Sync + 'static {
    /// One invoice as it stands, with its payments once it counts as paid.
    fn invoice<'a>(&'a self, id: &'a str) -> Answer<'a, Looked>;
    /// A page of the store's invoices made at `since` or later, newest first.
    fn page(&self, since: UnixTime, skip: usize) -> Answer<'_, Page>;
}

/// What a [`Source`] promises.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LookupError>> + Send + 'a>>;

/// An invoice that was looked up.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The invoice.
    pub invoice: Invoice,
    /// How many requests it took.
    pub requests: u32,
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Those that can be read.
    pub invoices: Vec<Invoice>,
    /// How many of the list it covers; less than [`PAGE`] at its end.
    pub covered: usize,
}

/// Why a look-up told nothing, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LookupError {
    /// BTCPay as a whole cannot be asked now.
    #[error("BTCPay cannot be asked now")]
    Outage,
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
    pub fn of(err: &Error) -> LookupError {
        match err {
            Error::NotFound { .. } | Error::BadId { .. } => LookupError::Unknown,
            Error::MissingPermission { .. } => LookupError::Hidden,
            Error::TooLarge { .. } | Error::Unreadable { .. } | Error::Invalid { .. } | Error::Refused { .. } => {
                LookupError::Unreadable
            }
            _ => LookupError::Outage,
        }
    }
}

/// Told what was being done, and what went wrong.
pub type OnError = Box<dyn Fn(&'static str, &Error) + Send + Sync>;

/// The store that the configuration names, at its BTCPay.
pub struct Store {
    /// The client.
    pub client: Client,
    /// Told of every failure.
    pub on_error: OnError,
}

impl Store {
    fn failed(&self, what: &'static str, err: &Error) -> LookupError {
        (self.on_error)(what, err);
        LookupError::of(err)
    }
}

impl Source for Store {
    fn invoice<'a>(&'a self, id: &'a str) -> Answer<'a, Looked> {
        Box::pin(async move {
            let failed = |err: Error| self.failed("look up an invoice", &err);
            let fetched = self.client.invoice(id).await.map_err(failed)?;
            let mut invoice = fetched.facts();
            if invoice.id != id {
                return Err(LookupError::Unreadable);
            }
            if !invoice.needs_payments() || invoice.payments.is_some() {
                return Ok(Looked { invoice, requests: 1 });
            }
            // Asked after the status: payments only add up, so what made it settled is among them.
            let methods = self.client.payment_methods(id).await.map_err(failed)?;
            invoice.payments = Some(payments(&methods));
            Ok(Looked { invoice, requests: 2 })
        })
    }

    fn page(&self, since: UnixTime, skip: usize) -> Answer<'_, Page> {
        Box::pin(async move {
            let query = InvoiceQuery {
                start_date: Some(since),
                include_payment_methods: true,
                include_archived: true,
                skip,
                take: PAGE,
                ..InvoiceQuery::default()
            };
            let page = self.client.invoices(&query).await.map_err(|err| self.failed("list invoices", &err))?;
            Ok(Page { covered: page.covered(), invoices: page.invoices.iter().map(wire::Invoice::facts).collect() })
        })
    }
}
