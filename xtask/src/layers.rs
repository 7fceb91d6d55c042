//! `cargo xtask layers`: which crate may know which. The table is the design; cargo's own data is the fact.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process::Usage;
use crate::workspace::Workspace;

/// What one crate may know.
struct Layer {
    name: &'static str,
    /// The crates of ours that it may depend on, for its tests too.
    ours: &'static [&'static str],
    tch: Tch,
}

/// How a crate stands to libtorch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tch {
    /// It calls tch itself.
    Direct,
    /// It reaches tch through the crates below only.
    Below,
    /// Nothing in its whole tree may need libtorch.
    Never,
}

const LAYERS: &[Layer] = &[
    Layer { name: "faknow-data", ours: &[], tch: Tch::Direct },
    Layer { name: "faknow-metrics", ours: &[], tch: Tch::Never },
    Layer { name: "faknow-report", ours: &["faknow-metrics"], tch: Tch::Never },
    Layer { name: "faknow-model", ours: &["faknow-data"], tch: Tch::Direct },
    Layer { name: "faknow-callbacks", ours: &["faknow-metrics"], tch: Tch::Direct },
    Layer {
        name: "faknow-trainer",
        ours: &["faknow-callbacks", "faknow-data", "faknow-metrics", "faknow-model"],
        tch: Tch::Direct,
    },
    Layer {
        name: "faknow",
        ours: &[
            "faknow-callbacks",
            "faknow-data",
            "faknow-metrics",
            "faknow-model",
            "faknow-report",
            "faknow-trainer",
        ],
        tch: Tch::Direct,
    },
    Layer { name: "faknow-serve", ours: &["faknow"], tch: Tch::Below },
    Layer { name: "faknow-cli", ours: &["faknow", "faknow-serve"], tch: Tch::Below },
    Layer { name: "faknow-examples", ours: &["faknow"], tch: Tch::Below },
    Layer { name: "xtask", ours: &[], tch: Tch::Never },
];

/// Runs `cargo xtask layers`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    let metadata = workspace.metadata()?;
    match args {
        [] => {
            let edges = check(&metadata)?;
            println!("layers: all {edges} edges between crates are allowed");
            Ok(())
        }
        [flag] if flag == "--self-test" => {
            for (what, text) in self_test(&metadata)? {
                println!("planted {what}; refused with:\n{text}\n");
            }
            println!("layers: every planted edge was refused");
            Ok(())
        }
        _ => Err(Usage("layers takes only --self-test".into()).into()),
    }
}

/// Compares the table with `cargo metadata`; gives the number of edges, or names each that is not allowed.
pub fn check(metadata: &Value) -> Result<usize> {
    let packages = members(metadata)?;
    let trees = Trees::of(metadata)?;
    let mut faults = Vec::new();
    let mut edges = 0;
    for (name, package) in &packages {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == *name) else {
            faults.push(format!("{name} has no line in the layer table; give it one in xtask/src/layers.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let kind =
                dependency["kind"].as_str().map_or(String::new(), |kind| format!(" ({kind}-dependency)"));
            if packages.contains_key(target) {
                edges += 1;
                if !layer.ours.contains(&target) {
                    faults.push(format!("{name} -> {target}{kind}: {}", allowed(layer)));
                }
            }
            if is_tch(target) && layer.tch == Tch::Below {
                faults.push(format!("{name} -> {target}{kind}: it reaches libtorch through `faknow` only"));
            }
        }
        if layer.tch == Tch::Never
            && let Some(path) = trees.path_to(package, is_tch)
        {
            faults.push(format!("{}: {name} must never need libtorch", path.join(" -> ")));
        }
    }
    for layer in LAYERS {
        if !packages.contains_key(layer.name) {
            faults.push(format!("{} is in the layer table but not in the workspace", layer.name));
        }
    }
    if !faults.is_empty() {
        bail!("layers: {} not allowed:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(edges)
}

/// Whether every planted edge is refused in this workspace.
pub fn self_test_passes(workspace: &Workspace) -> Result<()> {
    self_test(&workspace.metadata()?).map(drop)
}

/// Plants edges that must be refused; fails if one of them is not. Gives what was planted, and the refusal.
fn self_test(metadata: &Value) -> Result<Vec<(String, String)>> {
    check(metadata).context("the workspace itself must be clean first")?;
    let edges = [
        ("faknow-data", "faknow-metrics", None, "it may know none of ours"),
        ("faknow-data", "faknow-trainer", Some("dev"), "it may know none of ours"),
        ("faknow-callbacks", "faknow-model", None, "it may know faknow-metrics"),
        ("faknow-cli", "faknow-trainer", Some("build"), "it may know faknow"),
        ("faknow-cli", "tch", None, "through `faknow` only"),
        ("faknow-metrics", "tch", None, "must never need libtorch"),
        ("rayon", "torch-sys", None, "faknow-metrics -> rayon -> torch-sys"),
        ("xtask", "faknow-metrics", None, "it may know none of ours"),
    ];
    let mut refused = Vec::new();
    for (from, to, kind, expected) in edges {
        let mut planted = metadata.clone();
        plant(&mut planted, from, to, kind)?;
        let what = format!("{from} -> {to}{}", kind.map_or(String::new(), |kind| format!(" ({kind})")));
        match check(&planted) {
            Ok(_) => bail!("the planted edge {what} was not noticed"),
            Err(error) if error.to_string().contains(expected) => refused.push((what, error.to_string())),
            Err(error) => bail!("the planted edge {what} was refused, but not because `{expected}`: {error}"),
        }
    }
    Ok(refused)
}

/// Adds an edge to the answer of `cargo metadata`, as it would be with a line more in a Cargo.toml.
fn plant(metadata: &mut Value, from: &str, to: &str, kind: Option<&str>) -> Result<()> {
    let id = |name: &str| -> Result<Value> {
        let packages = metadata["packages"].as_array().context("no packages")?;
        let package = packages.iter().find(|package| package["name"] == name);
        Ok(package.with_context(|| format!("no package {name}"))?["id"].clone())
    };
    let (from_id, to_id) = (id(from)?, id(to)?);
    let packages = metadata["packages"].as_array_mut().context("no packages")?;
    let package = packages.iter_mut().find(|package| package["id"] == from_id).context("no package")?;
    let dependencies = package["dependencies"].as_array_mut().context("no dependencies")?;
    dependencies.push(json!({ "name": to, "kind": kind, "optional": false }));
    let nodes = metadata["resolve"]["nodes"].as_array_mut().context("no resolve")?;
    let node = nodes.iter_mut().find(|node| node["id"] == from_id).context("no node")?;
    node["dependencies"].as_array_mut().context("no dependencies")?.push(to_id);
    Ok(())
}

fn allowed(layer: &Layer) -> String {
    match layer.ours {
        [] => "it may know none of ours".into(),
        ours => format!("it may know {} only", ours.join(", ")),
    }
}

fn is_tch(name: &str) -> bool {
    name == "tch" || name == "torch-sys"
}

/// The packages of the workspace by their names.
fn members(metadata: &Value) -> Result<BTreeMap<&str, &Value>> {
    let members = metadata["workspace_members"].as_array().context("`cargo metadata` names no members")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let of_ours = packages.iter().filter(|package| members.contains(&package["id"]));
    Ok(of_ours.filter_map(|package| Some((package["name"].as_str()?, package))).collect())
}

/// The resolved graph: all that a package needs, down to the last crate.
struct Trees<'a> {
    names: BTreeMap<&'a str, &'a str>,
    dependencies: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Trees<'a> {
    fn of(metadata: &'a Value) -> Result<Self> {
        let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
        let names =
            packages.iter().filter_map(|it| Some((it["id"].as_str()?, it["name"].as_str()?))).collect();
        let nodes = metadata["resolve"]["nodes"].as_array().context("`cargo metadata` resolved nothing")?;
        let edges = |node: &'a Value| {
            let ids =
                node["dependencies"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            Some((node["id"].as_str()?, ids))
        };
        Ok(Self { names, dependencies: nodes.iter().filter_map(edges).collect() })
    }

    /// The shortest way from a package to one that is `wanted`, as names.
    fn path_to(&self, package: &'a Value, wanted: impl Fn(&str) -> bool) -> Option<Vec<&'a str>> {
        let mut queue = std::collections::VecDeque::from([vec![package["id"].as_str()?]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = queue.pop_front() {
            let id = *path.last()?;
            if self.names.get(id).is_some_and(|name| wanted(name)) {
                return Some(path.iter().filter_map(|id| self.names.get(id).copied()).collect());
            }
            for next in self.dependencies.get(id).into_iter().flatten() {
                if seen.insert(*next) {
                    queue.push_back([path.as_slice(), &[*next]].concat());
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small answer of `cargo metadata`: our crates with exactly their allowed edges, and three of others.
    fn clean() -> Value {
        let others = ["tch", "torch-sys", "rayon"];
        let edges = |layer: &Layer| {
            let tch = (layer.tch == Tch::Direct).then_some("tch");
            let rayon = (layer.name == "faknow-metrics").then_some("rayon");
            layer.ours.iter().copied().chain(tch).chain(rayon).collect::<Vec<_>>()
        };
        let package = |name: &str, edges: &[&str]| {
            let dependencies: Vec<Value> =
                edges.iter().map(|to| json!({ "name": to, "kind": null })).collect();
            json!({ "id": format!("{name} 1"), "name": name, "dependencies": dependencies })
        };
        let node = |name: &str, edges: &[&str]| {
            let ids: Vec<String> = edges.iter().map(|to| format!("{to} 1")).collect();
            json!({ "id": format!("{name} 1"), "dependencies": ids })
        };
        let all: Vec<(&str, Vec<&str>)> = LAYERS
            .iter()
            .map(|layer| (layer.name, edges(layer)))
            .chain(others.map(|name| (name, if name == "tch" { vec!["torch-sys"] } else { vec![] })))
            .collect();
        json!({
            "packages": all.iter().map(|(name, edges)| package(name, edges)).collect::<Vec<_>>(),
            "workspace_members": LAYERS.iter().map(|layer| format!("{} 1", layer.name)).collect::<Vec<_>>(),
            "resolve": { "nodes": all.iter().map(|(name, edges)| node(name, edges)).collect::<Vec<_>>() },
        })
    }

    #[test]
    fn the_design_itself_is_clean() {
        let edges: usize = LAYERS.iter().map(|layer| layer.ours.len()).sum();
        assert_eq!(check(&clean()).unwrap(), edges);
    }

    #[test]
    fn planted_edges_are_refused() {
        assert_eq!(self_test(&clean()).unwrap().len(), 8);
    }

    #[test]
    fn an_edge_is_named_with_what_is_allowed() {
        let mut planted = clean();
        plant(&mut planted, "faknow-model", "faknow-trainer", Some("dev")).unwrap();
        let error = check(&planted).unwrap_err().to_string();
        let expected = "layers: 1 not allowed:\n  faknow-model -> faknow-trainer (dev-dependency): it may know faknow-data only";
        assert_eq!(error, expected);
    }

    #[test]
    fn members_and_table_must_agree() {
        let mut grown = clean();
        let rayon = json!("rayon 1");
        grown["workspace_members"].as_array_mut().unwrap().push(rayon);
        let error = check(&grown).unwrap_err().to_string();
        assert!(error.contains("rayon has no line in the layer table"), "{error}");

        let mut shrunk = clean();
        shrunk["workspace_members"].as_array_mut().unwrap().retain(|id| id != "faknow-cli 1");
        let error = check(&shrunk).unwrap_err().to_string();
        assert!(error.contains("faknow-cli is in the layer table but not in the workspace"), "{error}");
    }

    #[test]
    fn the_table_has_no_loops() {
        // Each crate may only know crates above it in the table, so cargo could not build a cycle either.
        for (place, layer) in LAYERS.iter().enumerate() {
            assert!(layer.ours.iter().all(|name| LAYERS[..place].iter().any(|below| below.name == *name)));
        }
    }
}
