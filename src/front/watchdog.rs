//! Shows the service manager that the daemon is alive: that the runtime turns, and that nginx's questions are answered.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use super::poller::{Pulse, Stream};

/// Tells the service manager, if there is one.
pub(crate) fn notify(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(false, state) {
        warn!(%err, "cannot tell the service manager");
    }
}

/// Feeds the service manager's watchdog (sd_watchdog_enabled(3)), twice as often as it asks for, as long as every thread that
/// serves nginx answers. If one hangs, nothing more is said, and the service manager starts the daemon anew.
pub(crate) async fn feed<S: Stream>(pulse: Pulse<S>) {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_micros(microseconds / 2));
    loop {
        ticks.tick().await;
        if pulse.beats().await {
            notify(&[NotifyState::Watchdog]);
        }
    }
}
