//! What tests may change while the stand-in runs: the store, and the switches for each unkindness.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    ids,
    pace::Pace,
    payment::{MethodId, SpeedPolicy},
};

/// The store's settings, as `GET /stores/{id}` shows them. Durations in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreSettings {
    pub id: String,
    pub name: String,
    pub default_currency: String,
    pub speed_policy: SpeedPolicy,
    pub invoice_expiration: i64,
    pub monitoring_expiration: i64,
    pub payment_tolerance: f64,
    pub lazy_payment_methods: bool,
    pub redirect_automatically: bool,
    pub default_lang: String,
    pub network_fee_mode: String,
    pub default_payment_method: Option<String>,
    pub anyone_can_create_invoice: bool,
}

impl StoreSettings {
    pub fn new(id: &str) -> Self {
        StoreSettings {
            id: id.into(),
            name: "Stand-in".into(),
            default_currency: "USD".into(),
            speed_policy: SpeedPolicy::MediumSpeed,
            invoice_expiration: 900,
            monitoring_expiration: 86_400,
            payment_tolerance: 0.0,
            lazy_payment_methods: false,
            redirect_automatically: false,
            default_lang: "en".into(),
            default_payment_method: None,
            network_fee_mode: "MultiplePaymentsOnly".into(),
            anyone_can_create_invoice: false,
        }
    }
}

/// Each unkindness, off by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Every API answer comes this much later.
    pub latency_ms: u64,
    /// A creation answers this much after the invoice was saved and its `InvoiceCreated` raised.
    pub create_delay_ms: u64,
    /// How many creations are worked on at a time, and how long each takes; without it all at once, in no time.
    pub create_pace: Option<Pace>,
    /// A created invoice is paid, and its webhooks are delivered, before the creation answers.
    pub pay_on_create: Option<MethodId>,
    /// The next API calls that match fail.
    pub fail_next: Option<Failure>,
    pub down: Option<Down>,
    /// `false`: `/health` and `/server/info` say that the node still synchronises.
    pub synchronized: bool,
    /// Top-level fields put over the answer of a creation (`amount`, `currency`, `storeId`, `type` ...).
    pub answer_create: Map<String, Value>,
    /// The same for every answer that shows an invoice, lists included.
    pub answer_get: Map<String, Value>,
    /// Payment methods that the store has enabled.
    pub methods: Vec<MethodId>,
    /// Stores of the same owner in which nothing ever happens.
    pub other_stores: Vec<String>,
    /// Those of them that are turned off: no new invoice has them, older ones can still be paid so.
    pub disabled: Vec<MethodId>,
    /// Enabled ones that fail when an invoice is created: left out silently, or 400 when none is left.
    pub left_out: Vec<MethodId>,
    /// Between which amounts the store offers a method: `{"BTC-LN": {"below": "10"}, "BTC-CHAIN": {"above": "5"}}`.
    pub criteria: Map<String, Value>,
    /// Price of one bitcoin by currency, `XMR` for the plugin's method; a currency that is missing has no rate.
    pub rates: Map<String, Value>,
    /// Rate markup of the store: `"0.02"` makes everything but `BTC` 2 % dearer.
    pub spread: String,
    /// Added for a second on-chain payment, in bitcoin.
    pub network_fee: String,
    /// `false`: as in 2.4.1, a Lightning payment after the expiration is not seen at all. `true`: it makes the invoice `PaidLate`.
    pub late_lightning_seen: bool,
    /// How long BTCPay polls the open Lightning invoices after an outage of the node's RPC: one that is made meanwhile is overlooked.
    pub lightning_poll_ms: i64,
    /// A busy server raises every event so much later than what causes it.
    pub events_late_ms: i64,
    /// The kind of Lightning node: what it calls its invoices.
    pub lightning_node: NodeKind,
    /// The host's time zone: `UTC`, a name such as `Asia/Kolkata`, or minutes ahead of UTC.
    pub host_zone: String,
    /// After a half payment the old BOLT11 is shown, and can be paid, for so long.
    pub bolt11_renewal_ms: i64,
    /// What a wallet pays to a BOLT11 without an amount, in millisatoshi, unless told.
    pub wallet_pays_msat: Option<u64>,
    /// Events are lost: not queued at all.
    pub webhooks_lost: bool,
    /// Events wait until `/fake/release`.
    pub webhooks_held: bool,
    /// Every delivery waits this long, and those behind it too.
    pub webhook_delay_ms: u64,
    /// Every attempt is followed by this many byte-identical copies.
    pub webhook_copies: u32,
}

impl Default for Switches {
    fn default() -> Self {
        let rates = [("USD", "65000"), ("EUR", "60000"), ("GBP", "52000"), ("CHF", "58000"), ("JPY", "9800000")];
        Switches {
            latency_ms: 0,
            create_delay_ms: 0,
            create_pace: None,
            pay_on_create: None,
            fail_next: None,
            down: None,
            synchronized: true,
            answer_create: Map::new(),
            answer_get: Map::new(),
            methods: vec![MethodId::Chain, MethodId::Lightning, MethodId::Lnurl],
            other_stores: vec![],
            disabled: vec![],
            left_out: vec![],
            criteria: Map::new(),
            rates: rates.into_iter().map(|(currency, rate)| (currency.to_owned(), rate.into())).collect(),
            spread: "0".into(),
            network_fee: "0".into(),
            late_lightning_seen: true,
            lightning_poll_ms: 0,
            events_late_ms: 0,
            lightning_node: NodeKind::CoreLightning,
            host_zone: "UTC".into(),
            bolt11_renewal_ms: 0,
            wallet_pays_msat: Some(1_000_000),
            webhooks_lost: false,
            webhooks_held: false,
            webhook_delay_ms: 0,
            webhook_copies: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A label of its own for each invoice.
    CoreLightning,
    /// The payment hash; Eclair and phoenixd do likewise.
    Lnd,
}

impl NodeKind {
    pub fn label(self, payment_hash: &[u8; 32]) -> String {
        match self {
            // 20 random bytes in base58.
            NodeKind::CoreLightning => ids::label(),
            NodeKind::Lnd => ids::hex(payment_hash),
        }
    }
}

/// `{"count":3,"status":502}` answers the next three API calls with BTCPay's HTML error page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub count: u64,
    pub status: u16,
    /// Only calls of this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only calls whose path contains this.
    #[serde(default)]
    pub path: Option<String>,
    /// The answer's body instead of the HTML page; JSON if it looks like it.
    #[serde(default)]
    pub body: Option<String>,
    /// A `Location`, for redirects.
    #[serde(default)]
    pub location: Option<String>,
    /// The call does its work, and only then is the answer lost.
    #[serde(default)]
    pub after: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// A proxy answers 502 with HTML.
    #[serde(rename = "502")]
    BadGateway,
    /// Connections are closed without an answer.
    #[serde(rename = "drop")]
    Drop,
    /// Nobody listens. Needs `--control`.
    #[serde(rename = "refuse")]
    Refuse,
    /// Calls are never answered.
    #[serde(rename = "hang")]
    Hang,
}

/// `current` with the fields of `patch` put over it. Errors name an unknown field or a wrong type.
pub fn patched<T: Serialize + DeserializeOwned>(current: &T, patch: &Value) -> Result<T, String> {
    let mut value = serde_json::to_value(current).map_err(|err| err.to_string())?;
    let (Some(fields), Some(patch)) = (value.as_object_mut(), patch.as_object()) else {
        return Err("expected a JSON object with the fields to change".into());
    };
    for (name, new) in patch {
        fields.insert(name.clone(), new.clone());
    }
    serde_json::from_value(value).map_err(|err| err.to_string())
}
