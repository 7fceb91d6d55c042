//! The node encoder of FANG.

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::layers::{Graph, SageConv};

/// Two GraphSAGE layers with tanh over a sampled neighborhood.
///
/// Parameters: `conv.0.*`, `conv.1.*`.
#[derive(Debug)]
pub struct FangGraphSage {
    convs: [SageConv; 2],
}

impl FangGraphSage {
    /// Creates an encoder from `n_in` features to embeddings of length `n_out`.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let conv = |layer: usize, n_in: i64| SageConv::new(&(path / "conv" / layer), n_in, n_out);
        Ok(Self { convs: [conv(0, n_in)?, conv(1, n_out)?] })
    }

    /// Returns the device of the weights.
    pub(super) fn device(&self) -> Device {
        self.convs[0].device()
    }

    /// Returns the kind (dtype) of the weights.
    pub(super) fn kind(&self) -> Kind {
        self.convs[0].kind()
    }

    /// Returns the embeddings of the first `n_nodes[2]` of `n_nodes[0]` nodes with features `x` `[n_nodes[0], n_in]`.
    ///
    /// Layer `k` computes the first `n_nodes[k + 1]` nodes; row 0 of its `edges` i64 `[2, n_edges]` holds sources, row 1 targets.
    /// The mean of no neighbors is 0.
    ///
    /// # Errors
    /// A tensor has another size.
    pub fn forward(&self, x: &Tensor, edges: [&Tensor; 2], n_nodes: [i64; 3]) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (layer, conv) in self.convs.iter().enumerate() {
            let graph = Graph::new(edges[layer], n_nodes[layer + 1])?;
            x = conv.forward_bipartite(&x, &graph)?.f_tanh()?;
        }
        Ok(x)
    }
}
