//! `…/invoices/{invoice}/refund`: a pull payment over what was paid. The invoice itself stays as it is.

use rust_decimal::Decimal;
use serde_json::json;

use super::{PullPayment, payable, pull_payments};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, empty, error, invalid, missing_permission, ok},
    invoice::{AdditionalStatus, Event, Invoice, Status},
    json::{Document, Json},
    keys, money,
    payment::MethodId,
    reading::{amount, number, text},
    request,
    version::{REFUND_EVENT, REFUND_METHODS},
    world::World,
};

const KIND: &str = "System.Nullable`1[BTCPayServer.Client.Models.RefundVariant]";
const UNPAYABLE: &str = "Please select one of the payment methods which were available for the original invoice";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    RateThen,
    CurrentRate,
    OverpaidAmount,
    Fiat,
    Custom,
}

impl Variant {
    const ALL: [(&str, Variant); 5] = [
        ("RateThen", Variant::RateThen),
        ("CurrentRate", Variant::CurrentRate),
        ("OverpaidAmount", Variant::OverpaidAmount),
        ("Fiat", Variant::Fiat),
        ("Custom", Variant::Custom),
    ];
}

/// `store`: as the route names it; the short route names none.
pub fn answer(world: &mut World, call: &Call, store: Option<&str>, id: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let home = world.store.id.clone();
    authorise(world, call, keys::MAKE_UNAPPROVED, Some(store.unwrap_or(&home)))?;
    let invoice = world.invoice(id).filter(|invoice| invoice.store == home);
    let invoice = invoice.ok_or_else(|| missing_permission(keys::MAKE_UNAPPROVED))?.clone();
    match (call.method.as_str(), rest) {
        ("POST", []) => refund(world, call, &invoice),
        // Older versions know no such sums.
        ("GET", [method]) if world.version >= REFUND_METHODS => sums(world, &invoice, method),
        _ => Ok(nothing(call)),
    }
}

/// What may be given back, in the invoice's currency: what was paid, or the price of what somebody marked settled.
fn refundable(invoice: &Invoice) -> Decimal {
    let paid = money::at_most(invoice.paid(), &invoice.currency);
    let marked = (invoice.status, invoice.additional) == (Status::Settled, AdditionalStatus::Marked);
    if paid.is_zero() && marked { invoice.amount } else { paid }
}

fn overpaid(invoice: &Invoice) -> Option<Decimal> {
    let over = (invoice.additional == AdditionalStatus::PaidOver).then(|| invoice.paid() - invoice.amount);
    over.filter(|over| *over > Decimal::ZERO)
}

fn may_be_refunded(invoice: &Invoice) -> bool {
    match invoice.status {
        Status::Settled | Status::Invalid => true,
        Status::Expired => !invoice.paid().is_zero(),
        Status::New | Status::Processing => false,
    }
}

/// Bitcoin, for an amount of the invoice's currency.
fn at(amount: Decimal, rate: Decimal) -> Decimal {
    (amount / rate).round_dp(8).normalize()
}

fn rate_then(invoice: &Invoice) -> Decimal {
    invoice.methods.first().map_or(Decimal::ONE, |method| method.rate)
}

fn sums(world: &World, invoice: &Invoice, method: &str) -> Result<Reply, Reply> {
    let known = MethodId::parse(method).and_then(|method| invoice.method(method));
    let method = known.ok_or_else(|| error(400, "invalid-payment-method", "Invalid payment method"))?;
    let amount = refundable(invoice);
    let now = world.rate(&invoice.currency).map(|rate| number(at(amount, rate)));
    let over = overpaid(invoice).map(|over| number(at(over, method.rate)));
    Ok(ok(&json!({
        "paymentAmountNow": now, "currentRateText": null, "paymentAmountThen": number(at(amount, method.rate)),
        "invoiceAmount": number(amount), "overpaidPaymentAmount": over, "invoiceCurrency": invoice.currency,
        "paymentCurrency": "BTC", "paymentCurrencyDivisibility": if method.id == MethodId::Chain { 8 } else { 11 },
        "invoiceCurrencyDivisibility": money::decimals(&invoice.currency).unwrap_or(2),
    })))
}

/// What a request asks for, checked.
struct Wanted {
    variant: Variant,
    methods: Vec<&'static str>,
    custom: Option<(Decimal, String)>,
    subtract: Decimal,
}

fn refund(world: &mut World, call: &Call, invoice: &Invoice) -> Result<Reply, Reply> {
    let document = call.document()?;
    let variant = read_variant(&document)?;
    if !may_be_refunded(invoice) {
        return Err(error(400, "non-refundable", "Cannot refund this invoice"));
    }
    let wanted = check(world, invoice, &document.value, variant)?;
    let paid = refundable(invoice);
    let now = world.rate(&invoice.currency);
    let unavailable = || invalid(&[("RefundVariant", "Impossible to fetch rate")]);
    let (amount, currency) = match (wanted.variant, &wanted.custom) {
        (Variant::RateThen, _) => (at(paid, rate_then(invoice)), "BTC"),
        (Variant::CurrentRate, _) => (at(paid, now.ok_or_else(unavailable)?), "BTC"),
        (Variant::OverpaidAmount, _) => (at(overpaid(invoice).unwrap_or_default(), rate_then(invoice)), "BTC"),
        (Variant::Custom, Some((amount, currency))) => (*amount, currency.as_str()),
        (Variant::Fiat | Variant::Custom, _) => (paid, invoice.currency.as_str()),
    };
    let amount = match wanted.subtract.is_zero() {
        true => amount,
        false => {
            let left = amount - amount * wanted.subtract / Decimal::ONE_HUNDRED;
            money::decimals(currency).map_or(left, |places| left.round_dp(places))
        }
    };
    // Nothing was paid, or nothing is left: BTCPay stumbles.
    if amount <= Decimal::ZERO {
        return Err(empty(500));
    }
    let text = |name: &str| document.value.member(name).and_then(Json::text).filter(|text| !text.is_empty());
    let name = text("name").map_or_else(|| format!("Refund {}", invoice.id), str::to_owned);
    let home = world.store.id.clone();
    let approves = authorise(world, call, keys::MAKE_PULL_PAYMENTS, Some(&home)).is_ok();
    let mut made = PullPayment::new(world, name, amount, currency);
    made.description = text("description").unwrap_or_default().to_owned();
    made.methods = wanted.methods;
    made.auto_approve = approves && currency == "BTC" && wanted.variant != Variant::Fiat;
    let (answer, id) = (ok(&pull_payments::shown(&made, &call.base)), made.id.clone());
    world.refunds.pull_payments.push(made);
    if world.version >= REFUND_EVENT {
        world.raise(&invoice.id, vec![Event::new("InvoiceRefund", &[("pullPaymentId", id.into())])]);
    }
    Ok(answer)
}

/// `None`: the request has none. Errors: 422 for one that BTCPay does not know.
fn read_variant(document: &Document) -> Result<Option<Variant>, Reply> {
    match document.value.member("refundVariant") {
        None | Some(Json::Null) => Ok(None),
        Some(value) => {
            let named = |(name, _): &&(&str, Variant)| value.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
            let found = Variant::ALL.iter().find(named).map(|(_, variant)| Some(*variant));
            found.ok_or_else(|| request::unconverted(document, "refundVariant", value, KIND))
        }
    }
}

fn check(world: &World, invoice: &Invoice, request: &Json, variant: Option<Variant>) -> Result<Wanted, Reply> {
    let mut problems: Vec<(&str, String)> = vec![];
    let methods = methods(world, invoice, request, &mut problems);
    let (custom_amount, currency) = (amount(request, "customAmount"), text(request, "customCurrency"));
    let mut custom = None;
    match variant {
        None => problems.push(("RefundVariant", "`refundVariant` is mandatory".into())),
        Some(Variant::OverpaidAmount) if overpaid(invoice).is_none() => {
            problems.push(("RefundVariant", "Invoice is not overpaid".into()));
        }
        Some(Variant::Custom) => {
            let amount = custom_amount.filter(|amount| *amount > Decimal::ZERO);
            if amount.is_none() {
                problems.push(("CustomAmount", "Amount must be greater than 0".into()));
            }
            let currency = currency.clone().filter(|currency| money::decimals(currency).is_some());
            if currency.is_none() {
                problems.push(("CustomCurrency", "Invalid currency".into()));
            }
            custom = amount.zip(currency);
        }
        Some(_) => {}
    }
    if variant.is_some() && variant != Some(Variant::Custom) {
        for (path, given) in [("CustomAmount", custom_amount.is_some()), ("CustomCurrency", currency.is_some())] {
            if given {
                problems.push((path, format!("{path} should only be set if the refundVariant is Custom")));
            }
        }
    }
    let subtract = amount(request, "subtractPercentage").unwrap_or_default();
    if subtract < Decimal::ZERO || subtract > Decimal::ONE_HUNDRED {
        problems.push(("SubtractPercentage", "Percentage must be a numeric value between 0 and 100".into()));
    }
    match variant {
        Some(variant) if problems.is_empty() => Ok(Wanted { variant, methods, custom, subtract }),
        _ => {
            let problems: Vec<_> = problems.iter().map(|(path, message)| (*path, message.as_str())).collect();
            Err(invalid(&problems))
        }
    }
}

/// By what it can be claimed: what the request names, else the default of the invoice or of the store, else on-chain.
fn methods(world: &World, invoice: &Invoice, request: &Json, problems: &mut Vec<(&str, String)>) -> Vec<&'static str> {
    let payable = payable(world);
    let known = |name: &str| payable.iter().copied().find(|method| *method == name);
    if let Some(Json::List(names)) = request.member("payoutMethods").filter(|_| world.version >= REFUND_METHODS) {
        let mut found = vec![];
        for name in names.iter().filter_map(Json::text) {
            match known(name) {
                Some(method) => found.push(method),
                None => problems.push(("PayoutMethods", format!("Invalid or unsupported payout method: {name}"))),
            }
        }
        if found.is_empty() {
            problems.push(("PayoutMethods", UNPAYABLE.into()));
        }
        return found;
    }
    let usual = invoice.checkout.default_method.as_deref().or(world.store.default_payment_method.as_deref());
    let name = request.member("payoutMethodId").and_then(Json::text).or(usual).unwrap_or("BTC-CHAIN");
    match known(name) {
        Some(method) => vec![method],
        None => {
            problems.push(("PayoutMethodId", UNPAYABLE.into()));
            vec![]
        }
    }
}
