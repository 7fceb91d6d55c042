//! Splits of samples into training, validation and test data, or into folds, as a pure function of a seed.

use crate::{Error, Result, Rng};

/// FaKnow's default ratios of training, validation and test data.
pub const DEFAULT_RATIOS: [f64; 3] = [0.7, 0.1, 0.2];

/// Splits `n_samples` samples at random into training, validation and test indices, each in ascending order.
///
/// The sizes of the parts follow `ratios`, rounded; every sample is in one part, and the training part is not empty.
///
/// # Errors
/// There are no samples; or ratios are negative, not finite, do not sum to 1, or are 0 for training.
pub fn random_split(n_samples: usize, ratios: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
    split(vec![(0..n_samples).collect()], ratios, seed)
}

/// Splits samples with nearly equal class proportions in each part; otherwise like [`random_split`].
///
/// `classes` contains the class of each sample. The number of samples of each class in each part differs by less than 1 from
/// the exact share, except that each class has at least one sample in training; the sizes of the parts stay near their shares
/// too.
///
/// ```
/// use faknow_data::{DEFAULT_RATIOS, stratified_split};
///
/// let classes = [vec![0; 60], vec![1; 40]].concat();
/// let [train, valid, test] = stratified_split(&classes, DEFAULT_RATIOS, 42)?;
/// assert_eq!((train.len(), valid.len(), test.len()), (70, 10, 20));
/// assert_eq!(test.iter().filter(|&&index| classes[index] == 1).count(), 8);
/// # Ok::<(), faknow_data::Error>(())
/// ```
///
/// # Errors
/// As [`random_split`].
pub fn stratified_split(classes: &[usize], ratios: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
    split(by_class(classes), ratios, seed)
}

/// Splits samples into `n_folds` folds for cross-validation; each fold is a list of indices in ascending order.
///
/// `classes` contains the class of each sample. Every sample is in one fold; the sizes of any two folds differ by at most 1,
/// and so do their numbers of samples of each class.
///
/// ```
/// use faknow_data::stratified_k_fold;
///
/// let classes = [vec![0; 7], vec![1; 4]].concat();
/// let folds = stratified_k_fold(&classes, 3, 42)?;
/// assert_eq!(folds.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3]);
/// assert!(folds.iter().all(|fold| fold.iter().any(|&index| classes[index] == 1)));
/// # Ok::<(), faknow_data::Error>(())
/// ```
///
/// # Errors
/// There are fewer than 2 folds, or more folds than samples of the rarest class.
pub fn stratified_k_fold(classes: &[usize], n_folds: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    let groups = by_class(classes);
    let Some(max_folds) = groups.iter().map(Vec::len).min() else { return Err(no_samples()) };
    if n_folds < 2 || n_folds > max_folds {
        let expected = format!("2 to {max_folds} folds (the rarest class has {max_folds} samples)");
        let expected = if max_folds < 2 { "at least 2 samples of each class".to_owned() } else { expected };
        return Err(Error::Setting { name: "n_folds", expected, got: n_folds.to_string() });
    }
    Ok(assign_folds(groups, n_folds, seed))
}

/// Splits `n_samples` samples into `n_folds` folds without regard to classes; otherwise like [`stratified_k_fold`].
///
/// # Errors
/// There are fewer than 2 folds, or more folds than samples.
pub fn k_fold(n_samples: usize, n_folds: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    if n_folds < 2 || n_folds > n_samples {
        let expected = format!("2 to {n_samples} folds (the number of samples)");
        return Err(Error::Setting { name: "n_folds", expected, got: n_folds.to_string() });
    }
    Ok(assign_folds(vec![(0..n_samples).collect()], n_folds, seed))
}

/// Distributes each group among the folds, which are sorted in ascending order.
fn assign_folds(groups: Vec<Vec<usize>>, n_folds: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut folds = vec![Vec::new(); n_folds];
    // Each class continues with the fold after the previous class, so that remainders are spread over the folds.
    let mut next = (0..n_folds).cycle();
    for (number, mut group) in groups.into_iter().enumerate() {
        Rng::from_parts(&[seed, number as u64, n_folds as u64]).shuffle(&mut group);
        for (index, fold) in group.into_iter().zip(&mut next) {
            folds[fold].push(index);
        }
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    folds
}

/// Returns the sample indices of each class that occurs.
fn by_class(classes: &[usize]) -> Vec<Vec<usize>> {
    let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    for (index, &class) in classes.iter().enumerate() {
        groups.entry(class).or_default().push(index);
    }
    groups.into_values().collect()
}

fn no_samples() -> Error {
    Error::Dataset("expected samples to split, got none".into())
}

/// Splits each group separately, so that rounding errors of the groups compensate each other.
fn split(groups: Vec<Vec<usize>>, ratios: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
    check(ratios)?;
    let mut parts: [Vec<usize>; 3] = Default::default();
    let mut n_assigned = 0;
    for (number, mut group) in groups.into_iter().enumerate() {
        Rng::from_parts(&[seed, number as u64]).shuffle(&mut group);
        n_assigned += group.len();
        let due = |part: usize| n_assigned as f64 * ratios[part] - parts[part].len() as f64;
        let counts = part_sizes(group.len(), ratios, [due(0), due(1), due(2)]);
        let mut rest = &group[..];
        for (part, count) in parts.iter_mut().zip(counts) {
            let (head, tail) = rest.split_at(count);
            part.extend_from_slice(head);
            rest = tail;
        }
    }
    if n_assigned == 0 {
        return Err(no_samples());
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// Returns the number of samples of each part for a group of `n` samples: its exact share rounded down, plus one for the parts
/// with the largest deficit `due` over all groups so far.
fn part_sizes(n: usize, ratios: [f64; 3], due: [f64; 3]) -> [usize; 3] {
    let exact = ratios.map(|ratio| ratio * n as f64);
    // A share that is an integer up to rounding errors (0.1 * 30 = 3.0000000000000004) is that integer.
    let mut counts = exact.map(|share| (share + 1e-9).floor() as usize);
    let mut rest = n.saturating_sub(counts.iter().sum());
    let mut is_rounded_up = [false; 3];
    if rest > 0 && counts[0] == 0 {
        (counts[0], is_rounded_up[0], rest) = (1, true, rest - 1);
    }
    for _ in 0..rest {
        let candidates =
            (0..3).filter(|&part| !is_rounded_up[part] && exact[part] - counts[part] as f64 > 1e-9);
        let deficit = |part: &usize| due[*part] - counts[*part] as f64;
        // Ties go to the first part: `max_by` returns the last maximum.
        let next = candidates.rev().max_by(|a, b| deficit(a).total_cmp(&deficit(b))).unwrap_or(0);
        counts[next] += 1;
        is_rounded_up[next] = true;
    }
    if n > 0 && counts[0] == 0 {
        // All shares are integers, and that of training is 0: move a sample from the largest part.
        let largest = if counts[2] > counts[1] { 2 } else { 1 };
        counts[largest] -= 1;
        counts[0] = 1;
    }
    counts
}

fn check(ratios: [f64; 3]) -> Result<()> {
    let sum: f64 = ratios.iter().sum();
    let is_valid = ratios.iter().all(|ratio| (0.0..=1.0).contains(ratio)) && (sum - 1.0).abs() < 1e-6;
    if is_valid && ratios[0] > 0.0 {
        return Ok(());
    }
    let expected =
        "shares of training, validation and test data from 0 to 1 that sum to 1, with training above 0";
    Err(Error::Setting { name: "split", expected: expected.into(), got: format!("{ratios:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(parts: &[Vec<usize>; 3]) -> [usize; 3] {
        [parts[0].len(), parts[1].len(), parts[2].len()]
    }

    #[test]
    fn parts_have_their_shares_and_all_samples() {
        let check = |n: usize, ratios, expected: [usize; 3]| {
            let parts = random_split(n, ratios, 1).unwrap();
            assert_eq!(counts(&parts), expected, "{n} by {ratios:?}");
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        };
        check(100, DEFAULT_RATIOS, [70, 10, 20]);
        check(10, DEFAULT_RATIOS, [7, 1, 2]);
        check(11, DEFAULT_RATIOS, [8, 1, 2]);
        check(30, DEFAULT_RATIOS, [21, 3, 6]);
        check(1, DEFAULT_RATIOS, [1, 0, 0]);
        check(2, [0.1, 0.0, 0.9], [1, 0, 1]);
        check(10, [0.01, 0.5, 0.49], [1, 5, 4]);
        check(7, [1.0, 0.0, 0.0], [7, 0, 0]);
        check(9, [0.5, 0.0, 0.5], [5, 0, 4]);
    }

    #[test]
    fn stratified_split_preserves_class_proportions() {
        for (n_each, seed) in [(vec![374, 370, 372, 374], 0), (vec![5, 1, 900, 33], 7), (vec![1; 40], 3)] {
            let classes: Vec<usize> =
                n_each.iter().enumerate().flat_map(|(class, &n)| vec![class; n]).collect();
            let parts = stratified_split(&classes, DEFAULT_RATIOS, seed).unwrap();
            for (class, &n) in n_each.iter().enumerate() {
                let of_class =
                    parts.each_ref().map(|part| part.iter().filter(|&&i| classes[i] == class).count());
                assert_eq!(of_class.iter().sum::<usize>(), n);
                assert!(of_class[0] >= 1, "class {class} is not in training");
                for (count, ratio) in of_class.iter().zip(DEFAULT_RATIOS) {
                    assert!((*count as f64 - ratio * n as f64).abs() < 1.0 || n == 1, "{of_class:?}");
                }
            }
        }
    }

    #[test]
    fn rounding_errors_of_small_classes_compensate() {
        let classes: Vec<usize> = (0..300).map(|index| index / 3).collect();
        let parts = stratified_split(&classes, DEFAULT_RATIOS, 5).unwrap();
        assert_eq!(counts(&parts), [210, 30, 60]);
    }

    #[test]
    fn split_depends_only_on_the_seed() {
        let classes: Vec<usize> = (0..200).map(|index| index % 3).collect();
        let split = |seed| stratified_split(&classes, DEFAULT_RATIOS, seed).unwrap();
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
        assert!(split(1).iter().all(|part| part.is_sorted()));
        // Pinned: different numbers would change the splits of existing runs.
        assert_eq!(random_split(10, DEFAULT_RATIOS, 42).unwrap()[2], [0, 7]);
    }

    #[test]
    fn rejects_invalid_ratios() {
        let bad = [[0.7, 0.1, 0.1], [0.0, 0.5, 0.5], [1.2, -0.2, 0.0], [f64::NAN, 0.5, 0.5], [0.7, 0.2, 0.2]];
        for ratios in bad {
            let message = random_split(10, ratios, 0).unwrap_err().to_string();
            assert!(message.starts_with("split: expected shares"), "{message}");
        }
        assert!(matches!(stratified_split(&[], DEFAULT_RATIOS, 0), Err(Error::Dataset(_))));
    }

    #[test]
    fn stratified_folds_have_equal_sizes_and_class_proportions() {
        for (n_each, n_folds) in [(vec![374, 370, 372], 5), (vec![7, 9, 900, 33], 7), (vec![5; 13], 3)] {
            let classes: Vec<usize> =
                n_each.iter().enumerate().flat_map(|(class, &n)| vec![class; n]).collect();
            let folds = stratified_k_fold(&classes, n_folds, 1).unwrap();
            let mut all = folds.concat();
            all.sort_unstable();
            assert_eq!(all, (0..classes.len()).collect::<Vec<_>>());
            let spread = |counts: Vec<usize>| counts.iter().max().unwrap() - counts.iter().min().unwrap();
            assert!(spread(folds.iter().map(Vec::len).collect()) <= 1, "{n_each:?}");
            for class in 0..n_each.len() {
                let of_class = |fold: &Vec<usize>| fold.iter().filter(|&&i| classes[i] == class).count();
                assert!(spread(folds.iter().map(of_class).collect()) <= 1, "class {class} of {n_each:?}");
            }
        }
    }

    #[test]
    fn folds_depend_only_on_the_seed() {
        let classes: Vec<usize> = (0..40).map(|index| index % 3).collect();
        let folds = |seed| stratified_k_fold(&classes, 4, seed).unwrap();
        assert_eq!(folds(1), folds(1));
        assert_ne!(folds(1), folds(2));
        assert!(folds(1).iter().all(|fold| fold.is_sorted()));
    }

    #[test]
    fn rejects_more_folds_than_samples_of_a_class() {
        let check = |classes: &[usize], n_folds, expected: &str| {
            let error = stratified_k_fold(classes, n_folds, 0).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let few = [0, 0, 0, 0, 1, 1, 1];
        check(&few, 1, "n_folds: expected 2 to 3 folds (the rarest class has 3 samples), got 1");
        check(&few, 4, "n_folds: expected 2 to 3 folds (the rarest class has 3 samples), got 4");
        check(&[0, 0, 1], 2, "n_folds: expected at least 2 samples of each class, got 2");
        check(&[], 2, "expected samples to split, got none");
    }
}
