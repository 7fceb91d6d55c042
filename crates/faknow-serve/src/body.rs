//! Reads the body of a request within the limits of size and time.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::ServeConfig;
use crate::api_error::ApiError;

/// Multiple of the body limit that is read and discarded, so that the client gets to read the response: it would lose the
/// response if the connection closed while it still sends.
const MAX_DRAIN_FACTOR: usize = 16;

/// Reads the body of a request with a JSON content type.
pub(crate) async fn read(request: Request, config: &ServeConfig) -> Result<Vec<u8>, ApiError> {
    let is_json = check_type(request.headers());
    let body = timeout(config.read_timeout, read_limited(request.into_body(), config.max_body)).await;
    is_json?;
    body.unwrap_or_else(|_| {
        let limit = config.read_timeout.as_secs_f64();
        let message = format!("request body not received within {limit} seconds");
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message))
    })
}

/// Reads and discards the body of a request, within the same limits.
pub(crate) async fn discard(request: Request, config: &ServeConfig) {
    // What is wrong with the body does not matter.
    let _ = timeout(config.read_timeout, read_limited(request.into_body(), config.max_body)).await;
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let error = |message: String| {
        Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
    };
    let values = |name: &HeaderName| {
        let values = headers.get_all(name).into_iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let content_type = match &values(&header::CONTENT_TYPE)[..] {
        [content_type] => content_type.clone(),
        [] => return error("expected the header `content-type: application/json`, got none".into()),
        several => {
            return error(format!("expected one header `content-type`, got {}", several.len()));
        }
    };
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    let mut charsets = parts.filter_map(|part| part.strip_prefix("charset="));
    if !is_json || charsets.any(|name| name.trim_matches('"') != "utf-8") {
        return error(format!("expected the content type `application/json` in UTF-8, got `{content_type}`"));
    }
    let encodings = [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")];
    for (name, expected) in encodings {
        let lists = values(&name).join(",");
        if let Some(got) = lists.split(',').map(str::trim).find(|got| !got.is_empty() && *got != expected) {
            return error(format!(
                "expected an uncompressed body, got the {} `{got}`",
                name.as_str().replace('-', " ")
            ));
        }
    }
    Ok(())
}

async fn read_limited(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("incomplete request body: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "broken_body", message)
        })?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        if length <= limit {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
        if length > limit.saturating_mul(MAX_DRAIN_FACTOR) {
            break;
        }
    }
    if length > limit {
        let message = format!("request body: expected at most {limit} bytes, got more");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    Ok(bytes)
}
