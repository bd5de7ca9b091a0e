//! API keys and what their permissions include.

/// A key of the store's owner. `permissions` may end in `:<storeId>`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub key: String,
    pub label: String,
    pub permissions: Vec<String>,
}

pub const UNRESTRICTED: &str = "unrestricted";
pub const CREATE_INVOICE: &str = "btcpay.store.cancreateinvoice";
pub const VIEW_INVOICES: &str = "btcpay.store.canviewinvoices";
pub const MODIFY_INVOICES: &str = "btcpay.store.canmodifyinvoices";
pub const WEBHOOKS: &str = "btcpay.store.webhooks.canmodifywebhooks";
pub const VIEW_STORE: &str = "btcpay.store.canviewstoresettings";
pub const MODIFY_STORE: &str = "btcpay.store.canmodifystoresettings";
pub const VIEW_LIGHTNING: &str = "btcpay.store.canviewlightninginvoice";
pub const CREATE_LIGHTNING: &str = "btcpay.store.cancreatelightninginvoice";
pub const USE_NODE: &str = "btcpay.store.canuselightningnode";
pub const MAKE_PULL_PAYMENTS: &str = "btcpay.store.cancreatepullpayments";
pub const MAKE_UNAPPROVED: &str = "btcpay.store.cancreatenonapprovedpullpayments";
pub const VIEW_PULL_PAYMENTS: &str = "btcpay.store.canviewpullpayments";
pub const ARCHIVE_PULL_PAYMENTS: &str = "btcpay.store.canarchivepullpayments";
pub const MANAGE_PULL_PAYMENTS: &str = "btcpay.store.canmanagepullpayments";
pub const VIEW_PAYOUTS: &str = "btcpay.store.canviewpayouts";
pub const MANAGE_PAYOUTS: &str = "btcpay.store.canmanagepayouts";
pub const VIEW_PAYMENT_REQUESTS: &str = "btcpay.store.canviewpaymentrequests";
pub const MODIFY_PAYMENT_REQUESTS: &str = "btcpay.store.canmodifypaymentrequests";
pub const MODIFY_OFFERINGS: &str = "btcpay.store.canmodifyofferings";
pub const VIEW_OFFERINGS: &str = "btcpay.store.canviewofferings";
pub const MANAGE_SUBSCRIBERS: &str = "btcpay.store.canmanagesubscribers";
pub const CREDIT_SUBSCRIBERS: &str = "btcpay.store.cancreditsubscribers";

/// What each permission includes directly.
const INCLUDES: [(&str, &[&str]); 11] = [
    (VIEW_STORE, &[VIEW_INVOICES, VIEW_PULL_PAYMENTS, VIEW_PAYOUTS]),
    (MODIFY_INVOICES, &[CREATE_INVOICE, VIEW_INVOICES, CREATE_LIGHTNING]),
    (USE_NODE, &[CREATE_LIGHTNING]),
    (CREATE_LIGHTNING, &[VIEW_LIGHTNING]),
    (MANAGE_PULL_PAYMENTS, &[MAKE_PULL_PAYMENTS, ARCHIVE_PULL_PAYMENTS]),
    (MAKE_PULL_PAYMENTS, &[MAKE_UNAPPROVED]),
    (MAKE_UNAPPROVED, &[VIEW_PULL_PAYMENTS]),
    (ARCHIVE_PULL_PAYMENTS, &[VIEW_PULL_PAYMENTS]),
    (MANAGE_PAYOUTS, &[VIEW_PAYOUTS]),
    (MODIFY_PAYMENT_REQUESTS, &[VIEW_PAYMENT_REQUESTS]),
    (MODIFY_OFFERINGS, &[VIEW_OFFERINGS, MANAGE_SUBSCRIBERS, CREDIT_SUBSCRIBERS]),
];

/// Whether it is written as a permission is, known or not.
pub fn known_form(permission: &str) -> bool {
    permission == UNRESTRICTED || permission.starts_with("btcpay.") && permission.matches('.').count() >= 2
}

/// Whether this stand-in knows it.
pub fn known(permission: &str) -> bool {
    let name = permission.split(':').next().unwrap_or_default();
    let listed = |list: &[&str]| list.contains(&name);
    name == UNRESTRICTED
        || [WEBHOOKS, MODIFY_STORE].contains(&name)
        || INCLUDES.iter().any(|(granted, included)| *granted == name || listed(included))
}

impl ApiKey {
    /// `store`: the one that the call is about; `None` where any will do.
    pub fn permits(&self, wanted: &str, store: Option<&str>) -> bool {
        self.permissions.iter().any(|permission| {
            let (granted, scope) = permission
                .split_once(':')
                .map_or((permission.as_str(), None), |(granted, scope)| (granted, Some(scope)));
            let in_scope = scope.is_none() || store.is_none() || scope == store;
            in_scope && includes(granted, wanted)
        })
    }
}

fn includes(granted: &str, wanted: &str) -> bool {
    let further = || {
        let known = INCLUDES.iter().find(|(name, _)| *name == granted);
        known.is_some_and(|(_, included)| included.iter().any(|one| includes(one, wanted)))
    };
    match granted {
        _ if granted == wanted => true,
        UNRESTRICTED => true,
        MODIFY_STORE => wanted.starts_with("btcpay.store."),
        _ => further(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inclusion_and_scope() {
        let key = |permissions: &[&str]| ApiKey {
            key: "k".into(),
            label: String::new(),
            permissions: permissions.iter().map(|&permission| permission.into()).collect(),
        };
        assert!(key(&[MODIFY_INVOICES]).permits(CREATE_INVOICE, Some("a")));
        assert!(!key(&[MODIFY_INVOICES]).permits(WEBHOOKS, Some("a")));
        assert!(key(&["btcpay.store.canmodifystoresettings:a"]).permits(WEBHOOKS, Some("a")));
        assert!(!key(&["btcpay.store.canviewinvoices:a"]).permits(VIEW_INVOICES, Some("b")));
        assert!(!key(&[VIEW_INVOICES]).permits(CREATE_INVOICE, Some("a")));
    }
}
