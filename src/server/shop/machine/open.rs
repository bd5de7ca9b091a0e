//! The challenges that wait to be paid: an unpaid machine gets the same invoice again, and a new one at most once a minute.
//!
//! By address, as nginx saw it: two who share an address may be shown one invoice, and then only the first can pay it. Never
//! by offer alone: whoever carries the payment learns its preimage, and with a challenge of the same invoice it could watch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::btcpay::invoice as wire;
use crate::gate::scope::{Scope, VideoId};
use crate::gate::time::UnixTime;
use crate::server::shop::problem::Problem;
use crate::shop::invoice::{self, Status};
use crate::shop::machine::bolt11::Bolt11;
use crate::shop::machine::hex;
use crate::shop::offers::Offer;

/// Most addresses that are remembered; those that asked longest ago are forgotten first.
const MAX_ADDRESSES: usize = 4096;
/// Most invoices that are kept for one address.
const MAX_INVOICES: usize = 8;
/// Shortest time from one unpaid invoice of an address to the next.
const PACE: Duration = Duration::from_secs(60);
/// An invoice with less time left is not offered again: paying may take a while.
const TIME_TO_PAY: u64 = 120;

/// What a machine wants to buy, and where it asks from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// [`network`] of its address.
    pub(crate) address: String,
    /// The video on whose resource it asks.
    pub(crate) video: VideoId,
    /// What the token will open.
    pub(crate) covers: Scope,
    /// The offer, as it is today: at another price or for another time it is another one.
    pub(crate) offer: Offer,
}

/// A Lightning invoice that a challenge can offer.
#[derive(Clone, Debug)]
pub(crate) struct Invoice {
    /// BTCPay's id.
    pub(crate) id: String,
    /// The signed order in its metadata.
    pub(crate) order: String,
    /// The node's invoice.
    pub(crate) bolt11: String,
    /// What it says.
    pub(crate) read: Bolt11,
}

/// What every request to the lane shares. A restart forgets it, and nothing is lost but the pace.
#[derive(Default)]
pub(crate) struct OpenInvoices {
    addresses: Mutex<HashMap<String, Entry>>,
    /// Address of each invoice that is offered.
    offered: Mutex<HashMap<String, String>>,
}

struct Entry {
    used: Instant,
    place: Arc<tokio::sync::Mutex<Place>>,
}

/// The open invoices of one address. Whoever holds it is alone: two requests of one client make one invoice.
#[derive(Default)]
pub(crate) struct Place {
    invoices: Vec<(Wanted, Invoice)>,
    made: Option<(Instant, String)>,
}

impl OpenInvoices {
    /// The place of this address.
    ///
    /// Errors: `busy` when too many addresses ask at once.
    pub(crate) async fn of(&self, wanted: &Wanted) -> Result<OwnedMutexGuard<Place>, Problem> {
        let place = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&wanted.address) {
                forget_oldest(&mut addresses);
            }
            if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&wanted.address) {
                return Err(Problem::overloaded("too many machines ask at once", 5));
            }
            let now = Instant::now();
            let entry = addresses.entry(wanted.address.clone());
            let entry = entry.or_insert_with(|| Entry { used: now, place: Arc::default() });
            entry.used = now;
            entry.place.clone()
        };
        Ok(place.lock_owned().await)
    }

    /// Notes whose invoice this is.
    pub(crate) fn offered(&self, invoice: &str, wanted: &Wanted) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.len() >= MAX_ADDRESSES * MAX_INVOICES {
            // What is forgotten here may be offered once more after it was paid; the payer's wallet refuses it then.
            offered.clear();
        }
        offered.insert(invoice.to_owned(), wanted.address.clone());
    }

    /// A credential of this invoice was shown: it is offered no more, and its address may have another at once.
    pub(crate) fn paid(&self, invoice: &str) {
        let Some(address) = self.offered.lock().unwrap_or_else(PoisonError::into_inner).remove(invoice) else { return };
        let place = {
            let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.get(&address).map(|entry| entry.place.clone())
        };
        // One that is held makes an invoice just now, and looks at the ledger before it offers an old one.
        if let Some(mut place) = place.as_ref().and_then(|place| place.try_lock().ok()) {
            place.invoices.retain(|(_, open)| open.id != invoice);
            place.made.take_if(|(_, made)| made == invoice);
        }
    }
}

fn forget_oldest(addresses: &mut HashMap<String, Entry>) {
    let idle = |entry: &Entry| Arc::strong_count(&entry.place) == 1;
    let mut used: Vec<(Instant, String)> = addresses
        .iter()
        .filter(|(_, entry)| idle(entry))
        .map(|(address, entry)| (entry.used, address.clone()))
        .collect();
    used.sort_unstable();
    for (_, address) in used.into_iter().take(MAX_ADDRESSES / 8) {
        addresses.remove(&address);
    }
}

impl Place {
    /// The invoice that is still to be paid for the same thing.
    pub(crate) fn reusable(
        &mut self,
        wanted: &Wanted,
        now: UnixTime,
        known: impl Fn(&str) -> Option<Arc<invoice::Invoice>>,
    ) -> Option<&Invoice> {
        self.invoices.retain(|(_, open)| now.plus(TIME_TO_PAY) < open.read.expires && is_new(&open.id, &known));
        self.invoices.iter().find(|(for_what, _)| for_what == wanted).map(|(_, open)| open)
    }

    /// Whether the address may have another invoice.
    ///
    /// Errors: `busy` (429) within [`PACE`] of an invoice that nobody has paid.
    pub(crate) fn pace(
        &self,
        now: Instant,
        known: impl Fn(&str) -> Option<Arc<invoice::Invoice>>,
    ) -> Result<(), Problem> {
        let Some((made, id)) = &self.made else { return Ok(()) };
        let wait = (*made + PACE).saturating_duration_since(now);
        match wait.is_zero() || !is_new(id, &known) {
            true => Ok(()),
            false => Err(Problem::too_often("one unpaid invoice a minute and address", wait.as_secs() + 1)),
        }
    }

    /// Notes that BTCPay made an invoice, whether it can be offered or not.
    pub(crate) fn made(&mut self, invoice: &str) {
        self.made = Some((Instant::now(), invoice.to_owned()));
    }

    /// Keeps an invoice that can be offered.
    pub(crate) fn keep(&mut self, wanted: &Wanted, invoice: Invoice) -> &Invoice {
        if self.invoices.len() >= MAX_INVOICES {
            self.invoices.remove(0);
        }
        self.invoices.push((wanted.clone(), invoice));
        let (_, kept) = self.invoices.last().expect("one was just put there");
        kept
    }
}

/// Whether nothing is known of a payment.
fn is_new(id: &str, known: impl Fn(&str) -> Option<Arc<invoice::Invoice>>) -> bool {
    known(id).is_none_or(|invoice| invoice.status == Status::New)
}

/// The part of an address that one household has: an IPv6 network of 64 bits, or all of an IPv4 address.
pub(crate) fn network(address: &[u8]) -> String {
    let text = std::str::from_utf8(address).unwrap_or_default();
    match text.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
        Ok(IpAddr::V6(address)) => address.to_canonical().to_string(),
        Ok(IpAddr::V4(address)) => address.to_string(),
        // Not from nginx: all of these are one.
        Err(_) => String::new(),
    }
}

impl Invoice {
    /// Reads BTCPay's answer. `Err` says why it cannot be offered: what it asks is not what the invoice is over.
    pub(crate) fn new(
        made: &wire::Invoice,
        method: Option<&wire::PaymentMethod>,
        order: &str,
    ) -> Result<Invoice, String> {
        let bolt11 = method.and_then(|method| method.destination.clone()).ok_or("it has no BOLT11")?;
        let read = Bolt11::parse(&bolt11).map_err(|err| err.to_string())?;
        let (hash, known) = (hex(&read.payment_hash), method.and_then(|it| it.additional_data.payment_hash.as_deref()));
        if known.is_some_and(|known| !known.eq_ignore_ascii_case(&hash)) {
            return Err(format!("its BOLT11 has the payment hash {hash}, and BTCPay waits for another"));
        }
        let due = method.and_then(|method| method.due).ok_or("it does not say what is due")?;
        let asked = rust_decimal::Decimal::from(read.millisatoshi) / rust_decimal::Decimal::from(100_000_000_000u64);
        if asked != due {
            return Err(format!("its BOLT11 asks for {asked} BTC, and {due} is due"));
        }
        let ends = made.expiration_time.ok_or("it does not say when it ends")?;
        // BTCPay gives the node the invoice's own end; a minute is what making it may take.
        if read.expires.until(ends) > 60 || ends.until(read.expires) > 60 {
            return Err(format!("its BOLT11 ends at {}, and the invoice at {ends}", read.expires));
        }
        Ok(Invoice { id: made.id.clone(), order: order.to_owned(), bolt11, read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(address: &str) -> Wanted {
        Wanted {
            address: network(address.as_bytes()),
            video: "vid1".parse().unwrap(),
            covers: "vid1".parse().unwrap(),
            offer: Offer::parse("24h", "100", "SATS", Some(86400)).unwrap(),
        }
    }

    fn invoice(id: &str, expires: u64) -> Invoice {
        let read = Bolt11 {
            payment_hash: [1; 32],
            millisatoshi: 1000,
            made: UnixTime(0),
            expires: UnixTime(expires),
            network: "regtest",
        };
        Invoice { id: id.into(), order: "order".into(), bolt11: "lnbcrt1".into(), read }
    }

    #[test]
    fn the_same_wish_gets_the_open_invoice_and_no_other_wish_does() {
        let mut place = Place::default();
        place.keep(&wanted("203.0.113.7"), invoice("a", 1000));
        let reused = |place: &mut Place, wanted: &Wanted, now| {
            place.reusable(wanted, UnixTime(now), |_| None).map(|open| open.id.clone())
        };
        assert_eq!(reused(&mut place, &wanted("203.0.113.7"), 0).as_deref(), Some("a"));
        for (tier, price, duration) in [("48h", "100", 86400), ("24h", "200", 86400), ("24h", "100", 3600)] {
            let offer = Offer::parse(tier, price, "SATS", Some(duration)).unwrap();
            let another = Wanted { offer, ..wanted("203.0.113.7") };
            assert_eq!(reused(&mut place, &another, 0), None, "{tier} {price} {duration}");
        }
        assert_eq!(reused(&mut place, &wanted("203.0.113.8"), 0), None);
        assert_eq!(reused(&mut place, &wanted("203.0.113.7"), 879).as_deref(), Some("a"));
        assert_eq!(reused(&mut place, &wanted("203.0.113.7"), 880), None, "too late to be paid");
    }

    #[tokio::test]
    async fn an_unpaid_address_gets_one_invoice_a_minute_and_a_paid_one_the_next_at_once() {
        let all = OpenInvoices::default();
        let mut place = all.of(&wanted("203.0.113.7")).await.unwrap();
        place.keep(&wanted("203.0.113.7"), invoice("a", 1000));
        all.offered("a", &wanted("203.0.113.7"));
        place.made("a");
        let now = Instant::now();
        assert_eq!(place.pace(now, |_| None).unwrap_err().reason(), "busy");
        assert!(place.pace(now + PACE, |_| None).is_ok());
        drop(place);
        all.paid("another");
        assert!(all.of(&wanted("203.0.113.7")).await.unwrap().pace(now, |_| None).is_err());
        all.paid("a");
        assert!(all.of(&wanted("203.0.113.7")).await.unwrap().pace(now, |_| None).is_ok());
    }

    /// What BTCPay would be paid for has to be what the client is shown: each difference by itself is enough.
    #[test]
    fn an_invoice_that_asks_for_something_else_is_never_offered() {
        // BTCPay 2.4.1, recorded (`archived-expiry`): 1,000 sats, for a minute.
        const BOLT11: &str = include_str!("../../../../tests/vectors/bolt11.txt");
        const HASH: &str = "2c54c8ee150c8373c02633c15bb3a19a97687039b806cee651f878ac0de6e16b";
        let read = Bolt11::parse(BOLT11.trim()).unwrap();
        assert_eq!((read.satoshi(), hex(&read.payment_hash).as_str()), (1000, HASH));
        let offered = |due: &str, hash: serde_json::Value, ends: u64, destination: &str| {
            let made: wire::Invoice = serde_json::from_value(json!({
                "id": "a", "storeId": "store", "type": "Standard", "amount": "0.00001", "currency": "BTC", "status": "New",
                "createdTime": read.made.0, "expirationTime": ends,
            }))
            .unwrap();
            let method: wire::PaymentMethod = serde_json::from_value(json!({
                "paymentMethodId": "BTC-LN", "activated": true, "destination": destination, "rate": "1", "due": due,
                "additionalData": { "paymentHash": hash },
            }))
            .unwrap();
            Invoice::new(&made, Some(&method), "order").map(|invoice| invoice.bolt11)
        };
        let (ends, text) = (read.expires.0, BOLT11.trim());
        for same in [json!(HASH), json!(HASH.to_uppercase()), json!(null)] {
            assert_eq!(offered("0.00001", same, ends, text).as_deref(), Ok(text));
        }
        assert!(offered("0.00001", json!(HASH), ends + 60, text).is_ok(), "making it takes a while");
        let other = HASH.replace('2', "3");
        for (due, hash, ends, destination, why) in [
            ("0.00002", HASH, ends, text, "and 0.00002 is due"),
            ("0.00000999", HASH, ends, text, "and 0.00000999 is due"),
            ("0.00001", other.as_str(), ends, text, "BTCPay waits for another"),
            ("0.00001", HASH, ends + 61, text, "and the invoice at"),
            ("0.00001", HASH, ends - 61, text, "and the invoice at"),
            ("0.00001", HASH, ends, "lnbcrt1qqqq", "bech32"),
        ] {
            let refused = offered(due, json!(hash), ends, destination).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[tokio::test]
    async fn the_memory_of_addresses_is_bounded() {
        let all = OpenInvoices::default();
        for number in 0..3 * MAX_ADDRESSES {
            let [a, b] = [(number >> 8) as u8, number as u8];
            drop(all.of(&wanted(&format!("10.0.{a}.{b}"))).await.unwrap());
        }
        assert!(all.addresses.lock().unwrap().len() <= MAX_ADDRESSES);
    }

    #[test]
    fn a_household_has_one_network() {
        let of = |address: &str| network(address.as_bytes());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((of("::ffff:192.0.2.1"), of("unix:")), ("192.0.2.1".into(), String::new()));
    }
}
