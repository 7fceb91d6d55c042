//! Severity and advice of each kind of problem.

use std::fmt;

use serde::Serialize;

use crate::inspect::ProblemKind;

/// The effect of a problem on the result of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training fails, or its result is worthless.
    Error,
    /// The result may be worse, or seem better than it is.
    Warning,
    /// Something to know, without an effect on the result.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

use ProblemKind as K;
use Severity::{Error, Note, Warning};

/// All kinds, most severe first.
const KINDS: &[(ProblemKind, Severity, &str)] = &[
    (K::Unreadable, Error, "fix or delete these records"),
    (K::BrokenRecords, Error, "fix or delete these records, or skip them with --skip-broken"),
    (
        K::ShiftedRows,
        Error,
        "quote fields that contain the separator, or delete the columns that the file does not need",
    ),
    (K::NoTextColumn, Error, "name the column of the text with --text"),
    (
        K::NoLabelColumn,
        Error,
        "name the column with --label, or give the label of each file: --train real=a.csv,fake=b.csv",
    ),
    (
        K::NoText,
        Error,
        "select another column or several with --text, or skip these records with --skip-broken",
    ),
    (
        K::MissingImageFiles,
        Error,
        "give paths relative to the file or to --image-dir, or set image.on_problem=missing to read these posts without an image",
    ),
    (K::NotImages, Error, "download the images again, or set image.on_problem=missing"),
    (K::UnsupportedImages, Error, "convert them to JPEG or PNG, or set image.on_problem=missing"),
    (K::BrokenImages, Error, "download the images again, or set image.on_problem=missing"),
    (
        K::LargeImages,
        Error,
        "increase image.max_pixels, make the images smaller, or set image.on_problem=missing",
    ),
    (K::NoLabel, Error, "label these records, or skip them with --skip-broken; prediction needs no labels"),
    (K::UnknownLabels, Error, "map these values to classes: --classes 'real=true|1,fake=false|0'"),
    (K::ManyLabels, Error, "select the label column with --label"),
    (K::EmptyClass, Error, "remove the class from --classes, or add records of it"),
    (K::NotTexts, Error, "select the column of the text with --text"),
    (K::IdenticalTexts, Error, "select the column of the text with --text"),
    (K::SameFile, Error, "use different files for training, validation and test"),
    (K::Leak, Warning, "remove these records from the training file: they inflate test scores"),
    (
        K::LabelInText,
        Warning,
        "remove the word from the texts: a model learns the word instead of the content",
    ),
    (K::NumericLabels, Warning, "name the classes, since a score of class `1` has no meaning"),
    (K::UncertainColumn, Warning, "name the columns with --text and --label"),
    (K::ConflictingLabels, Warning, "choose one label for each text"),
    (K::Duplicates, Warning, "keep one copy of each before splitting the file"),
    (K::EmptyTexts, Warning, "delete these records: the model has no input for them"),
    (K::Mojibake, Warning, "convert the original file again, with its encoding; see --encoding"),
    (K::MixedLineEnds, Warning, "write the file again with one kind of line break"),
    (
        K::Imbalance,
        Warning,
        "set trainer.monitor=f1_macro, and loss.class_weights=balanced or loader.balanced=true",
    ),
    (
        K::OneSidedDomains,
        Warning,
        "test on domains that are not in the training data: the model may learn the domain instead of the content",
    ),
    (
        K::DomainImbalance,
        Warning,
        "compare the results per domain in the report: the largest domain dominates the overall scores",
    ),
    (K::LeakyColumn, Note, "only the text column is used; do not add this column to the text"),
    (K::GroupedRecords, Note, "test on groups that are not in the training data: use separate files"),
    (K::InvisibleNames, Note, "remove the characters from the header"),
    (K::InvisibleCharacters, Note, "normalize the texts, as text.normalize_unicode does"),
    (K::OtherSeparator, Note, "nothing to do: the separator is recognized, or given with --delimiter"),
    (K::NoHeader, Note, "nothing to do: columns are numbered from 1 with --no-header"),
    (K::PlainQuotes, Note, "nothing to do: quotes are read as plain text with --no-quotes"),
    (K::RowNumbers, Note, "nothing to do: the column is not used"),
    (K::LongTexts, Note, "texts are truncated after text.max_length tokens; increase it if the end matters"),
    (K::HtmlEscapes, Note, "replace them with the characters that they represent"),
];

impl ProblemKind {
    /// Returns the effect of such a problem on training.
    pub fn severity(self) -> Severity {
        row(self).map_or(Warning, |(_, severity, _)| *severity)
    }

    /// Returns how to fix such a problem.
    pub fn advice(self) -> &'static str {
        row(self).map_or("", |(.., advice)| advice)
    }

    /// Returns the position in the order of severity.
    pub(super) fn rank(self) -> usize {
        KINDS.iter().position(|(kind, ..)| *kind == self).unwrap_or(KINDS.len())
    }

    /// Returns all kinds, most severe first.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }
}

fn row(kind: ProblemKind) -> Option<&'static (ProblemKind, Severity, &'static str)> {
    KINDS.iter().find(|(other, ..)| *other == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_every_kind_once_in_the_order_of_severity() {
        assert!(KINDS.is_sorted_by_key(|(_, severity, _)| *severity));
        for (kind, severity, advice) in KINDS {
            assert_eq!(KINDS.iter().filter(|(other, ..)| other == kind).count(), 1, "{kind:?}");
            assert_eq!((kind.severity(), kind.advice()), (*severity, *advice));
            assert!(!advice.is_empty() && !advice.ends_with('.'), "{kind:?}");
        }
        // The last variant of the enum: its position is the number of the others.
        assert_eq!(KINDS.len(), K::HtmlEscapes as usize + 1);
    }
}
