//! Datasets from the graph of articles of `data.fang`.

use std::path::Path;
use std::sync::Arc;

use faknow_data::FieldDataset;
use faknow_data::graph::NewsGraph;

use crate::config::{Config, DataConfig};
use crate::data::corpus::{Corpus, TestRecords, split, training_error};
use crate::data::encoders::{FieldEncoders, TreeEncoder};
use crate::data::left_out::LeftOutRecords;
use crate::{Error, Result};

/// Reads the graph of `dir`. Its articles are split as in its directory, unless `data.fold` or another `data.split` is set.
pub(crate) fn load(config: &Config, dir: &Path, test_records: TestRecords) -> Result<Corpus> {
    let classes = config.data.to_classes()?;
    let graph = NewsGraph::read(dir)?;
    let articles = graph.articles();
    let labeled: Vec<usize> = (0..articles.len()).filter(|&index| articles[index].label.is_some()).collect();
    let is_split = config.data.fold.is_some() || config.data.split != DataConfig::default().split;
    let [train, valid, test] = match graph.split().filter(|_| !is_split) {
        Some(given) => {
            let labeled =
                |part: &[usize]| part.iter().copied().filter(|&it| articles[it].label.is_some()).collect();
            [labeled(&given.train), labeled(&given.valid), labeled(&given.test)]
        }
        None => {
            let labels = || Ok(labeled.iter().filter_map(|&index| articles[index].label).collect());
            match split(config, labels)? {
                None => [labeled.clone(), Vec::new(), Vec::new()],
                Some(parts) => parts.map(|part| part.into_iter().map(|index| labeled[index]).collect()),
            }
        }
    };
    let n_used = train.len() + valid.len() + test.len();
    let left_out = articles.len() - n_used;
    let warning = format!(
        "{left_out} of {} articles have no label, or are in no part: only their place in the graph is used",
        articles.len()
    );
    let n_features = graph.n_features();
    let all = FieldDataset::from_news(Arc::new(graph));
    let part = |indices: &[usize]| -> Result<Option<FieldDataset>> {
        Ok((!indices.is_empty()).then(|| all.subset(indices)).transpose()?)
    };
    let train = part(&train)?.ok_or_else(|| {
        Error::from(faknow_data::Error::file(dir, "expected labeled training articles, got none"))
    })?;
    train.check_classes(classes.names()).map_err(|e| training_error(dir, e))?;
    Ok(Corpus {
        train,
        valid: part(&valid)?,
        test: part(&test)?.filter(|_| test_records == TestRecords::Include),
        encoders: FieldEncoders {
            trees: Some(TreeEncoder { n_features, tf_idf: None }),
            ..FieldEncoders::default()
        },
        classes,
        test_records,
        left_out: LeftOutRecords::default(),
        warnings: if left_out > 0 { vec![warning] } else { Vec::new() },
    })
}
