//! An invoice as the shop judges it: the same facts in the shop's own words.

use super::invoice::{Invoice, InvoiceType, LightningInvoice, PaymentMethod};
use crate::gate::jws::MAX_LEN;
use crate::shop::invoice::{self as shop, Method, Payment};
use crate::shop::lane::{LANE_KEY, Lane};
use crate::shop::order::METADATA_KEY;
use crate::shop::start::WEEK;
use crate::shop::witness::NodeInvoice;

impl Invoice {
    /// What a sale depends on.
    ///
    /// Payments are unknown, and so nothing is bought, unless payment methods came with the invoice:
    /// [`Client::invoice_with_payments`](super::Client::invoice_with_payments) sees to that.
    pub(crate) fn facts(&self) -> shop::Invoice {
        let known = !self.payment_methods.is_empty();
        // BTCPay always tells them; without, the buyer must not lose by it.
        let watched_until = self.monitoring_expiration.unwrap_or_else(|| self.created_time.plus(WEEK));
        shop::Invoice {
            id: self.id.clone(),
            store: self.store_id.clone(),
            kind: match self.kind {
                InvoiceType::Standard => "Standard",
                InvoiceType::TopUp => "TopUp",
                InvoiceType::Other => "Other",
            }
            .into(),
            status: self.status,
            additional: self.additional_status,
            amount: self.amount,
            currency: self.currency.clone(),
            created: self.created_time,
            expires: self.expiration_time.unwrap_or(watched_until),
            watched_until,
            // What is longer than any order of ours is none, and need not be kept.
            order: self.metadata.text(METADATA_KEY).filter(|text| text.len() <= MAX_LEN).map(str::to_owned),
            payments: known.then(|| payments(&self.payment_methods)),
            methods: self.payment_methods.iter().filter_map(PaymentMethod::facts).collect(),
            paid_at_node: false,
            lane: Lane::of(self.metadata.text(LANE_KEY)),
        }
    }
}

impl PaymentMethod {
    /// How this way is offered to a buyer; `None` if BTCPay does not say what is due by it.
    pub(crate) fn facts(&self) -> Option<Method> {
        let id = self.payment_method_id.clone();
        // The coin's code begins the id, where BTCPay does not say the currency.
        let coin = || id.split('-').next().unwrap_or_default().to_owned();
        Some(Method {
            currency: self.currency.clone().unwrap_or_else(coin),
            rate: self.rate,
            amount: self.amount.or(self.due)?,
            due: self.due?,
            destination: self.destination.clone().filter(|_| self.activated),
            link: self.payment_link.clone().filter(|_| self.activated),
            witness: self.additional_data.invoice_id.clone(),
            id,
        })
    }
}

impl LightningInvoice {
    /// What the second witness says.
    pub(crate) fn facts(&self) -> NodeInvoice {
        NodeInvoice {
            is_paid: self.status == "Paid",
            amount: self.amount,
            received: self.amount_received,
            paid_at: self.paid_at,
        }
    }
}

/// The payments of all methods, each at its method's rate.
pub(crate) fn payments(methods: &[PaymentMethod]) -> Vec<Payment> {
    methods.iter().flat_map(payments_by).collect()
}

fn payments_by(method: &PaymentMethod) -> impl Iterator<Item = Payment> {
    method.payments.iter().map(|payment| Payment {
        method: method.payment_method_id.clone(),
        id: payment.id.clone(),
        received: payment.received_date,
        value: payment.value,
        fee: payment.fee,
        rate: method.rate,
        status: payment.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoice(status: &str, methods: &str) -> Invoice {
        serde_json::from_str(&format!(
            r#"{{"id":"HMp","storeId":"9Ci","amount":"0.0001","currency":"BTC","type":"Standard","status":"{status}",
            "createdTime":1,"expirationTime":2,"monitoringExpiration":3,"metadata":{{"hlsgate":"a.b.c"}},
            "paymentMethods":{methods}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn payments_keep_their_methods_rate() {
        let payment = |id: &str, status: &str| {
            format!(r#"{{"id":"{id}","receivedDate":5,"value":"0.0001","fee":"0.00001","status":"{status}"}}"#)
        };
        let method = |id: &str, rate: &str, payments: &str| {
            format!(
                r#"{{"paymentMethodId":"{id}","currency":"BTC","rate":"{rate}","amount":"1","due":"0","payments":[{payments}]}}"#
            )
        };
        let chain = method("BTC-CHAIN", "1.0", &format!("{},{}", payment("a", "Settled"), payment("b", "Odd")));
        let lightning = method("BTC-LN", "2.0", &payment("c", "Processing"));
        let facts = invoice("Settled", &format!("[{chain},{lightning}]")).facts();
        assert_eq!(facts.order.as_deref(), Some("a.b.c"));
        let payments: Vec<_> =
            facts.payments.unwrap().into_iter().map(|p| (p.id, p.rate.to_string(), p.status)).collect();
        use shop::PaymentStatus::{Invalid, Processing, Settled};
        let expected = [("a", "1.0", Settled), ("b", "1.0", Invalid), ("c", "2.0", Processing)];
        assert_eq!(payments, expected.map(|(id, rate, status)| (id.to_owned(), rate.to_owned(), status)));
    }

    #[test]
    fn what_is_not_known_grants_nothing() {
        assert_eq!(invoice("Settled", "[]").facts().payments, None);
        assert_eq!(invoice("PaidTwice", "[]").facts().status, shop::Status::Unknown);
    }
}
