//! DropEdge: random removal of edges in each training step.
//!
//! Rong et al., *DropEdge: Towards Deep Graph Convolutional Networks on Node Classification*, ICLR 2020. As in BiGCN (AAAI
//! 2020), ⌊E · (1 − rate)⌋ edges remain, drawn without replacement, in their original order.

use tch::{Kind, Tensor};

use crate::Result;

/// Returns `edges`, i64 `[2, n]`, without a fraction `rate` of them, drawn from libtorch's generator.
///
/// # Errors
/// A libtorch operation fails.
pub fn drop_edge(edges: &Tensor, rate: f64) -> Result<Tensor> {
    let n = edges.size()[1];
    let n_retained = (n as f64 * (1.0 - rate)) as i64;
    if n_retained >= n {
        return Ok(edges.shallow_clone());
    }
    let retained = Tensor::f_randperm(n, (Kind::Int64, edges.device()))?.f_narrow(0, 0, n_retained)?;
    Ok(edges.f_index_select(1, &retained.f_sort(0, false)?.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retains_the_right_number_in_order_and_drops_every_edge_equally_often() {
        tch::manual_seed(1);
        let edges = Tensor::arange(20, (Kind::Int64, tch::Device::Cpu)).view([2, 10]);
        let mut seen = [0; 10];
        for _ in 0..200 {
            let retained = drop_edge(&edges, 0.25).unwrap();
            assert_eq!(retained.size(), [2, 7]);
            let (from, to) = (retained.get(0), retained.get(1));
            assert_eq!(&from + 10, to);
            let from = Vec::<i64>::try_from(from).unwrap();
            assert!(from.is_sorted_by(|a, b| a < b));
            from.into_iter().for_each(|edge| seen[edge as usize] += 1);
        }
        assert!(seen.iter().all(|&n| (110..=170).contains(&n)), "{seen:?}");
        assert_eq!(drop_edge(&edges, 0.0).unwrap(), edges);
        let no_edges = Tensor::zeros([2, 0], (Kind::Int64, tch::Device::Cpu));
        assert_eq!(drop_edge(&no_edges, 0.5).unwrap().size(), [2, 0]);
    }
}
