//! Invoices that the recorded shop did not make by the calls that are shown: its own earlier ones, and those of strangers.

use crate::{
    case::From,
    hands::{OWNER, object, text},
    json::Json,
    notice::event,
    play::Game,
};

/// Base64 without padding, as tokens have it.
fn decoded(text: &str) -> Option<String> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut held, mut bits) = (vec![], 0u32, 0);
    for letter in text.chars() {
        held = held << 6 | LETTERS.find(letter)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 255) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

fn member<'a>(value: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn copied(value: &Json, names: &[&str]) -> Vec<(String, Json)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(name)?.clone()))).collect()
}

impl Game {
    /// Invoices as answers show them.
    pub fn shown_invoices(&self) -> impl Iterator<Item = &Json> {
        let bodies = self.case.steps.iter().filter_map(|step| step.answer.as_ref()?.body.as_ref());
        bodies.filter(|body| member(body, &["checkout", "paymentMethods"]).is_some())
    }

    /// The invoice whose creation is delivered next, as a later answer shows it.
    fn next_invoice(&self, position: usize) -> Option<&Json> {
        // Sometimes the delivery was noted before the hand.
        let steps = self.case.steps[position.saturating_sub(2)..].iter();
        let created = |event: &Json| event.get("type").and_then(Json::text) == Some("InvoiceCreated");
        let ids = steps.filter_map(event).filter(created).filter_map(|event| event.get("invoiceId").cloned());
        let unmade = |id: &Json| id.text().is_some_and(|id| self.names.known(id).is_none());
        let next = ids.into_iter().find(unmade)?;
        self.shown_invoices().find(|invoice| invoice.get("id") == Some(&next))
    }

    /// The shop sold something before the recorded calls: what it was, the order in the invoice says.
    pub async fn make_unshown(&mut self, position: usize) -> Option<()> {
        let delivered = event(&self.case.steps[position])?;
        let id = delivered.get("invoiceId")?.text()?.to_owned();
        let token = member(&delivered, &["metadata", "hlsgate"])?.text()?;
        let answered = |step: &crate::case::Step| {
            let body = step.answer.as_ref().and_then(|answer| answer.body.as_ref());
            let made = body.is_some_and(|body| [body.get("id"), body.get("invoiceId")].contains(&Some(&text(&id))));
            step.from == From::Shop && step.method == "POST" && made
        };
        if delivered.get("type") != Some(&text("InvoiceCreated")) || self.case.steps.iter().any(answered) {
            return None;
        }
        let order = Json::parse(&decoded(token.split('.').nth(1)?)?).ok()?;
        let like = self.shown_invoices().next()?;
        let mut creation = copied(&order, &["amount", "currency"]);
        creation.extend(copied(like, &["checkout", "receipt"]));
        creation.push(("metadata".into(), delivered.get("metadata")?.clone()));
        self.go_to(self.case.started + self.case.steps[position].at - 0.02).await;
        let made = self.double.control("invoices", &Json::Object(creation)).await;
        let ours = made.get("id")?.text()?.to_owned();
        self.names.learn(&id, &ours);
        self.made = Some(ours);
        self.double.quiet().await;
        self.read_mail(1.0);
        Some(())
    }

    /// A call without a key, as a browser or a wallet makes it. Gives the answer's text.
    async fn visit(&self, method: &str, path: &str, form: &[(&str, String)]) -> Result<String, String> {
        let headers = [
            ("host", self.host.as_str()),
            ("x-forwarded-proto", "https"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let body = (method == "POST").then_some(form.as_bytes());
        let reply = self.double.call(method, path, &headers, body).await.ok_or("no answer")?;
        match reply.status {
            200 | 302 => Ok(reply.text()),
            status => Err(format!("{method} {path}: {status} {}", reply.text())),
        }
    }

    fn app(&self, kind: &str) -> Option<&Json> {
        let bodies = self.case.steps.iter().filter_map(|step| step.answer.as_ref()?.body.as_ref());
        bodies.into_iter().find(|body| body.get("appType") == Some(&text(kind)))
    }

    /// What strangers do in the store's apps and with wallets; `None`: that is something else.
    pub async fn stranger(&mut self, position: usize) -> Option<Result<(), String>> {
        let did = self.case.steps[position].did.clone();
        if did.starts_with("a viewer paid ") {
            let members = [("invoice", text(self.made.as_deref()?)), ("method", text("BTC-LN"))];
            return Some(self.double.try_control("pay", &object(&members)).await.map(drop));
        }
        if did.starts_with("a wallet ") {
            return Some(self.wallet(&did).await);
        }
        let next = self.next_invoice(position);
        let of = |path: &[&str]| next.and_then(|next| member(next, path)?.text()).unwrap_or_default().to_owned();
        let amount = did.split(' ').find(|word| word.contains('.')).unwrap_or_default().to_owned();
        let (path, form) = if did.starts_with("a pay button's form ") {
            let form = vec![
                ("storeId", self.case.store.clone()),
                ("price", of(&["amount"])),
                ("currency", of(&["currency"])),
                ("orderId", of(&["metadata", "orderId"])),
                ("checkoutDesc", of(&["metadata", "itemDesc"])),
                ("browserRedirect", of(&["checkout", "redirectURL"])),
            ];
            ("/api/v1/invoices".to_owned(), form)
        } else if did.ends_with(" to the crowdfund") {
            let id = self.names.known(self.app("Crowdfund")?.get("id")?.text()?)?;
            (format!("/apps/{id}/crowdfund"), vec![("amount", amount)])
        } else {
            let till = self.app("PointOfSale")?;
            let id = self.names.known(till.get("id")?.text()?)?;
            let form = match did.as_str() {
                "a stranger pressed the item of the point of sale" => {
                    let Some(Json::List(items)) = till.get("items") else { return None };
                    vec![("choiceKey", items.first()?.get("id")?.text()?.to_owned())]
                }
                "a stranger named orderId, posData and redirectUrl as well" => vec![
                    ("amount", of(&["amount"])),
                    ("orderId", of(&["metadata", "orderId"])),
                    ("posData", "{\"hlsgate\": \"forged\"}".to_owned()),
                    ("redirectUrl", of(&["checkout", "redirectURL"])),
                ],
                _ if did.starts_with("a stranger named ") => vec![("amount", amount)],
                _ => return None,
            };
            (format!("/apps/{id}/pos"), form)
        };
        Some(self.visit("POST", &path, &form).await.map(drop))
    }

    /// Asks a Lightning address, and perhaps pays it.
    async fn wallet(&self, did: &str) -> Result<(), String> {
        let address =
            self.case.text.split_once("\"lightningAddress\": \"").and_then(|(_, rest)| rest.split('@').next());
        let address = address.ok_or("the recording names no Lightning address")?;
        let asked = self.visit("GET", &format!("/.well-known/lnurlp/{address}"), &[]).await?;
        let Some(satoshi) = did.strip_prefix("a wallet paid ").and_then(|rest| rest.split(' ').next()) else {
            return Ok(());
        };
        let asked = Json::parse(&asked).map_err(|fault| format!("{fault:?}"))?;
        let callback = asked.get("callback").and_then(Json::text).unwrap_or_default();
        let (_, path) = callback.split_once(&format!("://{}", self.host)).ok_or("the callback is elsewhere")?;
        let bolt11 = self.visit("GET", &format!("{path}?amount={satoshi}000"), &[]).await?;
        let bolt11 = Json::parse(&bolt11).map_err(|fault| format!("{fault:?}"))?;
        let destination = bolt11.get("pr").cloned().ok_or_else(|| format!("no BOLT11: {}", bolt11.compact()))?;
        self.double.try_control("pay", &object(&[("destination", destination)])).await.map(drop)
    }

    /// A payment request and a Lightning address that were there before, where the case uses them without having made them.
    pub async fn furnish_strangers(&mut self) -> Option<()> {
        let steps = &self.case.steps;
        let makes = |end: &str| {
            steps.iter().any(|step| step.method == "POST" && step.path.contains(end) && !step.path.ends_with("/pay"))
        };
        let bodies = || steps.iter().filter_map(|step| step.answer.as_ref()?.body.as_ref());
        let request = bodies().find(|body| body.get("allowCustomPaymentAmounts").is_some()).cloned();
        if makes("/payment-requests") || makes("/lightning-addresses") || request.is_none() {
            return None;
        }
        let first = self.shown_invoices().next()?.clone();
        let address =
            self.shown_invoices().find(|invoice| member(invoice, &["metadata", "lightningAddress"]).is_some())?.clone();
        let number = |value: Option<&Json>| crate::case::number(value).unwrap_or_default();
        let request = request?;
        let lost = |lost| object(&[("webhooks_lost", Json::Bool(lost))]);
        let clock = |seconds: f64| object(&[("set", Json::Number(seconds.to_string()))]);
        self.double.control("switches", &lost(true)).await;
        self.double.control("clock", &clock(number(request.get("createdTime")))).await;
        let path = format!("/api/v1/stores/{}/payment-requests", self.case.store);
        let made = self.post(&path, &request).await;
        let id = made.get("id")?.text()?.to_owned();
        self.names.learn(request.get("id")?.text()?, &id);
        // What was paid of it then.
        let paid = number(request.get("amount")) - first.get("amount")?.text()?.parse::<f64>().unwrap_or_default();
        if paid > 0.0 {
            let invoice = self.post(&format!("{path}/{id}/pay"), &object(&[("amount", text(&paid.to_string()))])).await;
            self.double.control("pay", &object(&[("invoice", invoice.get("id")?.clone())])).await;
        }
        let metadata = member(&address, &["metadata"])?;
        let Json::Object(metadata) = metadata else { return None };
        let own: Vec<(String, Json)> =
            metadata.iter().filter(|(name, _)| name != "lightningAddress").cloned().collect();
        let name = member(&address, &["metadata", "lightningAddress"])?.text()?.split('@').next()?;
        let terms =
            object(&[("currencyCode", address.get("currency")?.clone()), ("invoiceMetadata", Json::Object(own))]);
        self.post(&format!("/api/v1/stores/{}/lightning-addresses/{name}", self.case.store), &terms).await;
        self.double.control("clock", &clock(self.case.started)).await;
        self.double.control("switches", &lost(false)).await;
        Some(())
    }

    async fn post(&self, path: &str, body: &Json) -> Json {
        let headers = [("authorization", format!("token {OWNER}")), ("content-type", "application/json".to_owned())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let reply = self.double.call("POST", path, &headers, Some(body.compact().as_bytes())).await;
        let reply = reply.expect("the double answers");
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        Json::parse_within(&reply.text(), 100).expect("JSON")
    }
}
