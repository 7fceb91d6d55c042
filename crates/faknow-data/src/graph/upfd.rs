//! UPFD data sets as their authors give them away: the `raw` directory that PyTorch Geometric's reader downloads.
//!
//! Dou et al., *User Preference-aware Fake News Detection*, SIGIR 2021. Nodes are numbered through all graphs.

use std::path::Path;

use super::bounds::check_width;
use super::npy::Npy;
use super::npz::Npz;
use super::{SparseRows, Tree};
use crate::records::check_class_number;
use crate::{Error, Result};

/// The features that there may be.
const FEATURES: [&str; 4] = ["profile", "spacy", "bert", "content"];

/// A UPFD data set.
#[derive(Debug)]
pub struct Upfd {
    /// All trees, labeled (0 real, 1 fake); the id of each is its number.
    pub trees: Vec<Tree>,
    /// Positions of the training trees.
    pub train: Vec<usize>,
    /// Positions of the validation trees.
    pub valid: Vec<usize>,
    /// Positions of the test trees.
    pub test: Vec<usize>,
}

/// Reads the raw directory of a UPFD data set with one kind of features: `profile`, `spacy`, `bert` or `content`.
///
/// # Errors
/// There is no such kind, a file cannot be read, or the files do not fit together: the error names the file.
pub fn read_upfd(dir: &Path, feature: &str) -> Result<Upfd> {
    if !FEATURES.contains(&feature) {
        let expected = format!("one of {}", FEATURES.join(", "));
        return Err(Error::Setting { name: "feature", expected, got: feature.to_owned() });
    }
    let at = |name: &str| dir.join(name);
    let graph_file = at("node_graph_id.npy");
    let graphs = indices(&graph_file)?;
    let label_file = at("graph_labels.npy");
    let labels = indices(&label_file)?;
    for &label in &labels {
        check_class_number(label).map_err(|what| Error::file(&label_file, what))?;
    }
    if let Some(node) = (1..graphs.len()).find(|&node| graphs[node] < graphs[node - 1]) {
        return Err(Error::file(graph_file, format!("node {node}: expected graphs in ascending order")));
    }
    if let Some(&graph) = graphs.last().filter(|&&graph| graph >= labels.len()) {
        let message = format!("a node of graph {graph}, and there are {} labels", labels.len());
        return Err(Error::file(graph_file, message));
    }
    let mut firsts = vec![0; labels.len() + 1];
    graphs.iter().for_each(|&graph| firsts[graph + 1] += 1);
    (0..labels.len()).for_each(|graph| firsts[graph + 1] += firsts[graph]);
    let parents = parents(&at("A.txt"), &graphs, &firsts)?;
    let rows = features(&at(&format!("new_{feature}_feature.npz")), graphs.len())?;
    let mut trees = Vec::with_capacity(labels.len());
    for (graph, &label) in labels.iter().enumerate() {
        let nodes = firsts[graph]..firsts[graph + 1];
        let own = rows.take(nodes.clone())?;
        let tree = Tree::new(graph.to_string(), parents[nodes].to_vec(), own);
        trees.push(tree.map_err(|e| Error::file(dir, e.to_string()))?.with_label(label));
    }
    let part = |name: &str| -> Result<Vec<usize>> {
        let path = at(name);
        let part = indices(&path)?;
        match part.iter().find(|&&graph| graph >= trees.len()) {
            Some(graph) => Err(Error::file(path, format!("graph {graph}, and there are {}", trees.len()))),
            None => Ok(part),
        }
    };
    let (train, valid, test) = (part("train_idx.npy")?, part("val_idx.npy")?, part("test_idx.npy")?);
    Ok(Upfd { trees, train, valid, test })
}

fn indices(path: &Path) -> Result<Vec<usize>> {
    Npy::read(path)?.indices().map_err(|message| Error::file(path, message))
}

/// The parent of each node, counted from the first of its graph; each line of the file is `parent, child`.
fn parents(path: &Path, graphs: &[usize], firsts: &[usize]) -> Result<Vec<Option<u32>>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let mut parents = vec![None; graphs.len()];
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| Err(Error::line(path, index + 1, message));
        let numbers: Option<Vec<usize>> = line.split(',').map(|number| number.trim().parse().ok()).collect();
        let Some([parent, child]) = numbers.as_deref() else {
            return wrong(format!("expected `parent, child`, two node numbers, got `{}`", line.trim()));
        };
        let (Some(&graph), Some(other)) = (graphs.get(*parent), graphs.get(*child)) else {
            return wrong(format!("nodes {parent} and {child}, and there are {}", graphs.len()));
        };
        if graph != *other {
            return wrong(format!("node {parent} is of graph {graph}, node {child} of graph {other}"));
        }
        if parents[*child].replace((parent - firsts[graph]) as u32).is_some() {
            return wrong(format!("node {child} has a second parent"));
        }
    }
    Ok(parents)
}

/// The rows of a sparse matrix, taken from the first on.
struct Rows {
    ends: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f64>,
    n_features: usize,
}

impl Rows {
    fn take(&self, rows: std::ops::Range<usize>) -> Result<SparseRows> {
        let mut own = SparseRows::new(self.n_features);
        for row in rows {
            let entries = self.ends[row]..self.ends[row + 1];
            let columns = self.columns[entries.clone()].iter().map(|&column| column as u32);
            own.push(columns.zip(self.values[entries].iter().map(|&value| value as f32)))?;
        }
        Ok(own)
    }
}

/// Reads a matrix that SciPy saved, in rows (CSR).
fn features(path: &Path, n_nodes: usize) -> Result<Rows> {
    let mut archive = Npz::open(path)?;
    let wrong = |message: String| Error::file(path, message);
    let mut read = |name: &str| archive.read(&[name]);
    let shape = read("shape")?.indices().map_err(wrong)?;
    let (ends, columns) =
        (read("indptr")?.indices().map_err(wrong)?, read("indices")?.indices().map_err(wrong)?);
    let values = read("data")?.floats();
    let &[n_rows, n_features] = &shape[..] else {
        return Err(wrong(format!("expected a matrix, got an array of shape {shape:?}")));
    };
    check_width(n_features).map_err(wrong)?;
    if n_rows != n_nodes {
        return Err(wrong(format!("expected features of {n_nodes} nodes, got {n_rows} rows")));
    }
    let fits = ends.len() == n_rows + 1
        && ends.first() == Some(&0)
        && ends.is_sorted()
        && ends.last() == Some(&columns.len())
        && columns.len() == values.len();
    if !fits {
        return Err(wrong(
            "expected a sparse matrix in rows (CSR); its arrays do not fit together".to_owned(),
        ));
    }
    if let Some(column) = columns.iter().find(|&&column| column >= n_features) {
        return Err(wrong(format!("feature {column} is out of range: there are {n_features}")));
    }
    Ok(Rows { ends, columns, values, n_features })
}
