//! Models of the content of posts.

mod domain_memory;
mod dudef;
mod eddfn;
mod encoder_classifier;
mod endef;
mod entity_branch;
mod image_input;
mod k_means;
mod linear;
mod m3fend;
mod m3fend_head;
mod mdfend;
mod one_image;
mod one_text;
mod text_input;
mod text_layer;
mod textcnn;

pub use domain_memory::DomainMemory;
pub use dudef::{Dudef, DudefConfig};
pub use eddfn::{Eddfn, EddfnConfig, EddfnInput, EddfnOutput};
pub use encoder_classifier::{
    ClassifierHead, EncoderClassifier, EncoderClassifierConfig, EncoderLayer, Tuning,
};
pub use endef::Endef;
pub use entity_branch::{EntityBranch, EntityConfig};
pub use image_input::{ImageInput, ImageVectors};
pub use linear::{LinearClassifier, LinearConfig, LinearLoss};
pub use m3fend::{M3fend, M3fendConfig};
pub use m3fend_head::{M3fendHead, M3fendSizes, Views};
pub use mdfend::{Mdfend, MdfendConfig, MdfendHead};
pub use one_image::OneImage;
pub use text_input::{TextInput, TextSource, TokenVectors};
pub use textcnn::{TextCnn, TextCnnConfig};

use tch::Tensor;

use crate::{Error, Result};

/// Validates common hyperparameters: sizes of at least 1, lists of such sizes that are not empty, dropout in `0..1`, at least 2
/// classes.
fn check(
    model: &'static str,
    sizes: &[(&'static str, i64)],
    lists: &[(&'static str, &[i64])],
    dropout: f64,
    n_classes: usize,
) -> Result<()> {
    let invalid = |name, expected: &str, got: String| {
        Err(Error::Config { model, name, expected: expected.into(), got })
    };
    let in_lists = lists.iter().flat_map(|(name, sizes)| sizes.iter().map(|size| (*name, *size)));
    if let Some((name, size)) = sizes.iter().copied().chain(in_lists).find(|(_, size)| *size < 1) {
        return invalid(name, "at least 1", size.to_string());
    }
    if let Some((name, _)) = lists.iter().find(|(_, sizes)| sizes.is_empty()) {
        return invalid(name, "at least one size", "none".into());
    }
    if !(0.0..1.0).contains(&dropout) {
        return invalid("dropout", "from 0 to below 1", dropout.to_string());
    }
    if n_classes < 2 {
        return invalid("n_classes", "at least 2", n_classes.to_string());
    }
    Ok(())
}

/// Returns the number of outputs of a classifier that FaKnow gives one output, the logit of the second of two classes.
fn n_outputs(n_classes: usize) -> i64 {
    if n_classes == 2 { 1 } else { n_classes as i64 }
}

/// Returns the logits `[n, n_classes]` of the outputs `[n, n_outputs]`: a single output `z` becomes `[0, z]`, so that the softmax
/// is its sigmoid.
fn class_logits(outputs: Tensor) -> Result<Tensor> {
    if outputs.size()[1] == 1 {
        Ok(Tensor::f_cat(&[outputs.f_zeros_like()?, outputs], 1)?)
    } else {
        Ok(outputs)
    }
}
