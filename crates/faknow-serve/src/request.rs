//! Parses and validates prediction requests.

use axum::http::StatusCode;
use faknow::data::Record;
use faknow::data::graph::{RawTree, TreeJsonReader};
use faknow::detector::Sample;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use crate::api_error::ApiError;
use crate::text_item::{TextItem, UniqueFeatures};
use crate::unique::UniqueValue;
use crate::{InputKind, ServeConfig};

/// Maximum length of the name of a domain.
const MAX_DOMAIN_CHARS: usize = 200;

/// Maximum number of comments on a text.
const MAX_COMMENTS: usize = 100;
/// Maximum absolute value of a numeric feature.
const MAX_NUMBER: f64 = 1e38;

/// The content of a prediction request.
#[derive(Debug)]
pub(crate) struct PredictRequest {
    pub(crate) samples: Vec<Sample>,
    /// Whether the request has one sample rather than a list; the response has the same form.
    pub(crate) is_single: bool,
    pub(crate) explain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, deserialize_with = "not_null")]
    text: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    texts: Option<Vec<TextItem>>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    features: UniqueFeatures,
    #[serde(default)]
    comments: Vec<String>,
    #[serde(default, deserialize_with = "not_null")]
    tree: Option<UniqueValue>,
    #[serde(default, deserialize_with = "not_null")]
    trees: Option<Vec<UniqueValue>>,
    #[serde(default)]
    explain: bool,
}

/// Reads an optional field; `null` is an error rather than a missing field.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Parses the body of `POST /v1/predict` for a predictor with this kind of input.
pub(crate) fn parse(body: &[u8], config: &ServeConfig, input: InputKind) -> Result<PredictRequest, ApiError> {
    let Fields { text, texts, domain, features, comments, tree, trees, explain } = fields(body)?;
    let features = features.0;
    let values = [
        ("domain", domain.is_some()),
        ("features", !features.is_empty()),
        ("comments", !comments.is_empty()),
    ];
    if let Some((name, _)) = values.into_iter().find(|(_, is_given)| *is_given && text.is_none()) {
        return Err(ApiError::invalid(format!(
            "`{name}`: expected with the field `text`; with `texts`, a text may be an object with both"
        )));
    }
    let is_single = text.is_some() || tree.is_some();
    let (one, many) = (input.single_field(), input.list_field());
    let samples = match (input, text, texts, tree, trees) {
        (InputKind::Texts, Some(text), None, None, None) => {
            vec![to_text("text", TextItem { text, domain, features, comments }, config)?]
        }
        (InputKind::Texts, None, Some(texts), None, None) => {
            check_count(many, texts.len(), config)?;
            let texts = texts.into_iter().enumerate();
            texts
                .map(|(index, text)| to_text(&format!("texts[{index}]"), text, config))
                .collect::<Result<_, _>>()?
        }
        (InputKind::Trees, None, None, Some(tree), None) => vec![to_tree("tree", &tree, config)?],
        (InputKind::Trees, None, None, None, Some(trees)) => {
            check_count(many, trees.len(), config)?;
            let trees = trees.iter().enumerate();
            trees
                .map(|(index, tree)| to_tree(&format!("trees[{index}]"), tree, config))
                .collect::<Result<_, _>>()?
        }
        _ => {
            return Err(ApiError::invalid(format!(
                "this detector takes {many} as input: expected exactly one of the fields `{one}` and `{many}`"
            )));
        }
    };
    if explain {
        check_explanation(&samples, config)?;
    }
    Ok(PredictRequest { samples, is_single, explain })
}

fn fields(body: &[u8]) -> Result<Fields, ApiError> {
    let bad = |code, message: String| ApiError::new(StatusCode::BAD_REQUEST, code, message);
    let body = std::str::from_utf8(body).map_err(|e| {
        bad("invalid_utf8", format!("expected UTF-8, got an invalid byte at position {}", e.valid_up_to()))
    })?;
    if body.trim().is_empty() {
        return Err(bad("empty_body", "expected a JSON object as the body, got nothing".into()));
    }
    let invalid = |path: &str, error: &serde_json::Error| match error.classify() {
        Category::Data if matches!(path, "." | "?") => ApiError::invalid(error.to_string()),
        Category::Data => ApiError::invalid(format!("`{path}`: {error}")),
        _ => bad("invalid_json", format!("expected a JSON object: {error}{}", hint(error))),
    };
    if !body.trim_start().starts_with('{') {
        // serde accepts an array as the fields in order.
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

/// Returns a hint for an unpaired surrogate, which the message of the parser does not name.
fn hint(error: &serde_json::Error) -> &'static str {
    let message = error.to_string();
    let is_surrogate = ["hex escape", "surrogate"].iter().any(|words| message.contains(words));
    if is_surrogate { "; \\ud800 to \\udfff are surrogates and must come in pairs" } else { "" }
}

fn check_count(field: &str, n: usize, config: &ServeConfig) -> Result<(), ApiError> {
    let max = config.max_texts;
    if (1..=max).contains(&n) {
        return Ok(());
    }
    let code = if n == 0 { "no_texts" } else { "too_many_texts" };
    let message = format!("`{field}`: expected 1 to {max} {field}, got {n}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message))
}

fn to_text(field: &str, item: TextItem, config: &ServeConfig) -> Result<Sample, ApiError> {
    let TextItem { text, domain, features, comments } = item;
    check_length(field, &text, config.max_chars, "characters")?;
    if domain.is_none() && features.is_empty() && comments.is_empty() {
        return Ok(Sample::Text(text));
    }
    if let Some(domain) = &domain {
        check_length("domain", domain, MAX_DOMAIN_CHARS, "characters")?;
    }
    if comments.len() > MAX_COMMENTS {
        let got = comments.len();
        let message = format!("`{field}`: expected at most {MAX_COMMENTS} comments, got {got}");
        return Err(ApiError::invalid(message));
    }
    for comment in &comments {
        check_length(&format!("{field}: comments"), comment, config.max_chars, "characters")?;
    }
    let is_number = |number: &f64| number.abs() <= MAX_NUMBER;
    if let Some((name, _)) = features.iter().find(|(_, numbers)| !numbers.iter().all(is_number)) {
        let message =
            format!("`{field}`: feature `{name}`: expected numbers from -{MAX_NUMBER:e} to {MAX_NUMBER:e}");
        return Err(ApiError::invalid(message));
    }
    let to_f32 = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
    let features = features.into_iter().map(|(name, numbers)| (name, to_f32(numbers))).collect();
    Ok(Sample::Record(Box::new(Record { domain, features, comments, ..Record::new(text) })))
}

fn to_tree(field: &str, UniqueValue(tree): &UniqueValue, config: &ServeConfig) -> Result<Sample, ApiError> {
    let line = tree.to_string();
    let tree = TreeJsonReader::from_reader(Box::new(line.as_bytes()), field, None).next();
    let tree: RawTree = tree
        .unwrap_or_else(|| Err(faknow::data::Error::Dataset("expected a tree, got nothing".into())))
        .map_err(|error| ApiError::invalid(format!("`{field}`: {}", client_message(&error))))?;
    for (node, id) in tree.node_ids.iter().enumerate() {
        if let Some(text) = tree.text(node) {
            check_length(&format!("{field}: node {id}"), text, config.max_chars, "characters")?;
        }
    }
    Ok(Sample::Tree(tree))
}

/// Returns the message of a data error, without file name and line number, which mean nothing to a client.
pub(crate) fn client_message(error: &faknow::data::Error) -> String {
    match error {
        faknow::data::Error::Line { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

fn check_explanation(samples: &[Sample], config: &ServeConfig) -> Result<(), ApiError> {
    match samples {
        [Sample::Record(record)] => {
            check_length("text", &record.text, config.max_explain_chars, "characters with `explain`")
        }
        [Sample::Text(text)] => {
            check_length("text", text, config.max_explain_chars, "characters with `explain`")
        }
        [Sample::Tree(tree)] => check_nodes(tree.node_ids.len(), config.max_explain_nodes),
        [Sample::EncodedTree(tree)] => check_nodes(tree.n_nodes(), config.max_explain_nodes),
        _ => Err(ApiError::invalid("`explain`: expected a single text or tree to explain, got several")),
    }
}

fn check_nodes(n: usize, max: usize) -> Result<(), ApiError> {
    if n <= max {
        return Ok(());
    }
    let message = format!("`tree`: expected at most {max} nodes with `explain`, got {n}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "tree_too_large", message))
}

fn check_length(field: &str, text: &str, max: usize, unit: &str) -> Result<(), ApiError> {
    // A character has at most four bytes, so long texts need no counting.
    let n = if text.len() > max.saturating_mul(4) { None } else { Some(text.chars().count()) };
    if n.is_some_and(|n| n <= max) {
        return Ok(());
    }
    let got = n.map_or_else(|| "more".to_owned(), |n| n.to_string());
    let message = format!("`{field}`: expected at most {max} {unit}, got {got}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "text_too_long", message))
}
