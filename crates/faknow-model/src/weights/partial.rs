//! Weights of which only a part may fit, and what became of each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use super::read;
use crate::{Error, Result};

/// How many names of a kind are written out; the rest is counted.
const SHOWN: usize = 8;

/// Batches that PyTorch's batch normalization has seen: no weight, and nothing here depends on it.
const NO_WEIGHT: &str = "num_batches_tracked";

/// What became of a file's tensors and of a model's weights; [`Display`](fmt::Display) tells it in a few lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// Weights of the model that have the file's values now.
    pub loaded: Vec<String>,
    /// Weights of the model that are not in the file; they stay as they were.
    pub missing: Vec<String>,
    /// Tensors of the file that the model has no weights for, by their names in the file.
    pub unexpected: Vec<String>,
    /// Weights that have another shape in the file; they stay as they were.
    pub mismatched: Vec<Mismatch>,
    /// Those of `loaded` whose values are of another type in the file, and were converted.
    pub converted: Vec<Conversion>,
    /// What all names in the file began with and was left out, as `module.`, since the names fit without it; empty
    /// if the names were taken as they are.
    pub prefix: String,
}

/// Weights that have another shape in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Name of the weights.
    pub name: String,
    /// Their shape in the model.
    pub expected: Vec<i64>,
    /// Their shape in the file.
    pub got: Vec<i64>,
}

/// Weights that have values of another type in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// Name of the weights.
    pub name: String,
    /// Type of the values in the file.
    pub from: Kind,
    /// Type of the values in the model.
    pub to: Kind,
}

/// Reads a file of PyTorch or of safetensors into those variables whose names and shapes fit; see [`read`] for what
/// is read, and [`restore_partial`] for what fits.
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
/// The file cannot be read, or nothing of it fits.
pub fn load_partial(vars: &VarStore, path: &Path) -> Result<LoadReport> {
    restore_partial(vars, &read(path)?, path)
}

/// Copies `tensors` into those variables that have the same name and shape, converted to the variables' types.
///
/// A prefix that all names of `tensors` share (`module.` of PyTorch's `DataParallel`, `model.` of a wrapper) is left
/// out if more of the names fit without it. `num_batches_tracked` of PyTorch's batch normalization is passed over.
///
/// # Errors
/// [`Error::Weights`] if nothing fits (`origin` is the file that they came from); nothing is changed then.
pub fn restore_partial(
    vars: &VarStore,
    tensors: &BTreeMap<String, Tensor>,
    origin: &Path,
) -> Result<LoadReport> {
    let variables: BTreeMap<String, Tensor> = vars.variables().into_iter().collect();
    let prefix = prefix(tensors, &variables);
    let by_name: BTreeMap<&str, &Tensor> =
        tensors.iter().map(|(name, tensor)| (&name[prefix.len()..], tensor)).collect();
    let mut report = compare(&variables, &by_name);
    report.unexpected.retain(|name| !name.ends_with(NO_WEIGHT));
    report.unexpected.iter_mut().for_each(|name| name.insert_str(0, prefix));
    prefix.clone_into(&mut report.prefix);
    if report.loaded.is_empty() {
        let mut phrases = vec!["nothing of them fits".to_owned()];
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

/// What would be loaded, and what would not.
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

/// What the names of all `tensors` begin with, up to a dot, and are mostly the variables' without; the shortest such.
fn prefix<'a>(tensors: &'a BTreeMap<String, Tensor>, variables: &BTreeMap<String, Tensor>) -> &'a str {
    let Some(first) = tensors.keys().next() else { return "" };
    let n_fitting =
        |prefix: &str| tensors.keys().filter(|name| variables.contains_key(&name[prefix.len()..])).count();
    let shared = first
        .match_indices('.')
        .map(|(dot, _)| &first[..=dot])
        .take_while(|prefix| tensors.keys().all(|name| name.starts_with(*prefix)));
    let (mut best, mut most) = ("", n_fitting(""));
    for prefix in shared {
        let n = n_fitting(prefix);
        if n > most {
            (best, most) = (prefix, n);
        }
    }
    best
}

impl LoadReport {
    /// A line for each kind of what did not fit.
    fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |what: &str, names: &[String]| {
            if !names.is_empty() {
                lines.push(format!("{what}: {}", listed(names)));
            }
        };
        add("not in the file", &self.missing);
        add("not in the model", &self.unexpected);
        // A shape is seldom meant to be another: none is left out.
        lines.extend(self.mismatched.iter().map(|mismatch| format!("of another shape: {mismatch}")));
        lines
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_weights = self.loaded.len() + self.missing.len() + self.mismatched.len();
        write!(f, "{} of {n_weights} weights loaded", self.loaded.len())?;
        if !self.prefix.is_empty() {
            write!(f, ", whose names begin with `{}` in the file", self.prefix)?;
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

fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
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
    fn what_fits_is_loaded_and_the_rest_is_told() {
        let all: &[(&str, &[i64])] = &[("a.weight", &[2, 3]), ("a.bias", &[2])];
        check(all, all, &["a.bias", "a.weight"], "2 of 2 weights loaded");
        check(
            &[("a.weight", &[2, 3]), ("a.bias", &[2]), ("b", &[1])],
            &[("a.weight", &[2, 3]), ("a.bias", &[4]), ("c.d", &[1])],
            &["a.weight"],
            "1 of 3 weights loaded\nnot in the file: `b`\nnot in the model: `c.d`\nof another shape: `a.bias`: expected [2], got [4]",
        );
        // As many values in another shape are another thing.
        check(
            &[("a", &[2, 3]), ("b", &[1])],
            &[("a", &[3, 2]), ("b", &[1])],
            &["b"],
            "1 of 2 weights loaded\nof another shape: `a`: expected [2, 3], got [3, 2]",
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
            "1 of 1 weights loaded\nnot in the model: `x0`, `x1`, `x2`, `x3`, `x4`, `x5`, `x6`, `x7` and 2 more",
        );
    }

    #[test]
    fn a_prefix_is_left_out_if_the_names_then_fit() {
        let model: &[(&str, &[i64])] = &[("a.weight", &[2]), ("b", &[1])];
        check(
            model,
            &[("module.a.weight", &[2]), ("module.b", &[1]), ("module.c", &[1])],
            &["a.weight", "b"],
            "2 of 2 weights loaded, whose names begin with `module.` in the file\nnot in the model: `module.c`",
        );
        check(
            model,
            &[("model.module.a.weight", &[2]), ("model.module.b", &[1])],
            &["a.weight", "b"],
            "2 of 2 weights loaded, whose names begin with `model.module.` in the file",
        );
        // Not all names have it.
        check(
            model,
            &[("module.a.weight", &[2]), ("b", &[1])],
            &["b"],
            "1 of 2 weights loaded\nnot in the file: `a.weight`\nnot in the model: `module.a.weight`",
        );
        // The names fit as they are.
        check(
            &[("a.weight", &[2]), ("weight", &[2])],
            &[("a.weight", &[2])],
            &["a.weight"],
            "1 of 2 weights loaded\nnot in the file: `weight`",
        );
    }

    #[test]
    fn other_types_are_converted_and_named() {
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
    fn a_file_of_which_nothing_fits_is_refused() {
        let model = vars(&[("a", &[2]), ("b", &[1])]);
        let refused = |file: &[(&str, &[i64])]| {
            restore_partial(&model, &ones(file), Path::new("w.pt")).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&[("a", &[3]), ("c", &[1])]),
            "w.pt: these weights do not fit the model: nothing of them fits; not in the file: `b`; \
             not in the model: `c`; of another shape: `a`: expected [2], got [3]"
        );
        assert!(refused(&[]).ends_with("nothing of them fits; not in the file: `a`, `b`"));
    }
}
