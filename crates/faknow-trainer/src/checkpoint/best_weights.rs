//! Where the weights of the best validation are: in the run folder or, without one, in memory.

use std::collections::BTreeMap;
use std::path::Path;

use faknow_model::weights;
use tch::Tensor;
use tch::nn::VarStore;

use crate::Result;
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::snapshot::{BEST, MODEL};

/// Where the weights of the best validation are.
#[derive(Debug, Default)]
pub(crate) enum BestWeights {
    /// There is none yet.
    #[default]
    None,
    /// Copies on the CPU.
    Memory(BTreeMap<String, Tensor>),
    /// The checkpoint `best`.
    Stored,
}

impl BestWeights {
    /// Puts the best weights back; answers whether there were any.
    pub(crate) fn restore(&self, vars: &VarStore, store: Option<&CheckpointStore>) -> Result<bool> {
        match (self, store) {
            (Self::Memory(tensors), _) => weights::restore(vars, tensors, Path::new("best weights")),
            (Self::Stored, Some(store)) => {
                let checkpoint = store.read(BEST)?;
                let nothing = BTreeMap::new();
                let tensors = checkpoint.tensors.get(MODEL).unwrap_or(&nothing);
                weights::restore(vars, tensors, &store.path(BEST))
            }
            _ => return Ok(false),
        }?;
        Ok(true)
    }
}
