//! Summary of a model: its variables by module, their number, and the memory that training needs for them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

/// The variables of a model, displayed as a table with the modules as a tree.
///
/// ```
/// use faknow_model::{TextCnn, TextCnnConfig, summary};
/// use tch::{Device, nn};
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// TextCnn::new(&vars.root(), &TextCnnConfig::default(), 1000, 2)?;
/// let summary = summary(&vars);
/// assert_eq!(summary.n_weights(), 1000 * 300 + 100 * 300 * (3 + 4 + 5) + 300 + 2 * 300 + 2);
/// println!("{summary}");
/// # Ok::<(), faknow_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All variables, sorted by name with numbers by value: `layer.2` before `layer.10`.
    pub parameters: Vec<ParameterSummary>,
    /// Number of optimizer tensors per trainable variable, see [`Summary::with_optimizer`]; 0 by default.
    pub n_optimizer_tensors: usize,
}

/// One variable of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterSummary {
    /// Full name, with dots between modules.
    pub name: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Type of the values: `f32`, `f64`, `i64`, …
    pub kind: String,
    /// Number of values.
    pub n_weights: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether training changes the variable; false for frozen weights and running statistics.
    pub trainable: bool,
}

/// Memory that training needs for the variables, in bytes, without batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingMemory {
    /// Size of all variables.
    pub weights: u64,
    /// Size of the gradients of the trainable variables.
    pub gradients: u64,
    /// Size of the optimizer state.
    pub optimizer: u64,
}

/// Summarizes the current variables of `vars`.
pub fn summary(vars: &VarStore) -> Summary {
    let mut parameters: Vec<_> =
        vars.variables().iter().map(|(name, tensor)| ParameterSummary::new(name, tensor)).collect();
    parameters.sort_by(|a, b| by_modules(&a.name, &b.name));
    Summary { parameters, n_optimizer_tensors: 0 }
}

impl Summary {
    /// Includes the memory of an optimizer with `n_tensors` tensors per trainable variable: 2 for Adam.
    #[must_use]
    pub fn with_optimizer(self, n_tensors: usize) -> Self {
        Self { n_optimizer_tensors: n_tensors, ..self }
    }

    /// Returns the number of values of all variables.
    pub fn n_weights(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.n_weights).sum()
    }

    /// Returns the number of values of the trainable variables.
    pub fn n_trainable(&self) -> u64 {
        self.trainable().map(|parameter| parameter.n_weights).sum()
    }

    /// Returns the memory that training needs for the variables.
    pub fn memory(&self) -> TrainingMemory {
        let gradients = self.trainable().map(|parameter| parameter.bytes).sum();
        TrainingMemory {
            weights: self.parameters.iter().map(|parameter| parameter.bytes).sum(),
            gradients,
            optimizer: gradients * self.n_optimizer_tensors as u64,
        }
    }

    fn trainable(&self) -> impl Iterator<Item = &ParameterSummary> {
        self.parameters.iter().filter(|parameter| parameter.trainable)
    }

    /// Returns the rows of the table, each module before its content.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut current: Vec<&str> = Vec::new();
        for parameter in &self.parameters {
            let mut modules: Vec<&str> = parameter.name.split('.').collect();
            let variable = modules.pop().unwrap_or_default();
            let n_common = current.iter().zip(&modules).take_while(|(a, b)| a == b).count();
            for depth in n_common..modules.len() {
                let prefix = format!("{}.", modules[..=depth].join("."));
                let content = self.parameters.iter().filter(|other| other.name.starts_with(&prefix));
                rows.push(Row {
                    name: indented(depth, modules[depth]),
                    count: with_commas(content.map(|other| other.n_weights).sum()),
                    ..Row::default()
                });
            }
            rows.push(Row {
                name: indented(modules.len(), variable),
                shape: shape(&parameter.shape),
                kind: parameter.kind.clone(),
                count: with_commas(parameter.n_weights),
                trainable: if parameter.trainable { "yes" } else { "no" },
            });
            current = modules;
        }
        rows
    }
}

impl ParameterSummary {
    fn new(name: &str, tensor: &Tensor) -> Self {
        let (n_weights, kind) = (tensor.numel() as u64, tensor.kind());
        Self {
            name: name.to_owned(),
            shape: tensor.size(),
            kind: kind_name(kind),
            n_weights,
            bytes: n_weights * kind.elt_size_in_bytes() as u64,
            trainable: tensor.requires_grad(),
        }
    }
}

impl TrainingMemory {
    /// Returns the sum of all parts.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer
    }
}

/// A line of the table.
#[derive(Debug, Default)]
struct Row {
    name: String,
    shape: String,
    kind: String,
    count: String,
    trainable: &'static str,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = Row {
            name: "parameter".into(),
            shape: "shape".into(),
            kind: "dtype".into(),
            count: "weights".into(),
            trainable: "trainable",
        };
        let rows = self.rows();
        let width = |cell: fn(&Row) -> &str| {
            rows.iter().chain([&header]).map(|row| cell(row).chars().count()).max().unwrap_or(0)
        };
        let [name, shape, kind, count] = [
            width(|row| &row.name),
            width(|row| &row.shape),
            width(|row| &row.kind),
            width(|row| &row.count),
        ];
        let line = |row: &Row| {
            let line = format!(
                "{:<name$}  {:<shape$}  {:<kind$}  {:>count$}  {}",
                row.name, row.shape, row.kind, row.count, row.trainable
            );
            line.trim_end().to_owned()
        };
        writeln!(f, "{}", line(&header))?;
        for row in &rows {
            writeln!(f, "{}", line(row))?;
        }
        let (all, trainable) = (self.n_weights(), self.n_trainable());
        writeln!(
            f,
            "\n{} weights: {} trainable, {} non-trainable",
            with_commas(all),
            with_commas(trainable),
            with_commas(all - trainable)
        )?;
        let memory = self.memory();
        write!(
            f,
            "memory: {} weights, {} gradients",
            format_bytes(memory.weights),
            format_bytes(memory.gradients)
        )?;
        if self.n_optimizer_tensors > 0 {
            write!(f, ", {} optimizer", format_bytes(memory.optimizer))?;
        }
        write!(f, "; {} total, without batches", format_bytes(memory.total()))
    }
}

/// Formats a number of bytes: `512 B`, `1.5 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// Compares names module by module, numbers by value.
fn by_modules(a: &str, b: &str) -> Ordering {
    let order = |(a, b): (&str, &str)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    let first_difference = a.split('.').zip(b.split('.')).map(order).find(|order| order.is_ne());
    first_difference.unwrap_or_else(|| a.split('.').count().cmp(&b.split('.').count()))
}

fn indented(depth: usize, name: &str) -> String {
    format!("{:indent$}{name}", "", indent = 2 * depth)
}

fn shape(shape: &[i64]) -> String {
    format!("[{}]", shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
}

/// Returns the Rust name of a tensor's element type.
fn kind_name(kind: tch::Kind) -> String {
    use tch::Kind as K;
    let name = match kind {
        K::Float => "f32",
        K::Double => "f64",
        K::Half => "f16",
        K::BFloat16 => "bf16",
        K::Int64 => "i64",
        K::Int => "i32",
        K::Uint8 => "u8",
        K::Bool => "bool",
        other => return format!("{other:?}"),
    };
    name.to_owned()
}

/// Formats a count with thousands separators: `1,234,567`.
fn with_commas(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn displays_modules_as_a_tree_and_frozen_weights_as_not_trainable() {
        let vars = VarStore::new(Device::Cpu);
        let root = vars.root();
        let frozen = (&root / "embedding").var("weight", &[1000, 8], Init::Const(0.0));
        let _ = frozen.set_requires_grad(false);
        for layer in [10, 2] {
            let path = &root / "layers" / layer / "norm";
            let _ = path.var("weight", &[512], Init::Const(1.0));
            let _ = path.zeros_no_train("running_mean", &[512]);
        }
        let _ = root.var("scale", &[], Init::Const(1.0));
        let text = summary(&vars).with_optimizer(2).to_string();
        let expected = "\
parameter           shape      dtype  weights  trainable
embedding                               8,000
  weight            [1000, 8]  f32      8,000  no
layers                                  2,048
  2                                     1,024
    norm                                1,024
      running_mean  [512]      f32        512  no
      weight        [512]      f32        512  yes
  10                                    1,024
    norm                                1,024
      running_mean  [512]      f32        512  no
      weight        [512]      f32        512  yes
scale               []         f32          1  yes

10,049 weights: 1,025 trainable, 9,024 non-trainable
memory: 39.3 KiB weights, 4.0 KiB gradients, 8.0 KiB optimizer; 51.3 KiB total, without batches";
        assert_eq!(text, expected);
    }

    #[test]
    fn bytes_depend_on_the_kind() {
        let mut vars = VarStore::new(Device::Cpu);
        let _ = vars.root().zeros("a", &[3, 5]);
        let check = |vars: &VarStore, name: &str, bytes: u64| {
            let a = &summary(vars).parameters[0];
            assert_eq!((a.kind.as_str(), a.bytes, a.n_weights), (name, bytes, 15));
        };
        check(&vars, "f32", 60);
        vars.set_kind(Kind::Double);
        check(&vars, "f64", 120);
        vars.set_kind(Kind::BFloat16);
        check(&vars, "bf16", 30);
    }

    #[test]
    fn names_are_compared_module_by_module() {
        let check = |names: &[&str]| {
            let mut sorted = names.to_vec();
            sorted.reverse();
            sorted.sort_by(|a, b| by_modules(a, b));
            assert_eq!(sorted, names);
        };
        check(&["a.2.b", "a.10.b", "a.x", "a-b.c", "b"]);
        check(&["a", "a.b", "a.b.c"]);
    }

    #[test]
    fn formats_bytes_and_counts() {
        let check = |bytes: u64, expected: &str| assert_eq!(format_bytes(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(3 << 20, "3.0 MiB");
        check(5 << 40, "5.0 TiB");
        assert_eq!([0, 999, 1000, 1_234_567].map(with_commas), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn summarizes_an_empty_store() {
        let text = summary(&VarStore::new(Device::Cpu)).to_string();
        assert!(
            text.contains("0 weights: 0 trainable, 0 non-trainable\nmemory: 0 B weights, 0 B gradients"),
            "{text}"
        );
    }
}
