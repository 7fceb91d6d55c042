//! Train, evaluate and use fake-news detectors: the facade over the faknow crates.
