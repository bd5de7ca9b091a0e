//! The second witness: what the Lightning node itself says of an invoice that BTCPay saw no payment of.
//!
//! While the node is away BTCPay notices nothing, and it never looks at an invoice again that has expired meanwhile. The node
//! knows whether it was paid. It is believed in one thing alone: that it has received the whole price.

use rust_decimal::Decimal;

use super::invoice::{Additional, Invoice, Method, Status};
use super::money::decimals_of_btc;
use super::settlement::Terms;
use crate::gate::time::UnixTime;

const MILLISATOSHIS_IN_SATOSHI: u64 = 1000;

/// What the node says of one Lightning invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeInvoice {
    /// Whether it calls it paid.
    pub(crate) is_paid: bool,
    /// What the BOLT11 asks for, in millisatoshi.
    pub(crate) amount: Option<Decimal>,
    /// What came in, in millisatoshi.
    pub(crate) received: Option<Decimal>,
    /// When it came in.
    pub(crate) paid_at: Option<UnixTime>,
}

impl NodeInvoice {
    /// Whether the whole price came in by this method: what its BOLT11 asks for, and no less than what BTCPay asks for the
    /// whole invoice, for a BOLT11 can be over a rest.
    pub(crate) fn pays(&self, method: &Method) -> bool {
        let (Some(amount), Some(received), Some(_)) = (self.amount, self.received, self.paid_at) else { return false };
        let in_bitcoin = Decimal::from(10_u64.pow(decimals_of_btc()) * MILLISATOSHIS_IN_SATOSHI);
        let price = method.amount.checked_mul(in_bitcoin).filter(|price| *price > Decimal::ZERO);
        self.is_paid && received >= amount && price.is_some_and(|price| received >= price)
    }
}

impl Method {
    /// By which id the store's bitcoin node knows the Lightning invoice.
    pub(crate) fn at_node(&self) -> Option<&str> {
        self.witness.as_deref().filter(|id| !id.is_empty() && self.kind().is_lightning() && self.is_btc())
    }
}

impl Invoice {
    /// Whether only the node can still tell that it was paid: an order's invoice that BTCPay gave up, or that a person marked
    /// as settled where that does not count by itself, and that could be paid at the node. A person's `Invalid` is final.
    pub(crate) fn lacks_witness(&self, terms: &Terms) -> bool {
        let given_up =
            matches!((self.status, self.additional), (Status::Expired, _) | (Status::Settled, Additional::Marked));
        // What BTCPay did not tell is no reason not to ask.
        let by_node = self.methods.is_empty() || self.methods.iter().any(|method| method.at_node().is_some());
        given_up && by_node && self.order.is_some() && !self.is_paid(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(id: &str) -> Method {
        Method {
            id: id.into(),
            currency: "BTC".into(),
            rate: Decimal::ONE,
            amount: "0.00001".parse().unwrap(),
            due: "0.00001".parse().unwrap(),
            destination: None,
            link: None,
            witness: Some("label".into()),
        }
    }

    /// 1,000 sats, as in the recording `lightning-witness`.
    fn paid() -> NodeInvoice {
        let msat = Some(1_000_000.into());
        NodeInvoice { is_paid: true, amount: msat, received: msat, paid_at: Some(UnixTime(1_795_987_687)) }
    }

    #[test]
    fn nothing_less_than_paid_in_full_is_believed() {
        let method = method("BTC-LN");
        let msat = |amount: u64| Some(Decimal::from(amount));
        assert!(paid().pays(&method));
        assert!(NodeInvoice { received: msat(1_000_001), ..paid() }.pays(&method), "wallets may pay a little more");
        for less in [
            NodeInvoice { is_paid: false, ..paid() },
            NodeInvoice { received: msat(999_999), ..paid() },
            NodeInvoice { received: None, ..paid() },
            NodeInvoice { paid_at: None, ..paid() },
            NodeInvoice { amount: None, ..paid() },
            NodeInvoice { amount: msat(1_000_001), ..paid() },
            // The BOLT11 over the rest, after a half payment.
            NodeInvoice { amount: msat(500_000), received: msat(500_000), ..paid() },
        ] {
            assert!(!less.pays(&method), "{less:?}");
        }
        for amount in ["0", "-0.00001", "79228162514264337593543950335"] {
            assert!(!paid().pays(&Method { amount: amount.parse().unwrap(), ..method.clone() }), "{amount}");
        }
    }

    #[test]
    fn the_bitcoin_node_is_asked_about_its_own_invoices_alone() {
        for (id, expected) in
            [("BTC-LN", true), ("BTC-LNURL", true), ("BTC-CHAIN", false), ("LTC-LN", false), ("LN", false)]
        {
            assert_eq!(method(id).at_node().is_some(), expected, "{id}");
        }
        assert_eq!(Method { witness: None, ..method("BTC-LN") }.at_node(), None);
    }
}
