//! What every look at BTCPay says in the same words.

use super::report::{Level, Report};
use crate::btcpay::Error;
use crate::failure::chain;

/// The group of their findings.
pub(super) const GROUP: &str = "BTCPay";
/// What mends most of them.
pub(super) const CONNECT: &str = "hlsgate btcpay connect";

/// Something that BTCPay did not answer as it should: wrong, or, where it may pass by itself, skipped.
pub(super) fn trouble(report: &mut Report, what: &str, err: &Error, expected: &str) {
    let level = if err.is_passing() { Level::Unknown } else { Level::Wrong };
    report.note(GROUP, level, what, chain(err), expected, "");
}
