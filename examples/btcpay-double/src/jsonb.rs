//! What becomes of metadata in a Postgres JSONB column read by Newtonsoft.Json.

use serde::{Serialize, Serializer, ser::SerializeMap, ser::SerializeSeq};
use serde_json::Value;

/// Metadata as stored: keys ordered by length, then by bytes, whatever order they came in.
#[derive(Clone, Debug, Default)]
pub struct Jsonb(Value);

impl Jsonb {
    /// `Err` for a value that Postgres refuses: a NUL anywhere.
    pub fn store(mut value: Value) -> Result<Self, &'static str> {
        settle(&mut value)?;
        Ok(Jsonb(value))
    }

    pub fn value(&self) -> &Value {
        &self.0
    }
}

fn settle(value: &mut Value) -> Result<(), &'static str> {
    match value {
        Value::String(text) if text.contains('\0') => Err("unsupported Unicode escape sequence"),
        Value::String(text) => {
            if let Some(shorter) = shorter_date(text) {
                *text = shorter;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(settle),
        Value::Object(fields) if fields.keys().any(|key| key.contains('\0')) => {
            Err("unsupported Unicode escape sequence")
        }
        Value::Object(fields) => fields.values_mut().try_for_each(settle),
        _ => Ok(()),
    }
}

/// `2026-01-02T03:04:05.000Z` loses the zeros: the JSON library takes it for a date and writes it anew.
fn shorter_date(text: &str) -> Option<String> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let shape: String = whole.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "0000-00-00T00:00:00" || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match fraction.trim_end_matches('0') {
        "" => Some(format!("{whole}Z")),
        kept => Some(format!("{whole}.{kept}Z")),
    }
}

impl Serialize for Jsonb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored(&self.0).serialize(serializer)
    }
}

struct Stored<'a>(&'a Value);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut keys: Vec<_> = fields.iter().collect();
                keys.sort_by_key(|(key, _)| (key.len(), key.as_str()));
                let mut map = serializer.serialize_map(Some(keys.len()))?;
                for (key, value) in keys {
                    map.serialize_entry(key, &Stored(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Stored(item))?;
                }
                seq.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_is_lost_and_dates_are_rewritten() {
        let stored =
            Jsonb::store(json!({"orderId": "a", "itemDesc": "b", "gate": {"ref": 1, "v": "2026-01-02T03:04:05.000Z"}}))
                .unwrap();
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(text, r#"{"gate":{"v":"2026-01-02T03:04:05Z","ref":1},"orderId":"a","itemDesc":"b"}"#);
        assert!(Jsonb::store(json!({"a": ["\0"]})).is_err());
    }
}
