//! The token of a settled invoice, from BTCPay: the same bytes that the shop gives its buyer.

use crate::failure::Failure;
use crate::gate::scope::{Scope, VideoId};
use crate::gate::token::Token;
use crate::live::Live;
use crate::live::client;
use crate::live::clock::{date, now};
use crate::shop::invoice::{Invoice, Status};
use crate::shop::settlement::NotSettled;

/// Why there is no token: with what was paid of an invoice that is over, and how a person can let its buyer in.
fn not_bought(facts: &Invoice, reason: &NotSettled) -> Failure {
    let (id, currency) = (&facts.id, &facts.currency);
    let failure = Failure::new(match facts.holds_money() {
        true => format!(
            "invoice {id} bought nothing: {reason}; {} of {} {currency} was paid, {} of it confirmed",
            facts.paid(false),
            facts.amount,
            facts.paid(true)
        ),
        false => format!("invoice {id} bought nothing: {reason}"),
    });
    match (reason, facts.status) {
        (NotSettled::NotPaid(..) | NotSettled::PaidLateUnconfirmed { .. }, Status::Expired | Status::Invalid) => failure
            .hint("if its buyer is to watch all the same, mark it as settled in BTCPay's list of invoices; the shop then lets them in"),
        (NotSettled::PaidInvalid, _) => {
            failure.hint("mark it as settled in BTCPay's list of invoices, or set accept_invalid = true")
        }
        _ => failure,
    }
}

/// Fetches the invoice and judges it as the shop does. Gives the video that it was bought at, and the token.
pub(super) fn token(invoice: &str, live: &Live) -> Result<(VideoId, Token), Failure> {
    let section = client::section(&live.config)?;
    let client = client::client(&live.config)?;
    let fetched = client::wait(client.invoice_with_payments(invoice))?.map_err(|err| {
        let failure = client::failed(&format!("fetch invoice {invoice}"), &err);
        if err.may_be_unknown_id() {
            failure.hint(
                "is it an id of this store? BTCPay shows it in the list of invoices, and in the checkout's address",
            )
        } else {
            failure
        }
    })?;
    let facts = fetched.facts();
    let settlement =
        facts.settle(&section.terms, &live.policy.keyring).map_err(|reason| not_bought(&facts, &reason))?;
    if live.policy.revocations.contains(&settlement.token.jti) {
        return Err(Failure::new(format!("the token of invoice {invoice} was revoked"))
            .hint(format!("`hlsgate revoke --undo {invoice}` lets it open again")));
    }
    if let Some(exp) = settlement.token.exp.filter(|exp| *exp <= now()) {
        let order = &settlement.order;
        let what = match order.sub() {
            Scope::Pass(name) => format!("--pass {name}"),
            _ => format!("--video {}", order.video()),
        };
        let lasts = order.duration().map(|seconds| format!(" --for {seconds}s")).unwrap_or_default();
        eprintln!("hlsgate: the token of invoice {invoice} is over since {}; the shop gives the same one", date(exp.0));
        eprintln!("  hint: `hlsgate token issue {what} --tier {}{lasts}` makes it good from now on", order.tier());
    }
    Ok((*settlement.order.video(), settlement.token.sign(live.policy.keyring.signing())))
}
