//! What becomes of metadata: read by Newtonsoft.Json, kept in a Postgres JSONB column, and read again.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::{json::Json, zone};

/// Metadata as it is stored and shown from the second time on: keys ordered by length, then by bytes; dates are UNIX seconds.
#[derive(Clone, Debug)]
pub struct Jsonb {
    stored: Json,
    value: serde_json::Value,
    /// What the answer to the creation shows: the order in which it came, dates as dates.
    first: Json,
    /// What the first event has: as read from the request, dates as in the database.
    created: Json,
}

impl Default for Jsonb {
    fn default() -> Self {
        let empty = || Json::Object(vec![]);
        Jsonb { stored: empty(), value: serde_json::json!({}), first: empty(), created: empty() }
    }
}

impl Jsonb {
    /// `zone`: the host's, for dates without one. `Err` for a value that Postgres refuses: a NUL anywhere.
    pub fn store(value: &Json, zone: &str) -> Result<Self, &'static str> {
        if nul(value) {
            return Err("unsupported Unicode escape sequence");
        }
        let first = read(value, zone, false);
        let stored = sorted(&read(value, zone, true));
        let parsed = serde_json::from_str(&stored.compact()).unwrap_or_default();
        let created = events_first(value, zone);
        Ok(Jsonb { stored, value: parsed, first, created })
    }

    pub fn value(&self) -> &serde_json::Value {
        &self.value
    }

    pub fn created(&self) -> &Json {
        &self.created
    }

    pub fn first(&self) -> &Json {
        &self.first
    }
}

impl Serialize for Jsonb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.stored.serialize(serializer)
    }
}

/// Numbers as at first, dates as later.
fn events_first(value: &Json, zone: &str) -> Json {
    match value {
        Json::Text(text) => {
            Date::read(text).map_or_else(|| value.clone(), |date| Json::Number(date.seconds(zone).to_string()))
        }
        Json::Number(text) => number(text, false),
        Json::List(items) => Json::List(items.iter().map(|item| events_first(item, zone)).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), events_first(value, zone))).collect())
        }
        plain => plain.clone(),
    }
}

/// `taxIncluded` is brought between 0 and the amount.
pub fn with_tax_in_bounds(metadata: &Json, amount: Decimal) -> Json {
    let Json::Object(members) = metadata else { return metadata.clone() };
    let bounded = members.iter().map(|(name, value)| match value {
        Json::Number(text) if name == "taxIncluded" => {
            let tax = text.parse::<Decimal>().unwrap_or(amount).clamp(Decimal::ZERO, amount.max(Decimal::ZERO));
            let text = if tax.is_zero() { "0.0".into() } else { tax.to_string() };
            (name.clone(), Json::Number(text))
        }
        other => (name.clone(), other.clone()),
    });
    Json::Object(bounded.collect())
}

fn nul(value: &Json) -> bool {
    match value {
        Json::Text(text) => text.contains('\0'),
        Json::List(items) => items.iter().any(nul),
        Json::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || nul(value)),
        _ => false,
    }
}

/// `again`: as read from the database, no longer as read from the request.
fn read(value: &Json, zone: &str, again: bool) -> Json {
    match value {
        Json::Number(text) => number(text, again),
        Json::Text(text) => match (Date::read(text), again) {
            (Some(date), true) => Json::Number(date.seconds(zone).to_string()),
            (Some(date), false) => Json::Text(date.shown(zone)),
            (None, _) => Json::Text(text.clone()),
        },
        Json::List(items) => Json::List(items.iter().map(|item| read(item, zone, again)).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), read(value, zone, again))).collect())
        }
        plain => plain.clone(),
    }
}

/// Integers stay; everything else is a double, and Postgres writes a large one out.
fn number(text: &str, again: bool) -> Json {
    let integer = text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    // An amount that BTCPay itself put there keeps its scale at first.
    let own = !again && text.starts_with("0.") && text.ends_with('0');
    if integer || own && text.len() > 9 {
        return Json::Number(text.to_owned());
    }
    let double: f64 = text.parse().unwrap_or_default();
    if double.is_infinite() {
        return Json::Text(if double > 0.0 { "Infinity" } else { "-Infinity" }.into());
    }
    match again {
        true if double.abs() >= 1e15 => Json::Number(written_out(double)),
        true if double == 0.0 => Json::Number("0.0".into()),
        _ => Json::Number(dotnet(double)),
    }
}

/// A double as .NET writes it: the shortest digits, with an exponent below 0.0001 and from 10^15 on.
fn dotnet(double: f64) -> String {
    let scientific = format!("{double:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..15 => {
            let plain = format!("{double}");
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        _ => format!("{digits}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// The shortest digits of a large double, and zeros.
fn written_out(double: f64) -> String {
    let scientific = format!("{double:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let zeros = exponent.parse::<usize>().unwrap_or_default().saturating_sub(places);
    format!("{}{}", digits.replace('.', ""), "0".repeat(zeros))
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::List(items) => Json::List(items.iter().map(sorted).collect()),
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
            Json::Object(members)
        }
        plain => plain.clone(),
    }
}

/// A text that Newtonsoft.Json takes for a date.
struct Date {
    /// Seconds since 1970 of what the text says, whatever zone that is in.
    local: i64,
    /// Digits after the point, without zeros at their end.
    fraction: String,
    /// Seconds ahead of UTC; `None` where the text says nothing.
    ahead: Option<i64>,
    utc: bool,
}

impl Date {
    fn read(text: &str) -> Option<Date> {
        if let Some(millis) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
            let seconds = millis.parse::<i64>().ok()?.div_euclid(1000);
            return Some(Date { local: seconds, fraction: String::new(), ahead: Some(0), utc: true });
        }
        let shape: String = text.get(..19)?.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        if shape != "0000-00-00T00:00:00" {
            return None;
        }
        let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
        let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut rest = &text[19..];
        let mut fraction = String::new();
        if let Some(after) = rest.strip_prefix('.') {
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            if length == 0 || length > 7 {
                return None;
            }
            fraction = after[..length].trim_end_matches('0').to_owned();
            rest = &after[length..];
        }
        let (ahead, utc) = match rest {
            "" => (None, false),
            "Z" => (Some(0), true),
            offset if offset.len() == 6 && offset.is_ascii() => {
                let sign = match offset.as_bytes()[0] {
                    b'+' => 1,
                    b'-' => -1,
                    _ => return None,
                };
                let (hours, minutes) = (offset[1..3].parse::<i64>().ok()?, offset[4..].parse::<i64>().ok()?);
                (Some(sign * (hours * 3600 + minutes * 60)), false)
            }
            _ => return None,
        };
        let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Date { local, fraction, ahead, utc })
    }

    fn seconds(&self, zone: &str) -> i64 {
        self.local - self.ahead.unwrap_or_else(|| zone::offset(zone, self.local))
    }

    /// One with an offset is shown in the server's zone.
    fn shown(&self, zone: &str) -> String {
        let fraction = if self.fraction.is_empty() { String::new() } else { format!(".{}", self.fraction) };
        match self.ahead {
            None => format!("{}{fraction}", written(self.local)),
            Some(_) if self.utc => format!("{}{fraction}Z", written(self.local)),
            Some(ahead) => {
                let moment = self.local - ahead;
                let offset = zone::offset(zone, moment);
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.abs() / 60;
                format!("{}{fraction}{sign}{:02}:{:02}", written(moment + offset), minutes / 60, minutes % 60)
            }
        }
    }
}

/// Days since 1970 in the Gregorian calendar.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year - era * 400;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `2026-01-02T03:04:05`.
pub fn written(seconds: i64) -> String {
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.max(0).unsigned_abs());
    // `Fri, 02 Jan 2026 03:04:05 GMT`
    let text = httpdate::fmt_http_date(moment);
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|month| *month == &text[8..11]).map_or(1, |position| position + 1);
    format!("{}-{month:02}-{}T{}", &text[12..16], &text[5..7], &text[17..25])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(metadata: &str) -> (String, String) {
        let stored = Jsonb::store(&Json::parse(metadata).unwrap(), "Asia/Kolkata").unwrap();
        (stored.first.compact(), stored.stored.compact())
    }

    #[test]
    fn order_is_lost_and_dates_become_seconds() {
        let (first, later) =
            both(r#"{"orderId":"a","v":"2026-01-02T03:04:05.120Z","gate":{"ref":1,"d":"2026-01-02T03:04:05"}}"#);
        assert_eq!(
            first,
            r#"{"orderId":"a","v":"2026-01-02T03:04:05.12Z","gate":{"ref":1,"d":"2026-01-02T03:04:05"}}"#
        );
        assert_eq!(later, r#"{"v":1767323045,"gate":{"d":1767303245,"ref":1},"orderId":"a"}"#);
        let (first, later) = both(r#"{"d":"2026-01-02T03:04:05+02:00"}"#);
        assert_eq!((first.as_str(), later.as_str()), (r#"{"d":"2026-01-02T06:34:05+05:30"}"#, r#"{"d":1767315845}"#));
        assert!(Jsonb::store(&Json::parse(r#"{"a":["\u0000"]}"#).unwrap(), "UTC").is_err());
    }

    #[test]
    fn floats_are_doubles_and_integers_stay() {
        let (first, later) =
            both(r#"{"a":1.10,"b":1e2,"c":1E-7,"d":1e400,"e":123456789012345678901234567890,"f":-0.0}"#);
        assert_eq!(
            first,
            r#"{"a":1.1,"b":100.0,"c":1E-07,"d":"Infinity","e":123456789012345678901234567890,"f":-0.0}"#
        );
        assert!(later.contains(r#""f":0.0"#), "{later}");
    }
}
