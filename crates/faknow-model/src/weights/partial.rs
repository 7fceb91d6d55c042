//! Partial loading of weights, with a report.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use super::read;
use crate::{Error, Result};

/// Maximum number of names in a list; the rest is counted.
const MAX_LISTED: usize = 8;

/// The batch counter of PyTorch's batch normalization, which the layers here do not have.
const BATCH_COUNTER: &str = "num_batches_tracked";

/// The result of partial loading, displayed in a few lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// Weights of the model that were loaded.
    pub loaded: Vec<String>,
    /// Weights of the model that are missing from the file, left unchanged.
    pub missing: Vec<String>,
    /// Tensors of the file that the model does not have, by their names in the file.
    pub unexpected: Vec<String>,
    /// Weights with another shape in the file, left unchanged.
    pub mismatched: Vec<Mismatch>,
    /// Loaded weights that were converted from another type.
    pub converted: Vec<Conversion>,
    /// Prefix that was removed from all names of the file, as `module.`; empty if the names were used unchanged.
    pub prefix: String,
}

/// Weights with another shape in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Name of the weights.
    pub name: String,
    /// Shape in the model.
    pub expected: Vec<i64>,
    /// Shape in the file.
    pub got: Vec<i64>,
}

/// Weights with another type in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// Name of the weights.
    pub name: String,
    /// Type in the file.
    pub from: Kind,
    /// Type in the model.
    pub to: Kind,
}

/// Loads a PyTorch or safetensors file into the variables with matching names and shapes. See [`read`] for the formats and
/// [`restore_partial`] for the matching.
///
/// ```
/// use faknow_model::layers::Linear;
/// use faknow_model::weights;
/// use tch::{Device, nn::VarStore};
///
/// # fn main() -> faknow_model::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("encoder.pth");
/// let vars = VarStore::new(Device::Cpu);
/// let _encoder = Linear::new(&(vars.root() / "encoder"), 4, 3)?;
/// # weights::save(&vars, &path)?; // or in Python: torch.save(model.state_dict(), "encoder.pth")
/// let vars = VarStore::new(Device::Cpu);
/// let _encoder = Linear::new(&(vars.root() / "encoder"), 4, 3)?;
/// let _classifier = Linear::new(&(vars.root() / "classifier"), 3, 2)?;
/// let report = weights::load_partial(&vars, &path)?;
/// assert_eq!(report.loaded, ["encoder.bias", "encoder.weight"]);
/// assert_eq!(report.missing, ["classifier.bias", "classifier.weight"]);
/// assert!(report.to_string().starts_with("2 of 4 weights loaded"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The file cannot be read, or no weights match.
pub fn load_partial(vars: &VarStore, path: &Path) -> Result<LoadReport> {
    restore_partial(vars, &read(path)?, path)
}

/// Copies `tensors` into the variables with the same name and shape, converted to their types.
///
/// A common prefix of all names of `tensors` (`module.` of PyTorch's `DataParallel`, `model.` of a wrapper) is removed if more
/// names match without it. `num_batches_tracked` of PyTorch's batch normalization is ignored.
///
/// # Errors
/// [`Error::Weights`] if no weights match (`origin` is the file of the tensors); no variable is changed.
pub fn restore_partial(
    vars: &VarStore,
    tensors: &BTreeMap<String, Tensor>,
    origin: &Path,
) -> Result<LoadReport> {
    let variables: BTreeMap<String, Tensor> = vars.variables().into_iter().collect();
    let prefix = find_prefix(tensors, &variables);
    let by_name: BTreeMap<&str, &Tensor> =
        tensors.iter().map(|(name, tensor)| (&name[prefix.len()..], tensor)).collect();
    let mut report = compare(&variables, &by_name);
    report.unexpected.retain(|name| !name.ends_with(BATCH_COUNTER));
    report.unexpected.iter_mut().for_each(|name| name.insert_str(0, prefix));
    prefix.clone_into(&mut report.prefix);
    if report.loaded.is_empty() {
        let mut phrases = vec!["no weights match".to_owned()];
        phrases.extend(report.details());
        return Err(Error::Weights { path: origin.to_path_buf(), report: phrases });
    }
    no_grad(|| {
        for name in &report.loaded {
            if let Some(variable) = variables.get(name) {
                variable.shallow_clone().f_copy_(by_name[name.as_str()])?;
            }
        }
        Ok(report)
    })
}

/// Compares names and shapes.
pub(super) fn compare(variables: &BTreeMap<String, Tensor>, tensors: &BTreeMap<&str, &Tensor>) -> LoadReport {
    let mut report = LoadReport::default();
    for (name, variable) in variables {
        match tensors.get(name.as_str()) {
            None => report.missing.push(name.clone()),
            Some(tensor) if tensor.size() != variable.size() => {
                let (expected, got) = (variable.size(), tensor.size());
                report.mismatched.push(Mismatch { name: name.clone(), expected, got });
            }
            Some(tensor) => {
                let (from, to) = (tensor.kind(), variable.kind());
                if from != to {
                    report.converted.push(Conversion { name: name.clone(), from, to });
                }
                report.loaded.push(name.clone());
            }
        }
    }
    let unexpected = tensors.keys().filter(|name| !variables.contains_key(**name));
    report.unexpected = unexpected.map(|&name| name.to_owned()).collect();
    report
}

/// Returns the shortest common prefix, up to a dot, without which most names match.
fn find_prefix<'a>(tensors: &'a BTreeMap<String, Tensor>, variables: &BTreeMap<String, Tensor>) -> &'a str {
    let Some(first) = tensors.keys().next() else { return "" };
    let n_matches =
        |prefix: &str| tensors.keys().filter(|name| variables.contains_key(&name[prefix.len()..])).count();
    let common = first
        .match_indices('.')
        .map(|(dot, _)| &first[..=dot])
        .take_while(|prefix| tensors.keys().all(|name| name.starts_with(*prefix)));
    let (mut best, mut max) = ("", n_matches(""));
    for prefix in common {
        let n = n_matches(prefix);
        if n > max {
            (best, max) = (prefix, n);
        }
    }
    best
}

impl LoadReport {
    /// Returns the lines about weights that were not loaded.
    fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |what: &str, names: &[String]| {
            if !names.is_empty() {
                lines.push(format!("{what}: {}", list(names)));
            }
        };
        add("missing from the file", &self.missing);
        add("unexpected in the file", &self.unexpected);
        // Mismatches are rarely intended, so all are listed.
        lines.extend(self.mismatched.iter().map(|mismatch| format!("shape mismatch: {mismatch}")));
        lines
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_weights = self.loaded.len() + self.missing.len() + self.mismatched.len();
        write!(f, "{} of {n_weights} weights loaded", self.loaded.len())?;
        if !self.prefix.is_empty() {
            write!(f, ", prefix `{}` removed from the names of the file", self.prefix)?;
        }
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for Conversion { from, to, .. } in &self.converted {
            *kinds.entry(format!("from {from:?} to {to:?}")).or_default() += 1;
        }
        for (kinds, n) in kinds {
            write!(f, ", {n} converted {kinds}")?;
        }
        self.details().iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: expected {:?}, got {:?}", self.name, self.expected, self.got)
    }
}

fn list(names: &[String]) -> String {
    let mut text =
        names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_LISTED {
        text += &format!(" and {} more", names.len() - MAX_LISTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn vars(shapes: &[(&str, &[i64])]) -> VarStore {
        let vars = VarStore::new(Device::Cpu);
        for (name, shape) in shapes {
            let (modules, name) = name.rsplit_once('.').unwrap_or(("", name));
            let path = modules.split('.').filter(|m| !m.is_empty()).fold(vars.root(), |path, m| path / m);
            let _ = path.zeros(name, shape);
        }
        vars
    }

    fn ones(shapes: &[(&str, &[i64])]) -> BTreeMap<String, Tensor> {
        let one = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        shapes.iter().map(|(name, shape)| ((*name).to_owned(), one(shape))).collect()
    }

    fn check(model: &[(&str, &[i64])], file: &[(&str, &[i64])], loaded: &[&str], text: &str) {
        let vars = vars(model);
        let report = restore_partial(&vars, &ones(file), Path::new("w.pt")).unwrap();
        assert_eq!(report.loaded, loaded);
        assert_eq!(report.to_string(), text);
        for (name, variable) in vars.variables() {
            let expected = if loaded.contains(&name.as_str()) { 1.0 } else { 0.0 };
            assert!(variable.eq(expected).all().int64_value(&[]) == 1, "{name}");
        }
    }

    #[test]
    fn loads_matching_weights_and_reports_the_others() {
        let all: &[(&str, &[i64])] = &[("a.weight", &[2, 3]), ("a.bias", &[2])];
        check(all, all, &["a.bias", "a.weight"], "2 of 2 weights loaded");
        check(
            &[("a.weight", &[2, 3]), ("a.bias", &[2]), ("b", &[1])],
            &[("a.weight", &[2, 3]), ("a.bias", &[4]), ("c.d", &[1])],
            &["a.weight"],
            "1 of 3 weights loaded\nmissing from the file: `b`\nunexpected in the file: `c.d`\nshape mismatch: `a.bias`: expected [2], got [4]",
        );
        // The same number of values in another shape does not match.
        check(
            &[("a", &[2, 3]), ("b", &[1])],
            &[("a", &[3, 2]), ("b", &[1])],
            &["b"],
            "1 of 2 weights loaded\nshape mismatch: `a`: expected [2, 3], got [3, 2]",
        );
        check(
            &[("norm.weight", &[2])],
            &[("norm.weight", &[2]), ("norm.num_batches_tracked", &[])],
            &["norm.weight"],
            "1 of 1 weights loaded",
        );
        let names: Vec<String> = (0..10).map(|n| format!("x{n}")).collect();
        let mut file: Vec<(&str, &[i64])> = names.iter().map(|name| (name.as_str(), &[1_i64][..])).collect();
        file.push(("a", &[1]));
        check(
            &[("a", &[1])],
            &file,
            &["a"],
            "1 of 1 weights loaded\nunexpected in the file: `x0`, `x1`, `x2`, `x3`, `x4`, `x5`, `x6`, `x7` and 2 more",
        );
    }

    #[test]
    fn removes_a_prefix_if_more_names_match() {
        let model: &[(&str, &[i64])] = &[("a.weight", &[2]), ("b", &[1])];
        check(
            model,
            &[("module.a.weight", &[2]), ("module.b", &[1]), ("module.c", &[1])],
            &["a.weight", "b"],
            "2 of 2 weights loaded, prefix `module.` removed from the names of the file\nunexpected in the file: `module.c`",
        );
        check(
            model,
            &[("model.module.a.weight", &[2]), ("model.module.b", &[1])],
            &["a.weight", "b"],
            "2 of 2 weights loaded, prefix `model.module.` removed from the names of the file",
        );
        // Not all names have the prefix.
        check(
            model,
            &[("module.a.weight", &[2]), ("b", &[1])],
            &["b"],
            "1 of 2 weights loaded\nmissing from the file: `a.weight`\nunexpected in the file: `module.a.weight`",
        );
        // The names match with the prefix.
        check(
            &[("a.weight", &[2]), ("weight", &[2])],
            &[("a.weight", &[2])],
            &["a.weight"],
            "1 of 2 weights loaded\nmissing from the file: `weight`",
        );
    }

    #[test]
    fn converts_and_reports_other_types() {
        let vars = vars(&[("a", &[2]), ("b", &[1])]);
        let mut file = ones(&[("b", &[1])]);
        file.insert("a".to_owned(), Tensor::from_slice(&[0.1_f64, 1e300]));
        let report = restore_partial(&vars, &file, Path::new("w.pt")).unwrap();
        assert_eq!(report.to_string(), "2 of 2 weights loaded, 1 converted from Double to Float");
        let conversion = Conversion { name: "a".to_owned(), from: Kind::Double, to: Kind::Float };
        assert_eq!(report.converted, [conversion]);
        assert_eq!(vars.variables()["a"], Tensor::from_slice(&[0.1_f32, f32::INFINITY]));
    }

    #[test]
    fn rejects_files_without_matching_weights() {
        let model = vars(&[("a", &[2]), ("b", &[1])]);
        let error = |file: &[(&str, &[i64])]| {
            restore_partial(&model, &ones(file), Path::new("w.pt")).unwrap_err().to_string()
        };
        assert_eq!(
            error(&[("a", &[3]), ("c", &[1])]),
            "w.pt: the weights do not fit the model: no weights match; missing from the file: `b`; \
             unexpected in the file: `c`; shape mismatch: `a`: expected [2], got [3]"
        );
        assert!(error(&[]).ends_with("no weights match; missing from the file: `a`, `b`"));
    }
}
