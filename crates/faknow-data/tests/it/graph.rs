//! Readers of propagation trees: valid input and error messages.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_data::FieldDataset;
use faknow_data::graph::{
    RawTree, SparseRows, Tree, TreeJsonReader, TreeStats, UnmatchedLabels, event_split, label_trees,
    positions_by_id, raw_to_trees, read_npz_trees, read_td_rvnn, read_tree_ids, read_tree_labels, read_upfd,
    tree_vocab,
};
use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{Batch as _, Classes, Dataset as _, Error, Result};

use crate::shared_data::shared_data;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn read_text(text: &str) -> Result<Vec<Tree>> {
    let (_dir, path) = file(text);
    read_td_rvnn(&path, None)
}

/// Returns the message of an error, without the path of the file.
fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    let text = error.to_string();
    let path = match &error {
        Error::Line { path, .. } | Error::File { path, .. } | Error::Io { path, .. } => {
            path.display().to_string()
        }
        _ => return text,
    };
    text.strip_prefix(&format!("{path}: ")).unwrap().to_owned()
}

#[test]
fn reads_trees_for_any_order_of_lines() {
    // Interleaved lines of two trees, a parent after its child, numbers with gaps, CRLF, an empty line.
    let text = "10\t3\t7\t2\t9\t5:1 2:3\r\n20\tNone\t1\t0\t0\t\r\n\r\n10\tNone\t3\t2\t9\t0:1\r\n10\t7\t12\t2\t9\t4:0.5 6:0";
    let trees = read_text(text).unwrap();
    assert_eq!(trees.iter().map(Tree::id).collect::<Vec<_>>(), ["10", "20"]);
    assert_eq!(trees[0].parents(), [Some(1), None, Some(0)]);
    assert_eq!((trees[0].root(), trees[0].depth(), trees[1].n_nodes()), (1, 2, 1));
    assert_eq!(trees[0].features().n_features(), 7, "the largest word is 6");
    assert_eq!(trees[0].features().row(0), (&[5, 2][..], &[1.0, 3.0][..]));
    assert_eq!(trees[0].features().row(2), (&[4][..], &[0.5][..]));
    assert_eq!(trees[1].features().n_entries(), 0);
}

#[test]
fn ids_retain_all_digits() {
    let trees = read_text("498430783699554305\tNone\t1\t0\t1\t0:1\n498430783699554307\tNone\t1\t0\t1\t0:1\n")
        .unwrap();
    assert_eq!((trees[0].id(), trees[1].id()), ("498430783699554305", "498430783699554307"));
}

#[test]
fn reads_files_of_several_chunks() {
    let line = |tree: usize, node: usize| {
        let parent = if node == 0 { "None".to_owned() } else { (node / 2).to_string() };
        format!("{tree}\t{parent}\t{node}\t1\t1\t{}:1 {}:2\n", node % 50, 60 + tree % 7)
    };
    let text: String = (0..3000).flat_map(|tree| (0..12).map(move |node| line(tree, node))).collect();
    assert!(text.len() > 1 << 19, "several chunks");
    let trees = read_text(&text).unwrap();
    assert_eq!(trees.len(), 3000);
    assert!(
        trees.iter().enumerate().all(|(index, tree)| tree.id() == index.to_string() && tree.n_nodes() == 12)
    );
    let broken = text.replace("2999\t5\t11\t", "2999\tfive\t11\t");
    let error = message(read_text(&broken));
    assert_eq!(error, "line 36000: column 2: expected a node number, or `None` for the root, got `five`");
}

#[test]
fn td_rvnn_errors_name_the_line() {
    let check = |text: &str, expected: &str| assert_eq!(message(read_text(text)), expected);
    let root = "7\tNone\t1\t1\t1\t0:1\n";
    let after_root = |line: &str| format!("{root}{line}");
    check("", "expected trees, got an empty file");
    check("7\tNone\t1\n", "line 1: expected 6 tab-separated columns, got 3: `maximal degree` is missing");
    check(
        "7\tNone\t1\t1\t1\t5.0\t0:1\n",
        "line 1: expected 6 tab-separated columns, got 7; the words must be in column 6: remove the column of delays \
         before them",
    );
    check(&after_root("7\t1\ttwo\t1\t1\t0:1\n"), "line 2: column 3: expected a node number, got `two`");
    check(&after_root("7\t1\t-2\t1\t1\t0:1\n"), "line 2: column 3: expected a node number, got `-2`");
    for pair in ["0", "0:", ":1", "a:1", "-1:1", "0:-1", "0:inf", "0:1:2", "99999999999999999999:1"] {
        let expected = format!("line 2: column 6: expected `word:count` with numbers, got `{pair}`");
        check(&after_root(&format!("7\t1\t2\t1\t1\t0:1 {pair}\n")), &expected);
    }
    check("\tNone\t1\t1\t1\t0:1\n", "line 1: column 1: expected the id of the root, got an empty value");
    check(&after_root("7\t1\t1\t1\t1\t0:1\n"), "line 2: tree `7`: duplicate node 1");
    check(
        &after_root("7\t9\t2\t1\t1\t0:1\n"),
        "line 2: tree `7`: node 2 has parent 9, which is not a node of the tree",
    );
    check(
        &after_root("7\tNone\t2\t1\t1\t0:1\n"),
        "line 2: tree `7`: expected one root, got several: nodes 1 and 2 have no parent",
    );
    check("7\t1\t1\t1\t1\t0:1\n", "line 1: tree `7`: expected one root, got none: every node has a parent");
    check(
        &after_root("7\t3\t2\t1\t1\t0:1\n7\t2\t3\t1\t1\t0:1\n"),
        "line 1: tree `7`: node 1 is part of a cycle or a descendant of one",
    );
    check(
        &after_root("7\t1\t2\t1\t1\t4000000000:1\n"),
        "line 2: column 6: expected a feature index from 0 to 1048575, got 4000000000 in `4000000000:1`",
    );
    let (_dir, path) = file(&after_root("7\t1\t2\t1\t1\t40:1\n"));
    let error = message(read_td_rvnn(&path, Some(40)));
    assert_eq!(error, "line 2: tree `7`: expected feature indices below 40, got 40");
    assert!(message(read_td_rvnn(Path::new("/nowhere"), None)).contains("No such file"));
}

#[test]
fn reads_label_files_and_labels_trees() {
    let (_dir, path) = file("false\tE1\t7\t3\t4\r\n\ntrue\t8\nunverified:9\n");
    let labels = read_tree_labels(&path).unwrap();
    let columns: Vec<_> =
        labels.iter().map(|l| (l.id.as_str(), l.label.as_str(), l.event.as_deref())).collect();
    assert_eq!(columns, [("7", "false", Some("E1")), ("8", "true", None), ("9", "unverified", None)]);
    let trees =
        || read_text("7\tNone\t1\t0\t1\t0:1\n9\tNone\t1\t0\t1\t0:1\n5\tNone\t1\t0\t1\t0:1\n").unwrap();
    let classes = Classes::new(["non-rumor", "false", "true", "unverified"]).unwrap();
    let labeled = label_trees(trees(), &labels, &classes, &path).unwrap();
    assert_eq!(labeled.iter().map(Tree::label).collect::<Vec<_>>(), [Some(1), Some(3), None]);
    assert_eq!(labeled[0].event(), Some("E1"));
    let two = Classes::new(["false", "true"]).unwrap();
    let error = message(label_trees(trees(), &labels, &two, &path));
    assert!(error.starts_with("line 4: unknown label `unverified`"), "{error}");
    let twice = [labels[0].clone(), labels[0].clone()];
    assert_eq!(message(label_trees(trees(), &twice, &classes, &path)), "line 1: duplicate label of tree `7`");
    let (_dir, path) = file("false 7\n");
    let error = message(read_tree_labels(&path));
    assert_eq!(error, "line 1: expected label, event and id separated by tabs, or `label:id`, got `false 7`");
    let (_dir, path) = file("\n");
    assert_eq!(message(read_tree_labels(&path)), "expected one label per line, got an empty file");
}

#[test]
fn byte_order_marks_and_line_ends_of_tree_files_make_no_difference() {
    let text = "7\tNone\t1\t0\t1\t0:1\n7\t1\t2\t0\t1\t0:1\n";
    let expected = read_text(text).unwrap();
    for variant in [format!("\u{feff}{text}"), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
        assert_eq!(read_text(&variant).unwrap(), expected, "{variant:?}");
    }
    let (_dir, labels) = file("\u{feff}false\tE\t7\r\n");
    assert_eq!(read_tree_labels(&labels).unwrap()[0].label, "false");
    let (_dir, ids) = file("\u{feff}7\r\n");
    assert_eq!(read_tree_ids(&ids).unwrap(), ["7"]);
    let line = r#"{"id": "t", "nodes": [{"id": 1, "text": "x"}]}"#;
    assert_eq!(json(&format!("\u{feff}{line}\r\n")).unwrap()[0].id, "t");
}

#[test]
fn node_numbers_may_have_leading_zeros() {
    let trees = read_text("07\tNone\t001\t0\t1\t0:1\n07\t1\t002\t0\t1\t0:1\n").unwrap();
    assert_eq!((trees[0].id(), trees[0].parents()), ("07", &[None, Some(0)][..]));
}

#[test]
fn unmatched_trees_and_labels_are_counted() {
    let trees = || {
        let line = |id: usize| format!("{id}\tNone\t1\t0\t1\t0:1\n");
        read_text(&(0..6).map(line).collect::<String>()).unwrap()
    };
    let labels = |text: &str| {
        let (dir, path) = file(text);
        (read_tree_labels(&path).unwrap(), path, dir)
    };
    let classes = Classes::new(["false", "true"]).unwrap();
    let (some, path, _dir) = labels("true\t0\nfalse\t9\n");
    let unmatched = UnmatchedLabels::new(&trees(), &some);
    assert_eq!(unmatched.describe_trees().unwrap(), "5 of 6 trees have no label: `1`, `2`, `3`, …");
    assert_eq!(unmatched.describe_labels().unwrap(), "1 of 2 labels belong to no tree: `9`");
    label_trees(trees(), &some, &classes, &path).unwrap();
    let (all, _, _dir) = labels("true\t0\nfalse\t1\nfalse\t2\nfalse\t3\nfalse\t4\nfalse\t5\n");
    let unmatched = UnmatchedLabels::new(&trees(), &all);
    assert_eq!((unmatched.describe_trees(), unmatched.describe_labels()), (None, None));

    let (others, path, _dir) = labels("true\t90\nfalse\t91\n");
    let error = message(label_trees(trees(), &others, &classes, &path));
    let expected = "expected labels of the trees, got none: the 2 labels are of other trees, such as `90`, and the 6 trees \
                    are such as `0`";
    assert_eq!(error, expected);
    let (swapped, path, _dir) = labels("1\tE\ttrue\n0\tE\tfalse\n");
    let error = message(label_trees(trees(), &swapped, &classes, &path));
    let expected = "line 1: expected the label in the first column and the id of the tree in the last, got the id `1` first; \
                    swap the columns";
    assert_eq!(error, expected);
}

#[test]
fn positions_by_id_follows_the_ids_and_rejects_unknown_ones() {
    let trees = read_text("7\tNone\t1\t0\t1\t0:1\n9\tNone\t1\t0\t1\t0:1\n").unwrap();
    let (_dir, path) = file("9\r\n\n7\n");
    assert_eq!(positions_by_id(&trees, &read_tree_ids(&path).unwrap(), &path).unwrap(), [1, 0]);
    let (_dir, path) = file("9\n8\n");
    let error = message(positions_by_id(&trees, &read_tree_ids(&path).unwrap(), &path));
    assert_eq!(error, "expected ids of the 2 trees, got 1 of 2 ids without a tree: `8`");
    let (_dir, path) = file("9\n9\n");
    assert_eq!(message(read_tree_ids(&path)), "line 2: duplicate id `9`");
    let (_dir, path) = file("\n");
    assert_eq!(message(read_tree_ids(&path)), "expected one id per line, got an empty file");
}

fn json(text: &str) -> Result<Vec<RawTree>> {
    let (_dir, path) = file(text);
    let classes = Classes::new(["real", "fake"]).unwrap();
    TreeJsonReader::open(&path, Some(&classes)).unwrap().collect()
}

const CASCADE: &str = r#"{"id": 498430783699554305, "label": "fake", "event": "flood", "more": 1, "nodes": [
    {"id": "a", "text": "The dam has broken", "time": 0}, {"id": 2, "parent": "a", "text": "the dam the dam"}]}"#;

#[test]
fn reads_json_trees_with_texts() {
    let text = format!("{}\n\n{}", CASCADE.replace('\n', ""), r#"{"nodes": [{"id": 1, "text": "Hello"}]}"#);
    let trees = json(&text).unwrap();
    assert_eq!((trees[0].id.as_str(), trees[1].id.as_str()), ("498430783699554305", "3"));
    assert_eq!((trees[0].label, trees[1].label, trees[0].event.as_deref()), (Some(1), None, Some("flood")));
    assert_eq!(
        (&trees[0].parents[..], &trees[0].node_ids[..]),
        (&[None, Some(0)][..], &["a".into(), "2".into()][..])
    );
    assert_eq!((trees[0].times[0], trees[0].times[1]), (Some(0.0), None));
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let vocab = tree_vocab(&trees, &tokenizer, &VocabOptions::default()).unwrap();
    let built = raw_to_trees(trees.clone(), Some((&tokenizer, &vocab)), None, Path::new("f")).unwrap();
    let (columns, counts) = built[0].features().row(1);
    let count = |word: &str| columns.iter().position(|&c| c == vocab.id(word)).map(|index| counts[index]);
    assert_eq!((count("the"), count("dam"), count("broken")), (Some(2.0), Some(2.0), None));
    assert_eq!(built[0].features().n_features(), vocab.len());
    let error = message(raw_to_trees(trees, None, None, Path::new("f")));
    assert_eq!(error, "line 1: tree `498430783699554305`: expected features at its nodes, got texts");
}

#[test]
fn json_nodes_with_text_null_have_no_words() {
    let text =
        r#"{"id": "t", "nodes": [{"id": 1, "text": "the dam"}, {"id": 2, "parent": 1, "text": null}]}"#;
    let trees = json(text).unwrap();
    assert_eq!((trees[0].text(0), trees[0].text(1)), (Some("the dam"), Some("")));
    let error = message(json(
        r#"{"id": "t", "nodes": [{"id": 1, "features": [1]}, {"id": 2, "parent": 1, "text": null}]}"#,
    ));
    assert_eq!(error, "line 1: tree `t`: expected features at all nodes, got none at 1 of them");
}

#[test]
fn reads_json_trees_with_features() {
    let text = r#"{"id": "t", "nodes": [{"id": 1, "features": {"4": 2.5}}, {"id": 2, "parent": 1, "features": [0, 1, 0]}]}"#;
    let trees = raw_to_trees(json(text).unwrap(), None, None, Path::new("f")).unwrap();
    assert_eq!(trees[0].features().n_features(), 5);
    assert_eq!((trees[0].features().row(0).0, trees[0].features().row(1).0), (&[4][..], &[1][..]));
    let error = message(raw_to_trees(json(text).unwrap(), None, Some(4), Path::new("f")));
    assert_eq!(error, "line 1: tree `t`: expected feature indices below 4, got 4");
}

#[test]
fn json_tree_errors_name_tree_and_node() {
    let check = |text: &str, expected: &str| {
        let error = message(json(text));
        assert!(error.starts_with(&format!("line 1: {expected}")), "{error}");
    };
    check("[1]", "expected a JSON object per line, got an array; convert it with `jq -c '.[]' FILE`");
    check("7", "expected a JSON object, got `7`");
    check("{", "expected a JSON object on one line: ");
    check(r#"{"id": "t"}"#, "tree `t`: field `nodes`: expected an array of at least one node");
    check(r#"{"id": "t", "nodes": []}"#, "tree `t`: field `nodes`: expected an array of at least one node");
    check(r#"{"id": 1.5, "nodes": []}"#, "field `id`: expected a string or an integer, got 1.5");
    check(r#"{"id": "t", "label": "maybe", "nodes": []}"#, "tree `t`: field `label`: unknown label `maybe`");
    let node = |node: &str| format!(r#"{{"id": "t", "nodes": [{{"id": 1, "text": "x"}}, {node}]}}"#);
    check(&node("7"), "tree `t`: node 2 of 2: expected an object");
    check(&node(r#"{"text": "x"}"#), "tree `t`: node 2 of 2: field `id` is missing");
    check(
        &node(r#"{"id": 2, "parent": [], "text": "x"}"#),
        "tree `t`: node 2 of 2: field `parent`: expected",
    );
    check(&node(r#"{"id": 2, "parent": 1}"#), "tree `t`: node 2 of 2: expected either `text` or `features`");
    check(
        &node(r#"{"id": 2, "parent": 1, "text": 4}"#),
        "tree `t`: node 2 of 2: field `text`: expected a string",
    );
    check(
        &node(r#"{"id": 2, "time": "now", "text": ""}"#),
        "tree `t`: node 2 of 2: field `time`: expected a number",
    );
    check(
        &node(r#"{"id": 2, "parent": 1, "features": {"a": 1}}"#),
        "tree `t`: node 2 of 2: field `features`",
    );
    check(
        &node(r#"{"id": 2, "parent": 1, "features": {"4000000000": 1}}"#),
        "tree `t`: node 2 of 2: field `features`: expected a feature index from 0 to 1048575, got 4000000000",
    );
    check(&node(r#"{"id": 2, "parent": 1, "features": [1]}"#), "tree `t`: expected texts at all nodes or");
    check(&node(r#"{"id": 1, "parent": 1, "text": "x"}"#), "tree `t`: duplicate node `1`");
    check(
        &node(r#"{"id": 2, "parent": 9, "text": "x"}"#),
        "tree `t`: node `2` has parent `9`, which is not a node",
    );
    let two_roots =
        raw_to_trees(json(&node(r#"{"id": 2, "text": "x"}"#)).unwrap(), None, None, Path::new("f"));
    assert!(two_roots.is_err());
}

#[test]
fn batch_is_the_disjoint_union_of_its_trees() {
    let mut rows = SparseRows::new(9);
    (0..3).for_each(|node| rows.push([(node, 1.0 + node as f32)]).unwrap());
    let long = Tree::new("a", vec![Some(1), None, Some(0)], rows).unwrap().with_label(1);
    let short = Tree::new("b", vec![None], SparseRows::empty(1, 9)).unwrap().with_label(0);
    let data = FieldDataset::from_trees(vec![long.clone(), short.clone()]).unwrap();
    let batch = data.batch(&[1, 0]).unwrap();
    let trees = batch.trees().unwrap();
    let ints = |tensor: &tch::Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
    assert_eq!((ints(&trees.tree_ids), ints(&trees.roots)), (vec![0, 1, 1, 1], vec![0, 2]));
    assert_eq!((ints(&trees.edges), ints(&trees.sizes)), (vec![2, 1, 1, 3], vec![1, 3]));
    assert_eq!((ints(batch.labels().unwrap()), batch.n_samples()), (vec![0, 1], 2));
    let dense = trees.features.to_dense().unwrap();
    assert_eq!(dense.size(), [4, 9]);
    assert_eq!((dense.double_value(&[2, 1]), dense.double_value(&[0, 0])), (2.0, 0.0));
    let subset = data.subset(&[1]).unwrap();
    assert_eq!((subset.n_samples(), subset.id(0), subset.id(1)), (1, Some("b"), None));
    assert_ne!(subset.fingerprint(), data.fingerprint());
    assert!(data.subset(&[2]).is_err());
    let error = FieldDataset::from_trees(vec![short.clone(), short.clone()]).unwrap_err().to_string();
    assert_eq!(error, "tree `b`: duplicate id");
    let unlabeled = Tree::new("c", vec![None], SparseRows::empty(1, 9)).unwrap();
    let error = FieldDataset::from_trees(vec![short, unlabeled]).unwrap_err().to_string();
    assert_eq!(error, "tree `c`: expected all trees to be labeled or none");
}

#[test]
fn rejects_missing_and_invalid_archives() {
    let dir = tempfile::tempdir().unwrap();
    assert!(message(read_npz_trees(dir.path(), None)).contains("expected files `<id>.npz`"));
    fs::write(dir.path().join("7.npz"), "not an archive").unwrap();
    assert!(message(read_npz_trees(dir.path(), None)).starts_with("expected a NumPy archive"));
    let error = read_upfd(dir.path(), "color").unwrap_err().to_string();
    assert_eq!(error, "feature: expected one of profile, spacy, bert, content, got color");
    assert!(message(read_upfd(dir.path(), "profile")).contains("No such file"));
}

#[test]
fn shared_twitter() {
    let Some(data) = shared_data("shared_twitter") else { return };
    let names = ["non-rumor", "false", "true", "unverified"];
    let classes = Classes::new(names).unwrap();
    let sets = [
        ("twitter15", "Twitter15", 1490, 41_194, [374, 370, 372, 374], 25, 0, 298),
        ("twitter16", "Twitter16", 818, 18_618, [205, 205, 207, 201], 23, 11, 182),
    ];
    for (dir, name, n_trees, n_nodes, counts, n_single, n_late, n_events) in sets {
        let dir = data.join(dir);
        let trees = read_td_rvnn(&dir.join("data.TD_RvNN.vol_5000.txt"), None).unwrap();
        let labels = dir.join(format!("{name}_label_All.txt"));
        let trees = label_trees(trees, &read_tree_labels(&labels).unwrap(), &classes, &labels).unwrap();
        let stats = TreeStats::new(&trees);
        assert_eq!((stats.n_trees, stats.n_nodes, stats.n_features), (n_trees, n_nodes, 5000));
        let expected: Vec<_> = counts.iter().enumerate().map(|(class, &n)| (Some(class), n)).collect();
        assert_eq!((stats.classes, stats.n_single, stats.n_events), (expected, n_single, n_events));
        let is_late = |tree: &&Tree| {
            tree.parents().iter().enumerate().any(|(node, parent)| parent.is_some_and(|p| p as usize > node))
        };
        assert_eq!(trees.iter().filter(is_late).count(), n_late, "trees with a parent after its child");
        let fold = |fold: usize, part: &str| {
            let path = dir.join(format!("folds/fold{fold}.{part}.txt"));
            positions_by_id(&trees, &read_tree_ids(&path).unwrap(), &path).unwrap()
        };
        for number in 0..5 {
            let mut both = [fold(number, "train"), fold(number, "test")].concat();
            both.sort_unstable();
            assert_eq!(both, (0..n_trees).collect::<Vec<_>>());
        }
        let events: Vec<_> = trees.iter().map(Tree::event).collect();
        let labels: Vec<_> = trees.iter().map(|tree| tree.label().unwrap()).collect();
        let parts = event_split(&events, &labels, [0.7, 0.1, 0.2], 0).unwrap();
        let share = parts[2].len() as f64 / n_trees as f64;
        assert!((share - 0.2).abs() < 0.02, "{share}");
    }
}

#[test]
fn shared_upfd() {
    let Some(data) = shared_data("shared_upfd") else { return };
    let upfd = read_upfd(&data.join("upfd-politifact/raw"), "profile").unwrap();
    let stats = TreeStats::new(&upfd.trees);
    assert_eq!((stats.n_trees, stats.n_nodes, stats.n_features), (314, 41_054, 10));
    let n_edges: usize = upfd.trees.iter().map(|tree| tree.n_nodes() - 1).sum();
    assert_eq!(n_edges, 40_740);
    let n_of_class =
        |part: &[usize], class| part.iter().filter(|&&t| upfd.trees[t].label() == Some(class)).count();
    let parts = [&upfd.train, &upfd.valid, &upfd.test];
    assert_eq!(
        parts.map(|part| (n_of_class(part, 0), n_of_class(part, 1))),
        [(36, 26), (13, 18), (108, 113)]
    );
    assert!(upfd.trees.iter().all(|tree| tree.root() == 0));
}
