//! What a connection is promised, from its first byte to its last, with a handler that answers `/quick` at once and says so.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::front::accept;
use crate::front::quick::AtOnce;

const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: h\r\n\r\n";
/// No read ends within a question: such a one goes the long way.
const _: () = assert!(ROOM.is_multiple_of(QUICK.len()));
const ANSWER: &str = "HTTP/1.1 204 No Content\r\nx-way: quick\r\n\r\n";
const DEADLINE: Duration = Duration::from_secs(20);

/// Whether `/hang` hangs.
static HANG: AtomicBool = AtomicBool::new(true);

struct Ways;

impl AtOnce for Ways {
    fn at_once(&self, request: &httparse::Request<'_, '_>, answer: &mut Vec<u8>) -> bool {
        match request.path {
            Some("/quick") => answer.extend_from_slice(ANSWER.as_bytes()),
            Some("/hang") => {
                while HANG.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                answer.extend_from_slice(ANSWER.as_bytes());
            }
            Some("/mistake") => panic!("a mistake that a test asks for"),
            _ => return false,
        }
        true
    }
}

impl Handler for Ways {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/held" {
            std::future::pending::<()>().await;
        }
        Response::new(Full::from(format!("long way: {}", request.uri().path())))
    }
}

/// A server with the poller, as the daemon has it.
struct Server {
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    pulse: Pulse<mio::net::UnixStream>,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let pool = Pool::<mio::net::UnixStream>::start(Arc::new(Ways)).unwrap();
        let pulse = pool.pulse();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let serving = tokio::spawn(accept::serve(listener, pool, stopped, DEADLINE));
        Server { folder, stop, serving, pulse }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Connections go to the threads in turn, and each thread takes what is ready in its order: when new connections have
    /// their answers, all that was sent before was read.
    fn every_thread_has_a_turn(&self) {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            let mut stream = self.connect();
            send(&mut stream, QUICK);
            takes(&mut stream, ANSWER);
        }
    }
}

/// Sends from another thread, since a peer may take it only while its answers are read.
fn send_apart(stream: &UnixStream, text: String) -> std::thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let _cut_off = stream.write_all(text.as_bytes());
    })
}

fn send(stream: &mut UnixStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

fn takes(stream: &mut UnixStream, expected: &str) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

/// What comes until the connection closes.
fn rest(mut stream: UnixStream) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    rest
}

/// The clients of these tests block: the runtime needs another thread.
#[tokio::test(flavor = "multi_thread")]
async fn quick_requests_follow_each_other_on_one_connection() {
    let server = Server::start();
    let mut stream = server.connect();
    for _ in 0..3 {
        send(&mut stream, QUICK);
        takes(&mut stream, ANSWER);
    }
    // Sent in one piece, answered one by one, also when they fill the room for a read several times.
    let many = 5 * ROOM / QUICK.len();
    let sending = send_apart(&stream, QUICK.repeat(many));
    takes(&mut stream, &ANSWER.repeat(many));
    sending.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_gets_its_answer_and_the_connection_closes() {
    let server = Server::start();
    for (odd, expected) in [
        ("GET /shop HTTP/1.1\r\n\r\n", "long way: /shop"),
        ("POST /quick HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", "long way: /quick"),
        ("GET /quick HTTP/1.0\r\n\r\n", "long way: /quick"),
        ("GET /quick HTTP/1.1\r\nConnection: close\r\n\r\n", "long way: /quick"),
        ("GET /quick HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "long way: /quick"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("GET /quick HTTP/1.1\r\nbroken\r\n\r\n", "400 Bad Request"),
    ] {
        let mut stream = server.connect();
        // After a quick one, since a connection of nginx's pool sees both.
        send(&mut stream, QUICK);
        takes(&mut stream, ANSWER);
        send(&mut stream, odd);
        let rest = rest(stream);
        // In HTTP/1.0 a connection closes unless it says otherwise.
        let says_so = rest.contains("connection: close") || rest.starts_with("HTTP/1.0");
        assert!(rest.contains(expected) && says_so, "{odd:?}: {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_pieces_is_put_together() {
    let server = Server::start();
    for cut in [1, 10, QUICK.len() - 1] {
        let mut stream = server.connect();
        let (first, second) = QUICK.split_at(cut);
        send(&mut stream, first);
        server.every_thread_has_a_turn();
        send(&mut stream, second);
        assert!(rest(stream).ends_with("long way: /quick"), "{cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_taken_up_to_its_limit_and_refused_beyond() {
    let server = Server::start();
    let head = |len: usize| format!("GET /large HTTP/1.1\r\ncookie: {}\r\n\r\n", "c".repeat(len));
    let limit = crate::front::connection::MAX_HEAD;
    for (len, expected) in [(40 * 1024, "long way: /large"), (2 * limit, "431 Request Header Fields Too Large")] {
        let mut stream = server.connect();
        // It may be cut off while it sends.
        let sending = send_apart(&stream, head(len));
        let mut got = Vec::new();
        let _reset_at_the_end = stream.read_to_end(&mut got);
        assert!(String::from_utf8_lossy(&got).contains(expected), "{len}: {}", String::from_utf8_lossy(&got));
        let _ended = sending.join();
    }
}

/// More answers than the system's buffers hold, while the peer reads none.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_late_gets_every_answer_whole() {
    let server = Server::start();
    let mut stream = server.connect();
    let many = 40_000;
    let sending = send_apart(&stream, QUICK.repeat(many));
    // Others are served meanwhile.
    let mut other = server.connect();
    for _ in 0..100 {
        send(&mut other, QUICK);
        takes(&mut other, ANSWER);
    }
    takes(&mut stream, &ANSWER.repeat(many));
    sending.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_costs_its_connection_and_no_other() {
    let server = Server::start();
    let (mut other, mut stream) = (server.connect(), server.connect());
    send(&mut stream, "GET /mistake HTTP/1.1\r\n\r\n");
    assert_eq!(rest(stream), "");
    send(&mut other, QUICK);
    takes(&mut other, ANSWER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_its_side_gets_its_last_answer() {
    let server = Server::start();
    for (last, expected) in [(QUICK, ANSWER), ("GET /shop HTTP/1.1\r\n\r\n", "long way: /shop")] {
        let mut stream = server.connect();
        send(&mut stream, last);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(rest(stream).ends_with(expected), "{last:?}");
    }
}

/// Else what nginx holds for a viewer who left would be held to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_request_does_not_outlive_its_peer_for_long() {
    let server = Server::start();
    let mut stream = server.connect();
    send(&mut stream, "GET /held HTTP/1.1\r\n\r\n");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(stream), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_what_is_idle_and_is_over_then() {
    let server = Server::start();
    let mut idle = server.connect();
    send(&mut idle, QUICK);
    takes(&mut idle, ANSWER);
    server.stop.send(()).unwrap();
    assert_eq!(rest(idle), "");
    tokio::time::timeout(DEADLINE / 2, server.serving).await.unwrap().unwrap();
}

/// What the service manager's watchdog is fed by.
#[tokio::test(flavor = "multi_thread")]
async fn the_pulse_stops_when_a_thread_hangs_and_comes_back_with_it() {
    let server = Server::start();
    assert!(server.pulse.beats().await);
    let mut stream = server.connect();
    send(&mut stream, "GET /hang HTTP/1.1\r\nhost: h\r\n\r\n");
    let began = Instant::now();
    while tokio::time::timeout(Duration::from_millis(100), server.pulse.beats()).await.is_ok() {
        assert!(began.elapsed() < DEADLINE, "the thread hangs, and its pulse goes on");
    }
    HANG.store(false, Ordering::SeqCst);
    takes(&mut stream, ANSWER);
    assert!(server.pulse.beats().await);
    server.stop.send(()).unwrap();
    server.serving.await.unwrap();
    assert!(!server.pulse.beats().await, "a thread that has ended has no pulse");
}
