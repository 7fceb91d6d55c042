//! Integration tests of faknow-model: equality with PyTorch, and what a model does with odd batches.

mod golden;
mod textcnn;
