//! Prices: exact decimals with a currency, from text to text. No floating point anywhere.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use rust_decimal::{Decimal, RoundingStrategy};
use thiserror::Error;

/// Shortest currency code.
const MIN_CODE_LEN: usize = 3;
/// Longest currency code: BTCPay knows some beyond ISO 4217.
const MAX_CODE_LEN: usize = 10;
/// Most digits before the decimal point: every sum and product of prices then fits into a [`Decimal`].
const MAX_WHOLE_DIGITS: usize = 15;
/// Decimals of bitcoin: one satoshi is its smallest unit.
const BTC_DECIMALS: u32 = 8;
/// Below so many satoshis BTCPay leaves on-chain out of an invoice. Seen with 2.4.1 and a SegWit wallet; up to 546 with others.
pub(crate) const LEAST_ONCHAIN_SATS: i64 = 294;
const BTC: &str = "BTC";
/// Satoshis, BTCPay's name for them.
const SATS: &str = "SATS";
/// How many decimals BTCPay Server keeps of an amount in each currency that it knows. Seen with 2.4.1, asking for 1234.5678 in
/// each; ISO 4217 has others for ARS, COP, IQD, RSD and more. Those that BTCPay does not round have ISO's, which it keeps.
const DECIMALS: &[(u32, &str)] = &[
    (0, "SATS"),
    (
        0,
        "AFN ALL ARS CLP COP IQD IRR ISK JPY KRW LAK LBP MMK PYG RSD RWF SOS SYP VND XAF XOF YER \
         BIF DJF GNF KMF UGX UYI VUV XPF",
    ),
    (
        2,
        "AED AMD AUD AZN BAM BDT BGN BND BOB BRL BTN BYN BZD CAD CDF CHF CNY CRC CUP CZK DKK DOP DZD EGP ERN ETB EUR GBP \
         GEL GTQ HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KZT LKR MAD MDL MKD MNT MXN MYR NGN NIO NOK NPR NZD PAB PEN \
         PHP PKR PLN QAR RON RUB SAR SEK SGD THB TMT TRY TTD UAH USD UYU UZS VES ZAR \
         ANG AOA AWG BBD BMD BSD BWP CVE FJD FKP GHS GIP GMD GYD KPW KYD LRD LSL MGA MOP MRU MUR MVR MWK MZN NAD PGK SBD \
         SCR SDG SHP SLE SRD SSP STN SVC SZL TJS TOP TWD TZS VED WST XCD ZMW ZWL",
    ),
    (3, "BHD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
    (BTC_DECIMALS, BTC),
];
/// A currency's code as BTCPay knows it: `BTC`, `SATS`, or one of ISO 4217, in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(ArrayString<MAX_CODE_LEN>);

/// An amount of money that somebody asks for: more than zero, no finer than its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    value: Decimal,
    currency: Currency,
}

/// Why a text is no [`Currency`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CurrencyError {
    /// Not of the form of a code.
    #[error("{0:?} is no currency code; write it in capitals, like \"SATS\", \"BTC\" or \"USD\"")]
    NoCode(String),
    /// A code that BTCPay has no decimals for: with a rate rule it takes any text for a currency, without one it refuses the sale.
    #[error(
        "{0:?} is no currency that BTCPay Server knows; write \"SATS\", \"BTC\", or a code of ISO 4217 that is in use"
    )]
    Unknown(String),
}

/// Why a text is no [`Price`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum PriceError {
    /// Not digits with at most one decimal point.
    #[error("{0:?} is no price; write digits and at most one decimal point, like \"100\" or \"5.00\"")]
    NotDecimal(String),
    /// Zero, or less.
    #[error("a price of {0} would give the video away; it has to be more than zero")]
    NotPositive(String),
    /// Finer than the currency.
    #[error("{price} is finer than {currency}, which has {} in BTCPay; write {rounded}", decimals(*.allowed))]
    TooFine {
        /// The price as it was written.
        price: String,
        /// Its currency.
        currency: Currency,
        /// How many decimals that has.
        allowed: u32,
        /// The nearest price that is not.
        rounded: Decimal,
    },
    /// More digits than any price needs.
    #[error("{0} is beyond {MAX_WHOLE_DIGITS} digits before the decimal point")]
    TooLarge(String),
}

fn decimals(allowed: u32) -> String {
    match allowed {
        0 => "no decimals".into(),
        some => format!("{some} decimals"),
    }
}

impl Price {
    /// Reads a price as it stands in the configuration.
    pub(crate) fn parse(text: &str, currency: Currency) -> Result<Price, PriceError> {
        if let Some(positive) = text.strip_prefix('-')
            && is_decimal(positive)
        {
            return Err(PriceError::NotPositive(text.into()));
        }
        if !is_decimal(text) {
            return Err(PriceError::NotDecimal(text.into()));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.trim_start_matches('0').len() > MAX_WHOLE_DIGITS {
            return Err(PriceError::TooLarge(text.into()));
        }
        let allowed = currency.decimals();
        if fraction.len() > allowed as usize {
            // More digits than a Decimal holds are far below any decimal that counts.
            let value = Decimal::from_str(text).map_err(|_| PriceError::NotDecimal(text.into()))?;
            // As BTCPay rounds: 5.005 to 5.01.
            let rounded = value.round_dp_with_strategy(allowed, RoundingStrategy::MidpointAwayFromZero);
            let rounded = rounded.max(Decimal::new(1, allowed));
            return Err(PriceError::TooFine { price: text.into(), currency, allowed, rounded });
        }
        let value = Decimal::from_str_exact(text).map_err(|_| PriceError::NotDecimal(text.into()))?;
        if value.is_zero() {
            return Err(PriceError::NotPositive(text.into()));
        }
        Ok(Price { value, currency })
    }

    /// The amount.
    pub(crate) fn value(&self) -> Decimal {
        self.value
    }

    /// The amount's currency.
    pub(crate) fn currency(&self) -> Currency {
        self.currency
    }

    /// The same price as BTCPay is asked for it: satoshis as bitcoin with 8 decimals, which no store spread changes.
    pub(crate) fn as_invoiced(&self) -> Price {
        let mut value = self.value;
        match self.currency.as_str() {
            // A whole number of satoshis: moving its decimal point is the conversion.
            SATS => {
                let moved = value.set_scale(BTC_DECIMALS);
                debug_assert!(moved.is_ok(), "8 decimals are within what a Decimal can have");
                Price { value, currency: Currency::btc() }
            }
            BTC => {
                value.rescale(BTC_DECIMALS);
                Price { value, currency: self.currency }
            }
            _ => *self,
        }
    }
}

/// Digits, and behind a point more digits.
fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

/// How many decimals bitcoin has.
pub(crate) fn decimals_of_btc() -> u32 {
    BTC_DECIMALS
}

/// Reads an amount that BTCPay tells: a decimal in text, negative and long ones included.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if is_decimal(digits) { text.parse().ok() } else { None }
}

impl Currency {
    /// The currency of an order that this shop signed, also one that it would no longer take up into its configuration.
    pub(crate) fn of_order(code: &str) -> Option<Currency> {
        match code.parse() {
            Ok(currency) => Some(currency),
            Err(CurrencyError::Unknown(code)) => ArrayString::from(&code).ok().map(Currency),
            Err(CurrencyError::NoCode(_)) => None,
        }
    }

    fn btc() -> Currency {
        Currency(ArrayString::from(BTC).unwrap_or_default())
    }

    /// How many decimals BTCPay keeps of an amount of it (bitcoin 8, satoshis none).
    pub(crate) fn decimals(&self) -> u32 {
        known_decimals(self.as_str()).unwrap_or_default()
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;
    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let fits = text.len() >= MIN_CODE_LEN && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let code = if fits { ArrayString::from(text).ok() } else { None };
        let code = code.ok_or_else(|| CurrencyError::NoCode(text.into()))?;
        known_decimals(&code).map(|_| Currency(code)).ok_or_else(|| CurrencyError::Unknown(text.into()))
    }
}

fn known_decimals(code: &str) -> Option<u32> {
    DECIMALS.iter().find(|(_, codes)| codes.split(' ').any(|known| known == code)).map(|(decimals, _)| *decimals)
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str, currency: &str) -> Result<Price, PriceError> {
        Price::parse(text, currency.parse().unwrap())
    }

    #[test]
    fn a_price_keeps_its_digits() {
        for (text, currency) in
            [("100", "SATS"), ("5.00", "USD"), ("0.00000001", "BTC"), ("500", "JPY"), ("1.5", "EUR")]
        {
            assert_eq!(price(text, currency).unwrap().value().to_string(), text);
        }
    }

    #[test]
    fn satoshis_are_invoiced_as_bitcoin_with_8_decimals() {
        for (text, currency, invoiced) in [
            ("100", "SATS", "0.00000100 BTC"),
            ("1", "SATS", "0.00000001 BTC"),
            ("2100000000000000", "SATS", "too large"),
            ("210000000000000", "SATS", "2100000.00000000 BTC"),
            ("0.0001", "BTC", "0.00010000 BTC"),
            ("5.00", "USD", "5.00 USD"),
        ] {
            let got = price(text, currency).map(|price| price.as_invoiced());
            let got = got.map(|price| format!("{} {}", price.value(), price.currency()));
            assert_eq!(got.unwrap_or("too large".into()), invoiced);
        }
    }

    #[test]
    fn what_is_no_price_is_refused_by_its_reason() {
        for (text, currency, reason) in [
            ("0", "SATS", "a price of 0 would give the video away; it has to be more than zero"),
            ("0.00", "USD", "a price of 0.00 would give the video away; it has to be more than zero"),
            ("-5", "USD", "a price of -5 would give the video away; it has to be more than zero"),
            ("100.5", "SATS", "100.5 is finer than SATS, which has no decimals in BTCPay; write 101"),
            ("5.000", "USD", "5.000 is finer than USD, which has 2 decimals in BTCPay; write 5.00"),
            ("1.0", "JPY", "1.0 is finer than JPY, which has no decimals in BTCPay; write 1"),
            ("0.000000001", "BTC", "0.000000001 is finer than BTC, which has 8 decimals in BTCPay; write 0.00000001"),
            // BTCPay would make 1000, 500 and 1001 of these, and no sale would come to its end.
            ("999.99", "ARS", "999.99 is finer than ARS, which has no decimals in BTCPay; write 1000"),
            ("499.90", "RSD", "499.90 is finer than RSD, which has no decimals in BTCPay; write 500"),
            ("1000.555", "IQD", "1000.555 is finer than IQD, which has no decimals in BTCPay; write 1001"),
            ("5.005", "USD", "5.005 is finer than USD, which has 2 decimals in BTCPay; write 5.01"),
            ("1000000000000000", "USD", "1000000000000000 is beyond 15 digits before the decimal point"),
        ] {
            assert_eq!(price(text, currency).unwrap_err().to_string(), reason);
        }
        for text in ["", ".", "1.", ".5", "1e3", "+5", "1_000", "1,000", " 5", "5 ", "0x10", "NaN", "٣", "--5", "1.2.3"]
        {
            assert_eq!(price(text, "USD"), Err(PriceError::NotDecimal(text.into())), "{text:?}");
        }
    }

    #[test]
    fn a_currency_is_a_code_in_capitals() {
        for code in ["BTC", "SATS", "USD", "ARS", "ZWL", "CLF"] {
            assert_eq!(code.parse::<Currency>().unwrap().as_str(), code);
        }
        for code in ["", "US", "usd", "U$D", "EURO EURO", "€", "TOOLONGCODE"] {
            assert_eq!(code.parse::<Currency>(), Err(CurrencyError::NoCode(code.into())));
        }
        for code in ["ZZZ", "USDT", "EURO", "SAT", "XBT"] {
            assert_eq!(code.parse::<Currency>(), Err(CurrencyError::Unknown(code.into())));
            // What was sold in it before stays sold.
            assert_eq!(Currency::of_order(code).unwrap().as_str(), code);
        }
    }

    #[test]
    fn what_btcpay_tells_is_read_as_decimals_only() {
        for text in ["1000", "1000.0", "0.00001000", "-0.5"] {
            assert_eq!(decimal(text).unwrap().to_string(), text);
        }
        for text in ["", "1e3", "NaN", "0x1", "1,0", "-", "1_0"] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }
}
