//! Members of a request as BTCPay's simpler routes read them: what has another type counts for nothing.

use rust_decimal::Decimal;
use serde_json::{Number, Value};

use crate::{json::Json, money};

/// A text, or a number as it is written.
pub fn text(request: &Json, name: &str) -> Option<String> {
    match request.member(name) {
        Some(Json::Text(text) | Json::Number(text)) => Some(text.clone()),
        _ => None,
    }
}

/// A decimal number; a text keeps its zeros.
pub fn amount(request: &Json, name: &str) -> Option<Decimal> {
    money::parse(&text(request, name)?)
}

pub fn whole(request: &Json, name: &str) -> Option<i64> {
    text(request, name)?.parse().ok()
}

pub fn flag(request: &Json, name: &str) -> Option<bool> {
    match request.member(name) {
        Some(Json::Bool(flag)) => Some(*flag),
        _ => None,
    }
}

pub fn object(request: &Json, name: &str) -> Option<Value> {
    let found = request.member(name).filter(|value| matches!(value, Json::Object(_)))?;
    serde_json::from_str(&found.compact()).ok()
}

/// An amount as a JSON number, with a decimal at least.
pub fn number(amount: Decimal) -> Value {
    amount.to_string().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_type_counts_for_nothing() {
        let request = Json::parse(r#"{"a": "1.00", "b": 2, "c": true, "d": {"e": 1.5}, "f": [1]}"#).unwrap();
        assert_eq!((text(&request, "a").as_deref(), text(&request, "B").as_deref()), (Some("1.00"), Some("2")));
        assert_eq!(amount(&request, "a").map(|amount| amount.to_string()).as_deref(), Some("1.00"));
        assert_eq!((whole(&request, "b"), whole(&request, "a"), flag(&request, "c")), (Some(2), None, Some(true)));
        assert_eq!(object(&request, "d"), Some(serde_json::json!({"e": 1.5})));
        assert_eq!((text(&request, "f"), flag(&request, "a"), object(&request, "f")), (None, None, None));
        assert_eq!(number(Decimal::new(500, 2)).to_string(), "5.0");
    }
}
