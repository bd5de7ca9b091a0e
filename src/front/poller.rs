//! Where nginx's connections wait: threads with an epoll of their own, which answer at once what can be.
//!
//! A connection is here while it asks what goes the short way ([`quick`]). With anything else it leaves for a task of the
//! runtime, and does not come back. So neither thousands of held requests nor whatever else the runtime does stands in the
//! way of a question, and a question costs no more system calls than reading and writing it.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{debug, error};

use super::accept::{Handler, Place, Takes};
use super::{connection, quick};

/// A connection that was silent for this long is closed, after twice as long at the latest: longer than nginx keeps an idle
/// one (60 s), so that it is nginx that closes first.
const IDLE: Duration = Duration::from_secs(75);
/// Room for a read, one a thread: an idle connection holds none. A larger head goes the long way.
const ROOM: usize = 16 * 1024;
/// Connections that are looked at between two waits.
const EVENTS: usize = 256;
/// Wait after a failed wait.
const PAUSE: Duration = Duration::from_millis(100);
/// Says that something is in the inbox.
const INBOX: Token = Token(usize::MAX);

/// A connection of either kind, as it is polled here and as the runtime takes it.
pub(crate) trait Stream: Read + Write + Source + Send + Sized + 'static {
    /// The runtime's type of it.
    type OfRuntime: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Takes it from the runtime.
    fn from_runtime(stream: Self::OfRuntime) -> io::Result<Self>;
    /// Gives it back, within the runtime.
    fn into_runtime(self) -> io::Result<Self::OfRuntime>;
}

impl Stream for mio::net::UnixStream {
    type OfRuntime = tokio::net::UnixStream;
    fn from_runtime(stream: Self::OfRuntime) -> io::Result<Self> {
        stream.into_std().map(Self::from_std)
    }
    fn into_runtime(self) -> io::Result<Self::OfRuntime> {
        tokio::net::UnixStream::from_std(self.into())
    }
}

impl Stream for mio::net::TcpStream {
    type OfRuntime = tokio::net::TcpStream;
    fn from_runtime(stream: Self::OfRuntime) -> io::Result<Self> {
        stream.into_std().map(Self::from_std)
    }
    fn into_runtime(self) -> io::Result<Self::OfRuntime> {
        tokio::net::TcpStream::from_std(self.into())
    }
}

/// The threads, which get connections in turn.
pub(crate) struct Pool<S: Stream> {
    threads: Arc<[Mailbox<S>]>,
    next: AtomicUsize,
}

/// Tells whether the threads of a pool turn.
pub(crate) struct Pulse<S: Stream>(Arc<[Mailbox<S>]>);

struct Mailbox<S: Stream> {
    inbox: Sender<Message<S>>,
    waker: Waker,
}

enum Message<S: Stream> {
    Serve(S, Place),
    /// To be answered: the thread turns.
    Pulse(oneshot::Sender<()>),
    Drain,
    End,
}

impl<S: Stream> Pool<S> {
    /// Starts as many threads as serve this machine: nginx takes about four times as long for a request as we do, so one
    /// for four processors. Called within the runtime that is to serve the long way.
    pub(crate) fn start<H: Handler>(handler: Arc<H>) -> io::Result<Pool<S>> {
        let processors = std::thread::available_parallelism()?.get();
        let threads = (0..processors.div_ceil(4)).map(|_| Poller::start(handler.clone())).collect::<io::Result<_>>()?;
        Ok(Pool { threads, next: AtomicUsize::new(0) })
    }

    /// For the watchdog.
    pub(crate) fn pulse(&self) -> Pulse<S> {
        Pulse(self.threads.clone())
    }
}

impl<S: Stream> Pulse<S> {
    /// Waits until every thread has said that it turns; false if one has ended.
    pub(crate) async fn beats(&self) -> bool {
        for thread in self.0.iter() {
            let (answer, answered) = oneshot::channel();
            thread.send(Message::Pulse(answer));
            if answered.await.is_err() {
                return false;
            }
        }
        true
    }
}

impl<S: Stream> Takes<S::OfRuntime> for Pool<S> {
    fn take(&self, stream: S::OfRuntime, place: Place) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        match S::from_runtime(stream) {
            Ok(stream) => self.threads[turn].send(Message::Serve(stream, place)),
            Err(err) => debug!(%err, "a connection ended early"),
        }
    }

    fn drain(&self) {
        self.threads.iter().for_each(|thread| thread.send(Message::Drain));
    }
}

impl<S: Stream> Drop for Pool<S> {
    fn drop(&mut self) {
        self.threads.iter().for_each(|thread| thread.send(Message::End));
    }
}

impl<S: Stream> Mailbox<S> {
    fn send(&self, message: Message<S>) {
        let sent = self.inbox.send(message).is_ok();
        if let (true, Err(err)) = (sent, self.waker.wake()) {
            error!(%err, "cannot wake the thread that serves nginx");
        }
    }
}

struct Poller<S: Stream, H> {
    poll: Poll,
    inbox: Receiver<Message<S>>,
    handler: Arc<H>,
    runtime: Handle,
    connections: Slab<Connection<S>>,
    draining: bool,
    room: Box<[u8]>,
    answer: Vec<u8>,
}

struct Connection<S> {
    stream: S,
    place: Place,
    /// Whether anything came since the last look for silent ones.
    heard: bool,
    backlog: Option<Box<Backlog>>,
}

/// What a peer that does not take its answers left undone: nginx never does that.
struct Backlog {
    /// The rest of an answer.
    answer: Vec<u8>,
    /// What was read behind its question.
    unread: Vec<u8>,
}

/// What a connection waits for after its turn.
enum Next {
    /// The next event.
    Event,
    /// Another turn as soon as it can go on: there was more than a turn takes.
    Turn,
    /// Nothing: it is over.
    End,
    /// The long way, with what was read.
    LongWay(Vec<u8>),
}

impl<S: Stream, H: Handler> Poller<S, H> {
    fn start(handler: Arc<H>) -> io::Result<Mailbox<S>> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), INBOX)?;
        let (sender, inbox) = channel();
        let poller = Poller {
            poll,
            inbox,
            handler,
            runtime: Handle::current(),
            connections: Slab::new(),
            draining: false,
            room: vec![0; ROOM].into(),
            answer: Vec::new(),
        };
        std::thread::Builder::new().name("gate".into()).spawn(move || poller.run())?;
        Ok(Mailbox { inbox: sender, waker })
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut look_for_silent = Instant::now() + IDLE;
        loop {
            let left = look_for_silent.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Setting a clock back with every request would cost more than parsing it.
                self.connections.retain(|_, connection| take(&mut connection.heard));
                look_for_silent += IDLE;
                continue;
            }
            match self.poll.poll(&mut events, Some(left)) {
                Ok(()) => {}
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                Err(err) => {
                    error!(%err, "cannot wait for questions; next try in {PAUSE:?}");
                    std::thread::sleep(PAUSE);
                    continue;
                }
            }
            let mut mail = false;
            for event in &events {
                match event.token() {
                    INBOX => mail = true,
                    Token(key) => self.turn(key, event.is_read_closed()),
                }
            }
            if mail && self.read_mail() {
                return;
            }
        }
    }

    /// Whether this is the end.
    fn read_mail(&mut self) -> bool {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Serve(stream, place) => self.admit(stream, place),
                // An error means that nobody waits for it any more.
                Message::Pulse(answer) => drop(answer.send(())),
                Message::Drain => {
                    self.draining = true;
                    let all: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
                    all.into_iter().for_each(|key| self.turn(key, false));
                }
                Message::End => return true,
            }
        }
        false
    }

    fn admit(&mut self, stream: S, place: Place) {
        let entry = self.connections.vacant_entry();
        let token = Token(entry.key());
        let connection = entry.insert(Connection { stream, place, heard: true, backlog: None });
        if let Err(err) = self.poll.registry().register(&mut connection.stream, token, Interest::READABLE) {
            error!(%err, "cannot serve a connection");
            self.connections.remove(token.0);
        }
    }

    /// Lets a connection do what it can now. `closed`: its peer will send no more than what is there.
    fn turn(&mut self, key: usize, closed: bool) {
        // An earlier event of the same wait may have ended it.
        let Some(connection) = self.connections.get_mut(key) else { return };
        let had_backlog = connection.backlog.is_some();
        let went = || connection.turn(&mut self.room, &mut self.answer, &*self.handler);
        // A mistake of ours costs this connection and no other, as it would a task of the runtime.
        let next = catch_unwind(AssertUnwindSafe(went)).unwrap_or(Ok(Next::End));
        let next = next.unwrap_or_else(|err| {
            debug!(%err, "a connection ended early");
            Next::End
        });
        let has_backlog = connection.backlog.is_some();
        match next {
            Next::LongWay(read) => self.send_the_long_way(key, read),
            Next::End => drop(self.connections.remove(key)),
            Next::Event if self.draining && !has_backlog => drop(self.connections.remove(key)),
            // The end of what the peer sends is told once, and was told together with its last bytes.
            Next::Event if had_backlog == has_backlog && (has_backlog || !closed) => {}
            Next::Event | Next::Turn => self.watch_anew(key),
        }
    }

    /// Events tell changes only; asking anew tells what is there already.
    fn watch_anew(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let interest = match connection.backlog {
            Some(_) => Interest::READABLE | Interest::WRITABLE,
            None => Interest::READABLE,
        };
        if let Err(err) = self.poll.registry().reregister(&mut connection.stream, Token(key), interest) {
            error!(%err, "cannot serve a connection any longer");
            self.connections.remove(key);
        }
    }

    fn send_the_long_way(&mut self, key: usize, read: Vec<u8>) {
        let Connection { mut stream, place, .. } = self.connections.remove(key);
        let handler = self.handler.clone();
        let left = self.poll.registry().deregister(&mut stream);
        self.runtime.spawn(async move {
            let served =
                async { connection::serve(left.and_then(|()| stream.into_runtime())?, read, handler, place).await };
            if let Err(err) = served.await {
                debug!(%err, "a connection ended early");
            }
        });
    }
}

impl<S: Stream> Connection<S> {
    fn turn<H: Handler>(&mut self, room: &mut [u8], answer: &mut Vec<u8>, handler: &H) -> io::Result<Next> {
        if let Some(mut backlog) = self.backlog.take() {
            let sent = write(&mut self.stream, &backlog.answer)?;
            self.heard |= sent > 0;
            if sent < backlog.answer.len() {
                backlog.answer.drain(..sent);
                self.backlog = Some(backlog);
                return Ok(Next::Event);
            }
            match self.answer_all(&backlog.unread, answer, handler)? {
                Next::Event if self.backlog.is_none() => {}
                next => return Ok(next),
            }
        }
        match self.stream.read(room) {
            Ok(0) => Ok(Next::End),
            Ok(len) => {
                self.heard = true;
                match self.answer_all(&room[..len], answer, handler)? {
                    // A read that fills the room may have left something behind.
                    Next::Event if len == room.len() => Ok(Next::Turn),
                    next => Ok(next),
                }
            }
            Err(err) if err.kind() == ErrorKind::WouldBlock => Ok(Next::Event),
            Err(err) if err.kind() == ErrorKind::Interrupted => Ok(Next::Turn),
            Err(err) => Err(err),
        }
    }

    fn answer_all<H: Handler>(&mut self, mut unread: &[u8], answer: &mut Vec<u8>, handler: &H) -> io::Result<Next> {
        while !unread.is_empty() {
            answer.clear();
            let Some(len) = quick::answer_one(unread, handler, answer) else {
                return Ok(Next::LongWay(unread.into()));
            };
            unread = &unread[len..];
            let sent = write(&mut self.stream, answer)?;
            if sent < answer.len() {
                self.backlog = Some(Box::new(Backlog { answer: answer[sent..].into(), unread: unread.into() }));
                break;
            }
        }
        Ok(Next::Event)
    }
}

/// How many bytes the peer's buffer takes now.
fn write(stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        written => written,
    }
}

#[cfg(test)]
mod tests;
