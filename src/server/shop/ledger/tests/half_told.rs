//! Lists of BTCPay before 2.3.6 tell statuses without payments: nothing that a buyer has seen is taken back for the time of a look-up.

use super::facts::facts;
use super::*;
use crate::shop::invoice::Method;

fn invoice(status: Status, additional: Additional, paid: Option<&str>) -> Invoice {
    let payment = |value: &str| Payment {
        method: "BTC-CHAIN".into(),
        id: "p".into(),
        received: TODAY,
        value: value.parse().unwrap(),
        fee: Decimal::ZERO,
        rate: Decimal::ONE,
        status: PaymentStatus::Processing,
    };
    let method = Method {
        id: "BTC-CHAIN".into(),
        currency: "BTC".into(),
        rate: Decimal::ONE,
        amount: Decimal::ONE,
        due: Decimal::ONE,
        destination: Some("bcrt1".into()),
        link: None,
        witness: None,
    };
    let payments = paid.into_iter().map(payment).collect();
    Invoice { status, additional, payments: Some(payments), methods: vec![method], ..facts(Status::New) }
}

/// As a list tells it.
fn listed(status: Status, additional: Additional) -> Invoice {
    Invoice { payments: None, methods: Vec::new(), ..invoice(status, additional, None) }
}

#[test]
fn what_was_seen_stays_until_a_look_up_tells_the_whole() {
    let known = [
        (Status::New, Additional::None, None),
        (Status::New, Additional::PaidPartial, Some("0.5")),
        (Status::Processing, Additional::None, Some("1")),
        (Status::Expired, Additional::PaidPartial, Some("0.5")),
    ];
    let told = [
        (Status::New, Additional::None),
        (Status::New, Additional::PaidPartial),
        (Status::Expired, Additional::PaidPartial),
        (Status::Expired, Additional::PaidLate),
        (Status::Invalid, Additional::Marked),
    ];
    for (status, additional, paid) in known {
        let before = invoice(status, additional, paid);
        for (status, additional) in told.into_iter().filter(|told| *told != (status, additional)) {
            let mut entry = Entry::new();
            entry.learn(before.clone(), Instant::now(), RECENTLY);
            entry.learn(listed(status, additional), Instant::now(), RECENTLY);
            let what = format!("{:?}/{:?} after {:?}/{:?}", status, additional, before.status, before.additional);
            assert_eq!(*entry.invoice().unwrap(), before, "{what}");
            assert!(entry.lacks_payments(), "{what} is looked up");
            let after = invoice(status, additional, Some("0.5"));
            entry.learn(after.clone(), Instant::now(), RECENTLY);
            assert_eq!((&*entry.invoice().unwrap(), entry.lacks_payments()), (&after, false), "{what}");
        }
    }
}

/// A list that says again what is known takes back what one before it had half told.
#[test]
fn what_is_as_it_was_needs_no_look_up() {
    let mut entry = Entry::new();
    let before = invoice(Status::New, Additional::None, None);
    entry.learn(before.clone(), Instant::now(), RECENTLY);
    entry.learn(listed(Status::New, Additional::PaidPartial), Instant::now(), RECENTLY);
    assert!(entry.lacks_payments());
    entry.learn(listed(Status::New, Additional::None), Instant::now(), RECENTLY);
    assert_eq!((&*entry.invoice().unwrap(), entry.lacks_payments()), (&before, false));
}

/// A further part, and a late payment that is confirmed, change nothing that a list tells: both are looked up now and then.
#[test]
fn what_only_payments_tell_is_looked_up_again() {
    for (status, additional, again) in [
        (Status::New, Additional::None, false),
        (Status::New, Additional::PaidPartial, true),
        (Status::Processing, Additional::None, true),
        (Status::Expired, Additional::None, false),
        (Status::Expired, Additional::PaidLate, true),
        (Status::Invalid, Additional::None, true),
    ] {
        let mut entry = Entry::new();
        entry.learn(invoice(status, additional, Some("0.5")), Instant::now(), RECENTLY);
        assert!(!entry.lacks_payments());
        entry.learn(listed(status, additional), Instant::now(), RECENTLY);
        assert_eq!(entry.lacks_payments(), again, "{status:?}/{additional:?}");
    }
}

/// Word of a payment is passed on at once, and the code stays for those who pay in parts.
#[test]
fn what_goes_on_is_told_without_payments() {
    for status in [Status::Processing, Status::Settled, Status::Expired] {
        let mut entry = Entry::new();
        let before = invoice(Status::New, Additional::None, None);
        entry.learn(before.clone(), Instant::now(), RECENTLY);
        entry.learn(listed(status, Additional::None), Instant::now(), RECENTLY);
        let after = entry.invoice().unwrap();
        assert_eq!((after.status, &after.payments, &after.methods), (status, &None, &before.methods));
        assert_eq!(entry.lacks_payments(), status != Status::Expired);
    }
}
