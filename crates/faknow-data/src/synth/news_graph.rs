//! A synthetic graph of articles, sources and users in the format of FANG.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use super::CLASS_NAMES;
use crate::common::write_atomically;
use crate::graph::STANCES;
use crate::{DEFAULT_RATIOS, Error, Result, Rng, stratified_split};

/// Number of features of a node.
const N_FEATURES: usize = 16;

/// Probabilities of the [`STANCES`] of users towards real and fake articles.
const STANCE_SHARES: [[f64; 4]; 2] = [[0.1, 0.2, 0.6, 0.1], [0.4, 0.2, 0.2, 0.2]];

/// Options of a synthetic graph of articles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewsGraphOptions {
    /// Number of articles, at least 10; default 200.
    pub n_articles: usize,
    /// Number of users, at least 2; default 120.
    pub n_users: usize,
    /// Number of sources, at least 2; default 12.
    pub n_sources: usize,
    /// Seed; default 42.
    pub seed: u64,
}

impl Default for NewsGraphOptions {
    fn default() -> Self {
        Self { n_articles: 200, n_users: 120, n_sources: 12, seed: 42 }
    }
}

/// Generates a graph and writes it to the directory `dir` (created if missing), in the format that
/// [`NewsGraph::read`](crate::graph::NewsGraph::read) describes.
///
/// Half of the articles are fake. Sources and users prefer a class: 85 % of the articles of a source and 80 % of the engagements of a user
/// are of this class, and users deny fake articles more often than real ones; the features of nodes are noise.
///
/// # Errors
/// [`Error::Setting`]: an option is out of range; or a file cannot be written.
pub fn write_news_graph(dir: &Path, options: &NewsGraphOptions) -> Result<()> {
    let NewsGraphOptions { n_articles, n_users, n_sources, seed } = *options;
    for (name, got, min) in
        [("n_articles", n_articles, 10), ("n_users", n_users, 2), ("n_sources", n_sources, 2)]
    {
        if got < min {
            let (expected, got) = (format!("at least {min}"), got.to_string());
            return Err(Error::Setting { name, expected, got });
        }
    }
    let mut rng = Rng::from_parts(&[seed, 0x6661_6e67]);
    // The class of an article is that of its number modulo 2, the preference of a source or user likewise.
    let labels: Vec<usize> = (0..n_articles).map(|article| article % 2).collect();
    let draw = |n: usize, class: usize, share: f64, rng: &mut Rng| {
        let preference = if rng.chance(share) { class } else { 1 - class };
        let number = rng.below(n / 2) * 2 + preference;
        number.min(n - 1)
    };
    let (mut entities, mut features) = (String::new(), String::new());
    let names = (0..n_articles).map(|i| format!("news{i}"));
    let names = names
        .chain((0..n_sources).map(|i| format!("source{i}")))
        .chain((0..n_users).map(|i| format!("user{i}")));
    for name in names {
        entities += &format!("{name}\n");
        let values: Vec<String> = (0..N_FEATURES).map(|_| format!("{:.4}", rng.normal())).collect();
        features += &format!("{name}\t{}\n", values.join("\t"));
    }
    let (mut info, mut publication) = (String::new(), String::new());
    let mut stances = STANCES.map(|_| String::new());
    for (article, &label) in labels.iter().enumerate() {
        info += &format!("news{article}\t{}\tsynthetic article {article}\n", CLASS_NAMES[label]);
        publication += &format!("source{}\tnews{article}\n", draw(n_sources, label, 0.85, &mut rng));
        for _ in 0..3 + rng.below(8) {
            let user = draw(n_users, label, 0.8, &mut rng);
            let (mut number, mut stance) = (rng.uniform(), 0);
            while stance + 1 < STANCES.len() && number >= STANCE_SHARES[label][stance] {
                number -= STANCE_SHARES[label][stance];
                stance += 1;
            }
            let seconds = rng.below(600_000);
            stances[stance] += &format!("user{user}\tnews{article}\t{seconds}\n");
        }
    }
    let citation: String =
        (2..n_sources).map(|source| format!("source{source}\tsource{}\n", source - 2)).collect();
    let friends: String = (2..n_users).map(|user| format!("user{user}\tuser{}\n", user - 2)).collect();
    let [train, valid, test] = stratified_split(&labels, DEFAULT_RATIOS, seed)?;
    let names = |part: Vec<usize>| part.into_iter().map(|i| format!("news{i}")).collect::<Vec<_>>();
    let split = json!({ "train": names(train), "val": names(valid), "test": names(test) });
    std::fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        write_atomically(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|error| Error::io(&path, error))
    };
    write("entities.txt", &entities)?;
    write("entity_features.tsv", &features)?;
    write("news_info.tsv", &info)?;
    write("source_publication.tsv", &publication)?;
    write("source_citation.tsv", &citation)?;
    write("user_relationships.tsv", &friends)?;
    write("train_test.json", &split.to_string())?;
    STANCES.iter().zip(&stances).try_for_each(|(name, text)| write(&format!("{name}.tsv"), text))
}
