//! `POST /v1/predict`: from a request to its predictions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::time::timeout;

use crate::api_error::{ApiError, json_response};
use crate::app::App;
use crate::body;
use crate::queue::{Answer, Failure, NotQueued};
use crate::request::parse;

/// Number of predictions in a response, for the log.
#[derive(Clone, Copy)]
pub(crate) struct PredictionCount(pub(crate) usize);

#[derive(Serialize)]
struct Several<'a> {
    predictions: &'a [Answer],
}

pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Response {
    match respond_to(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn respond_to(app: &App, request: Request) -> Result<Response, ApiError> {
    let body = body::take(request, &app.config).await?;
    let prediction_request = parse(&body, &app.config, app.info.input)?;
    drop(body);
    let single = prediction_request.single;
    let answer = app.queue.push(prediction_request).map_err(|reason| match reason {
        NotQueued::Full => {
            let message = format!("{} texts wait already: try again in a second", app.config.queue);
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
        }
        NotQueued::Closed => ended(),
    })?;
    // Who gives up drops the receiving end, by which the queue knows.
    let reply = timeout(app.config.timeout, answer).await.map_err(|_| {
        let message = format!("no answer within {} seconds: try again", app.config.timeout.as_secs_f64());
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    })?;
    let answers = reply.map_err(|_| ended())?.map_err(|failure| match failure {
        Failure::Input(message) => ApiError::invalid(message),
        Failure::Model => {
            let message = "the model failed; see the log of the server";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
        }
    })?;
    respond(&answers, single)
}

fn respond(answers: &[Answer], single: bool) -> Result<Response, ApiError> {
    let body = match answers {
        [answer] if single => serde_json::to_string(answer),
        predictions => serde_json::to_string(&Several { predictions }),
    };
    let body = body.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.to_string())
    })?;
    let mut response = json_response(StatusCode::OK, body);
    response.extensions_mut().insert(PredictionCount(answers.len()));
    Ok(response)
}

fn ended() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is about to end")
}
