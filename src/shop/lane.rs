//! The two ways to buy: by the page, and by a challenge that machines pay.

/// The metadata's member in which an invoice says its lane; without it, it is the page's.
pub(crate) const LANE_KEY: &str = "lane";

/// Who an invoice was made for. It decides nothing: what is bought is the order's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// A person on the shop's page.
    Page,
    /// A client that pays by itself.
    Machine,
}

impl Lane {
    /// Both of them.
    pub(crate) const ALL: [Lane; 2] = [Lane::Page, Lane::Machine];

    /// The lane that an invoice's metadata names.
    pub(crate) fn of(text: Option<&str>) -> Lane {
        Lane::ALL.into_iter().find(|lane| text == Some(lane.as_str())).unwrap_or(Lane::Page)
    }

    /// Its stable word, for metadata, metrics and `hlsgate sales`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Lane::Page => "page",
            Lane::Machine => "machine",
        }
    }
}
