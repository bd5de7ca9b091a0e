//! The order of events and the final statuses, scenario by scenario.

use super::*;

const CREATED: i64 = 1_785_000_000_000;
const LATE: i64 = CREATED + 900_000;
const UNWATCHED: i64 = LATE + 86_400_000;

fn invoice(amount: &str) -> Invoice {
    let method = |id, destination: &str| Method {
        id,
        activated: true,
        destination: Some(destination.into()),
        rate: Decimal::ONE,
        preimage: [1; 32],
        payment_hash: [2; 32],
        label: "label".into(),
        asked: None,
    };
    Invoice {
        id: "HMprBnL9BTXWuPvpoKBS6e".into(),
        store: "store".into(),
        kind: Kind::Standard,
        amount: amount.parse().unwrap(),
        currency: "BTC".into(),
        created: CREATED,
        expires: LATE,
        monitored: UNWATCHED,
        status: Status::New,
        additional: AdditionalStatus::None,
        archived: false,
        metadata: Jsonb::default(),
        checkout: Checkout {
            speed_policy: SpeedPolicy::MediumSpeed,
            default_method: None,
            expiration_minutes: 15,
            monitoring_minutes: 1440,
            tolerance: 0.0,
            redirect_url: None,
            redirect_automatically: false,
            language: None,
        },
        receipt: Value::Null,
        methods: vec![method(MethodId::Lightning, "lnbcrt1"), method(MethodId::Chain, "bcrt1")],
        payments: vec![],
        priced: false,
        number: 0,
        bolt11_over: None,
        fee_always: false,
        zone: 0,
    }
}

fn paying(method: MethodId, value: &str) -> Paying {
    Paying {
        method,
        value: value.parse().unwrap(),
        rbf: true,
        fee: Decimal::ZERO,
        received: None,
        transaction: None,
        destination: None,
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.strip_prefix("Invoice").unwrap()).collect()
}

fn field<'a>(events: &'a [Event], kind: &str, name: &str) -> &'a Value {
    let event = events.iter().find(|event| event.kind == kind).unwrap();
    &event.extra.iter().find(|(field, _)| field == name).unwrap().1
}

#[test]
fn lightning_in_full() {
    let mut invoice = invoice("0.0001");
    let events = invoice.pay(&paying(MethodId::Lightning, "0.0001"), CREATED + 5_000).unwrap();
    assert_eq!(names(&events), ["PaymentSettled", "ReceivedPayment", "Processing", "Settled"]);
    assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::None));
    assert_eq!(field(&events, "InvoiceSettled", "manuallyMarked"), false);
    assert_eq!(field(&events, "InvoiceReceivedPayment", "payment")["receivedDate"], 1_785_000_005);
    assert!(invoice.markable().is_empty());
}

#[test]
fn on_chain_settles_with_the_block() {
    let mut invoice = invoice("0.0001");
    let events = invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment", "Processing"]);
    // The expiration no longer matters once the payment was seen.
    assert!(invoice.evaluate(LATE + 1).is_empty());
    assert_eq!(names(&invoice.confirm(None, LATE + 1)), ["PaymentSettled", "Settled"]);
    assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::None));
}

#[test]
fn high_speed_settles_unconfirmed_unless_replaceable() {
    for (rbf, expected) in [(false, Status::Settled), (true, Status::Processing)] {
        let mut invoice = invoice("0.0001");
        invoice.checkout.speed_policy = SpeedPolicy::HighSpeed;
        let events = invoice.pay(&Paying { rbf, ..paying(MethodId::Chain, "0.0001") }, CREATED).unwrap();
        assert_eq!(invoice.status, expected);
        if !rbf {
            assert_eq!(names(&events), ["PaymentSettled", "ReceivedPayment", "Processing", "Settled"]);
        }
    }
}

#[test]
fn low_speed_waits_for_six() {
    let mut invoice = invoice("0.0001");
    invoice.checkout.speed_policy = SpeedPolicy::LowSpeed;
    invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap();
    assert!(invoice.confirm(Some(5), CREATED).is_empty());
    assert_eq!(names(&invoice.confirm(Some(1), CREATED)), ["PaymentSettled", "Settled"]);
}

#[test]
fn overpaid() {
    let mut invoice = invoice("0.0001");
    let events = invoice.pay(&paying(MethodId::Lightning, "0.00011"), CREATED).unwrap();
    assert_eq!(field(&events, "InvoiceProcessing", "overPaid"), true);
    assert_eq!(field(&events, "InvoiceSettled", "overPaid"), true);
    assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::PaidOver));
    let method = invoice.methods[0].clone();
    assert_eq!(money::text(invoice.sums(&method, Decimal::ZERO).due), "-0.00001");
}

#[test]
fn partly_paid_then_expired_then_the_rest() {
    let mut invoice = invoice("0.0001");
    let events = invoice.pay(&paying(MethodId::Chain, "0.00004"), CREATED).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment"]);
    assert_eq!((invoice.status, invoice.additional), (Status::New, AdditionalStatus::PaidPartial));
    assert!(invoice.evaluate(LATE - 1).is_empty());
    let events = invoice.evaluate(LATE);
    assert_eq!(names(&events), ["Expired", "ExpiredPaidPartial"]);
    assert_eq!(field(&events, "InvoiceExpired", "partiallyPaid"), true);
    assert_eq!((invoice.status, invoice.additional), (Status::Expired, AdditionalStatus::PaidPartial));
    let events = invoice.pay(&paying(MethodId::Chain, "0.00006"), LATE + 1).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment", "PaidAfterExpiration"]);
    assert_eq!(field(&events, "InvoiceReceivedPayment", "afterExpiration"), true);
    assert_eq!(names(&invoice.confirm(None, LATE + 2)), ["PaymentSettled", "PaymentSettled"]);
    assert_eq!((invoice.status, invoice.additional), (Status::Expired, AdditionalStatus::PaidLate));
}

#[test]
fn late_in_full() {
    let mut on_chain = invoice("0.0001");
    assert_eq!(names(&on_chain.evaluate(LATE)), ["Expired"]);
    let events = on_chain.pay(&paying(MethodId::Chain, "0.0001"), LATE).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment", "PaidAfterExpiration"]);
    assert_eq!(names(&on_chain.confirm(None, LATE)), ["PaymentSettled"]);
    assert_eq!((on_chain.status, on_chain.additional), (Status::Expired, AdditionalStatus::PaidLate));

    let mut lightning = invoice("0.0001");
    let events = lightning.pay(&paying(MethodId::Lightning, "0.0001"), LATE).unwrap();
    assert_eq!(names(&events), ["Expired", "PaymentSettled", "ReceivedPayment", "PaidAfterExpiration"]);
    assert_eq!((lightning.status, lightning.additional), (Status::Expired, AdditionalStatus::PaidLate));
}

#[test]
fn late_and_replaced_stays_paid_late() {
    let mut invoice = invoice("0.0001");
    invoice.pay(&paying(MethodId::Chain, "0.0001"), LATE).unwrap();
    assert!(invoice.replace(LATE + 1).unwrap().is_empty());
    assert_eq!((invoice.status, invoice.additional), (Status::Expired, AdditionalStatus::PaidLate));
    assert_eq!(invoice.payments[0].status, PaymentStatus::Invalid);
}

#[test]
fn never_confirmed() {
    let mut invoice = invoice("0.0001");
    invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap();
    assert!(invoice.evaluate(UNWATCHED - 1).is_empty());
    let events = invoice.evaluate(UNWATCHED);
    assert_eq!(names(&events), ["Invalid"]);
    assert_eq!(field(&events, "InvoiceInvalid", "manuallyMarked"), false);
    let events = invoice.confirm(None, UNWATCHED);
    assert_eq!(names(&events), ["PaymentSettled"]);
    assert_eq!(field(&events, "InvoicePaymentSettled", "afterExpiration"), true);
    assert_eq!((invoice.status, invoice.additional), (Status::Invalid, AdditionalStatus::None));
}

#[test]
fn replaced_while_processing() {
    let mut invoice = invoice("0.0001");
    invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap();
    assert!(invoice.replace(CREATED).unwrap().is_empty());
    assert_eq!((invoice.status, invoice.additional), (Status::New, AdditionalStatus::None));
    let events = invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment", "Processing"]);
    // Replaced when the expiration has passed already.
    assert_eq!(names(&invoice.replace(LATE).unwrap()), ["Expired"]);
}

#[test]
fn marked_by_a_person() {
    for prepare in ["new", "processing", "expired", "invalid"] {
        let mut invoice = invoice("0.0001");
        match prepare {
            "processing" => drop(invoice.pay(&paying(MethodId::Chain, "0.0001"), CREATED).unwrap()),
            "expired" => drop(invoice.evaluate(LATE)),
            "invalid" => drop(invoice.mark(Status::Invalid, CREATED).unwrap()),
            _ => {}
        }
        let events = invoice.mark(Status::Settled, CREATED).unwrap();
        assert_eq!(names(&events), ["Settled"], "{prepare}");
        assert_eq!(field(&events, "InvoiceSettled", "manuallyMarked"), true);
        assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::Marked));
        assert_eq!(names(&invoice.mark(Status::Invalid, CREATED).unwrap()), ["Invalid"]);
        assert_eq!((invoice.status, invoice.additional), (Status::Invalid, AdditionalStatus::Marked));
        assert!(invoice.mark(Status::Invalid, CREATED).is_err());
    }
}

#[test]
fn nothing_to_pay_settles_at_once() {
    let mut invoice = invoice("0");
    assert_eq!(names(&invoice.evaluate(CREATED)), ["Processing", "Settled"]);
    assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::None));
    assert!(invoice.payments.is_empty());
}

#[test]
fn a_top_up_takes_any_payment() {
    let mut invoice = invoice("0");
    invoice.kind = Kind::TopUp;
    assert!(invoice.evaluate(CREATED).is_empty());
    let events = invoice.pay(&paying(MethodId::Lightning, "0.00000001"), CREATED).unwrap();
    assert_eq!(names(&events), ["PaymentSettled", "ReceivedPayment", "Processing", "Settled"]);
    assert_eq!(field(&events, "InvoiceSettled", "overPaid"), false);
    assert_eq!(money::text(invoice.amount), "0.00000001");
}

#[test]
fn dust_afterwards_changes_nothing_but_the_payments() {
    let mut invoice = invoice("0.0001");
    invoice.pay(&paying(MethodId::Lightning, "0.0001"), CREATED).unwrap();
    let events = invoice.pay(&paying(MethodId::Chain, "0.00000001"), LATE).unwrap();
    assert_eq!(names(&events), ["ReceivedPayment"]);
    assert_eq!(field(&events, "InvoiceReceivedPayment", "afterExpiration"), false);
    assert_eq!(names(&invoice.confirm(None, LATE)), ["PaymentSettled"]);
    assert_eq!((invoice.status, invoice.additional), (Status::Settled, AdditionalStatus::None));
}

#[test]
fn a_second_on_chain_payment_costs_its_fee() {
    let mut invoice = invoice("0.0001");
    let fee: Decimal = "0.000001".parse().unwrap();
    let pay = |value: &str| Paying { fee, ..paying(MethodId::Chain, value) };
    invoice.pay(&pay("0.00005"), CREATED).unwrap();
    let method = invoice.methods[1].clone();
    let sums = invoice.sums(&method, fee);
    assert_eq!((money::text(sums.due), money::text(sums.amount)), ("0.000051".into(), "0.000101".into()));
    assert_eq!(names(&invoice.pay(&pay("0.00005"), CREATED).unwrap()), ["ReceivedPayment"]);
    invoice.pay(&pay("0.000002"), CREATED).unwrap();
    assert_eq!(invoice.status, Status::Processing);
}

#[test]
fn a_fiat_price_rounded_up_is_neither_short_nor_over() {
    let mut invoice = invoice("5.00");
    invoice.methods.iter_mut().for_each(|method| method.rate = Decimal::new(65_000, 0));
    for method in invoice.methods.clone() {
        let due = invoice.sums(&method, Decimal::ZERO).due;
        let mut paid = invoice.clone();
        paid.pay(&Paying { value: due, ..paying(method.id, "0") }, CREATED).unwrap();
        paid.confirm(None, CREATED);
        assert_eq!((paid.status, paid.additional), (Status::Settled, AdditionalStatus::None), "{:?}", method.id);
    }
}
