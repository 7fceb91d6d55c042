//! The columns of text, label, domain and id: chosen by name and by content.

use serde::Serialize;

use super::labels::are_known_labels;
use super::names::{Role, role_of};
use super::profile::Profile;
use super::{Assumption, Confidence};

/// Ratio of the mean lengths of two texts above which the longer one is chosen.
const MIN_LENGTH_RATIO: f64 = 1.5;
/// Maximum number of distinct values of a label column that is chosen by content alone.
const MAX_LABELS_BY_CONTENT: usize = 10;

/// The choice of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "choice")]
pub enum ColumnChoice {
    /// A column.
    Found(Assumption<String>),
    /// Several columns, none of which is more likely.
    Ambiguous {
        /// The columns, most likely first.
        candidates: Vec<String>,
        /// What they have in common.
        reason: String,
    },
    /// No column.
    Missing {
        /// What was looked for.
        reason: String,
    },
}

impl ColumnChoice {
    /// Returns the name of the column, if one was found.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Found(assumption) => Some(&assumption.value),
            Self::Ambiguous { .. } | Self::Missing { .. } => None,
        }
    }

    fn found(profile: &Profile, confidence: Confidence, reason: String) -> Self {
        Self::Found(Assumption { value: profile.name.clone(), confidence, reason })
    }
}

/// A column with the role that its name suggests.
struct Candidate<'a> {
    profile: &'a Profile,
    role: Option<Role>,
    is_exact: bool,
}

/// The columns of a file by name and content.
pub(super) struct Columns<'a> {
    all: Vec<Candidate<'a>>,
}

impl<'a> Columns<'a> {
    /// Considers these columns; without `has_names` only their content.
    pub(super) fn new(profiles: &'a [Profile], has_names: bool) -> Self {
        let candidate = |profile: &'a Profile| {
            let named = role_of(&profile.name).filter(|_| has_names);
            Candidate {
                profile,
                role: named.map(|named| named.role),
                is_exact: named.is_some_and(|named| named.is_exact),
            }
        };
        Self { all: profiles.iter().map(candidate).collect() }
    }

    fn with_role(&self, role: Role, is_exact: Option<bool>) -> impl Iterator<Item = &Candidate<'a>> {
        self.all
            .iter()
            .filter(move |it| it.role == Some(role) && is_exact.is_none_or(|exact| it.is_exact == exact))
    }

    /// Chooses the column of the text, other than the label.
    pub(super) fn text(&self, label: Option<&str>) -> ColumnChoice {
        let free = |it: &&Candidate<'_>| Some(it.profile.name.as_str()) != label;
        let named = |role: Role| -> Vec<&Profile> {
            let named = self.with_role(role, None).filter(free).map(|it| it.profile);
            named.filter(|profile| profile.can_be_text()).collect()
        };
        let (texts, short) = (named(Role::Text), named(Role::ShortText));
        // A column with a usual name and the content of another kind, such as a `content` of ids, does not count.
        let like_texts: Vec<&Profile> = texts.iter().copied().filter(|profile| profile.is_text()).collect();
        let texts = if like_texts.is_empty() { texts } else { like_texts };
        let by_name = match (texts.is_empty(), short.is_empty()) {
            (false, _) => Some((longest(&texts), Confidence::Certain, short)),
            (true, false) => Some((longest(&short), Confidence::Likely, Vec::new())),
            (true, true) => None,
        };
        if let Some((choice, confidence, others)) = by_name {
            return match choice {
                Longest::One(profile, competing) => {
                    let mut reason = format!("named `{}`, {}", profile.name, profile.describe_texts());
                    let others: Vec<String> =
                        competing.iter().chain(&others).map(|it| format!("`{}`", it.name)).collect();
                    if !others.is_empty() {
                        reason += &format!("; preferred to {}", others.join(", "));
                    }
                    let confidence = if competing.is_empty() { confidence } else { Confidence::Likely };
                    ColumnChoice::found(profile, confidence, reason)
                }
                Longest::Tie(profiles) => tie(&profiles, "have names and lengths of texts"),
            };
        }
        let texts: Vec<&Profile> = self
            .all
            .iter()
            .filter(free)
            .filter(|it| it.role != Some(Role::Id) && it.role != Some(Role::Label))
            .map(|it| it.profile)
            .filter(|it| it.is_text())
            .collect();
        match texts.is_empty() {
            true => ColumnChoice::Missing {
                reason: "no column has a usual name, or values of several words".to_owned(),
            },
            false => match longest(&texts) {
                Longest::One(profile, _) => {
                    ColumnChoice::found(profile, Confidence::Likely, profile.describe_texts())
                }
                Longest::Tie(profiles) => tie(&profiles, "have similar lengths"),
            },
        }
    }

    /// Chooses the column of the label, other than the text.
    pub(super) fn label(&self, text: Option<&str>) -> ColumnChoice {
        let known = |it: &&Candidate<'_>| {
            are_known_labels(it.profile.values.keys())
                && it.profile.can_be_label()
                && Some(it.profile.name.as_str()) != text
        };
        let exact: Vec<&Candidate<'_>> = self
            .with_role(Role::Label, Some(true))
            .filter(|it| {
                !it.profile.is_text() && it.profile.n_values > 0 && Some(it.profile.name.as_str()) != text
            })
            .collect();
        let rules: [(Vec<&Candidate<'_>>, Confidence, &str); 5] = [
            (
                exact.iter().copied().filter(known).collect(),
                Confidence::Certain,
                "named and with values as labels",
            ),
            (exact, Confidence::Certain, "named as labels"),
            (
                self.all.iter().filter(known).collect(),
                Confidence::Certain,
                "with values that are usual labels",
            ),
            (
                self.with_role(Role::Label, Some(false))
                    .filter(|it| it.profile.can_be_sorted_label())
                    .collect(),
                Confidence::Likely,
                "named as labels",
            ),
            (
                self.with_role(Role::PossibleLabel, None)
                    .filter(|it| it.profile.can_be_sorted_label())
                    .collect(),
                Confidence::Likely,
                "named as labels, possibly",
            ),
        ];
        let found = rules.into_iter().find(|(candidates, ..)| !candidates.is_empty());
        match found {
            Some((candidates, confidence, what)) => match candidates[..] {
                [one] => ColumnChoice::found(
                    one.profile,
                    confidence,
                    describe_label(one, what.starts_with("named")),
                ),
                _ => {
                    let profiles: Vec<&Profile> = candidates.iter().map(|it| it.profile).collect();
                    tie(&profiles, &format!("are {what}"))
                }
            },
            None => self.label_by_content(),
        }
    }

    /// Chooses the only column with few values; numbers only without names, as a named number is something else.
    fn label_by_content(&self) -> ColumnChoice {
        let has_names = self.all.iter().any(|it| it.role.is_some());
        let can_be_label = |it: &&Candidate<'_>| {
            let profile = it.profile;
            let is_other = matches!(
                it.role,
                Some(Role::Domain | Role::Id | Role::Image | Role::Other | Role::Text | Role::ShortText)
            );
            let max = if profile.is_numeric() { 2 } else { MAX_LABELS_BY_CONTENT };
            !is_other
                && profile.can_be_label()
                && profile.n_distinct <= max
                && !profile.is_text()
                && !(profile.is_numeric() && has_names)
        };
        let candidates: Vec<&Profile> = self.all.iter().filter(can_be_label).map(|it| it.profile).collect();
        match candidates[..] {
            [] => ColumnChoice::Missing {
                reason: "no column has a usual name, or few distinct values".to_owned(),
            },
            [one] => ColumnChoice::found(one, Confidence::Guess, one.describe_values()),
            _ => tie(&candidates, "have few distinct values"),
        }
    }

    /// Chooses the column of the domain, by its name only.
    pub(super) fn domain(&self, taken: [Option<&str>; 2]) -> Option<Assumption<String>> {
        let candidates =
            self.with_role(Role::Domain, Some(true)).chain(self.with_role(Role::Domain, Some(false)));
        let mut candidates = candidates.map(|it| it.profile).filter(|profile| {
            let is_grouping = profile.n_distinct > 1 && profile.n_distinct * 2 <= profile.n_values.max(4);
            is_grouping && !taken.contains(&Some(profile.name.as_str()))
        });
        let profile = candidates.next()?;
        let reason = format!("named `{}`, {}", profile.name, profile.describe_values());
        Some(Assumption { value: profile.name.clone(), confidence: Confidence::Likely, reason })
    }

    /// Chooses the column of images, by its name and the extensions of its files; without a usual name, the only such column.
    pub(super) fn image(&self, taken: [Option<&str>; 2]) -> Option<Assumption<String>> {
        let is_free = |it: &&Candidate<'_>| {
            it.profile.is_image_files() && !taken.contains(&Some(it.profile.name.as_str()))
        };
        let (candidate, confidence) = match self.with_role(Role::Image, None).find(is_free) {
            Some(named) => (named, Confidence::Certain),
            None => match self.all.iter().filter(is_free).collect::<Vec<_>>()[..] {
                [one] => (one, Confidence::Likely),
                _ => return None,
            },
        };
        let reason = "paths of image files".to_owned();
        Some(Assumption { value: candidate.profile.name.clone(), confidence, reason })
    }

    /// Chooses the column of identifiers or row numbers.
    pub(super) fn id(&self, taken: [Option<&str>; 2]) -> Option<Assumption<String>> {
        let is_free = |profile: &Profile| !taken.contains(&Some(profile.name.as_str()));
        let named =
            self.with_role(Role::Id, None).map(|it| it.profile).find(|it| is_free(it) && it.n_values > 0);
        if let Some(profile) = named {
            let reason = format!("named `{}`", profile.name);
            return Some(Assumption { value: profile.name.clone(), confidence: Confidence::Certain, reason });
        }
        let profile = self
            .all
            .iter()
            .map(|it| it.profile)
            .find(|it| is_free(it) && !it.is_image_files() && (it.is_row_number() || it.is_id()))?;
        let reason = if profile.is_row_number() { "numbers the rows" } else { "all values differ" };
        Some(Assumption {
            value: profile.name.clone(),
            confidence: Confidence::Likely,
            reason: reason.to_owned(),
        })
    }
}

fn describe_label(candidate: &Candidate<'_>, is_named: bool) -> String {
    let values = candidate.profile.describe_values();
    match is_named && candidate.role.is_some() {
        true => format!("named `{}`, {values}", candidate.profile.name),
        false => format!("{values}, which are usual labels"),
    }
}

fn tie(profiles: &[&Profile], what: &str) -> ColumnChoice {
    let candidates: Vec<String> = profiles.iter().map(|it| it.name.clone()).collect();
    let names = candidates.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    ColumnChoice::Ambiguous { candidates, reason: format!("{names} {what}") }
}

enum Longest<'a> {
    /// The longest column, and shorter ones.
    One(&'a Profile, Vec<&'a Profile>),
    /// Columns of similar length.
    Tie(Vec<&'a Profile>),
}

/// Returns the column with the longest texts, unless others are about as long. There is at least one column.
fn longest<'a>(profiles: &[&'a Profile]) -> Longest<'a> {
    let mut sorted = profiles.to_vec();
    sorted.sort_by(|a, b| b.mean_characters().total_cmp(&a.mean_characters()));
    let Some((&first, others)) = sorted.split_first() else { return Longest::Tie(Vec::new()) };
    let is_close = |other: &&&Profile| other.mean_characters() * MIN_LENGTH_RATIO > first.mean_characters();
    match others.iter().any(|other| is_close(&other)) {
        true => Longest::Tie(sorted.iter().filter(is_close).copied().collect()),
        false => Longest::One(first, others.to_vec()),
    }
}
