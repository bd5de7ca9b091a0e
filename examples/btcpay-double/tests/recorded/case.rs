//! Recorded cases: what `recorded/README.md` describes, read.

use std::path::{Path, PathBuf};

use crate::json::Json;

/// Text that is no JSON is shown as it is.
pub struct Case {
    /// `chain-full`, or `refunds/refund-states`.
    pub name: String,
    pub version: String,
    pub zone: String,
    pub settings: Json,
    pub store: String,
    /// UNIX seconds.
    pub started: f64,
    pub steps: Vec<Step>,
    /// What is left out, by kind.
    pub left_out: Option<Json>,
    /// The whole text, to look up what only occurs somewhere in it.
    pub text: String,
}

pub struct Step {
    pub at: f64,
    pub took: f64,
    pub from: From,
    pub method: String,
    pub path: String,
    pub headers: Json,
    /// What was sent: `raw` where the recording has it, else `body`.
    pub sent: Sent,
    /// What a hand did.
    pub did: String,
    pub answer: Option<Answer>,
    /// What the key of this call may do, where it is not the owner's.
    pub permission: Option<Json>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Shop,
    Btcpay,
    Hand,
}

pub enum Sent {
    Nothing,
    Text(String),
    Json(Json),
}

pub struct Answer {
    pub status: u16,
    pub headers: Json,
    /// `None`: an empty body.
    pub body: Option<Json>,
    /// The exact text of the member `metadata`.
    pub metadata: Option<String>,
}

/// All cases in `folder` and the folders below it whose names contain `wanted`, in the order of their names.
pub fn all(folder: &Path, wanted: &str) -> Vec<Case> {
    let mut files: Vec<PathBuf> = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("the recordings are there") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "json") && !path.ends_with("index.json") {
                files.push(path);
            }
        }
    }
    files.sort();
    let name = |file: &Path| file.strip_prefix(folder).expect("a file below").with_extension("").display().to_string();
    let named = files.iter().map(|file| (file, name(file))).filter(|(_, name)| name.contains(wanted));
    named.map(|(file, name)| read(file, name)).collect()
}

fn read(file: &Path, name: String) -> Case {
    let text = std::fs::read_to_string(file).expect("a recording can be read");
    let whole = Json::parse_within(&text, 1000).unwrap_or_else(|fault| panic!("{}: {fault:?}", file.display()));
    let whole = resolved(&whole);
    let member = |name: &str| whole.get(name).and_then(Json::text).unwrap_or_default().to_owned();
    let Some(Json::List(steps)) = whole.get("steps") else { panic!("{name} has no steps") };
    Case {
        version: member("btcpay"),
        zone: member("host_zone"),
        settings: whole.get("settings").cloned().unwrap_or(Json::Null),
        store: store(&whole, steps),
        started: number(whole.get("started")).unwrap_or_else(|| first_time(&text)),
        steps: steps.iter().map(step).collect(),
        left_out: whole.get("left_out").cloned(),
        text,
        name,
    }
}

/// The store's id: said, or the first that a path names.
fn store(whole: &Json, steps: &[Json]) -> String {
    if let Some(store) = whole.get("store").and_then(Json::text) {
        return store.to_owned();
    }
    let paths = steps.iter().filter_map(|step| step.get("path").and_then(Json::text));
    let mut stores = paths.filter_map(|path| path.split_once("/stores/")).map(|(_, rest)| rest);
    stores.next().and_then(|rest| rest.split(['/', '?']).next()).unwrap_or("store").to_owned()
}

/// Where a recording does not say when it began: the first time that it shows.
fn first_time(text: &str) -> f64 {
    let mut digits = text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() == 10 && run.starts_with("179"));
    digits.next().and_then(|run| run.parse().ok()).unwrap_or(1_796_000_000.0)
}

pub fn number(value: Option<&Json>) -> Option<f64> {
    match value {
        Some(Json::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

fn step(step: &Json) -> Step {
    let text = |name: &str| step.get(name).and_then(Json::text).unwrap_or_default().to_owned();
    let sent = match (step.get("raw"), step.get("body")) {
        (Some(Json::Text(raw)), _) => Sent::Text(raw.clone()),
        (_, None | Some(Json::Null)) => Sent::Nothing,
        (_, Some(Json::Text(body))) if body.starts_with(['{', '\u{feff}', '(']) => Sent::Text(body.clone()),
        (_, Some(body)) => Sent::Json(body.clone()),
    };
    Step {
        at: number(step.get("at")).unwrap_or_default(),
        took: number(step.get("took")).unwrap_or_default(),
        from: match text("from").as_str() {
            "shop" => From::Shop,
            "btcpay" => From::Btcpay,
            _ => From::Hand,
        },
        method: text("method"),
        path: text("path"),
        headers: step.get("headers").cloned().unwrap_or(Json::Null),
        sent,
        did: text("did"),
        answer: step.get("answer").and_then(answer),
        permission: step.get("permission").cloned(),
    }
}

fn answer(answer: &Json) -> Option<Answer> {
    let body = match (answer.get("raw"), answer.get("body")) {
        (Some(Json::Text(raw)), _) => Some(Json::parse(raw).unwrap_or_else(|_| Json::Text(raw.clone()))),
        (_, None | Some(Json::Null)) => None,
        (_, Some(body)) => Some(body.clone()),
    };
    Some(Answer {
        status: number(answer.get("status"))? as u16,
        headers: answer.get("headers").cloned().unwrap_or(Json::Null),
        body,
        metadata: answer.get("metadata").and_then(Json::text).map(str::to_owned),
    })
}

/// The recordings of subscriptions show a repeated object once: `=STEP/PATH` stands for it elsewhere.
fn resolved(whole: &Json) -> Json {
    let Some(Json::List(steps)) = whole.get("steps") else { return whole.clone() };
    let Json::Object(members) = whole else { return whole.clone() };
    let walked: Vec<Json> = steps.iter().map(|step| walk(step, steps)).collect();
    let replaced = members.iter().map(|(name, value)| match name.as_str() {
        "steps" => (name.clone(), Json::List(walked.clone())),
        _ => (name.clone(), value.clone()),
    });
    Json::Object(replaced.collect())
}

fn walk(value: &Json, steps: &[Json]) -> Json {
    match value {
        Json::Text(text) => match reference(text).and_then(|(step, path)| find(steps.get(step)?, path)) {
            Some(found) => walk(found, steps),
            None => value.clone(),
        },
        Json::List(items) => Json::List(items.iter().map(|item| walk(item, steps)).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), walk(value, steps))).collect())
        }
        plain => plain.clone(),
    }
}

fn reference(text: &str) -> Option<(usize, &str)> {
    let (step, path) = text.strip_prefix('=')?.split_once('/')?;
    Some((step.parse().ok()?, path))
}

fn find<'a>(mut value: &'a Json, path: &str) -> Option<&'a Json> {
    for name in path.split('/') {
        value = match value {
            Json::List(items) => items.get(name.parse::<usize>().ok()?)?,
            other => other.get(name)?,
        };
    }
    Some(value)
}
