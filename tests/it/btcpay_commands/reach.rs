//! BTCPay behind a certificate of one's own, and as an onion service: what `check` says, and what makes it work.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::shop::Shop;
use crate::harness::btcpay::API_KEY;

#[tokio::test]
async fn a_certificate_of_ones_own_is_named_in_ca_file() {
    let shop = Shop::new(&[]).await;
    shop.store_key(API_KEY);
    let btcpay = address(&shop.btcpay.url);
    // As OpenSSL makes one by default: an authority's, though it is a server's. And one that says that it is a server's.
    for (name, more) in [("default", &[][..]), ("server", &["-addext", "basicConstraints=critical,CA:FALSE"][..])] {
        let (certificate, key) = self_signed(&shop.file(name), more);
        let tls = terminate(&certificate, &key, btcpay);
        let seen = |url: &str, ca_file: Option<&Path>| {
            let ca_file = ca_file.map_or_else(String::new, |file| format!("ca_file = {file:?}\n"));
            shop.set_btcpay(&format!("url = \"{url}\"\n{ca_file}"));
            shop.check().1.into_iter().find(|finding| finding.contains(" reachable: ")).unwrap()
        };
        let url = format!("https://localhost:{}", tls.port());
        let refused = seen(&url, None);
        let expected = format!("wrong reachable: the certificate that BTCPay at {url} shows is not trusted: ");
        let remedy = "if it is one of your own, name it, or its authority's, in btcpay.ca_file";
        assert!(refused.starts_with(&expected) && refused.ends_with(remedy), "{refused}");
        assert_eq!(seen(&url, Some(&certificate)), format!("ok reachable: {url}"), "{name}");
        // The same certificate under a name that it does not have, and another certificate.
        let other_name = seen(&format!("https://127.0.0.1:{}", tls.port()), Some(&certificate));
        assert!(other_name.contains("it is for another name"), "{name}: {other_name}");
        let (other, _) = self_signed(&shop.file(&format!("other-than-{name}")), more);
        assert!(seen(&url, Some(&other)).starts_with("wrong reachable: "), "{name}");
    }
    shop.set_btcpay("url = \"https://localhost\"\nca_file = \"hlsgate.toml\"\n");
    let outcome = shop.run(&["sales"]);
    assert!(outcome.code != 0 && outcome.stderr.contains("hlsgate.toml holds no certificate"), "{outcome:?}");
}

#[tokio::test]
async fn an_onion_service_is_reached_through_a_socks_proxy() {
    let shop = Shop::connected().await;
    let proxy = socks(address(&shop.btcpay.url));
    shop.set_btcpay("url = \"http://hlsgatesfilmsxyz.onion\"\n");
    // Without a proxy nobody resolves such a name.
    let outcome = shop.run(&["sales"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("an onion service is reached through Tor"), "{outcome:?}");
    let outcome = shop.run_in(&["sales"], &[("ALL_PROXY", &format!("socks5h://{proxy}"))]);
    assert_eq!((outcome.code, outcome.stdout.lines().last()), (0, Some("None.")), "{outcome:?}");
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A certificate for `localhost` and its key, in a folder of their own.
fn self_signed(folder: &Path, more: &[&str]) -> (std::path::PathBuf, std::path::PathBuf) {
    std::fs::create_dir(folder).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]).args(more);
    let made = command.arg("-out").arg(&certificate).arg("-keyout").arg(&key).output();
    let made = made.expect("openssl is there; `apt install openssl`");
    assert!(made.status.success(), "{made:?}");
    (certificate, key)
}

/// TLS before `target`, for one request a connection.
fn terminate(certificate: &Path, key: &Path, target: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    serve(move |stream| {
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        // Whoever does not trust us leaves in the handshake.
        let Some(head) = head_of(&mut tls) else { return };
        // A sale is tried as well, and BTCPay waits for its body.
        let mut body = vec![0; length_in(&head)];
        tls.read_exact(&mut body).unwrap();
        let mut inner = TcpStream::connect(target).unwrap();
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        inner.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let mut answer = Vec::new();
        inner.read_to_end(&mut answer).unwrap();
        let _ = tls.write_all(&answer);
        tls.conn.send_close_notify();
        let _ = tls.flush();
    })
}

fn head_of(stream: &mut impl Read) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Bytes of the body that this head announces.
fn length_in(head: &str) -> usize {
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, bytes)| bytes.parse().unwrap())
}

/// A SOCKS 5 proxy (RFC 1928) that takes names ending in `.onion`, as Tor does, and leads them all to `target`.
fn socks(target: SocketAddr) -> SocketAddr {
    serve(move |mut stream| {
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).unwrap();
        let mut ways = vec![0; greeting[1].into()];
        stream.read_exact(&mut ways).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        let mut asked = [0; 5];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(asked[..4], [5, 1, 0, 3], "the name goes to the proxy, and is not resolved before");
        let mut name = vec![0; usize::from(asked[4]) + 2];
        stream.read_exact(&mut name).unwrap();
        assert!(name[..name.len() - 2].ends_with(b".onion"), "{name:?}");
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let inner = TcpStream::connect(target).unwrap();
        let (mut from, mut to) = (stream.try_clone().unwrap(), inner.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut &inner, &mut stream);
    })
}

fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}
