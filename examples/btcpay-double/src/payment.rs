//! Payment methods, and payments made with them.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::money;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::enum_variant_names)] // BTCPay's names
pub enum SpeedPolicy {
    HighSpeed,
    #[default]
    MediumSpeed,
    LowMediumSpeed,
    LowSpeed,
    /// A number that BTCPay took without a meaning for it.
    #[serde(untagged)]
    Unknown(u32),
}

impl SpeedPolicy {
    /// Confirmations that settle an on-chain payment; `rbf`: its transaction says that it may be replaced.
    pub fn confirmations(self, rbf: bool) -> u32 {
        match self {
            SpeedPolicy::HighSpeed => u32::from(rbf),
            SpeedPolicy::MediumSpeed => 1,
            SpeedPolicy::LowMediumSpeed => 2,
            SpeedPolicy::LowSpeed | SpeedPolicy::Unknown(_) => 6,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MethodId {
    #[serde(rename = "BTC-CHAIN")]
    Chain,
    #[serde(rename = "BTC-LN")]
    Lightning,
    #[serde(rename = "BTC-LNURL")]
    Lnurl,
    /// A plugin's.
    #[serde(rename = "XMR-CHAIN")]
    Monero,
}

impl MethodId {
    /// In the order in which BTCPay lists them.
    pub const ALL: [MethodId; 4] = [MethodId::Lightning, MethodId::Chain, MethodId::Lnurl, MethodId::Monero];

    /// Also takes the names from before 2.0, as BTCPay does.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "BTC-CHAIN" | "BTC" | "BTC-OnChain" | "BTC_BTCLike" => Some(MethodId::Chain),
            "BTC-LN" | "BTC-LightningNetwork" | "BTC_LightningLike" => Some(MethodId::Lightning),
            "BTC-LNURL" | "BTC-LNURLPAY" | "BTC_LNURLPAY" => Some(MethodId::Lnurl),
            "XMR-CHAIN" => Some(MethodId::Monero),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            MethodId::Chain => "BTC-CHAIN",
            MethodId::Lightning => "BTC-LN",
            MethodId::Lnurl => "BTC-LNURL",
            MethodId::Monero => "XMR-CHAIN",
        }
    }

    /// What its amounts are in.
    pub fn currency(self) -> &'static str {
        if self.of_plugin() { "XMR" } else { "BTC" }
    }

    /// Decimals of an amount that is asked for: whole satoshis, with Lightning, too.
    pub fn places(self) -> u32 {
        if self.of_plugin() { 12 } else { 8 }
    }

    pub fn instant(self) -> bool {
        matches!(self, MethodId::Lightning | MethodId::Lnurl)
    }

    /// BTCPay knows it only where the plugin is installed.
    pub fn of_plugin(self) -> bool {
        self == MethodId::Monero
    }
}

/// A way to pay this invoice.
#[derive(Clone, Debug)]
pub struct Method {
    pub id: MethodId,
    pub activated: bool,
    /// Address or BOLT11; `None` until activated, and for LNURL.
    pub destination: Option<String>,
    /// Price of one unit of the method's currency in the invoice's.
    pub rate: Decimal,
    pub preimage: [u8; 32],
    pub payment_hash: [u8; 32],
    /// What the node calls the BOLT11.
    pub label: String,
    /// What a wallet asked of an LNURL.
    pub asked: Option<Asked>,
}

/// A wallet's request at an LNURL, which made the BOLT11.
#[derive(Clone, Debug)]
pub struct Asked {
    pub millisatoshi: u64,
    pub comment: Option<String>,
    /// What the wallet was told before.
    pub terms: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PaymentStatus {
    Processing,
    Settled,
    Invalid,
}

#[derive(Clone, Debug)]
pub struct Payment {
    pub id: String,
    pub method: MethodId,
    /// UNIX seconds.
    pub received: i64,
    /// Bitcoin.
    pub value: Decimal,
    pub fee: Decimal,
    pub rate: Decimal,
    pub status: PaymentStatus,
    pub destination: String,
    pub confirmations: u32,
    pub needed: u32,
    /// Its transaction was replaced by one that pays elsewhere; BTCPay sees that with the next block.
    pub doomed: bool,
}

impl Payment {
    /// `zone`: how far the server's own time is ahead of UTC, in seconds; BTCPay takes a moment in UTC for one in its zone.
    pub fn json(&self, zone: i64) -> Value {
        json!({
            "id": self.id, "receivedDate": self.received - zone, "value": money::text(self.value), "fee": money::text(self.fee),
            "status": self.status, "destination": self.destination,
        })
    }

    pub fn net(&self) -> Decimal {
        (self.value - self.fee) * self.rate
    }
}

/// How somebody pays.
#[derive(Clone, Debug)]
pub struct Paying {
    pub method: MethodId,
    /// Bitcoin, before the network fee.
    pub value: Decimal,
    pub rbf: bool,
    /// Network fee that the store charges for a second on-chain payment, in bitcoin.
    pub fee: Decimal,
    /// UNIX seconds, where it is not now.
    pub received: Option<i64>,
    /// The transaction, or the payment hash, where it is not the method's own.
    pub transaction: Option<String>,
    /// The BOLT11, where it may be an older one.
    pub destination: Option<String>,
}
