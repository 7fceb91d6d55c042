//! Error responses: a status code and a JSON body.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use faknow::data::common::printable;
use serde_json::json;

/// An error of a request or of the server: `{"error": {"code": …, "message": …}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// Machine-readable code; docs/serve.md lists them.
    code: &'static str,
    /// The field, the expected value and the actual one.
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: shorten(printable(&message.into(), usize::MAX)) }
    }

    /// Creates the error for requests during shutdown.
    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is shutting down")
    }

    /// Creates the error for valid JSON with unexpected content.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message)
    }
}

/// The longest message, in characters: it may quote what the client sent.
const MAX_MESSAGE: usize = 500;

/// Removes the middle of a long message: its end contains the position.
fn shorten(message: String) -> String {
    let n = message.chars().count();
    if n <= MAX_MESSAGE {
        return message;
    }
    let (start, end) = (message.chars().take(MAX_MESSAGE / 2), message.chars().skip(n - MAX_MESSAGE / 2));
    start.chain(['…']).chain(end).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = json_response(self.status, body.to_string());
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Creates a response with a JSON body.
pub(crate) fn json_response(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}
