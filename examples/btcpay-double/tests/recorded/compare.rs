//! Compares what was recorded with what the double says, where it depends on no id, rate or clock.

use std::collections::HashMap;

use crate::json::Json;

/// What a recording calls something, and what the double calls it: ids, addresses, BOLT11s, hosts.
#[derive(Default)]
pub struct Names {
    /// UNIX seconds: what is older was there before the case.
    began: f64,
    ours: HashMap<String, String>,
    /// The longest first, for one name may begin another.
    order: Vec<String>,
    /// The first time that an object was shown, by its id: members that a recording leaves out are as there.
    firsts: HashMap<String, Json>,
}

/// Members whose values are the server's own: a position in its wallet, its node, an estimate of fees.
const OWN: [&str; 21] = [
    "peerInfo",
    "keyPath",
    "keyIndex",
    "nodeInfo",
    "recommendedFeeRate",
    "paymentMethodFeeRate",
    "traceId",
    "accountDerivation",
    "version",
    "onion",
    "nodeURIs",
    "alias",
    "color",
    "blockHeight",
    "activeChannelsCount",
    "peersCount",
    "chainHeight",
    "syncHeight",
    "headers",
    "blocks",
    "revision",
];

/// How far two moments may lie apart, in seconds.
const SLACK: f64 = 3.0;

impl Names {
    pub fn new(began: f64) -> Self {
        Names { began, ..Names::default() }
    }

    pub fn learn(&mut self, recorded: &str, ours: &str) {
        if !self.ours.contains_key(recorded) {
            self.order.push(recorded.to_owned());
            self.order.sort_by_key(|name| std::cmp::Reverse(name.len()));
        }
        self.ours.insert(recorded.to_owned(), ours.to_owned());
        // A QR code has it in capitals.
        if recorded.starts_with("lnbcrt") {
            self.learn(&recorded.to_uppercase(), &ours.to_uppercase());
        }
    }

    pub fn known(&self, recorded: &str) -> Option<&str> {
        self.ours.get(recorded).map(String::as_str)
    }

    /// A recorded text with our names in it.
    pub fn translate(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        'text: while !rest.is_empty() {
            for name in &self.order {
                if let Some(after) = rest.strip_prefix(name.as_str()) {
                    out.push_str(&self.ours[name]);
                    rest = after;
                    continue 'text;
                }
            }
            let length = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        out
    }

    /// A search for the beginning of an id, with ours.
    pub fn beginnings(&self, path: &str) -> String {
        let Some((before, begin)) = path.split_once("textSearch=") else { return path.to_owned() };
        let full = self.order.iter().find(|name| begin.len() >= 6 && name.starts_with(begin));
        full.map_or_else(|| path.to_owned(), |name| format!("{before}textSearch={}", &self.ours[name][..begin.len()]))
    }

    pub fn translated(&self, value: &Json) -> Json {
        match value {
            Json::Text(text) => Json::Text(self.translate(text)),
            Json::List(items) => Json::List(items.iter().map(|item| self.translated(item)).collect()),
            Json::Object(members) => Json::Object(
                members.iter().map(|(name, value)| (self.translate(name), self.translated(value))).collect(),
            ),
            plain => plain.clone(),
        }
    }

    /// Learns the names that `recorded` and `ours` have at the same places.
    pub fn learn_from(&mut self, recorded: &Json, ours: &Json) {
        match (recorded, ours) {
            (Json::Text(recorded), Json::Text(ours))
                if self.known(recorded).is_none() && recorded != ours && alike(recorded, ours) =>
            {
                self.learn(recorded, ours);
            }
            // A link with a name in it.
            (Json::Text(recorded), Json::Text(ours)) if recorded != ours => {
                let parts = recorded.split('/').zip(ours.split('/')).filter(|(recorded, ours)| recorded != ours);
                for (recorded, ours) in parts.filter(|(recorded, ours)| alike(recorded, ours)).collect::<Vec<_>>() {
                    if self.known(recorded).is_none() {
                        self.learn(recorded, ours);
                    }
                }
            }
            (Json::List(recorded), Json::List(ours)) => {
                let ours = self.in_order(recorded, ours.clone());
                recorded.iter().zip(&ours).for_each(|(recorded, ours)| self.learn_from(recorded, ours));
            }
            (Json::Object(members), Json::Object(_)) => {
                for (name, value) in members {
                    if let Some(ours) = ours.get(name) {
                        self.learn_from(value, ours);
                    }
                }
            }
            _ => {}
        }
    }

    /// Every difference, each with its path. `owner`: our id of the invoice that the answer is about, where it does not say so;
    /// `only`: the members that the recording shows of an invoice.
    pub fn differences(
        &mut self,
        recorded: &Json,
        ours: &Json,
        owner: &str,
        only: &[String],
        slack: f64,
    ) -> Vec<String> {
        self.learn_from(recorded, ours);
        let mut found = Vec::new();
        self.compare("", owner, recorded, ours, only, slack + SLACK, &mut found);
        found
    }

    /// Ours in the order of the recorded ones, where theirs means nothing: webhooks and a store's payouts are listed by their ids,
    /// which are nobody's, and invoices of one second in any order.
    fn in_order(&self, theirs: &[Json], ours: Vec<Json>) -> Vec<Json> {
        let id = |item: &Json| item.get("id").and_then(Json::text).map(str::to_owned);
        let position = |ours: &Json| {
            let url = |item: &Json| item.get("url").and_then(Json::text).map(|url| self.translate(url));
            let same = |item: &Json| match id(item).and_then(|id| self.known(&id).map(str::to_owned)) {
                Some(known) => Some(known) == id(ours),
                None => url(item).is_some_and(|url| ours.get("url") == Some(&Json::Text(url))),
            };
            theirs.iter().position(same).unwrap_or(usize::MAX)
        };
        let mut ours = ours;
        let by_id = |name: &str| theirs.iter().all(|item| item.get(name).is_some());
        if by_id("authorizedEvents") || by_id("payoutMethodId") {
            ours.sort_by_key(position);
        } else if ours.iter().all(|item| item.get("createdTime").is_some()) {
            for second in ours.chunk_by_mut(|one, other| one.get("createdTime") == other.get("createdTime")) {
                second.sort_by_key(position);
            }
        }
        ours
    }

    /// Invoices and deliveries of a store that was used before.
    fn is_older(&self, item: &Json) -> bool {
        let time = item.get("createdTime").or_else(|| item.get("deliveryTime")).or_else(|| item.get("timestamp"));
        matches!(time, Some(Json::Number(time)) if time.parse::<f64>().is_ok_and(|time| time + 1.0 < self.began))
    }

    #[allow(clippy::too_many_arguments)] // a recursion's state
    fn compare(
        &mut self,
        path: &str,
        owner: &str,
        recorded: &Json,
        ours: &Json,
        only: &[String],
        slack: f64,
        found: &mut Vec<String>,
    ) {
        match (recorded, ours) {
            (Json::Text(recorded), Json::Text(ours)) => {
                let countdown = || path.ends_with(".timeLeft") && near(minutes(recorded), minutes(ours), slack);
                let own = recorded.starts_with("made-up-by-btcpay") || countdown();
                if !own && self.translate(recorded) != *ours && !same_but_for_the_clock(recorded, ours) {
                    found.push(format!("{path}: recorded {:?}, ours {:?}", cut(recorded), cut(ours)));
                }
            }
            (Json::Number(recorded), Json::Number(ours)) => {
                let countdown =
                    || path.ends_with(".expirationSeconds") && near(recorded.parse().ok(), ours.parse().ok(), slack);
                if recorded != ours && !both_times(recorded, ours, slack) && !countdown() {
                    found.push(format!("{path}: recorded {recorded}, ours {ours}"));
                }
            }
            (Json::List(theirs), Json::List(list)) => {
                let older = |item: &&Json| !self.is_older(item);
                let theirs: Vec<Json> = theirs.iter().filter(older).cloned().collect();
                let (theirs, list) = (by_path(&theirs), self.in_order(&theirs, by_path(list)));
                if theirs.len() != list.len() {
                    found.push(format!("{path}: recorded {} entries, ours {}", theirs.len(), list.len()));
                }
                for (index, (recorded, ours)) in theirs.iter().zip(&list).enumerate() {
                    self.compare(&format!("{path}[{index}]"), owner, recorded, ours, only, slack, found);
                }
            }
            (Json::Object(members), Json::Object(our_members)) => {
                let id = ours.get("id").and_then(Json::text).unwrap_or(owner).to_owned();
                let method = ours.get("paymentMethodId").and_then(Json::text).unwrap_or_default();
                let key = format!("{id} {method}");
                let as_first: Vec<String> = match recorded.get("as_first") {
                    Some(Json::List(names)) => names.iter().filter_map(Json::text).map(str::to_owned).collect(),
                    _ => vec![],
                };
                for (name, value) in members.iter().filter(|(name, _)| name != "as_first") {
                    let path = format!("{path}.{name}");
                    match ours.get(name) {
                        None => found.push(format!("{path}: recorded {}, ours has none", cut(&value.compact()))),
                        Some(_) if OWN.contains(&name.as_str()) => {}
                        Some(ours) => self.compare(&path, &id, value, ours, only, slack, found),
                    }
                }
                for name in &as_first {
                    let first = self.firsts.get(&key).and_then(|first| first.get(name));
                    let ours = ours.get(name);
                    if ours.is_none() || first.is_some() && first.map(sorted) != ours.map(sorted) {
                        found.push(format!("{path}.{name}: recorded as at first, ours not"));
                    }
                }
                let trimmed =
                    !only.is_empty() && members.iter().all(|(name, _)| name == "as_first" || only.contains(name));
                for (name, value) in our_members {
                    let shown = members.iter().any(|(member, _)| member == name) || as_first.contains(name);
                    if !shown && !trimmed {
                        found.push(format!("{path}.{name}: recorded has none, ours {}", cut(&value.compact())));
                    }
                }
                if !method.is_empty() || ours.get("storeId").is_some() {
                    self.firsts.entry(key).or_insert_with(|| ours.clone());
                }
            }
            _ if recorded == ours => {}
            _ => found.push(format!("{path}: recorded {}, ours {}", cut(&recorded.compact()), cut(&ours.compact()))),
        }
    }
}

/// With members in one order, whatever order they came in.
fn sorted(value: &Json) -> Json {
    match value {
        Json::List(items) => Json::List(items.iter().map(sorted).collect()),
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(members)
        }
        plain => plain.clone(),
    }
}

/// Problems of a request come in no order that means anything: the one by path serves both.
fn by_path(items: &[Json]) -> Vec<Json> {
    let path = |item: &Json| item.get("path").and_then(Json::text).map(str::to_owned);
    let mut items = items.to_vec();
    if items.iter().all(|item| path(item).is_some()) {
        items.sort_by_key(path);
    }
    items
}

fn cut(text: &str) -> String {
    text.chars().take(160).collect()
}

fn both_times(recorded: &str, ours: &str, slack: f64) -> bool {
    let moment = |text: &str| text.parse::<f64>().ok().filter(|time| (1.7e9..2.2e9).contains(time));
    matches!((moment(recorded), moment(ours)), (Some(recorded), Some(ours)) if (recorded - ours).abs() <= slack)
}

fn near(recorded: Option<f64>, ours: Option<f64>, slack: f64) -> bool {
    matches!((recorded, ours), (Some(recorded), Some(ours)) if (recorded - ours).abs() <= slack)
}

/// The seconds of `29:58`.
fn minutes(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.split_once(':')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

/// The log of a creation begins each line with the time.
fn same_but_for_the_clock(recorded: &str, ours: &str) -> bool {
    let stripped = |text: &str| {
        let lines = text.split('\n').map(|line| match line.get(..20) {
            Some(time) if time.as_bytes()[2] == b'/' && time.ends_with(':') => &line[20..],
            _ => line,
        });
        // How long something took, and where in BTCPay an exception came from, is its own business.
        let lines = lines.filter(|line| !line.starts_with("   ") && !line.starts_with(" --->"));
        let lines = lines.map(|line| line.split(" took ").next().unwrap_or_default());
        let lines = lines.map(|line| line.split(" (System.").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    };
    stripped(recorded) == stripped(ours)
}

/// Two names of the same kind: base58 or hexadecimal of about the same length, an address, a BOLT11 over the same amount.
fn alike(recorded: &str, ours: &str) -> bool {
    let amount = |text: &str| text.split_once("1p").map(|(amount, _)| amount.to_owned());
    let all = |test: fn(char) -> bool| recorded.chars().all(test) && ours.chars().all(test);
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c) || c == '-';
    let lengths = recorded.len().abs_diff(ours.len());
    if recorded.starts_with("__test__") {
        return ours.starts_with("__test__") && recorded.len() == ours.len();
    }
    if recorded.starts_with("made-up-by-btcpay") {
        return true;
    }
    if recorded.starts_with("lnbcrt") || ours.starts_with("lnbcrt") {
        return amount(recorded).is_some() && amount(recorded) == amount(ours);
    }
    for prefix in ["bcrt1", "lightning:lnurl", "lightning:LNURL", "cust_", "ps_", "plan_", "plancheckout_", "offering_"]
    {
        if recorded.starts_with(prefix) || ours.starts_with(prefix) {
            return recorded.starts_with(prefix) && ours.starts_with(prefix);
        }
    }
    let named =
        recorded.len() >= 18 && ours.len() >= 18 && recorded.chars().any(|c| c.is_ascii_digit() || c.is_uppercase());
    named
        && lengths <= 4
        && (all(hex) && lengths <= 2 || !recorded.chars().all(hex) && all(|c| c.is_ascii_alphanumeric()))
}
