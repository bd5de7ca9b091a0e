//! What an API key may: too little stops the sale, too much is a risk.

use serde::Deserialize;

use super::lenient;

/// Make invoices.
pub(crate) const CREATE_INVOICE: &str = "btcpay.store.cancreateinvoice";
/// Read them and their payments.
pub(crate) const VIEW_INVOICES: &str = "btcpay.store.canviewinvoices";
/// Register the webhook and read its deliveries.
pub(crate) const MODIFY_WEBHOOKS: &str = "btcpay.store.webhooks.canmodifywebhooks";
/// Read the store's name and payment methods.
pub(crate) const VIEW_STORE: &str = "btcpay.store.canviewstoresettings";

/// Read the invoices of the store's Lightning node, all of them: the second witness.
pub(crate) const VIEW_LIGHTNING: &str = "btcpay.store.canviewlightninginvoice";

/// What selling needs.
pub(crate) const TO_SELL: [&str; 2] = [CREATE_INVOICE, VIEW_INVOICES];
/// What the set-up and its checks need besides.
pub(crate) const TO_SET_UP: [&str; 1] = [MODIFY_WEBHOOKS];

/// Everything at all.
const UNRESTRICTED: &str = "unrestricted";
const STORE_PREFIX: &str = "btcpay.store.";
const MODIFY_STORE: &str = "btcpay.store.canmodifystoresettings";
const CREATE_LIGHTNING: &str = "btcpay.store.cancreatelightninginvoice";
const USE_NODE: &str = "btcpay.store.canuselightningnode";
const MODIFY_INVOICES: &str = "btcpay.store.canmodifyinvoices";

/// An API key's rights as BTCPay lists them: `PERMISSION` for every store of its owner, or `PERMISSION:STORE`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Permissions(#[serde(deserialize_with = "lenient::list")] pub Vec<String>);

impl Permissions {
    /// Whether the key may do this in this store, by the right itself or by one that includes it.
    pub(crate) fn allow(&self, wanted: &str, store: &str) -> bool {
        self.0.iter().any(|granted| {
            let (right, scope) = split(granted);
            scope.is_none_or(|scope| scope == store) && includes(right, wanted)
        })
    }

    /// The rights that are not among `needed`, or reach beyond this store.
    pub(crate) fn beyond(&self, needed: &[&str], store: &str) -> Vec<&str> {
        let is_needed = |granted: &&str| {
            let (right, scope) = split(granted);
            needed.contains(&right) && scope == Some(store)
        };
        self.0.iter().map(String::as_str).filter(|granted| !is_needed(granted)).collect()
    }
}

fn split(granted: &str) -> (&str, Option<&str>) {
    match granted.split_once(':') {
        Some((right, scope)) => (right, Some(scope)),
        None => (granted, None),
    }
}

/// Source: BTCPay Server, `Permissions.cs`.
fn includes(right: &str, wanted: &str) -> bool {
    match right {
        UNRESTRICTED => true,
        MODIFY_STORE => wanted.starts_with(STORE_PREFIX),
        MODIFY_INVOICES => [MODIFY_INVOICES, CREATE_INVOICE, VIEW_INVOICES, VIEW_LIGHTNING].contains(&wanted),
        CREATE_LIGHTNING | USE_NODE => [right, VIEW_LIGHTNING].contains(&wanted),
        // Seen with 2.4.1: such a key reads invoices.
        VIEW_STORE => [VIEW_STORE, VIEW_INVOICES].contains(&wanted),
        _ => right == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(list: &[&str]) -> Permissions {
        Permissions(list.iter().map(|&text| text.into()).collect())
    }

    #[test]
    fn a_right_counts_for_its_store_and_for_what_it_includes() {
        let cases: [(&[&str], &str, bool); 14] = [
            (&["btcpay.store.cancreateinvoice:A"], CREATE_INVOICE, true),
            (&["btcpay.store.cancreateinvoice:B"], CREATE_INVOICE, false),
            (&["btcpay.store.cancreateinvoice"], CREATE_INVOICE, true),
            (&["btcpay.store.canmodifyinvoices:A"], VIEW_INVOICES, true),
            (&["btcpay.store.canmodifyinvoices:A"], MODIFY_WEBHOOKS, false),
            (&["btcpay.store.canmodifystoresettings:A"], MODIFY_WEBHOOKS, true),
            (&["btcpay.store.canviewstoresettings:A"], VIEW_INVOICES, true),
            (&["btcpay.store.canviewstoresettings:A"], VIEW_STORE, true),
            (&["btcpay.store.canviewstoresettings:A"], CREATE_INVOICE, false),
            (&["btcpay.store.canviewinvoices:A"], VIEW_LIGHTNING, false),
            (&["btcpay.store.canuselightningnode:A"], VIEW_LIGHTNING, true),
            (&["btcpay.store.canmodifyinvoices:A"], VIEW_LIGHTNING, true),
            (&["unrestricted"], VIEW_STORE, true),
            (&["btcpay.server.canmodifyserversettings"], CREATE_INVOICE, false),
        ];
        for (list, wanted, expected) in cases {
            assert_eq!(permissions(list).allow(wanted, "A"), expected, "{list:?} {wanted}");
        }
    }

    #[test]
    fn more_than_needed_is_named() {
        let list = permissions(&[
            "btcpay.store.cancreateinvoice:A",
            "btcpay.store.canviewinvoices",
            "btcpay.store.canmodifystoresettings:A",
            "btcpay.store.cancreateinvoice:B",
        ]);
        assert_eq!(
            list.beyond(&TO_SELL, "A"),
            [
                "btcpay.store.canviewinvoices",
                "btcpay.store.canmodifystoresettings:A",
                "btcpay.store.cancreateinvoice:B"
            ]
        );
    }
}
