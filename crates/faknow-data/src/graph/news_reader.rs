//! The files of FANG's graph.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::news_graph::{Engagement, MAX_SECONDS, NewsArticle, NewsGraph, NewsNode, NewsSplit, STANCES};
use crate::text_file::read_text;
use crate::{Error, Result};

/// Labels of articles, in the order of their classes.
const LABELS: [&str; 2] = ["real", "fake"];

/// Keys of the parts in `train_test.json`.
const PARTS: [&[&str]; 3] = [&["train"], &["val", "valid", "dev"], &["test"]];

/// Mean and standard deviation of the times of a user's engagements with an article, by user and stance.
type Times = BTreeMap<(u32, usize), Vec<[f64; 2]>>;

pub(super) fn read(dir: &Path) -> Result<NewsGraph> {
    let files = Files::open(dir)?;
    let n_nodes = files.names.len();
    let mut kinds = vec![NewsNode::User; n_nodes];
    let mut articles: Vec<NewsArticle> = Vec::new();
    let mut position_of: HashMap<u32, usize> = HashMap::new();
    files.rows("news_info", 2, true, &mut |row| {
        let node = row.node(0)?;
        let label = match row.fields[1].as_str() {
            "" => None,
            text => Some(
                LABELS
                    .iter()
                    .position(|label| *label == text)
                    .ok_or_else(|| row.error(format!("expected `real` or `fake`, got `{text}`")))?,
            ),
        };
        if position_of.insert(node, articles.len()).is_some() {
            return Err(row.error(format!("expected each article once, got `{}` twice", row.fields[0])));
        }
        kinds[node as usize] = NewsNode::News;
        articles.push(NewsArticle { node, label, source: None, engagements: Vec::new() });
        Ok(())
    })?;
    let mut edges: Vec<(u32, u32)> = Vec::new();
    files.rows("source_publication", 2, true, &mut |row| {
        let (source, article) = (row.node(0)?, row.article(1, &position_of)?);
        if let Some(other) = articles[article].source.filter(|other| *other != source) {
            let (name, other) = (&row.fields[1], &files.names[other as usize]);
            return Err(row.error(format!("expected one source of `{name}`, got `{other}` before")));
        }
        articles[article].source = Some(source);
        kinds[source as usize] = NewsNode::Source;
        edges.push((source, articles[article].node));
        Ok(())
    })?;
    for (name, kind) in [("source_citation", Some(NewsNode::Source)), ("user_relationships", None)] {
        files.rows(name, 2, false, &mut |row| {
            let pair = (row.node(0)?, row.node(1)?);
            if let Some(kind) = kind {
                (kinds[pair.0 as usize], kinds[pair.1 as usize]) = (kind, kind);
            }
            edges.push(pair);
            Ok(())
        })?;
    }
    let mut times: Vec<Times> = vec![Times::new(); articles.len()];
    for (stance, name) in STANCES.iter().enumerate() {
        files.rows(name, 3, false, &mut |row| {
            let (user, article) = (row.node(0)?, row.article(1, &position_of)?);
            let number = |index: usize| row.number(&row.fields[index]);
            let seconds = match row.fields.len() {
                3 => [number(2)?, 0.0],
                5 => [number(3)?, number(4)?],
                n => return Err(row.error(format!("expected 3 or 5 values separated by tabs, got {n}"))),
            };
            times[article].entry((user, stance)).or_default().push(seconds);
            edges.push((user, articles[article].node));
            Ok(())
        })?;
    }
    for (article, times) in articles.iter_mut().zip(times) {
        article.engagements = engagements(times);
    }
    let (features, n_features) = files.features()?;
    let split = files.split(&position_of)?;
    let neighbors = neighbors(n_nodes, &edges);
    Ok(NewsGraph { names: files.names, kinds, features, n_features, neighbors, articles, split })
}

fn engagements(times: Times) -> Vec<Engagement> {
    let engagement = |((user, stance), seconds): ((u32, usize), Vec<[f64; 2]>)| {
        let scaled = |seconds: f64| seconds.clamp(0.0, MAX_SECONDS) / MAX_SECONDS;
        let times: Vec<[f64; 2]> = seconds.into_iter().map(|times| times.map(scaled)).collect();
        let n = times.len() as f64;
        let time = times.iter().map(|[mean, _]| mean).sum::<f64>() / n;
        // The variance of all times: within and between the rows.
        let variances = times.iter().map(|[mean, std]| (mean - time).powi(2) + std.powi(2));
        Engagement { user, stance, time, spread: (variances.sum::<f64>() / n).sqrt() }
    };
    let mut all: Vec<Engagement> = times.into_iter().map(engagement).collect();
    // Stable, so that engagements at the same time are ordered by user and stance.
    all.sort_by(|a, b| a.time.total_cmp(&b.time));
    all
}

fn neighbors(n_nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<u32>> {
    let mut neighbors = vec![Vec::new(); n_nodes];
    for &(a, b) in edges.iter().filter(|(a, b)| a != b) {
        neighbors[a as usize].push(b);
        neighbors[b as usize].push(a);
    }
    for list in &mut neighbors {
        list.sort_unstable();
        list.dedup();
    }
    neighbors
}

struct Files {
    dir: PathBuf,
    names: Vec<String>,
    nodes: HashMap<String, u32>,
}

impl Files {
    fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("entities.txt");
        let text = read_text(&path)?;
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let nodes: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
        if nodes.len() < names.len() {
            return Err(Error::file(path, "expected each entity once, got one twice"));
        }
        if names.is_empty() {
            return Err(Error::file(path, "expected names of entities, got an empty file"));
        }
        Ok(Self { dir: dir.to_owned(), names, nodes })
    }

    /// Calls `row` for each row of a file with at least `n_fields` fields; a file that is not required may be missing.
    fn rows(
        &self,
        name: &str,
        n_fields: usize,
        is_required: bool,
        row: &mut dyn FnMut(Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let path = self.dir.join(format!("{name}.tsv"));
        if !path.exists() && !is_required {
            return Ok(());
        }
        let text = read_text(&path)?;
        for (number, fields) in split_rows(&text) {
            if fields.len() < n_fields {
                let got = fields.len();
                let message = format!("expected at least {n_fields} values separated by tabs, got {got}");
                return Err(Error::line(&path, number, message));
            }
            row(Row { path: &path, number, fields, nodes: &self.nodes })?;
        }
        Ok(())
    }

    /// Returns the features of all nodes with their number per node.
    fn features(&self) -> Result<(Vec<f32>, usize)> {
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; self.names.len()];
        let mut n_features = 0;
        self.rows("entity_features", 2, true, &mut |row| {
            let node = row.node(0)?;
            let values: Vec<f64> =
                (1..row.fields.len()).map(|index| row.number(&row.fields[index])).collect::<Result<_>>()?;
            if n_features > 0 && values.len() != n_features {
                let got = values.len();
                return Err(row.error(format!("expected {n_features} features, as in line 1, got {got}")));
            }
            n_features = values.len();
            let sum: f64 = values.iter().map(|value| value.abs()).sum();
            let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
            rows[node as usize] = Some(values.into_iter().map(|value| (value * scale) as f32).collect());
            Ok(())
        })?;
        if let Some(node) = rows.iter().position(Option::is_none) {
            let message = format!("expected features of all entities, got none of `{}`", self.names[node]);
            return Err(Error::file(self.dir.join("entity_features.tsv"), message));
        }
        Ok((rows.into_iter().flatten().flatten().collect(), n_features))
    }

    fn split(&self, position_of: &HashMap<u32, usize>) -> Result<Option<NewsSplit>> {
        let path = self.dir.join("train_test.json");
        if !path.exists() {
            return Ok(None);
        }
        let invalid = |message: &str| Error::file(&path, message);
        let value: Value = serde_json::from_str(&read_text(&path)?)
            .map_err(|error| invalid(&format!("invalid JSON: {error}")))?;
        let mut seen = HashMap::new();
        let mut part = |keys: &[&'static str]| -> Result<Vec<usize>> {
            let Some((key, names)) = keys.iter().find_map(|key| Some((*key, value.get(key)?))) else {
                return Ok(Vec::new());
            };
            let names = names.as_array().ok_or_else(|| invalid(&format!("`{key}`: expected a list")))?;
            let mut articles = Vec::with_capacity(names.len());
            for name in names {
                let name = name.as_str().unwrap_or_default();
                let article = self.nodes.get(name).and_then(|node| position_of.get(node));
                let &article = article.ok_or_else(|| {
                    invalid(&format!("`{key}`: expected an article of news_info.tsv, got `{name}`"))
                })?;
                if let Some(other) = seen.insert(article, key) {
                    return Err(invalid(&format!(
                        "`{name}`: expected in one part, got `{other}` and `{key}`"
                    )));
                }
                articles.push(article);
            }
            Ok(articles)
        };
        let [train, valid, test] = [part(PARTS[0])?, part(PARTS[1])?, part(PARTS[2])?];
        if train.is_empty() {
            return Err(invalid("`train`: expected articles, got none"));
        }
        Ok(Some(NewsSplit { train, valid, test }))
    }
}

/// Returns the rows that are not blank, with the number of their first line. A quoted field may contain tabs and line breaks.
fn split_rows(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut rows = Vec::new();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut line, mut first_line, mut is_quoted) = (1, 1, false);
    let mut characters = text.chars().chain(std::iter::once('\n')).peekable();
    while let Some(c) = characters.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            _ if is_quoted => field.push(c),
            '"' if field.is_empty() => is_quoted = true,
            '\t' | '\n' => {
                fields.push(std::mem::take(&mut field).trim().to_owned());
                if c == '\n' {
                    let row = std::mem::take(&mut fields);
                    if row.len() > 1 || row.iter().any(|field| !field.is_empty()) {
                        rows.push((first_line, row));
                    }
                    first_line = line;
                }
            }
            _ => field.push(c),
        }
    }
    rows
}

struct Row<'a> {
    path: &'a Path,
    number: usize,
    fields: Vec<String>,
    nodes: &'a HashMap<String, u32>,
}

impl Row<'_> {
    fn node(&self, index: usize) -> Result<u32> {
        let name = &self.fields[index];
        let node = self.nodes.get(name).copied();
        node.ok_or_else(|| self.error(format!("expected an entity of entities.txt, got `{name}`")))
    }

    /// Returns the position of an article.
    fn article(&self, index: usize, position_of: &HashMap<u32, usize>) -> Result<usize> {
        let position = position_of.get(&self.node(index)?).copied();
        let name = &self.fields[index];
        position.ok_or_else(|| self.error(format!("expected an article of news_info.tsv, got `{name}`")))
    }

    fn number(&self, field: &str) -> Result<f64> {
        let number = field.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.error(format!("expected a number, got `{field}`")))
    }

    fn error(&self, message: String) -> Error {
        Error::line(self.path, self.number, message)
    }
}
