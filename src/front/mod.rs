//! The way in: listeners, connections, and the reading of requests. It knows no token and no shop; what answers is a
//! [`accept::Handler`].

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod headers;
pub(crate) mod hold;
pub(crate) mod listen;
pub(crate) mod poller;
pub(crate) mod quick;
pub(crate) mod watchdog;
