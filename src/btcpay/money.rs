//! Money in JSON: decimal strings, or numbers read digit by digit. No floating point on the way.
//!
//! For `#[serde(with = "money")]` and its kin.

use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::value::RawValue;

/// Reads `"10.50"` as well as `10.50`, exactly. Both occur: strings in answers, numbers where an older version wrote them.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    parse(raw.get()).ok_or_else(|| D::Error::custom("expected a decimal number, as a string or bare"))
}

/// Writes a string, with the decimals that the value has: `"0.00010000"`.
pub(crate) fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// As [`deserialize`], for a value that decides nothing: `None` where it is null or no number; with `#[serde(default)]` it may
/// be missing too.
pub(crate) fn optional_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    Ok(parse(Box::<RawValue>::deserialize(deserializer)?.get()))
}

fn parse(json: &str) -> Option<Decimal> {
    let digits = match json.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.trim(),
        None => json,
    };
    // BTCPay's decimals have 96 bits and a scale of 28 at most, just as ours: nothing is rounded.
    Decimal::from_str_exact(digits).or_else(|_| Decimal::from_scientific(digits)).ok()
}

/// A decimal from a text of the code's own.
#[cfg(test)]
pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        amount: Decimal,
        #[serde(default, deserialize_with = "optional_or_none")]
        paid: Option<Decimal>,
    }

    fn amount(json: &str) -> Option<String> {
        let text = format!("{{\"amount\":{json}}}");
        serde_json::from_str::<Holder>(&text).ok().map(|holder| holder.amount.to_string())
    }

    #[test]
    fn every_digit_is_kept() {
        for (json, expected) in [
            (r#""0.00010000""#, "0.00010000"),
            (r#""1000""#, "1000"),
            (r#""-0.5""#, "-0.5"),
            ("0.1", "0.1"),
            // Neither fits into a float.
            ("20999999.97690001", "20999999.97690001"),
            (r#""64392.2300000000000000000001""#, "64392.2300000000000000000001"),
            ("1E-8", "0.00000001"),
        ] {
            assert_eq!(amount(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for json in [r#""""#, r#""ten""#, "null", "true", "{}", r#""1,5""#, r#""NaN""#, r#""1e99""#] {
            assert_eq!(amount(json), None, "{json}");
        }
    }

    #[test]
    fn a_missing_amount_is_not_zero() {
        for (json, expected) in
            [("", None), (r#","paid":null"#, None), (r#","paid":"soon""#, None), (r#","paid":"0""#, Some(decimal("0")))]
        {
            let holder: Holder = serde_json::from_str(&format!(r#"{{"amount":"1"{json}}}"#)).unwrap();
            assert_eq!(holder.paid, expected);
        }
    }
}
