//! What order of events can be relied on: the relations that held in every recording.

use std::collections::BTreeMap;

use crate::json::Json;

/// One event of an invoice: its type, whether a person caused it, and its `timestamp`.
pub struct Event {
    pub kind: String,
    pub marked: bool,
    pub timestamp: f64,
}

/// The relations that `events`, in the order of their first deliveries, break.
pub fn broken(events: &[Event]) -> Vec<String> {
    let first = |kind: &str| events.iter().position(|event| event.kind == kind);
    let unmarked = |kind: &str| events.iter().position(|event| event.kind == kind && !event.marked);
    let mut broken = Vec::new();
    let mut before = |earlier: &str, later: Option<usize>, name: &str| {
        if let (Some(later), Some(earlier_at)) = (later, first(earlier))
            && earlier_at > later
        {
            broken.push(format!("order: {earlier} came after {name}"));
        }
    };
    before("InvoiceCreated", Some(0), "another event");
    before("InvoiceProcessing", unmarked("InvoiceSettled"), "InvoiceSettled");
    before("InvoiceProcessing", unmarked("InvoiceInvalid"), "InvoiceInvalid");
    before("InvoiceExpired", first("InvoicePaidAfterExpiration"), "InvoicePaidAfterExpiration");
    before("InvoiceExpired", first("InvoiceExpiredPaidPartial"), "InvoiceExpiredPaidPartial");
    before("InvoiceReceivedPayment", first("InvoicePaidAfterExpiration"), "InvoicePaidAfterExpiration");
    if events.windows(2).any(|pair| pair[0].timestamp > pair[1].timestamp) {
        broken.push("order: a timestamp goes back".into());
    }
    if unmarked("InvoiceSettled").is_some() && first("InvoiceProcessing").is_none() && first("InvoiceCreated").is_some()
    {
        broken.push("order: InvoiceSettled without InvoiceProcessing".into());
    }
    broken
}

/// What an event is about that is about no invoice: a subscriber, a payout, a payment request.
pub fn about(event: &Json) -> Option<&str> {
    let customer = event.get("subscriber").and_then(|subscriber| subscriber.get("customer")?.get("id"));
    customer.or_else(|| event.get("payoutId")).or_else(|| event.get("paymentRequestId"))?.text()
}

/// One worker raises all events about one of these, one after the other: they come in the order of the recording.
#[derive(Default)]
pub struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Whether the event that was recorded at `position` comes behind those about the same that came before.
    pub fn follows(&mut self, about: &str, position: usize) -> bool {
        let last = self.0.entry(about.to_owned()).or_default();
        let follows = position >= *last;
        *last = position.max(*last);
        follows
    }
}

#[test]
fn events_about_one_subscriber_keep_their_order() {
    let mut lines = Lines::default();
    let came = [("a", 3), ("b", 9), ("a", 5), ("b", 4), ("a", 4)];
    assert_eq!(came.map(|(about, position)| lines.follows(about, position)), [true, true, true, false, false]);
}

#[test]
fn an_order_that_never_was_is_seen() {
    let event = |kind: &str, timestamp: f64| Event { kind: kind.into(), marked: false, timestamp };
    let good =
        ["InvoiceCreated", "InvoicePaymentSettled", "InvoiceReceivedPayment", "InvoiceProcessing", "InvoiceSettled"];
    let sale: Vec<Event> = good.iter().map(|kind| event(kind, 1.0)).collect();
    assert_eq!(broken(&sale), Vec::<String>::new());
    assert_eq!(broken(&[event("InvoiceSettled", 1.0), event("InvoiceCreated", 1.0)]).len(), 2);
    assert_eq!(broken(&[event("InvoiceCreated", 2.0), event("InvoiceExpired", 1.0)]).len(), 1);
}
