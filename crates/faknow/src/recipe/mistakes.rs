//! The surest mistakes of a detector of trees, and the nodes that led to them.

use std::fmt::Write as _;

use faknow_data::Batch;
use faknow_data::Dataset;
use faknow_data::graph::TreeDataset;
use faknow_metrics::Predictions;
use faknow_model::node_contributions;
use tch::Device;

use super::input::{InputBatch, InputModel};
use crate::Result;

/// How many mistakes are told.
const N_MISTAKES: usize = 5;
/// How many nodes of each.
const N_NODES: usize = 3;

/// A tree that was judged wrongly.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mistake {
    id: String,
    label: usize,
    predicted: usize,
    score: f64,
    n_nodes: usize,
    /// Position and contribution of the nodes that did most for the judgement.
    nodes: Vec<(usize, f64)>,
}

/// The surest mistakes among `predictions`, whose rows are the trees of `data` in this order.
pub(super) fn surest_mistakes(
    model: &InputModel,
    data: &TreeDataset,
    order: &[usize],
    predictions: &Predictions,
    device: Device,
) -> Result<Vec<Mistake>> {
    let (labels, predicted) = (predictions.labels(), predictions.predicted());
    let score = |row: usize| predictions.row(row)[predicted[row]];
    let mut rows: Vec<usize> =
        (0..predictions.n_samples()).filter(|&row| labels[row] != predicted[row]).collect();
    rows.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let ids: Vec<&str> = data.ids().collect();
    let mistake = |&row: &usize| -> Result<Mistake> {
        let index = order[row];
        let batch = InputBatch::Trees(data.batch(&[index])?).to_device(device);
        let parts = node_contributions(model, &batch, InputBatch::node_features)?;
        let mut nodes: Vec<(usize, f64)> = parts.iter().copied().enumerate().collect();
        nodes.sort_by(|a, b| b.1.total_cmp(&a.1));
        nodes.truncate(N_NODES);
        Ok(Mistake {
            id: ids[index].to_owned(),
            label: labels[row],
            predicted: predicted[row],
            score: score(row),
            n_nodes: parts.len(),
            nodes,
        })
    };
    rows.iter().take(N_MISTAKES).map(mistake).collect()
}

/// The mistakes as a section of the report.
pub(super) fn render(page: &mut String, mistakes: &[Mistake], classes: &[String]) -> std::fmt::Result {
    writeln!(page, "\n## Surest mistakes\n")?;
    writeln!(
        page,
        "What a node did for the class that was chosen is its features times their gradient: to first order, without them the logit \
         would be lower by that. Nodes are counted from 0 in the order of the file. `faknow predict RUN --explain` tells all nodes.\n"
    )?;
    writeln!(
        page,
        "| tree | class | judged | score | nodes | those that did most for it |\n|---|---|---|---|---|---|"
    )?;
    let class = |number: usize| classes.get(number).map_or("?", String::as_str);
    for Mistake { id, label, predicted, score, n_nodes, nodes } in mistakes {
        let nodes: Vec<String> = nodes.iter().map(|(node, part)| format!("{node} ({part:+.3})")).collect();
        writeln!(
            page,
            "| {id} | {} | {} | {score:.3} | {n_nodes} | {} |",
            class(*label),
            class(*predicted),
            nodes.join(", ")
        )?;
    }
    Ok(())
}
