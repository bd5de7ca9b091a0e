//! The short way of a request: answered within one turn of its task, from a buffer that lives no longer than that.
//!
//! nginx asks before every segment, so this is where the daemon spends its time. Only what nginx sends is understood here: a
//! whole head without a body. Everything else, odd or broken, is handed on with its bytes to hyper, which knows the rules.
//! `docs/performance.md` tells what each part is worth.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Request, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// Room for a read, on the stack: an idle connection holds none. A larger head goes the long way.
const ROOM: usize = 16 * 1024;
/// More header lines than nginx sends; a head with more goes the long way.
const MAX_HEADERS: usize = 16;

thread_local! {
    /// Where answers are written, one after the other.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Answers a request without waiting for anything.
pub trait AtOnce {
    /// Appends the whole answer to `answer`, or gives `false` and leaves it to the long way.
    ///
    /// - `request`: HTTP/1.1, without a body, to be followed by others.
    fn at_once(&self, request: &Request<'_, '_>, answer: &mut Vec<u8>) -> bool;
}

/// How [`serve`] ended.
#[derive(Debug)]
pub enum End {
    /// There is nothing to do any more: the peer has left, was silent for too long, or `stop` was ready.
    Over,
    /// What was read last is not answered here.
    HandOn(Vec<u8>),
    /// The peer does not take its answers: the rest of one has to be sent before what was read behind it is served.
    Unsent {
        /// The rest of the answer.
        answer: Vec<u8>,
        /// What was read and is not answered.
        unread: Vec<u8>,
    },
}

/// Answers at once what can be, until something else comes or `stop` is ready.
///
/// - `unread`: what was read from `stream` before.
/// - `idle`: a connection that was silent for this long is closed, after twice as long at the latest.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut unread: Vec<u8>,
    answers: &impl AtOnce,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> io::Result<End> {
    let mut stop = pin!(stop);
    let mut silence = pin!(sleep(idle));
    let mut heard = false;
    poll_fn(|cx| {
        if let Some(end) = answer_all(&std::mem::take(&mut unread), stream, answers, cx)? {
            return Poll::Ready(Ok(end));
        }
        loop {
            let mut room = [const { MaybeUninit::uninit() }; ROOM];
            let mut read = ReadBuf::uninit(&mut room);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Err(err)) => return Poll::Ready(Err(err)),
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(Ok(End::Over)),
                Poll::Ready(Ok(())) => {
                    heard = true;
                    if let Some(end) = answer_all(read.filled(), stream, answers, cx)? {
                        return Poll::Ready(Ok(end));
                    }
                }
                Poll::Pending => {
                    if stop.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(End::Over));
                    }
                    // The clock is not set back by every request, since that would cost more than parsing it.
                    while silence.as_mut().poll(cx).is_ready() {
                        if !std::mem::take(&mut heard) {
                            return Poll::Ready(Ok(End::Over));
                        }
                        silence.as_mut().reset(Instant::now() + idle);
                    }
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

/// Answers one request after the other. `None`: all of them, to the last byte.
fn answer_all<S: AsyncWrite + Unpin>(
    mut unread: &[u8],
    stream: &mut S,
    answers: &impl AtOnce,
    cx: &mut Context<'_>,
) -> io::Result<Option<End>> {
    while !unread.is_empty() {
        let end = ANSWER.with_borrow_mut(|answer| {
            answer.clear();
            let Some(len) = answer_one(unread, answers, answer) else {
                return Ok(Some(End::HandOn(unread.into())));
            };
            unread = &unread[len..];
            match Pin::new(&mut *stream).poll_write(cx, answer) {
                Poll::Ready(Ok(sent)) if sent == answer.len() => Ok(None),
                Poll::Ready(Ok(sent)) => Ok(Some(End::Unsent { answer: answer[sent..].into(), unread: unread.into() })),
                Poll::Ready(Err(err)) => Err(err),
                Poll::Pending => Ok(Some(End::Unsent { answer: answer.as_slice().into(), unread: unread.into() })),
            }
        })?;
        if end.is_some() {
            return Ok(end);
        }
    }
    Ok(None)
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
