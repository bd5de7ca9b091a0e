//! The Greenfield API's client: one method a question, each one request unless it says otherwise.
//!
//! Errors of all of them: [`Error`]. Nothing is asked twice: what a failure means, the caller knows.
//! Source: BTCPay Server 2.4.1, `Controllers/GreenField`.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::error::{Error, MAX_ID_LEN, printable};
use super::invoice::{Invoice, LightningInvoice, NewInvoice, PaymentMethod};
use super::lenient::List;
use super::permissions;
use super::secret::ApiKey;
use super::setup::{ApiKeyInfo, DeliveryRecord, Health, HealthReport, NewWebhook, ServerInfo, Store, Webhook};
use super::transport::{ApiResponse, Request, Transport};
use crate::address::Address;
use crate::gate::time::UnixTime;
use crate::shop::invoice::Status;

/// One thing, with whatever metadata strangers may have put in.
const MAX_BODY: usize = 4 << 20;
/// A page of invoices.
const MAX_LIST_BODY: usize = 16 << 20;

/// Asks one store of one BTCPay Server. Cheap to clone: clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    public: Address,
    store: Box<str>,
    timeouts: Timeouts,
}

/// What a [`Client`] has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API is called: `https://btcpay.example`, with the root path if BTCPay has one.
    pub url: Address,
    /// Where viewers reach BTCPay; `None` means at `url`.
    pub public_url: Option<Address>,
    /// The store's id.
    pub store: String,
    /// A key with [`permissions::TO_SELL`] for that store.
    pub api_key: ApiKey,
    /// PEM certificates, of which BTCPay has to show one or one signed by one; `None` trusts the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long a [`Client`] waits for a whole answer.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// When it reads: a BTCPay that is slow for everybody still answers, and who has paid waits for it.
    pub read: Duration,
    /// When it makes or changes something: BTCPay waits up to 5 s for a Lightning node before it answers, and for rates.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { read: Duration::from_secs(30), write: Duration::from_secs(60) }
    }
}

/// Which invoices [`Client::pages`] lists, newest first.
#[derive(Clone, Debug, Default)]
pub struct InvoiceQuery {
    /// Created at this second or later.
    pub start_date: Option<UnixTime>,
    /// Created at this second or earlier.
    pub end_date: Option<UnixTime>,
    /// With one of these; all when empty.
    pub statuses: Vec<Status>,
    /// With one of these as `metadata.orderId`; all when empty.
    pub order_ids: Vec<String>,
    /// With payment methods and payments (since BTCPay 2.3.6; before, they come empty).
    pub include_payment_methods: bool,
    /// With those that a person archived.
    pub include_archived: bool,
    /// How many to list in one answer.
    pub take: usize,
}

impl Client {
    /// Makes a client; nothing is asked yet.
    pub fn new(settings: &Settings) -> Result<Client, Error> {
        let (base, public) = (settings.url.clone(), settings.public_url.as_ref().unwrap_or(&settings.url).clone());
        let elsewhere = Some(&public).filter(|public| public.as_str() != base.as_str());
        let transport = Transport::new(base, elsewhere, &settings.api_key, settings.ca_file.as_deref())?;
        let store = id(&settings.store)?.into();
        Ok(Client { transport, public, store, timeouts: settings.timeouts })
    }

    /// BTCPay's address, for messages.
    pub(crate) fn at(&self) -> &str {
        self.transport.at()
    }

    /// The store's id.
    pub(crate) fn store_id(&self) -> &str {
        &self.store
    }

    /// Where a viewer pays the invoice. BTCPay's own `checkoutLink` names the host that the API was called by.
    pub(crate) fn checkout_url(&self, invoice: &str) -> String {
        self.public.below(["i", invoice]).into()
    }

    /// Makes an invoice. It may take 10 s. Not idempotent: after an error there may be one.
    pub async fn create_invoice(&self, invoice: &NewInvoice) -> Result<Invoice, Error> {
        if !invoice.amount.is_sign_positive() || invoice.amount.is_zero() {
            return Err(Error::NotPositive { amount: invoice.amount });
        }
        let answer = self.write(Method::POST, &["stores", &self.store, "invoices"], invoice).await?;
        answer.json("an invoice")
    }

    /// The invoice as it stands; `payment_methods` is filled by BTCPay 2.4.1 and newer only.
    pub async fn invoice(&self, invoice: &str) -> Result<Invoice, Error> {
        let query = [("includePaymentMethods", "true".to_owned())];
        self.read(&["stores", &self.store, "invoices", id(invoice)?], &query, "an invoice").await
    }

    /// The invoice with its payments on every version: a second request where the first does not bring them.
    pub async fn invoice_with_payments(&self, invoice: &str) -> Result<Invoice, Error> {
        let mut found = self.invoice(invoice).await?;
        self.fill_payments(&mut found).await?;
        Ok(found)
    }

    /// Asks for the payments of an invoice that came without them.
    pub(crate) async fn fill_payments(&self, invoice: &mut Invoice) -> Result<(), Error> {
        if invoice.payment_methods.is_empty() {
            // Asked after the invoice: payments only add up, so an invoice seen as settled has its payments here.
            invoice.payment_methods = self.payment_methods(&invoice.id).await?;
        }
        Ok(())
    }

    /// How the invoice can be and was paid.
    pub async fn payment_methods(&self, invoice: &str) -> Result<Vec<PaymentMethod>, Error> {
        let path = ["stores", &self.store, "invoices", id(invoice)?, "payment-methods"];
        self.list(&path, &[], "a list of payment methods").await
    }

    /// A Lightning invoice of the store's bitcoin node, whoever made it; needs [`permissions::VIEW_LIGHTNING`].
    ///
    /// - `at_node`: the node's own id of it, or its payment hash. What the node deleted (cancelled, tidied up) is
    ///   [`Error::NotFound`], which does not say that it was not paid; while the node is away it is [`Error::Unavailable`].
    pub(crate) async fn lightning_invoice(&self, at_node: &str) -> Result<LightningInvoice, Error> {
        let path = ["stores", &self.store, "lightning", "BTC", "invoices", id(at_node)?];
        self.read(&path, &[], "a Lightning invoice").await
    }

    /// A part of the list; which one comes first in a second can differ from one question to the next.
    pub(super) async fn invoices_part(
        &self,
        query: &InvoiceQuery,
        skip: usize,
        take: usize,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let mut pairs = vec![("take", take.to_string())];
        pairs.extend((skip > 0).then(|| ("skip", skip.to_string())));
        pairs.extend(query.start_date.map(|date| ("startDate", date.to_string())));
        pairs.extend(query.end_date.map(|date| ("endDate", date.to_string())));
        pairs.extend(query.statuses.iter().map(|status| ("status", status.to_string())));
        pairs.extend(query.order_ids.iter().map(|order| ("orderId", order.clone())));
        for (name, wanted) in
            [("includePaymentMethods", query.include_payment_methods), ("includeArchived", query.include_archived)]
        {
            if wanted {
                pairs.push((name, "true".to_owned()));
            }
        }
        let path = ["stores", &self.store, "invoices"];
        let request = Request { limit: MAX_LIST_BODY, ..self.get(&path, &pairs) };
        self.transport.send(request).await?.json("a list of invoices")
    }

    /// Whether BTCPay is up; needs no right.
    pub async fn health(&self) -> Result<Health, Error> {
        let answer = self.transport.send(self.get(&["health"], &[])).await?;
        let report: HealthReport = answer.json("a health report")?;
        Ok(Health { synchronized: report.synchronized, date: answer.date() })
    }

    /// BTCPay's version and what it supports; any key may ask.
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        self.read(&["server", "info"], &[], "the server's description").await
    }

    /// What our own key may; any key may ask.
    pub async fn api_key(&self) -> Result<ApiKeyInfo, Error> {
        self.read(&["api-keys", "current"], &[], "the API key's description").await
    }

    /// The store; needs [`permissions::VIEW_STORE`].
    pub async fn store(&self) -> Result<Store, Error> {
        self.read(&["stores", &self.store], &[], "a store").await
    }

    /// The store's webhooks; this and all below need [`permissions::MODIFY_WEBHOOKS`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        self.list(&["stores", &self.store, "webhooks"], &[], "a list of webhooks").await
    }

    /// Makes a webhook. BTCPay does not mind a second one with the same address: list them first.
    pub async fn create_webhook(&self, webhook: &NewWebhook<'_>) -> Result<Webhook, Error> {
        self.write(Method::POST, &["stores", &self.store, "webhooks"], webhook).await?.json("a webhook")
    }

    /// Replaces everything about a webhook but, where there is none given, its secret.
    pub async fn update_webhook(&self, id_of: &str, webhook: &NewWebhook<'_>) -> Result<Webhook, Error> {
        self.write(Method::PUT, &["stores", &self.store, "webhooks", id(id_of)?], webhook).await?.json("a webhook")
    }

    /// The latest attempts to deliver, newest first.
    pub async fn deliveries(&self, webhook: &str, count: usize) -> Result<Vec<DeliveryRecord>, Error> {
        let path = ["stores", &self.store, "webhooks", id(webhook)?, "deliveries"];
        self.list(&path, &[("count", count.to_string())], "a list of deliveries").await
    }

    /// The elements that can be read: what another client or a plugin put in beside ours spoils nothing.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        expected: &'static str,
    ) -> Result<Vec<T>, Error> {
        self.read(path, query, expected).await.map(|List(list)| list)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        expected: &'static str,
    ) -> Result<T, Error> {
        self.transport.send(self.get(path, query)).await?.json(expected)
    }

    async fn write(&self, method: Method, path: &[&str], body: &impl serde::Serialize) -> Result<ApiResponse, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|source| Error::Unreadable { expected: "representable as JSON", source })?;
        let request = Request { method, body: Some(body), timeout: self.timeouts.write, ..self.get(path, &[]) };
        self.transport.send(request).await
    }

    fn get<'a>(&self, path: &'a [&'a str], query: &'a [(&'a str, String)]) -> Request<'a> {
        Request { method: Method::GET, path, query, body: None, timeout: self.timeouts.read, limit: MAX_BODY }
    }
}

/// Where a person makes an API key, labelled and with just the rights that hlsgate uses in this store: one page, nothing to
/// choose. The last right is optional: without [`optional_part`] the link does not ask for it.
///
/// - `url`: where the person's browser reaches BTCPay.
pub(crate) fn authorize_link(url: &Address, store: &str) -> Url {
    let mut link = url.below(["api-keys", "authorize"]);
    let wanted = permissions::TO_SELL.into_iter().chain(permissions::TO_SET_UP).chain([permissions::VIEW_LIGHTNING]);
    link.query_pairs_mut()
        .extend_pairs(wanted.map(|permission| ("permissions", format!("{permission}:{store}"))))
        .append_pair("applicationName", "hlsgate")
        .append_pair("strict", "true");
    link
}

/// The part of [`authorize_link`] that asks for the optional right.
pub(crate) fn optional_part(store: &str) -> String {
    let pair = [("permissions", format!("{}:{store}", permissions::VIEW_LIGHTNING))];
    format!("&{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pair).finish())
}

/// Ids come from strangers too, and go into a path.
fn id(text: &str) -> Result<&str, Error> {
    let fits = (1..=MAX_ID_LEN).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits { Ok(text) } else { Err(Error::BadId { id: printable(text) }) }
}

#[cfg(test)]
mod tests;
