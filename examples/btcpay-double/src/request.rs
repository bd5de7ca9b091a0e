//! What BTCPay makes of a request's body: its JSON reader, its conversions, its checks, and what it says of each.

use rust_decimal::Decimal;

use crate::{
    http::{Call, Reply, empty, invalid, raw},
    invoice::Checkout,
    invoicing::NewInvoice,
    json::{self, Document, Fault, Json},
    jsonb::{Jsonb, with_tax_in_bounds},
    money,
    payment::{MethodId, SpeedPolicy},
    settings::{StoreSettings, Switches},
};

/// ASP.NET's second entry, beside what the JSON reader or a converter has to say.
pub const REQUIRED: (&str, &str) = ("request", "The request field is required.");
/// BTCPay takes no more minutes, though it reads them.
const MOST_MINUTES: i64 = 35_791_394;
/// Languages of the checkout, by their own names; the short ones stand for the first that fits.
const LANGUAGES: [&str; 14] = [
    "en", "de-DE", "fr-FR", "es-ES", "it-IT", "pt-BR", "nl-NL", "ja-JP", "zh-CN", "ru-RU", "pl", "cs-CZ", "sv", "da-DK",
];

impl Call {
    /// As [`Call::document`], of a route that says only what the reader has to say.
    pub fn webhook_document(&self) -> Result<Document, Reply> {
        let Ok(text) = std::str::from_utf8(&self.body) else { return Err(empty(500)) };
        if text.trim().is_empty() {
            return Err(invalid(&[("", "A non-empty request body is required.")]));
        }
        let document = Document::parse(text, json::DEPTH).map_err(|Fault { path, message, line, position }| {
            invalid(&[(&path, &format!("{message} Path '{path}', line {line}, position {position}."))])
        })?;
        match document.value {
            Json::List(_) => {
                let kind = not_an_object("BTCPayServer.Client.Models.CreateStoreWebhookRequest");
                Err(invalid(&[("", &format!("{kind}Path '', line 1, position 1."))]))
            }
            _ => Ok(document),
        }
    }

    /// The body as BTCPay reads it. Errors: 415 for another content type, 500 for no UTF-8, 422 for no JSON.
    pub fn document(&self) -> Result<Document, Reply> {
        if !self.says_json() {
            return Err(unsupported_media_type());
        }
        let Ok(text) = std::str::from_utf8(&self.body) else { return Err(empty(500)) };
        if text.trim().is_empty() {
            return Err(invalid(&[("", "A non-empty request body is required."), REQUIRED]));
        }
        if text.starts_with('\u{feff}') {
            let message =
                "Unexpected character encountered while parsing value: \u{feff}. Path '', line 0, position 0.";
            return Err(invalid(&[("", message), REQUIRED]));
        }
        Document::parse(text, json::DEPTH).map_err(|Fault { path, message, line, position }| {
            let said = match (message.starts_with("The reader's MaxDepth"), message.ends_with(':')) {
                (true, _) => format!("{message} Path '{path}', line {line}, position {}.", position + 1),
                _ => format!("{message} Path '{path}', line {line}, position {position}."),
            };
            invalid(&[(&path, &said), REQUIRED])
        })
    }

    fn says_json(&self) -> bool {
        let Some(kind) = &self.content_type else { return self.body.is_empty() };
        let mut parts = kind.split(';').map(str::trim);
        let known = parts.next().is_some_and(|kind| {
            let kind = kind.to_ascii_lowercase();
            kind == "application/json"
                || kind == "text/json"
                || kind.starts_with("application/") && kind.ends_with("+json")
        });
        let charset = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
        known && charset.is_none_or(|charset| ["utf-8", "utf-16", "us-ascii"].contains(&charset.trim_matches('"')))
    }
}

pub fn unsupported_media_type() -> Reply {
    let problem = serde_json::json!({
        "type": "https://tools.ietf.org/html/rfc9110#section-15.5.16", "title": "Unsupported Media Type", "status": 415,
        "traceId": "00-00000000000000000000000000000000-0000000000000000-00",
    });
    raw(415, "application/problem+json; charset=utf-8", problem.to_string())
}

/// A value of a request that JSON cannot turn into `kind`, alone.
pub fn unconverted(document: &Document, path: &str, value: &Json, kind: &str) -> Reply {
    let mut reading = Reading { document, problems: vec![], unconverted: false };
    reading.unconverted(path, &format!("Error converting value {} to type '{kind}'.", value.compact()));
    let (path, message) = &reading.problems[0];
    invalid(&[REQUIRED, (path, message)])
}

/// Problems on the way, and the places of values in the text.
struct Reading<'a> {
    document: &'a Document,
    problems: Vec<(String, String)>,
    unconverted: bool,
}

impl Reading<'_> {
    fn note(&mut self, path: &str, message: &str) {
        self.problems.push((path.to_owned(), message.to_owned()));
    }

    /// A value that JSON cannot turn into its type.
    fn unconverted(&mut self, path: &str, message: &str) {
        let (line, position) = self.document.ends.get(path).copied().unwrap_or((1, 0));
        self.note(path, &format!("{message}{}Path '{path}', line {line}, position {position}.", blank(message)));
        self.unconverted = true;
    }

    fn flag(&mut self, path: &str, value: Option<&Json>, default: bool) -> bool {
        match value {
            None | Some(Json::Null) => default,
            Some(Json::Bool(flag)) => *flag,
            Some(Json::Number(text)) => text.parse::<f64>().is_ok_and(|number| number != 0.0),
            Some(Json::Text(text)) if text.is_empty() => default,
            Some(Json::Text(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Json::Text(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                let shown = other.text().unwrap_or("it").to_owned();
                self.unconverted(path, &format!("Could not convert string to boolean: {shown}."));
                default
            }
        }
    }

    /// Whole minutes as a number; a text is .NET's form of a time span, in which a number alone means days.
    fn minutes(&mut self, path: &str, value: Option<&Json>, default: i64) -> i64 {
        let read = match value {
            None | Some(Json::Null) => Some(default),
            Some(Json::Number(text)) => text.parse().ok().filter(|minutes: &i64| minutes.abs() < 15_000_000_000),
            Some(Json::Text(text)) => {
                text.parse::<i64>().ok().filter(|days| days.abs() < 10_675_199).map(|days| days * 1440)
            }
            Some(_) => None,
        };
        read.unwrap_or_else(|| {
            self.note(path, "Invalid timespan");
            default
        })
    }

    fn text(&mut self, value: Option<&Json>) -> Option<String> {
        match value {
            Some(Json::Text(text)) => Some(text.clone()),
            Some(Json::Number(text)) => Some(text.clone()),
            Some(Json::Bool(flag)) => Some(if *flag { "True" } else { "False" }.into()),
            _ => None,
        }
    }

    fn amount(&mut self, value: Option<&Json>) -> Option<Decimal> {
        let wrong = match value {
            None | Some(Json::Null) => return None,
            Some(Json::Text(text)) if text.trim().is_empty() => return None,
            Some(Json::Text(text)) => match money::parse(text) {
                Some(amount) => return Some(amount),
                None => "The supplied value is invalid.",
            },
            // A number has passed through a double and lost its zeros.
            Some(Json::Number(text)) => match money::parse(text) {
                Some(amount) => return Some(amount.normalize()),
                None => "The supplied value is invalid.",
            },
            Some(Json::Bool(_)) => "Unexpected token type: Boolean",
            Some(Json::List(_)) => "Unexpected token type: Array",
            Some(Json::Object(_)) => "Unexpected token type: Object",
        };
        self.note("amount", wrong);
        self.unconverted = true;
        None
    }

    fn object<'b>(&mut self, path: &str, value: Option<&'b Json>, kind: &str) -> Option<&'b Json> {
        match value {
            Some(object @ Json::Object(_)) => return Some(object),
            None | Some(Json::Null) => {}
            Some(Json::List(_)) => {
                let (line, position) = self.document.ends.get(path).copied().unwrap_or((1, 1));
                let (message, begin) = (not_an_object(kind), position - 1);
                self.note(path, &format!("{message}Path '{path}', line {line}, position {begin}."));
                self.unconverted = true;
            }
            Some(other) => {
                let shown = other.compact();
                self.unconverted(path, &format!("Error converting value {shown} to type '{kind}'."));
            }
        }
        None
    }
}

/// A sentence of several lines ends its last one.
fn blank(message: &str) -> &'static str {
    if message.ends_with('\n') { "" } else { " " }
}

fn not_an_object(kind: &str) -> String {
    format!(
        "Cannot deserialize the current JSON array (e.g. [1,2,3]) into type '{kind}' because the type requires a JSON object (e.g. {{\"name\":\"value\"}}) to deserialize correctly.\nTo fix this error either change the JSON to a JSON object (e.g. {{\"name\":\"value\"}}) or change the deserialized type to an array or a type that implements a collection interface (e.g. ICollection, IList) like List<T> that can be deserialized from a JSON array. JsonArrayAttribute can also be added to the type to force it to deserialize from a JSON array.\n"
    )
}

fn not_a_list(kind: &str) -> String {
    format!(
        "Cannot deserialize the current JSON object (e.g. {{\"name\":\"value\"}}) into type '{kind}' because the type requires a JSON array (e.g. [1,2,3]) to deserialize correctly.\nTo fix this error either change the JSON to a JSON array (e.g. [1,2,3]) or change the deserialized type so that it is a normal .NET type (e.g. not a primitive type like integer, not a collection type like an array or List<T>) that can be deserialized from a JSON object. JsonObjectAttribute can also be added to the type to force it to deserialize from a JSON object.\n"
    )
}

/// Fills a creation up with the store's settings. `zone`: the host's.
///
/// Errors: 422 with every problem, or an empty 500 where BTCPay stumbles.
pub fn creation(
    document: &Document,
    settings: &StoreSettings,
    store: &str,
    switches: &Switches,
) -> Result<NewInvoice, Reply> {
    let mut reading = Reading { document, problems: vec![], unconverted: false };
    let request = &document.value;
    if let Some(kind) = match request {
        Json::Object(_) => None,
        Json::List(_) => Some(not_an_object("BTCPayServer.Client.Models.CreateInvoiceRequest")),
        other => Some(format!(
            "Error converting value {} to type 'BTCPayServer.Client.Models.CreateInvoiceRequest'.",
            other.compact()
        )),
    } {
        let position = if matches!(request, Json::List(_)) { 1 } else { request.compact().len() };
        let message = format!("{kind}{}Path '', line 1, position {position}.", blank(&kind));
        return Err(invalid(&[("", &message), REQUIRED]));
    }

    let amount = reading.amount(request.member("amount"));
    let currency = match request.member("currency") {
        Some(Json::List(_) | Json::Object(_)) => {
            let place = document.ends.get("currency").map_or(0, |(_, position)| *position);
            let begin = place.saturating_sub(request.member("currency").map_or(0, |value| value.compact().len() - 1));
            let character = if matches!(request.member("currency"), Some(Json::List(_))) { '[' } else { '{' };
            reading.note(
                "currency",
                &format!("Unexpected character encountered while parsing value: {character}. Path 'currency', line 1, position {begin}."),
            );
            let end = if character == '[' { "EndArray" } else { "EndObject" };
            reading.note(
                "",
                &format!(
                    "JsonToken {end} is not valid for closing JsonType Object. Path '', line 1, position {place}."
                ),
            );
            reading.unconverted = true;
            String::new()
        }
        other => {
            let text = reading.text(other).unwrap_or_default();
            // Blanks are a currency of their own, without a name.
            if text.is_empty() { settings.default_currency.clone() } else { text.trim().to_uppercase() }
        }
    };
    let metadata = match request.member("metadata") {
        None | Some(Json::Null) => Json::Object(vec![]),
        Some(metadata @ Json::Object(_)) => metadata.clone(),
        Some(other) => {
            let kind = if matches!(other, Json::List(_)) { "JArray" } else { "JValue" };
            reading.unconverted(
                "metadata",
                &format!("Deserialized JSON type 'Newtonsoft.Json.Linq.{kind}' is not compatible with expected type 'Newtonsoft.Json.Linq.JObject'."),
            );
            Json::Object(vec![])
        }
    };
    let checkout = reading.object(
        "checkout",
        request.member("checkout"),
        "BTCPayServer.Client.Models.InvoiceDataBase+CheckoutOptions",
    );
    let checkout = checkout.cloned().unwrap_or(Json::Object(vec![]));
    let receipt = reading.object(
        "receipt",
        request.member("receipt"),
        "BTCPayServer.Client.Models.InvoiceDataBase+ReceiptOptions",
    );
    let receipt = receipt.cloned().unwrap_or(Json::Object(vec![]));

    let expiration_minutes = reading.minutes(
        "checkout.expirationMinutes",
        checkout.member("expirationMinutes"),
        settings.invoice_expiration / 60,
    );
    let monitoring_minutes = reading.minutes(
        "checkout.monitoringMinutes",
        checkout.member("monitoringMinutes"),
        settings.monitoring_expiration / 60,
    );
    let tolerance = match checkout.member("paymentTolerance") {
        None | Some(Json::Null) => settings.payment_tolerance,
        Some(Json::Number(text) | Json::Text(text)) => text.parse().unwrap_or_else(|_| {
            reading.unconverted("checkout.paymentTolerance", &format!("Could not convert string to double: {text}."));
            0.0
        }),
        Some(other) => {
            let shown = other.compact();
            reading.unconverted("checkout.paymentTolerance", &format!("Unexpected character encountered: {shown}."));
            0.0
        }
    };
    let speed_policy = speed_policy(&mut reading, checkout.member("speedPolicy"), settings.speed_policy);
    let methods = methods(&mut reading, checkout.member("paymentMethods"), switches);
    let redirect_url = reading.text(checkout.member("redirectURL")).map(|url| url.trim().to_owned());
    let language = reading.text(checkout.member("defaultLanguage"));
    // Not checked; only names from before 2.0 are brought to their present form.
    let default_method = reading.text(checkout.member("defaultPaymentMethod")).filter(|name| !name.is_empty());
    let default_method =
        default_method.map(|name| MethodId::parse(&name).map_or(name, |method| method.name().to_owned()));
    let redirect_automatically = reading.flag(
        "checkout.redirectAutomatically",
        checkout.member("redirectAutomatically"),
        settings.redirect_automatically,
    );
    let lazy = reading.flag(
        "checkout.lazyPaymentMethods",
        checkout.member("lazyPaymentMethods"),
        settings.lazy_payment_methods,
    );
    let shown = ["enabled", "showQR", "showPayments"]
        .map(|name| (name, reading.flag(&format!("receipt.{name}"), receipt.member(name), true)));

    if reading.problems.is_empty() {
        check(&mut reading, amount, expiration_minutes, tolerance, language.as_deref());
    }
    if !reading.problems.is_empty() {
        if reading.unconverted {
            reading.note(REQUIRED.0, REQUIRED.1);
        }
        let problems: Vec<_> =
            reading.problems.iter().map(|(path, message)| (path.as_str(), message.as_str())).collect();
        return Err(invalid(&problems));
    }
    let stumbles =
        expiration_minutes > MOST_MINUTES || monitoring_minutes > MOST_MINUTES || language.as_deref() == Some("");
    let tax = amount.map_or(metadata.clone(), |amount| with_tax_in_bounds(&metadata, amount));
    let metadata = Jsonb::store(&tax, &switches.host_zone).map_err(|_| empty(500))?;
    if stumbles || currency.contains('\0') {
        return Err(empty(500));
    }
    let mut receipt_shown: serde_json::Map<String, serde_json::Value> =
        shown.iter().map(|(name, flag)| ((*name).to_owned(), (*flag).into())).collect();
    if let Json::Object(members) = &receipt {
        for (name, value) in
            members.iter().filter(|(name, _)| !shown.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)))
        {
            receipt_shown.insert(name.clone(), serde_json::from_str(&value.compact()).unwrap_or_default());
        }
    }
    let language = language.map(|language| known_language(&language).unwrap_or(&language).to_owned());
    let checkout = Checkout {
        speed_policy,
        default_method,
        expiration_minutes,
        monitoring_minutes,
        tolerance,
        redirect_url,
        redirect_automatically,
        language,
    };
    let receipt = receipt_shown.into();
    let blank_amount = matches!(request.member("amount"), Some(Json::Text(text)) if text.trim().is_empty());
    let store = store.to_owned();
    Ok(NewInvoice { store, amount, blank_amount, currency, metadata, checkout, receipt, methods, lazy })
}

/// The status that a person wants to give an invoice, as it is written.
pub fn status(document: &Document) -> Result<String, Reply> {
    let mut reading = Reading { document, problems: vec![], unconverted: false };
    const KIND: &str = "BTCPayServer.Client.Models.InvoiceStatus";
    const NAMES: [&str; 5] = ["New", "Processing", "Expired", "Invalid", "Settled"];
    match document.value.member("status") {
        Some(Json::Text(text)) if NAMES.iter().any(|name| name.eq_ignore_ascii_case(text)) => return Ok(text.clone()),
        None => return Ok("New".into()),
        Some(Json::Null) => reading.unconverted("status", &format!("Cannot convert null value to {KIND}.")),
        Some(other) => {
            reading.unconverted("status", &format!("Error converting value {} to type '{KIND}'.", other.compact()));
        }
    }
    let (path, message) = &reading.problems[0];
    Err(invalid(&[(path, message), REQUIRED]))
}

/// Metadata that are no object.
pub fn no_metadata(document: &Document, value: &Json) -> Reply {
    let mut reading = Reading { document, problems: vec![], unconverted: false };
    let kind = if matches!(value, Json::List(_)) { "JArray" } else { "JValue" };
    reading.unconverted(
        "metadata",
        &format!("Deserialized JSON type 'Newtonsoft.Json.Linq.{kind}' is not compatible with expected type 'Newtonsoft.Json.Linq.JObject'."),
    );
    let (path, message) = &reading.problems[0];
    invalid(&[REQUIRED, (path, message)])
}

/// What BTCPay checks once everything could be read.
fn check(reading: &mut Reading<'_>, amount: Option<Decimal>, expiration: i64, tolerance: f64, language: Option<&str>) {
    if amount.is_some_and(|amount| amount.is_sign_negative() && !amount.is_zero()) {
        reading.note("Amount", "The amount should be 0 or more.");
    }
    if amount.is_some_and(|amount| amount >= Decimal::from(u64::MAX)) {
        reading.note("Amount", "The amount should less than 18446744073709551615.");
    }
    if expiration < 1 {
        reading.note("Checkout.Expiration", "Expiration time must be at least 30 seconds");
    }
    if !(0.0..=100.0).contains(&tolerance) {
        reading.note("Checkout.PaymentTolerance", "PaymentTolerance can only be between 0 and 100 percent");
    }
    if language.is_some_and(|language| !language.is_empty() && known_language(language).is_none()) {
        reading.note(
            "Checkout.DefaultLanguage",
            "The requested defaultLang does not exists, Browse the ~/misc/lang page of your BTCPay Server instance to see the list of supported languages.",
        );
    }
}

fn known_language(wanted: &str) -> Option<&'static str> {
    let short = |language: &str| language.split('-').next().is_some_and(|short| short.eq_ignore_ascii_case(wanted));
    let same = LANGUAGES.iter().find(|language| language.eq_ignore_ascii_case(wanted));
    same.or_else(|| LANGUAGES.iter().find(|language| short(language))).copied()
}

fn speed_policy(reading: &mut Reading<'_>, value: Option<&Json>, default: SpeedPolicy) -> SpeedPolicy {
    const NAMES: [(&str, SpeedPolicy); 4] = [
        ("HighSpeed", SpeedPolicy::HighSpeed),
        ("MediumSpeed", SpeedPolicy::MediumSpeed),
        ("LowSpeed", SpeedPolicy::LowSpeed),
        ("LowMediumSpeed", SpeedPolicy::LowMediumSpeed),
    ];
    match value {
        None | Some(Json::Null) => default,
        Some(Json::Text(text)) if text.is_empty() => default,
        Some(Json::Number(text) | Json::Text(text)) => {
            let number = text.parse::<u32>().ok();
            let numbered = number.and_then(|number| NAMES.get(number as usize));
            let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            match (numbered.or(named), number) {
                (Some((_, policy)), _) => *policy,
                (None, Some(number)) => SpeedPolicy::Unknown(number),
                (None, None) => {
                    let kind = "System.Nullable`1[BTCPayServer.Client.Models.SpeedPolicy]";
                    reading.unconverted(
                        "checkout.speedPolicy",
                        &format!("Error converting value \"{text}\" to type '{kind}'."),
                    );
                    default
                }
            }
        }
        Some(other) => {
            let shown = other.compact();
            reading.unconverted("checkout.speedPolicy", &format!("Unexpected token {shown}."));
            default
        }
    }
}

fn methods(reading: &mut Reading<'_>, value: Option<&Json>, switches: &Switches) -> Option<Vec<MethodId>> {
    let known = |method: &MethodId| !method.of_plugin() || switches.methods.contains(method);
    const PATH: &str = "checkout.paymentMethods";
    match value {
        None | Some(Json::Null) => None,
        Some(Json::List(names)) => {
            let mut methods: Vec<MethodId> = vec![];
            for (position, name) in names.iter().enumerate() {
                match name.text().and_then(MethodId::parse).filter(known) {
                    Some(method) if methods.contains(&method) => {}
                    Some(method) => methods.push(method),
                    None => reading.note(&format!("Checkout.PaymentMethods[{position}]"), "Invalid PaymentMethodId"),
                }
            }
            Some(methods)
        }
        Some(Json::Object(_)) => {
            let place = reading.document.ends.get(PATH).map_or(0, |(_, position)| *position);
            let message = not_a_list("System.String[]");
            reading.note(PATH, &format!("{message}Path '{PATH}', line 1, position {place}."));
            reading.unconverted = true;
            None
        }
        Some(other) => {
            let shown = other.compact();
            reading.unconverted(PATH, &format!("Error converting value {shown} to type 'System.String[]'."));
            None
        }
    }
}
