//! One test for each clause of the definition of *settled* and of the token's bytes.

use super::*;
use crate::gate::jwk::{Jwk, JwkSet, Secret};
use crate::gate::keyring::Keyring;
use crate::gate::time::UnixTime;
use crate::gate::token::Token;
use crate::shop::lane::Lane;
use crate::shop::offers::{Offer, OfferFor};

const ID: &str = "HMprBnL9BTXWuPvpoKBS6e";
const CREATED: UnixTime = UnixTime(1785000000);
const PAID: UnixTime = UnixTime(1785000122);

fn keyring(keys: &[(&str, u8)]) -> Keyring {
    let secret = |first: u8| Secret::new((first..first + 32).collect());
    Keyring::new(&JwkSet::new(keys.iter().map(|(kid, first)| Jwk::new((*kid).into(), secret(*first), 0)).collect()))
}

fn keys() -> Keyring {
    keyring(&[("k1", 0)])
}

fn terms() -> Terms {
    Terms { store: "store".into(), accept_marked: true, accept_invalid: true, tolerance: Tolerance::NetworkFee }
}

fn order(price: &str, currency: &str) -> String {
    let offer = Offer::parse("24h", price, currency, Some(86400)).unwrap();
    let video = "c05f2318".parse().unwrap();
    Order::new(video, &OfferFor { covers: Scope::Video(video), offer: &offer }, "nonce").sign(keys().signing())
}
use crate::gate::scope::Scope;

fn payment(id: &str, received: UnixTime, value: &str, status: PaymentStatus) -> Payment {
    let (method, value) = ("BTC-LN".into(), value.parse().unwrap());
    Payment { method, id: id.into(), received, value, fee: Decimal::ZERO, rate: Decimal::ONE, status }
}

fn paid() -> Payment {
    payment("6b3f", PAID, "0.00000100", PaymentStatus::Settled)
}

/// An invoice over 100 sats, fully paid by Lightning.
fn settled() -> Invoice {
    Invoice {
        id: ID.into(),
        store: "store".into(),
        kind: "Standard".into(),
        status: Status::Settled,
        additional: Additional::None,
        amount: "0.000001".parse().unwrap(),
        currency: "BTC".into(),
        created: CREATED,
        expires: CREATED.plus(1800),
        watched_until: CREATED.plus(1800 + 86400),
        order: Some(order("100", "SATS")),
        payments: Some(vec![paid()]),
        methods: Vec::new(),
        paid_at_node: false,
        lane: Lane::Page,
    }
}

fn judge(invoice: &Invoice) -> Result<UnixTime, NotSettled> {
    invoice.settle(&terms(), &keys()).map(|settlement| settlement.token.iat)
}

fn bytes(invoice: &Invoice, keyring: &Keyring) -> Token {
    invoice.settle(&terms(), keyring).unwrap().token.sign(keyring.signing())
}

#[test]
fn the_token_is_the_vector_of_the_design() {
    let settlement = settled().settle(&terms(), &keys()).unwrap();
    assert_eq!(settlement.order.video().as_str(), "c05f2318");
    let token = settlement.token.sign(keys().signing());
    assert!(token.expose().ends_with(".mdqvaHHrjBVrkGxEjd29DMzakbJr3Rf3BIIQf6g1lrk"));
}

#[test]
fn the_first_key_signs_whichever_key_the_order_has() {
    let rotated = keyring(&[("k2", 7), ("k1", 0)]);
    assert_ne!(bytes(&settled(), &keys()), bytes(&settled(), &rotated));
    assert_eq!(bytes(&settled(), &rotated), bytes(&settled(), &rotated));
}

#[test]
fn an_offer_without_duration_never_expires() {
    let offer = Offer::parse("forever", "100", "SATS", None).unwrap();
    let found = OfferFor { covers: "pass:summer".parse().unwrap(), offer: &offer };
    let order = Order::new("c05f2318".parse().unwrap(), &found, "nonce").sign(keys().signing());
    let token = Invoice { order: Some(order), ..settled() }.settle(&terms(), &keys()).unwrap().token;
    assert_eq!((token.sub.to_string().as_str(), token.exp, token.iat), ("pass:summer", None, PAID));
}

#[test]
fn only_our_store_counts() {
    let invoice = Invoice { store: "other".into(), ..settled() };
    assert_eq!(judge(&invoice), Err(NotSettled::OtherStore("other".into())));
}

#[test]
fn only_an_invoice_with_a_price_counts() {
    let invoice = Invoice { kind: "TopUp".into(), ..settled() };
    assert_eq!(judge(&invoice), Err(NotSettled::NotStandard("TopUp".into())));
}

#[test]
fn the_order_has_to_be_ours() {
    assert_eq!(judge(&Invoice { order: None, ..settled() }), Err(NotSettled::NoOrder));
    for forged in ["", "a.b.c", "VIDEO 24h"] {
        let invoice = Invoice { order: Some(forged.into()), ..settled() };
        assert!(matches!(judge(&invoice), Err(NotSettled::BadOrder(_))), "{forged:?}");
    }
    let foreign = keyring(&[("k1", 9)]);
    assert!(matches!(settled().settle(&terms(), &foreign), Err(NotSettled::BadOrder(_))));
}

#[test]
fn the_price_is_the_orders_compared_as_a_number() {
    for same in ["0.000001", "0.00000100", "0.0000010000"] {
        assert_eq!(judge(&Invoice { amount: same.parse().unwrap(), ..settled() }), Ok(PAID), "{same}");
    }
    for other in ["0.00000099", "0.00000101", "0", "100"] {
        let invoice = Invoice { amount: other.parse().unwrap(), ..settled() };
        assert!(matches!(judge(&invoice), Err(NotSettled::OtherPrice { .. })), "{other}");
    }
    for currency in ["SATS", "USD", "btc", ""] {
        let invoice = Invoice { currency: currency.into(), ..settled() };
        assert!(matches!(judge(&invoice), Err(NotSettled::OtherPrice { .. })), "{currency}");
    }
    // An order of one price in an invoice of another.
    let swapped = Invoice { order: Some(order("3000", "SATS")), ..settled() };
    assert!(matches!(judge(&swapped), Err(NotSettled::OtherPrice { .. })));
}

#[test]
fn overpaid_is_settled() {
    let payments = Some(vec![payment("a", PAID, "0.5", PaymentStatus::Settled)]);
    assert_eq!(judge(&Invoice { additional: Additional::PaidOver, payments, ..settled() }), Ok(PAID));
}

#[test]
fn what_is_not_paid_is_not_settled() {
    let part = payment("a", PAID, "0.00000099", PaymentStatus::Settled);
    let unconfirmed = payment("b", PAID, "0.00000100", PaymentStatus::Processing);
    for status in [Status::New, Status::Processing, Status::Expired, Status::Invalid] {
        for additional in [Additional::None, Additional::PaidPartial, Additional::PaidOver, Additional::Marked] {
            for payments in [vec![], vec![part.clone()], vec![part.clone(), unconfirmed.clone()]] {
                let invoice = Invoice { status, additional, payments: Some(payments), ..settled() };
                assert_eq!(judge(&invoice), Err(NotSettled::NotPaid(status, additional)));
            }
        }
    }
}

#[test]
fn confirmed_payments_over_the_price_grant_whatever_btcpay_calls_it() {
    for status in [Status::New, Status::Processing, Status::Expired, Status::Invalid] {
        for additional in [Additional::None, Additional::PaidPartial, Additional::PaidOver, Additional::PaidLate] {
            assert!(judge(&Invoice { status, additional, ..settled() }).is_ok(), "{status} {additional:?}");
        }
    }
    // Confirmed after BTCPay gave it up: by policy.
    let given_up = Invoice { status: Status::Invalid, ..settled() };
    let strict = Terms { accept_invalid: false, ..terms() };
    assert_eq!(given_up.settle(&strict, &keys()), Err(NotSettled::PaidInvalid));
}

#[test]
fn who_has_sent_the_price_is_let_in_though_btcpay_takes_a_network_fee_off() {
    let half = |id: &str, fee: &str| {
        let (method, fee) = ("BTC-CHAIN".into(), fee.parse().unwrap());
        Payment { method, fee, ..payment(id, PAID, "0.00000050", PaymentStatus::Settled) }
    };
    let (status, additional) = (Status::New, Additional::PaidPartial);
    let payments = Some(vec![half("a", "0"), half("b", "0.00000010")]);
    let halves = Invoice { status, additional, payments, ..settled() };
    assert!(halves.settle(&terms(), &keys()).is_ok());
    let strict = Terms { tolerance: Tolerance::None, ..terms() };
    assert_eq!(halves.settle(&strict, &keys()), Err(NotSettled::NotPaid(status, additional)));
    // A satoshi that was not sent is still missing.
    let short = Payment { value: "0.00000049".parse().unwrap(), ..half("b", "0.00000010") };
    let short = Invoice { payments: Some(vec![half("a", "0"), short]), ..halves };
    assert_eq!(short.settle(&terms(), &keys()), Err(NotSettled::NotPaid(status, additional)));
}

#[test]
fn settled_without_a_settled_payment_is_not_settled() {
    let unconfirmed = payment("a", PAID, "0.000001", PaymentStatus::Processing);
    let replaced = payment("b", PAID, "0.000001", PaymentStatus::Invalid);
    for payments in [vec![], vec![unconfirmed], vec![replaced]] {
        assert_eq!(judge(&Invoice { payments: Some(payments), ..settled() }), Err(NotSettled::NoPayment));
    }
    assert_eq!(judge(&Invoice { payments: None, ..settled() }), Err(NotSettled::PaymentsUnknown));
}

#[test]
fn paid_late_counts_once_confirmed_payments_reach_the_price() {
    let late = |payments: Vec<Payment>| {
        let (status, additional) = (Status::Expired, Additional::PaidLate);
        judge(&Invoice { status, additional, payments: Some(payments), ..settled() })
    };
    use PaymentStatus::{Invalid, Processing, Settled};
    let part = |id, value, status| payment(id, PAID, value, status);
    let ended = Ok(CREATED.plus(1800));
    assert_eq!(late(vec![part("a", "0.00000100", Settled)]), ended);
    assert_eq!(late(vec![part("a", "0.00000040", Settled), part("b", "0.00000060", Settled)]), ended);
    for not_enough in [
        vec![],
        vec![part("a", "0.00000100", Processing)],
        vec![part("a", "0.00000100", Invalid)],
        vec![part("a", "0.00000099", Settled)],
        vec![part("a", "0.00000040", Settled), part("b", "0.00000060", Processing)],
    ] {
        assert!(matches!(late(not_enough.clone()), Err(NotSettled::PaidLateUnconfirmed { .. })), "{not_enough:?}");
    }
}

#[test]
fn a_payment_counts_at_its_rate_and_without_tolerance_less_its_fee() {
    let usd = |value: &str, fee: &str| {
        let (rate, fee) = ("50000".parse().unwrap(), fee.parse().unwrap());
        let payments = Some(vec![Payment { rate, fee, ..payment("a", PAID, value, PaymentStatus::Settled) }]);
        let (amount, currency, order) = ("5".parse().unwrap(), "USD".into(), Some(order("5.00", "USD")));
        let (status, additional) = (Status::Expired, Additional::PaidLate);
        let invoice = Invoice { amount, currency, order, payments, status, additional, ..settled() };
        [Tolerance::None, Tolerance::NetworkFee]
            .map(|tolerance| invoice.settle(&Terms { tolerance, ..terms() }, &keys()).is_ok())
    };
    assert_eq!(usd("0.0001", "0"), [true, true]);
    assert_eq!(usd("0.00011", "0.00001"), [true, true]);
    assert_eq!(usd("0.0001", "0.00001"), [false, true]);
    assert_eq!(usd("0.00009999", "0"), [false, false]);
}

#[test]
fn payments_by_several_methods_add_up_each_at_its_own_rate() {
    let of = |id: &str, seconds, value: &str, rate: &str| {
        let rate = rate.parse().unwrap();
        Payment { rate, ..payment(id, CREATED.plus(seconds), value, PaymentStatus::Settled) }
    };
    let judged = |payments: Vec<Payment>| {
        let (amount, currency, order) = ("5".parse().unwrap(), "USD".into(), Some(order("5.00", "USD")));
        let (status, additional) = (Status::Expired, Additional::PaidLate);
        judge(&Invoice { amount, currency, order, payments: Some(payments), status, additional, ..settled() })
    };
    let (bitcoin, dollars) = (of("a", 10, "0.00005", "50000"), of("b", 20, "2.50", "1"));
    assert_eq!(judged(vec![bitcoin.clone(), dollars.clone()]), Ok(CREATED.plus(1800)));
    // Alone neither is enough, nor does one count at the other's rate.
    for part in [bitcoin, dollars, of("c", 5, "2.49999999999999999999999999", "1")] {
        assert!(matches!(judged(vec![part]), Err(NotSettled::PaidLateUnconfirmed { .. })));
    }
    // 0.1 + 0.2 is 0.3: a float would say that it is more, and 0.7 + 0.1 that it is less than 0.8.
    let tenths = [of("d", 1, "0.00007", "10000"), of("e", 2, "0.00001", "10000"), of("f", 3, "4.2", "1")];
    assert_eq!(judged(tenths.to_vec()), Ok(CREATED.plus(1800)));
}

#[test]
fn iat_is_when_the_price_was_completed_and_dust_changes_nothing() {
    use PaymentStatus::{Processing, Settled};
    let at = |seconds: u64| CREATED.plus(seconds);
    let first = payment("b", at(10), "0.00000050", Settled);
    let unconfirmed = payment("c", at(15), "0.00000050", Processing);
    let second = payment("a", at(20), "0.00000050", Settled);
    let dust = payment("0", at(30), "0.00000001", Settled);
    for payments in [vec![first.clone(), second.clone()], vec![dust, second, unconfirmed, first]] {
        assert_eq!(judge(&Invoice { payments: Some(payments), ..settled() }), Ok(at(20)));
    }
}

#[test]
fn payments_of_the_same_second_count_by_id() {
    let early_dust = payment("a", PAID, "0.00000001", PaymentStatus::Settled);
    let whole = payment("b", PAID, "0.00000100", PaymentStatus::Settled);
    let later = payment("c", PAID.plus(1), "0.00000001", PaymentStatus::Settled);
    let token = |payments| bytes(&Invoice { payments: Some(payments), ..settled() }, &keys());
    assert_eq!(token(vec![whole.clone(), early_dust.clone(), later.clone()]), token(vec![later, early_dust, whole]));
}

#[test]
fn the_nodes_word_counts_for_what_btcpay_gave_up_and_its_token_is_that_of_a_mark() {
    let expired = Invoice { status: Status::Expired, payments: Some(vec![]), paid_at_node: true, ..settled() };
    let strict = Terms { accept_marked: false, ..terms() };
    let marked = Invoice { status: Status::Settled, additional: Additional::Marked, ..expired.clone() };
    let unwitnessed = Invoice { paid_at_node: false, ..marked.clone() };
    for same in [&marked, &unwitnessed, &Invoice { payments: None, ..expired.clone() }] {
        assert_eq!(bytes(same, &keys()), bytes(&expired, &keys()));
    }
    // Marked as the operator is asked to, it goes on to count where marks do not.
    assert!(marked.settle(&strict, &keys()).is_ok() && unwitnessed.settle(&strict, &keys()).is_err());
    // Something else that came in late takes nothing away.
    for additional in [Additional::PaidPartial, Additional::PaidLate] {
        assert!(judge(&Invoice { additional, ..expired.clone() }).is_ok(), "{additional:?}");
    }
    // What BTCPay says of payments that it saw comes first.
    assert_eq!(judge(&Invoice { paid_at_node: true, ..settled() }), judge(&settled()));
    for status in [Status::New, Status::Processing, Status::Invalid, Status::Unknown] {
        assert!(judge(&Invoice { status, ..expired.clone() }).is_err(), "{status:?}");
    }
    assert!(judge(&Invoice { status: Status::Invalid, additional: Additional::Marked, ..expired }).is_err());
}

#[test]
fn the_node_is_asked_only_where_btcpays_word_is_not_enough() {
    let strict = Terms { accept_marked: false, ..terms() };
    let invoice = |status, additional| Invoice { status, additional, payments: Some(vec![]), ..settled() };
    for (status, additional, asked, asked_strictly) in [
        (Status::New, Additional::None, false, false),
        (Status::Expired, Additional::None, true, true),
        (Status::Expired, Additional::PaidPartial, true, true),
        (Status::Settled, Additional::Marked, false, true),
        (Status::Invalid, Additional::Marked, false, false),
    ] {
        let found = invoice(status, additional);
        let lacks = (found.lacks_witness(&terms()), found.lacks_witness(&strict));
        assert_eq!(lacks, (asked, asked_strictly), "{status}/{additional:?}");
    }
    let expired = invoice(Status::Expired, Additional::None);
    assert!(!Invoice { order: None, ..expired.clone() }.lacks_witness(&terms()), "somebody else's");
    assert!(!Invoice { paid_at_node: true, ..expired }.lacks_witness(&terms()), "known already");
}

#[test]
fn marked_by_a_person_counts_by_policy_and_what_is_paid_needs_none() {
    let marked = Invoice { additional: Additional::Marked, payments: Some(vec![]), ..settled() };
    let strict = Terms { accept_marked: false, ..terms() };
    assert_eq!(judge(&marked), Ok(CREATED));
    assert_eq!(marked.settle(&strict, &keys()), Err(NotSettled::Marked));
    let part = payment("a", PAID, "0.00000001", PaymentStatus::Settled);
    let part = Invoice { payments: Some(vec![part]), ..marked.clone() };
    assert_eq!(judge(&part), Ok(CREATED));
    assert_eq!(part.settle(&strict, &keys()), Err(NotSettled::Marked));
    // Paid in full, and marked all the same.
    let paid = Invoice { payments: Some(vec![paid()]), ..marked };
    assert!(paid.settle(&strict, &keys()).is_ok());
}

#[test]
fn an_invoice_whose_tolerance_was_changed_keeps_its_first_payments_date() {
    let part = payment("a", PAID, "0.00000099", PaymentStatus::Settled);
    let dust = payment("b", PAID.plus(60), "0.0000000001", PaymentStatus::Settled);
    assert_eq!(judge(&Invoice { payments: Some(vec![dust, part]), ..settled() }), Ok(PAID));
}

#[test]
fn amounts_beyond_reason_neither_panic_nor_pay() {
    let huge = Payment { value: Decimal::MAX, rate: Decimal::MAX, ..paid() };
    let negative = Payment { value: Decimal::MIN, fee: Decimal::MAX, ..paid() };
    let (status, additional) = (Status::Expired, Additional::PaidLate);
    let invoice = Invoice { status, additional, payments: Some(vec![huge, negative]), ..settled() };
    assert!(matches!(judge(&invoice), Err(NotSettled::PaidLateUnconfirmed { .. })));
}

#[test]
fn an_id_that_no_token_can_carry_buys_nothing() {
    let longest = "i".repeat(128);
    assert_eq!(judge(&Invoice { id: longest.clone(), ..settled() }), Ok(PAID));
    for id in ["".into(), "two words".into(), longest + "i", "ä".into()] {
        assert_eq!(judge(&Invoice { id, ..settled() }), Err(NotSettled::BadId));
    }
}

#[test]
fn only_a_payment_makes_it_final() {
    assert!(settled().is_final());
    assert!(!Invoice { additional: Additional::Marked, ..settled() }.is_final());
    assert!(!Invoice { payments: Some(vec![]), ..settled() }.is_final());
    assert!(!Invoice { status: Status::Expired, additional: Additional::PaidLate, ..settled() }.is_final());
}
