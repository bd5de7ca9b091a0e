//! Pull payments over the API: money that anybody who has the link may claim.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{payable, payouts};
use crate::{
    bolt11,
    greenfield::{authorise, nothing},
    http::{Call, Reply, empty, error, forbidden, invalid, ok},
    ids,
    json::Json,
    keys, money,
    reading::{self, flag, text},
    world::World,
};

/// How long a BOLT11 that claims it has to be valid, in days.
const BOLT11_DAYS: i64 = 30;

#[derive(Clone, Debug)]
pub struct PullPayment {
    pub id: String,
    pub name: String,
    pub description: String,
    pub amount: Decimal,
    pub currency: String,
    /// `BTC-CHAIN`, `BTC-LN`.
    pub methods: Vec<&'static str>,
    /// UNIX milliseconds.
    pub starts: i64,
    pub expires: Option<i64>,
    pub bolt11_days: i64,
    pub archived: bool,
    /// Nobody has to approve what is claimed.
    pub auto_approve: bool,
}

impl PullPayment {
    /// One that begins now, and does not end.
    pub fn new(world: &World, name: String, amount: Decimal, currency: &str) -> Self {
        PullPayment {
            id: ids::label(),
            name,
            description: String::new(),
            amount,
            currency: currency.to_owned(),
            methods: payable(world),
            // BTCPay puts it a second back, so that it has begun whatever clock looks.
            starts: world.now() - 1000,
            expires: None,
            bolt11_days: BOLT11_DAYS,
            archived: false,
            auto_approve: false,
        }
    }
}

pub fn shown(pull_payment: &PullPayment, base: &str) -> Value {
    json!({
        "startsAt": pull_payment.starts.div_euclid(1000), "expiresAt": pull_payment.expires.map(|end| end.div_euclid(1000)),
        "id": pull_payment.id, "name": pull_payment.name, "description": pull_payment.description,
        "currency": pull_payment.currency, "amount": pull_payment.amount.to_string(), "BOLT11Expiration": pull_payment.bolt11_days,
        "archived": pull_payment.archived, "viewLink": format!("{base}/pull-payments/{}", pull_payment.id),
        "autoApproveClaims": pull_payment.auto_approve,
    })
}

/// The pull payment by which a shop keeper gives a subscriber's credit back; its id.
pub fn credit_refund(world: &mut World, currency: &str, amount: Decimal) -> String {
    let made = PullPayment::new(world, "Subscriber refund".into(), amount, currency);
    let id = made.id.clone();
    world.refunds.pull_payments.push(made);
    id
}

pub fn answer(world: &mut World, call: &Call, store: Option<&str>, rest: &[&str]) -> Result<Reply, Reply> {
    let home = world.store.id.clone();
    let missing = || error(404, "pullpayment-not-found", "The pull payment was not found");
    match (call.method.as_str(), store, rest) {
        ("POST", Some(store), []) => create(world, call, store),
        ("GET", Some(_), []) => {
            authorise(world, call, keys::VIEW_PULL_PAYMENTS, store)?;
            let archived = call.param("includeArchived").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
            let listed = world.refunds.pull_payments.iter().rev().filter(|known| archived || !known.archived);
            Ok(ok(&listed.map(|known| shown(known, &call.base)).collect::<Vec<_>>()))
        }
        ("DELETE", _, [id]) => {
            authorise(world, call, keys::ARCHIVE_PULL_PAYMENTS, Some(store.unwrap_or(&home)))?;
            let found = world.refunds.pull_payments.iter_mut().find(|known| known.id == *id);
            found.ok_or_else(missing)?.archived = true;
            Ok(empty(200))
        }
        ("GET", None, [id]) => Ok(ok(&shown(world.refunds.pull_payment(id).ok_or_else(missing)?, &call.base))),
        ("GET", None, [id, "lnurl"]) => {
            let found = world.refunds.pull_payment(id).ok_or_else(missing)?;
            if !found.methods.contains(&"BTC-LN") || found.currency != "BTC" && found.currency != "SATS" {
                return Err(error(400, "lnurl-not-supported", "LNURL not supported for this pull payment"));
            }
            let path = format!("/BTC/UILNURL/withdraw/pp/{id}");
            let host = call.base.split_once("://").map_or(call.base.as_str(), |(_, host)| host);
            Ok(ok(&json!({
                "lnurlBech32": format!("lightning:{}", bolt11::lnurl(&format!("{}{path}", call.base))),
                "lnurlUri": format!("lnurlw://{host}{path}"),
            })))
        }
        (_, None, [id, "payouts"]) => {
            let found = world.refunds.pull_payment(id).ok_or_else(missing)?.clone();
            payouts::of_pull_payment(world, call, &found)
        }
        _ => Ok(nothing(call)),
    }
}

fn create(world: &mut World, call: &Call, store: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::MAKE_UNAPPROVED, Some(store))?;
    let request = call.document()?.value;
    let auto = flag(&request, "autoApproveClaims").unwrap_or_default();
    if auto && authorise(world, call, keys::MAKE_PULL_PAYMENTS, Some(store)).is_err() {
        return Err(forbidden(keys::MAKE_PULL_PAYMENTS));
    }
    let amount = reading::amount(&request, "amount").unwrap_or_default();
    let currency = text(&request, "currency").unwrap_or_default();
    let name = text(&request, "name").unwrap_or_default();
    let mut problems = vec![];
    if amount <= Decimal::ZERO {
        problems.push(("Amount", "The amount should more than 0."));
    }
    if name.chars().count() > 50 {
        problems.push(("Name", "The name should be maximum 50 characters."));
    }
    if money::decimals(&currency).is_none() {
        problems.push(("Currency", "Invalid currency"));
    }
    if !problems.is_empty() {
        return Err(invalid(&problems));
    }
    let mut made = PullPayment::new(world, name, amount, &currency);
    made.auto_approve = auto;
    made.description = text(&request, "description").unwrap_or_default();
    if let Some(Json::List(methods)) = request.member("payoutMethods") {
        let wanted = |method: &&str| methods.iter().any(|name| name.text() == Some(*method));
        made.methods.retain(|method| wanted(method));
    }
    let answer = ok(&shown(&made, &call.base));
    world.refunds.pull_payments.push(made);
    Ok(answer)
}
