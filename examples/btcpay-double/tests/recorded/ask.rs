//! Makes a recorded call, and compares the answer.

use crate::{
    case::{Sent, Step},
    hands::{self, object, text},
    json::Json,
    play::{Game, cut},
};

/// All keys of the recordings are shown as this one.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// Keys whose permissions a recording does not say: its case, the step from which on, the permissions.
const UNSAID: [(&str, usize, &[&str]); 15] = [
    ("refunds/refund-permissions", 0, &["unrestricted"]),
    ("refunds/refund-permissions", 9, &["btcpay.store.cancreatenonapprovedpullpayments"]),
    ("refunds/refund-permissions", 17, &["btcpay.store.cancreatepullpayments"]),
    ("refunds/refund-permissions", 25, &["btcpay.store.canmanagepullpayments"]),
    ("refunds/refund-permissions", 33, &["btcpay.store.canmodifyinvoices"]),
    ("refunds/refund-permissions", 39, &["btcpay.store.canviewpullpayments"]),
    ("refunds/refund-permissions", 45, &["btcpay.store.canmanagepayouts"]),
    ("refunds/refund-permissions", 51, &["btcpay.store.canviewpayouts"]),
    ("refunds/refund-permissions", 57, &["btcpay.store.canviewinvoices"]),
    ("refunds/refund-permissions", 63, &["btcpay.store.cancreateinvoice"]),
    ("refunds/refund-permissions", 69, &["btcpay.store.webhooks.canmodifywebhooks"]),
    ("refunds/refund-permissions", 75, &["btcpay.store.canmodifystoresettings"]),
    ("refunds/refund-permissions", 83, &[]),
    ("refunds/refund-permissions", 90, &["btcpay.store.cancreatenonapprovedpullpayments"]),
    (
        "refunds/refund-limited-key",
        0,
        &[
            "btcpay.store.cancreateinvoice",
            "btcpay.store.canviewinvoices",
            "btcpay.store.webhooks.canmodifywebhooks",
            "btcpay.store.cancreatenonapprovedpullpayments",
        ],
    ),
];

impl Game {
    /// Of which permissions a key has that the recording shows in no answer: beside the call, or nowhere.
    fn unsaid_permissions(&self, position: usize) -> Option<Json> {
        let list = |permissions: &[&str]| Json::List(permissions.iter().map(|name| text(name)).collect());
        let steps = &self.case.steps;
        if steps.iter().any(|step| step.permission.is_some()) {
            return Some(match &steps[position].permission {
                Some(Json::Text(one)) => list(&[one.as_str()]),
                Some(several) => several.clone(),
                None => list(&["unrestricted"]),
            });
        }
        let mut table = UNSAID.iter().filter(|(case, from, _)| self.case.name == *case && *from <= position);
        table.next_back().map(|(.., permissions)| list(permissions))
    }

    pub async fn ask(&mut self, position: usize) {
        if let Some((permissions, label)) = self.permissions(position) {
            hands::permit(&self.double, permissions, &label).await;
        }
        if let Some(permissions) = self.unsaid_permissions(position) {
            hands::permit(&self.double, permissions, "recorded").await;
        }
        self.name_what_was_made(position);
        let step = &self.case.steps[position];
        if step.method == "DELETE" && step.path.ends_with("/api-keys/current") {
            // By a key of its own, which is shown like the others.
            hands::permit(&self.double, Json::List(vec![text("unrestricted")]), "second").await;
        }
        let step = &self.case.steps[position];
        let path = self.names.translate(&self.names.beginnings(&step.path));
        let body: Option<Vec<u8>> = match &step.sent {
            Sent::Nothing => None,
            Sent::Text(text) if text == "(bytes)" => Some(b"{\"amount\":\"\xff\xfe\"}".to_vec()),
            Sent::Text(text) => Some(self.names.translate(text).into_bytes()),
            // As the recorded shop wrote it: faults name the position.
            Sent::Json(json) if self.case.name == "bodies" => Some(self.names.translated(json).compact().into_bytes()),
            Sent::Json(json) => Some(spaced(&self.names.translated(json)).into_bytes()),
        };
        self.forget_other_shops(position).await;
        let step = &self.case.steps[position];
        let headers = self.headers(position, body.is_some());
        let reply = self.double.call(&step.method, &path, &headers, body.as_deref()).await;
        let recorded = &step.answer;
        let (Some(reply), Some(recorded)) = (reply, recorded) else { return self.note(position, "no answer") };
        let mut found = vec![];
        if reply.status != recorded.status {
            found.push(format!(
                "status: recorded {}, ours {} {}",
                recorded.status,
                reply.status,
                reply.text().chars().take(200).collect::<String>()
            ));
        }
        let kind = |name: &str| match recorded.headers.get(name) {
            Some(Json::Text(text)) => Some(text.clone()),
            _ if name == "content-type" && (recorded.body.is_some() || recorded.metadata.is_some()) => {
                Some("application/json; charset=utf-8".into())
            }
            _ => None,
        };
        for name in [
            "content-type",
            "allow",
            "location",
            "access-control-allow-origin",
            "access-control-allow-methods",
            "access-control-allow-headers",
        ] {
            // Of subscriptions only one recording has the headers.
            let shown = !self.case.name.starts_with("subscriptions/") || recorded.headers != Json::Null;
            let said = recorded.headers.get(name).is_some() || name == "content-type" && shown;
            if said && kind(name).as_deref() != reply.header(name) {
                found.push(format!("header {name}: recorded {:?}, ours {:?}", kind(name), reply.header(name)));
            }
        }
        let slack = step.took;
        match (&recorded.body, reply.body.is_empty()) {
            (None, true) => {}
            (Some(Json::Text(words)), false) if words == "(as in the other cases)" => {
                if step.method == "POST" {
                    let ours = Json::parse_within(&reply.text(), 100).unwrap_or(Json::Null);
                    self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                }
            }
            (None, false) if recorded.metadata.is_some() => {
                let ours = Json::parse_within(&reply.text(), 100).unwrap_or(Json::Null);
                if step.method == "POST" {
                    self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                }
                found.extend(other_metadata(recorded.metadata.as_deref(), &ours));
            }
            (None, false) => {
                found.push(format!("body: recorded none, ours {}", reply.text().chars().take(160).collect::<String>()))
            }
            (Some(_), true) => found.push("body: recorded one, ours none".into()),
            (Some(recorded), false)
                if kind("content-type").is_some_and(|kind| kind.contains("html"))
                    || matches!(recorded, Json::Text(_)) && Json::parse(&reply.text()).is_err() => {}
            (Some(theirs), false) => match Json::parse_within(&reply.text(), 100) {
                Ok(ours) if reply.status == recorded.status => {
                    if step.path == "/api/v1/api-keys"
                        && let Some(key) = ours.get("apiKey").and_then(Json::text)
                    {
                        self.names.learn(KEY, key);
                    }
                    if step.method == "POST" && step.path.ends_with("/invoices") && theirs.get("id").is_none() {
                        self.made = ours.get("id").and_then(Json::text).map(str::to_owned);
                    }
                    let ours = self.of_one_second(theirs, ours).await;
                    let owner = path.split_once("/invoices/").and_then(|(_, rest)| rest.split(['/', '?']).next());
                    found.extend(self.names.differences(theirs, &ours, owner.unwrap_or_default(), &self.only, slack));
                    if let (Some(theirs), Some(ours)) = (theirs.get("id"), ours.get("id"))
                        && let (Some(theirs), Some(ours)) = (theirs.text(), ours.text())
                    {
                        let mut mail = self.mail.lock().expect("the mail");
                        mail.invoices.insert(theirs.to_owned(), ours.to_owned());
                    }
                    found.extend(other_metadata(recorded.metadata.as_deref(), &ours));
                }
                Ok(_) => {}
                Err(fault) => found.push(format!("body is no JSON: {fault:?}")),
            },
        }
        found.iter().for_each(|difference| self.note(position, difference));
    }

    /// A list that is cut may show any of the invoices of its last second: ours with those that the recording shows of it.
    async fn of_one_second(&self, theirs: &Json, ours: Json) -> Json {
        let (Json::List(theirs), Json::List(mut list)) = (theirs, ours.clone()) else { return ours };
        let wanted = theirs.iter().map(|item| item.get("id").and_then(Json::text).and_then(|id| self.names.known(id)));
        for (position, id) in wanted.enumerate().filter_map(|(position, id)| Some((position, id?.to_owned()))) {
            let shown = list.iter().any(|item| item.get("id").and_then(Json::text) == Some(&id));
            let Some(created) = list.get(position).and_then(|item| item.get("createdTime")).filter(|_| !shown) else {
                continue;
            };
            let path = format!("/api/v1/stores/{}/invoices/{id}", self.case.store);
            let owner = [
                ("authorization".to_owned(), format!("token {}", hands::OWNER)),
                ("host".to_owned(), self.host.clone()),
            ];
            let reply = self.double.call("GET", &path, &owner, None).await;
            let other = reply.and_then(|reply| Json::parse_within(&reply.text(), 100).ok());
            if let Some(other) = other.filter(|other| other.get("createdTime") == Some(created)) {
                list[position] = other;
            }
        }
        Json::List(list)
    }

    /// A recording does not say when another shop's webhook was deleted, but shows a list without it.
    async fn forget_other_shops(&self, position: usize) {
        const OTHER: &str = "https://other.example/hook";
        let step = &self.case.steps[position];
        let listed = step.answer.as_ref().and_then(|answer| answer.body.as_ref()).map(Json::compact);
        let lists = step.method == "GET" && step.path.ends_with("/webhooks");
        if lists && listed.is_some_and(|listed| !listed.contains(OTHER)) {
            self.double.control("webhooks/delete", &object(&[("url", text(OTHER))])).await;
        }
    }

    fn headers(&self, position: usize, with_body: bool) -> Vec<(String, String)> {
        let step = &self.case.steps[position];
        // Keys are made and deleted by the owner, whose own is shown like them.
        let owner = step.path.contains("/api-keys") && step.method != "GET" && !step.path.ends_with("/current");
        let key = if owner { hands::OWNER.to_owned() } else { self.names.translate(KEY) };
        let mut headers =
            vec![("host".to_owned(), self.host.clone()), ("authorization".to_owned(), format!("token {key}"))];
        if with_body {
            headers.push(("content-type".into(), "application/json".into()));
        }
        if self.in_a_folder() {
            headers.retain(|(name, _)| name != "authorization");
            headers.push(("x-forwarded-proto".into(), "https".into()));
        }
        // One recording does not show the `Host` that it sent.
        let link = step.answer.as_ref().and_then(|answer| answer.body.as_ref()?.get("checkoutLink")?.text());
        if let Some(host) = link.and_then(|link| link.strip_prefix("http://")?.split('/').next())
            && step.headers == Json::Null
            && !self.in_a_folder()
        {
            headers[0].1 = host.to_owned();
        }
        if let Json::Object(own) = &step.headers {
            for (name, value) in own {
                headers.retain(|(known, _)| known != name);
                if let Json::Text(value) = value {
                    headers.push((name.clone(), value.replace("API_KEY", &key)));
                }
            }
        }
        // What is not shown of a header, the hand before it describes.
        let before = position.checked_sub(1).map(|before| &self.case.steps[before].did);
        for (name, value) in headers.iter_mut().filter(|(name, _)| name == "authorization") {
            if value.contains("(another text)") {
                *value = described(before.map_or("", |did| did), &self.case.steps[position], name);
            }
        }
        headers
    }

    /// A recording shows no key: from `GET /api-keys/current` on it is one of the permissions which that answer has.
    fn permissions(&self, position: usize) -> Option<(Json, String)> {
        let step = &self.case.steps[position];
        let asks = step.path == "/api/v1/api-keys/current" && step.method == "GET";
        let made = self.case.steps[..position].iter().any(|step| step.path == "/api/v1/api-keys");
        let answer = step.answer.as_ref().filter(|answer| asks && !made && answer.status == 200)?;
        let body = answer.body.as_ref()?;
        let label = body.get("label").and_then(Json::text).unwrap_or_default().to_owned();
        Some((body.get("permissions")?.clone(), label))
    }

    /// Where the recording shows of a creation no id, the next path has it.
    fn name_what_was_made(&mut self, position: usize) {
        let path = self.case.steps[position].path.clone();
        let kinds = ["/invoices/", "/plan-checkout/", "/subscriber-portal/"];
        let rest = kinds.iter().find_map(|kind| path.split_once(kind)).map(|(_, rest)| rest);
        let Some(id) = rest.and_then(|rest| rest.split(['/', '?']).next()) else {
            return;
        };
        if self.names.known(id).is_none()
            && id.len() >= 18
            && let Some(made) = self.made.take()
        {
            self.names.learn(id, &made);
        }
    }
}

/// With a blank behind each comma and colon.
fn spaced(value: &Json) -> String {
    match value {
        Json::List(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}: {}", Json::Text(name.clone()).compact(), spaced(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        plain => plain.compact(),
    }
}

/// Where the exact text of metadata is recorded: whether ours is another.
fn other_metadata(recorded: Option<&str>, ours: &Json) -> Option<String> {
    let (exact, ours) = (recorded?, ours.get("metadata")?.compact());
    let theirs = Json::parse_within(exact, 100).map_or_else(|_| exact.to_owned(), |json| json.compact());
    (theirs != ours).then(|| format!("metadata's text: recorded {}, ours {}", cut(&theirs), cut(&ours)))
}

/// What a header said of which the recording keeps no text.
fn described(did: &str, step: &Step, _name: &str) -> String {
    let basic = |text: &str| format!("Basic {text}");
    match did.trim_start_matches("next, Authorization: ") {
        "token, two spaces" => format!("token  {KEY}"),
        "token, a space behind it" => format!("token {KEY} "),
        "the key in capitals" => format!("token {}", KEY.to_uppercase()),
        "the key but its last digit" => format!("token {}", &KEY[..39]),
        "Basic, unknown user" => basic("bm9ib2R5QGV4YW1wbGUuY29tOnBhc3N3b3Jk"),
        "Basic, no base64" => basic("%%%"),
        "Digest" => "Digest username=x".into(),
        _ if step.answer.as_ref().is_some_and(|answer| answer.status == 401) => {
            format!("token {}", KEY.replace('0', "f"))
        }
        _ => format!("token {KEY}"),
    }
}
