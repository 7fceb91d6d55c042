//! What can go wrong before a server serves.

use std::net::SocketAddr;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a server; what is wrong with a request is an answer, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("`{name}`: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The address is in use, not of this machine, or not allowed.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// The system gives no thread, or no more of something else.
    #[error("cannot start the server: {source}")]
    Start {
        /// What the system said.
        r#source: std::io::Error,
    },
}

impl Error {
    /// Whether what was given (a setting, an address) is to blame, rather than the course of things.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Bind { .. })
    }
}

fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "; another program listens there, port 0 takes a free one",
        std::io::ErrorKind::PermissionDenied => "; ports from 1024 on need no rights",
        _ => "",
    }
}
