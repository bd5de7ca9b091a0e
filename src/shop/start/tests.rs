//! What is left of a pass when its buyer first can watch, for BTCPay in five zones and every way that a purchase can wait.

use super::*;
use crate::gate::jwk::{Jwk, JwkSet, Secret};
use crate::gate::keyring::Keyring;
use crate::gate::scope::Scope;
use crate::shop::invoice::{Additional, PaymentStatus, Status, Tolerance};
use crate::shop::lane::Lane;
use crate::shop::offers::{Offer, OfferFor};
use crate::shop::order::Order;
use crate::shop::settlement::Terms;
use rust_decimal::Decimal;

/// 2026-01-15, in winter: Auckland has daylight saving time.
const CREATED: UnixTime = UnixTime(1_768_478_400);
const TO_PAY: u64 = HOUR / 2;
const WATCH: u64 = 24 * HOUR;
/// Seconds that `receivedDate` is later than the payment where BTCPay's host is in that zone.
const ZONES: [(&str, i64); 5] =
    [("UTC", 0), ("New York", 18_000), ("Kolkata", -19_800), ("Berlin", -3_600), ("Auckland", -46_800)];
const PASSES: [(&str, u64); 3] = [("2m", 120), ("1h", HOUR), ("24h", 24 * HOUR)];

fn keyring() -> Keyring {
    Keyring::new(&JwkSet::new(vec![Jwk::new("k1".into(), Secret::new((0..32).collect()), 0)]))
}

fn terms() -> Terms {
    Terms { store: "s".into(), accept_marked: true, accept_invalid: true, tolerance: Tolerance::NetworkFee }
}

/// When, in seconds after the invoice was made: the payment is seen, and its buyer can watch.
struct Case {
    name: &'static str,
    method: &'static str,
    status: (Status, Additional),
    seen: Option<u64>,
    watchable: u64,
    /// Most that the pass lasts longer, in UTC and elsewhere.
    surplus: (u64, u64),
}

fn cases() -> Vec<Case> {
    let watched = TO_PAY + WATCH;
    let chain = |name, status, hours: u64, surplus| Case {
        name,
        method: "BTC-CHAIN",
        status,
        seen: Some(100),
        watchable: 100 + hours * HOUR,
        surplus: (surplus, surplus),
    };
    let (settled, given_up) = ((Status::Settled, Additional::None), (Status::Invalid, Additional::None));
    let late = (Status::Expired, Additional::PaidLate);
    let late_surplus = 2 * HOUR + ZONE_FARTHEST + WATCH;
    vec![
        Case {
            name: "lightning",
            method: "BTC-LN",
            status: settled,
            seen: Some(100),
            watchable: 100,
            surplus: (0, TO_PAY),
        },
        Case {
            name: "lightning, last second",
            method: "BTC-LN",
            status: settled,
            seen: Some(TO_PAY),
            watchable: TO_PAY,
            surplus: (0, TO_PAY),
        },
        chain("confirmed at once", settled, 0, watched),
        chain("confirmed after 1 h", settled, 1, watched),
        chain("confirmed after 23 h", settled, 23, watched),
        chain("confirmed after 25 h", given_up, 25, WEEK),
        chain("confirmed after 70 h", given_up, 70, WEEK),
        Case {
            name: "late",
            method: "BTC-CHAIN",
            status: late,
            seen: Some(2 * HOUR),
            watchable: 3 * HOUR,
            surplus: (late_surplus, late_surplus + ZONE_FARTHEST),
        },
        Case {
            name: "late, confirmed after 24 h",
            method: "BTC-CHAIN",
            status: late,
            seen: Some(2 * HOUR),
            watchable: 26 * HOUR,
            surplus: (late_surplus, late_surplus + ZONE_FARTHEST),
        },
        Case {
            name: "marked after 26 h",
            method: "BTC-LN",
            status: (Status::Settled, Additional::Marked),
            seen: None,
            watchable: 26 * HOUR,
            surplus: (WEEK, WEEK),
        },
    ]
}

fn invoice(case: &Case, zone: i64, duration: u64) -> Invoice {
    let offer = Offer::parse("pass", "100", "SATS", Some(duration)).unwrap();
    let video = "c05f2318".parse().unwrap();
    let order = Order::new(video, &OfferFor { covers: Scope::Video(video), offer: &offer }, "nonce");
    let payment = case.seen.map(|seen| Payment {
        method: case.method.into(),
        id: "p".into(),
        received: UnixTime(CREATED.plus(seen).0.checked_add_signed(zone).unwrap()),
        value: "0.000001".parse().unwrap(),
        fee: Decimal::ZERO,
        rate: Decimal::ONE,
        status: PaymentStatus::Settled,
    });
    Invoice {
        id: "HMprBnL9BTXWuPvpoKBS6e".into(),
        store: "s".into(),
        kind: "Standard".into(),
        status: case.status.0,
        additional: case.status.1,
        amount: "0.000001".parse().unwrap(),
        currency: "BTC".into(),
        created: CREATED,
        expires: CREATED.plus(TO_PAY),
        watched_until: CREATED.plus(TO_PAY + WATCH),
        order: Some(order.sign(keyring().signing())),
        payments: Some(payment.into_iter().collect()),
        methods: Vec::new(),
        paid_at_node: false,
        lane: Lane::Page,
    }
}

/// Seconds of the pass that are left, and its `iat` and the moment in question.
fn left(invoice: &Invoice, watchable: u64) -> (u64, UnixTime, UnixTime) {
    let token = invoice.settle(&terms(), &keyring()).unwrap().token;
    let now = CREATED.plus(watchable);
    (now.until(token.exp.unwrap()), token.iat, now)
}

#[test]
fn nobodys_paid_time_runs_before_they_can_watch() {
    for case in cases() {
        for (zone, offset) in ZONES {
            for (pass, duration) in PASSES {
                let (left, iat, now) = left(&invoice(&case, offset, duration), case.watchable);
                let name = format!("{}, {zone}, {pass}: {left} s left", case.name);
                assert!(left >= duration, "{name}");
                let surplus = if offset == 0 { case.surplus.0 } else { case.surplus.1 };
                assert!(left <= duration + surplus, "{name}, more than {surplus} s beyond it");
                assert!(iat <= now, "{name}, and libraries reject a token from the future");
            }
        }
    }
}

/// The table of pass_left.md is this one.
#[test]
fn the_table_of_the_documentation_is_what_is_given() {
    let hours = |seconds: u64| match seconds {
        120.. if seconds.is_multiple_of(HOUR) => format!("{} h", seconds / HOUR),
        _ if seconds < 2 * HOUR => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / HOUR, seconds % HOUR / 60),
    };
    let mut table =
        String::from("| | UTC | New York | Kolkata | Berlin | Auckland |\n| --- | --- | --- | --- | --- | --- |\n");
    for case in cases() {
        for (pass, duration) in PASSES {
            let cell = |(_, offset): &(&str, i64)| hours(left(&invoice(&case, *offset, duration), case.watchable).0);
            let cells: Vec<String> = ZONES.iter().map(cell).collect();
            table += &format!("| {}: {pass} | {} |\n", case.name, cells.join(" | "));
        }
    }
    let written = include_str!("pass_left.md");
    assert!(written.ends_with(&table), "pass_left.md has another table than this:\n{table}");
}

#[test]
fn the_same_invoice_gives_the_same_start_and_later_facts_prolong_nothing() {
    let lightning = &cases()[0];
    let once = invoice(lightning, 0, HOUR);
    let start = once.settle(&terms(), &keyring()).unwrap().start;
    // Whoever pays a second time on-chain, or a satoshi more, changes nothing.
    let more = |method: &str, received| Payment {
        method: method.into(),
        id: "q".into(),
        received,
        ..once.payments.as_ref().unwrap()[0].clone()
    };
    for payment in
        [more("BTC-CHAIN", CREATED.plus(10)), more("BTC-CHAIN", CREATED.plus(900)), more("BTC-LN", CREATED.plus(900))]
    {
        let payments = Some([once.payments.clone().unwrap(), vec![payment]].concat());
        let twice = Invoice { payments, additional: Additional::PaidOver, ..once.clone() };
        assert_eq!(twice.settle(&terms(), &keyring()).unwrap().start, start);
    }
}

#[test]
fn with_a_long_time_to_pay_no_zone_takes_anything_either() {
    let lightning = &cases()[0];
    for to_pay in [HOUR, 2 * HOUR, 24 * HOUR] {
        for (zone, offset) in ZONES {
            for seen in [0, 100, HOUR / 2, HOUR - 1] {
                let (expires, watched_until) = (CREATED.plus(to_pay), CREATED.plus(to_pay + WATCH));
                let case = Case { seen: Some(seen), ..cases().remove(0) };
                let invoice = Invoice { expires, watched_until, ..invoice(&case, offset, HOUR) };
                let (left, iat, now) = left(&invoice, seen);
                assert!(
                    left >= HOUR && left <= HOUR + to_pay,
                    "{zone}, {to_pay} s to pay, paid after {seen} s: {left}"
                );
                assert!(iat <= now, "{zone}");
            }
        }
    }
    assert_eq!(lightning.name, "lightning");
}

#[test]
fn a_clock_that_is_wrong_by_no_zone_costs_the_buyer_nothing() {
    let lightning = &cases()[0];
    for skew in [-600, -101, 1_800, 2_400] {
        let (left, ..) = left(&invoice(lightning, skew, 120), 100);
        assert!((120..=120 + TO_PAY).contains(&left), "{skew}: {left}");
    }
}

#[test]
fn the_zone_of_btcpays_host_is_told_by_its_latest_payments() {
    for (zone, offset) in ZONES {
        let seen = |seconds| Case { seen: Some(seconds), ..cases().remove(0) };
        let invoices: Vec<Invoice> = [30, 700, 1_500].iter().map(|at| invoice(&seen(*at), offset, HOUR)).collect();
        assert_eq!(zone_error(&invoices), Some(offset), "{zone}");
        assert_eq!(
            zone_error(&invoices[..1]).map(|found| (found - offset).abs() < 1_800),
            Some(true),
            "{zone}, by one"
        );
    }
    // What says nothing: late, marked, unpaid.
    let says_nothing: Vec<Invoice> = cases()[7..].iter().map(|case| invoice(case, 0, HOUR)).collect();
    assert_eq!(zone_error(&says_nothing), None);
    assert_eq!(zone_error(&[]), None);
}
