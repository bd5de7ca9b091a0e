//! HTTP/1 as bytes over a socket, TCP or TLS. No HTTP client would send a path such as `/hls/..%2f`, or the same header twice, as it is.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use url::Url;

use crate::failure::Failure;

/// Longest wait for a connection, and for each piece of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for a whole answer, however often a piece of it comes.
const LONGEST: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024;

/// Where requests go.
pub(super) struct Site {
    /// The `Host` header's value.
    pub authority: String,
    host: String,
    place: String,
    tls: Option<Arc<ClientConfig>>,
}

/// The response as it came.
#[derive(Debug)]
pub(super) struct RawResponse {
    /// The status; `None` where the connection ended without HTTP.
    pub status: Option<u16>,
    head: String,
    /// What stood behind the head, chunks put together.
    pub body: Vec<u8>,
    /// More than [`MAX_ANSWER`] came: the body's end was not read.
    pub cut: bool,
}

impl Site {
    /// The site of a URL; `connect` is an address to go to instead of the one that its name stands for.
    pub(super) fn new(url: &Url, connect: Option<&str>) -> Result<Site, Failure> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let place = match connect {
            Some(place) if place.contains(':') => place.to_owned(),
            Some(place) => format!("{place}:{port}"),
            None if host.contains(':') => format!("[{host}]:{port}"),
            None => format!("{host}:{port}"),
        };
        let tls = if url.scheme() == "https" { Some(tls()?) } else { None };
        Ok(Site { authority, host, place, tls })
    }

    /// Sends `request` over a connection of its own and reads until the other side closes it.
    pub(super) fn send(&self, request: &[u8]) -> io::Result<RawResponse> {
        let addresses: Vec<_> = self.place.to_socket_addrs()?.collect();
        let mut stream = Err(io::Error::other("the name stands for no address"));
        for address in addresses {
            stream = TcpStream::connect_timeout(&address, PATIENCE);
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match &self.tls {
            None => exchange(stream, request, PATIENCE),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                exchange(StreamOwned::new(connection, stream), request, PATIENCE)
            }
        }
    }
}

fn tls() -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|err| Failure::new(format!("cannot set up TLS: {err}")))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Sends `request` and reads until the other side closes the connection.
///
/// - `patience`: the stream's own limit for each piece of the response, for the error's text.
pub(super) fn exchange(stream: impl Read + Write, request: &[u8], patience: Duration) -> io::Result<RawResponse> {
    received(stream, request, patience).map(|bytes| RawResponse::read(&bytes))
}

fn received(mut stream: impl Read + Write, request: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    stream.flush()?;
    let (began, mut received, mut piece) = (Instant::now(), Vec::new(), [0; 16 * 1024]);
    loop {
        let room = piece.len().min(MAX_ANSWER - received.len());
        if room == 0 {
            return Ok(received);
        }
        match stream.read(&mut piece[..room]) {
            Ok(0) => return Ok(received),
            Ok(read) => received.extend_from_slice(&piece[..read]),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            // A server that has seen enough of a bad request may cut the line; what came before counts.
            Err(_) if !received.is_empty() => return Ok(received),
            Err(err) if matches!(err.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
                return Ok(received);
            }
            Err(err) if matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing came within {patience:?}")));
            }
            Err(err) => return Err(err),
        }
        if began.elapsed() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("the answer was not whole after {LONGEST:?}")));
        }
    }
}

/// Why nothing came back.
pub(super) fn reason(err: &io::Error) -> String {
    match err.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => format!("its certificate cannot be trusted ({why})"),
        _ => err.to_string(),
    }
}

/// What to do about it.
pub(super) fn advice(err: &io::Error) -> &'static str {
    use rustls::{AlertDescription, Error};
    let tls = err.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (tls, err.kind()) {
        (Some(Error::InvalidCertificate(_)), _) => {
            "get a certificate that browsers take; to try with another, name it: SSL_CERT_FILE=cert.pem hlsgate check --probe …"
        }
        (Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)), _) => {
            "the site refuses HTTP/1, which the probe speaks: go straight to nginx with --connect ADDRESS"
        }
        (Some(_), _) => "see whether TLS is spoken at that port: https:// or http://?",
        (_, io::ErrorKind::ConnectionRefused) => {
            "see whether nginx runs and listens there; --connect ADDRESS goes to another address than the name's"
        }
        (_, io::ErrorKind::TimedOut) => "see whether the site is up and lets this machine in; see nginx's error log",
        _ => "see whether the name is right; --connect ADDRESS goes to another address than the name's",
    }
}

impl RawResponse {
    fn read(received: &[u8]) -> RawResponse {
        let status =
            received.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok());
        let end = received.windows(4).position(|window| window == b"\r\n\r\n").filter(|_| status.is_some());
        // Without a head, as HTTP/0.9 answers, all of it is the body.
        let (head, body) = end.map_or((&b""[..], received), |end| (&received[..end], &received[end + 4..]));
        let head = String::from_utf8_lossy(head).into_owned();
        let cut = received.len() >= MAX_ANSWER;
        let answer = RawResponse { status, head, body: Vec::new(), cut };
        let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        RawResponse { body, ..answer }
    }

    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// The values of this name, one a line.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// Whether it is a success.
    pub(super) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Status and, where it says one, the reason; never a header or a body as it came.
    pub(super) fn summary(&self) -> String {
        let Some(status) = self.status else {
            return if self.body.is_empty() {
                "the connection was closed".into()
            } else {
                "an answer that is not HTTP/1".into()
            };
        };
        let reason = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        match reason.as_ref().and_then(|problem| problem["reason"].as_str()) {
            Some(reason) if reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') => {
                format!("{status} {reason}")
            }
            _ => status.to_string(),
        }
    }
}

/// The chunks' content (RFC 9112, section 7.1), as far as it came.
fn unchunked(mut coded: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = coded.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&coded[..end]).ok().and_then(|line| line.split(';').next());
        let Some(size) = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).filter(|size| *size > 0)
        else {
            break;
        };
        let content = &coded[end + 2..];
        body.extend_from_slice(&content[..size.min(content.len())]);
        coded = content.get(size.saturating_add(2)..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whatever_its_form() {
        let plain = RawResponse::read(b"HTTP/1.1 403 Forbidden\r\nX-A: b\r\n\r\n{\"reason\":\"missing\"}");
        assert_eq!((plain.summary().as_str(), plain.header("x-a")), ("403 missing", Some("b")));
        let chunked = RawResponse::read(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!(chunked.body, b"abcde");
        let cut = RawResponse::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc");
        assert_eq!(cut.body, b"abc");
        assert_eq!(RawResponse::read(b"").summary(), "the connection was closed");
        assert_eq!(RawResponse::read(b"#EXTM3U\r\n\r\n").body, b"#EXTM3U\r\n\r\n");
    }
}
