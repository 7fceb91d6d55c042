//! Graphs of articles in the format of FANG, and their neighbor samples.

use std::collections::HashSet;
use std::sync::Arc;

use faknow_data::graph::{NewsGraph, NewsNode, NewsSplit};
use faknow_data::synth::{NewsGraphOptions, write_news_graph};
use faknow_data::{Dataset as _, FieldDataset};

use crate::support::Dir;

/// Writes two articles of one source, and three users.
fn write(dir: &Dir) {
    dir.file("entities.txt", "news1\nnews2\nsource1\nuser1\nuser2\nuser3\n");
    let features =
        ["news1\t1\t1", "news2\t3\t1", "source1\t0\t0", "user1\t2\t-2", "user2\t1\t0", "user3\t0\t1"];
    dir.file("entity_features.tsv", features.join("\n"));
    dir.file("news_info.tsv", "news1\tfake\t\"A text\twith\na \"\"line\"\" break\"\nnews2\treal\tother\n");
    dir.file("source_publication.tsv", "source1\tnews1\nsource1\tnews2\n");
    dir.file("user_relationships.tsv", "user1\tuser3\n");
    dir.file("deny.tsv", "user2\tnews1\t302400\nuser1\tnews1\t9999999\n");
    dir.file("support_neutral.tsv", "user1\tnews1\t2\t60480\t6048\n");
    dir.file("train_test.json", r#"{"train": ["news2"], "val": [], "test": ["news1"]}"#);
}

#[test]
fn reads_the_files_of_a_directory() {
    let dir = Dir::new();
    write(&dir);
    let graph = NewsGraph::read(dir.0.path()).unwrap();
    assert_eq!((graph.n_nodes(), graph.n_features(), graph.name(3)), (6, 2, "user1"));
    let kinds = [NewsNode::News, NewsNode::News, NewsNode::Source, NewsNode::User];
    assert_eq!([0, 1, 2, 5].map(|node| graph.kind(node)), kinds);
    assert_eq!(
        (graph.neighbors(0), graph.neighbors(2), graph.neighbors(5)),
        (&[2, 3, 4][..], &[0, 1][..], &[3][..])
    );
    let features = Vec::<Vec<f32>>::try_from(graph.features(&[1, 2, 3]).unwrap()).unwrap();
    assert_eq!(features, [[0.75, 0.25], [0.0, 0.0], [0.5, -0.5]]);
    let [first, second] = graph.articles() else { panic!("two articles") };
    assert_eq!((first.label, first.source, second.label), (Some(1), Some(2), Some(0)));
    // In the order of their times, over all stances; times beyond 7 days are equal.
    let engagements: Vec<_> = first
        .engagements
        .iter()
        .map(|it| (it.user, it.stance, (100.0 * it.time).round(), it.spread))
        .collect();
    assert_eq!(engagements, [(3, 2, 10.0, 0.01), (4, 0, 50.0, 0.0), (3, 0, 100.0, 0.0)]);
    assert!(second.engagements.is_empty());
    assert_eq!(graph.split(), Some(&NewsSplit { train: vec![1], valid: vec![], test: vec![0] }));

    let data = FieldDataset::from_news(Arc::new(graph));
    assert_eq!((data.n_samples(), data.class(0), data.id(1)), (2, Some(1), Some("news2")));
    assert_eq!(data.subset(&[1]).unwrap().batch(&[0]).unwrap().news().unwrap().articles, [1]);
    assert_eq!(data.subset(&[1]).unwrap().article(0).map(|article| article.node), Some(1));
}

#[test]
fn errors_name_file_and_line() {
    let dir = Dir::new();
    let check = |name: &str, content: &str, expected: &str| {
        write(&dir);
        dir.file(name, content);
        assert_eq!(dir.message(NewsGraph::read(dir.0.path())), format!("{name}: {expected}"));
    };
    check("news_info.tsv", "news1\tfake\nnews2\thoax\n", "line 2: expected `real` or `fake`, got `hoax`");
    check(
        "news_info.tsv",
        "news1\tfake\nnews1\treal\n",
        "line 2: expected each article once, got `news1` twice",
    );
    check("news_info.tsv", "news9\tfake\n", "line 1: expected an entity of entities.txt, got `news9`");
    check("entity_features.tsv", "news1\t1\n", "expected features of all entities, got none of `news2`");
    check(
        "entity_features.tsv",
        "news1\t1\nnews2\t1\t2\n",
        "line 2: expected 1 features, as in line 1, got 2",
    );
    check("deny.tsv", "user1\tuser2\t3\n", "line 1: expected an article of news_info.tsv, got `user2`");
    check("deny.tsv", "user1\tnews1\tx\n", "line 1: expected a number, got `x`");
    check("deny.tsv", "user1\tnews1\t1\t2\n", "line 1: expected 3 or 5 values separated by tabs, got 4");
    check("entities.txt", "a\na\n", "expected each entity once, got one twice");
    check(
        "train_test.json",
        r#"{"train": ["news1"], "test": ["news1"]}"#,
        "`news1`: expected in one part, got `train` and `test`",
    );
    check(
        "train_test.json",
        r#"{"train": ["user1"]}"#,
        "`train`: expected an article of news_info.tsv, got `user1`",
    );
    check("train_test.json", r#"{"test": ["news1"]}"#, "`train`: expected articles, got none");
}

#[test]
fn blocks_contain_the_sampled_neighbors_of_each_layer() {
    let dir = Dir::new();
    write_news_graph(dir.0.path(), &NewsGraphOptions::default()).unwrap();
    let graph = NewsGraph::read(dir.0.path()).unwrap();
    let targets = [0u32, 5, 9];
    for max in [[None, None], [Some(3), Some(2)], [Some(1), Some(1)]] {
        let blocks = graph.blocks(&targets, max, 7);
        assert_eq!(blocks, graph.blocks(&targets, max, 7));
        assert_eq!(blocks.nodes[..3], targets);
        let [n_all, n_first, n_second] = blocks.n_nodes;
        assert_eq!((n_all, n_second), (blocks.nodes.len(), 3));
        assert_eq!(blocks.nodes.iter().collect::<HashSet<_>>().len(), n_all, "a node occurs twice");
        for (layer, n_targets) in [(1, n_second), (0, n_first)] {
            let max = max[1 - layer];
            for target in 0..n_targets {
                let node = blocks.nodes[target];
                let edges = blocks.edges[layer].iter().filter(|edge| edge.1 as usize == target);
                let neighbors: HashSet<u32> = edges.map(|edge| blocks.nodes[edge.0 as usize]).collect();
                let all = graph.neighbors(node);
                assert_eq!(neighbors.len(), max.unwrap_or(usize::MAX).min(all.len()));
                assert!(neighbors.iter().all(|it| all.contains(it)));
            }
        }
    }
    let few = |seed| graph.blocks(&targets, [Some(2), Some(2)], seed);
    assert_ne!(few(1), few(2));
    // The neighbors of a node do not depend on the other nodes.
    let alone = graph.blocks(&targets[1..2], [Some(2), Some(2)], 1);
    let neighbors = |blocks: &faknow_data::graph::NodeBlocks, target: u32| -> Vec<u32> {
        let edges = blocks.edges[1].iter().filter(|edge| edge.1 == target);
        edges.map(|edge| blocks.nodes[edge.0 as usize]).collect()
    };
    assert_eq!(neighbors(&alone, 0), neighbors(&few(1), 1));
}

#[test]
fn contrasts_are_neighbors_and_other_nodes_of_the_same_group() {
    let dir = Dir::new();
    write_news_graph(dir.0.path(), &NewsGraphOptions::default()).unwrap();
    let graph = NewsGraph::read(dir.0.path()).unwrap();
    for node in (0..graph.n_nodes() as u32).step_by(7) {
        let (near, far) = graph.contrast(node, 4, 3);
        assert_eq!((near.len(), far.len()), (4.min(graph.neighbors(node).len()), 4));
        assert!(near.iter().all(|it| graph.neighbors(node).contains(it)));
        let is_user = |node: u32| graph.kind(node) == NewsNode::User;
        let is_far =
            |it: &u32| *it != node && !graph.neighbors(node).contains(it) && is_user(*it) == is_user(node);
        assert!(far.iter().all(is_far));
    }
}
