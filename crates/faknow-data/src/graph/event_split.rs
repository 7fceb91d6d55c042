//! Splits by event: trees of one event are near-duplicates, so that a random split leaks training data into the test data.

use std::collections::BTreeMap;

use crate::{Error, Result, Rng};

/// Splits samples into training, validation and test indices, in ascending order, so that no event is in two parts.
///
/// A sample without an event is treated as a separate event. For every class, the sizes of the parts are as close to `ratios`
/// (which must sum to 1) as complete events allow; the assignment of events is a function of `seed`.
///
/// # Errors
/// `ratios` are not shares that sum to 1, or the lists differ in length.
pub fn event_split(
    events: &[Option<&str>],
    labels: &[usize],
    ratios: [f64; 3],
    seed: u64,
) -> Result<[Vec<usize>; 3]> {
    if ratios.iter().any(|ratio| !(0.0..=1.0).contains(ratio))
        || (ratios.iter().sum::<f64>() - 1.0).abs() > 1e-6
    {
        return Err(Error::Setting {
            name: "ratios",
            expected: "shares from 0 to 1 that sum to 1".to_owned(),
            got: format!("{ratios:?}"),
        });
    }
    let parts = distribute(events, labels, &ratios, seed)?;
    let mut parts = parts.into_iter();
    Ok(std::array::from_fn(|_| parts.next().unwrap_or_default()))
}

/// Splits samples into `k` folds of similar size so that no event is in two folds; see [`event_split`].
///
/// # Errors
/// There are fewer than 2 folds, or fewer events than folds, or the lists differ in length.
pub fn event_k_fold(
    events: &[Option<&str>],
    labels: &[usize],
    k: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    if k < 2 {
        let (expected, got) = ("at least 2".to_owned(), k.to_string());
        return Err(Error::Setting { name: "folds", expected, got });
    }
    let folds = distribute(events, labels, &vec![1.0 / k as f64; k], seed)?;
    match folds.iter().position(Vec::is_empty) {
        Some(_) => Err(Error::Dataset(format!("expected at least {k} events, one per fold, got fewer"))),
        None => Ok(folds),
    }
}

/// Assigns each event, largest first, to the part with the largest deficit in the classes of the event.
fn distribute(
    events: &[Option<&str>],
    labels: &[usize],
    ratios: &[f64],
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    if events.len() != labels.len() {
        return Err(Error::Dataset(format!(
            "expected one event per label ({}), got {}",
            labels.len(),
            events.len()
        )));
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of_event: BTreeMap<&str, usize> = BTreeMap::new();
    for (sample, event) in events.iter().enumerate() {
        match event.map(|event| *group_of_event.entry(event).or_insert(groups.len())) {
            Some(group) if group < groups.len() => groups[group].push(sample),
            _ => groups.push(vec![sample]),
        }
    }
    Rng::from_parts(&[seed, 0xe7e7]).shuffle(&mut groups);
    groups.sort_by_key(|group| std::cmp::Reverse(group.len())); // stable: groups of equal size stay shuffled
    let n_classes = labels.iter().max().map_or(0, |&largest| largest + 1);
    let mut totals = vec![0.0; n_classes];
    labels.iter().for_each(|&label| totals[label] += 1.0);
    // The number of samples of each class that each part still lacks.
    let mut deficits: Vec<Vec<f64>> =
        ratios.iter().map(|ratio| totals.iter().map(|total| ratio * total).collect()).collect();
    let mut parts = vec![Vec::new(); ratios.len()];
    for group in groups {
        // A part with ratio 0 stays empty.
        let score = |part: usize| -> f64 {
            let deficit = group.iter().map(|&sample| deficits[part][labels[sample]]).sum::<f64>();
            if ratios[part] > 0.0 { deficit / ratios[part] } else { f64::NEG_INFINITY }
        };
        let best =
            (1..ratios.len()).fold(0, |best, part| if score(part) > score(best) { part } else { best });
        group.iter().for_each(|&sample| deficits[best][labels[sample]] -= 1.0);
        parts[best].extend(group);
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Vec<Option<&'static str>>, Vec<usize>) {
        const NAMES: [&str; 40] = {
            let mut names = [""; 40];
            let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
            let mut index = 0;
            while index < 40 {
                names[index] = letters.split_at(index).1.split_at(1).0;
                index += 1;
            }
            names
        };
        let mut events = Vec::new();
        let mut labels = Vec::new();
        for (number, &name) in NAMES.iter().enumerate() {
            for _ in 0..=number % 7 {
                events.push(Some(name));
                labels.push(number % 2);
            }
        }
        events.extend([None; 40]);
        labels.extend((0..40).map(|index| index % 2));
        (events, labels)
    }

    #[test]
    fn no_event_is_in_two_parts_and_class_sizes_follow_the_ratios() {
        let (events, labels) = example();
        let parts = event_split(&events, &labels, [0.6, 0.15, 0.25], 3).unwrap();
        let mut seen: Vec<usize> = parts.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..labels.len()).collect::<Vec<_>>());
        for (part, ratio) in parts.iter().zip([0.6, 0.15, 0.25]) {
            for class in 0..2 {
                let n_of_class =
                    |samples: &[usize]| samples.iter().filter(|&&s| labels[s] == class).count() as f64;
                let all: Vec<usize> = (0..labels.len()).collect();
                let share = n_of_class(part) / n_of_class(&all);
                assert!((share - ratio).abs() < 0.04, "{share} {ratio}");
            }
            let event_names = |part: &Vec<usize>| {
                part.iter().filter_map(|&s| events[s]).collect::<std::collections::HashSet<_>>()
            };
            let others = parts.iter().filter(|other| *other != part);
            assert!(others.into_iter().all(|other| event_names(part).is_disjoint(&event_names(other))));
        }
        assert_eq!(parts, event_split(&events, &labels, [0.6, 0.15, 0.25], 3).unwrap());
        assert_ne!(parts, event_split(&events, &labels, [0.6, 0.15, 0.25], 4).unwrap());
        assert!(event_split(&events, &labels, [1.0, 0.0, 0.0], 3).unwrap()[1].is_empty());
    }

    #[test]
    fn folds_have_similar_sizes_and_invalid_settings_are_rejected() {
        let (events, labels) = example();
        let folds = event_k_fold(&events, &labels, 5, 0).unwrap();
        let mean_size = labels.len() / 5;
        assert!(
            folds.iter().all(|fold| fold.len().abs_diff(mean_size) <= 3),
            "{:?}",
            folds.iter().map(Vec::len).collect::<Vec<_>>()
        );
        let error = |result: Result<Vec<Vec<usize>>>| result.unwrap_err().to_string();
        assert_eq!(error(event_k_fold(&events, &labels, 1, 0)), "folds: expected at least 2, got 1");
        let few = [Some("a"), Some("a"), Some("b")];
        assert_eq!(
            error(event_k_fold(&few, &[0, 1, 0], 3, 0)),
            "expected at least 3 events, one per fold, got fewer"
        );
        assert!(event_split(&events, &labels, [0.5, 0.5, 0.5], 0).is_err());
    }
}
