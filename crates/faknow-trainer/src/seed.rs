//! No hidden randomness: libtorch's generator as a function of (seed, step).

/// Seeds libtorch's generators for one step of a run.
///
/// tch can neither save nor restore the generator's state. Seeding it anew before each step makes dropout and all
/// other noise of a step a function of the run's seed and the step's number alone.
///
/// The generator is global to the process: two runs at once in one process disturb each other's numbers.
pub fn seed_step(seed: u64, step: u64) {
    tch::manual_seed(mix(seed, step) as i64);
}

/// Seeds libtorch's generators for building a model.
pub fn seed_model(seed: u64) {
    seed_step(seed, u64::MAX);
}

/// A well-spread number from two: splitmix64 (Steele, Lea, Flood 2014) over the pair.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = splitmix(seed).wrapping_add(step);
    z = splitmix(z);
    z
}

fn splitmix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn a_step_has_the_same_noise_each_time_and_other_noise_than_its_neighbours() {
        let noise = |seed, step| {
            seed_step(seed, step);
            Tensor::randn([4], tch::kind::FLOAT_CPU)
        };
        assert_eq!(noise(1, 5), noise(1, 5));
        assert_ne!(noise(1, 5), noise(1, 6));
        assert_ne!(noise(1, 5), noise(2, 5));
    }
}
