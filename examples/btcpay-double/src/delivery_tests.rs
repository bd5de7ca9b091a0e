//! Webhooks as a receiver sees them: order, blocking, retries, restarts.

use std::{collections::VecDeque, sync::Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    invoicing::PayRequest,
    json::{Document, Json},
    request,
    settings::Switches,
    version::Version,
    webhook::{AuthorizedEvents, Webhook, signature},
    webhook_api::redeliver,
    world::World,
};

const SECRET: &str = "at least 32 random characters, yes";
const PATIENCE: Duration = Duration::from_secs(20);

/// A shop's end: answers with what it was told, 204 once that is used up, and keeps what came.
struct Receiver {
    answers: Mutex<VecDeque<u16>>,
    got: Mutex<Vec<(Value, Vec<u8>)>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Arc<Self>, String) {
        let receiver =
            Arc::new(Receiver { answers: Mutex::new(answers.iter().copied().collect()), got: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let shared = Arc::clone(&receiver);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request: Request<Incoming>| {
                    let shared = Arc::clone(&shared);
                    async move { shared.take(request).await }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (receiver, url)
    }

    async fn take(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes().to_vec();
        let header = |name: &str| parts.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("btcpay-sig"), signature(SECRET, &bytes));
        assert_eq!(header("content-length"), bytes.len().to_string());
        assert!(header("user-agent").starts_with("BTCPayServer/2."));
        self.got.lock().unwrap().push((serde_json::from_slice(&bytes).unwrap(), bytes));
        let mut answer = Response::default();
        *answer.status_mut() =
            hyper::StatusCode::from_u16(self.answers.lock().unwrap().pop_front().unwrap_or(204)).unwrap();
        Ok(answer)
    }

    /// Each delivery as `Type` or `Type*` for a redelivery.
    fn names(&self) -> Vec<String> {
        let star = |body: &Value| if body["isRedelivery"] == true { "*" } else { "" };
        self.got
            .lock()
            .unwrap()
            .iter()
            .map(|(body, _)| format!("{}{}", body["type"].as_str().unwrap().replace("Invoice", ""), star(body)))
            .collect()
    }
}

fn app(version: Version, time_scale: f64) -> Arc<App> {
    App::new(World::new(version, time_scale, "store"), String::new(), false)
}

fn hook(app: &Arc<App>, url: &str, automatic_redelivery: bool) -> String {
    let id = ids::fresh();
    let (url, secret, events) = (url.to_owned(), SECRET.to_owned(), AuthorizedEvents::default());
    app.add_webhook(Webhook { id: id.clone(), url, secret, enabled: true, automatic_redelivery, events });
    id
}

fn create(app: &App) -> String {
    let request = json!({"amount": "0.0001", "currency": "BTC", "metadata": {"orderId": "ord-42"}});
    app.with(|world| {
        let document = Document { value: Json::from(&request), ends: std::collections::HashMap::new() };
        let new = request::creation(&document, &world.store, "store", &Switches::default()).unwrap();
        world.create(new).unwrap()
    })
}

fn pay(app: &App, id: &str) {
    let request = PayRequest::default();
    app.with(|world| world.pay(id, &request)).unwrap();
}

async fn idle(app: &App) {
    app.wait(PATIENCE, |world| (world.pending == 0).then_some(())).await.expect("deliveries come to an end");
}

#[tokio::test]
async fn a_sale_is_delivered_in_order() {
    let (receiver, url) = Receiver::start(&[]).await;
    let app = app(Version(2, 4, 1), 1.0);
    hook(&app, &url, true);
    let id = create(&app);
    pay(&app, &id);
    idle(&app).await;
    assert_eq!(receiver.names(), ["Created", "PaymentSettled", "ReceivedPayment", "Processing", "Settled"]);
    assert!(
        receiver
            .got
            .lock()
            .unwrap()
            .iter()
            .all(|(body, _)| body["invoiceId"] == id && body["metadata"]["orderId"] == "ord-42")
    );
}

#[tokio::test]
async fn a_failing_delivery_holds_up_those_behind_it() {
    let (receiver, url) = Receiver::start(&[500, 503, 429]).await;
    let app = app(Version(2, 4, 1), 0.0001);
    hook(&app, &url, true);
    let id = create(&app);
    pay(&app, &id);
    idle(&app).await;
    assert_eq!(
        receiver.names(),
        ["Created", "Created*", "Created*", "Created*", "PaymentSettled", "ReceivedPayment", "Processing", "Settled"]
    );
    let got = receiver.got.lock().unwrap();
    let delivery = |at: usize| got[at].0["deliveryId"].as_str().unwrap().to_owned();
    assert!(delivery(1) != delivery(0) && delivery(2) != delivery(1));
    for at in 1..4 {
        assert_eq!(got[at].0["originalDeliveryId"], delivery(0));
        assert_eq!(got[at].0["timestamp"], got[0].0["timestamp"]);
    }
}

#[tokio::test]
async fn given_up_after_nine_attempts() {
    let (receiver, url) = Receiver::start(&[500; 9]).await;
    let app = app(Version(2, 4, 1), 0.0);
    hook(&app, &url, true);
    create(&app);
    idle(&app).await;
    assert_eq!(receiver.names().len(), 9);
    assert!(app.with(|world| world.attempts.iter().all(|attempt| matches!(attempt.outcome, Outcome::Answered(500)))));
}

#[tokio::test]
async fn a_4xx_loses_the_event_since_2_3_4() {
    for (version, attempts) in [(Version(2, 4, 1), 1), (Version(2, 3, 3), 2)] {
        let (receiver, url) = Receiver::start(&[404]).await;
        let app = app(version, 0.0);
        hook(&app, &url, true);
        create(&app);
        idle(&app).await;
        assert_eq!(receiver.names().len(), attempts, "{version}");
    }
}

#[tokio::test]
async fn no_retries_without_automatic_redelivery() {
    let (receiver, url) = Receiver::start(&[500]).await;
    let app = app(Version(2, 4, 1), 0.0);
    hook(&app, &url, false);
    create(&app);
    idle(&app).await;
    assert_eq!(receiver.names(), ["Created"]);
}

#[tokio::test]
async fn a_restart_forgets_what_was_not_delivered() {
    let (receiver, url) = Receiver::start(&[500]).await;
    let app = app(Version(2, 4, 1), 1.0);
    hook(&app, &url, true);
    let id = create(&app);
    pay(&app, &id);
    app.wait(PATIENCE, |world| (world.attempts.len() == 1).then_some(())).await.unwrap();
    app.restart();
    idle(&app).await;
    create(&app);
    idle(&app).await;
    assert_eq!(receiver.names(), ["Created", "Created"]);
}

#[tokio::test]
async fn a_webhook_deleted_meanwhile_is_skipped_silently() {
    let (receiver, url) = Receiver::start(&[500]).await;
    let app = app(Version(2, 4, 1), 0.01);
    let webhook = hook(&app, &url, true);
    create(&app);
    app.wait(PATIENCE, |world| (world.attempts.len() == 1).then_some(())).await.unwrap();
    app.with(|world| world.remove_webhook(&webhook));
    idle(&app).await;
    assert_eq!(receiver.names(), ["Created"]);
}

#[tokio::test]
async fn retries_use_the_current_secret_and_address() {
    let (broken, old) = Receiver::start(&[500]).await;
    let (receiver, new) = Receiver::start(&[]).await;
    let app = app(Version(2, 4, 1), 0.01);
    let webhook = hook(&app, &old, true);
    create(&app);
    app.wait(PATIENCE, |world| (world.attempts.len() == 1).then_some(())).await.unwrap();
    app.with(|world| world.webhook_mut(&webhook).unwrap().url = new);
    idle(&app).await;
    assert_eq!((broken.names(), receiver.names()), (vec!["Created".to_owned()], vec!["Created*".to_owned()]));
}

#[tokio::test]
async fn a_manual_redelivery_has_other_bytes() {
    let (receiver, url) = Receiver::start(&[]).await;
    let app = app(Version(2, 4, 1), 1.0);
    hook(&app, &url, true);
    let id = create(&app);
    pay(&app, &id);
    idle(&app).await;
    let attempt = app.with(|world| world.attempts.last().unwrap().clone());
    let new = app.with(|world| redeliver(world, &attempt)).unwrap();
    idle(&app).await;
    let got = receiver.got.lock().unwrap();
    let [.., (first, first_bytes), (second, second_bytes)] = &got[..] else { panic!("two deliveries expected") };
    assert_eq!(
        (second["deliveryId"].as_str(), second["originalDeliveryId"].as_str()),
        (Some(new.as_str()), first["deliveryId"].as_str())
    );
    assert_ne!(first_bytes, second_bytes);
}

#[tokio::test]
async fn lost_held_and_copied() {
    let (receiver, url) = Receiver::start(&[]).await;
    let app = app(Version(2, 4, 1), 1.0);
    hook(&app, &url, true);
    app.with(|world| world.switches.webhooks_lost = true);
    create(&app);
    app.with(|world| (world.switches.webhooks_lost, world.switches.webhooks_held) = (false, true));
    create(&app);
    idle(&app).await;
    assert!(receiver.names().is_empty());
    app.with(|world| {
        (world.switches.webhooks_held, world.switches.webhook_copies) = (false, 2);
        std::mem::take(&mut world.held).into_iter().for_each(|job| world.enqueue(job));
    });
    idle(&app).await;
    assert_eq!(receiver.names(), ["Created", "Created", "Created"]);
    let got = receiver.got.lock().unwrap();
    assert!(got.iter().all(|(_, bytes)| *bytes == got[0].1));
}

#[tokio::test]
async fn time_passes_when_the_clock_moves() {
    let app = app(Version(2, 4, 1), 1.0);
    create(&app);
    app.with(|world| {
        world.ahead += 15 * 60_000 + 1_000;
        world.tick();
    });
    let names = app.with(|world| world.events.iter().map(|raised| raised.event.kind.clone()).collect::<Vec<_>>());
    assert_eq!(names, ["InvoiceCreated", "InvoiceExpired"]);
}
