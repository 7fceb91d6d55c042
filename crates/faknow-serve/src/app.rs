//! The routes, and the middleware: request log, metrics, headers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use faknow::trainer::Interrupt;
use serde_json::json;

use crate::api_error::{ApiError, json_response};
use crate::body;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::page::{PAGE, content_security_policy};
use crate::predict::{PredictionCount, predict};
use crate::queue::Queue;
use crate::{ModelInfo, ServeConfig};

/// State shared by all requests.
pub(crate) struct App {
    pub(crate) config: ServeConfig,
    pub(crate) info: ModelInfo,
    /// The OpenAPI document.
    pub(crate) openapi: String,
    /// Name of the run.
    pub(crate) run: String,
    pub(crate) queue: Queue,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: Interrupt,
}

/// Address of the client.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Creates the routes; `openapi.json` describes them, and `cargo xtask openapi` compares the two.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let policy = content_security_policy();
    Router::new()
        .route("/", get(|| page(policy)))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/v1/model", get(model))
        .route("/v1/predict", post(predict))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

async fn page(policy: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, &policy),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

async fn healthz() -> Response {
    json_response(StatusCode::OK, json!({ "status": "alive" }).to_string())
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.stop.is_requested() || !app.queue.is_open() {
        return ApiError::stopping().into_response();
    }
    json_response(StatusCode::OK, json!({ "status": "ready" }).to_string())
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.to_text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            ApiError::new(status, "internal_error", error.to_string()).into_response()
        }
    }
}

async fn openapi(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, app.openapi.clone())
}

async fn model(State(app): State<Arc<App>>) -> Response {
    let body = json!({
        "run": app.run,
        "model": app.info.model,
        "classes": app.info.classes,
        "reads": app.info.input,
        "version": env!("CARGO_PKG_VERSION"),
    });
    json_response(StatusCode::OK, body.to_string())
}

async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    let uri = request.uri().clone();
    body::discard(request, &app.config).await;
    let message = format!("unknown path `{}`; see GET /openapi.json", truncate(uri.path()));
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}

async fn not_allowed(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    body::discard(request, &app.config).await;
    let expected = if uri.path() == "/v1/predict" { "POST" } else { "GET" };
    let message = format!("`{}`: expected {expected}, got {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}

/// Logs and counts each response, and adds headers.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| *address);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let (elapsed, status) = (started.elapsed(), response.status().as_u16());
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.record_request(route, status, elapsed);
    let texts = response.extensions().get::<PredictionCount>().map(|count| count.0);
    let (peer, path, ms) =
        (peer.map(tracing::field::display), truncate(&path), (elapsed.as_secs_f64() * 1e6).round() / 1e3);
    // Monitoring sends these requests all the time.
    if matches!(route, "/healthz" | "/readyz" | "/metrics") {
        tracing::debug!(peer, %method, path, status, ms, "request");
    } else {
        tracing::info!(peer, %method, path, status, ms, texts, "request");
    }
    if app.stop.is_requested() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    insert_if_missing(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    insert_if_missing(response.headers_mut(), header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn insert_if_missing(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// Returns the first characters of a client's text, which may be long.
pub(crate) fn truncate(text: &str) -> String {
    text.chars().take(80).collect()
}
