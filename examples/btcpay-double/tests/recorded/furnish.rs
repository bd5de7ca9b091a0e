//! The store as it was when a recording began.

use crate::{
    case::{From, Sent, Step, number},
    hands::{self, object, text},
    json::Json,
    mail::SECRET,
    notice::event,
    play::Game,
};

const HLSGATE_EVENTS: [&str; 5] =
    ["InvoiceProcessing", "InvoiceSettled", "InvoicePaymentSettled", "InvoicePaidAfterExpiration", "InvoiceInvalid"];

impl Game {
    /// The store as the recording's settings have it.
    pub async fn furnish(&self, address: &str) {
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
        // A store whose policy only its invoices show.
        let policy = self.shown_invoices().find_map(|invoice| invoice.get("checkout")?.get("speedPolicy"));
        if let Some(policy) = policy.filter(|_| self.in_a_folder() && settings.get("speedPolicy").is_none()) {
            store.push(("speedPolicy", policy.clone()));
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
            ("bolt11_renewal_ms", Json::Number("140".into())),
            ("lightning_poll_ms", Json::Number("1000".into())),
        ];
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
            let shown = |invoice: &Json| {
                strings(invoice.get("checkout").and_then(|checkout| checkout.get("paymentMethods")))
                    .contains(&"BTC-CHAIN".into())
            };
            let chain = settings.get("chain").is_some() || self.shown_invoices().any(shown);
            let chain = chain.then(|| text("BTC-CHAIN"));
            let methods = chain.into_iter().chain([text("BTC-LN"), text("BTC-LNURL")]).collect();
            switches.push(("methods", Json::List(methods)));
        }
        if !self.case.zone.is_empty() {
            switches.push(("host_zone", text(&self.case.zone)));
        }
        self.double.control("switches", &object(&switches)).await;
        hands::permit(&self.double, Json::List(vec![text("unrestricted")]), "admin").await;
        let listed = self.case.steps.iter().find(|step| step.method == "GET" && step.path.ends_with("/webhooks"));
        let none = listed.and_then(|step| step.answer.as_ref()?.body.clone()) == Some(Json::List(vec![]));
        let usual = self.in_a_folder().then(|| if self.created_is_delivered() { "everything" } else { "hlsgate" });
        let wanted = settings.get("webhook").and_then(Json::text).or(usual);
        let Some(wanted) = wanted.filter(|_| !none) else { return };
        let quiet = match wanted {
            "everything" => format!("/case/{}/hook", self.case.name.rsplit('/').next().unwrap_or_default()),
            _ => "/hlsgate/webhooks/btcpay".to_owned(),
        };
        for path in self.webhooks(quiet) {
            let mut members = vec![("url", text(&format!("http://{address}{path}"))), ("secret", text(SECRET))];
            if wanted != "everything" {
                members.push(("events", Json::List(HLSGATE_EVENTS.iter().map(|event| text(event)).collect())));
            }
            self.double.control("webhooks", &object(&members)).await;
        }
    }

    /// The paths of the webhooks that the store had: those that deliver, but for those that the case makes itself. `quiet`: of one
    /// that delivers nothing.
    fn webhooks(&self, quiet: String) -> Vec<String> {
        let steps = &self.case.steps;
        let makes = |step: &&Step| step.from == From::Shop && step.method == "POST" && step.path.ends_with("/webhooks");
        let made: Vec<&Json> =
            steps.iter().filter(makes).filter_map(|step| step.answer.as_ref()?.body.as_ref()?.get("id")).collect();
        let mut known: Vec<(Json, String)> = vec![];
        for step in steps {
            let id = event(step).and_then(|event| event.get("webhookId").cloned());
            if let Some(id) = id.filter(|id| !made.contains(&id) && !known.iter().any(|(known, _)| known == id)) {
                known.push((id, step.path.clone()));
            }
        }
        if known.is_empty() { vec![quiet] } else { known.into_iter().map(|(_, path)| path).collect() }
    }

    /// The shop is told of new invoices, or would be if there were any.
    fn created_is_delivered(&self) -> bool {
        let steps = &self.case.steps;
        let told =
            |step: &Step| matches!(&step.sent, Sent::Json(json) if json.get("type") == Some(&text("InvoiceCreated")));
        let makes = steps.iter().any(|step| step.method == "POST" && step.path.ends_with("/invoices"));
        !makes || steps.iter().any(told)
    }

    /// Stores that the case names beside its own, in paths and in permissions, and that exist.
    fn other_stores(&self) -> Vec<String> {
        let mut stores: Vec<String> = vec![];
        for step in &self.case.steps {
            let permissions = step.answer.as_ref().and_then(|answer| answer.body.as_ref()?.get("permissions"));
            let scopes = strings(permissions).into_iter().filter_map(|one| Some(one.split_once(':')?.1.to_owned()));
            let path = step.path.split_once("/stores/").and_then(|(_, rest)| rest.split(['/', '?']).next());
            stores.extend(scopes.chain(path.map(str::to_owned)));
        }
        stores.retain(|store| store.len() > 30 && *store != self.case.store);
        stores.sort();
        stores.dedup();
        stores
    }
}

pub fn strings(list: Option<&Json>) -> Vec<String> {
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
