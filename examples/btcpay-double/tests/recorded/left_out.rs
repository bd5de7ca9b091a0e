//! What the recordings of subscriptions leave out to stay small: they count it, and so does the player.

use crate::json::Json;

/// How many deliveries are left out, and how many came.
#[derive(Default)]
pub struct LeftOut {
    invoices: Option<usize>,
    usual: Option<usize>,
    came: (usize, usize),
    /// New subscribers, between `SubscriberCreated` and `SubscriberActivated`, and how far their usual events are.
    new: Vec<(String, usize)>,
    misplaced: Vec<String>,
}

/// What happens at a new subscriber's first payment, in this order, between `SubscriberCreated` and `SubscriberActivated`.
const USUAL: [&str; 4] = ["SubscriberCredited", "SubscriberCharged", "PlanStarted", "SubscriberPhaseChanged"];

impl LeftOut {
    /// `left_out` of a recording.
    pub fn read(counts: Option<&Json>) -> Self {
        let count = |name: &str| match counts.and_then(|counts| counts.get(name)) {
            Some(Json::Number(text)) => text.parse().ok(),
            _ => None,
        };
        LeftOut {
            invoices: count("invoice events"),
            usual: count("a new subscriber's usual events"),
            ..LeftOut::default()
        }
    }

    /// Whether this delivery is one of those that are left out.
    pub fn has(&mut self, body: &Json) -> bool {
        let kind = body.get("type").and_then(Json::text).unwrap_or_default();
        let customer = body.get("subscriber").and_then(|subscriber| subscriber.get("customer")?.get("id")?.text());
        let customer = customer.unwrap_or_default();
        if kind.starts_with("Invoice") && self.invoices.is_some() {
            self.came.0 += 1;
            return true;
        }
        match kind {
            "SubscriberCreated" => self.new.push((customer.to_owned(), 0)),
            "SubscriberActivated" => self.new.retain(|(known, _)| known != customer),
            _ => {}
        }
        let new = self.new.iter_mut().find(|(known, _)| known == customer);
        let place = USUAL.iter().position(|usual| *usual == kind);
        if let (Some((_, reached)), Some(place), Some(_)) = (new, place, self.usual) {
            if place < *reached {
                self.misplaced.push(format!("order: {kind} came after {}", USUAL[*reached - 1]));
            }
            *reached = place + 1;
            self.came.1 += 1;
            return true;
        }
        false
    }

    /// Where other counts came than were left out.
    pub fn differences(&self) -> Vec<String> {
        let compared = [("invoice events", self.invoices, self.came.0), ("usual events", self.usual, self.came.1)];
        let other =
            compared.into_iter().filter(|(_, expected, came)| expected.is_some_and(|expected| expected != *came));
        let counts = other.map(|(what, expected, came)| format!("{what}: recorded {expected:?} left out, ours {came}"));
        self.misplaced.iter().cloned().chain(counts).collect()
    }
}
