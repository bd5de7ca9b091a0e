//! Posts a delivery as .NET's `HttpClient` does: signed, following redirects.

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, LOCATION, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::webhook::{self, Outcome};

/// A receiver's own header: its answer is to count as given so many seconds later, by this server's clock.
const AFTER: &str = "btcpay-double-after";

/// `SocketsHttpHandler.MaxAutomaticRedirections`.
const MOST_REDIRECTS: usize = 50;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Posts `body`, signed with `secret`. A 307 or 308 is followed as it is, a 301, 302 or 303 by a GET without the body.
///
/// TLS is not spoken: an `https` address fails as one whose certificate is refused. Beside the outcome: the milliseconds
/// after which the receiver wants to have answered.
pub async fn post(url: &str, secret: &str, version: &str, body: Vec<u8>) -> (Outcome, i64) {
    let mut after = 0;
    match follow(url, secret, version, body.into(), &mut after).await {
        Ok(status) => (Outcome::Answered(status.as_u16()), after),
        Err(err) => (Outcome::Failed(err.to_string()), after),
    }
}

async fn follow(url: &str, secret: &str, version: &str, body: Bytes, after: &mut i64) -> Result<StatusCode, Failure> {
    let signature = webhook::signature(secret, &body);
    let (mut url, mut method, mut body) = (Url::parse(url)?, Method::POST, Some(body));
    for _ in 0..MOST_REDIRECTS {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(USER_AGENT, format!("BTCPayServer/{version}"))
            .header("BTCPay-Sig", &signature)
            .header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort]);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let (status, headers) = send(&url, request.body(Full::new(body.clone().unwrap_or_default()))?).await?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        *after += header(AFTER).and_then(|text| text.parse::<f64>().ok()).map_or(0, |after| (after * 1000.0) as i64);
        let location = header(LOCATION.as_str());
        let Some(next) = location.and_then(|location| url.join(location).ok()) else { return Ok(status) };
        match status.as_u16() {
            307 | 308 => {}
            301..=303 => (method, body) = (Method::GET, None),
            _ => return Ok(status),
        }
        url = next;
    }
    Ok(StatusCode::FOUND)
}

/// One exchange on a connection of its own.
async fn send(url: &Url, request: Request<Full<Bytes>>) -> Result<(StatusCode, HeaderMap), Failure> {
    if url.scheme() != "http" {
        return Err("The SSL connection could not be established, see inner exception.".into());
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err("An invalid request URI was provided.".into());
    };
    let named = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((named, port)).await.map_err(|err| {
        let text = err.to_string();
        let what = text.split(" (os error").next().unwrap_or_default();
        format!("{what} ({host}:{port})")
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| "An error occurred while sending the request.")?;
    let (parts, body) = answer.into_parts();
    // Its content is of no interest, whether it comes whole or not.
    let _ = body.collect().await;
    connection.abort();
    Ok((parts.status, parts.headers))
}
