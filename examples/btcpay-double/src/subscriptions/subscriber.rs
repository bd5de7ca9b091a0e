//! One subscriber: phases, dates and credit. Pure; moments are UNIX milliseconds.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{DAY, Plan, Recurring};

/// So long before the end of a period a subscriber without credit is reminded.
const REMINDER: i64 = 3 * DAY;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Trial,
    Normal,
    Grace,
    Expired,
}

#[derive(Clone, Debug)]
pub struct Subscriber {
    pub number: u64,
    pub customer: String,
    pub offering: String,
    pub plan: String,
    /// The plan that he wants from the end of the period on.
    pub scheduled: Option<String>,
    pub phase: Phase,
    pub created: i64,
    pub started: i64,
    pub period_end: Option<i64>,
    pub trial_end: Option<i64>,
    pub grace_end: Option<i64>,
    pub reminder: Option<i64>,
    pub reminded: bool,
    /// What the present period cost.
    pub paid: Option<Decimal>,
    pub auto_renew: bool,
    pub active: bool,
    pub suspended: bool,
    pub reason: Option<String>,
    pub metadata: Value,
    /// An invoice that is paid and not settled.
    pub processing: Option<String>,
    /// By currency, the oldest first.
    pub credits: Vec<(String, Decimal)>,
}

impl Subscriber {
    pub fn next_plan(&self) -> &str {
        self.scheduled.as_deref().unwrap_or(&self.plan)
    }

    /// The phase that his dates say. `plan`: his own.
    pub fn expected(&self, plan: &Plan, now: i64) -> Phase {
        let before = |end: Option<i64>| end.is_some_and(|end| now < end);
        match () {
            () if before(self.trial_end) => Phase::Trial,
            () if before(self.period_end) => Phase::Normal,
            () if before(self.grace_end) => Phase::Grace,
            () if plan.recurring == Recurring::Lifetime && self.paid.is_some() => Phase::Normal,
            () => Phase::Expired,
        }
    }

    fn dates(&self) -> impl Iterator<Item = i64> {
        let reminder = self.reminder.filter(|_| !self.reminded);
        [self.trial_end, self.period_end, self.grace_end, reminder].into_iter().flatten()
    }

    /// The next moment after `now` at which a date is reached.
    pub fn next_date(&self, now: i64) -> Option<i64> {
        self.dates().filter(|date| *date > now).min()
    }

    /// The last moment until `now` at which a date was reached.
    pub fn last_date(&self, now: i64) -> Option<i64> {
        self.dates().filter(|date| *date <= now).max()
    }

    /// His credit in a currency.
    pub fn credit(&self, currency: &str) -> Decimal {
        let found = self.credits.iter().find(|(known, _)| known.eq_ignore_ascii_case(currency));
        found.map_or(Decimal::ZERO, |(_, amount)| *amount)
    }

    /// What the API calls his credit in `currency`: of another currency than his plan's, nothing; and where he has none in that
    /// one, what he has in any.
    pub fn shown_credit(&self, currency: &str, plan: &Plan) -> Decimal {
        if !currency.eq_ignore_ascii_case(&plan.currency) {
            return Decimal::ZERO;
        }
        let own = self.credits.iter().find(|(known, _)| known.eq_ignore_ascii_case(currency));
        own.or(self.credits.first()).map_or(Decimal::ZERO, |(_, amount)| *amount)
    }

    /// Adds to his credit, and gives the sum.
    pub fn add_credit(&mut self, currency: &str, amount: Decimal) -> Decimal {
        match self.credits.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(currency)) {
            Some((_, sum)) => {
                // The finer of the two says how many decimals the sum has, zero or not.
                let places = sum.scale().max(amount.scale());
                *sum += amount;
                sum.rescale(places);
                *sum
            }
            None => {
                self.credits.push((currency.to_owned(), amount));
                amount
            }
        }
    }

    /// Whether his next plan may begin. `renewing`: at the end of a period, else because a checkout was paid.
    pub fn may_start(&self, next: &Plan, renewing: bool, new: bool) -> bool {
        let open = renewing || self.phase != Phase::Normal;
        open && !self.suspended && (new || self.plan != next.id || next.renewable)
    }

    /// Begins `next`: from now, from the end of a period whose grace has not ended, or from the end of a trial.
    pub fn start(&mut self, own: &Plan, next: &Plan, now: i64, trial: bool) {
        let from = match (self.expected(own, now), self.period_end, self.trial_end) {
            (Phase::Grace, Some(end), _) | (Phase::Trial, _, Some(end)) => end,
            _ => now,
        };
        self.plan.clone_from(&next.id);
        self.scheduled = None;
        self.reminded = false;
        self.started = now;
        if trial {
            (self.period_end, self.grace_end) = (None, None);
            self.trial_end = Some(now + next.trial_days * DAY);
            self.paid = None;
        } else {
            (self.period_end, self.grace_end) = next.period(from);
            self.trial_end = None;
            self.paid = Some(next.price);
        }
        self.remind_before_end();
    }

    fn remind_before_end(&mut self) {
        self.reminder = self.period_end.or(self.trial_end).map(|end| end - REMINDER);
    }

    /// A person changes the dates. A lifetime has none. Errors: an end that is not after the start.
    pub fn set_dates(&mut self, plan: &Plan, start: Option<i64>, end: Option<i64>) -> Result<(), &'static str> {
        if end.is_some_and(|end| end <= start.unwrap_or(self.started)) {
            return Err("Expiration date must be after the start date.");
        }
        self.started = start.unwrap_or(self.started);
        let Some(end) = end else { return Ok(()) };
        if self.trial_end.is_some() {
            self.trial_end = Some(end);
        } else if self.period_end.is_some() {
            self.period_end = Some(end);
            self.grace_end = plan.grace(end);
        } else {
            return Ok(());
        }
        self.reminded = false;
        self.remind_before_end();
        Ok(())
    }

    /// What of the present period's price has not been used, not rounded.
    pub fn unused(&self, now: i64) -> Decimal {
        let (Some(end), Some(paid)) = (self.period_end.filter(|end| *end > now), self.paid) else {
            return Decimal::ZERO;
        };
        paid * Decimal::from(end - now) / Decimal::from((end - self.started).max(1))
    }
}
