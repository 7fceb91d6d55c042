//! The domain of each sample (its topic, event or platform) as an index.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::FieldDataset;
use crate::Result;
use crate::column::Column;
use crate::fingerprint::Fingerprint;

/// The domain index in a batch for a sample without a domain, or with one that does not occur in the training data.
const NO_DOMAIN: i64 = -1;

/// The domains of all samples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DomainColumn {
    /// Domain of each sample as an index of `names`.
    pub(super) numbers: Vec<Option<u32>>,
    pub(super) names: Vec<String>,
}

impl DomainColumn {
    /// Returns the domain indices of the samples at `rows`, i64 `[n]`.
    pub(super) fn collate(&self, rows: &[usize]) -> Result<Tensor> {
        let number = |&row: &usize| self.numbers[row].map_or(NO_DOMAIN, i64::from);
        Ok(Tensor::f_from_slice(&rows.iter().map(number).collect::<Vec<_>>())?)
    }

    /// Renumbers the domains by their position in `names`.
    fn with_names(self, names: &[String]) -> Self {
        let indices: HashMap<&String, u32> = names.iter().zip(0..).collect();
        let numbers: Vec<Option<u32>> = self.names.iter().map(|name| indices.get(name).copied()).collect();
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

impl FieldDataset {
    /// Returns the names of the domains in the order of their indices: integers by value, then other names alphabetically.
    /// Empty if no sample has a domain.
    pub fn domains(&self) -> &[String] {
        self.columns.domains.as_ref().map_or(&[], |domains| &domains.names)
    }

    /// Returns the domain index of a sample; `None` if it has no domain, or one that does not occur in the training data.
    pub fn domain(&self, index: usize) -> Option<usize> {
        let domains = self.columns.domains.as_ref()?;
        domains.numbers[self.row(index)?].map(|domain| domain as usize)
    }
}

/// Collects the domains of samples in order.
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

    /// Returns the column, with domains numbered by their position in `names` or, without given names, sorted: integers by
    /// value, then other names alphabetically. `None` if there are no names.
    pub(super) fn finish(self, names: Option<&[String]>) -> Option<DomainColumn> {
        let mut column_names = vec![String::new(); self.by_name.len()];
        for (name, number) in self.by_name {
            column_names[number as usize] = name;
        }
        let column = DomainColumn { numbers: self.numbers, names: column_names };
        let names = names.map_or_else(|| sorted(&column.names), <[String]>::to_vec);
        (!names.is_empty()).then(|| column.with_names(&names))
    }
}

/// Sorts the names, as indices must not depend on the order of the records.
fn sorted(names: &[String]) -> Vec<String> {
    let sorted: BTreeSet<(Option<i64>, &String)> =
        names.iter().map(|name| (name.parse().ok(), name)).collect();
    let (integers, others): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|(integer, _)| integer.is_some());
    integers.into_iter().chain(others).map(|(_, name)| name.clone()).collect()
}
