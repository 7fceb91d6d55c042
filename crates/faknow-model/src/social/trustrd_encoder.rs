//! The encoder: layers of GIN, all of whose results count.

use faknow_data::graph::{NodeFeatures, Trees};
use tch::Tensor;
use tch::nn::Path;

use crate::Result;
use crate::layers::{GinConv, Graph};

/// Layers of [`GinConv`] with ReLU; a node's embedding is the results of all layers side by side.
///
/// Parameters: `convs.<i>.*`.
#[derive(Debug)]
pub struct TrustRdEncoder {
    convs: Vec<GinConv>,
}

impl TrustRdEncoder {
    /// Creates an encoder of nodes with `n_features` each.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_features: i64, hidden_size: i64, n_layers: i64) -> Result<Self> {
        let conv = |layer: i64| {
            let n_in = if layer == 0 { n_features } else { hidden_size };
            GinConv::new(&(path / "convs" / layer), n_in, hidden_size)
        };
        Ok(Self { convs: (0..n_layers).map(conv).collect::<Result<_>>()? })
    }

    /// Returns the same encoder, excluded from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        Self { convs: self.convs.into_iter().map(GinConv::freeze).collect() }
    }

    /// Returns the embedding of each node, `[n_nodes, n_layers · hidden_size]`.
    ///
    /// # Errors
    /// The batch has other features.
    pub fn encode(&self, trees: &Trees) -> Result<Tensor> {
        let projected = self.convs[0].project(&trees.features)?;
        self.after_projection(&projected, &Graph::top_down(trees)?, None)
    }

    /// The weight of the first product, `[hidden_size, n_features]`.
    pub(super) fn weight(&self) -> &Tensor {
        self.convs[0].weight()
    }

    /// The embeddings, from the first product on.
    pub(super) fn after_projection(
        &self,
        projected: &Tensor,
        graph: &Graph,
        edge_weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let mut layers = vec![self.convs[0].propagate(projected, graph, edge_weights)?.f_relu()?];
        for conv in &self.convs[1..] {
            let nodes = NodeFeatures::Dense(layers[layers.len() - 1].shallow_clone());
            layers.push(conv.propagate(&conv.project(&nodes)?, graph, edge_weights)?.f_relu()?);
        }
        Ok(Tensor::f_cat(&layers, 1)?)
    }
}
