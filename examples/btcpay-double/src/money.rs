//! Money as BTCPay writes it: decimal strings out, strings or numbers in.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

/// Currencies by the decimals that BTCPay leaves them; it does not round the others. ARS, COP and the crypto currencies are its own
/// table, the rest is the host's ICU data (72).
const DECIMALS: [(u32, &str); 4] = [
    (0, "AFN ALL ARS CLP COP IQD IRR ISK JPY KRW LAK LBP MMK PYG RSD RWF SATS SOS SYP VND XAF XOF YER"),
    (
        2,
        "AED AMD AUD AZN BAM BDT BGN BND BOB BRL BTN BYN BZD CAD CDF CHF CNY CRC CUP CZK DKK DOP DZD EGP ERN ETB EUR GBP GEL GTQ \
         HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KZT LKR MAD MDL MKD MNT MXN MYR NGN NIO NOK NPR NZD PAB PEN PHP PKR PLN \
         QAR RON RUB SAR SEK SGD THB TMT TRY TTD UAH USD UYU UZS VES ZAR",
    ),
    (3, "BHD JOD KWD LYD OMR TND"),
    (8, "BTC"),
];

/// Digits after the point that BTCPay leaves a currency; `None` where it does not round.
pub fn decimals(currency: &str) -> Option<u32> {
    let known = DECIMALS.iter().find(|(_, currencies)| currencies.split(' ').any(|known| known == currency));
    known.map(|(decimals, _)| *decimals)
}

/// A text as .NET reads a decimal: blanks around it, a sign, commas between thousands, an exponent.
pub fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (whole, rest) = text.split_at(text.find(['.', 'e', 'E']).unwrap_or(text.len()));
    if rest.contains([',', '_']) || whole.contains('_') || !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain = format!("{}{rest}", whole.replace(',', ""));
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    let read = plain.parse().or_else(|_| Decimal::from_scientific(plain)).ok();
    // Too small to be told from nothing.
    read.or_else(|| plain.parse::<f64>().ok().filter(|tiny| tiny.abs() < 1e-28).map(|_| Decimal::ZERO))
}

/// Reads a JSON string or number. `Ok(None)` for `null` and absent.
pub fn read(value: Option<&Value>) -> Result<Option<Decimal>, String> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => return Err(format!("{other} is no number")),
    };
    text.parse().or_else(|_| Decimal::from_scientific(&text)).map(Some).map_err(|_| format!("\"{text}\" is no number"))
}

/// Rounds to the currency's decimals, half away from zero; with a decimal more as long as that would change 1 % or more.
pub fn round_to_currency(amount: Decimal, currency: &str) -> Decimal {
    let Some(places) = decimals(currency) else { return amount };
    if amount.is_zero() {
        return amount;
    }
    let tries = (places..=28).map(|places| {
        if amount.scale() <= places {
            return amount;
        }
        amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
    });
    let mut near = tries.filter(|rounded| ((*rounded - amount) / amount).abs() < Decimal::new(1, 2));
    near.next().unwrap_or(amount)
}

/// What was paid: no more decimals than the currency has.
pub fn at_most(amount: Decimal, currency: &str) -> Decimal {
    match decimals(currency) {
        Some(places) if amount.scale() > places => amount.round_dp(places),
        _ => amount,
    }
}

/// Rounds towards more: a buyer never pays less than the price.
pub fn round_up(amount: Decimal, places: u32) -> Decimal {
    amount.round_dp_with_strategy(places, RoundingStrategy::ToPositiveInfinity)
}

/// A computed value, trailing zeros gone.
pub fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn reads_strings_and_numbers() {
        assert_eq!(read(Some(&json!("0.00010000"))).unwrap().unwrap().to_string(), "0.00010000");
        assert_eq!(read(Some(&json!(1e-8))).unwrap().unwrap(), dec("0.00000001"));
        assert_eq!(read(Some(&json!(null))).unwrap(), None);
        assert!(read(Some(&json!("ten"))).is_err());
        assert!(read(Some(&json!([1]))).is_err());
    }

    #[test]
    fn rounds_only_what_hardly_changes() {
        assert_eq!(round_to_currency(dec("10.004"), "USD"), dec("10.00"));
        assert_eq!(round_to_currency(dec("0.004"), "USD"), dec("0.004"));
        assert_eq!(round_to_currency(dec("0.00010000"), "BTC").to_string(), "0.00010000");
    }
}
