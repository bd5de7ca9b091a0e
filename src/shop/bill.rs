//! What is still to be paid of an invoice, and how: each way by its own name, amount and address.
//!
//! What to pay is always a method's `due`, never the price: it differs between methods, for BTCPay adds a network fee to
//! further on-chain payments, and it shrinks with each payment.

use rust_decimal::Decimal;

use super::invoice::{BTC, CHAIN, Invoice, Kind, LIGHTNING, LNURL, Method, Payment, PaymentStatus, Tolerance};
use super::machine::bolt11::Bolt11;
use super::money::decimals_of_btc;

/// Coins by BTCPay's codes, where the name says more.
const COINS: [(&str, &str); 8] = [
    (BTC, "Bitcoin"),
    ("LBTC", "Liquid"),
    ("LTC", "Litecoin"),
    ("XMR", "Monero"),
    ("DOGE", "Dogecoin"),
    ("DASH", "Dash"),
    ("ZEC", "Zcash"),
    ("ETH", "Ethereum"),
];

/// A method's name for people: "Lightning", "Monero"; the id where nothing better is known.
pub(crate) fn name(id: &str) -> String {
    let (coin, kind) = id.split_once('-').unwrap_or((id, ""));
    let coin_name = COINS.iter().find(|(code, _)| *code == coin).map_or(coin, |(_, name)| name);
    match (coin, kind) {
        (BTC, LIGHTNING) => "Lightning".into(),
        (BTC, LNURL) => "Lightning (LNURL)".into(),
        (_, LIGHTNING | LNURL) => format!("{coin_name} Lightning"),
        (_, CHAIN) => coin_name.into(),
        _ => id.into(),
    }
}

/// Whole satoshis of an amount of bitcoin; BTCPay never asks for a part of one.
pub(crate) fn satoshis(btc: Decimal) -> Option<Decimal> {
    let sats = btc.checked_mul(Decimal::from(10_u64.pow(decimals_of_btc())))?;
    Some(sats.normalize()).filter(Decimal::is_integer)
}

impl Method {
    /// Whether something is to be paid this way.
    pub(crate) fn is_due(&self) -> bool {
        self.due > Decimal::ZERO
    }

    /// What is due in satoshis, if it is due in bitcoin.
    pub(crate) fn due_satoshis(&self) -> Option<Decimal> {
        if self.currency == BTC { satoshis(self.due) } else { None }
    }

    /// BOLT11 or address, while something is due. No BOLT11 over more than that: BTCPay lists the old one for a moment after a
    /// payment of a part, and for good if its node was away then; a wallet is refused by it, or pays too much.
    pub(crate) fn payable_to(&self) -> Option<&str> {
        let text = self.destination.as_deref().filter(|text| !text.is_empty() && self.is_due())?;
        let asked = Bolt11::parse(text).ok().filter(|_| self.kind() == Kind::Lightning);
        let too_much = asked.zip(self.due_satoshis()).is_some_and(|(asked, due)| Decimal::from(asked.satoshi()) > due);
        (!too_much).then_some(text)
    }

    /// What a wallet opens, while something is due.
    pub(crate) fn uri(&self) -> Option<String> {
        match self.kind() {
            Kind::Lightning if self.is_btc() => self.payable_to().map(|bolt11| format!("lightning:{bolt11}")),
            // BTCPay's own link may hold more; what is wanted here is the address and the amount.
            Kind::Bitcoin => {
                self.payable_to().map(|address| format!("bitcoin:{address}?amount={}", self.due.normalize()))
            }
            _ => self.link.clone().filter(|link| self.is_due() && link.contains(':')),
        }
    }
}

impl Invoice {
    /// The method of Bitcoin's that is of this kind, while something is due by it.
    pub(crate) fn payable_by(&self, kind: Kind) -> Option<&Method> {
        self.methods.iter().find(|method| method.kind() == kind && method.is_btc() && method.payable_to().is_some())
    }

    /// BIP 21 with a Lightning invoice: every wallet finds what it knows. The keys stay in small letters, for capital ones lose
    /// the amount in some wallets.
    pub(crate) fn unified(&self) -> Option<String> {
        let (onchain, lightning) = (self.payable_by(Kind::Bitcoin)?, self.payable_by(Kind::Lightning)?);
        Some(format!("{}&lightning={}", onchain.uri()?, lightning.payable_to()?))
    }

    /// What was paid of the price in the invoice's currency, without network fees: all that is seen, or what is confirmed.
    pub(crate) fn paid(&self, only_confirmed: bool) -> Decimal {
        let counts = |status: PaymentStatus| match status {
            PaymentStatus::Settled => true,
            PaymentStatus::Processing => !only_confirmed,
            PaymentStatus::Invalid => false,
        };
        let payments = self.payments.iter().flatten().filter(|payment| counts(payment.status));
        payments
            .filter_map(|payment| payment.worth(Tolerance::None))
            .fold(Decimal::ZERO, |sum, worth| sum.checked_add(worth).unwrap_or(sum))
    }

    /// Whether any payment of it was seen that is not known to be worthless.
    pub(crate) fn holds_money(&self) -> bool {
        self.payments.iter().flatten().any(|payment| payment.status != PaymentStatus::Invalid)
    }

    /// What was paid beyond the price, in the invoice's currency. Less than a satoshi is no surplus: BTCPay asks for whole ones, and
    /// rounds up.
    pub(crate) fn surplus(&self) -> Option<Decimal> {
        let satoshi = |payment: &Payment| payment.rate.checked_mul(Decimal::new(1, decimals_of_btc()));
        let rounded = self.payments.iter().flatten().filter_map(satoshi).max()?;
        self.paid(false).checked_sub(self.amount).filter(|surplus| *surplus > Decimal::ZERO && *surplus >= rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(id: &str, due: &str, destination: &str, link: &str) -> Method {
        let (currency, due) = (id.split('-').next().unwrap().into(), due.parse().unwrap());
        let (destination, link) = (Some(destination.into()), Some(link.into()));
        Method { id: id.into(), currency, rate: Decimal::ONE, amount: due, due, destination, link, witness: None }
    }

    #[test]
    fn each_way_has_its_own_name_and_uri() {
        for (id, kind, called, uri) in [
            ("BTC-LN", Kind::Lightning, "Lightning", "lightning:dest"),
            ("BTC-LNURL", Kind::Lnurl, "Lightning (LNURL)", "link:1"),
            ("BTC-CHAIN", Kind::Bitcoin, "Bitcoin", "bitcoin:dest?amount=0.0003045"),
            ("XMR-CHAIN", Kind::Other, "Monero", "link:1"),
            ("LTC-CHAIN", Kind::Other, "Litecoin", "link:1"),
            ("LTC-LN", Kind::Lightning, "Litecoin Lightning", "link:1"),
            ("ABC-CHAIN", Kind::Other, "ABC", "link:1"),
            ("Stablecoin", Kind::Other, "Stablecoin", "link:1"),
        ] {
            let method = method(id, "0.00030450", "dest", "link:1");
            assert_eq!((method.kind(), name(id).as_str(), method.uri().as_deref()), (kind, called, Some(uri)), "{id}");
        }
    }

    #[test]
    fn what_is_due_is_asked_for_and_nothing_else() {
        let paid = method("BTC-CHAIN", "0", "dest", "bitcoin:dest");
        assert_eq!((paid.uri(), paid.payable_to(), paid.is_due()), (None, None, false));
        let overpaid = method("BTC-LN", "-0.00001", "lnbc", "lightning:lnbc");
        assert_eq!((overpaid.uri(), overpaid.due_satoshis()), (None, Some((-1000).into())));
        // No link, no address: BTCPay's page is what is left.
        let lazy = Method { destination: None, link: Some(String::new()), ..method("BTC-LNURL", "1", "", "") };
        assert_eq!((lazy.uri(), lazy.payable_to()), (None, None));
    }

    #[test]
    fn no_lightning_invoice_over_more_than_is_due_is_shown() {
        let recorded = include_str!("../../examples/btcpay-double/recorded/half-chain-rest-lightning.json");
        let over = |prefix| recorded.split('"').find(|text| text.starts_with(prefix)).unwrap();
        let (whole, rest) = (over("lnbcrt600u1"), over("lnbcrt300u1"));
        for (bolt11, due, shown) in
            [(whole, "0.0006", true), (whole, "0.0003", false), (rest, "0.0003", true), (rest, "0.0006", true)]
        {
            let method = method("BTC-LN", due, bolt11, "");
            assert_eq!((method.payable_to().is_some(), method.uri().is_some()), (shown, shown), "{due}: {bolt11}");
        }
    }

    #[test]
    fn satoshis_are_whole_or_not_told() {
        for (btc, sats) in
            [("0.00002", Some("2000")), ("0.00000001", Some("1")), ("21000000", Some("2100000000000000"))]
        {
            assert_eq!(satoshis(btc.parse().unwrap()).map(|sats| sats.to_string()).as_deref(), sats, "{btc}");
        }
        assert_eq!(satoshis("0.000000001".parse().unwrap()), None);
        assert_eq!(satoshis(Decimal::MAX), None);
    }
}
