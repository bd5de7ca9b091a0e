//! Listens, reads a call, lets the switches misbehave, hands it to API, checkout or control, and notes it.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, header::DATE, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use crate::{
    app::App,
    checkout, control, greenfield,
    http::{Call, Reply, empty},
    lnurl, strangers, unkind,
    world::{ApiCall, real_now},
};

/// How long to wait before listening again where the port is not free yet, or accepting fails.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves everything on `listener`, which closes and opens with the `refuse` switch.
pub async fn serve(app: Arc<App>, listener: TcpListener) -> io::Result<Infallible> {
    let address = listener.local_addr()?;
    let mut refusing = app.refusing.subscribe();
    let mut listener = Some(listener);
    loop {
        if *refusing.borrow_and_update() {
            listener = None;
            if refusing.changed().await.is_err() {
                return pending().await;
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => reopen(address).await,
        };
        let open = listener.insert(open);
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&app), stream, Some(refusing.clone())))),
                Err(_) => sleep(PAUSE).await,
            },
            _ = refusing.changed() => {}
        }
    }
}

async fn reopen(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Serves the same on a listener that never closes.
pub async fn serve_control(app: Arc<App>, listener: TcpListener) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&app), stream, None))),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, refusing: Option<watch::Receiver<bool>>) {
    // Small answers should not wait for each other.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(&app), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let closed = async {
        if let Some(mut refusing) = refusing
            && refusing.wait_for(|&refusing| refusing).await.is_ok()
        {
            return;
        }
        pending().await
    };
    // A caller who hangs up is no news.
    tokio::select! { _ = serving => {}, () = closed => {} }
}

/// An error closes the connection without an answer.
async fn answer(app: Arc<App>, request: Request<Incoming>) -> io::Result<Reply> {
    let at = real_now();
    let Some(call) = Call::read(request, &app.root).await else { return Ok(empty(413)) };
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let mut reply = match path[..] {
        ["fake", ref rest @ ..] => control::answer(&app, &call, rest).await,
        // The older address of the checkout.
        ["invoice"] => match (unkind::down(&app).await?, call.param("id")) {
            (Some(reply), _) => reply,
            (None, Some(id)) => app.with(|world| checkout::answer(world, &call, &[id])),
            (None, None) => greenfield::nothing(&call),
        },
        ["BTC", "lnurl" | "UILNURL", "pay", "i", id] => match unkind::down(&app).await? {
            Some(reply) => reply,
            None => app.with(|world| lnurl::pay(world, &call, id)),
        },
        ["lnurlp", "verify", hash] => app.with(|world| lnurl::verify(world, hash)),
        [".well-known", "lnurlp", name] => match unkind::down(&app).await? {
            Some(reply) => reply,
            None => app.with(|world| strangers::lnurlp(world, &call, name)),
        },
        ["apps", id, view] => match unkind::down(&app).await? {
            Some(reply) => reply,
            None => app.with(|world| strangers::app(world, &call, id, view)),
        },
        ["i", ref rest @ ..] => match unkind::down(&app).await? {
            Some(reply) => reply,
            None => app.with(|world| checkout::answer(world, &call, rest)),
        },
        ["api", "v1", ref rest @ ..] => {
            let result = api(&app, &call, rest).await;
            let status = result.as_ref().map_or(0, |reply| reply.status().as_u16());
            let body = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
            let entry = ApiCall {
                at,
                method: call.method.clone(),
                path: call.path.clone(),
                query: call.raw_query.clone(),
                status,
                body,
            };
            app.with(|world| world.calls.push(entry));
            result?
        }
        _ => greenfield::nothing(&call),
    };
    let now = std::time::UNIX_EPOCH + Duration::from_millis(app.with(|world| world.now()).unsigned_abs());
    if let Ok(date) = httpdate::fmt_http_date(now).parse() {
        reply.headers_mut().insert(DATE, date);
    }
    Ok(reply)
}

async fn api(app: &Arc<App>, call: &Call, path: &[&str]) -> io::Result<Reply> {
    if let Some(reply) = unkind::down(app).await? {
        return Ok(reply);
    }
    let latency = app.with(|world| world.switches.latency_ms);
    if latency > 0 {
        sleep(Duration::from_millis(latency)).await;
    }
    match unkind::failure(app, call, path).await {
        Some(reply) => Ok(reply),
        None => Ok(greenfield::answer(app, call, path).await),
    }
}
