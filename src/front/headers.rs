//! The headers of a request, whoever parsed them: one set of rules reads what hyper gives and what [`super::quick`] reads itself.

use http::HeaderMap;

/// Header lines, looked up by name.
pub trait Headers {
    /// The values of every line of this name (in lower case), in the order in which they came.
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]>;
}

impl Headers for HeaderMap {
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(|value| value.as_bytes())
    }
}

/// As `httparse` gives them. There are few, so looking through all of them is cheaper than a map would be.
impl Headers for [httparse::Header<'_>] {
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }
}
