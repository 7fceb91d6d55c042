//! `GET /`: a page to try a text, which needs nothing but this server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// The whole page: text, style and script.
pub(crate) const PAGE: &str = include_str!("page.html");

/// What the page may do: run its own script, use its own style, ask this server. Nothing else, whatever a text holds.
pub(crate) fn content_security_policy() -> String {
    let [style, script] = ["style", "script"].map(|tag| hash(inside(PAGE, tag)));
    format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What stands between `<tag>` and `</tag>`.
fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let rest = page.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{tag}>")).map_or("", |(inside, _)| inside)
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_style_are_known_by_their_hashes() {
        // The example of the standard, Content Security Policy Level 3.
        assert_eq!(hash("doSomething();"), "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=");
        assert_eq!(inside("<a><style>b</style></a>", "style"), "b");
        for tag in ["style", "script"] {
            assert!(!inside(PAGE, tag).is_empty());
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "what has no hash does not run");
        }
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="), "attributes do not run either");
    }
}
