//! The fully connected layers of an image encoder.

use tch::{Kind, Tensor};

use super::output::ImageOutput;
use super::params::Params;
use super::shapes::Shapes;
use crate::layers::{Linear, dropout};
use crate::{Mode, Result};

/// Names of the fully connected layers of VGG: the positions in torchvision's `Sequential`.
const VGG_NAMES: [&str; 3] = ["classifier.0", "classifier.3", "classifier.6"];

/// Dropout of VGG in training.
const VGG_DROPOUT: f64 = 0.5;

/// Sizes of the fully connected layers.
#[derive(Debug, Clone)]
pub(super) enum HeadSizes {
    /// One layer on the mean of the feature map, which a file may lack.
    Mean {
        /// Name of the layer.
        name: &'static str,
        n_logits: Option<i64>,
    },
    /// VGG: up to three layers on the feature map, pooled to a grid.
    Grid {
        /// Rows and columns of the grid.
        grid: i64,
        sizes: Vec<i64>,
    },
}

impl HeadSizes {
    /// Reads the sizes of a layer on the mean of the feature map.
    pub(super) fn mean(shapes: Shapes<'_>, name: &'static str) -> Self {
        Self::Mean { name, n_logits: shapes.matrix(&format!("{name}.weight")).map(|[n_out, _]| n_out) }
    }

    /// Reads the sizes of the layers of VGG.
    pub(super) fn grid(shapes: Shapes<'_>, n_channels: i64) -> Result<Self, String> {
        let names = VGG_NAMES.map(|name| format!("{name}.weight"));
        let sizes = names.iter().map_while(|name| shapes.matrix(name).map(|[n_out, _]| n_out)).collect();
        let n_in = shapes.matrix(&names[0]).map_or(n_channels, |[_, n_in]| n_in);
        let grid = (1..=64).find(|grid| n_channels * grid * grid == n_in).ok_or_else(|| {
            format!("`{}`: expected {n_channels} inputs for each cell of a square grid, got {n_in}", names[0])
        })?;
        Ok(Self::Grid { grid, sizes })
    }

    /// Returns the length of the vectors of an output; `None` without the layer.
    pub(super) fn size(&self, output: ImageOutput, n_channels: i64) -> Option<i64> {
        match (self, output) {
            (_, ImageOutput::Regions) => Some(n_channels),
            (Self::Mean { n_logits, .. }, ImageOutput::Logits) => *n_logits,
            (Self::Mean { .. }, _) => Some(n_channels),
            (Self::Grid { sizes, .. }, output) => sizes.get(layer(output)).copied(),
        }
    }

    pub(super) fn build(&self, params: &Params<'_, '_>, n_channels: i64) -> Result<Head> {
        Ok(match self {
            Self::Mean { name, n_logits } => {
                Head::Mean(n_logits.map(|n| params.sub(name).linear(n_channels, n)).transpose()?)
            }
            Self::Grid { grid, sizes } => {
                let mut n_in = n_channels * grid * grid;
                let mut layers = Vec::with_capacity(sizes.len());
                for (name, &size) in VGG_NAMES.iter().zip(sizes) {
                    layers.push(params.sub(name).linear(n_in, size)?);
                    n_in = size;
                }
                Head::Grid { grid: *grid, layers }
            }
        })
    }
}

/// The fully connected layers.
#[derive(Debug)]
pub(super) enum Head {
    Mean(Option<Linear>),
    Grid { grid: i64, layers: Vec<Linear> },
}

impl Head {
    /// Computes an output `[n, n_regions, size]` of a feature map `[n, n_channels, ..]`.
    pub(super) fn forward(&self, map: &Tensor, output: ImageOutput, mode: Mode) -> Result<Tensor> {
        if output == ImageOutput::Regions {
            return Ok(map.f_flatten(2, 3)?.f_transpose(1, 2)?);
        }
        let vectors = match self {
            Self::Mean(layer) => {
                let mean = map.f_mean_dim(Some([2, 3].as_slice()), false, None::<Kind>)?;
                match layer {
                    Some(layer) if output == ImageOutput::Logits => layer.forward(&mean)?,
                    _ => mean,
                }
            }
            Self::Grid { grid, layers } => {
                let mut x = map.f_adaptive_avg_pool2d([*grid, *grid])?.f_flatten(1, 3)?;
                for (i, layer) in layers.iter().take(layer(output) + 1).enumerate() {
                    if i > 0 {
                        x = dropout(&x.f_relu()?, VGG_DROPOUT, mode)?;
                    }
                    x = layer.forward(&x)?;
                }
                x
            }
        };
        Ok(vectors.f_unsqueeze(1)?)
    }
}

/// Returns the number of the layer of VGG that is an output.
fn layer(output: ImageOutput) -> usize {
    match output {
        ImageOutput::FirstHidden => 0,
        ImageOutput::SecondHidden | ImageOutput::Pooled | ImageOutput::Regions => 1,
        ImageOutput::Logits => 2,
    }
}
