//! What a model consists of: its parameters by module, their number, and the memory that training needs for them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

/// The variables of a store, as a table that reads as a tree of modules.
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
    /// All variables in the order of their names, where numbers count as numbers: `layer.2` stands before `layer.10`.
    pub parameters: Vec<ParameterSummary>,
    /// Tensors that the optimizer keeps of each trainable variable, see [`Summary::with_optimizer`]; 0 at first.
    pub n_optimizer_tensors: usize,
}

/// One variable of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterSummary {
    /// Its whole name, with dots between the modules.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// What its values are: `f32`, `f64`, `i64`, …
    pub kind: String,
    /// Number of its values.
    pub n_weights: u64,
    /// Bytes of its values.
    pub bytes: u64,
    /// Whether training changes it; false for what is frozen and for running statistics.
    pub trainable: bool,
}

/// Bytes that a training needs for the variables, beside what its batches take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingMemory {
    /// All variables.
    pub weights: u64,
    /// The gradients of the trainable ones.
    pub gradients: u64,
    /// What the optimizer keeps of them.
    pub optimizer: u64,
}

/// Returns the variables of `vars` as they are now.
pub fn summary(vars: &VarStore) -> Summary {
    let mut parameters: Vec<_> =
        vars.variables().iter().map(|(name, tensor)| ParameterSummary::new(name, tensor)).collect();
    parameters.sort_by(|a, b| by_modules(&a.name, &b.name));
    Summary { parameters, n_optimizer_tensors: 0 }
}

impl Summary {
    /// Counts the memory of an optimizer that keeps so many tensors of each trainable variable: 2 for Adam.
    #[must_use]
    pub fn with_optimizer(self, n_tensors: usize) -> Self {
        Self { n_optimizer_tensors: n_tensors, ..self }
    }

    /// Returns the number of all values.
    pub fn n_weights(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.n_weights).sum()
    }

    /// Returns the number of the values that training changes.
    pub fn n_trainable(&self) -> u64 {
        self.trainable().map(|parameter| parameter.n_weights).sum()
    }

    /// Bytes that a training needs for the variables.
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

    /// The rows of the table: each module before what is in it, and the totals behind a rule.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut open: Vec<&str> = Vec::new();
        for parameter in &self.parameters {
            let mut modules: Vec<&str> = parameter.name.split('.').collect();
            let own = modules.pop().unwrap_or_default();
            let shared = open.iter().zip(&modules).take_while(|(a, b)| a == b).count();
            for depth in shared..modules.len() {
                let prefix = format!("{}.", modules[..=depth].join("."));
                let inside = self.parameters.iter().filter(|other| other.name.starts_with(&prefix));
                rows.push(Row {
                    name: indented(depth, modules[depth]),
                    count: grouped(inside.map(|other| other.n_weights).sum()),
                    ..Row::default()
                });
            }
            rows.push(Row {
                name: indented(modules.len(), own),
                shape: shape(&parameter.shape),
                kind: parameter.kind.clone(),
                count: grouped(parameter.n_weights),
                trained: if parameter.trainable { "yes" } else { "no" },
            });
            open = modules;
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
    trained: &'static str,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Row {
            name: "parameter".into(),
            shape: "shape".into(),
            kind: "kind".into(),
            count: "weights".into(),
            trained: "trained",
        };
        let rows = self.rows();
        let width = |of: fn(&Row) -> &str| {
            rows.iter().chain([&head]).map(|row| of(row).chars().count()).max().unwrap_or(0)
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
                row.name, row.shape, row.kind, row.count, row.trained
            );
            line.trim_end().to_owned()
        };
        writeln!(f, "{}", line(&head))?;
        for row in &rows {
            writeln!(f, "{}", line(row))?;
        }
        let (all, trainable) = (self.n_weights(), self.n_trainable());
        writeln!(
            f,
            "\n{} weights: {} trained, {} not",
            grouped(all),
            grouped(trainable),
            grouped(all - trainable)
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
        write!(f, "; {} in all, without batches", format_bytes(memory.total()))
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

/// The order of names, module by module; numbers by their value.
fn by_modules(a: &str, b: &str) -> Ordering {
    let order = |(a, b): (&str, &str)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    let differing = a.split('.').zip(b.split('.')).map(order).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.split('.').count().cmp(&b.split('.').count()))
}

fn indented(depth: usize, name: &str) -> String {
    format!("{:indent$}{name}", "", indent = 2 * depth)
}

fn shape(shape: &[i64]) -> String {
    format!("[{}]", shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
}

/// Rust's names of number types.
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

/// A count with commas: `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn modules_stand_before_what_is_in_them_and_frozen_weights_need_no_gradients() {
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
parameter           shape      kind  weights  trained
embedding                              8,000
  weight            [1000, 8]  f32     8,000  no
layers                                 2,048
  2                                    1,024
    norm                               1,024
      running_mean  [512]      f32       512  no
      weight        [512]      f32       512  yes
  10                                   1,024
    norm                               1,024
      running_mean  [512]      f32       512  no
      weight        [512]      f32       512  yes
scale               []         f32         1  yes

10,049 weights: 1,025 trained, 9,024 not
memory: 39.3 KiB weights, 4.0 KiB gradients, 8.0 KiB optimizer; 51.3 KiB in all, without batches";
        assert_eq!(text, expected);
    }

    #[test]
    fn bytes_follow_the_kind() {
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
    fn sizes_are_worded() {
        let check = |bytes: u64, expected: &str| assert_eq!(format_bytes(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(3 << 20, "3.0 MiB");
        check(5 << 40, "5.0 TiB");
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn an_empty_store_has_a_summary_too() {
        let text = summary(&VarStore::new(Device::Cpu)).to_string();
        assert!(text.contains("0 weights: 0 trained, 0 not\nmemory: 0 B weights, 0 B gradients"), "{text}");
    }
}
