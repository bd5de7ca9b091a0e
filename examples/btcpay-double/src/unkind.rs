//! The answers that the switches ask for instead of BTCPay's own.

use std::{io, sync::Arc, time::Duration};

use hyper::header::LOCATION;
use serde_json::Value;

use crate::{
    app::App,
    greenfield,
    http::{Call, Reply, html_error, json_reply, raw},
    settings::Down,
};

/// No test waits this long.
const FOREVER: Duration = Duration::from_secs(3600);

/// The answer to an API call that `fail_next` makes fail.
pub async fn failure(app: &Arc<App>, call: &Call, path: &[&str]) -> Option<Reply> {
    let failure = app.with(|world| {
        let failure = world.switches.fail_next.as_mut()?;
        let wanted = failure.method.as_ref().is_none_or(|method| *method == call.method)
            && failure.path.as_ref().is_none_or(|part| call.path.contains(part.as_str()));
        if !wanted || failure.count == 0 {
            return None;
        }
        failure.count -= 1;
        let now = failure.clone();
        if failure.count == 0 {
            world.switches.fail_next = None;
        }
        Some(now)
    })?;
    if failure.after {
        greenfield::answer(app, call, path).await;
    }
    let mut reply = match &failure.body {
        None => html_error(failure.status),
        Some(text) => match serde_json::from_str::<Value>(text) {
            Ok(value) => json_reply(failure.status, &value),
            Err(_) => raw(failure.status, "text/html; charset=utf-8", text.clone()),
        },
    };
    if let Some(location) = failure.location.as_ref().and_then(|location| location.parse().ok()) {
        reply.headers_mut().insert(LOCATION, location);
    }
    Some(reply)
}

/// What a server that is down does: an answer of the proxy, or an error that closes the connection.
pub async fn down(app: &App) -> io::Result<Option<Reply>> {
    if app.with(|world| world.outages.btcpay) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    match app.with(|world| world.switches.down) {
        None => Ok(None),
        Some(Down::BadGateway) => Ok(Some(html_error(502))),
        Some(Down::Drop | Down::Refuse) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Down::Hang) => {
            app.wait(FOREVER, |world| (world.switches.down != Some(Down::Hang)).then_some(())).await;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}
