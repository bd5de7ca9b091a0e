//! JSON as Newtonsoft.Json takes it: numbers keep their text, members their order, and some texts that are no JSON pass.

use std::{collections::HashMap, fmt::Write};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// A value; a number is its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// What is wrong, and where: members with dots, indices in brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub path: String,
    pub message: String,
    pub line: usize,
    pub position: usize,
}

/// A value and where each of its parts ends: line and position, both as Newtonsoft counts them.
pub struct Document {
    pub value: Json,
    pub ends: HashMap<String, (usize, usize)>,
}

/// Newtonsoft's `MaxDepth` in BTCPay.
pub const DEPTH: usize = 32;

impl Json {
    /// Reads one value; what follows it is ignored.
    #[allow(dead_code)] // for the player of recordings
    pub fn parse(text: &str) -> Result<Json, Fault> {
        Self::parse_within(text, DEPTH)
    }

    /// Reads a value with at most `depth` objects and arrays in each other.
    pub fn parse_within(text: &str, depth: usize) -> Result<Json, Fault> {
        Document::parse(text, depth).map(|document| document.value)
    }

    #[allow(dead_code)] // for the player of recordings
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Money as BTCPay writes it where it writes a number: with its zeros, and with a decimal at least.
    #[allow(dead_code)] // the player of recordings reads only
    pub fn amount(amount: rust_decimal::Decimal) -> Json {
        let text = amount.to_string();
        Json::Number(if text.contains('.') { text } else { text + ".0" })
    }

    /// As a program shows it that reads every fraction into a double.
    #[allow(dead_code)] // for the player of recordings
    pub fn in_doubles(&self) -> Json {
        match self {
            Json::Number(text) if text.contains('.') => {
                text.parse::<f64>().map_or_else(|_| self.clone(), |double| Json::Number(format!("{double:?}")))
            }
            Json::List(items) => Json::List(items.iter().map(Json::in_doubles).collect()),
            Json::Object(members) => {
                Json::Object(members.iter().map(|(name, value)| (name.clone(), value.in_doubles())).collect())
            }
            plain => plain.clone(),
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A member by its name in any case, as BTCPay reads what it knows.
    pub fn member(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => {
                members.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Without blanks.
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(text) => out.push_str(text),
            Json::Text(text) => quote(text, out),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl Document {
    /// Reads one value with at most `depth` objects and arrays in each other; what follows it is ignored.
    pub fn parse(text: &str, depth: usize) -> Result<Document, Fault> {
        let lines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(lines).collect();
        let mut reader = Reader { text: text.as_bytes(), at: 0, path: Vec::new(), depth, lines, ends: HashMap::new() };
        let value = reader.value()?;
        Ok(Document { value, ends: reader.ends })
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Json {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.to_string()),
            Value::String(text) => Json::Text(text.clone()),
            Value::Array(items) => Json::List(items.iter().map(Json::from).collect()),
            Value::Object(members) => {
                Json::Object(members.iter().map(|(name, value)| (name.clone(), value.into())).collect())
            }
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(text) => {
                RawValue::from_string(text.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(items) => serializer.collect_seq(items),
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

enum Step {
    Name(String),
    Index(usize),
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    path: Vec<Step>,
    depth: usize,
    /// Where each line begins.
    lines: Vec<usize>,
    ends: HashMap<String, (usize, usize)>,
}

impl Reader<'_> {
    /// Line and position.
    fn place(&self) -> (usize, usize) {
        let at = self.at.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= at);
        (line, at - self.lines[line - 1])
    }

    fn fault<T>(&self, what: &str) -> Result<T, Fault> {
        let (line, position) = self.place();
        Err(Fault { path: self.shown(), message: what.to_owned(), line, position })
    }

    fn shown(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Name(name) if path.is_empty() => path.push_str(name),
                Step::Name(name) => path.extend([".", name]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    fn blank(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.blank();
        self.text.get(self.at).copied()
    }

    fn value(&mut self) -> Result<Json, Fault> {
        let value = self.any()?;
        self.ends.insert(self.shown(), self.place());
        Ok(value)
    }

    fn any(&mut self) -> Result<Json, Fault> {
        match self.next() {
            None => self.fault("Unexpected end when reading JSON."),
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(quote @ (b'"' | b'\'')) => self.string(quote).map(Json::Text),
            Some(_) => self.word(),
        }
    }

    fn deeper(&self) -> Result<(), Fault> {
        match self.path.len() >= self.depth {
            true => self.fault(&format!("The reader's MaxDepth of {} has been exceeded.", self.depth)),
            false => Ok(()),
        }
    }

    fn object(&mut self) -> Result<Json, Fault> {
        self.deeper()?;
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        loop {
            let name = match self.next() {
                None => return self.fault("Unexpected end when reading JSON."),
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                Some(quote @ (b'"' | b'\'')) => self.string(quote)?,
                Some(c) if c.is_ascii_alphabetic() || c == b'_' => {
                    let begin = self.at;
                    while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
                        self.at += 1;
                    }
                    String::from_utf8_lossy(&self.text[begin..self.at]).into_owned()
                }
                Some(c) => {
                    return self.fault(&format!("Invalid property identifier character: {}.", char::from(c)));
                }
            };
            if self.next() != Some(b':') {
                return self.fault("Invalid character after parsing property name. Expected ':'.");
            }
            self.at += 1;
            self.path.push(Step::Name(name.clone()));
            let value = self.value()?;
            self.path.pop();
            // Of two with the same name the last one counts, at the place of the first.
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => members.push((name, value)),
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                None => return self.fault("Unexpected end when reading JSON."),
                Some(c) => {
                    return self.fault(&format!(
                        "After parsing a value an unexpected character was encountered: {}.",
                        char::from(c)
                    ));
                }
            }
        }
    }

    fn list(&mut self) -> Result<Json, Fault> {
        self.deeper()?;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.next() == Some(b']') {
                self.at += 1;
                return Ok(Json::List(items));
            }
            self.path.push(Step::Index(items.len()));
            let item = self.value()?;
            self.path.pop();
            items.push(item);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => {}
                None => return self.fault("Unexpected end when reading JSON."),
                Some(c) => {
                    return self.fault(&format!(
                        "After parsing a value an unexpected character was encountered: {}.",
                        char::from(c)
                    ));
                }
            }
        }
    }

    fn string(&mut self, quote: u8) -> Result<String, Fault> {
        self.at += 1;
        let mut bytes = Vec::new();
        let mut units: Vec<u16> = Vec::new();
        loop {
            let Some(&c) = self.text.get(self.at) else { return self.fault("Unterminated string.") };
            self.at += 1;
            let escaped = c == b'\\' && self.text.get(self.at) == Some(&b'u');
            if !escaped && !units.is_empty() {
                bytes.extend(String::from_utf16_lossy(&units).bytes());
                units.clear();
            }
            match c {
                _ if c == quote => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    let Some(&c) = self.text.get(self.at) else { return self.fault("Unterminated string.") };
                    self.at += 1;
                    match c {
                        b'n' => bytes.push(b'\n'),
                        b'r' => bytes.push(b'\r'),
                        b't' => bytes.push(b'\t'),
                        b'b' => bytes.push(8),
                        b'f' => bytes.push(12),
                        b'u' => {
                            let digits =
                                self.text.get(self.at..self.at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
                            let Some(unit) = digits.and_then(|hex| u16::from_str_radix(hex, 16).ok()) else {
                                return self.fault("Could not parse Unicode escape.");
                            };
                            self.at += 4;
                            units.push(unit);
                        }
                        other => bytes.push(other),
                    }
                }
                c => bytes.push(c),
            }
        }
    }

    fn word(&mut self) -> Result<Json, Fault> {
        let begin = self.at;
        while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || b"+-._".contains(c)) {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.text[begin..self.at]).unwrap_or_default().to_owned();
        let number =
            word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') && word.parse::<f64>().is_ok();
        match word.as_str() {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            "NaN" | "Infinity" | "-Infinity" => Ok(Json::Number(word)),
            _ if number => Ok(Json::Number(word)),
            _ => {
                self.at = begin;
                let rest = String::from_utf8_lossy(&self.text[begin..]).into_owned();
                let c = rest.chars().next().unwrap_or(' ');
                self.fault(&format!("Unexpected character encountered while parsing value: {c}."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text_and_what_is_no_json_passes() {
        let value =
            Json::parse(r#"{'a': 1.10, "b": [1E-7, 100000000000000000000,], c: "\ud83d\ude00"} behind"#).unwrap();
        assert_eq!(value.compact(), r#"{"a":1.10,"b":[1E-7,100000000000000000000],"c":"😀"}"#);
    }

    #[test]
    fn a_fault_says_where() {
        let fault = Json::parse(r#"{"a": [1, {"b": @}]}"#).unwrap_err();
        assert_eq!((fault.path.as_str(), fault.position), ("a[1].b", 16));
    }
}
