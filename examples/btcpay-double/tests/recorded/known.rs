//! Where the double is known to answer otherwise than the real server did, and why. Everything else is a failure.

/// A case, what its difference contains, and the reason.
pub const KNOWN: [(&str, &str, &str); 0] = [];

/// Cases, by the beginning of their names, that the double cannot play to the end yet, and why.
pub const OPEN: [(&str, &str); 27] = [
    ("refunds/foreign-invoices", "the double has no apps, payment requests and Lightning addresses"),
    ("refunds/refund-of-a-film", "the recording shows the sale by its deliveries only"),
    ("public-pages", "the checkout page has its own status, and no receipt"),
    ("redirect-odd", "the checkout's status is not the real one's"),
    ("unknown-ids", "the checkout's status is not the real one's"),
    ("2.0.8/unknown-ids", "the checkout's status is not the real one's"),
    ("2.3.6/unknown-ids", "the checkout's status is not the real one's"),
    ("verbs", "the checkout's status is not the real one's"),
    ("lnurl-only", "a wallet cannot ask for the BOLT11 of an LNURL"),
    ("lightning-offline", "which invoices the poll after an outage overlooks is not known"),
    ("checkout-odd", "one message of eighty is another"),
    ("key-other-store", "there is one store"),
    ("key-canmodifyinvoices", "BTCPay lists invoices of one second in any order"),
    ("many-sales-at-once", "BTCPay lists invoices of one second in any order"),
    ("many-at-once", "fifty creations at once are made one by one"),
    ("hlsgate-kolkata", "the list shows a payment before the shop is told of it"),
    ("hlsgate-null-webhook", "the shop's own commands change webhooks between the recorded calls"),
    ("2.0.8/hlsgate-null-webhook-sale", "the shop's own commands change webhooks between the recorded calls"),
    ("2.0.8/hlsgate-late-chain", "the list shows a payment later than the shop is told of it"),
    ("2.0.8/chain-half-expiry", "the BOLT11 of the rest came later than elsewhere"),
    ("2.0.8/setup", "2.0.8 has other exchanges by default"),
    ("old-bolt11-paid", "a busy server raises an event seconds after its cause"),
    ("order-under-load-lightning", "a busy server raises an event seconds after its cause"),
    ("restart-after-expiry", "the recording says seconds late that the server is up again"),
    ("restart-paid-meanwhile", "the recording says seconds late that the server is up again"),
    ("webhook-two", "the recording does not say how its second webhook was made"),
    ("zone-new-york", "a block that another case mined comes at another second"),
];
