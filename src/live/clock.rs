//! The time of this machine, and times as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::gate::time::UnixTime;

/// The first second that RFC 3339, whose years have four digits, cannot write.
const YEAR_10000: u64 = 253_402_300_800;

/// The time of this machine.
pub fn now() -> UnixTime {
    // A clock before 1970 would make every token look valid for ever: such a time opens nothing.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(UnixTime::MAX, |since| UnixTime(since.as_secs()))
}

/// UNIX seconds as a date and time, UTC.
pub(crate) fn date(seconds: u64) -> String {
    if seconds >= YEAR_10000 {
        return "after the year 9999".into();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
