//! Reading what BTCPay may leave out, set to null, or one day write otherwise: a member that decides nothing never keeps
//! the rest from being read.
//!
//! For `#[serde(default, deserialize_with = …)]`. What decides a sale is read strictly, by its own type.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A list as an answer's whole body: see [`list`]. Anything but a list is an error.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(List(readable(&Vec::deserialize(deserializer)?)))
    }
}

/// The value, or its default where it is null or of no form that is known.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// The elements that can be read; none where it is no list. One bad element does not spoil the others.
pub(crate) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let elements: Vec<Box<RawValue>> = or_default(deserializer)?;
    Ok(readable(&elements))
}

fn readable<T: DeserializeOwned>(elements: &[Box<RawValue>]) -> Vec<T> {
    elements.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "or_default")]
        name: String,
        #[serde(default, deserialize_with = "list")]
        numbers: Vec<u32>,
    }

    #[test]
    fn what_is_null_absent_or_odd_is_its_default_and_spoils_nothing() {
        for (json, name, numbers) in [
            (r#"{"name":"a","numbers":[1,2]}"#, "a", &[1, 2][..]),
            (r#"{"name":null,"numbers":null}"#, "", &[]),
            ("{}", "", &[]),
            (r#"{"name":["a"],"numbers":{"1":2}}"#, "", &[]),
            (r#"{"name":7,"numbers":[null,1,"2",{},[],3]}"#, "", &[1, 3]),
        ] {
            let read: Holder = serde_json::from_str(json).unwrap();
            assert_eq!(read, Holder { name: name.into(), numbers: numbers.into() }, "{json}");
        }
        assert_eq!(serde_json::from_str::<List<u32>>("[1,null,2]").unwrap().0, [1, 2]);
        assert!(serde_json::from_str::<List<u32>>("null").is_err());
        assert!(serde_json::from_str::<List<u32>>("{}").is_err());
    }
}
