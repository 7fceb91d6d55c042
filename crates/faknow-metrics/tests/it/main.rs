//! Integration tests of faknow-metrics: golden numbers, and inputs at the edge.

mod degenerate;
mod golden;
