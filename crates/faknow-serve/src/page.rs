//! `GET /`: a self-contained web page for trying out the detector.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// The page with its style and script.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Returns the content security policy of the page: its own script and style, and requests to this server. Nothing else
/// is allowed, whatever a text contains.
pub(crate) fn content_security_policy() -> String {
    let [style, script] = ["style", "script"].map(|tag| hash(element_content(PAGE, tag)));
    format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns the content between `<tag>` and `</tag>`.
fn element_content<'a>(page: &'a str, tag: &str) -> &'a str {
    let rest = page.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{tag}>")).map_or("", |(content, _)| content)
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_has_hashes_of_script_and_style() {
        // The example of the standard, Content Security Policy Level 3.
        assert_eq!(hash("doSomething();"), "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=");
        assert_eq!(element_content("<a><style>b</style></a>", "style"), "b");
        for tag in ["style", "script"] {
            assert!(!element_content(PAGE, tag).is_empty());
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "an element without a hash is blocked");
        }
        assert!(
            !PAGE.contains(" style=") && !PAGE.contains(" onclick="),
            "inline attributes are blocked too"
        );
    }
}
