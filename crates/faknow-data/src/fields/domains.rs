//! The domain of each sample (its topic, event or platform) as a number.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Result;
use crate::column::Column;
use crate::fingerprint::Fingerprint;

/// Stands in a batch for the domain of a sample that has none, or one that training did not know.
const NO_DOMAIN: i64 = -1;

/// The domains of all samples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DomainColumn {
    /// Domain of each sample as its place in `names`.
    pub(super) numbers: Vec<Option<u32>>,
    pub(super) names: Vec<String>,
}

impl DomainColumn {
    /// Returns the column of the samples at `rows`, i64 `[n]`.
    pub(super) fn collate(&self, rows: &[usize]) -> Result<Tensor> {
        let number = |&row: &usize| self.numbers[row].map_or(NO_DOMAIN, i64::from);
        Ok(Tensor::f_from_slice(&rows.iter().map(number).collect::<Vec<_>>())?)
    }

    /// Renumbers the domains by their place in `names`.
    fn with_names(self, names: &[String]) -> Self {
        let places: HashMap<&String, u32> = names.iter().zip(0..).collect();
        let numbers: Vec<Option<u32>> = self.names.iter().map(|name| places.get(name).copied()).collect();
        let renumbered = self.numbers.into_iter().map(|old| numbers[old? as usize]).collect();
        Self { numbers: renumbered, names: names.to_vec() }
    }
}

impl Column for DomainColumn {
    fn n_rows(&self) -> usize {
        self.numbers.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.names.iter().for_each(|name| fingerprint.add_str(name));
        self.numbers.iter().for_each(|number| fingerprint.add(number.map_or(u64::MAX, u64::from)));
    }
}

/// Collects the domains of samples one after the other.
#[derive(Default)]
pub(super) struct DomainBuilder {
    numbers: Vec<Option<u32>>,
    by_name: HashMap<String, u32>,
}

impl DomainBuilder {
    pub(super) fn push(&mut self, domain: Option<String>) {
        let next = self.by_name.len() as u32;
        self.numbers.push(domain.map(|name| *self.by_name.entry(name).or_insert(next)));
    }

    /// Returns the column, its domains numbered by their place in `names` or, without that, by their own names: integers by
    /// their value, then other names in alphabetic order. `None` if there are no names.
    pub(super) fn finish(self, names: Option<&[String]>) -> Option<DomainColumn> {
        let mut found = vec![String::new(); self.by_name.len()];
        for (name, number) in self.by_name {
            found[number as usize] = name;
        }
        let column = DomainColumn { numbers: self.numbers, names: found };
        let names = names.map_or_else(|| sorted(&column.names), <[String]>::to_vec);
        (!names.is_empty()).then(|| column.with_names(&names))
    }
}

/// Numbers must not depend on the order of the records.
fn sorted(names: &[String]) -> Vec<String> {
    let sorted: BTreeSet<(Option<i64>, &String)> =
        names.iter().map(|name| (name.parse().ok(), name)).collect();
    let (integers, others): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|(integer, _)| integer.is_some());
    integers.into_iter().chain(others).map(|(_, name)| name.clone()).collect()
}
