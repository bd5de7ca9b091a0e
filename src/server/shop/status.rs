//! An invoice as its buyer is told it.

use serde::Serialize;

use crate::gate::decision::Policy;
use crate::gate::time::UnixTime;
use crate::shop::invoice::{Invoice, Status};
use crate::shop::order::Order;
use crate::shop::settlement::{NotSettled, Settlement, Terms};

/// The stable words of section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    /// Waits for a payment.
    New,
    /// Paid, not yet confirmed.
    Processing,
    /// There is a token.
    Settled,
    /// Its time passed; it may still be paid.
    Expired,
    /// It buys nothing.
    Invalid,
}

impl Word {
    /// The word that a viewer saw last.
    pub(super) fn parse(text: &str) -> Option<Word> {
        let all = [Word::New, Word::Processing, Word::Settled, Word::Expired, Word::Invalid];
        all.into_iter().find(|word| word.as_str() == text)
    }

    /// The word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Word::New => "new",
            Word::Processing => "processing",
            Word::Settled => "settled",
            Word::Expired => "expired",
            Word::Invalid => "invalid",
        }
    }
}

/// What an invoice is worth to its buyer.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// How far it is: [`Word::Settled`] if and only if there is a `settlement`.
    pub word: Word,
    /// What was ordered.
    pub order: Order,
    /// What was bought.
    pub settlement: Option<Settlement>,
}

impl Judged {
    /// Whether nothing can come of it any more: nothing was paid, and BTCPay watches for it no longer. Until then it can be
    /// paid though it expired, or a person cancelled it: its code is out.
    pub(crate) fn is_over(&self, invoice: &Invoice, now: UnixTime) -> bool {
        let ended = matches!(self.word, Word::Expired | Word::Invalid) && invoice.watched_until < now;
        ended && !invoice.holds_money()
    }
}

/// Judges a fetched invoice by what is in force. `None` if its order is not ours.
pub(super) fn judge(invoice: &Invoice, terms: &Terms, policy: &Policy) -> Option<Judged> {
    let order = Order::verify(invoice.order.as_deref()?, &policy.keyring).ok()?;
    let (word, settlement) = match invoice.settle(terms, &policy.keyring) {
        Ok(settlement) => (Word::Settled, Some(settlement)),
        // A look-up is under way.
        Err(NotSettled::PaymentsUnknown) if invoice.status == Status::Settled => (Word::Processing, None),
        Err(err) => {
            let word = match invoice.status {
                // BTCPay still asks for its network fee: nobody is to send that who has sent the price.
                Status::New if invoice.is_covered(terms) => Word::Processing,
                Status::New | Status::Unknown => Word::New,
                Status::Processing => Word::Processing,
                Status::Expired => Word::Expired,
                Status::Invalid => Word::Invalid,
                // BTCPay calls it settled, and it is not what was ordered, or not paid for.
                Status::Settled => {
                    tracing::warn!(invoice = %invoice.id, %err, "BTCPay calls the invoice settled; it grants nothing");
                    Word::Invalid
                }
            };
            (word, None)
        }
    };
    Some(Judged { word, order, settlement })
}
