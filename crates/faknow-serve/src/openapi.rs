//! The OpenAPI document: `openapi.json` with the kind of input and the limits of this server.

use serde_json::{Value, json};

use crate::{InputKind, ServeConfig};

/// The document for texts, with the default limits.
const DOCUMENT: &str = include_str!("openapi.json");

/// A limit of a server.
type Limit = fn(&ServeConfig) -> usize;

/// Where the document states which limit: JSON pointers below `/components/schemas`.
const LIMITS: [(&str, Limit); 6] = [
    ("/Text/maxLength", |config| config.max_chars),
    ("/Node/properties/text/maxLength", |config| config.max_chars),
    ("/ExplainedText/maxLength", |config| config.max_explain_chars.min(config.max_chars)),
    ("/ExplainedTree/properties/nodes/maxItems", |config| config.max_explain_nodes),
    ("/TextRequest/oneOf/1/properties/texts/maxItems", |config| config.max_texts),
    ("/TreeRequest/oneOf/1/properties/trees/maxItems", |config| config.max_texts),
];

/// Returns the document of a server.
///
/// # Errors
/// `openapi.json` is not valid JSON, which a test rules out.
pub(crate) fn document(config: &ServeConfig, input: InputKind) -> serde_json::Result<String> {
    let mut document: Value = serde_json::from_str(DOCUMENT)?;
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    let schemas = &mut document["components"]["schemas"];
    if input == InputKind::Trees {
        schemas["Request"]["$ref"] = json!("#/components/schemas/TreeRequest");
    }
    for (pointer, limit) in LIMITS {
        if let Some(value) = schemas.pointer_mut(pointer) {
            *value = json!(limit(config));
        }
    }
    serde_json::to_string(&document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_the_limits_of_the_server() {
        let defaults = ServeConfig::default();
        let file: Value = serde_json::from_str(DOCUMENT).unwrap();
        let of_defaults: Value =
            serde_json::from_str(&document(&defaults, InputKind::Texts).unwrap()).unwrap();
        assert_eq!(of_defaults, file, "the file has the default limits");
        let config = ServeConfig {
            max_chars: 7,
            max_explain_chars: 9,
            max_explain_nodes: 3,
            max_texts: 2,
            ..defaults
        };
        let other: Value = serde_json::from_str(&document(&config, InputKind::Trees).unwrap()).unwrap();
        let schemas = &other["components"]["schemas"];
        for ((pointer, _), expected) in LIMITS.iter().zip([7, 7, 7, 3, 2, 2]) {
            assert_eq!(schemas.pointer(pointer), Some(&json!(expected)), "{pointer}");
        }
        assert_eq!(schemas["Request"]["$ref"], "#/components/schemas/TreeRequest");
    }
}
