//! Time zones of a host, as far as tests need them: how far its clock is ahead of UTC.

/// Seconds ahead of UTC at `now`, UNIX seconds. A name of the tz database that is known here, or minutes.
pub fn offset(zone: &str, now: i64) -> i64 {
    let hour = 3600;
    match zone {
        "" | "UTC" => 0,
        "Asia/Kolkata" => 5 * hour + 1800,
        "Asia/Tokyo" => 9 * hour,
        "Europe/Berlin" | "Europe/Paris" | "Europe/Zurich" => hour + if summer(now, 3, 10) { hour } else { 0 },
        "Europe/London" => i64::from(summer(now, 3, 10)) * hour,
        "America/New_York" => -5 * hour + i64::from(summer(now, 2, 9)) * hour,
        "America/Los_Angeles" => -8 * hour + i64::from(summer(now, 2, 9)) * hour,
        minutes => minutes.parse::<i64>().unwrap_or(0) * 60,
    }
}

/// Whether `now` lies between the ends of two months (counted from 0), about when clocks are changed.
fn summer(now: i64, from: i64, to: i64) -> bool {
    const YEAR: i64 = 31_556_952;
    let day = now.rem_euclid(YEAR) / 86_400;
    (from * 30..to * 30 + 2).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn winter_and_summer() {
        let (november, july) = (1_795_986_000, 1_784_000_000);
        assert_eq!(offset("Europe/Berlin", november), 3600);
        assert_eq!(offset("Europe/Berlin", july), 7200);
        assert_eq!(offset("America/New_York", november), -18_000);
        assert_eq!(offset("Asia/Kolkata", july), 19_800);
        assert_eq!(offset("-90", july), -5400);
    }
}
