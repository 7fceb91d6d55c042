//! The errors of this crate.

use std::net::SocketAddr;

/// A `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error in starting a server; errors of requests are sent to the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("`{name}`: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The accepted values.
        expected: String,
        /// The given value.
        got: String,
    },
    /// The address is in use, not available on this machine, or not permitted.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system error.
        r#source: std::io::Error,
    },
    /// The system cannot create a thread or another resource.
    #[error("cannot start the server: {source}")]
    Start {
        /// The system error.
        r#source: std::io::Error,
    },
}

impl Error {
    /// Returns whether a given setting or address is invalid, as opposed to a failure of the system.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Bind { .. })
    }
}

fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; another program uses this port; choose another one, or 0 for any free port"
        }
        std::io::ErrorKind::PermissionDenied => "; ports from 1024 on need no privileges",
        _ => "",
    }
}
