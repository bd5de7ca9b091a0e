//! The store's list of invoices, page by page and exactly: none twice, none left out.
//!
//! BTCPay orders by whole seconds only, so pages by `skip` repeat one invoice and lose another. Here each question ends where
//! the answer before it ended, a second later, and what is known already is left out.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, InvoiceQuery};
use super::error::Error;
use super::invoice::Invoice;
use crate::gate::time::UnixTime;

/// A part of the list, without anything of the parts before.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub invoices: Vec<Invoice>,
    /// How many there were besides that could not be read: not ours, for ours are small and plain.
    pub unreadable: usize,
}

/// Walks through the list. After an error [`Pages::next`] asks the same question again.
#[derive(Debug)]
pub(crate) struct Pages {
    client: Client,
    query: InvoiceQuery,
    /// How many are asked for now: more where a whole page falls into one second, fewer where one is too long.
    take: usize,
    /// So many were too long for an answer.
    too_many: Option<usize>,
    seen: HashSet<String>,
    done: bool,
}

/// What a place in the list needs to have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    id: String,
    created_time: UnixTime,
}

impl Client {
    /// The store's invoices, whoever made them, page by page.
    pub(crate) fn pages(&self, query: InvoiceQuery) -> Pages {
        Pages::new(self.clone(), query)
    }

    /// The newest of them: the first page.
    pub async fn invoices(&self, query: InvoiceQuery) -> Result<Page, Error> {
        self.pages(query).next().await.map(Option::unwrap_or_default)
    }
}

impl Pages {
    pub(super) fn new(client: Client, query: InvoiceQuery) -> Pages {
        let take = query.take.max(1);
        Pages { client, query, take, too_many: None, seen: HashSet::new(), done: false }
    }

    /// Whether the last page was told.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The next page, `None` after the last. A page may hold fewer than [`InvoiceQuery::take`], and more.
    ///
    /// Strangers may have put megabytes into some invoices: a page that gets too long is asked for in parts (more requests),
    /// and an invoice that is too long by itself, or unreadable, is counted and left out.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, Error> {
        while !self.done {
            let page = match self.client.invoices_part(&self.query, 0, self.take).await {
                Ok(list) => self.taken(&list),
                Err(Error::TooLarge { .. }) if self.take > 1 => {
                    self.too_many = Some(self.take);
                    self.take /= 2;
                    continue;
                }
                Err(Error::TooLarge { .. }) => self.one_by_one().await?,
                Err(err) => return Err(err),
            };
            if page.invoices.len() + page.unreadable > 0 {
                return Ok(Some(page));
            }
            if !self.done && self.is_stuck() {
                return self.one_by_one().await.map(Some);
            }
        }
        Ok(None)
    }

    /// More would be too long, and fewer lead no further.
    fn is_stuck(&self) -> bool {
        self.too_many.is_some_and(|too_many| self.take >= too_many)
    }

    fn taken(&mut self, list: &[Box<RawValue>]) -> Page {
        let (page, oldest) = self.read(list);
        self.done = list.len() < self.take;
        match oldest.map(|at| at.plus(1)).filter(|end| self.query.end_date.is_none_or(|before| *end < before)) {
            Some(end) => self.go_on_from(end),
            // All of it is of one second.
            None => self.take *= 2,
        }
        page
    }

    fn go_on_from(&mut self, end: UnixTime) {
        (self.query.end_date, self.take, self.too_many) = (Some(end), self.query.take.max(1), None);
    }

    fn read(&mut self, list: &[Box<RawValue>]) -> (Page, Option<UnixTime>) {
        let (mut page, mut oldest) = (Page::default(), None);
        for raw in list {
            let place: Option<Place> = serde_json::from_str(raw.get()).ok();
            oldest = place.as_ref().map(|place| place.created_time).or(oldest);
            // What has no id cannot be told apart from its like: it counts each time that it is seen.
            if place.is_some_and(|place| !self.seen.insert(place.id)) {
                continue;
            }
            match serde_json::from_str::<Invoice>(raw.get()) {
                Ok(invoice) => page.invoices.push(invoice),
                Err(_) => page.unreadable += 1,
            }
        }
        (page, oldest)
    }

    /// Through the second at which the list cannot be asked for as a whole, until an older one is reached.
    async fn one_by_one(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        for place in 0.. {
            let list = match self.client.invoices_part(&self.query, place, 1).await {
                Ok(list) => list,
                Err(Error::TooLarge { .. }) => {
                    page.unreadable += 1;
                    continue;
                }
                Err(err) => return Err(err),
            };
            self.done = list.is_empty();
            let (one, created) = self.read(&list);
            page.invoices.extend(one.invoices);
            page.unreadable += one.unreadable;
            let older =
                created.map(|at| at.plus(1)).filter(|end| self.query.end_date.is_none_or(|before| *end < before));
            if let Some(end) = older {
                self.go_on_from(end);
                break;
            }
            if self.done {
                break;
            }
        }
        Ok(page)
    }
}
