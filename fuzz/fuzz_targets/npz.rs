//! Trees in NumPy archives: an archive, or the arrays of one.
#![no_main]

use faknow_data::graph::read_npz_trees;
use faknow_fuzz::{archive, files, with_files};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let built;
    let bytes = if input.starts_with(b"PK") {
        input
    } else {
        // Otherwise checksums would reject almost every input.
        let [x, edges, y] = files(input);
        built = archive(&[("x", x), ("edgeindex", edges), ("y", y)]);
        &built
    };
    with_files(&[("1.npz", bytes)], |dir| drop(read_npz_trees(dir, None)));
});
