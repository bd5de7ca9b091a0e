//! BTCPay's own description of its API, made fit for checking: OpenAPI 3.0 turned into JSON Schema 2020-12, and its known
//! errors mended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The description, ready to be asked about a request and its answer.
pub struct Document {
    paths: Map<String, Value>,
    parameters: Value,
    webhooks: Map<String, Value>,
    schemas: Value,
    validators: RefCell<HashMap<String, Validator>>,
}

/// One request and what came back.
pub struct Exchange {
    pub method: String,
    /// Below BTCPay's root: `/api/v1/…`.
    pub path: String,
    pub query: String,
    pub request: Vec<u8>,
    pub status: u16,
    pub media_type: String,
    pub answer: Vec<u8>,
}

/// Where the document is looked for; `HLSGATE_BTCPAY_OPENAPI` names another place.
pub fn file() -> PathBuf {
    match std::env::var_os("HLSGATE_BTCPAY_OPENAPI") {
        Some(file) => file.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/btcpay/openapi/btcpay.json"),
    }
}

impl Document {
    pub fn read(text: &str) -> Document {
        let mut document: Value = serde_json::from_str(text).unwrap();
        mend(&mut document);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let converted = schemas.iter().map(|(name, schema)| (name.clone(), converted(schema, schemas))).collect();
        Document {
            paths: document["paths"].as_object().unwrap().clone(),
            parameters: document["components"]["parameters"].clone(),
            webhooks: document["x-webhooks"].as_object().unwrap().clone(),
            schemas: Value::Object(converted),
            validators: RefCell::default(),
        }
    }

    /// Holds the exchange against the document; gives the operation's name and all that does not fit.
    pub fn check(&self, exchange: &Exchange) -> (String, Vec<String>) {
        let mut problems = Vec::new();
        let Some((template, item)) = self.find(&exchange.path) else {
            return (exchange.path.clone(), vec!["no such path".into()]);
        };
        let name = format!("{} {template}", exchange.method);
        let Some(operation) = item.get(exchange.method.to_lowercase()) else {
            return (name, vec!["no such method".into()]);
        };
        self.check_query(item, operation, &exchange.query, &mut problems);
        match operation["requestBody"]["content"]["application/json"].get("schema") {
            Some(schema) => self.check_json("request", schema, &exchange.request, &mut problems),
            None if exchange.request.is_empty() => {}
            None => problems.push("a body that nobody asked for".into()),
        }
        self.check_answer(operation, exchange, &mut problems);
        (name, problems)
    }

    /// Holds a delivery's body against the description of its event; `false` if the document has none.
    pub fn check_event(&self, event: &str, body: &[u8], problems: &mut Vec<String>) -> bool {
        let Some(webhook) = self.webhooks.get(event) else { return false };
        let schema = &webhook["post"]["requestBody"]["content"]["application/json"]["schema"];
        self.check_json("body", schema, body, problems);
        true
    }

    fn check_query(&self, item: &Value, operation: &Value, query: &str, problems: &mut Vec<String>) {
        let declared = [item, operation].into_iter().filter_map(|place| place["parameters"].as_array()).flatten();
        let declared: Vec<&Value> = declared.map(|parameter| self.resolved(parameter)).collect();
        for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = declared.iter().find(|p| p["in"] == "query" && p["name"] == *name) else {
                problems.push(format!("query parameter {name} is not declared"));
                continue;
            };
            let schema = &parameter["schema"];
            // A list is written by repeating its name.
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            let as_text = self.errors(schema, &Value::from(&*text));
            let as_value = serde_json::from_str(&text).map(|value| self.errors(schema, &value));
            if !as_text.is_empty() && !as_value.is_ok_and(|errors| errors.is_empty()) {
                problems.push(format!("query parameter {name}={text}: {}", as_text.join("; ")));
            }
        }
    }

    fn check_answer(&self, operation: &Value, exchange: &Exchange, problems: &mut Vec<String>) {
        let responses = &operation["responses"];
        let declared = responses.get(exchange.status.to_string()).or_else(|| responses.get("default"));
        // Every route can refuse the key or be in trouble; the document does not repeat that everywhere.
        let Some(declared) = declared.or_else(|| (exchange.status >= 400).then_some(&Value::Null)) else {
            problems.push(format!("status {} is not declared", exchange.status));
            return;
        };
        let problem_details = json!({ "$ref": "#/components/schemas/ProblemDetails" });
        match declared["content"]["application/json"].get("schema") {
            Some(schema) => self.check_json("answer", schema, &exchange.answer, problems),
            None if exchange.status >= 400 && exchange.media_type.starts_with("application/json") => {
                self.check_json("answer", &problem_details, &exchange.answer, problems);
            }
            None => {}
        }
    }

    fn check_json(&self, what: &str, schema: &Value, body: &[u8], problems: &mut Vec<String>) {
        match serde_json::from_slice(body) {
            Ok(value) => problems.extend(self.errors(schema, &value).into_iter().map(|err| format!("{what}{err}"))),
            Err(err) => problems.push(format!("{what} is not JSON: {err}")),
        }
    }

    /// `schema` is one of the document's, not converted yet.
    fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        // Making one takes far longer than using it.
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = converted(schema, self.schemas.as_object().unwrap());
            root["components"] = json!({ "schemas": self.schemas });
            jsonschema::draft202012::new(&root).unwrap()
        });
        validator.iter_errors(value).map(|err| format!("{}: {err}", err.instance_path())).collect()
    }

    /// The path's template and description. Literal segments go before placeholders: `api-keys/current` is no `{apikey}`.
    fn find(&self, path: &str) -> Option<(&String, &Value)> {
        let wanted = short(path);
        let fits = |template: &str| {
            let (a, b): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), wanted.split('/').collect());
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.starts_with('{') || a == b)
        };
        self.paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(t, _)| t.matches('{').count())
    }

    fn resolved<'a>(&'a self, parameter: &'a Value) -> &'a Value {
        match parameter["$ref"].as_str() {
            Some(reference) => &self.parameters[reference.rsplit('/').next().unwrap()],
            None => parameter,
        }
    }
}

/// The nested routes, which work in all versions, are not in the document: it shows the short ones that came with 2.4.0.
fn short(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        ["", "api", "v1", "stores", _, kind @ ("invoices" | "webhooks"), _, ..] => {
            format!("/api/v1/{kind}/{}", segments[6..].join("/"))
        }
        _ => path.to_owned(),
    }
}

/// The document's known errors, each with its reason.
fn mend(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    // A single invoice has them as well since 2.4.1; the document shows them in lists only.
    schemas["InvoiceData"]["allOf"][1]["properties"]["paymentMethods"] =
        json!({ "type": "array", "items": { "$ref": "#/components/schemas/InvoicePaymentMethodDataModel" } });
    // "number" stands for integers: a JSON float is refused for these.
    for name in ["UnixTimestamp", "TimeSpan"] {
        schemas[name]["type"] = "integer".into();
    }
    // BTCPay writes null where there is nothing, and the document does not say so.
    for (schema, field) in [("ApplicationServerInfoData", "onion"), ("InvoicePaymentMethodDataModel", "destination")] {
        schemas[schema]["properties"][field]["nullable"] = true.into();
    }
    // Seen on a real 2.4.1: null while the store has none, and a list, as its `items` say.
    let store = &mut schemas["StoreBaseData"]["properties"];
    store["defaultPaymentMethod"] = json!({ "type": "string", "nullable": true });
    store["paymentMethodCriteria"]["type"] = "array".into();
    for path in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in path.as_object_mut().unwrap().values_mut() {
            // Validation errors are 422; 400 has one code and message.
            if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut)
                && let Some(refused) = responses.remove("400")
            {
                responses.insert("422".into(), refused);
            }
        }
    }
}

/// OpenAPI 3.0's own ways, said in JSON Schema 2020-12: `nullable`, siblings of `$ref`, and objects composed by `allOf` of
/// parts that each forbid further properties.
fn converted(schema: &Value, schemas: &Map<String, Value>) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = object.get("$ref") {
        return json!({ "$ref": reference });
    }
    let mut out = object.clone();
    for name in ["items", "additionalProperties", "not"] {
        if let Some(inner) = out.get_mut(name) {
            *inner = converted(inner, schemas);
        }
    }
    if let Some(properties) = out.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| *property = converted(property, schemas));
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(list) = out.get_mut(name).and_then(Value::as_array_mut) {
            list.iter_mut().for_each(|part| *part = converted(part, schemas));
        }
    }
    if let Some(parts) = out.remove("allOf") {
        let mut closed = out.get("additionalProperties") == Some(&json!(false));
        let parts: Vec<Value> =
            parts.as_array().unwrap().iter().map(|part| opened(part, schemas, &mut closed)).collect();
        out.insert("allOf".into(), parts.into());
        if closed {
            out.remove("additionalProperties");
            out.insert("unevaluatedProperties".into(), false.into());
        }
    }
    match out.remove("nullable") {
        Some(Value::Bool(true)) => json!({ "anyOf": [{ "type": "null" }, out] }),
        _ => Value::Object(out),
    }
}

/// A part of an `allOf`, without its own ban on further properties, which is noted in `closed`.
fn opened(part: &Value, schemas: &Map<String, Value>, closed: &mut bool) -> Value {
    let target = part["$ref"].as_str().map(|reference| &schemas[reference.rsplit('/').next().unwrap()]);
    let mut out = converted(target.unwrap_or(part), schemas);
    if let Some(object) = out.as_object_mut() {
        for ban in ["additionalProperties", "unevaluatedProperties"] {
            if object.get(ban) == Some(&json!(false)) {
                object.remove(ban);
                *closed = true;
            }
        }
    }
    out
}
