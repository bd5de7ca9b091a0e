//! What was bought, in words: wallets and BTCPay's own page show it to the buyer.

use super::offers::OfferFor;

/// Longest title that is sent: a BOLT11 invoice can hold 639 bytes of description, and wallets show one line.
const MAX_TITLE: usize = 200;
const UNITS: [(u64, &str); 4] = [(24 * 60 * 60, "day"), (60 * 60, "hour"), (60, "minute"), (1, "second")];
/// Whole days are told in hours up to this many: a pass of a day is sold as 24 hours.
const MOST_HOURS: u64 = 48;

/// The invoice's description: the title and the offer, "The clock, 24 hours".
pub(crate) fn description(title: &str, found: &OfferFor<'_>) -> String {
    let title: String = title.chars().filter(|char| !char.is_control()).take(MAX_TITLE).collect();
    match found.offer.duration {
        Some(seconds) => format!("{title}, {}", duration(seconds)),
        None => format!("{title}, for ever"),
    }
}

/// A length of time in its largest whole unit: "24 hours", "30 days", "90 minutes".
pub(crate) fn duration(seconds: u64) -> String {
    let fits = |(length, unit): &&(u64, &str)| {
        seconds >= *length && seconds.is_multiple_of(*length) && !(*unit == "day" && seconds / (60 * 60) <= MOST_HOURS)
    };
    let (length, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[UNITS.len() - 1]);
    match seconds / length {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::scope::Scope;
    use crate::shop::offers::Offer;

    #[test]
    fn a_buyer_reads_the_films_title_and_the_offer() {
        let described = |title: &str, duration| {
            let offer = Offer::parse("t", "100", "SATS", duration).unwrap();
            description(title, &OfferFor { covers: Scope::All, offer: &offer })
        };
        assert_eq!(described("The clock", Some(86_400)), "The clock, 24 hours");
        assert_eq!(described("The\nclock", None), "Theclock, for ever");
        assert_eq!(described(&"ä".repeat(300), None).chars().count(), MAX_TITLE + ", for ever".len());
    }

    #[test]
    fn lengths_of_time_are_told_as_they_are_sold() {
        for (seconds, words) in [
            (1, "1 second"),
            (120, "2 minutes"),
            (3_600, "1 hour"),
            (5_400, "90 minutes"),
            (86_400, "24 hours"),
            (2 * 86_400, "48 hours"),
            (30 * 86_400, "30 days"),
            (86_401, "86401 seconds"),
            (0, "0 seconds"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }
}
