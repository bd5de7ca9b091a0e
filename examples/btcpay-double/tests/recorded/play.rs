//! Plays one case.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    case::{Case, From, Sent, Step, number},
    compare::Names,
    hands::{self, Paid, object, text},
    json::Json,
    left_out::LeftOut,
    order::{self, Event},
    shop,
    stage::{self, Double, Received, Verdict},
};

/// All keys of the recordings are shown as this one.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
/// A server that is busy notices a payment after so many seconds at most; what takes longer is a rule.
const NOTICED_WITHIN: f64 = 15.0;
const SECRET: &str = "recorded-webhook-secret-for-tests-0001";
/// Keys whose permissions a recording does not say: its case, the step from which on, the permissions.
const UNSAID: [(&str, usize, &[&str]); 15] = [
    ("refunds/refund-permissions", 0, &["unrestricted"]),
    ("refunds/refund-permissions", 9, &["btcpay.store.cancreatenonapprovedpullpayments"]),
    ("refunds/refund-permissions", 17, &["btcpay.store.cancreatepullpayments"]),
    ("refunds/refund-permissions", 25, &["btcpay.store.canmanagepullpayments"]),
    ("refunds/refund-permissions", 33, &["btcpay.store.canmodifyinvoices"]),
    ("refunds/refund-permissions", 39, &["btcpay.store.canviewpullpayments"]),
    ("refunds/refund-permissions", 45, &["btcpay.store.canmanagepayouts"]),
    ("refunds/refund-permissions", 51, &["btcpay.store.canviewpayouts"]),
    ("refunds/refund-permissions", 57, &["btcpay.store.canviewinvoices"]),
    ("refunds/refund-permissions", 63, &["btcpay.store.cancreateinvoice"]),
    ("refunds/refund-permissions", 69, &["btcpay.store.webhooks.canmodifywebhooks"]),
    ("refunds/refund-permissions", 75, &["btcpay.store.canmodifystoresettings"]),
    ("refunds/refund-permissions", 83, &[]),
    ("refunds/refund-permissions", 90, &["btcpay.store.cancreatenonapprovedpullpayments"]),
    (
        "refunds/refund-limited-key",
        0,
        &[
            "btcpay.store.cancreateinvoice",
            "btcpay.store.canviewinvoices",
            "btcpay.store.webhooks.canmodifywebhooks",
            "btcpay.store.cancreatenonapprovedpullpayments",
        ],
    ),
];
const HLSGATE_EVENTS: [&str; 5] =
    ["InvoiceProcessing", "InvoiceSettled", "InvoicePaymentSettled", "InvoicePaidAfterExpiration", "InvoiceInvalid"];

/// What the receiver knows: recorded deliveries that have not come yet, and those that came.
#[derive(Default)]
struct Mail {
    expected: Vec<Expected>,
    /// The position of the recorded step, where there is one, and what came.
    came: Vec<(Option<usize>, Received, i64)>,
    invoices: BTreeMap<String, String>,
    left_out: LeftOut,
}

struct Expected {
    step: usize,
    method: String,
    path: String,
    kind: String,
    invoice: String,
    again: bool,
    verdict: Option<(u16, Vec<(String, String)>)>,
    /// The receiver's answer came so much later, in milliseconds.
    took: i64,
}

/// Every difference, with the step's number.
pub async fn play(case: Case) -> Vec<String> {
    let mut game = Game::begin(case).await;
    for position in 0..game.case.steps.len() {
        game.step(position).await;
    }
    game.end().await
}

struct Game {
    case: Case,
    double: Double,
    names: Names,
    mail: Arc<Mutex<Mail>>,
    clock: Arc<Mutex<i64>>,
    recorded_names: Vec<String>,
    only: Vec<String>,
    host: String,
    secrets: Vec<String>,
    seen: usize,
    /// Hands whose work BTCPay notices with a later delivery: that delivery's position, and theirs.
    put_off: Vec<(usize, usize)>,
    /// Our id of an invoice of whose creation the recording shows none.
    made: Option<String>,
    /// BTCPay was stopped, and has not shown itself since.
    down: bool,
    events: BTreeMap<String, Vec<Event>>,
    found: Vec<String>,
    /// The subscriber of whom a hand spoke last.
    who: String,
}

impl Game {
    async fn begin(case: Case) -> Game {
        let clock = Arc::new(Mutex::new(millis(case.started)));
        let left_out = LeftOut::read(case.left_out.as_ref());
        let mail = Arc::new(Mutex::new(Mail { expected: expected(&case), left_out, ..Mail::default() }));
        let (box_, time) = (Arc::clone(&mail), Arc::clone(&clock));
        let judge = move |received: Received| {
            judge(&mut box_.lock().expect("the mail"), received, *time.lock().expect("the clock"))
        };
        let address = stage::receive(judge, Arc::clone(&clock)).await;
        let version = if case.version.is_empty() { "2.4.1" } else { &case.version };
        let double = Double::start(&["--version", version, "--store", &case.store]);
        let mut names = Names::new(case.started);
        for host in hosts(&case.text) {
            names.learn(&format!("http://{host}/case/"), &format!("http://{address}/case/"));
            names.learn(&format!("http://{host}/hlsgate/"), &format!("http://{address}/hlsgate/"));
        }
        // The receiver's name in what the shop sends.
        names.learn("https://video.example/hook", &format!("http://{address}/hook"));
        let mut game = Game {
            who: String::new(),
            host: server(&case.text),
            recorded_names: destinations(&case.text),
            only: strings(case.settings.get("only")),
            secrets: secrets(&case.text),
            double,
            names,
            mail,
            clock,
            seen: 0,
            put_off: vec![],
            made: None,
            down: false,
            events: BTreeMap::new(),
            found: vec![],
            case,
        };
        game.furnish(&address).await;
        if game.in_a_folder() {
            shop::furnish(&game.double, &mut game.names, &game.case).await;
        }
        game
    }

    /// Recordings of subscriptions and refunds: of a store for which the rest is the same, and with every header that was sent.
    fn in_a_folder(&self) -> bool {
        self.case.name.starts_with("subscriptions/") || self.case.name.starts_with("refunds/")
    }

    /// The store as the recording's settings have it.
    async fn furnish(&self, address: &str) {
        let settings = &self.case.settings;
        let started = Json::Number(format!("{}", self.case.started));
        self.double.control("clock", &object(&[("set", started), ("stopped", Json::Bool(true))])).await;
        let mut store =
            vec![("name", text(&format!("Store of {}", self.case.name.rsplit('/').next().unwrap_or_default())))];
        for name in [
            "defaultCurrency",
            "speedPolicy",
            "invoiceExpiration",
            "monitoringExpiration",
            "paymentTolerance",
            "lazyPaymentMethods",
            "redirectAutomatically",
            "networkFeeMode",
            "anyoneCanCreateInvoice",
        ] {
            if let Some(value) = settings.get(name) {
                store.push((name, value.clone()));
            }
        }
        if self.case.name == "defaults" {
            store.push(("defaultPaymentMethod", text("BTC-LN")));
        }
        self.double.control("store", &object(&store)).await;
        let spread = number(settings.get("spread")).unwrap_or_default() / 100.0;
        let mut switches = vec![
            ("late_lightning_seen", Json::Bool(false)),
            ("spread", text(&spread.to_string())),
            ("rates", rates(self.case.name.as_str(), settings.get("rates"))),
            ("network_fee", text("0.0000045")),
            ("bolt11_renewal_ms", Json::Number("80".into())),
        ];
        if self.case.name == "lightning-offline" {
            switches.push(("poll_overlooks_newest", Json::Bool(true)));
        }
        if self.case.name == "criteria" {
            let bound = |name: &str, amount: &str| object(&[(name, text(amount))]);
            switches
                .push(("criteria", object(&[("BTC-LN", bound("below", "10")), ("BTC-CHAIN", bound("above", "5"))])));
        }
        let others = self.other_stores().iter().map(|store| text(store)).collect();
        switches.push(("other_stores", Json::List(others)));
        if let Some(methods) = settings.get("methods") {
            switches.push(("methods", methods.clone()));
        } else if self.in_a_folder() {
            let chain = settings.get("chain").map(|_| text("BTC-CHAIN"));
            let methods = chain.into_iter().chain([text("BTC-LN"), text("BTC-LNURL")]).collect();
            switches.push(("methods", Json::List(methods)));
        }
        if !self.case.zone.is_empty() {
            switches.push(("host_zone", text(&self.case.zone)));
        }
        self.double.control("switches", &object(&switches)).await;
        hands::permit(&self.double, Json::List(vec![text("unrestricted")]), "admin").await;
        let delivered = self.case.steps.iter().find(|step| step.from == From::Btcpay).map(|step| step.path.clone());
        let path = delivered
            .unwrap_or_else(|| format!("/case/{}/hook", self.case.name.rsplit('/').next().unwrap_or_default()));
        let hook = format!("http://{address}{path}");
        let members = [("url", text(&hook)), ("secret", text(SECRET))];
        let listed = self.case.steps.iter().find(|step| step.method == "GET" && step.path.ends_with("/webhooks"));
        let none = listed.and_then(|step| step.answer.as_ref()?.body.clone()) == Some(Json::List(vec![]));
        let usual = self.in_a_folder().then(|| if self.created_is_delivered() { "everything" } else { "hlsgate" });
        match settings.get("webhook").and_then(Json::text).or(usual).filter(|_| !none) {
            Some("everything") => drop(self.double.control("webhooks", &object(&members)).await),
            Some(_) => {
                let events = Json::List(HLSGATE_EVENTS.iter().map(|event| text(event)).collect());
                let members = [("url", text(&hook)), ("secret", text(SECRET)), ("events", events)];
                self.double.control("webhooks", &object(&members)).await;
            }
            None => {}
        }
    }

    /// The shop is told of new invoices, or would be if there were any.
    fn created_is_delivered(&self) -> bool {
        let steps = &self.case.steps;
        let told =
            |step: &Step| matches!(&step.sent, Sent::Json(json) if json.get("type") == Some(&text("InvoiceCreated")));
        let makes = steps.iter().any(|step| step.method == "POST" && step.path.ends_with("/invoices"));
        !makes || steps.iter().any(told)
    }

    /// A recording shows no key: from `GET /api-keys/current` on it is one of the permissions which that answer has.
    fn permissions(&self, position: usize) -> Option<(Json, String)> {
        let step = &self.case.steps[position];
        let asks = step.path == "/api/v1/api-keys/current" && step.method == "GET";
        let made = self.case.steps[..position].iter().any(|step| step.path == "/api/v1/api-keys");
        let answer = step.answer.as_ref().filter(|answer| asks && !made && answer.status == 200)?;
        let body = answer.body.as_ref()?;
        let label = body.get("label").and_then(Json::text).unwrap_or_default().to_owned();
        Some((body.get("permissions")?.clone(), label))
    }

    /// Where the recording shows of a creation no id, the next path has it.
    fn name_what_was_made(&mut self, position: usize) {
        let path = self.case.steps[position].path.clone();
        let kinds = ["/invoices/", "/plan-checkout/", "/subscriber-portal/"];
        let rest = kinds.iter().find_map(|kind| path.split_once(kind)).map(|(_, rest)| rest);
        let Some(id) = rest.and_then(|rest| rest.split(['/', '?']).next()) else {
            return;
        };
        if self.names.known(id).is_none()
            && id.len() >= 18
            && let Some(made) = self.made.take()
        {
            self.names.learn(id, &made);
        }
    }

    /// Stores that the case names beside its own, and that exist.
    fn other_stores(&self) -> Vec<String> {
        let store = |step: &Step| Some(step.path.split_once("/stores/")?.1.split(['/', '?']).next()?.to_owned());
        let mut stores: Vec<String> = self
            .case
            .steps
            .iter()
            .filter_map(store)
            .filter(|store| store.len() > 30 && *store != self.case.store)
            .collect();
        stores.dedup();
        stores
    }

    async fn step(&mut self, position: usize) {
        let (at, took, from) = {
            let step = &self.case.steps[position];
            (step.at, step.took, step.from)
        };
        if from == From::Btcpay {
            self.do_what_was_put_off(position).await;
            if self.down {
                // It is up when its deliveries come again.
                self.down = false;
                self.go_to(self.case.started + at - 0.2).await;
                let took = Json::Number(if self.case.name.contains("after-expiry") { "39" } else { "0" }.into());
                self.double.control("btcpay", &object(&[("up", Json::Bool(true)), ("took", took)])).await;
                self.double.quiet().await;
                self.read_mail(10.0);
            }
            if self.is_noticed_by_itself(position) {
                let moment = Json::Number(format!("{:.3}", self.case.started + at - 0.1));
                self.double.control("look", &object(&[("at", moment)])).await;
                self.go_to(self.case.started + at).await;
            }
            if let Some(invoice) = self.confirmed_by_others(position) {
                self.go_to(self.case.started + at - 0.2).await;
                self.double.control("confirm", &object(&[("invoice", text(&invoice))])).await;
                self.double.quiet().await;
                self.read_mail(took);
            }
            return;
        }
        if from == From::Hand
            && let Some(notice) = self.noticed_at(position)
        {
            self.put_off.push((notice, position));
            return;
        }
        let made = self.case.steps[position]
            .answer
            .as_ref()
            .and_then(|answer| number(answer.body.as_ref()?.get("createdTime")));
        let made = made.filter(|_| {
            self.case.steps[position].path.ends_with("/invoices") && self.case.steps[position].method == "POST"
        });
        self.go_to(made.unwrap_or(0.0).max(self.case.started + at)).await;
        if from == From::Hand {
            let did = self.case.steps[position].did.clone();
            self.down = did == "BTCPay was stopped" || self.down && did != "BTCPay was started again and is up";
            let paid = Paid { value: self.freely_paid(position), at: None, everything: self.case.version == "2.4.1" };
            let done = shop::act(&self.double, &self.names, &self.case, &did, &mut self.who).await;
            let done = match done {
                Some(done) => done,
                None => hands::act(&self.double, &mut self.names, &self.recorded_names, &did, &paid).await,
            };
            if let Err(difference) = done {
                self.note(position, &difference);
            }
        } else {
            self.ask(position).await;
        }
        self.double.quiet().await;
        self.read_mail(took);
    }

    /// A subscriber's event so long after anything was done that BTCPay has noticed by itself that a period is over.
    fn is_noticed_by_itself(&self, position: usize) -> bool {
        let steps = &self.case.steps;
        let kind = match &steps[position].sent {
            Sent::Json(json) => json.get("type").and_then(Json::text).unwrap_or_default(),
            _ => "",
        };
        let before = position.checked_sub(1).map(|before| &steps[before]);
        kind.starts_with("Subscriber")
            && before.is_some_and(|before| steps[position].at - before.at - before.took > NOTICED_WITHIN)
    }

    /// The delivery by which BTCPay shows that it has noticed what a hand did, where that took it a while: until then it answers as
    /// if nothing had happened.
    fn noticed_at(&self, position: usize) -> Option<usize> {
        let steps = &self.case.steps;
        let did = &steps[position].did;
        let soon = |step: &&Step| step.at - steps[position].at < NOTICED_WITHIN;
        let later = || (position + 1..steps.len()).take_while(|&later| soon(&&steps[later]));
        let raw = |step: &Step| match &step.sent {
            Sent::Text(raw) if step.from == From::Btcpay => raw.clone(),
            _ => String::new(),
        };
        let kind = |later: usize, kind: &str| raw(&steps[later]).contains(&format!("\"type\": \"{kind}\""));
        let delivery = if let Some(destination) =
            did.split_once("paid the BOLT11 ").and_then(|(_, rest)| rest.split('…').next())
        {
            later().find(|&later| raw(&steps[later]).contains(&format!("\"destination\": \"{destination}")))
        } else if did.starts_with("the customer sent ") {
            // Where the shop is told of no payment, by what comes of it.
            let transaction = did.rsplit(' ').next().unwrap_or_default();
            let received = |&later: &usize| {
                raw(&steps[later]).contains(&format!("\"id\": \"{transaction}"))
                    && kind(later, "InvoiceReceivedPayment")
            };
            later().find(received).or_else(|| later().find(|&later| kind(later, "InvoiceProcessing")))
        } else if did.contains(" mined ") {
            later()
                .take_while(|&later| steps[later].from != From::Hand)
                .find(|&later| kind(later, "InvoicePaymentSettled"))
        } else {
            None
        }?;
        // One that waited behind others says when its event was raised.
        let raised =
            Json::parse_within(&raw(&steps[delivery]), 100).ok().and_then(|event| number(event.get("timestamp")));
        if raised.is_some_and(|raised| raised + 2.0 < self.case.started + steps[delivery].at) {
            return None;
        }
        // A delivery may come later than an answer that shows the payment.
        let shows = |&between: &usize| {
            let answer = steps[between].answer.as_ref().and_then(|answer| answer.body.as_ref());
            let paid = |text: String| text.contains("\"payments\":[{") && !did.contains(" mined ");
            steps[between].from == From::Shop && answer.is_some_and(|body| paid(body.compact()))
        };
        Some((position + 1..delivery).find(shows).unwrap_or(delivery))
    }

    async fn do_what_was_put_off(&mut self, position: usize) {
        let (due, left): (Vec<_>, Vec<_>) = self.put_off.iter().copied().partition(|(notice, _)| *notice <= position);
        self.put_off = left;
        for (notice, hand) in due {
            let moment = self.case.started + self.case.steps[notice].at - 0.02;
            self.go_to(moment.max(self.case.started + self.case.steps[hand].at)).await;
            let did = self.case.steps[hand].did.clone();
            let paid = Paid {
                value: self.freely_paid(hand),
                at: Some(self.case.started + self.case.steps[hand].at),
                everything: false,
            };
            if let Err(difference) = hands::act(&self.double, &mut self.names, &self.recorded_names, &did, &paid).await
            {
                self.note(hand, &difference);
            }
            self.double.quiet().await;
            self.read_mail(1.0);
        }
    }

    /// What a customer paid to a BOLT11 that names no amount: the next delivery has it.
    fn freely_paid(&self, position: usize) -> Option<String> {
        let steps = &self.case.steps;
        let open = steps[position].did.contains("BOLT11 lnbcrt1p");
        let raws = steps[position..].iter().filter_map(|step| match &step.sent {
            Sent::Text(raw) if step.from == From::Btcpay && open => Json::parse_within(raw, 100).ok(),
            _ => None,
        });
        let values: Vec<Json> = raws.filter_map(|event| event.get("payment")?.get("value").cloned()).collect();
        values.first().and_then(Json::text).map(str::to_owned)
    }

    /// Our invoice, if the delivery shows that its payment was confirmed by a block which another case mined: all cases of a
    /// recording share one chain.
    fn confirmed_by_others(&self, position: usize) -> Option<String> {
        let steps = &self.case.steps;
        let event = |step: &Step| match &step.sent {
            Sent::Text(raw) => Json::parse_within(raw, 100).ok(),
            Sent::Json(json) => Some(json.clone()),
            Sent::Nothing => None,
        };
        let settled = event(&steps[position])?;
        let is = |event: &Json, kind: &str| event.get("type").and_then(Json::text) == Some(kind);
        let payment = |event: &Json| event.get("payment").and_then(|payment| payment.get("id")).cloned();
        if !is(&settled, "InvoicePaymentSettled") || settled.get("paymentMethodId") != Some(&text("BTC-CHAIN")) {
            return None;
        }
        let received = steps[..position].iter().position(|step| {
            let event = if step.from == From::Btcpay { event(step) } else { None };
            event.is_some_and(|event| is(&event, "InvoiceReceivedPayment") && payment(&event) == payment(&settled))
        })?;
        let mined = steps[received..position].iter().any(|step| step.did.contains("mined"));
        let invoice = settled.get("invoiceId").and_then(Json::text)?;
        let later = steps[position].at - steps[received].at > 1.0;
        if mined || !later { None } else { self.names.known(invoice).map(str::to_owned) }
    }

    async fn go_to(&mut self, moment: f64) {
        let to = Json::Number(format!("{moment:.3}"));
        self.double.control("clock", &object(&[("to", to)])).await;
        *self.clock.lock().expect("the clock") = millis(moment);
        self.double.quiet().await;
        self.read_mail(0.0);
    }

    fn note(&mut self, position: usize, difference: &str) {
        let step = &self.case.steps[position];
        let path = step.path.replace(&self.case.store, "S");
        let about = format!("#{position} {} {}", step.method, path.split('/').skip(3).collect::<Vec<_>>().join("/"));
        self.found.push(format!("{about}: {difference}"));
    }

    /// Of which permissions a key has that the recording shows in no answer: beside the call, or nowhere.
    fn unsaid_permissions(&self, position: usize) -> Option<Json> {
        let list = |permissions: &[&str]| Json::List(permissions.iter().map(|name| text(name)).collect());
        let steps = &self.case.steps;
        if steps.iter().any(|step| step.permission.is_some()) {
            return Some(match &steps[position].permission {
                Some(Json::Text(one)) => list(&[one.as_str()]),
                Some(several) => several.clone(),
                None => list(&["unrestricted"]),
            });
        }
        let mut table = UNSAID.iter().filter(|(case, from, _)| self.case.name == *case && *from <= position);
        table.next_back().map(|(.., permissions)| list(permissions))
    }

    async fn ask(&mut self, position: usize) {
        if let Some((permissions, label)) = self.permissions(position) {
            hands::permit(&self.double, permissions, &label).await;
        }
        if let Some(permissions) = self.unsaid_permissions(position) {
            hands::permit(&self.double, permissions, "recorded").await;
        }
        self.name_what_was_made(position);
        let step = &self.case.steps[position];
        if step.method == "DELETE" && step.path.ends_with("/api-keys/current") {
            // By a key of its own, which is shown like the others.
            hands::permit(&self.double, Json::List(vec![text("unrestricted")]), "second").await;
        }
        let step = &self.case.steps[position];
        let path = self.names.translate(&self.names.beginnings(&step.path));
        let body: Option<Vec<u8>> = match &step.sent {
            Sent::Nothing => None,
            Sent::Text(text) if text == "(bytes)" => Some(b"{\"amount\":\"\xff\xfe\"}".to_vec()),
            Sent::Text(text) => Some(self.names.translate(text).into_bytes()),
            // As the recorded shop wrote it: faults name the position.
            Sent::Json(json) if self.case.name == "bodies" => Some(self.names.translated(json).compact().into_bytes()),
            Sent::Json(json) => Some(spaced(&self.names.translated(json)).into_bytes()),
        };
        let headers = self.headers(position, body.is_some());
        let reply = self.double.call(&step.method, &path, &headers, body.as_deref()).await;
        let recorded = &step.answer;
        let (Some(reply), Some(recorded)) = (reply, recorded) else { return self.note(position, "no answer") };
        let mut found = vec![];
        if reply.status != recorded.status {
            found.push(format!(
                "status: recorded {}, ours {} {}",
                recorded.status,
                reply.status,
                reply.text().chars().take(200).collect::<String>()
            ));
        }
        let kind = |name: &str| match recorded.headers.get(name) {
            Some(Json::Text(text)) => Some(text.clone()),
            _ if name == "content-type" && (recorded.body.is_some() || recorded.metadata.is_some()) => {
                Some("application/json; charset=utf-8".into())
            }
            _ => None,
        };
        for name in [
            "content-type",
            "allow",
            "location",
            "access-control-allow-origin",
            "access-control-allow-methods",
            "access-control-allow-headers",
        ] {
            // Of subscriptions only one recording has the headers.
            let shown = !self.case.name.starts_with("subscriptions/") || recorded.headers != Json::Null;
            let said = recorded.headers.get(name).is_some() || name == "content-type" && shown;
            if said && kind(name).as_deref() != reply.header(name) {
                found.push(format!("header {name}: recorded {:?}, ours {:?}", kind(name), reply.header(name)));
            }
        }
        let slack = step.took;
        match (&recorded.body, reply.body.is_empty()) {
            (None, true) => {}
            (Some(Json::Text(words)), false) if words == "(as in the other cases)" => {
                if step.method == "POST" {
                    let ours = Json::parse_within(&reply.text(), 100).unwrap_or(Json::Null);
                    self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                }
            }
            (None, false) if recorded.metadata.is_some() => {
                let ours = Json::parse_within(&reply.text(), 100).unwrap_or(Json::Null);
                if step.method == "POST" {
                    self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                }
                found.extend(other_metadata(recorded.metadata.as_deref(), &ours));
            }
            (None, false) => {
                found.push(format!("body: recorded none, ours {}", reply.text().chars().take(160).collect::<String>()))
            }
            (Some(_), true) => found.push("body: recorded one, ours none".into()),
            (Some(recorded), false)
                if kind("content-type").is_some_and(|kind| kind.contains("html"))
                    || matches!(recorded, Json::Text(_)) && Json::parse(&reply.text()).is_err() => {}
            (Some(theirs), false) => match Json::parse_within(&reply.text(), 100) {
                Ok(ours) if reply.status == recorded.status => {
                    if step.path == "/api/v1/api-keys"
                        && let Some(key) = ours.get("apiKey").and_then(Json::text)
                    {
                        self.names.learn(KEY, key);
                    }
                    if step.method == "POST" && step.path.ends_with("/invoices") && theirs.get("id").is_none() {
                        self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                    }
                    found.extend(self.names.differences(theirs, &ours, &self.only, slack));
                    found.extend(other_metadata(recorded.metadata.as_deref(), &ours));
                }
                Ok(_) => {}
                Err(fault) => found.push(format!("body is no JSON: {fault:?}")),
            },
        }
        found.iter().for_each(|difference| self.note(position, difference));
    }

    fn headers(&self, position: usize, with_body: bool) -> Vec<(String, String)> {
        let step = &self.case.steps[position];
        // Keys are made and deleted by the owner, whose own is shown like them.
        let owner = step.path.contains("/api-keys") && step.method != "GET" && !step.path.ends_with("/current");
        let key = if owner { hands::OWNER.to_owned() } else { self.names.translate(KEY) };
        let mut headers =
            vec![("host".to_owned(), self.host.clone()), ("authorization".to_owned(), format!("token {key}"))];
        if with_body {
            headers.push(("content-type".into(), "application/json".into()));
        }
        if self.in_a_folder() {
            headers.retain(|(name, _)| name != "authorization");
            headers.push(("x-forwarded-proto".into(), "https".into()));
        }
        // One recording does not show the `Host` that it sent.
        let link = step.answer.as_ref().and_then(|answer| answer.body.as_ref()?.get("checkoutLink")?.text());
        if let Some(host) = link.and_then(|link| link.strip_prefix("http://")?.split('/').next())
            && step.headers == Json::Null
            && !self.in_a_folder()
        {
            headers[0].1 = host.to_owned();
        }
        if let Json::Object(own) = &step.headers {
            for (name, value) in own {
                headers.retain(|(known, _)| known != name);
                if let Json::Text(value) = value {
                    headers.push((name.clone(), value.replace("API_KEY", &key)));
                }
            }
        }
        // What is not shown of a header, the hand before it describes.
        let before = position.checked_sub(1).map(|before| &self.case.steps[before].did);
        for (name, value) in headers.iter_mut().filter(|(name, _)| name == "authorization") {
            if value.contains("(another text)") {
                *value = described(before.map_or("", |did| did), &self.case.steps[position], name);
            }
        }
        headers
    }

    /// What the last call of a recording caused came when nobody recorded any more.
    fn is_behind_the_end(&self, at: i64) -> bool {
        let last = self.case.steps.last().filter(|last| last.from == From::Shop);
        last.is_some_and(|last| at >= millis(self.case.started + last.at))
    }

    /// Compares what has come since the last time.
    fn read_mail(&mut self, took: f64) {
        let fresh: Vec<_> = {
            let mut mail = self.mail.lock().expect("the mail");
            let seen = self.seen;
            let fresh = mail.came[seen..]
                .iter()
                .map(|(step, got, at)| (*step, got.method.clone(), got.body.clone(), got.headers.clone(), *at))
                .collect();
            self.seen = mail.came.len();
            mail.invoices = mail.invoices.clone();
            fresh
        };
        for (step, method, body, headers, at) in fresh {
            let ours = Json::parse_within(&body, 100).unwrap_or(Json::Null);
            let kind = ours.get("type").and_then(Json::text).unwrap_or_default().to_owned();
            let Some(position) = step else {
                if self.in_a_folder() && self.is_behind_the_end(at) {
                    continue;
                }
                self.found.push(format!("a delivery that was not recorded: {method} {kind} {} at {}", cut(&body), at));
                continue;
            };
            let header =
                |name: &str| headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
            if method == "POST"
                && !self.secrets.iter().any(|secret| header("btcpay-sig") == signature(secret, &body))
                && self.case.settings.get("unknown_secret").is_none()
            {
                self.note(position, "the delivery is signed with none of the secrets");
            }
            if method == "POST"
                && (header("content-type") != "application/json" || !header("user-agent").starts_with("BTCPayServer/"))
            {
                self.note(position, "the delivery's headers are not BTCPay's");
            }
            let invoice = ours.get("invoiceId").and_then(Json::text).unwrap_or_default().to_owned();
            if ours.get("isRedelivery") == Some(&Json::Bool(false)) {
                let marked = ours.get("manuallyMarked") == Some(&Json::Bool(true));
                let timestamp = number(ours.get("timestamp")).unwrap_or_default();
                self.events.entry(invoice).or_default().push(Event { kind, marked, timestamp });
            }
            let recorded = match &self.case.steps[position].sent {
                Sent::Text(raw) => Json::parse_within(raw, 100).unwrap_or(Json::Null),
                Sent::Json(json) => json.clone(),
                Sent::Nothing => Json::Null,
            };
            let indented = body.is_empty() || body.starts_with("{\n  \"");
            if !indented {
                self.note(position, "the delivery is not indented");
            }
            // Where the text is not recorded, numbers have passed through doubles.
            let (recorded, ours) = match self.case.steps[position].sent {
                Sent::Json(_) => (recorded.in_doubles(), ours.in_doubles()),
                _ => (recorded, ours),
            };
            for difference in self.names.differences(&recorded, &ours, &[], took.max(1.0)) {
                self.note(position, &difference);
            }
        }
    }

    async fn end(mut self) -> Vec<String> {
        let last = self.case.steps.iter().map(|step| step.at + if step.from == From::Btcpay { 0.0 } else { step.took });
        let end = self.case.started + last.fold(0.0, f64::max) + 0.5;
        self.go_to(end).await;
        let missing: Vec<usize> =
            self.mail.lock().expect("the mail").expected.iter().map(|expected| expected.step).collect();
        for step in missing {
            let raw = match &self.case.steps[step].sent {
                Sent::Text(raw) => cut(&raw.replace("\n ", "")),
                _ => String::new(),
            };
            self.note(step, &format!("this delivery never came: {raw}"));
        }
        self.found.extend(self.mail.lock().expect("the mail").left_out.differences());
        for events in self.events.values() {
            self.found.extend(order::broken(events));
        }
        self.found
    }
}

/// With a blank behind each comma and colon.
fn spaced(value: &Json) -> String {
    match value {
        Json::List(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}: {}", Json::Text(name.clone()).compact(), spaced(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        plain => plain.compact(),
    }
}

/// Where the exact text of metadata is recorded: whether ours is another.
fn other_metadata(recorded: Option<&str>, ours: &Json) -> Option<String> {
    let (exact, ours) = (recorded?, ours.get("metadata")?.compact());
    let theirs = Json::parse_within(exact, 100).map_or_else(|_| exact.to_owned(), |json| json.compact());
    (theirs != ours).then(|| format!("metadata's text: recorded {}, ours {}", cut(&theirs), cut(&ours)))
}

fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body.as_bytes());
    let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={tag}")
}

fn strings(list: Option<&Json>) -> Vec<String> {
    match list {
        Some(Json::List(items)) => items.iter().filter_map(Json::text).map(str::to_owned).collect(),
        _ => vec![],
    }
}

/// `BTC_USD = 50000;` a line, as the rate rules of a store; none: what a server without exchanges knows.
fn rates(case: &str, rules: Option<&Json>) -> Json {
    // Two recordings do not say their rules.
    let unsaid = match case {
        "hlsgate-finer-price" => "BTC_X = 90000000;",
        "hlsgate-usd" => "BTC_USD = 50000;",
        _ => "",
    };
    let unsaid = if case.contains("subscriptions/") || case.contains("refunds/") { "BTC_USD = 50000;" } else { unsaid };
    let rules = rules.and_then(Json::text).unwrap_or(unsaid);
    let pairs = rules.split(';').filter_map(|rule| rule.trim().strip_prefix("BTC_")?.split_once(" = "));
    Json::Object(pairs.map(|(currency, rate)| (currency.to_owned(), text(rate))).collect())
}

/// The deliveries that the recording has.
fn expected(case: &Case) -> Vec<Expected> {
    // The shop's own trial of its address looks like one, but is not signed.
    let trial = |step: &Step| {
        matches!(&step.sent, Sent::Json(json) if json.get("type") == Some(&text("HlsgateTrial")))
            || matches!(&step.sent, Sent::Text(raw) if raw.contains("HlsgateTrial"))
    };
    let signed = |step: &Step| {
        !trial(step)
            && ({
                step.method != "POST"
                    || step.headers.get("btcpay-sig").is_some_and(|sig| *sig != Json::Null)
                    || case.name.contains('/')
            })
    };
    let deliveries = case.steps.iter().enumerate().filter(|(_, step)| step.from == From::Btcpay && signed(step));
    deliveries
        .map(|(position, step)| {
            let body = match &step.sent {
                Sent::Text(raw) => Json::parse_within(raw, 100).unwrap_or(Json::Null),
                Sent::Json(json) => json.clone(),
                Sent::Nothing => Json::Null,
            };
            let member = |name: &str| body.get(name).and_then(Json::text).unwrap_or_default().to_owned();
            let verdict = step.answer.as_ref().map(|answer| {
                let headers = match &answer.headers {
                    Json::Object(members) => members
                        .iter()
                        .filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
                        .collect(),
                    _ => vec![],
                };
                (answer.status, headers)
            });
            Expected {
                step: position,
                method: step.method.clone(),
                path: step.path.clone(),
                kind: member("type"),
                invoice: member("invoiceId"),
                again: body.get("isRedelivery") == Some(&Json::Bool(true)),
                verdict,
                took: millis(step.took),
            }
        })
        .collect()
}

/// Finds the recorded delivery that this one doubles, and answers as that one was answered.
fn judge(mail: &mut Mail, received: Received, now: i64) -> Verdict {
    let body = Json::parse_within(&received.body, 100).unwrap_or(Json::Null);
    let member = |name: &str| body.get(name).and_then(Json::text).unwrap_or_default();
    let again = body.get("isRedelivery") == Some(&Json::Bool(true));
    let invoice = member("invoiceId");
    if mail.left_out.has(&body) {
        return Verdict { answer: Some((200, vec![])), hold: None };
    }
    let fits = mail.expected.iter().position(|expected| {
        let ours = mail.invoices.get(&expected.invoice);
        let same = ours.map_or_else(|| !mail.invoices.values().any(|known| known == invoice), |ours| ours == invoice);
        expected.method == received.method
            && expected.path == received.path
            && expected.kind == member("type")
            && expected.again == again
            && same
    });
    let Some(found) = fits.map(|position| mail.expected.remove(position)) else {
        mail.came.push((None, received, now));
        return Verdict { answer: Some((200, vec![])), hold: None };
    };
    if !invoice.is_empty() {
        mail.invoices.insert(found.invoice.clone(), invoice.to_owned());
    }
    let host = received.headers.iter().find(|(name, _)| name == "host").map_or(String::new(), |(_, host)| host.clone());
    mail.came.push((Some(found.step), received, now));
    let answer = found.verdict.map(|(status, headers)| {
        let headers = headers.into_iter().map(|(name, value)| {
            match value.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/')) {
                Some((_, path)) => (name, format!("http://{host}/{path}")),
                None => (name, value),
            }
        });
        (status, headers.collect())
    });
    Verdict { answer, hold: (found.took > 1000).then_some(now + found.took) }
}

/// Where the recorded shop listened: hosts whose addresses have `/case/` or `/hook` in them.
fn hosts(text: &str) -> Vec<String> {
    let mut hosts: Vec<String> = vec![];
    for (at, _) in text.match_indices("http://127.0.0.1:") {
        let rest = &text[at + "http://".len()..];
        let Some((host, path)) = rest.split_once('/') else { continue };
        if host.len() <= 15
            && (path.starts_with("case/") || path.starts_with("hlsgate/"))
            && !hosts.iter().any(|known| known == host)
        {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

/// The server's own name in the links that it makes.
fn server(text: &str) -> String {
    let usual = if text.contains("https://btcpay.example/") { "btcpay.example" } else { "127.0.0.1:33021" };
    let links = ["\"checkoutLink\":\"", "\"checkoutLink\": \"", "\"viewLink\":\"", "\"viewLink\": \""];
    let link = links.iter().find_map(|name| text.split_once(&format!("{name}http://")));
    link.and_then(|(_, rest)| rest.split_once('/')).map_or(usual.into(), |(host, _)| host.to_owned())
}

/// Every text that begins as a BOLT11 or an address.
fn destinations(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut found: Vec<String> = words
        .filter(|word| (word.starts_with("lnbcrt") || word.starts_with("bcrt1")) && word.len() > 30)
        .map(str::to_owned)
        .collect();
    // A BOLT11 that is cut in what a hand did is the beginning of a whole one.
    let mut seen = std::collections::HashSet::new();
    found.retain(|word| seen.insert(word.clone()) && (word.starts_with("bcrt1") || word.len() > 150));
    // Of several that begin alike, the one of whose payment the shop was told.
    let told: std::collections::HashSet<&str> =
        text.split("\\\"destination\\\": \\\"").skip(1).filter_map(|rest| rest.split('\\').next()).collect();
    found.sort_by_cached_key(|word| !told.contains(word.as_str()));
    found
}

fn secrets(text: &str) -> Vec<String> {
    let mut secrets = vec![SECRET.to_owned()];
    for (at, _) in text.match_indices("\"secret\":") {
        let value = text[at + "\"secret\":".len()..].trim_start();
        if let Some(secret) = value.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            secrets.push(secret.0.to_owned());
        }
    }
    secrets
}

/// What a header said of which the recording keeps no text.
fn described(did: &str, step: &Step, _name: &str) -> String {
    let basic = |text: &str| format!("Basic {text}");
    match did.trim_start_matches("next, Authorization: ") {
        "token, two spaces" => format!("token  {KEY}"),
        "token, a space behind it" => format!("token {KEY} "),
        "the key in capitals" => format!("token {}", KEY.to_uppercase()),
        "the key but its last digit" => format!("token {}", &KEY[..39]),
        "Basic, unknown user" => basic("bm9ib2R5QGV4YW1wbGUuY29tOnBhc3N3b3Jk"),
        "Basic, no base64" => basic("%%%"),
        "Digest" => "Digest username=x".into(),
        _ if step.answer.as_ref().is_some_and(|answer| answer.status == 401) => {
            format!("token {}", KEY.replace('0', "f"))
        }
        _ => format!("token {KEY}"),
    }
}
