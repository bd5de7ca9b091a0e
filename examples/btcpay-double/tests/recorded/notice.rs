//! When BTCPay noticed what a hand did: a busy server takes a while, and answers until then as if nothing had happened.

use crate::{
    case::{From, Sent, Step, number},
    hands::{self, Paid, object, text},
    json::Json,
    play::Game,
    shop,
};

/// A server that is busy notices a payment after so many seconds at most; what takes longer is a rule.
const NOTICED_WITHIN: f64 = 15.0;
/// It raises an event at once, or else is so busy that all its events are late: seconds.
const RAISED_WITHIN: f64 = 3.0;
/// After a start BTCPay looks at open invoices so many seconds later.
const LOOKS_AFTER_START: f64 = 120.0;

/// BTCPay notices just before this step, at this moment: seconds since the first step.
pub struct Notice {
    before: usize,
    at: f64,
}

impl Game {
    /// When BTCPay shows that it has noticed what a hand did, where that took it a while.
    pub fn noticed_at(&self, position: usize) -> Option<Notice> {
        let steps = &self.case.steps;
        let did = &steps[position].did;
        let Some(delivery) = self.delivery_of(position) else { return self.unseen_until(position) };
        let event = event(&steps[delivery]);
        // One that waited behind others says when its event was raised.
        let raised = event.as_ref().and_then(|event| number(event.get("timestamp")));
        if raised.is_some_and(|raised| raised + 2.0 < self.case.started + steps[delivery].at) {
            return None;
        }
        // A delivery may come later than an answer that shows the payment.
        let id = event.as_ref().and_then(|event| event.get("payment")?.get("id")?.text());
        let id = id.unwrap_or_else(|| did.rsplit(' ').next().unwrap_or_default());
        let shows =
            |between: &usize| !did.contains(" mined ") && answer(&steps[*between]).contains(&format!("\"id\":\"{id}"));
        let before = (position + 1..delivery).find(shows).unwrap_or(delivery);
        Some(Notice { before, at: steps[before].at - 0.02 })
    }

    /// The delivery that tells the shop what a hand did.
    fn delivery_of(&self, position: usize) -> Option<usize> {
        let steps = &self.case.steps;
        let did = &steps[position].did;
        let soon = |step: &&Step| step.at - steps[position].at < NOTICED_WITHIN;
        let mut later = (position + 1..steps.len()).take_while(|&later| soon(&&steps[later]));
        let kind = |later: usize, kind: &str| raw(&steps[later]).contains(&format!("\"type\": \"{kind}\""));
        if let Some(destination) = did.split_once("paid the BOLT11 ").and_then(|(_, rest)| rest.split('…').next()) {
            later.find(|&later| raw(&steps[later]).contains(&format!("\"destination\": \"{destination}")))
        } else if did.starts_with("the customer sent ") {
            // Where the shop is told of no payment, by what comes of it.
            let transaction = did.rsplit(' ').next().unwrap_or_default();
            let received = |&later: &usize| {
                raw(&steps[later]).contains(&format!("\"id\": \"{transaction}"))
                    && kind(later, "InvoiceReceivedPayment")
            };
            later.clone().find(received).or_else(|| later.find(|&later| kind(later, "InvoiceProcessing")))
        } else if did.contains(" mined ") {
            later
                .take_while(|&later| steps[later].from != From::Hand)
                .find(|&later| kind(later, "InvoicePaymentSettled"))
        } else {
            None
        }
    }

    /// A transaction of which the shop is told nothing: after the last answer that does not show it yet.
    fn unseen_until(&self, position: usize) -> Option<Notice> {
        let steps = &self.case.steps;
        let did = &steps[position].did;
        let transaction = did.strip_prefix("the customer sent ").and_then(|rest| rest.rsplit(' ').next())?;
        let shows = |text: &str| {
            ["\"PaidPartial\"", "\"PaidLate\"", "\"status\":\"Processing\"", transaction]
                .iter()
                .any(|sign| text.contains(sign))
        };
        let mut unseen = None;
        for later in position + 1..steps.len() {
            let step = &steps[later];
            let acts = step.from == From::Hand && !step.did.contains("viewer");
            if acts || step.at - steps[position].at > NOTICED_WITHIN {
                return None;
            }
            let text = answer(step);
            if shows(&text) {
                return unseen
                    .map(|unseen: usize| Notice { before: unseen + 1, at: steps[unseen].at + steps[unseen].took });
            }
            if text.contains("\"additionalStatus\"") {
                unseen = Some(later);
            }
        }
        None
    }

    pub async fn do_what_was_put_off(&mut self, position: usize) {
        let (due, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.put_off).into_iter().partition(|(notice, _)| notice.before <= position);
        self.put_off = left;
        for (notice, hand) in due {
            let moment = self.case.started + notice.at;
            self.go_to(moment.max(self.case.started + self.case.steps[hand].at)).await;
            let made = Some(self.case.started + self.case.steps[hand].at);
            self.act(hand, Paid { value: self.freely_paid(hand), at: made, ..Paid::default() }).await;
            self.double.quiet().await;
            self.read_mail(1.0);
        }
    }

    pub async fn act(&mut self, position: usize, paid: Paid) {
        let did = self.case.steps[position].did.clone();
        let stranger = if self.in_a_folder() { self.stranger(position).await } else { None };
        if let Some(done) = stranger {
            return done.unwrap_or_else(|difference| self.note(position, &difference));
        }
        let done = match shop::act(&self.double, &self.names, &self.case, &did, &mut self.who).await {
            Some(done) => done,
            None => hands::act(&self.double, &mut self.names, &self.recorded_names, &did, &paid).await,
        };
        if let Err(difference) = done {
            self.note(position, &difference);
        }
    }

    /// When BTCPay sees that the Lightning node is back, in seconds from the hand on: it looks once a minute, and then the shop
    /// is told of the first payment.
    pub fn looks(&self, position: usize) -> Option<f64> {
        let steps = &self.case.steps;
        let did = &steps[position].did;
        let away: f64 = did.split_once(" goes away for ")?.1.split(' ').next()?.parse().ok()?;
        let told = |step: &&Step| {
            step.at - steps[position].at > away && event(step).is_some_and(|event| event.get("payment").is_some())
        };
        Some(steps[position..].iter().find(told)?.at - steps[position].at - 0.02)
    }

    /// A subscriber's event so long after anything was done that BTCPay has noticed by itself that a period is over.
    pub fn is_noticed_by_itself(&self, position: usize) -> bool {
        let steps = &self.case.steps;
        let kind = match &steps[position].sent {
            Sent::Json(json) => json.get("type").and_then(Json::text).unwrap_or_default(),
            _ => "",
        };
        let before = position.checked_sub(1).map(|before| &steps[before]);
        kind.starts_with("Subscriber")
            && before.is_some_and(|before| steps[position].at - before.at - before.took > NOTICED_WITHIN)
    }

    /// What a customer paid to a BOLT11 that names no amount: the next delivery has it.
    pub fn freely_paid(&self, position: usize) -> Option<String> {
        let steps = &self.case.steps;
        let open = steps[position].did.contains("BOLT11 lnbcrt1p");
        let events = steps[position..].iter().filter(|_| open).filter_map(event);
        let values: Vec<Json> = events.filter_map(|event| event.get("payment")?.get("value").cloned()).collect();
        values.first().and_then(Json::text).map(str::to_owned)
    }

    /// Our invoice, if the delivery shows that its payment was confirmed by a block which another case mined: all cases of a
    /// recording share one chain.
    pub fn confirmed_by_others(&self, position: usize) -> Option<String> {
        let steps = &self.case.steps;
        let settled = event(&steps[position])?;
        let is = |event: &Json, kind: &str| event.get("type").and_then(Json::text) == Some(kind);
        let payment = |event: &Json| event.get("payment").and_then(|payment| payment.get("id")).cloned();
        if !is(&settled, "InvoicePaymentSettled") || settled.get("paymentMethodId") != Some(&text("BTC-CHAIN")) {
            return None;
        }
        let received = steps[..position].iter().position(|step| {
            event(step)
                .is_some_and(|event| is(&event, "InvoiceReceivedPayment") && payment(&event) == payment(&settled))
        })?;
        let mined = steps[received..position].iter().any(|step| step.did.contains("mined"));
        let invoice = settled.get("invoiceId").and_then(Json::text)?;
        let later = steps[position].at - steps[received].at > 1.0;
        if mined || !later { None } else { self.names.known(invoice).map(str::to_owned) }
    }

    /// How much later than its cause the server raised the event of a creation, in milliseconds, where it was busy.
    pub async fn be_busy(&self, position: usize) -> bool {
        let step = &self.case.steps[position];
        let created = step.answer.as_ref().and_then(|answer| answer.body.as_ref()).filter(|_| step.method == "POST");
        let Some((Some(id), Some(time))) = created.map(|body| (body.get("id"), number(body.get("createdTime")))) else {
            return false;
        };
        let of_it =
            |event: &Json| event.get("type") == Some(&text("InvoiceCreated")) && event.get("invoiceId") == Some(id);
        let raised = self.case.steps[position..].iter().filter_map(event).find(of_it);
        let late = raised.and_then(|event| number(event.get("timestamp"))).unwrap_or_default() - time;
        if late > RAISED_WITHIN {
            self.raise_late(late).await;
        }
        late > RAISED_WITHIN
    }

    pub async fn raise_late(&self, seconds: f64) {
        let late = Json::Number(format!("{:.0}", seconds * 1000.0));
        self.double.control("switches", &object(&[("events_late_ms", late)])).await;
    }

    /// BTCPay starts: a recording says so later than it shows that it is up. `position`: the first delivery after that.
    pub async fn start_btcpay(&mut self, position: usize) {
        let steps = &self.case.steps;
        let stopped = steps[..position].iter().rposition(|step| step.did == "BTCPay was stopped").unwrap_or_default();
        let events = || steps[position..].iter().filter_map(event);
        let chain = |event: &Json| event.get("paymentMethodId") == Some(&text("BTC-CHAIN"));
        // Of a transaction it knows only when it saw it; of one that confirms later it knew before.
        let seen = events().filter(chain).filter_map(|event| number(event.get("payment")?.get("receivedDate")));
        let seen = seen.filter(|seen| *seen > self.case.started + steps[stopped].at).fold(f64::MAX, f64::min);
        let first = self.case.started + steps[position].at - 0.2;
        let up = first.min(seen);
        // What nobody paid expires so long after the start.
        let expired = events().filter(|event| event.get("type") == Some(&text("InvoiceExpired")));
        let expired =
            expired.filter_map(|event| number(event.get("timestamp"))).find(|expired| *expired > first + RAISED_WITHIN);
        let took = expired.map_or(0.0, |expired| (up - (expired - LOOKS_AFTER_START)).max(0.0));
        self.go_to(up).await;
        let late = first - up;
        if late > RAISED_WITHIN {
            self.raise_late(late).await;
        }
        let members = [("up", Json::Bool(true)), ("took", Json::Number(format!("{took:.3}")))];
        self.double.control("btcpay", &object(&members)).await;
        self.raise_late(0.0).await;
        self.double.quiet().await;
        self.go_to(first).await;
        self.read_mail(10.0);
    }
}

/// What BTCPay delivered.
pub fn event(step: &Step) -> Option<Json> {
    match &step.sent {
        _ if step.from != From::Btcpay => None,
        Sent::Text(raw) => Json::parse_within(raw, 100).ok(),
        Sent::Json(json) => Some(json.clone()),
        Sent::Nothing => None,
    }
}

fn raw(step: &Step) -> &str {
    match &step.sent {
        Sent::Text(raw) if step.from == From::Btcpay => raw,
        _ => "",
    }
}

/// What the shop was answered.
fn answer(step: &Step) -> String {
    let body = step.answer.as_ref().filter(|_| step.from == From::Shop).and_then(|answer| answer.body.as_ref());
    body.map(Json::compact).unwrap_or_default()
}
