//! Models of propagation trees and of graphs of news articles.

mod bigcn;
mod ebgcn;
mod fang;
mod fang_encoder;
mod fang_news;
mod fang_stance;
mod gcnfn;
mod gnncl;
mod graph_classifier;
mod trustrd;
mod trustrd_encoder;
mod trustrd_head;
mod trustrd_pretraining;
mod upfd;

pub use bigcn::{BiGcn, BiGcnConfig};
pub use ebgcn::{Ebgcn, EbgcnConfig};
pub use fang::{Fang, FangConfig};
pub use fang_encoder::FangGraphSage;
pub use fang_news::{FangEngagements, FangNewsClassifier, FangNewsOutput, FangNewsSize};
pub use fang_stance::FangStanceClassifier;
pub use gcnfn::{Gcnfn, GcnfnConfig};
pub use gnncl::{DenseOutput, Gnncl, GnnclConfig};
pub use graph_classifier::{ConvKind, GraphClassifier, GraphClassifierConfig};
pub use trustrd::{TrustRd, TrustRdConfig};
pub use trustrd_encoder::TrustRdEncoder;
pub use trustrd_head::TrustRdHead;
pub use trustrd_pretraining::{TrustRdPretraining, information_bottleneck_loss};
pub use upfd::{Upfd, UpfdConfig, UpfdKind};

use crate::{Error, Result};

/// Validates the common hyperparameters: sizes of at least 1, dropout in `0..1`, at least 2 classes.
pub(crate) fn check(
    model: &'static str,
    sizes: &[(&'static str, i64)],
    dropout: f64,
    n_classes: usize,
) -> Result<()> {
    let invalid = |name, expected: &str, got: String| {
        Err(Error::Config { model, name, expected: expected.into(), got })
    };
    for &(name, size) in sizes {
        if size < 1 {
            return invalid(name, "at least 1", size.to_string());
        }
    }
    if !(0.0..1.0).contains(&dropout) {
        return invalid("dropout", "from 0 to below 1", dropout.to_string());
    }
    if n_classes < 2 {
        return invalid("n_classes", "at least 2", n_classes.to_string());
    }
    Ok(())
}
