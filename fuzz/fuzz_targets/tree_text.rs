//! Trees, labels and ids as text: whatever the files contain, the result is trees or an error.
#![no_main]

use faknow_data::Classes;
use faknow_data::graph::{
    TfIdf, Tree, TreeStats, UnmatchedLabels, event_split, label_trees, positions_by_id, read_td_rvnn, read_tree_ids,
    read_tree_labels,
};
use faknow_fuzz::{files, with_files};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [trees, labels, ids] = files(input);
    with_files(&[("trees", trees), ("labels", labels), ("ids", ids)], |dir| {
        let labels = read_tree_labels(&dir.join("labels"));
        let ids = read_tree_ids(&dir.join("ids"));
        let Ok(mut trees) = read_td_rvnn(&dir.join("trees"), None) else { return };
        let _ = ids.and_then(|ids| positions_by_id(&trees, &ids, &dir.join("ids")));
        if let Ok(labels) = labels {
            let unmatched = UnmatchedLabels::new(&trees, &labels);
            let _ = (unmatched.describe_trees(), unmatched.describe_labels());
            let classes = Classes::new(["true", "false"]).expect("two classes");
            let Ok(labeled) = label_trees(trees, &labels, &classes, &dir.join("labels")) else { return };
            trees = labeled;
        }
        let _ = TreeStats::new(&trees).to_string();
        let events: Vec<_> = trees.iter().map(Tree::event).collect();
        let classes: Vec<_> = trees.iter().map(|tree| tree.label().unwrap_or_default()).collect();
        event_split(&events, &classes, [0.5, 0.3, 0.2], 1).expect("valid ratios");
        let weights = TfIdf::fit(&trees);
        trees.iter_mut().for_each(|tree| drop(weights.apply(tree)));
    });
});
