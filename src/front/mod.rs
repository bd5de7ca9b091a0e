//! The way in: listeners, connections, and the reading of requests. It knows no token and no shop; what answers is a
//! [`accept::Handler`].

pub mod accept;
pub mod connection;
pub mod headers;
pub mod listen;
pub mod poller;
pub mod quick;
pub mod watchdog;
