//! How a call names a subscriber: `cust_…`, `Email:viewer@example.com`, `viewer@example.com`, `[reference]`.

use super::{Subscriptions, subscriber::Subscriber};

pub const FORMATS: &str =
    "Invalid customer selector. Expected formats are `cust_customerId`, `[externalRef]` or `cust@email.com`";

pub enum Selector<'a> {
    Id(&'a str),
    Email(&'a str),
    /// A kind of identity, or a reference of the shop's own, that nothing in the API can give.
    Nobody,
}

impl<'a> Selector<'a> {
    /// `None`: no form that BTCPay knows.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.starts_with("cust_") {
            return Some(Selector::Id(text));
        }
        if text.starts_with('[') && text.ends_with(']') {
            return Some(Selector::Nobody);
        }
        match text.split_once(':') {
            Some(("Email", email)) => Some(Selector::Email(email)),
            Some(_) => Some(Selector::Nobody),
            None => text.contains('@').then_some(Selector::Email(text)),
        }
    }
}

impl Subscriptions {
    /// The subscriber of an offering. Letter case counts.
    pub fn select(&self, offering: &str, selector: &Selector<'_>) -> Option<&Subscriber> {
        self.subscribers.iter().find(|subscriber| {
            let email = || self.customer(&subscriber.customer).map(|customer| customer.email.as_str());
            subscriber.offering == offering
                && match selector {
                    Selector::Id(id) => subscriber.customer == *id,
                    Selector::Email(wanted) => email() == Some(wanted),
                    Selector::Nobody => false,
                }
        })
    }
}
