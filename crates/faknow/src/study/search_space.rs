//! The search space: settings with lists or ranges of values.

use std::collections::HashSet;
use std::path::Path;

use faknow_data::Rng;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::settings::{parse_message, parse_value};
use crate::study::candidates::Candidates;
use crate::{Error, Result};

/// Maximum number of attempts to draw a new combination; more fail, since the space has too few combinations.
const MAX_DRAWS: u64 = 1000;

/// A search space: settings with their candidate values.
///
/// The file format is TOML with the keys of a config. The values are a list, or a range: a table with `low`, `high` and
/// optionally `log = true` for a log-uniform distribution. A range consists of integers if both bounds are integers.
///
/// ```
/// use faknow::study::SearchSpace;
///
/// let space = SearchSpace::from_text(
///     "optimizer.lr = { low = 1e-5, high = 1e-2, log = true }
///      model.n_filters = { low = 50, high = 200 }
///      model.dropout = [0.3, 0.5]",
/// )?;
/// assert_eq!(space.sample(7, 20)?.len(), 20);
/// # Ok::<(), faknow::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct SearchSpace {
    /// Settings in the order of their definition.
    settings: Vec<(String, Candidates)>,
}

impl SearchSpace {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, is not valid TOML, or contains values other than lists and ranges.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::from_text(&text).map_err(|e| Error::config("", format!("{}: {e}", path.display())))
    }

    /// Parses a TOML text.
    ///
    /// # Errors
    /// The text is not valid TOML, or contains values other than lists and ranges.
    pub fn from_text(text: &str) -> Result<Self> {
        let table = text.parse::<Table>().map_err(|e| Error::config("", parse_message(text, &e)))?;
        let mut space = Self::default();
        space.add_table("", table)?;
        Ok(space)
    }

    /// Adds a setting with a list of values, as `key=value,value,…`: `optimizer.lr=0.01,0.001`,
    /// `model.kernel_sizes=[2],[2,3]`.
    ///
    /// # Errors
    /// There is no `=`, no value or a duplicate value, or the space already contains the setting.
    pub fn with_choices(mut self, assignment: &str) -> Result<Self> {
        let (key, values) = assignment.split_once('=').ok_or_else(|| {
            Error::config(assignment, "expected key=value,value,…, as in optimizer.lr=0.01,0.001")
        })?;
        let choices = match parse_value(&format!("[{values}]")) {
            Value::Array(choices) => choices,
            _ => values.split(',').map(|value| parse_value(value.trim())).collect(),
        };
        self.add(key.trim().to_owned(), Candidates::choices(key.trim(), choices)?)?;
        Ok(self)
    }

    /// Returns the dotted names of all settings.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|(name, _)| name.as_str())
    }

    /// Returns all combinations, as settings by name; the last setting changes fastest.
    ///
    /// # Errors
    /// The candidates of a setting are a range.
    pub fn grid(&self) -> Result<Vec<Table>> {
        let mut grid = vec![Table::new()];
        for (name, candidates) in &self.settings {
            let Candidates::Choices(choices) = candidates else {
                let message =
                    "a grid requires a list of values, as in [0.3, 0.5]; use random search for ranges";
                return Err(Error::config(name, message));
            };
            let with = |settings: &Table, value: &Value| {
                let mut settings = settings.clone();
                settings.insert(name.clone(), value.clone());
                settings
            };
            grid = grid
                .iter()
                .flat_map(|settings| choices.iter().map(move |value| with(settings, value)))
                .collect();
        }
        Ok(grid)
    }

    /// Draws `n` different combinations. Each depends only on the seed and its index, not on `n`.
    ///
    /// # Errors
    /// The space has fewer than `n` combinations.
    pub fn sample(&self, seed: u64, n: usize) -> Result<Vec<Table>> {
        let mut drawn = HashSet::new();
        let mut samples = Vec::with_capacity(n);
        for number in 1..=n as u64 {
            let settings = (0..MAX_DRAWS)
                .map(|attempt| self.draw(&mut Rng::from_parts(&[seed, number, attempt])))
                .find(|settings| drawn.insert(settings.to_string()));
            let Some(settings) = settings else {
                let expected = format!("at most {}, the number of combinations in the space", drawn.len());
                return Err(Error::config("trials", format!("expected {expected}, got {n}")));
            };
            samples.push(settings);
        }
        Ok(samples)
    }

    fn draw(&self, rng: &mut Rng) -> Table {
        self.settings.iter().map(|(name, candidates)| (name.clone(), candidates.draw(rng))).collect()
    }

    fn add_table(&mut self, prefix: &str, table: Table) -> Result<()> {
        for (name, value) in table {
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(table) if !Candidates::is_range(&table) => self.add_table(&name, table)?,
                value => {
                    let candidates = Candidates::from_value(&name, value)?;
                    self.add(name, candidates)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, candidates: Candidates) -> Result<()> {
        if self.names().any(|other| other == name) {
            return Err(Error::config(name, "expected the setting once, got it twice"));
        }
        self.settings.push((name, candidates));
        Ok(())
    }
}

impl TryFrom<Table> for SearchSpace {
    type Error = Error;

    fn try_from(table: Table) -> Result<Self> {
        let mut space = Self::default();
        space.add_table("", table)?;
        Ok(space)
    }
}

impl From<SearchSpace> for Table {
    fn from(space: SearchSpace) -> Self {
        space.settings.into_iter().map(|(name, candidates)| (name, candidates.into_value())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "optimizer.lr = { low = 1e-5, high = 1e-2, log = true }\n\
                         [model]\nn_filters = { low = 4, high = 7 }\nkernel_sizes = [[2], [2, 3]]\n";

    fn numbers(samples: &[Table], name: &str) -> Vec<f64> {
        samples.iter().map(|settings| settings[name].as_float().unwrap()).collect()
    }

    #[test]
    fn grid_has_every_combination_in_order() {
        let space = SearchSpace::default().with_choices("optimizer.lr=0.1,0.2").unwrap();
        let space = space.with_choices("optimizer.name = adam, sgd").unwrap();
        let grid: Vec<String> =
            space.grid().unwrap().iter().map(|settings| settings.to_string().replace('\n', ";")).collect();
        assert_eq!(
            grid,
            [
                "\"optimizer.lr\" = 0.1;\"optimizer.name\" = \"adam\";",
                "\"optimizer.lr\" = 0.1;\"optimizer.name\" = \"sgd\";",
                "\"optimizer.lr\" = 0.2;\"optimizer.name\" = \"adam\";",
                "\"optimizer.lr\" = 0.2;\"optimizer.name\" = \"sgd\";",
            ]
        );
        let lists = SearchSpace::default().with_choices("model.kernel_sizes=[2],[2, 3]").unwrap();
        assert_eq!(lists.grid().unwrap().len(), 2);
        assert_eq!(lists.grid().unwrap()[1]["model.kernel_sizes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn sample_depends_on_seed_and_index() {
        let space = SearchSpace::from_text(MIXED).unwrap();
        assert_eq!(
            space.names().collect::<Vec<_>>(),
            ["optimizer.lr", "model.n_filters", "model.kernel_sizes"]
        );
        let samples = space.sample(1, 50).unwrap();
        assert_eq!(samples[..10], space.sample(1, 10).unwrap());
        assert_ne!(samples[..10], space.sample(2, 10).unwrap());
        // Fixed values, since other samples would change interrupted searches.
        assert_eq!(numbers(&samples[..3], "optimizer.lr"), [0.0008574, 0.001297, 0.002022]);
        let learning_rates = numbers(&samples, "optimizer.lr");
        assert!(learning_rates.iter().all(|lr| (1e-5..=1e-2).contains(lr)), "{learning_rates:?}");
        let low = learning_rates.iter().filter(|lr| **lr < 10_f64.powf(-3.5)).count();
        assert!(
            (15..=35).contains(&low),
            "expected about half in the lower half of the logarithms, got {low} of 50"
        );
        let filters: HashSet<i64> =
            samples.iter().map(|s| s["model.n_filters"].as_integer().unwrap()).collect();
        assert_eq!(filters.len(), 4, "both bounds are drawn: {filters:?}");
    }

    #[test]
    fn sample_has_no_duplicates() {
        let space = SearchSpace::from_text("a.b = [1, 2, 3]\na.c = { low = 0, high = 1 }").unwrap();
        let samples = space.sample(5, 6).unwrap();
        assert_eq!(samples.iter().map(Table::to_string).collect::<HashSet<_>>().len(), 6);
        let error = space.sample(5, 7).unwrap_err().to_string();
        assert_eq!(error, "`trials`: expected at most 6, the number of combinations in the space, got 7");
    }

    #[test]
    fn space_survives_serialization() {
        let space = SearchSpace::from_text(MIXED).unwrap();
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<SearchSpace>(&json).unwrap(), space);
    }

    #[test]
    fn rejects_invalid_search_space() {
        let check = |text: &str, expected: &str| {
            let error = SearchSpace::from_text(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        };
        check("optimizer.lr = 0.1", "`optimizer.lr`: expected a list of values, or a range as in { low");
        check("[optimizer]\nlr = []", "`optimizer.lr`: expected at least one value, got none");
        check("a.b = [1, 1]", "`a.b`: expected different values, got 1 twice");
        check("a.b = [nan]", "`a.b`: expected finite numbers, got nan");
        let range = "`a.b`: expected low below high, above 0 with log = true, as in {";
        for invalid in [
            "{ low = 2, high = 1 }",
            "{ low = 1 }",
            "{ low = 0, high = 1, log = true }",
            "{ low = 0, high = inf }",
            "{ low = 0, high = 1, step = 2 }",
            "{ low = 'a', high = 'b' }",
        ] {
            check(&format!("a.b = {invalid}"), range);
        }
        check("a.b = [1\n", "line 1, column 9: ");
        let choices = |assignment: &str| {
            SearchSpace::default()
                .with_choices("a=1")
                .unwrap()
                .with_choices(assignment)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(choices("a=2"), "`a`: expected the setting once, got it twice");
        assert!(choices("b").starts_with("`b`: expected key=value,value,…"));
        let error = SearchSpace::from_text(MIXED).unwrap().grid().unwrap_err().to_string();
        assert!(error.starts_with("`optimizer.lr`: a grid requires a list of values"), "{error}");
    }
}
