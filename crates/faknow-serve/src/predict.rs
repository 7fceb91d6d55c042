//! `POST /v1/predict`: from a request to its judgements.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::time::timeout;

use crate::app::App;
use crate::body;
use crate::queue::{Answer, Failure, NotQueued};
use crate::refusal::{Refusal, json_response};
use crate::request::parse;

/// How many texts an answer judges, for the log.
#[derive(Clone, Copy)]
pub(crate) struct Judged(pub(crate) usize);

#[derive(Serialize)]
struct Several<'a> {
    predictions: &'a [Answer],
}

pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Response {
    match judge(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn judge(app: &App, request: Request) -> Result<Response, Refusal> {
    let body = body::take(request, &app.config).await?;
    let asked = parse(&body, &app.config, app.about.reads)?;
    drop(body);
    let single = asked.single;
    let answer = app.queue.push(asked).map_err(|reason| match reason {
        NotQueued::Full => {
            let message = format!("{} texts wait already: try again in a second", app.config.queue);
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
        }
        NotQueued::Closed => ended(),
    })?;
    // Who gives up drops the receiving end, by which the queue knows.
    let reply = timeout(app.config.timeout, answer).await.map_err(|_| {
        let message = format!("no answer within {} seconds: try again", app.config.timeout.as_secs_f64());
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    })?;
    let answers = reply.map_err(|_| ended())?.map_err(|failure| match failure {
        Failure::Input(message) => Refusal::invalid(message),
        Failure::Judge => {
            let message = "the model failed; the log of the server tells why";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
        }
    })?;
    respond(&answers, single)
}

fn respond(answers: &[Answer], single: bool) -> Result<Response, Refusal> {
    let body = match answers {
        [answer] if single => serde_json::to_string(answer),
        predictions => serde_json::to_string(&Several { predictions }),
    };
    let body = body.map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.to_string())
    })?;
    let mut response = json_response(StatusCode::OK, body);
    response.extensions_mut().insert(Judged(answers.len()));
    Ok(response)
}

fn ended() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is about to end")
}
