//! `cargo xtask ci docs-rs`: the documentation of every published crate, built as docs.rs builds it, without libtorch.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::summary::Summary;
use crate::workspace::{Workspace, published};

/// The feature with which tch needs no libtorch.
const DOC_ONLY: &str = "doc-only";

/// Further builds: those that the documentation of features promises.
const MORE: [(&str, &str); 1] = [("faknow", "--no-default-features --features doc-only")];

/// Builds the documentation of each published crate by itself.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let metadata = workspace.metadata()?;
    let mut builds = Vec::new();
    for package in published(&metadata)? {
        let name = package["name"].as_str().context("a package without a name")?;
        builds.push((name, options(package)));
    }
    builds.extend(MORE.map(|(name, options)| (name, Ok(options.to_owned()))));
    let mut summary = Summary::default();
    for (name, options) in builds {
        let outcome = options.and_then(|options| build(workspace, name, &options));
        summary.add(Summary::of_check(&format!("docs-rs, {name}"), outcome));
    }
    Ok(summary)
}

fn build(workspace: &Workspace, name: &str, options: &str) -> Result<()> {
    let mut command = workspace.cargo("doc --no-deps -p").arg(name).args(options.split_whitespace());
    // Where a build script looks for libtorch in spite of the feature, it fails.
    command = command.env("LIBTORCH", "no-libtorch").env("RUSTDOCFLAGS", "-D warnings");
    for variable in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB", "LIBTORCH_STATIC"] {
        command = command.env_remove(variable);
    }
    Ok(command.run()?)
}

/// Returns the options of cargo that `[package.metadata.docs.rs]` stands for. They must include [`DOC_ONLY`] where the package has
/// it: docs.rs has no libtorch.
fn options(package: &Value) -> Result<String> {
    let docs = &package["metadata"]["docs"]["rs"];
    let features = docs["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let features: Vec<&str> = features.collect();
    let all = docs["all-features"] == true;
    ensure!(
        all || features.contains(&DOC_ONLY) || package["features"][DOC_ONLY].is_null(),
        "its Cargo.toml lacks `[package.metadata.docs.rs]` with `all-features = true`, so docs.rs would need libtorch"
    );
    let mut options = String::new();
    if all {
        options += " --all-features";
    }
    if docs["no-default-features"] == true {
        options += " --no-default-features";
    }
    if !features.is_empty() {
        options += &format!(" --features {}", features.join(","));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_those_of_docs_rs() {
        let check = |docs: Value, features: Value, expected: Option<&str>| {
            let package = json!({ "metadata": { "docs": { "rs": docs } }, "features": features });
            assert_eq!(options(&package).ok().as_deref(), expected, "{package}");
        };
        let with_torch = json!({ "doc-only": ["tch/doc-only"], "x": [] });
        check(json!({ "all-features": true }), with_torch.clone(), Some(" --all-features"));
        check(json!({ "features": ["doc-only", "x"] }), with_torch.clone(), Some(" --features doc-only,x"));
        check(json!({ "features": ["x"] }), with_torch.clone(), None);
        check(Value::Null, with_torch, None);
        check(Value::Null, json!({}), Some(""));
        check(json!({ "no-default-features": true }), json!({}), Some(" --no-default-features"));
    }

    #[test]
    fn every_published_crate_has_a_build_without_libtorch() {
        let workspace = Workspace::open().unwrap();
        let metadata = workspace.metadata().unwrap();
        let packages = published(&metadata).unwrap();
        assert!(packages.len() >= 9, "{} packages", packages.len());
        packages.into_iter().for_each(|package| drop(options(package).unwrap()));
    }
}
