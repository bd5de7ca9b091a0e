//! API keys and what their permissions include.

/// A key of the store's owner. `permissions` may end in `:<storeId>`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub key: String,
    pub label: String,
    pub permissions: Vec<String>,
}

pub const CREATE_INVOICE: &str = "btcpay.store.cancreateinvoice";
pub const VIEW_INVOICES: &str = "btcpay.store.canviewinvoices";
pub const MODIFY_INVOICES: &str = "btcpay.store.canmodifyinvoices";
pub const WEBHOOKS: &str = "btcpay.store.webhooks.canmodifywebhooks";
pub const VIEW_STORE: &str = "btcpay.store.canviewstoresettings";
pub const MODIFY_STORE: &str = "btcpay.store.canmodifystoresettings";

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
    granted == wanted
        || match granted {
            "unrestricted" => true,
            MODIFY_STORE => wanted.starts_with("btcpay.store."),
            MODIFY_INVOICES => [CREATE_INVOICE, VIEW_INVOICES].contains(&wanted),
            _ => false,
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
