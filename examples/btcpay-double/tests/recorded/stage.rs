//! A running double, and the shop beside it: sends what was recorded, receives deliveries and answers them as the shop did.

use std::{
    io::BufRead,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::json::Json;

/// A double as a child process.
pub struct Double {
    child: Child,
    pub address: String,
}

impl Double {
    pub fn start(arguments: &[&str]) -> Double {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btcpay-double"));
        command.args(["--listen", "127.0.0.1:0", "--until-stdin-closes"]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the double starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("its output");
        std::io::BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().trim_start_matches("listening on http://").to_owned();
        Double { child, address }
    }

    /// A call of the control interface that has to succeed.
    pub async fn control(&self, path: &str, body: &Json) -> Json {
        self.try_control(path, body).await.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// A call of the control interface; an error says why it makes no sense.
    pub async fn try_control(&self, path: &str, body: &Json) -> Result<Json, String> {
        let reply = self.call("POST", &format!("/fake/{path}"), &[], Some(body.compact().as_bytes())).await;
        let reply = reply.expect("the control interface answers");
        match reply.status {
            200 => Ok(Json::parse(&reply.text()).unwrap_or(Json::Null)),
            status => Err(format!("{path} {}: {status} {}", body.compact(), reply.text())),
        }
    }

    /// Waits until no delivery is on its way, but those that wait for the clock.
    pub async fn quiet(&self) {
        let reply = self.call("GET", "/fake/wait?quiet&timeout=15", &[], None).await;
        let status = reply.map(|reply| reply.status);
        assert_eq!(status, Some(200), "a delivery came to no end");
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&[u8]>,
    ) -> Option<Reply> {
        exchange(&self.address, method, path, headers, body).await
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Reply {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One exchange, byte for byte: no client would send all that was recorded.
async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if body.is_some() || ["POST", "PUT"].contains(&method) {
        head.push_str(&format!("content-length: {}\r\n", body.map_or(0, <[u8]>::len)));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.unwrap_or_default()).await.ok()?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.ok()?.ok()?;
    let (head, body) = split(&answer)?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, headers: lines.filter_map(header).collect(), body: body.to_vec() })
}

fn split(message: &[u8]) -> Option<(String, &[u8])> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&message[..end]).into_owned(), &message[end + 4..]))
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// A delivery as it came.
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// How the shop answers, status and headers; `None` hangs up.
pub type Verdict = Option<(u16, Vec<(String, String)>)>;

/// The shop's receiver. `judge` sees each delivery and says how to answer it.
pub async fn receive(judge: impl Fn(Received) -> Verdict + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let judge = Arc::new(judge);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&judge)));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, judge: Arc<impl Fn(Received) -> Verdict>) -> Option<()> {
    let mut message = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
        let Some((head, body)) = split(&message) else { continue };
        let length: usize = head
            .lines()
            .filter_map(header)
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, text)| text.parse().unwrap_or(0));
        if body.len() >= length {
            break (head, length);
        }
    };
    let mut first = head.lines().next()?.split(' ');
    let received = Received {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: head.lines().filter_map(header).collect(),
        body: String::from_utf8_lossy(&message[message.len() - length..]).into_owned(),
    };
    let (status, headers) = judge(received)?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}
