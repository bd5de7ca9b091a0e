//! How many creations a server works on at once, and how long each takes: the rest wait in the order in which they came.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A real server's pace. A 2.4.1 on two cores took 0.2 s for one creation and 7.2 s for 50 at once: two at a time, 0.28 s each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// So many are worked on at a time.
    pub at_once: usize,
    /// What each of them takes.
    pub takes_ms: u64,
}

/// When each place at work becomes free.
#[derive(Debug, Default)]
pub struct Work {
    free: Vec<Instant>,
}

impl Work {
    /// Takes the place that becomes free first. When what was taken up now is done.
    pub fn take(&mut self, pace: Pace, now: Instant) -> Instant {
        self.free.resize(pace.at_once.max(1), now);
        let Some(first) = self.free.iter_mut().min() else { return now };
        *first = now.max(*first) + Duration::from_millis(pace.takes_ms);
        *first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_at_once_take_as_long_as_on_a_real_server() {
        let (mut work, now) = (Work::default(), Instant::now());
        let pace = Pace { at_once: 2, takes_ms: 280 };
        let done: Vec<u64> = (0..50).map(|_| (work.take(pace, now) - now).as_millis() as u64).collect();
        assert_eq!((done[0], done[1], done[2], done[49]), (280, 280, 560, 7000));
        // An hour later nobody waits.
        let later = now + Duration::from_secs(3600);
        assert_eq!(work.take(pace, later) - later, Duration::from_millis(280));
    }
}
