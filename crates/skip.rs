//! Tests and checks that are skipped because a resource is missing: every crate includes this file as a module.

/// The resources, and what provides each of them.
pub(crate) const RESOURCES: [(&str, &str); 15] = [
    (
        "golden",
        "the reference files in `tests/golden` of the crates, in $FAKNOW_GOLDEN or in $FAKNOW_SHARED/golden",
    ),
    ("data", "the datasets in $FAKNOW_SHARED/data"),
    ("cases", "the files that went wrong in $FAKNOW_SHARED/cases"),
    ("docs", "the directory `docs` of the repository"),
    ("permissions", "a user without write permission everywhere, so not root"),
    ("mount", "permission to mount a small disk, so root"),
    ("schemathesis", "Schemathesis, which pip installs"),
    ("cargo-deny", "cargo-deny, which cargo installs"),
    ("advisories", "the advisory database, which cargo-deny downloads"),
    ("script", "the program `script`, which opens a terminal"),
    ("tensorboard", "python3 with the package tensorboard"),
    ("python", "Python with PyTorch and safetensors, which $FAKNOW_PYTHON may name"),
    (
        "minilm",
        "the encoder MiniLM in $FAKNOW_CACHE_DIR/encoders or ~/.cache/faknow/encoders, which `cargo xtask encoder \
         minilm` downloads",
    ),
    (
        "efficientnet-lite0",
        "the image encoder EfficientNet-Lite0 in $FAKNOW_CACHE_DIR/encoders or ~/.cache/faknow/encoders, which `cargo xtask \
         encoder efficientnet-lite0` downloads",
    ),
    ("chromium", "Chromium with its driver"),
];

/// Returns an error if `FAKNOW_REQUIRE` contains the missing resource, a list of [`RESOURCES`] separated by commas: where a
/// resource should be present, nothing is skipped.
pub(crate) fn check(resource: &str) -> Result<(), String> {
    let required = std::env::var("FAKNOW_REQUIRE").unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()).chain([resource]) {
        if RESOURCES.iter().all(|(known, _)| *known != name) {
            let known: Vec<&str> = RESOURCES.iter().map(|(known, _)| *known).collect();
            return Err(format!("FAKNOW_REQUIRE: expected names of {}, got `{name}`", known.join(", ")));
        }
    }
    if required.split(',').any(|name| name.trim() == resource) {
        return Err(format!("FAKNOW_REQUIRE contains `{resource}`, which is missing"));
    }
    Ok(())
}
