//! Trees as JSON lines, with texts or features.
#![no_main]

use std::path::Path;

use faknow_data::Classes;
use faknow_data::graph::{RawTree, TreeJsonReader, n_raw_features, raw_to_trees, tree_vocab};
use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let classes = Classes::new(["real", "fake"]).expect("two classes");
    // Like the program, which stops at the first error.
    let Ok(trees) =
        TreeJsonReader::from_reader(Box::new(input), "trees", Some(&classes)).collect::<Result<Vec<RawTree>, _>>()
    else {
        return;
    };
    let _ = n_raw_features(&trees);
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).expect("valid settings");
    if let Ok(vocab) = tree_vocab(&trees, &tokenizer, &VocabOptions::default()) {
        let _ = raw_to_trees(trees.clone(), Some((&tokenizer, &vocab)), None, Path::new("trees"));
    }
    let _ = raw_to_trees(trees, None, None, Path::new("trees"));
});
