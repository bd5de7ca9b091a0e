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

    /// Whether it has received the whole price of the invoice, by any Lightning method. What it does not say is no.
    ///
    /// - `requests`: is raised by one for each question.
    pub(crate) async fn has_been_paid(&self, client: &Client, invoice: &Invoice, requests: &mut u32) -> bool {
        for method in &invoice.methods {
            let Some(id) = method.at_node() else { continue };
            *requests += 1;
            match tokio::time::timeout(PATIENCE, client.lightning_invoice(id)).await {
                Ok(Ok(found)) if found.facts().pays(method) => return true,
                Ok(Ok(_)) => {}
                Ok(Err(Error::MissingPermission { .. } | Error::Forbidden { .. })) => {
                    self.forbid();
                    return false;
                }
                // It is away, or has deleted it: nobody knows.
                Ok(Err(err)) => debug!(invoice = %invoice.id, %err, "the Lightning node was no witness"),
                Err(_) => debug!(invoice = %invoice.id, "the Lightning node was too slow a witness"),
            }
        }
        false
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
