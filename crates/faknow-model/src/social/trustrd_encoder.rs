//! The encoder of TrustRD.

use faknow_data::graph::{NodeFeatures, Trees};
use tch::Tensor;
use tch::nn::Path;

use crate::Result;
use crate::layers::{GinConv, Graph};

/// [`GinConv`] layers with ReLU; the embedding of a node is the concatenation of all layer outputs.
///
/// Parameters: `convs.<i>.*`.
#[derive(Debug)]
pub struct TrustRdEncoder {
    convs: Vec<GinConv>,
}

impl TrustRdEncoder {
    /// Creates an encoder for trees with `n_features` features per node.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_features: i64, hidden_size: i64, n_layers: i64) -> Result<Self> {
        let conv = |layer: i64| {
            let n_in = if layer == 0 { n_features } else { hidden_size };
            GinConv::new(&(path / "convs" / layer), n_in, hidden_size)
        };
        Ok(Self { convs: (0..n_layers).map(conv).collect::<Result<_>>()? })
    }

    /// Excludes the encoder from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        Self { convs: self.convs.into_iter().map(GinConv::freeze).collect() }
    }

    /// Returns the embedding of each node, `[n_nodes, n_layers · hidden_size]`.
    ///
    /// # Errors
    /// The nodes do not have `n_features` features.
    pub fn encode(&self, trees: &Trees) -> Result<Tensor> {
        let projected = self.convs[0].project(&trees.features)?;
        self.encode_projected(&projected, &Graph::top_down(trees)?, None)
    }

    /// Returns the first weight, `[hidden_size, n_features]`.
    pub(super) fn weight(&self) -> &Tensor {
        self.convs[0].weight()
    }

    /// Returns the embeddings from the product of the features with the first weight.
    pub(super) fn encode_projected(
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
