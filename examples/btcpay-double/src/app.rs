//! The shared state of listeners, workers and timers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use crate::{delivery, settings::Down, webhook::Webhook, world::World};

/// How long the clock waits for a delivery to be answered before it goes on.
const IN_FLIGHT: Duration = Duration::from_millis(300);

pub struct App {
    world: Mutex<World>,
    changes: watch::Sender<()>,
    /// `true`: the main listener is closed.
    pub refusing: watch::Sender<bool>,
    /// Where BTCPay lives under its host: empty, or `/` and a name.
    pub root: String,
    /// There is a second listener for `/fake`, so the first may be closed.
    pub has_control: bool,
}

/// Is gone from the list of sleepers once it wakes or is given up.
struct Sleeper<'a> {
    app: &'a App,
    id: u64,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.app.with(|world| world.sleepers.remove(&self.id));
    }
}

impl App {
    pub fn new(world: World, root: String, has_control: bool) -> Arc<Self> {
        Arc::new(App {
            world: Mutex::new(world),
            changes: watch::Sender::new(()),
            refusing: watch::Sender::new(false),
            root,
            has_control,
        })
    }

    /// Looks at the world or changes it, and wakes whoever waits for a change.
    pub fn with<T>(&self, action: impl FnOnce(&mut World) -> T) -> T {
        let result = action(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        result
    }

    /// Waits until `condition` gives something, at most for `patience`.
    pub async fn wait<T>(&self, patience: Duration, mut condition: impl FnMut(&mut World) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = condition(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner)) {
                return Some(found);
            }
            timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        }
    }

    pub fn add_webhook(self: &Arc<Self>, webhook: Webhook) {
        let id = webhook.id.clone();
        let jobs = self.with(|world| world.add_webhook(webhook));
        self.employ(&id, jobs);
    }

    pub fn restart(self: &Arc<Self>) {
        for (id, jobs) in self.with(World::restart) {
            self.employ(&id, jobs);
        }
    }

    fn employ(self: &Arc<Self>, webhook: &str, jobs: tokio::sync::mpsc::UnboundedReceiver<crate::world::Job>) {
        let worker = tokio::spawn(delivery::work(Arc::clone(self), jobs)).abort_handle();
        self.with(|world| world.employ(webhook, worker));
    }

    /// Brings the listener in line with the switches.
    pub fn follow_switches(&self) {
        let refuse = self.with(|world| world.switches.down == Some(Down::Refuse));
        self.refusing.send_replace(refuse);
    }

    /// Sleeps by this server's clock, which a test may stop and move.
    /// `webhook`: whose queue waits for that.
    pub async fn sleep(&self, milliseconds: i64, webhook: Option<&str>) {
        let mut changes = self.changes.subscribe();
        let (id, wake) = self.with(|world| {
            let id = world.sleepers.keys().max().map_or(0, |last| last + 1);
            let wake = world.now() + milliseconds;
            world.sleepers.insert(id, (wake, webhook.map(str::to_owned)));
            (id, wake)
        });
        let _entry = Sleeper { app: self, id };
        loop {
            changes.mark_unchanged();
            let (left, stopped) = {
                let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
                (wake - world.now(), world.stopped_at.is_some())
            };
            if left <= 0 {
                break;
            }
            let running = async {
                match stopped {
                    true => std::future::pending().await,
                    false => sleep(Duration::from_millis(left.unsigned_abs())).await,
                }
            };
            tokio::select! { () = running => {}, _ = changes.changed() => {} }
        }
    }

    /// Moves the clock to `target`, UNIX milliseconds, and lets happen on the way, in order, what falls due.
    pub async fn move_clock(&self, target: i64) {
        loop {
            self.wait(IN_FLIGHT, |world| world.quiet().then_some(())).await;
            let due = self.with(|world| world.next_due().filter(|&due| due <= target));
            let Some(due) = due else { break };
            self.with(|world| {
                let now = world.now().max(due);
                world.set_clock(now);
                world.tick();
            });
            // Who slept until now has to have noticed.
            self.wait(IN_FLIGHT, |world| world.sleepers.values().all(|(wake, _)| *wake > world.now()).then_some(()))
                .await;
        }
        self.with(|world| {
            let now = world.now().max(target);
            world.set_clock(now);
        });
    }

    /// Lets invoices expire in time, until the process ends.
    pub async fn run_timers(self: Arc<Self>) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let next = self.world.lock().unwrap_or_else(PoisonError::into_inner).next_deadline();
            match next {
                Some(millis) if millis <= 0 => self.with(World::tick),
                Some(millis) => {
                    let due = sleep(Duration::from_millis(millis.unsigned_abs()));
                    tokio::select! { () = due => {}, _ = changes.changed() => {} }
                }
                None => drop(changes.changed().await),
            }
        }
    }
}
