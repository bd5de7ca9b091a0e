//! The Lightning node, asked about invoices that BTCPay saw no payment of, for as long as the API key may.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, info};

use crate::btcpay::permissions::VIEW_LIGHTNING;
use crate::btcpay::{Client, Error};
use crate::shop::invoice::Invoice;

/// BTCPay waits for its node, and a viewer for this answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long a key that may not ask is not tried again.
const FORBIDDEN: Duration = Duration::from_secs(60 * 60);

/// What it says of an invoice that BTCPay gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It has received the whole price.
    Paid,
    /// It has not, or does not know the invoice, or may not be asked.
    Unpaid,
    /// It does not answer: nobody knows.
    Silent,
}

/// What is known of the right to ask it.
#[derive(Debug, Default)]
pub(crate) struct Node {
    forbidden: Mutex<Option<Instant>>,
}

impl Node {
    /// Whether the key may ask, as far as is known.
    pub(crate) fn may_be_asked(&self) -> bool {
        self.forbidden().is_none_or(|since| since.elapsed() > FORBIDDEN)
    }

    /// What it says of the invoice, by all of its Lightning methods.
    ///
    /// - `requests`: is raised by one for each question.
    pub(crate) async fn ask(&self, client: &Client, invoice: &Invoice, requests: &mut u32) -> Word {
        let mut word = Word::Unpaid;
        for method in &invoice.methods {
            let Some(id) = method.at_node() else { continue };
            *requests += 1;
            match tokio::time::timeout(PATIENCE, client.lightning_invoice(id)).await {
                Ok(Ok(found)) if found.facts().pays(method) => return Word::Paid,
                // Nodes delete what expired or was cancelled without a payment: there will be no other answer.
                Ok(Ok(_) | Err(Error::NotFound { .. })) => {}
                Ok(Err(Error::MissingPermission { .. } | Error::Forbidden { .. })) => {
                    self.forbid();
                    return Word::Unpaid;
                }
                Ok(Err(err)) => {
                    debug!(invoice = %invoice.id, %err, "the Lightning node was no witness");
                    word = Word::Silent;
                }
                Err(_) => {
                    debug!(invoice = %invoice.id, "the Lightning node was too slow a witness");
                    word = Word::Silent;
                }
            }
        }
        word
    }

    fn forbid(&self) {
        info!(
            "the API key may not see the Lightning node's invoices ({VIEW_LIGHTNING}), so the node is no witness of what was \
             paid while it was away; `hlsgate btcpay connect --new-key` leads to a key that may"
        );
        *self.forbidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn forbidden(&self) -> Option<Instant> {
        *self.forbidden.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
