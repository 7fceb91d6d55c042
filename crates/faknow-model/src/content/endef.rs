//! ENDEF: a text model that is trained next to a model of the entities alone, which takes over their bias.
//!
//! Zhu et al., *Generalizing to the Future: Mitigating Entity Bias in Fake News Detection*, SIGIR 2022. The logits of both are
//! combined before the softmax, as in the authors' code, and predictions are those of the base model alone.

use faknow_data::FieldBatch;
use tch::nn::Path;

use super::text_layer::TextLayer;
use super::{EntityBranch, EntityConfig, TextSource};
use crate::{EmbeddingModel, Mode, Model, Output, Result};

/// Any text model, trained with ENDEF. It reads the further text [`Endef::ENTITIES`] in training only.
///
/// In training, the logits are those of both models. In evaluation, logits and loss are those of the base model.
///
/// Parameters: those of the base model, usually below [`Endef::BASE`]; `entity_embedding.weight`, and those of
/// [`EntityBranch`].
pub struct Endef {
    base: Box<dyn Model<Batch = FieldBatch>>,
    text: TextLayer,
    branch: EntityBranch,
}

impl Endef {
    /// Name of the further text of a batch with the entities that a post mentions.
    pub const ENTITIES: &'static str = "entities";

    /// Path of the base model in FaKnow.
    pub const BASE: &'static str = "base_model";

    /// Creates a model from its base model, with token vectors of the entities from `source`. An encoder is frozen.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &EntityConfig,
        base: Box<dyn Model<Batch = FieldBatch>>,
        source: &TextSource<'_>,
        n_classes: usize,
    ) -> Result<Self> {
        let text = TextLayer::new(path, ["entity_embedding", "bert"], source, config.text_settings())?;
        let branch = EntityBranch::new(path, config, text.size(), n_classes)?;
        Ok(Self { base, text, branch })
    }
}

impl Model for Endef {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let base = self.base.forward(batch, mode)?;
        if !mode.is_train() {
            return Ok(base);
        }
        let tokens = self.text.forward(batch, Some(Self::ENTITIES), mode)?;
        let entities = self.branch.logits(&tokens, mode)?;
        let logits = self.branch.combine(&base.logits, &entities)?;
        let loss = batch.labels.as_ref().map(|labels| self.branch.loss(&logits, &entities, labels));
        Ok(Output { loss: loss.transpose()?, logits })
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        self.base.as_embedding_model()
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        self.base.embedding_model_of(batch)
    }
}
