//! Synthetic propagation trees for trying out programs and models without data.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common::AtomicFile;
use crate::graph::{SparseRows, Tree};
use crate::{Error, Result, Rng};

/// The classes of the trees, in order.
const CLASSES: [&str; 2] = ["true", "false"];
/// Number of style words per class, which are the first words of the vocabulary.
const N_STYLE_WORDS: usize = 20;
/// Probability that a word of a root is a style word; three of four style words are of the class of the tree.
const ROOT_STYLE: f64 = 0.15;
/// Probability that a word of a reply is a style word.
const REPLY_STYLE: f64 = 0.04;
/// Probability per class that a reply is to one of the last few posts rather than to the root: false stories spread deeper.
const DEEP_REPLY: [f64; 2] = [0.25, 0.5];
/// Mean size of a tree per class, as a multiple of `mean_size`: false stories spread wider.
const SIZE_FACTOR: [f64; 2] = [0.8, 1.2];

/// Options of synthetic propagation trees.
///
/// False stories spread deeper and wider than true ones (Vosoughi, Roy and Aral, *The spread of true and false news online*,
/// Science 2018), and both roots and replies contain style words of their class. **A score on them says nothing about real
/// rumors.**
#[derive(Debug, Clone, PartialEq)]
pub struct CascadeOptions {
    /// Number of trees, with alternating classes. Default 600.
    pub n_trees: usize,
    /// Mean number of nodes per tree, at least 1. Default 20.
    pub mean_size: f64,
    /// Number of words of the vocabulary, at least 100. Default 2000.
    pub n_words: usize,
    /// Share of wrong labels, from 0 to 1. Default 0.05.
    pub noise: f64,
    /// Seed. Default 0.
    pub seed: u64,
}

impl Default for CascadeOptions {
    fn default() -> Self {
        Self { n_trees: 600, mean_size: 20.0, n_words: 2000, noise: 0.05, seed: 0 }
    }
}

impl CascadeOptions {
    fn check(&self) -> Result<()> {
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Setting { name, expected: expected.to_owned(), got })
        };
        if !(self.mean_size >= 1.0 && self.mean_size <= 1e6) {
            return invalid("mean_size", "from 1 to 1000000", self.mean_size.to_string());
        }
        if !(100..=1_000_000).contains(&self.n_words) {
            return invalid("n_words", "from 100 to 1000000", self.n_words.to_string());
        }
        if !(0.0..=1.0).contains(&self.noise) {
            return invalid("noise", "from 0 to 1", self.noise.to_string());
        }
        Ok(())
    }
}

/// Generates trees, each a function of the seed and its index.
///
/// # Errors
/// [`Error::Setting`]: an option is out of range.
pub fn cascades(options: &CascadeOptions) -> Result<impl Iterator<Item = Tree>> {
    options.check()?;
    let options = options.clone();
    Ok((0..options.n_trees).filter_map(move |index| cascade(&options, index).ok()))
}

fn cascade(options: &CascadeOptions, index: usize) -> Result<Tree> {
    let mut rng = Rng::from_parts(&[options.seed, index as u64, 0xca5c]);
    let class = index % 2;
    // The number of replies is geometrically distributed.
    let mean = (options.mean_size * SIZE_FACTOR[class] - 1.0).max(0.0);
    let size = 1 + ((1.0 - rng.uniform()).ln() / (mean / (1.0 + mean)).ln()).floor().clamp(0.0, 1e7) as usize;
    let mut parents = vec![None];
    let mut words = SparseRows::new(options.n_words);
    words.push(word_counts(options, &mut rng, class, ROOT_STYLE))?;
    for node in 1..size {
        let is_deep = node > 1 && rng.chance(DEEP_REPLY[class]);
        parents.push(Some(if is_deep { node - 1 - rng.below(node.min(3)) } else { 0 } as u32));
        words.push(word_counts(options, &mut rng, class, REPLY_STYLE))?;
    }
    let label = if rng.chance(options.noise) { 1 - class } else { class };
    Ok(Tree::new(index.to_string(), parents, words)?
        .with_label(label)
        .with_event(format!("E{}", index / 8 * 2 + class)))
}

/// Returns the counts of 5 to 15 random words; few words are frequent and most are rare.
fn word_counts(options: &CascadeOptions, rng: &mut Rng, class: usize, style: f64) -> Vec<(u32, f32)> {
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..5 + rng.below(11) {
        let word = if rng.chance(style) {
            let style_class = if rng.chance(0.75) { class } else { 1 - class };
            style_class * N_STYLE_WORDS + rng.below(N_STYLE_WORDS)
        } else {
            let n_other = options.n_words - 2 * N_STYLE_WORDS;
            2 * N_STYLE_WORDS + ((n_other as f64).powf(rng.uniform()) as usize - 1).min(n_other - 1)
        };
        *counts.entry(word as u32).or_insert(0.0) += 1.0;
    }
    counts.into_iter().collect()
}

/// The paths of the files written by [`write_td_rvnn`].
#[derive(Debug, Clone, PartialEq)]
pub struct CascadeFiles {
    /// The trees.
    pub trees: PathBuf,
    /// Their labels and events.
    pub labels: PathBuf,
    /// Ids of the training trees: those of four in five events.
    pub train_ids: PathBuf,
    /// Ids of the test trees.
    pub test_ids: PathBuf,
}

/// Generates trees and writes them in the TD_RvNN format to a directory, with their labels and the ids of the training and test
/// trees; memory holds one tree at a time.
///
/// # Errors
/// An option is out of range, or a file cannot be written.
pub fn write_td_rvnn(dir: &Path, options: &CascadeOptions) -> Result<CascadeFiles> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let file = |name: &str| dir.join(name);
    let files = CascadeFiles {
        trees: file("data.TD_RvNN.txt"),
        labels: file("label_All.txt"),
        train_ids: file("train.txt"),
        test_ids: file("test.txt"),
    };
    let create = |path: &PathBuf| AtomicFile::create(path).map_err(|e| Error::io(path, e));
    let (mut trees, mut labels) = (create(&files.trees)?, create(&files.labels)?);
    let (mut train, mut test) = (create(&files.train_ids)?, create(&files.test_ids)?);
    for (index, tree) in cascades(options)?.enumerate() {
        write_tree(&mut trees, &tree).map_err(|e| Error::io(&files.trees, e))?;
        let (label, event) = (CLASSES[tree.label().unwrap_or(0)], tree.event().unwrap_or(""));
        writeln!(labels, "{label}\t{event}\t{}", tree.id()).map_err(|e| Error::io(&files.labels, e))?;
        let (ids, path) = match index / 8 % 5 {
            4 => (&mut test, &files.test_ids),
            _ => (&mut train, &files.train_ids),
        };
        writeln!(ids, "{}", tree.id()).map_err(|e| Error::io(path, e))?;
    }
    let writers =
        [(trees, &files.trees), (labels, &files.labels), (train, &files.train_ids), (test, &files.test_ids)];
    for (writer, path) in writers {
        writer.finish().map_err(|e| Error::io(path, e))?;
    }
    Ok(files)
}

fn write_tree(out: &mut impl Write, tree: &Tree) -> std::io::Result<()> {
    for (node, parent) in tree.parents().iter().enumerate() {
        let parent = parent.map_or_else(|| "None".to_owned(), |parent| (parent + 1).to_string());
        write!(out, "{}\t{parent}\t{}\t0\t0\t", tree.id(), node + 1)?;
        let (columns, counts) = tree.features().row(node);
        for (index, (column, count)) in columns.iter().zip(counts).enumerate() {
            write!(out, "{}{column}:{count}", if index > 0 { " " } else { "" })?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{TreeStats, read_td_rvnn};

    #[test]
    fn false_stories_spread_deeper_and_wider_and_depend_only_on_the_seed() {
        let options = CascadeOptions { noise: 0.0, n_trees: 1000, ..CascadeOptions::default() };
        let trees: Vec<Tree> = cascades(&options).unwrap().collect();
        let of_class = |class: usize| -> Vec<Tree> {
            trees.iter().filter(|tree| tree.label() == Some(class)).cloned().collect()
        };
        let [true_stats, false_stats] = [of_class(0), of_class(1)].map(|trees| TreeStats::new(&trees));
        assert_eq!((true_stats.n_trees, false_stats.n_trees), (500, 500));
        let mean = |stats: &TreeStats| (stats.sizes.unwrap().mean, stats.depths.unwrap().mean);
        let ((size, depth), (larger, deeper)) = (mean(&true_stats), mean(&false_stats));
        assert!(larger > 1.2 * size && deeper > 1.2 * depth, "{size} {depth} {larger} {deeper}");
        assert!((0.5 * (size + larger) - 20.0).abs() < 2.0, "{size} {larger}");
        assert_eq!(trees, cascades(&options).unwrap().collect::<Vec<_>>());
        let other = CascadeOptions { seed: 1, ..options };
        assert_ne!(trees, cascades(&other).unwrap().collect::<Vec<_>>());
        let single = CascadeOptions { mean_size: 1.0, n_trees: 10, ..CascadeOptions::default() };
        assert!(cascades(&single).unwrap().any(|tree| tree.n_nodes() == 1));
    }

    #[test]
    fn written_trees_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let options = CascadeOptions { n_trees: 40, ..CascadeOptions::default() };
        let files = write_td_rvnn(dir.path(), &options).unwrap();
        let read = read_td_rvnn(&files.trees, Some(options.n_words)).unwrap();
        for (read, generated) in read.iter().zip(cascades(&options).unwrap()) {
            assert_eq!(
                (read.id(), read.parents(), read.features()),
                (generated.id(), generated.parents(), generated.features())
            );
        }
        assert_eq!((read.len(), crate::graph::read_tree_ids(&files.test_ids).unwrap().len()), (40, 8));
    }

    #[test]
    fn rejects_options_out_of_range() {
        let error = |options: CascadeOptions| cascades(&options).err().unwrap().to_string();
        let default = CascadeOptions::default;
        assert_eq!(
            error(CascadeOptions { n_words: 9, ..default() }),
            "n_words: expected from 100 to 1000000, got 9"
        );
        assert!(error(CascadeOptions { mean_size: 0.5, ..default() }).starts_with("mean_size: expected"));
        assert!(error(CascadeOptions { noise: f64::NAN, ..default() }).starts_with("noise: expected"));
    }
}
