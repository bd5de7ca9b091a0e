//! Plays one case.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{
    case::{Case, From, Sent, number},
    compare::Names,
    furnish::strings,
    hands::{Paid, object, text},
    json::Json,
    left_out::LeftOut,
    mail::{self, Mail},
    notice::Notice,
    order::{self, Event, Lines},
    shop, shown,
    stage::{self, Double, Received},
};

/// Every difference, with the step's number.
pub async fn play(case: Case) -> Vec<String> {
    let mut game = Game::begin(case).await;
    for position in 0..game.case.steps.len() {
        game.step(position).await;
    }
    game.end().await
}

pub struct Game {
    pub case: Case,
    pub double: Double,
    pub names: Names,
    pub mail: Arc<Mutex<Mail>>,
    pub recorded_names: Vec<String>,
    pub only: Vec<String>,
    pub host: String,
    pub secrets: Vec<String>,
    pub seen: usize,
    /// Hands whose work BTCPay notices later, and their positions.
    pub put_off: Vec<(Notice, usize)>,
    /// Our id of an invoice of whose creation the recording shows none.
    pub made: Option<String>,
    /// BTCPay was stopped, and has not shown itself since.
    pub down: bool,
    pub events: BTreeMap<String, Vec<Event>>,
    pub lines: Lines,
    pub found: Vec<String>,
    /// The subscriber of whom a hand spoke last.
    pub who: String,
    /// What was played last, UNIX seconds.
    pub moment: f64,
}

impl Game {
    async fn begin(case: Case) -> Game {
        let left_out = LeftOut::read(case.left_out.as_ref());
        let mail = Arc::new(Mutex::new(Mail { expected: mail::expected(&case), left_out, ..Mail::default() }));
        let letters = Arc::clone(&mail);
        let judge = move |received: Received| mail::judge(&mut letters.lock().expect("the mail"), received);
        let address = stage::receive(judge).await;
        let version = if case.version.is_empty() { "2.4.1" } else { &case.version };
        let double = Double::start(&["--version", version, "--store", &case.store]);
        let mut names = Names::new(case.started);
        for host in shown::hosts(&case.text) {
            names.learn(&format!("http://{host}/case/"), &format!("http://{address}/case/"));
            names.learn(&format!("http://{host}/hlsgate/"), &format!("http://{address}/hlsgate/"));
        }
        // The receiver's name in what the shop sends.
        names.learn("https://video.example/hook", &format!("http://{address}/hook"));
        let mut game = Game {
            who: String::new(),
            moment: case.started,
            host: shown::server(&case.text),
            recorded_names: shown::destinations(&case.text),
            only: strings(case.settings.get("only")),
            secrets: shown::secrets(&case.text),
            double,
            names,
            mail,
            seen: 0,
            put_off: vec![],
            made: None,
            down: false,
            events: BTreeMap::new(),
            lines: Lines::default(),
            found: vec![],
            case,
        };
        game.furnish(&address).await;
        if game.in_a_folder() {
            shop::furnish(&game.double, &mut game.names, &game.case).await;
            game.furnish_strangers().await;
        }
        game
    }

    /// Recordings of subscriptions and refunds: of a store for which the rest is the same, and with every header that was sent.
    pub fn in_a_folder(&self) -> bool {
        self.case.name.starts_with("subscriptions/") || self.case.name.starts_with("refunds/")
    }

    async fn step(&mut self, position: usize) {
        let (at, took, from) = {
            let step = &self.case.steps[position];
            (step.at, step.took, step.from)
        };
        self.do_what_was_put_off(position).await;
        if from == From::Btcpay {
            if self.in_a_folder() {
                self.make_unshown(position).await;
            }
            if std::mem::take(&mut self.down) {
                self.start_btcpay(position).await;
            }
            if self.is_noticed_by_itself(position) {
                let moment = Json::Number(format!("{:.3}", self.case.started + at - 0.1));
                self.double.control("look", &object(&[("at", moment)])).await;
                self.go_to(self.case.started + at).await;
            }
            if let Some(invoice) = self.confirmed_by_others(position) {
                self.go_to(self.case.started + at - 0.2).await;
                self.double.control("confirm", &object(&[("invoice", text(&invoice))])).await;
                self.double.quiet().await;
                self.read_mail(took);
            }
            return;
        }
        // While it is down, BTCPay notices nothing.
        if from == From::Hand
            && !self.down
            && let Some(notice) = self.noticed_at(position)
        {
            self.put_off.push((notice, position));
            return;
        }
        let made = self.case.steps[position]
            .answer
            .as_ref()
            .and_then(|answer| number(answer.body.as_ref()?.get("createdTime")));
        let made = made.filter(|_| {
            self.case.steps[position].path.ends_with("/invoices") && self.case.steps[position].method == "POST"
        });
        self.go_to(made.unwrap_or(0.0).max(self.case.started + at)).await;
        if from == From::Hand {
            let did = &self.case.steps[position].did;
            self.down = did == "BTCPay was stopped" || self.down && did != "BTCPay was started again and is up";
            let (value, looks) = (self.freely_paid(position), self.looks(position));
            let everything = self.case.version == "2.4.1";
            self.act(position, Paid { value, looks, everything, at: None }).await;
        } else {
            let busy = self.be_busy(position).await;
            self.ask(position).await;
            if busy {
                self.raise_late(0.0).await;
            }
        }
        self.double.quiet().await;
        let last = self.case.steps[position].did.rsplit_once(", the last after ").map(|(_, rest)| rest);
        let spread = last.and_then(|rest| rest.split(' ').next()?.parse().ok());
        self.read_mail(spread.unwrap_or(took));
    }

    pub async fn go_to(&mut self, moment: f64) {
        let to = Json::Number(format!("{moment:.3}"));
        self.double.control("clock", &object(&[("to", to)])).await;
        self.double.quiet().await;
        self.read_mail(0.0);
        self.moment = moment;
    }

    pub fn note(&mut self, position: usize, difference: &str) {
        let step = &self.case.steps[position];
        let path = step.path.replace(&self.case.store, "S");
        let about = format!("#{position} {} {}", step.method, path.split('/').skip(3).collect::<Vec<_>>().join("/"));
        self.found.push(format!("{about}: {difference}"));
    }
    async fn end(mut self) -> Vec<String> {
        let last = self.case.steps.iter().map(|step| step.at + if step.from == From::Btcpay { 0.0 } else { step.took });
        let end = self.case.started + last.fold(0.0, f64::max) + 0.5;
        self.go_to(end).await;
        let missing: Vec<usize> =
            self.mail.lock().expect("the mail").expected.iter().map(|expected| expected.step).collect();
        for step in missing {
            let raw = match &self.case.steps[step].sent {
                Sent::Text(raw) => cut(&raw.replace("\n ", "")),
                _ => String::new(),
            };
            self.note(step, &format!("this delivery never came: {raw}"));
        }
        self.found.extend(self.mail.lock().expect("the mail").left_out.differences());
        for events in self.events.values() {
            self.found.extend(order::broken(events));
        }
        self.found
    }
}

pub fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}
