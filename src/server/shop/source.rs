//! Whom the ledger asks: BTCPay, through a trait so that its tests need no network.

use std::future::Future;
use std::pin::Pin;

use rust_decimal::Decimal;
use thiserror::Error;

use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::invoice::{AdditionalStatus, Invoice as Fetched, InvoiceStatus, InvoiceType, PaymentMethod};
use crate::btcpay::{Client, Error, invoice as wire};
use crate::gate::jws;
use crate::gate::time::UnixTime;
use crate::shop::order::METADATA_KEY;
use crate::shop::settlement::{Additional, Invoice, Payment, PaymentStatus, Status};

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

/// The store that the configuration names, at its BTCPay.
pub struct Store {
    /// The client.
    pub client: Client,
    /// Told of every failure.
    pub on_error: Box<dyn Fn(&'static str, &Error) + Send + Sync>,
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
            let mut invoice = read(fetched).ok_or(LookupError::Unreadable)?;
            if invoice.id != id {
                return Err(LookupError::Unreadable);
            }
            if !invoice.needs_payments() || invoice.payments.is_some() {
                return Ok(Looked { invoice, requests: 1 });
            }
            // Asked after the status: payments only add up, so what made it settled is among them.
            let methods = self.client.payment_methods(id).await.map_err(failed)?;
            invoice.payments = Some(payments(methods));
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
            Ok(Page { covered: page.covered(), invoices: page.invoices.into_iter().filter_map(read).collect() })
        })
    }
}

/// The invoice as the shop judges it. `None` for a status that this version does not know: it is asked for again.
pub fn read(fetched: Fetched) -> Option<Invoice> {
    // What is longer than any order of ours is none, and need not be kept.
    let order = fetched.metadata.text(METADATA_KEY).filter(|text| text.len() <= jws::MAX_LEN).map(str::to_owned);
    Some(Invoice {
        id: fetched.id,
        store: fetched.store_id,
        kind: match fetched.kind {
            InvoiceType::Standard => "Standard".into(),
            InvoiceType::TopUp => "TopUp".into(),
            InvoiceType::Other => "Other".into(),
        },
        status: match fetched.status {
            InvoiceStatus::New => Status::New,
            InvoiceStatus::Processing => Status::Processing,
            InvoiceStatus::Settled => Status::Settled,
            InvoiceStatus::Expired => Status::Expired,
            InvoiceStatus::Invalid => Status::Invalid,
            InvoiceStatus::Other => return None,
        },
        additional: match fetched.additional_status {
            AdditionalStatus::None => Additional::None,
            AdditionalStatus::PaidPartial => Additional::PaidPartial,
            AdditionalStatus::PaidOver => Additional::PaidOver,
            AdditionalStatus::PaidLate => Additional::PaidLate,
            AdditionalStatus::Marked => Additional::Marked,
            AdditionalStatus::Other => Additional::Other,
        },
        amount: fetched.amount,
        currency: fetched.currency,
        created: fetched.created_time,
        order,
        payments: Some(fetched.payment_methods).filter(|methods| !methods.is_empty()).map(payments),
    })
}

fn payments(methods: Vec<PaymentMethod>) -> Vec<Payment> {
    let of_method = |method: PaymentMethod| {
        let (name, rate): (String, Decimal) = (method.payment_method_id, method.rate);
        method.payments.into_iter().map(move |payment| Payment {
            method: name.clone(),
            id: payment.id,
            received: payment.received_date,
            value: payment.value,
            fee: payment.fee,
            rate,
            status: match payment.status {
                wire::PaymentStatus::Processing => PaymentStatus::Processing,
                wire::PaymentStatus::Settled => PaymentStatus::Settled,
                wire::PaymentStatus::Invalid | wire::PaymentStatus::Other => PaymentStatus::Invalid,
            },
        })
    };
    methods.into_iter().flat_map(of_method).collect()
}
