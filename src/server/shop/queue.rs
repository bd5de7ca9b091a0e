//! Whose turn it is to have an invoice made: BTCPay makes a few at a time, and all others wait in the order in which they came.
//!
//! A purchase under way is an *order*, named by a secret that the page makes or is given. Its creation goes on whether or not
//! anybody is connected, so a lost answer is asked for again, and a repeated request joins the first. Nobody asks for an order
//! whose viewer left: it is dropped when its turn comes.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::sync::watch;

use super::problem::Problem;

/// Most orders that wait for their turn.
const MAX_WAITING: usize = 1000;
/// Most orders that are remembered, those that are done included.
const MAX_ORDERS: usize = 10_000;
/// For how long a finished order's answer can be asked for again.
const KEPT: Duration = Duration::from_secs(600);
/// An order that nobody asked for during this time is not made any more.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What an order comes to.
pub(crate) type Outcome = Result<Response<Full<Bytes>>, Problem>;
type Making = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The orders, and whose turn it is.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Changes whenever any order's place or state does.
    moved: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    orders: HashMap<Arc<str>, Order>,
    waiting: BTreeMap<u64, Arc<str>>,
    next: u64,
    under_way: usize,
    at_once: usize,
}

struct Order {
    /// What is bought: the same order for something else is a mistake.
    wanted: String,
    stage: Stage,
    /// How many requests are held for it, and when the last one ended.
    held: usize,
    asked: Instant,
}

enum Stage {
    Waiting { turn: u64, making: Option<Making> },
    Making,
    Done { outcome: Outcome, since: Instant },
}

/// How far an order is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// So many others come first.
    Before(u64),
    /// BTCPay is making it.
    Making,
    /// It is made, or cannot be.
    Done(Outcome),
    /// No such order is known.
    Unknown,
}

/// Somebody who waits for an order. While there is one, its turn does not pass.
pub(crate) struct Held {
    queue: Arc<Queue>,
    id: Arc<str>,
    moved: watch::Receiver<u64>,
}

impl Queue {
    /// Nobody waits.
    pub(crate) fn new() -> Arc<Queue> {
        Arc::new(Queue { state: Mutex::default(), moved: watch::Sender::new(0) })
    }

    /// Takes the order up, or joins it if it is known.
    ///
    /// - `wanted`: what is bought, as text.
    /// - `at_once`: how many may be made at once now.
    /// - `begin`: asked for a new order only; what it gives is run at the order's turn.
    ///
    /// Errors: `busy` when too many wait, `bad-field` when the order is for something else, and what `begin` says.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: &str,
        wanted: &str,
        at_once: usize,
        begin: impl FnOnce() -> Result<Making, Problem>,
    ) -> Result<Held, Problem> {
        let id: Arc<str> = id.into();
        let mut state = self.lock();
        state.at_once = at_once.max(1);
        // One that failed is tried anew.
        let failed = |order: &Order| matches!(&order.stage, Stage::Done { outcome: Err(_), .. });
        let known = state.orders.get(&id).filter(|order| !failed(order));
        match known {
            Some(order) if order.wanted != wanted => {
                return Err(Problem::bad_field("order names another purchase; make a new one for each"));
            }
            Some(_) => {}
            None => {
                if state.waiting.len() >= MAX_WAITING {
                    return Err(Problem::overloaded("too many viewers wait for an invoice", 5));
                }
                state.tidy();
                let (making, turn, now) = (Some(begin()?), state.next, Instant::now());
                state.next += 1;
                let stage = Stage::Waiting { turn, making };
                state.orders.insert(id.clone(), Order { wanted: wanted.into(), stage, held: 0, asked: now });
                state.waiting.insert(turn, id.clone());
            }
        }
        let held = self.held(&mut state, id);
        self.move_on(&mut state);
        held.ok_or_else(|| Problem::not_found("no such order is known"))
    }

    /// Waits for an order that was taken up before.
    pub(crate) fn find(self: &Arc<Self>, id: &str) -> Option<Held> {
        self.held(&mut self.lock(), id.into())
    }

    fn held(self: &Arc<Self>, state: &mut State, id: Arc<str>) -> Option<Held> {
        let order = state.orders.get_mut(&id)?;
        order.held += 1;
        Some(Held { queue: self.clone(), id, moved: self.moved.subscribe() })
    }

    /// Begins as many as may be made at once.
    fn move_on(self: &Arc<Self>, state: &mut State) {
        while state.under_way < state.at_once {
            let Some((_, id)) = state.waiting.pop_first() else { break };
            let Some(order) = state.orders.get_mut(&id) else { continue };
            let is_forgotten = order.held == 0 && order.asked.elapsed() > FORGOTTEN;
            let making = match &mut order.stage {
                Stage::Waiting { making, .. } => making.take(),
                _ => None,
            };
            let Some(making) = making.filter(|_| !is_forgotten) else {
                state.orders.remove(&id);
                continue;
            };
            order.stage = Stage::Making;
            state.under_way += 1;
            tokio::spawn(self.clone().make(id, making));
        }
        self.moved.send_modify(|moved| *moved = moved.wrapping_add(1));
    }

    async fn make(self: Arc<Self>, id: Arc<str>, making: Making) {
        // A panic in it must not keep its place for ever.
        let outcome = tokio::spawn(making).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Problem::overloaded("no invoice can be made now", 5)));
        let mut state = self.lock();
        state.under_way -= 1;
        if let Some(order) = state.orders.get_mut(&id) {
            order.stage = Stage::Done { outcome, since: Instant::now() };
        }
        self.move_on(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what was done long ago, and of too many the oldest.
    fn tidy(&mut self) {
        let age = |order: &Order| match &order.stage {
            Stage::Done { since, .. } if order.held == 0 => Some(since.elapsed()),
            _ => None,
        };
        if self.orders.len() < MAX_ORDERS {
            self.orders.retain(|_, order| age(order).is_none_or(|age| age < KEPT));
            return;
        }
        let mut done: Vec<(Duration, Arc<str>)> =
            self.orders.iter().filter_map(|(id, order)| Some((age(order)?, id.clone()))).collect();
        done.sort_unstable();
        for (_, id) in done.into_iter().rev().take(MAX_ORDERS / 10) {
            self.orders.remove(&id);
        }
    }
}

impl Held {
    /// The order's name.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// How far the order is now.
    pub(crate) fn progress(&mut self) -> Progress {
        self.moved.mark_unchanged();
        let state = self.queue.lock();
        match state.orders.get(&self.id).map(|order| &order.stage) {
            // Those who left are counted until their turn comes.
            Some(Stage::Waiting { turn, .. }) => {
                let first = state.waiting.first_key_value().map_or(*turn, |(first, _)| *first);
                Progress::Before(turn - first + 1)
            }
            Some(Stage::Making) => Progress::Making,
            Some(Stage::Done { outcome, .. }) => Progress::Done(outcome.clone()),
            None => Progress::Unknown,
        }
    }

    /// Ready when something moved since [`Held::progress`].
    pub(crate) async fn moved(&mut self) {
        if self.moved.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(order) = self.queue.lock().orders.get_mut(&self.id) {
            order.held -= 1;
            order.asked = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    fn made(made: &Arc<AtomicUsize>, leave: &Arc<Semaphore>) -> Making {
        let (made, leave) = (made.clone(), leave.clone());
        Box::pin(async move {
            leave.acquire().await.unwrap().forget();
            made.fetch_add(1, Ordering::SeqCst);
            Ok(Response::new(Full::from("made")))
        })
    }

    async fn done(mut held: Held) -> Outcome {
        loop {
            if let Progress::Done(outcome) = held.progress() {
                return outcome;
            }
            held.moved().await;
        }
    }

    #[tokio::test]
    async fn all_wait_their_turn_and_are_told_who_is_before_them() {
        let (queue, count, leave) = (Queue::new(), Arc::default(), Arc::new(Semaphore::new(0)));
        let mut held: Vec<Held> = (0..200)
            .map(|n| queue.enter(&format!("order{n}"), "film", 16, || Ok(made(&count, &leave))).unwrap())
            .collect();
        assert!(matches!(held[15].progress(), Progress::Making));
        assert!(matches!(held[16].progress(), Progress::Before(1)));
        assert!(matches!(held[199].progress(), Progress::Before(184)));
        leave.add_permits(1);
        assert!(done(held.remove(0)).await.is_ok());
        assert!(matches!(held.last_mut().unwrap().progress(), Progress::Before(183)));
        leave.add_permits(1000);
        for held in held {
            assert_eq!(done(held).await.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(count.load(Ordering::SeqCst), 200);
    }

    #[tokio::test]
    async fn the_same_order_again_makes_nothing_again() {
        let (queue, count, leave) = (Queue::new(), Arc::default(), Arc::new(Semaphore::new(1000)));
        let enter = |wanted: &str| queue.enter("order", wanted, 16, || Ok(made(&count, &leave)));
        // The viewer's connection broke, at any time: it is found, and joined.
        drop(enter("film").unwrap());
        assert!(done(queue.find("order").unwrap()).await.is_ok());
        assert!(done(enter("film").unwrap()).await.is_ok());
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert_eq!(enter("other").err().unwrap().reason(), "bad-field");
        assert!(queue.find("unheard").is_none());
    }

    #[tokio::test]
    async fn what_failed_is_tried_anew_and_a_full_queue_says_so() {
        let (queue, count, leave) = (Queue::new(), Arc::default(), Arc::new(Semaphore::new(0)));
        let failing = || -> Result<Making, Problem> { Ok(Box::pin(async { Err(Problem::btcpay_unavailable()) })) };
        assert!(done(queue.enter("order", "film", 1, failing).unwrap()).await.is_err());
        let mut again = queue.enter("order", "film", 1, || Ok(made(&count, &leave))).unwrap();
        assert!(matches!(again.progress(), Progress::Making));
        for n in 0..MAX_WAITING {
            drop(queue.enter(&format!("order{n}"), "film", 1, || Ok(made(&count, &leave))).unwrap());
        }
        let full = queue.enter("one more", "film", 1, || Ok(made(&count, &leave)));
        assert_eq!(full.err().unwrap().reason(), "busy");
    }
}
