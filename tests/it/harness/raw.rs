//! Requests that no client library would send: bytes to nginx's Unix socket, and what came back.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::DEADLINE;

/// An answer as it came over the wire. `status` is 0 where nothing came, or no HTTP.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header lines, lower-cased.
    pub head: String,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

/// Sends `request` as it is and reads until the other side closes.
pub async fn exchange(socket: &Path, request: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(socket).await.expect("nginx accepts");
    // nginx may refuse, and close, before it has read all.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("nginx closes, as the request asks");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else {
        // HTTP/0.9, or nothing: all of it is the body.
        return Answer { status: 0, head: String::new(), body: bytes };
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = bytes.split_off(end + 4);
    let body = if head.contains("transfer-encoding: chunked") { dechunked(&body) } else { body };
    Answer { status, head, body }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        let from = end + 2;
        if size == 0 || from + size > rest.len() {
            break;
        }
        body.extend_from_slice(&rest[from..from + size]);
        rest = rest.get(from + size + 2..).unwrap_or_default();
    }
    body
}
