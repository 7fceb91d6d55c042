//! From the bytes of a request to samples.

use axum::http::StatusCode;
use faknow::data::graph::{RawTree, TreeJsonReader};
use faknow::detector::Sample;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;

use crate::api_error::ApiError;
use crate::{InputKind, ServeConfig};

/// The content of a prediction request.
#[derive(Debug)]
pub(crate) struct PredictRequest {
    pub(crate) samples: Vec<Sample>,
    /// Whether one sample was named rather than a list: the answer has the same form.
    pub(crate) single: bool,
    pub(crate) explain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    text: Option<String>,
    texts: Option<Vec<String>>,
    tree: Option<Value>,
    trees: Option<Vec<Value>>,
    #[serde(default)]
    explain: bool,
}

/// Reads the body of `POST /v1/predict` for a predictor that reads these.
pub(crate) fn parse(body: &[u8], config: &ServeConfig, input: InputKind) -> Result<PredictRequest, ApiError> {
    let Fields { text, texts, tree, trees, explain } = fields(body)?;
    let single = text.is_some() || tree.is_some();
    let (one, many) = match input {
        InputKind::Texts => ("text", "texts"),
        InputKind::Trees => ("tree", "trees"),
    };
    let samples = match (input, text, texts, tree, trees) {
        (InputKind::Texts, Some(text), None, None, None) => vec![to_text("text", text, config)?],
        (InputKind::Texts, None, Some(texts), None, None) => {
            check_count(many, texts.len(), config)?;
            let texts = texts.into_iter().enumerate();
            texts
                .map(|(place, text)| to_text(&format!("texts[{place}]"), text, config))
                .collect::<Result<_, _>>()?
        }
        (InputKind::Trees, None, None, Some(tree), None) => vec![to_tree("tree", &tree, config)?],
        (InputKind::Trees, None, None, None, Some(trees)) => {
            check_count(many, trees.len(), config)?;
            let trees = trees.iter().enumerate();
            trees
                .map(|(place, tree)| to_tree(&format!("trees[{place}]"), tree, config))
                .collect::<Result<_, _>>()?
        }
        _ => {
            return Err(ApiError::invalid(format!(
                "this detector takes {many} as input: expected one of the fields `{one}` and `{many}`, and only one"
            )));
        }
    };
    if explain {
        check_explained(&samples, config)?;
    }
    Ok(PredictRequest { samples, single, explain })
}

fn fields(body: &[u8]) -> Result<Fields, ApiError> {
    let bad = |code, message: String| ApiError::new(StatusCode::BAD_REQUEST, code, message);
    let body = std::str::from_utf8(body).map_err(|e| {
        bad("invalid_utf8", format!("expected UTF-8, got something else at byte {}", e.valid_up_to()))
    })?;
    if body.trim().is_empty() {
        return Err(bad("empty_body", "expected a JSON object as the body, got nothing".into()));
    }
    let invalid = |path: &str, error: &serde_json::Error| match error.classify() {
        Category::Data if matches!(path, "." | "?") => ApiError::invalid(error.to_string()),
        Category::Data => ApiError::invalid(format!("`{path}`: {error}")),
        _ => bad("invalid_json", format!("expected a JSON object: {error}{}", advice(error))),
    };
    if !body.trim_start().starts_with('{') {
        // An array would be taken for the fields in their order.
        return Err(match serde_json::from_str::<IgnoredAny>(body) {
            Ok(_) => ApiError::invalid("expected a JSON object as the body, got another value"),
            Err(error) => invalid(".", &error),
        });
    }
    let mut reader = serde_json::Deserializer::from_str(body);
    let fields = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| invalid(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| invalid(".", &error))?;
    Ok(fields)
}

/// The parser's words for half of a surrogate pair tell little.
fn advice(error: &serde_json::Error) -> &'static str {
    let message = error.to_string();
    let half = ["hex escape", "surrogate"].iter().any(|words| message.contains(words));
    if half { "; escapes from \\ud800 to \\udfff come in pairs alone" } else { "" }
}

fn check_count(field: &str, n: usize, config: &ServeConfig) -> Result<(), ApiError> {
    let most = config.max_texts;
    if (1..=most).contains(&n) {
        return Ok(());
    }
    let (code, name) =
        if n == 0 { ("no_texts", "none".to_owned()) } else { ("too_many_texts", n.to_string()) };
    let message = format!("`{field}`: expected 1 to {most} {field}, got {name}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message))
}

fn to_text(field: &str, text: String, config: &ServeConfig) -> Result<Sample, ApiError> {
    if text.trim().is_empty() {
        let message = format!("`{field}`: expected a text with at least one character that is not blank");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_text", message));
    }
    check_length(field, &text, config.max_chars, "")?;
    Ok(Sample::Text(text))
}

fn to_tree(field: &str, tree: &Value, config: &ServeConfig) -> Result<Sample, ApiError> {
    let line = tree.to_string();
    let tree = TreeJsonReader::from_reader(Box::new(line.as_bytes()), field, None).next();
    let tree: RawTree = tree
        .unwrap_or_else(|| Err(faknow::data::Error::Dataset("expected a tree, got nothing".into())))
        .map_err(|error| ApiError::invalid(format!("`{field}`: {}", client_message(&error))))?;
    for (node, id) in tree.node_ids.iter().enumerate() {
        if let Some(text) = tree.text(node) {
            check_length(&format!("{field}: node {id}"), text, config.max_chars, "")?;
        }
    }
    Ok(Sample::Tree(tree))
}

/// What an error says of the data; where a line is to blame, without its name and number, which a client has not.
pub(crate) fn client_message(error: &faknow::data::Error) -> String {
    match error {
        faknow::data::Error::Line { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

fn check_explained(samples: &[Sample], config: &ServeConfig) -> Result<(), ApiError> {
    match samples {
        [Sample::Text(text)] => {
            check_length("text", text, config.max_explain_chars, " that is to be explained")
        }
        [_] => Ok(()),
        _ => Err(ApiError::invalid("`explain`: expected a single text or tree to explain, got several")),
    }
}

fn check_length(field: &str, text: &str, most: usize, which: &str) -> Result<(), ApiError> {
    // Counting stops there: more bytes than four a character are too many for sure.
    let n = if text.len() > most.saturating_mul(4) { None } else { Some(text.chars().count()) };
    if n.is_some_and(|n| n <= most) {
        return Ok(());
    }
    let got = n.map_or_else(|| "more".to_owned(), |n| n.to_string());
    let message = format!("`{field}`: expected at most {most} characters of a text{which}, got {got}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "text_too_long", message))
}
