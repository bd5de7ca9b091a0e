//! The token of a settled invoice, from BTCPay: the same bytes that the shop gives its buyer.

use crate::failure::Failure;
use crate::gate::scope::VideoId;
use crate::gate::token::Token;
use crate::live::Live;
use crate::live::client;
use crate::shop::settlement::Terms;

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
    let terms = Terms { store: section.store.clone(), accept_marked: section.accept_marked };
    let settlement = fetched
        .facts()
        .settle(&terms, &live.policy.keyring)
        .map_err(|reason| Failure::new(format!("invoice {invoice} bought nothing: {reason}")))?;
    if live.policy.revocations.contains(&settlement.token.jti) {
        return Err(Failure::new(format!("the token of invoice {invoice} was revoked"))
            .hint(format!("`hlsgate revoke --undo {invoice}` lets it open again")));
    }
    Ok((*settlement.order.video(), settlement.token.sign(live.policy.keyring.signing())))
}
