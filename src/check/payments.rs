//! What the store's latest invoices say of BTCPay's host and settings: its time zone, and when it adds a network fee.

use super::report::{Level, Report};
use super::trouble::GROUP;
use crate::btcpay::Client;
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::invoice::Invoice;
use crate::shop::start::zone_error;

/// Invoices that are looked at.
const RECENT: usize = 50;
const ALWAYS: &str = "Always";
const HOUR: i64 = 60 * 60;

/// Looks at them, as far as the key may see any.
pub(crate) async fn look(client: &Client, report: &mut Report) {
    let query =
        InvoiceQuery { take: RECENT, include_payment_methods: true, include_archived: true, ..InvoiceQuery::default() };
    // What it means that there is no answer, others have told.
    let Ok(page) = client.invoices(query).await else { return };
    let facts: Vec<_> = page.invoices.iter().map(Invoice::facts).collect();
    if let Some(error) = zone_error(&facts) {
        zone(error, report);
    }
    let modes = page.invoices.iter().flat_map(|invoice| &invoice.payment_methods);
    if let Some(mode) = modes.filter_map(|method| method.additional_data.fee_mode.as_deref()).next() {
        fee_mode(mode, report);
    }
}

/// - `error`: seconds by which payments are told too late; negative, too early.
fn zone(error: i64, report: &mut Report) {
    if error == 0 {
        return report.ok(GROUP, "time zone", "the latest payments are told in UTC");
    }
    let hours =
        format!("{}{}", error.abs() / HOUR, [".", ".25", ".5", ".75"][(error.abs() % HOUR / (HOUR / 4)) as usize]);
    let hours = hours.trim_end_matches('.');
    let (how, side) = if error < 0 { ("early", "east") } else { ("late", "west") };
    report.note(
        GROUP,
        Level::Warning,
        "time zone",
        format!("payments are told about {hours} h too {how}: BTCPay's host is in a zone {side} of UTC"),
        "UTC; until then passes last up to btcpay.invoice_expiration longer than sold, and sales are dated by their invoices",
        "set TZ=UTC for BTCPay's container or service and restart it; after that past sales are right, too",
    );
}

fn fee_mode(mode: &str, report: &mut Report) {
    if mode == ALWAYS {
        return report.note(
            GROUP,
            Level::Warning,
            "network fee",
            "BTCPay adds one to every on-chain payment: buyers pay more than the price",
            "Never add network fee",
            "BTCPay: Settings, Checkout or the wallet's settings, Add additional fee (network fee) to invoice: Never",
        );
    }
    report.ok(
        GROUP,
        "network fee",
        match mode {
            "MultiplePaymentsOnly" => {
                "added to on-chain payments after an invoice's first; \"never\" is kinder to who pays in parts"
            }
            "Never" => "never added",
            _ => "as BTCPay says in each invoice",
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(of: impl FnOnce(&mut Report)) -> (String, String) {
        let mut report = Report::default();
        of(&mut report);
        let finding = report.json()["findings"][0].clone();
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("level"), text("seen"))
    }

    #[test]
    fn the_zone_is_told_in_hours_with_its_side() {
        for (error, level, seen) in [
            (0, "ok", "the latest payments are told in UTC"),
            (18_000, "warning", "payments are told about 5 h too late: BTCPay's host is in a zone west of UTC"),
            (-19_800, "warning", "payments are told about 5.5 h too early: BTCPay's host is in a zone east of UTC"),
            (-20_700, "warning", "payments are told about 5.75 h too early: BTCPay's host is in a zone east of UTC"),
        ] {
            assert_eq!(finding(|report| zone(error, report)), (level.into(), seen.into()));
        }
    }

    #[test]
    fn a_fee_on_every_payment_is_a_warning() {
        assert_eq!(finding(|report| fee_mode(ALWAYS, report)).0, "warning");
        assert_eq!(finding(|report| fee_mode("Never", report)), ("ok".into(), "never added".into()));
    }
}
