//! What one connection promises, with a handler that answers `/quick` at once and says so.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch::Sender;
use tokio::task::JoinHandle;

use super::*;
use crate::server::quick::AtOnce;

const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: h\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nx-way: quick\r\n\r\n";

struct Ways;

impl AtOnce for Ways {
    fn at_once(&self, request: &httparse::Request<'_, '_>, answer: &mut Vec<u8>) -> bool {
        let quick = request.path == Some("/quick");
        if quick {
            answer.extend_from_slice(ANSWER);
        }
        quick
    }
}

impl Handler for Ways {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        Response::new(Full::from(format!("long way: {}", request.uri().path())))
    }
}

/// A connection under test: its other end, the drain, and how it ends.
struct Peer {
    stream: DuplexStream,
    drain: Sender<bool>,
    served: JoinHandle<io::Result<()>>,
}

impl Peer {
    /// - `room`: bytes that the connection holds in each direction.
    fn new(room: usize) -> Peer {
        let (stream, theirs) = duplex(room);
        let (drain, draining) = watch::channel(false);
        let served = tokio::spawn(serve(theirs, Arc::new(Ways), draining));
        Peer { stream, drain, served }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn takes(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        timeout(Duration::from_secs(10), self.stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
    }

    /// What comes until the connection closes.
    async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        timeout(Duration::from_secs(10), self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        let _ended = self.served.await.unwrap();
        String::from_utf8(rest).unwrap()
    }
}

#[tokio::test]
async fn quick_requests_follow_each_other_on_one_connection() {
    let mut peer = Peer::new(64 * 1024);
    for _ in 0..3 {
        peer.send(QUICK.as_bytes()).await;
        peer.takes(ANSWER).await;
    }
    // Sent in one piece, answered one by one.
    peer.send(QUICK.repeat(5).as_bytes()).await;
    peer.takes(&ANSWER.repeat(5)).await;
}

#[tokio::test]
async fn anything_else_gets_its_answer_and_the_connection_closes() {
    for (odd, expected) in [
        ("GET /shop HTTP/1.1\r\n\r\n", "long way: /shop"),
        ("POST /quick HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", "long way: /quick"),
        ("GET /quick HTTP/1.0\r\n\r\n", "long way: /quick"),
        ("GET /quick HTTP/1.1\r\nConnection: close\r\n\r\n", "long way: /quick"),
        ("GET /quick HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "long way: /quick"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("GET /quick HTTP/1.1\r\nbroken\r\n\r\n", "400 Bad Request"),
    ] {
        let mut peer = Peer::new(64 * 1024);
        // After a quick one, since a connection of nginx's pool sees both.
        peer.send(QUICK.as_bytes()).await;
        peer.takes(ANSWER).await;
        peer.send(odd.as_bytes()).await;
        let rest = peer.rest().await;
        // In HTTP/1.0 a connection closes unless it says otherwise.
        let says_so = rest.contains("connection: close") || rest.starts_with("HTTP/1.0");
        assert!(rest.contains(expected) && says_so, "{odd:?}: {rest:?}");
    }
}

#[tokio::test]
async fn a_head_in_pieces_is_put_together() {
    for cut in [1, 10, QUICK.len() - 1] {
        let mut peer = Peer::new(64 * 1024);
        peer.send(&QUICK.as_bytes()[..cut]).await;
        // Read before the other piece is there.
        tokio::task::yield_now().await;
        peer.send(&QUICK.as_bytes()[cut..]).await;
        let rest = peer.rest().await;
        assert!(rest.contains("long way: /quick") || rest.as_bytes() == ANSWER, "{cut}: {rest:?}");
    }
}

#[tokio::test]
async fn a_head_is_taken_up_to_its_limit_and_refused_beyond() {
    let head = |len: usize| format!("GET /large HTTP/1.1\r\ncookie: {}\r\n\r\n", "c".repeat(len));
    for (len, expected) in [(40 * 1024, "long way: /large"), (2 * MAX_HEAD, "431 Request Header Fields Too Large")] {
        let mut peer = Peer::new(1 << 20);
        peer.send(head(len).as_bytes()).await;
        let rest = peer.rest().await;
        assert!(rest.contains(expected), "{len}: {rest:?}");
    }
}

#[tokio::test]
async fn a_peer_that_reads_late_gets_every_answer_whole() {
    let (mut questions, their_questions) = duplex(64 * 1024);
    // Less than one answer.
    let (mut answers, their_answers) = duplex(10);
    let (_drain, draining) = watch::channel(false);
    let serving = tokio::spawn(serve(join(their_questions, their_answers), Arc::new(Ways), draining));
    questions.write_all(QUICK.repeat(20).as_bytes()).await.unwrap();
    let mut got = vec![0; 20 * ANSWER.len()];
    timeout(Duration::from_secs(10), answers.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&ANSWER.repeat(20)));
    serving.abort();
}

#[tokio::test]
async fn a_drain_closes_what_is_idle_and_lets_what_has_begun_end() {
    let mut idle = Peer::new(1024);
    idle.send(QUICK.as_bytes()).await;
    idle.takes(ANSWER).await;
    idle.drain.send(true).unwrap();
    assert_eq!(idle.rest().await, "");

    // A question that was sent before the drain is answered.
    let mut asked = Peer::new(1024);
    asked.send(QUICK.as_bytes()).await;
    asked.drain.send(true).unwrap();
    assert_eq!(asked.rest().await.as_bytes(), ANSWER);
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_one_that_talks_is_not() {
    let idle = Duration::from_millis(100);
    let (mut ours, mut theirs) = duplex(1024);
    let serving =
        tokio::spawn(async move { quick::serve(&mut theirs, Vec::new(), &Ways, idle, std::future::pending()).await });
    let began = std::time::Instant::now();
    while began.elapsed() < 4 * idle {
        ours.write_all(QUICK.as_bytes()).await.unwrap();
        let mut got = vec![0; ANSWER.len()];
        ours.read_exact(&mut got).await.unwrap();
        tokio::time::sleep(idle / 10).await;
    }
    assert!(!serving.is_finished());
    let ended = timeout(100 * idle, serving).await.unwrap().unwrap();
    assert!(matches!(ended, Ok(End::Over)), "{ended:?}");
}
