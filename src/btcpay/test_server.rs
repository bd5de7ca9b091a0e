//! A server for the client's tests that answers with fixed bytes, or does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One way to answer.
pub(super) enum Reply {
    /// Status line and headers without the body's length, then the body.
    Full(String, Vec<u8>),
    /// These bytes, and then the end of the connection.
    Raw(&'static [u8]),
    /// Nothing, until the client leaves.
    Silence,
}

/// Runs until the process ends; each test has its own.
pub(super) struct TestServer {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A JSON answer.
pub(super) fn json(status: &str, body: &str) -> Reply {
    Reply::Full(format!("HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8"), body.into())
}

/// A web page.
pub(super) fn html(status: &str) -> Reply {
    Reply::Full(format!("HTTP/1.1 {status}\r\nContent-Type: text/html"), b"<!DOCTYPE html><title>Oops</title>".into())
}

impl TestServer {
    /// Answers each request with what `reply` makes of its first line.
    pub(super) fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, reply) = (requests.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, reply) = (seen.clone(), reply.clone());
                std::thread::spawn(move || answer(stream, &seen, &*reply));
            }
        });
        TestServer { url, requests }
    }

    /// Every request so far: first line, headers and body as one text.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>, reply: &dyn Fn(&str) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let first_line = head.lines().next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(head + &String::from_utf8_lossy(&body));
    // The client may have left: then there is nobody to tell.
    let _ = match reply(&first_line) {
        Reply::Full(head, body) => {
            let end = format!("\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), end.as_bytes(), &body].concat())
        }
        Reply::Raw(bytes) => stream.write_all(bytes),
        Reply::Silence => {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            stream.read(&mut [0; 1]).map(|_| ())
        }
    };
}
