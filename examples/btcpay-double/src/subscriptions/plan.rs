//! A plan: what it costs, and how long what was paid for it lasts.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::jsonb;

/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recurring {
    Monthly,
    Quarterly,
    Yearly,
    Lifetime,
}

impl Recurring {
    /// In the order of BTCPay's numbers.
    pub const ALL: [Recurring; 4] = [Recurring::Monthly, Recurring::Quarterly, Recurring::Yearly, Recurring::Lifetime];

    fn months(self) -> Option<i64> {
        match self {
            Recurring::Monthly => Some(1),
            Recurring::Quarterly => Some(3),
            Recurring::Yearly => Some(12),
            Recurring::Lifetime => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub id: String,
    pub offering: String,
    pub name: String,
    pub price: Decimal,
    pub currency: String,
    pub recurring: Recurring,
    pub grace_days: i64,
    pub trial_days: i64,
    /// BTCPay's page makes `null` of an empty one.
    pub description: Option<String>,
    /// Active subscribers, as they were counted the last time.
    pub members: usize,
    /// An on-chain payment counts before it is confirmed.
    pub optimistic: bool,
    pub features: Vec<String>,
    pub renewable: bool,
    pub metadata: Value,
    /// When the row was written, in the order of all that were.
    pub written: u64,
    /// Plans that the portal offers instead, at the end of the period.
    pub changes: Vec<String>,
}

impl Plan {
    /// Where a period that starts at `start` ends, and its grace; UNIX milliseconds.
    pub fn period(&self, start: i64) -> (Option<i64>, Option<i64>) {
        let end = self.recurring.months().map(|months| add_months(start, months));
        (end, end.and_then(|end| self.grace(end)))
    }

    /// Where the grace after `end` ends; none without days of grace.
    pub fn grace(&self, end: i64) -> Option<i64> {
        (self.grace_days > 0).then(|| end + self.grace_days * DAY)
    }
}

/// The same time of day, `months` later; the last day of a month that is too short.
fn add_months(moment: i64, months: i64) -> i64 {
    let text = jsonb::written(moment.div_euclid(1000));
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<i64>().ok()).unwrap_or(1);
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    let (new_year, new_month) = (year + (month - 1 + months) / 12, (month - 1 + months) % 12 + 1);
    let first = |year: i64, month: i64| jsonb::days(year + (month - 1) / 12, (month - 1) % 12 + 1, 1);
    let length = first(new_year, new_month + 1) - first(new_year, new_month);
    let passed = first(new_year, new_month) + day.min(length) - 1 - jsonb::days(year, month, day);
    moment + passed * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let moment = |year, month, day| jsonb::days(year, month, day) * DAY + 3_661_000;
        assert_eq!(add_months(moment(2026, 11, 29), 1), moment(2026, 12, 29));
        assert_eq!(add_months(moment(2026, 11, 30), 3), moment(2027, 2, 28));
        assert_eq!(add_months(moment(2027, 12, 31), 2), moment(2028, 2, 29));
        assert_eq!(add_months(moment(2026, 12, 1), 12), moment(2027, 12, 1));
    }
}
