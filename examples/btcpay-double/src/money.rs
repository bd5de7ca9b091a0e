//! Money as BTCPay writes it: decimal strings out, strings or numbers in.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

/// Digits after the point that a currency knows; `None` for a currency BTCPay has never heard of.
pub fn decimals(currency: &str) -> Option<u32> {
    match currency {
        "BTC" => Some(8),
        "SATS" | "JPY" | "KRW" => Some(0),
        "USD" | "EUR" | "GBP" | "CHF" | "CAD" | "AUD" => Some(2),
        _ => None,
    }
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

/// Rounds to the currency's decimals where that changes the amount by less than 1 %; keeps the scale otherwise.
pub fn round_to_currency(amount: Decimal, currency: &str) -> Decimal {
    let Some(places) = decimals(currency) else { return amount };
    if amount.is_zero() || amount.scale() <= places {
        return amount;
    }
    let rounded = amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    match ((rounded - amount) / amount).abs() < Decimal::new(1, 2) {
        true => rounded,
        false => amount,
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
