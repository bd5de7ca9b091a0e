//! The short way of a request: what nginx sends before every segment, read and answered without anything around it.
//!
//! Only that is understood here: a whole head without a body. Everything else, odd or broken, goes the long way with its
//! bytes, to hyper, which knows the rules. `docs/performance.md` tells what each part is worth.

use httparse::{EMPTY_HEADER, Request, Status};

/// More header lines than nginx sends; a head with more goes the long way.
const MAX_HEADERS: usize = 16;

/// Answers a request without waiting for anything.
pub trait AtOnce {
    /// Appends the whole answer to `answer`, or gives `false` and leaves it to the long way.
    ///
    /// - `request`: HTTP/1.1, without a body, to be followed by others.
    fn at_once(&self, request: &Request<'_, '_>, answer: &mut Vec<u8>) -> bool;
}

/// The length of the first request in `unread`, if it is whole and its answer was appended to `answer`.
pub fn answer_one(unread: &[u8], answers: &impl AtOnce, answer: &mut Vec<u8>) -> Option<usize> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let Ok(Status::Complete(len)) = request.parse(unread) else {
        return None;
    };
    let plain = request.version == Some(1) && !request.headers.iter().any(|header| changes_framing(header.name));
    (plain && answers.at_once(&request, answer)).then_some(len)
}

/// Whether a header of this name says that there is more than a head, or that something else follows it.
fn changes_framing(name: &str) -> bool {
    ["connection", "content-length", "transfer-encoding", "upgrade", "expect"]
        .iter()
        .any(|each| name.eq_ignore_ascii_case(each))
}
