//! k-means clustering with k-means++ seeding.
//!
//! Arthur and Vassilvitskii, *k-means++: The Advantages of Careful Seeding*, SODA 2007; Lloyd's iterations as in scikit-learn
//! with `n_init=1`.

use faknow_data::Rng;
use tch::{Kind, Tensor};

use crate::Result;

/// Maximum number of iterations.
const MAX_ITERATIONS: usize = 300;

/// The iterations end when the centers move less than this, squared, relative to the mean variance of the features.
const TOLERANCE: f64 = 1e-4;

/// Returns `k` cluster centers `[k, d]` of rows `[n, d]`, at least one, without gradients.
///
/// With fewer rows than clusters, the centers are the rows, repeated. A cluster that loses all of its rows keeps its center.
/// The result depends only on the rows, on the generator, and on the number of threads, which libtorch's sums may depend on.
///
/// # Errors
/// libtorch rejects an operation.
pub(super) fn k_means(rows: &Tensor, k: usize, rng: &mut Rng) -> Result<Tensor> {
    tch::no_grad(|| {
        let n = rows.size()[0] as usize;
        if n <= k {
            let repeated: Vec<i64> = (0..k).map(|center| (center % n) as i64).collect();
            return Ok(rows.f_index_select(0, &Tensor::from_slice(&repeated).to_device(rows.device()))?);
        }
        let mut centers = seed(rows, k, rng)?;
        let tolerance = TOLERANCE
            * rows.f_var_dim([0].as_slice(), false, false)?.f_mean(Kind::Double)?.f_double_value(&[])?;
        for _ in 0..MAX_ITERATIONS {
            let clusters = distances(rows, &centers)?.f_argmin(1, false)?; // [n]
            let members = clusters.f_one_hot(k as i64)?.f_to_kind(rows.kind())?; // [n, k]
            let counts = members.f_sum_dim_intlist([0].as_slice(), false, rows.kind())?.f_unsqueeze(1)?; // [k, 1]
            let means = members.f_tr()?.f_matmul(rows)?.f_div(&counts.f_clamp_min(1.0)?)?;
            let updated = means.f_where_self(&counts.f_gt(0.0)?, &centers)?;
            let movement = updated.f_sub(&centers)?.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
            centers = updated;
            if movement <= tolerance {
                break;
            }
        }
        Ok(centers)
    })
}

/// Draws the first centers: each with a probability proportional to its squared distance from the nearest one before.
fn seed(rows: &Tensor, k: usize, rng: &mut Rng) -> Result<Tensor> {
    let n = rows.size()[0] as usize;
    let mut chosen = vec![rng.below(n) as i64];
    let row = |index: i64| rows.f_narrow(0, index, 1);
    let mut nearest = distances(rows, &row(chosen[0])?)?.f_squeeze_dim(1)?; // [n]
    while chosen.len() < k {
        let weights = Vec::<f64>::try_from(&nearest.f_to_kind(Kind::Double)?)?;
        let total: f64 = weights.iter().sum();
        let mut rest = rng.uniform() * total;
        // If all rows equal centers, any row will do.
        let index = weights.iter().position(|weight| {
            rest -= weight;
            rest < 0.0
        });
        let index = index.unwrap_or_else(|| rng.below(n)) as i64;
        chosen.push(index);
        nearest = nearest.f_minimum(&distances(rows, &row(index)?)?.f_squeeze_dim(1)?)?;
    }
    Ok(rows.f_index_select(0, &Tensor::from_slice(&chosen).to_device(rows.device()))?)
}

/// Returns the squared distances of rows `[n, d]` and centers `[k, d]`, `[n, k]`.
fn distances(rows: &Tensor, centers: &Tensor) -> Result<Tensor> {
    let squared = |t: &Tensor| t.f_square()?.f_sum_dim_intlist([1].as_slice(), true, t.kind());
    let products = rows.f_matmul(&centers.f_tr()?)?;
    let sums = squared(rows)?.f_add(&squared(centers)?.f_tr()?)?;
    Ok(sums.f_sub(&products.f_mul_scalar(2.0)?)?.f_clamp_min(0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centers(rows: &[[f32; 2]], k: usize, seed: u64) -> Vec<Vec<f32>> {
        let centers = k_means(&Tensor::from_slice2(rows), k, &mut Rng::new(seed)).unwrap();
        let mut centers = Vec::<Vec<f32>>::try_from(centers).unwrap();
        centers.sort_by(|a, b| a[0].total_cmp(&b[0]));
        centers
    }

    #[test]
    fn finds_separate_clusters_for_any_seed() {
        let rows: Vec<[f32; 2]> = (0..30).map(|i| [(i % 3) as f32 * 10.0, (i / 3) as f32 * 0.1]).collect();
        for seed in 0..5 {
            let centers = centers(&rows, 3, seed);
            for (center, x) in centers.iter().zip([0.0, 10.0, 20.0]) {
                assert!((center[0] - x).abs() < 1e-5 && (center[1] - 0.45).abs() < 1e-5, "{center:?}");
            }
        }
    }

    #[test]
    fn few_or_equal_rows_are_repeated() {
        assert_eq!(centers(&[[1.0, 2.0]], 3, 0), vec![vec![1.0, 2.0]; 3]);
        assert_eq!(centers(&[[1.0, 2.0]; 5], 3, 0), vec![vec![1.0, 2.0]; 3]);
    }
}
