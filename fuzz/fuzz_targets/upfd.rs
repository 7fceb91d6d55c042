//! UPFD datasets: edges, indices, and a sparse matrix of features.
#![no_main]

use faknow_data::graph::read_upfd;
use faknow_fuzz::{archive, files, with_files};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [edges, graphs, labels, train, valid, test, shape, indptr, indices, data] = files(input);
    let arrays = [("shape", shape), ("indptr", indptr), ("indices", indices), ("data", data)];
    let features = archive(&arrays);
    let dataset = [
        ("A.txt", edges),
        ("node_graph_id.npy", graphs),
        ("graph_labels.npy", labels),
        ("train_idx.npy", train),
        ("val_idx.npy", valid),
        ("test_idx.npy", test),
        ("new_profile_feature.npz", &features),
    ];
    with_files(&dataset, |dir| drop(read_upfd(dir, "profile")));
});
