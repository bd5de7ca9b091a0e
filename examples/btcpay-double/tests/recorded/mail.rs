//! What BTCPay delivers: compared with what it delivered when it was recorded, and answered as the shop did then.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    case::{Case, From, Sent, Step, number},
    hands::text,
    json::Json,
    left_out::LeftOut,
    order::{self, Event},
    play::{Game, cut},
    stage::{Received, Verdict},
};

pub const SECRET: &str = "recorded-webhook-secret-for-tests-0001";

/// What the receiver knows: recorded deliveries that have not come yet, and those that came.
#[derive(Default)]
pub struct Mail {
    pub expected: Vec<Expected>,
    /// The position of the recorded step, where there is one, and what came.
    pub came: Vec<(Option<usize>, Received)>,
    pub invoices: BTreeMap<String, String>,
    pub left_out: LeftOut,
}

pub struct Expected {
    pub step: usize,
    method: String,
    path: String,
    kind: String,
    invoice: String,
    metadata: Json,
    again: bool,
    verdict: Option<(u16, Vec<(String, String)>)>,
    /// The receiver's answer came so many seconds later.
    took: f64,
}

impl Game {
    /// What the last call of a recording caused came when nobody recorded any more.
    fn is_behind_the_end(&self) -> bool {
        let last = self.case.steps.last().filter(|last| last.from == From::Shop);
        last.is_some_and(|last| self.moment >= self.case.started + last.at)
    }

    /// Compares what has come since the last time.
    pub fn read_mail(&mut self, took: f64) {
        let fresh: Vec<_> = {
            let mail = self.mail.lock().expect("the mail");
            let seen = std::mem::replace(&mut self.seen, mail.came.len());
            let parts = |(step, got): &(Option<usize>, Received)| {
                (*step, got.method.clone(), got.body.clone(), got.headers.clone())
            };
            mail.came[seen..].iter().map(parts).collect()
        };
        for (step, method, body, headers) in fresh {
            let ours = Json::parse_within(&body, 100).unwrap_or(Json::Null);
            let kind = ours.get("type").and_then(Json::text).unwrap_or_default().to_owned();
            let Some(position) = step else {
                if self.in_a_folder() && self.is_behind_the_end() {
                    continue;
                }
                self.found.push(format!("a delivery that was not recorded: {method} {kind} {}", cut(&body)));
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
            if let Some(about) = order::about(&ours)
                && !self.lines.follows(about, position)
            {
                self.note(position, &format!("order: {kind} came later than in the recording"));
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
            for difference in self.names.differences(&recorded, &ours, "", &[], took.max(1.0)) {
                self.note(position, &difference);
            }
        }
    }
}

/// The deliveries that the recording has.
pub fn expected(case: &Case) -> Vec<Expected> {
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
                metadata: body.get("metadata").cloned().unwrap_or(Json::Null),
                again: body.get("isRedelivery") == Some(&Json::Bool(true)),
                verdict,
                took: step.took,
            }
        })
        .collect()
}

/// Finds the recorded delivery that this one doubles, and answers as that one was answered, and as late.
pub fn judge(mail: &mut Mail, received: Received) -> Verdict {
    let body = Json::parse_within(&received.body, 100).unwrap_or(Json::Null);
    let member = |name: &str| body.get(name).and_then(Json::text).unwrap_or_default();
    let again = body.get("isRedelivery") == Some(&Json::Bool(true));
    let invoice = member("invoiceId");
    if mail.left_out.has(&body) {
        return Some((200, vec![]));
    }
    let fits = |expected: &Expected| {
        let ours = mail.invoices.get(&expected.invoice);
        let same = ours.map_or_else(|| !mail.invoices.values().any(|known| known == invoice), |ours| ours == invoice);
        expected.method == received.method
            && expected.path == received.path
            && expected.kind == member("type")
            && expected.again == again
            && same
    };
    // Of several creations, the one with this metadata.
    let alike = |expected: &Expected| fits(expected) && body.get("metadata") == Some(&expected.metadata);
    let found = mail.expected.iter().position(alike).or_else(|| mail.expected.iter().position(fits));
    let Some(found) = found.map(|position| mail.expected.remove(position)) else {
        mail.came.push((None, received));
        return Some((200, vec![]));
    };
    if !invoice.is_empty() {
        mail.invoices.insert(found.invoice.clone(), invoice.to_owned());
    }
    let host = received.headers.iter().find(|(name, _)| name == "host").map_or(String::new(), |(_, host)| host.clone());
    mail.came.push((Some(found.step), received));
    let slow = found.took > 1.0;
    // Who hung up late gave up waiting: to it the answer came never.
    let (status, headers) = found.verdict.or(slow.then(|| (200, vec![])))?;
    let headers = headers.into_iter().map(|(name, value)| {
        match value.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/')) {
            Some((_, path)) => (name, format!("http://{host}/{path}")),
            None => (name, value),
        }
    });
    let late = slow.then(|| ("btcpay-double-after".to_owned(), found.took.to_string()));
    Some((status, headers.chain(late).collect()))
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body.as_bytes());
    let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={tag}")
}
