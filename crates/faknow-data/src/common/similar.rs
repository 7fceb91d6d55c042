//! Suggestions for misspelled names.

/// Returns the most similar of the known names, if at most a third of it must be edited.
///
/// ```
/// use faknow_data::common::most_similar;
///
/// assert_eq!(most_similar("textcn", ["bigcn", "textcnn"]), Some("textcnn"));
/// assert_eq!(most_similar("bert", ["bigcn", "textcnn"]), None);
/// ```
pub fn most_similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|it| (strsim::damerau_levenshtein(name, it), it));
    let (distance, similar) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= similar.chars().count()).then_some(similar)
}
