//! `POST /v1/predict`: parses a request, waits for the predictions, responds.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::time::timeout;

use crate::api_error::{ApiError, json_response};
use crate::app::{App, truncate};
use crate::body;
use crate::queue::{Failure, Output, QueueError};
use crate::request::parse;

/// Number of predictions in a response, for the log.
#[derive(Clone, Copy)]
pub(crate) struct PredictionCount(pub(crate) usize);

#[derive(Serialize)]
struct PredictionList<'a> {
    predictions: &'a [Output],
}

pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Response {
    match handle(&app, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn handle(app: &App, request: Request) -> Result<Response, ApiError> {
    // A request that started before the shutdown is accepted, even if its body arrives later.
    if app.stop.is_requested() {
        body::discard(request, &app.config).await;
        return Err(ApiError::stopping());
    }
    let query = request.uri().query().map(str::to_owned);
    let body = body::read(request, &app.config).await?;
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        let message = format!("expected no query, got `?{}`; the body has all fields", truncate(&query));
        return Err(ApiError::invalid(message));
    }
    let prediction_request = parse(&body, &app.config, app.info.input)?;
    drop(body);
    let (is_single, explain) = (prediction_request.is_single, prediction_request.explain);
    let reply = app.queue.push(prediction_request).map_err(|error| match error {
        QueueError::Full => {
            let (max, what) = match explain {
                true => (app.config.explain_queue, "explanations"),
                false => (app.config.queue, "texts"),
            };
            let message = format!("the queue is full: at most {max} {what} may wait; try again in a second");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
        }
        QueueError::Closed => ApiError::stopping(),
    })?;
    // On timeout the receiver is dropped, which removes the request from the queue.
    let reply = timeout(app.config.timeout, reply).await.map_err(|_| {
        let message = format!("no prediction within {} seconds; try again", app.config.timeout.as_secs_f64());
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    })?;
    let outputs = reply.map_err(|_| ApiError::stopping())?.map_err(|(index, failure)| {
        let many = app.info.input.list_field();
        let location = if is_single { String::new() } else { format!("`{many}[{index}]`: ") };
        match failure {
            Failure::Input(message) => ApiError::invalid(format!("{location}{message}")),
            Failure::Model => {
                let message = format!("{location}the model failed; see the server log");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
            }
        }
    })?;
    respond(&outputs, is_single)
}

fn respond(outputs: &[Output], is_single: bool) -> Result<Response, ApiError> {
    let body = match outputs {
        [output] if is_single => serde_json::to_string(output),
        predictions => serde_json::to_string(&PredictionList { predictions }),
    };
    let body = body.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.to_string())
    })?;
    let mut response = json_response(StatusCode::OK, body);
    response.extensions_mut().insert(PredictionCount(outputs.len()));
    Ok(response)
}
