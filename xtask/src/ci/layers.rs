//! `cargo xtask layers`: which crate may depend on which, as the table says, compared with `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::dirs;
use crate::workspace::Workspace;

/// How a crate depends on libtorch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tch {
    /// It calls tch itself.
    Direct,
    /// It reaches tch through the crates below only.
    Below,
    /// No direct or indirect dependency may need libtorch.
    Never,
}

/// A crate, the crates of the workspace that it may depend on (also for its tests), and how it depends on libtorch.
type Layer = (&'static str, &'static [&'static str], Tch);

const LAYERS: &[Layer] = &[
    ("faknow-data", &[], Tch::Direct),
    ("faknow-metrics", &[], Tch::Never),
    ("faknow-report", &["faknow-metrics"], Tch::Never),
    ("faknow-model", &["faknow-data"], Tch::Direct),
    ("faknow-callbacks", &["faknow-data", "faknow-metrics"], Tch::Direct),
    ("faknow-trainer", &["faknow-callbacks", "faknow-data", "faknow-metrics", "faknow-model"], Tch::Direct),
    (
        "faknow",
        &[
            "faknow-callbacks",
            "faknow-data",
            "faknow-metrics",
            "faknow-model",
            "faknow-report",
            "faknow-trainer",
        ],
        Tch::Direct,
    ),
    ("faknow-serve", &["faknow"], Tch::Below),
    ("faknow-cli", &["faknow", "faknow-serve"], Tch::Below),
    ("faknow-examples", &["faknow"], Tch::Below),
    ("xtask", &[], Tch::Never),
];

/// Edges that must be refused, and a part of the refusal.
const PLANTED: &[(&str, &str, &str)] = &[
    (
        "faknow-data",
        "faknow-metrics",
        "faknow-data -> faknow-metrics: it may depend on no crate of the workspace",
    ),
    ("faknow-data", "faknow-trainer", "may depend on no crate of the workspace"),
    ("faknow-callbacks", "faknow-model", "it may depend on faknow-data, faknow-metrics only"),
    ("faknow-cli", "faknow-trainer", "it may depend on faknow, faknow-serve only"),
    ("faknow-cli", "tch", "through `faknow` only"),
    ("faknow-metrics", "tch", "must never need libtorch"),
    ("rayon", "torch-sys", "faknow-metrics -> rayon -> torch-sys"),
    ("xtask", "faknow-metrics", "may depend on no crate of the workspace"),
];

/// Checks the edges between crates and between the directories of each, and that planted edges are noticed.
pub fn check(workspace: &mut Workspace) -> Result<()> {
    let graph = Graph::of(&workspace.metadata()?)?;
    let n_edges = graph.check()?;
    graph.check_planted()?;
    dirs::check(workspace)?;
    println!(
        "layers: all {n_edges} edges between crates are allowed, {} planted ones were refused",
        PLANTED.len()
    );
    Ok(())
}

/// The crates of the workspace with the names that their manifests list, and all packages with what they need.
#[derive(Clone, Default)]
struct Graph {
    members: BTreeMap<String, Vec<String>>,
    packages: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Value) -> Result<Self> {
        let list =
            |value: &Value, what: &str| value.as_array().cloned().with_context(|| format!("no {what}"));
        let packages = list(&metadata["packages"], "packages")?;
        let members = list(&metadata["workspace_members"], "members")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name_of: BTreeMap<_, _> =
            packages.iter().map(|it| (text(&it["id"]), text(&it["name"]))).collect();
        let mut graph = Self::default();
        for package in packages.iter().filter(|package| members.contains(&package["id"])) {
            let name = text(&package["name"]);
            // A crate that depends on itself does so to have all of its features in its tests.
            let names = list(&package["dependencies"], "dependencies")?;
            let names = names.iter().map(|it| text(&it["name"])).filter(|it| *it != name).collect();
            graph.members.insert(name.clone(), names);
        }
        for node in list(&metadata["resolve"]["nodes"], "resolved dependencies")? {
            let needs = list(&node["dependencies"], "dependencies")?;
            let needs = needs.iter().map(|id| name_of[&text(id)].clone());
            graph.packages.entry(name_of[&text(&node["id"])].clone()).or_default().extend(needs);
        }
        Ok(graph)
    }

    /// Compares the table with the graph; returns the number of edges, or names each that is not allowed.
    fn check(&self) -> Result<usize> {
        let mut faults = Vec::new();
        let mut n_edges = 0;
        for (name, dependencies) in &self.members {
            let Some((_, allowed, tch)) = LAYERS.iter().find(|(layer, ..)| layer == name) else {
                faults.push(format!("{name} is not in the table of xtask/src/ci/layers.rs"));
                continue;
            };
            for target in dependencies {
                n_edges += usize::from(self.members.contains_key(target));
                if self.members.contains_key(target) && !allowed.contains(&target.as_str()) {
                    let allowed = if allowed.is_empty() {
                        "no crate of the workspace".into()
                    } else {
                        allowed.join(", ") + " only"
                    };
                    faults.push(format!("{name} -> {target}: it may depend on {allowed}"));
                }
                if is_tch(target) && *tch == Tch::Below {
                    faults.push(format!("{name} -> {target}: it reaches libtorch through `faknow` only"));
                }
            }
            if let Some(path) = self.path_to_tch(name).filter(|_| *tch == Tch::Never) {
                faults.push(format!("{}: {name} must never need libtorch", path.join(" -> ")));
            }
        }
        let missing = LAYERS.iter().filter(|(name, ..)| !self.members.contains_key(*name));
        faults.extend(missing.map(|(name, ..)| format!("{name} is in the table but not in the workspace")));
        if !faults.is_empty() {
            bail!("layers: {} not allowed:\n  {}", faults.len(), faults.join("\n  "));
        }
        Ok(n_edges)
    }

    /// Adds each edge that must be refused, and fails if one is not.
    fn check_planted(&self) -> Result<()> {
        for (from, to, expected) in PLANTED {
            let mut planted = self.clone();
            planted.packages.entry(from.to_string()).or_default().insert(to.to_string());
            if let Some(names) = planted.members.get_mut(*from) {
                names.push(to.to_string());
            }
            let refusal = planted.check().err().map_or_else(String::new, |error| error.to_string());
            ensure!(
                refusal.contains(expected),
                "the planted edge {from} -> {to} was not refused by `{expected}`: {refusal}"
            );
        }
        Ok(())
    }

    /// Returns the shortest path from a package to one that needs libtorch.
    fn path_to_tch(&self, start: &str) -> Option<Vec<String>> {
        let mut queue = VecDeque::from([vec![start.to_owned()]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = queue.pop_front() {
            let last = path.last()?;
            if is_tch(last) {
                return Some(path);
            }
            for next in self.packages.get(last).into_iter().flatten() {
                if seen.insert(next) {
                    queue.push_back([path.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        None
    }
}

fn is_tch(name: &str) -> bool {
    name == "tch" || name == "torch-sys"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the crates with exactly their allowed edges, and three of others.
    fn clean() -> Graph {
        let mut graph = Graph::default();
        for (name, allowed, tch) in LAYERS {
            let tch = (*tch == Tch::Direct).then_some("tch");
            let rayon = (*name == "faknow-metrics").then_some("rayon");
            let needs: Vec<String> =
                allowed.iter().copied().chain(tch).chain(rayon).map(String::from).collect();
            graph.packages.insert(name.to_string(), needs.iter().cloned().collect());
            graph.members.insert(name.to_string(), needs);
        }
        graph.packages.insert("tch".into(), ["torch-sys".into()].into());
        graph
    }

    #[test]
    fn the_design_is_clean_and_planted_edges_are_refused() {
        let graph = clean();
        let n_edges: usize = LAYERS.iter().map(|(_, allowed, _)| allowed.len()).sum();
        assert_eq!(graph.check().unwrap(), n_edges);
        graph.check_planted().unwrap();
        // A crate may only depend on crates above it in the table, so cargo could not build a cycle either.
        for (place, (_, allowed, _)) in LAYERS.iter().enumerate() {
            assert!(allowed.iter().all(|name| LAYERS[..place].iter().any(|(below, ..)| below == name)));
        }
    }

    #[test]
    fn members_and_table_must_agree() {
        let mut graph = clean();
        graph.members.insert("rayon".into(), Vec::new());
        graph.members.remove("faknow-cli");
        let error = graph.check().unwrap_err().to_string();
        assert!(error.contains("rayon is not in the table"), "{error}");
        assert!(error.contains("faknow-cli is in the table but not in the workspace"), "{error}");
    }
}
