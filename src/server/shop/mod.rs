//! `/hlsgate/…`: the shop, as nginx proxies it (design, section 5). One file an endpoint.
//!
//! [`offers`] shows, [`create`] has an invoice made ([`make`]) once the [`queue`] lets it, [`wait`] hands out its token, [`session`] turns tokens into cookies,
//! [`webhook`] takes BTCPay's hints. All ask the [`ledger`] what is known of an invoice. Without `[btcpay]` only the access
//! of [`offers`] and the [`session`] are left.

mod bill;
mod body;
mod create;
pub(crate) mod ledger;
pub(crate) mod limits;
mod machine;
mod make;
pub(crate) mod metrics;
mod node;
mod offers;
mod pending;
pub(crate) mod problem;
mod queue;
mod session;
pub(crate) mod source;
mod status;
mod title;
mod token_cookies;
mod wait;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tracing::{error, warn};

use crate::btcpay::Error;
use crate::btcpay::permissions::{CREATE_INVOICE, Permissions, VIEW_INVOICES};
use crate::gate::scope::VideoId;
use crate::live::clock::now;
use crate::live::{InForce, Live};
use ledger::{Backend, Ledger, Tempo};
use limits::Limits;
use metrics::ShopMetrics;
use node::Node;
use problem::Problem;
use queue::Queue;
use source::Store;
use webhook::Complaints;

/// What every path of the shop starts with.
pub(crate) const PREFIX: &str = "/hlsgate/";
/// How often the key's rights are asked for, and how soon again while BTCPay is away.
const RIGHTS_AGAIN: Duration = Duration::from_secs(60 * 60);
const RIGHTS_RETRY: Duration = Duration::from_secs(10);
/// Longest wait of a sale for BTCPay's word on what the key may.
const RIGHTS_PATIENCE: Duration = Duration::from_secs(2);
/// How much longer than an invoice can be paid listings watch it.
const WINDOW_AFTER: Duration = Duration::from_secs(60 * 60);

/// What all requests to the shop share.
pub(crate) struct Shop {
    /// What is known of invoices.
    pub(crate) ledger: Arc<Ledger>,
    limits: Limits,
    /// Machines' own share, so that they keep no person from buying.
    machine_limits: Limits,
    open_invoices: machine::OpenInvoices,
    queue: Arc<Queue>,
    metrics: Arc<ShopMetrics>,
    complaints: Complaints,
    clock_complaints: Complaints,
    draining: watch::Sender<bool>,
    /// Whether the key sees what it makes, once that is known: else nobody would ever get what they paid for.
    seeing: watch::Sender<Option<bool>>,
    /// Another key may be in force.
    changed: Notify,
}

impl Shop {
    /// A shop that knows of no invoice yet.
    pub(crate) fn new(live: &Live, registry: &Registry) -> Shop {
        let metrics = Arc::new(ShopMetrics::new(registry));
        let counting = metrics.clone();
        let ledger = Ledger::new(Tempo::default(), Box::new(move |invoice| counting.settled(invoice.lane)));
        let shop = Shop {
            ledger,
            limits: Limits::new(&live.config.shop),
            machine_limits: Limits::new(&live.config.machines),
            open_invoices: machine::OpenInvoices::default(),
            queue: Queue::new(),
            metrics,
            complaints: Complaints::default(),
            clock_complaints: Complaints::default(),
            draining: watch::Sender::new(false),
            seeing: watch::Sender::new(None),
            changed: Notify::new(),
        };
        shop.sell_by(live);
        shop
    }

    /// From now on BTCPay is asked as `live` says.
    pub(crate) fn sell_by(&self, live: &Live) {
        self.seeing.send_replace(None);
        self.changed.notify_one();
        self.ledger.ask(live.selling.as_ref().map(|selling| {
            let metrics = self.metrics.clone();
            let on_error = move |what: &'static str, err: &Error| {
                metrics.failed(err);
                complain(what, err);
            };
            let store = Store {
                client: selling.client.clone(),
                on_error: Arc::new(on_error),
                terms: selling.config.terms.clone(),
                node: selling.config.lightning_witness.then(Node::default),
            };
            let window = selling.config.invoice_expiration + WINDOW_AFTER;
            Backend { source: Arc::new(store), terms: selling.config.terms.clone(), window }
        }));
    }

    /// A machine showed that it has paid this invoice.
    pub(crate) fn paid_by_machine(&self, invoice: &str) {
        self.open_invoices.paid(invoice);
    }

    /// Sees to it that nothing is sold by a key that cannot see what it made. Runs for as long as the daemon.
    pub(crate) async fn watch_rights(&self, in_force: &InForce) {
        loop {
            let live = in_force.live();
            let mut wait = RIGHTS_AGAIN;
            if let Some(selling) = &live.selling {
                match selling.client.api_key().await {
                    Ok(info) => self.judge_rights(&info.permissions, &selling.config.terms.store),
                    // Whatever is wrong with the key, each sale says so.
                    Err(err) => {
                        self.seeing.send_if_modified(|seeing| seeing.replace(seeing.unwrap_or(true)).is_none());
                        if err.is_passing() {
                            wait = RIGHTS_RETRY;
                        }
                    }
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn judge_rights(&self, permissions: &Permissions, store: &str) {
        let blind = permissions.allow(CREATE_INVOICE, store) && !permissions.allow(VIEW_INVOICES, store);
        if blind && *self.seeing.borrow() != Some(false) {
            error!(
                "the API key may make invoices and not see them (it lacks {VIEW_INVOICES} in store {store}): nothing is sold, \
                 for nobody would get what they paid for; `hlsgate btcpay connect --new-key` leads to another key"
            );
        }
        self.seeing.send_replace(Some(!blind));
    }

    /// Whether what is sold could be handed out. Right after the start, or a reload, that is asked about just now.
    async fn sees_invoices(&self) -> bool {
        let mut seeing = self.seeing.subscribe();
        let known = tokio::time::timeout(RIGHTS_PATIENCE, seeing.wait_for(Option::is_some)).await;
        // Where BTCPay does not answer this, it makes no invoice either.
        known.ok().and_then(Result::ok).is_none_or(|seeing| *seeing != Some(false))
    }

    /// A drain has begun: held requests are answered.
    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// A request to BTCPay failed: it is counted and logged, and the viewer is told as little as helps him.
    fn failed(&self, what: &str, err: &Error) -> Problem {
        self.metrics.failed(err);
        complain(what, err);
        Problem::btcpay_unavailable()
    }

    fn count_held(&self) -> CountHeld<'_> {
        self.metrics.held(1);
        CountHeld(&self.metrics)
    }
}

struct CountHeld<'a>(&'a ShopMetrics);

impl Drop for CountHeld<'_> {
    fn drop(&mut self) {
        self.0.held(-1);
    }
}

/// What passes by itself is a warning; what a person has to mend is an error.
fn complain(what: &str, err: &Error) {
    let causes: String = std::iter::successors(std::error::Error::source(err), |err| err.source())
        .map(|cause| format!(": {cause}"))
        .collect();
    match err.is_passing() || err.may_be_unknown_id() {
        true => warn!("cannot {what}: {err}{causes}"),
        false => error!("cannot {what}: {err}{causes}"),
    }
}

/// Answers a request whose path starts with [`PREFIX`].
pub(crate) async fn handle(shop: &Arc<Shop>, in_force: &InForce, request: Request<Incoming>) -> Response<Full<Bytes>> {
    answer(shop, in_force, request).await.unwrap_or_else(Problem::response)
}

async fn answer(
    shop: &Arc<Shop>,
    in_force: &InForce,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let (parts, body) = request.into_parts();
    let (headers, query) = (&parts.headers, parts.uri.query().unwrap_or_default());
    let live = in_force.live();
    let selling = || live.selling.as_deref().ok_or_else(|| Problem::not_found("nothing is sold here"));
    let rest = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let path: Vec<&str> = rest.split('/').collect();
    match path[..] {
        ["videos", id] => {
            only(&parts.method, &[Method::GET, Method::HEAD], "GET")?;
            Ok(offers::answer(shop, &live, video(id)?, headers, query, now()).await)
        }
        ["videos", id, "invoices"] => {
            selling()?;
            only(&parts.method, &[Method::POST], "POST")?;
            create::answer(shop, live.clone(), video(id)?, headers, body).await
        }
        ["order"] => {
            selling()?;
            only(&parts.method, &[Method::GET], "GET")?;
            create::order(shop, headers, query).await
        }
        ["machines", name] => {
            only(&parts.method, &[Method::GET, Method::HEAD], "GET")?;
            machine::discovery::answer(&live, name, headers)
        }
        ["videos", id, "access"] => {
            let selling = selling()?;
            // Not even HEAD: nobody makes an invoice who does not see it.
            only(&parts.method, &[Method::GET], "GET")?;
            machine::answer(shop, &live, selling, video(id)?, headers, query, now()).await
        }
        ["invoices", id] => {
            selling()?;
            only(&parts.method, &[Method::GET, Method::HEAD], "GET")?;
            wait::answer(shop, in_force, id, headers, query).await
        }
        ["session"] => {
            only(&parts.method, &[Method::POST], "POST")?;
            session::answer(headers, body, &live, now()).await
        }
        ["webhooks", "btcpay"] => {
            let selling = selling()?;
            only(&parts.method, &[Method::POST], "POST")?;
            webhook::answer(shop, &live, selling, headers, body).await
        }
        _ => Err(Problem::not_found("there is nothing here")),
    }
}

fn video(id: &str) -> Result<VideoId, Problem> {
    VideoId::from_bytes(id.as_bytes()).ok_or_else(|| Problem::not_found("no video has such an id"))
}

fn only(method: &Method, allowed: &[Method], names: &'static str) -> Result<(), Problem> {
    if allowed.contains(method) { Ok(()) } else { Err(Problem::wrong_method(names)) }
}
