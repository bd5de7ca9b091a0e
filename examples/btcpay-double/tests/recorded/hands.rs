//! What people, wallets, miners and machines did in a recording, done to the double by its control interface.

use crate::{compare::Names, json::Json, stage::Double};

/// What a hand does not say.
#[derive(Default)]
pub struct Paid {
    /// Bitcoin, where the BOLT11 names no amount.
    pub value: Option<String>,
    /// UNIX seconds, where it was made earlier than BTCPay noticed.
    pub at: Option<f64>,
    /// BTCPay looks so many seconds later whether the Lightning node is back.
    pub looks: Option<f64>,
    /// The other shop's webhook wants everything, though its list is null.
    pub everything: bool,
}

pub fn object(members: &[(&str, Json)]) -> Json {
    Json::Object(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

pub fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

/// Does it; an error where it went otherwise than recorded.
pub async fn act(
    double: &Double,
    names: &mut Names,
    recorded: &[String],
    did: &str,
    paid: &Paid,
) -> Result<(), String> {
    let words: Vec<&str> = did.split(' ').collect();
    let number = |position: usize| Json::Number(words.get(position).copied().unwrap_or("0").to_owned());
    match words[..] {
        ["bitcoind", "mined", ..] => drop(double.try_control("mine", &object(&[("blocks", number(2))])).await?),
        ["the", "customer", "paid", "the", "BOLT11", "of", "invoice", invoice, amount, ..] => {
            let members = [
                ("invoice", text(names.known(invoice).unwrap_or(invoice))),
                ("method", text("BTC-LN")),
                ("amount", text(amount.trim_start_matches('('))),
            ];
            // The same BOLT11 cannot be paid twice.
            if !did.contains("DuplicatePayment") {
                double.try_control("pay", &object(&members)).await?;
            }
        }
        ["the", "customer", "sent", amount, "BTC", "on", "chain", "for", "invoice", invoice, ..] => {
            let members = [
                ("invoice", text(names.known(invoice).unwrap_or(invoice))),
                ("method", text("BTC-CHAIN")),
                ("amount", text(amount)),
                ("rbf", Json::Bool(!did.contains("no RBF"))),
            ];
            double.try_control("pay", &object(&members)).await?;
        }
        ["the", "customer", "paid", "the", "BOLT11", bolt11, ..] => {
            let bolt11 = whole(names, recorded, bolt11);
            let mut members = vec![("destination", text(&bolt11))];
            if let Some(value) = &paid.value {
                members.push(("amount", text(value)));
            }
            if let Some(at) = paid.at {
                members.push(("receivedDate", Json::Number(format!("{at:.0}"))));
            }
            let paid = double.try_control("pay", &object(&members)).await?;
            let ours = paid.get("outcome").and_then(Json::text).unwrap_or_default().to_owned();
            let outcome = did.split_once("by Lightning: ").map_or("", |(_, outcome)| outcome);
            // Why a wallet gives up is the wallet's own word.
            if ours.starts_with("failed") != outcome.starts_with("failed") {
                return Err(format!("the payment: recorded {outcome}, ours {ours}"));
            }
        }
        ["the", "customer", "sent", amount, "BTC", "to", address, ..] => {
            let address = whole(names, recorded, address.trim_end_matches(','));
            let transaction = words.last().copied().unwrap_or_default();
            let rbf = !did.contains("no RBF");
            let members = [
                ("destination", text(&address)),
                ("amount", text(amount)),
                ("rbf", Json::Bool(rbf)),
                ("transaction", text(transaction)),
            ];
            double.try_control("pay", &object(&members)).await?;
        }
        ["the", "customer", "replaced", old, "by", new, ..] => {
            let same = did.contains("pays the same");
            let members =
                [("transaction", text(old)), ("by", text(new.trim_end_matches(','))), ("pays", Json::Bool(same))];
            double.try_control("replace", &object(&members)).await?;
        }
        ["the", "merchant's", "Lightning", _, "goes", "away", "for", seconds, ..] => {
            let mut members = vec![("away", Json::Number(seconds.to_owned()))];
            members.extend(paid.looks.map(|looks| ("looks", Json::Number(format!("{looks:.3}")))));
            double.try_control("lightning", &object(&members)).await?;
        }
        ["BTCPay", "was", "stopped"] => {
            drop(double.try_control("btcpay", &object(&[("up", Json::Bool(false))])).await?)
        }
        ["BTCPay", "was", "started", ..] => {
            drop(double.try_control("btcpay", &object(&[("up", Json::Bool(true))])).await?)
        }
        ["NBXplorer", "was", state, ..] => {
            double.try_control("explorer", &object(&[("up", Json::Bool(state == "started"))])).await?;
        }
        ["the", "merchant", "turned", method, "off"] => {
            double.try_control("method", &object(&[("method", text(method)), ("enabled", Json::Bool(false))])).await?;
        }
        ["the", "merchant", "removed", ..] => {
            double
                .try_control("method", &object(&[("method", text("BTC-CHAIN")), ("wallet", Json::Bool(false))]))
                .await?;
        }
        ["from", "here", "on", "with", "a", "key", .., "has", _]
        | ["from", "here", "on", "with", "a", "key", .., _, _] => {
            if let Some((_, list)) = did.split_once("that has ") {
                let permissions = list.split(", ").map(text).collect();
                permit(double, Json::List(permissions), "recorded").await;
            }
        }
        ["from", "here", "on", "with", "the", "unrestricted", ..] => {
            permit(double, Json::List(vec![text("unrestricted")]), "admin").await
        }
        [count, "creations", "at", "once:", ..] => {
            let checkout = object(&[("paymentMethods", Json::List(vec![text("BTC-LN"), text("BTC-CHAIN")]))]);
            let members = [("amount", text("0.00050000")), ("currency", text("BTC")), ("checkout", checkout)];
            // Two of them are shown before.
            for _ in 2..count.parse().unwrap_or(0) {
                double.try_control("invoices", &object(&members)).await?;
            }
        }
        ["a", "person", "marked", "the", "other", "invoice", "as", status]
        | ["a", "person", "marked", "the", "invoice", "as", status] => {
            let status = if status == "settled" { "Settled" } else { "Invalid" };
            double.try_control("mark", &object(&[("status", text(status))])).await?;
        }
        ["the", "other", "shop's", "webhook", ..] => {
            double.try_control("webhooks/delete", &object(&[("url", text("https://other.example/hook"))])).await?;
        }
        ["a", "person", "pressed", "Test", "for", ..] => {
            let kinds = did.trim_start_matches("a person pressed Test for ").split(':').next().unwrap_or_default();
            for kind in kinds.split(", ") {
                double.try_control("test-delivery", &object(&[("type", text(kind))])).await?;
            }
        }
        ["the", "invoice", "expires", ..] | ["the", "newest", ..] => {}
        ["another", "shop", "made", "a", "webhook", ..] => {
            let everything = Json::Bool(!did.contains("everything false") && paid.everything);
            let members = [
                ("url", text("https://other.example/hook")),
                ("events", Json::Null),
                ("specific", Json::Null),
                ("everything", everything),
            ];
            double.try_control("webhooks", &object(&members)).await?;
        }
        // What the shop told its viewer, and what a clock said, was done to nobody.
        ["the", "viewer", ..]
        | ["a", "viewer", ..]
        | ["the", "token:", ..]
        | ["the", "clock", ..]
        | ["hlsgate", ..]
        | ["both", "invoices", ..]
        | ["the", "three", ..]
        | ["the", "portal", "page", ..]
        | ["next,", ..]
        | ["a", "creation", ..]
        | ["52", ..]
        | ["a", "key", ..] => {}
        _ => return Err(format!("nobody can do this yet: {did}")),
    }
    Ok(())
}

/// The key of the server's owner.
pub const OWNER: &str = "ffffffffffffffffffffffffffffffffffffffff";

/// What the key that the recordings show may do from now on; the owner's may do all.
pub async fn permit(double: &Double, permissions: Json, label: &str) {
    let all = Json::List(vec![text("unrestricted")]);
    let keys = [
        ("0123456789abcdef0123456789abcdef01234567", &permissions),
        ("0000000000000000000000000000000000000000", &permissions),
        (OWNER, &all),
    ];
    for (key, permissions) in keys {
        let members = [("key", text(key)), ("permissions", permissions.clone()), ("label", text(label))];
        double.control("keys", &object(&members)).await;
    }
}

/// Our name of a destination; a recording shows the beginning of a BOLT11 in what a hand did.
fn whole(names: &Names, recorded: &[String], shown: &str) -> String {
    let begin = shown.trim_end_matches('…');
    let full = recorded.iter().find(|name| name.starts_with(begin)).map_or(begin, String::as_str);
    names.known(full).unwrap_or(full).to_owned()
}
