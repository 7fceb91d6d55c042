//! Reading of UPFD datasets as distributed by their authors: the `raw` directory that PyTorch Geometric downloads.
//!
//! Dou et al., *User Preference-aware Fake News Detection*, SIGIR 2021. Node indices count through all graphs.

use std::path::Path;

use super::npy::Npy;
use super::npz::Npz;
use super::{SparseRows, Tree};
use crate::bounds::check_width;
use crate::common::printable_name;
use crate::records::check_class_index;
use crate::text_file::read_text;
use crate::{Error, Result};

/// The available kinds of features.
const FEATURES: [&str; 4] = ["profile", "spacy", "bert", "content"];

/// A UPFD dataset.
#[derive(Debug)]
pub struct Upfd {
    /// All trees, labeled (0 real, 1 fake); the id of a tree is its index.
    pub trees: Vec<Tree>,
    /// Indices of the training trees.
    pub train: Vec<usize>,
    /// Indices of the validation trees.
    pub valid: Vec<usize>,
    /// Indices of the test trees.
    pub test: Vec<usize>,
}

/// Reads the raw directory of a UPFD dataset with one kind of features: `profile`, `spacy`, `bert` or `content`.
///
/// # Errors
/// There is no such kind, a file cannot be read, or the files are inconsistent; the error names the file.
pub fn read_upfd(dir: &Path, feature: &str) -> Result<Upfd> {
    if !FEATURES.contains(&feature) {
        let expected = format!("one of {}", FEATURES.join(", "));
        return Err(Error::Setting { name: "feature", expected, got: feature.to_owned() });
    }
    let file = |name: &str| dir.join(name);
    let graph_file = file("node_graph_id.npy");
    let graphs = indices(&graph_file)?;
    let label_file = file("graph_labels.npy");
    let labels = indices(&label_file)?;
    for &label in &labels {
        check_class_index(label).map_err(|message| Error::file(&label_file, message))?;
    }
    if let Some(node) = (1..graphs.len()).find(|&node| graphs[node] < graphs[node - 1]) {
        return Err(Error::file(
            graph_file,
            format!("node {node}: expected graph indices in ascending order"),
        ));
    }
    if let Some(&graph) = graphs.last().filter(|&&graph| graph >= labels.len()) {
        let message =
            format!("expected graph indices below {}, the number of labels, got {graph}", labels.len());
        return Err(Error::file(graph_file, message));
    }
    let mut firsts = vec![0; labels.len() + 1];
    graphs.iter().for_each(|&graph| firsts[graph + 1] += 1);
    (0..labels.len()).for_each(|graph| firsts[graph + 1] += firsts[graph]);
    let parents = parents(&file("A.txt"), &graphs, &firsts)?;
    let rows = features(&file(&format!("new_{feature}_feature.npz")), graphs.len())?;
    let mut trees = Vec::with_capacity(labels.len());
    for (graph, &label) in labels.iter().enumerate() {
        let nodes = firsts[graph]..firsts[graph + 1];
        let features = rows.select(nodes.clone())?;
        let tree = Tree::new(graph.to_string(), parents[nodes].to_vec(), features);
        trees.push(tree.map_err(|e| Error::file(dir, e.to_string()))?.with_label(label));
    }
    let part = |name: &str| -> Result<Vec<usize>> {
        let path = file(name);
        let part = indices(&path)?;
        match part.iter().find(|&&graph| graph >= trees.len()) {
            Some(graph) => {
                Err(Error::file(path, format!("expected graph indices below {}, got {graph}", trees.len())))
            }
            None => Ok(part),
        }
    };
    let (train, valid, test) = (part("train_idx.npy")?, part("val_idx.npy")?, part("test_idx.npy")?);
    check_disjoint(dir, trees.len(), [&train, &valid, &test])?;
    Ok(Upfd { trees, train, valid, test })
}

/// Checks that no graph is in two parts or twice in one.
fn check_disjoint(dir: &Path, n_graphs: usize, parts: [&[usize]; 3]) -> Result<()> {
    const FILES: [&str; 3] = ["train_idx.npy", "val_idx.npy", "test_idx.npy"];
    let mut first = vec![None; n_graphs];
    let mut n_shared = 0;
    let mut example = None;
    for (part, file) in parts.into_iter().zip(FILES) {
        for &graph in part {
            if let Some(other) = first[graph].replace(file) {
                n_shared += 1;
                example.get_or_insert((graph, other, file));
            }
        }
    }
    let Some((graph, other, file)) = example else { return Ok(()) };
    let message = format!(
        "expected each graph in one part, got {n_shared} in two, which would train and test on the same graphs: graph {graph} \
         is already in {other}"
    );
    Err(Error::file(dir.join(file), message))
}

fn indices(path: &Path) -> Result<Vec<usize>> {
    Npy::read(path)?.indices().map_err(|message| Error::file(path, message))
}

/// Reads the parent of each node, relative to the first node of its graph, from lines `parent, child`.
fn parents(path: &Path, graphs: &[usize], firsts: &[usize]) -> Result<Vec<Option<u32>>> {
    let text = read_text(path)?;
    let mut parents = vec![None; graphs.len()];
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line_error = |message: String| Err(Error::line(path, index + 1, message));
        let numbers: Option<Vec<usize>> = line.split(',').map(|number| number.trim().parse().ok()).collect();
        let Some([parent, child]) = numbers.as_deref() else {
            return line_error(format!(
                "expected two node indices `parent, child`, got `{}`",
                printable_name(line.trim())
            ));
        };
        let (Some(&graph), Some(other)) = (graphs.get(*parent), graphs.get(*child)) else {
            return line_error(format!(
                "expected node indices below {}, got {parent} and {child}",
                graphs.len()
            ));
        };
        if graph != *other {
            return line_error(format!(
                "expected nodes of one graph, got node {parent} of graph {graph} and node {child} of graph {other}"
            ));
        }
        if parents[*child].replace((parent - firsts[graph]) as u32).is_some() {
            return line_error(format!("node {child}: expected one parent, got several"));
        }
    }
    Ok(parents)
}

/// A sparse matrix in CSR format.
struct CsrMatrix {
    ends: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f64>,
    n_features: usize,
}

impl CsrMatrix {
    fn select(&self, rows: std::ops::Range<usize>) -> Result<SparseRows> {
        let mut selected = SparseRows::new(self.n_features);
        for row in rows {
            let entries = self.ends[row]..self.ends[row + 1];
            let columns = self.columns[entries.clone()].iter().map(|&column| column as u32);
            selected.push(columns.zip(self.values[entries].iter().map(|&value| value as f32)))?;
        }
        Ok(selected)
    }
}

/// Reads a CSR matrix saved by SciPy.
fn features(path: &Path, n_nodes: usize) -> Result<CsrMatrix> {
    let mut archive = Npz::open(path)?;
    let file_error = |message: String| Error::file(path, message);
    let mut read = |name: &str| archive.read(&[name]);
    let shape = read("shape")?.indices().map_err(file_error)?;
    let (ends, columns) =
        (read("indptr")?.indices().map_err(file_error)?, read("indices")?.indices().map_err(file_error)?);
    let values = read("data")?.floats();
    let &[n_rows, n_features] = &shape[..] else {
        return Err(file_error(format!("expected a matrix, got an array of shape {shape:?}")));
    };
    check_width(n_features).map_err(file_error)?;
    if n_rows != n_nodes {
        return Err(file_error(format!("expected {n_nodes} rows of features, one per node, got {n_rows}")));
    }
    let is_consistent = ends.len() == n_rows + 1
        && ends.first() == Some(&0)
        && ends.is_sorted()
        && ends.last() == Some(&columns.len())
        && columns.len() == values.len();
    if !is_consistent {
        return Err(file_error("expected a sparse matrix in CSR format, got inconsistent arrays".to_owned()));
    }
    if let Some(column) = columns.iter().find(|&&column| column >= n_features) {
        return Err(file_error(format!("expected feature indices below {n_features}, got {column}")));
    }
    Ok(CsrMatrix { ends, columns, values, n_features })
}
