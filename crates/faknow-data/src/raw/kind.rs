//! The known raw forms: one row per dataset.

use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::sink::Sink;
use super::{acl, fakenewsnet, mediaeval, pheme, rumoureval, weibo};
use crate::{Error, Result};

/// A dataset whose raw form can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RawKind {
    /// Twitter15 or Twitter16 in the release of Ma, Gao and Wong (ACL 2017).
    Acl2017,
    /// PHEME: rumors and non-rumors of 5 or 9 events (Zubiaga et al. 2016, Kochkina et al. 2018).
    Pheme,
    /// RumourEval 2017 or 2019, the threads from Twitter.
    RumourEval,
    /// Weibo in the release of Ma et al. (IJCAI 2016).
    Weibo,
    /// FakeNewsNet: tables by label, or downloaded directories (Shu et al. 2020).
    FakeNewsNet,
    /// The image verification corpus of MediaEval 2015 and 2016 (Boididou et al. 2018).
    MediaEval,
}

/// The classes that posts get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RawLabels {
    /// `rumor` or `non-rumor`.
    Rumor,
    /// The truth of rumors: `true`, `false` or `unverified`; posts that are not rumors have the class `non-rumor`.
    Veracity,
}

impl RawLabels {
    /// Returns the name, as in `--labels`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rumor => "rumor",
            Self::Veracity => "veracity",
        }
    }

    /// Returns the labels with this name, ignoring case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Rumor, Self::Veracity].into_iter().find(|it| it.name().eq_ignore_ascii_case(name))
    }
}

/// What is known about a raw form.
struct Form {
    kind: RawKind,
    name: &'static str,
    /// Other names, in lowercase.
    aliases: &'static [&'static str],
    /// The aliases that name one of several datasets in a release.
    parts: &'static [&'static str],
    /// The files, for messages.
    layout: &'static str,
    /// The label sets to choose from, the default first; empty if the release has only one.
    labels: &'static [RawLabels],
    /// All classes, those that are not fake first.
    classes: &'static [&'static str],
    is_form: fn(&Path) -> bool,
    read: fn(&Path, &mut Sink<'_>) -> Result<()>,
}

const FORMS: [Form; 6] = [
    Form {
        kind: RawKind::Acl2017,
        name: "acl2017",
        aliases: &["twitter15", "twitter16", "acl", "twitter1516"],
        parts: &["twitter15", "twitter16"],
        layout: "a directory with `tree/`, `label.txt` and `source_tweets.txt`",
        labels: &[],
        classes: &["non-rumor", "true", "unverified", "false"],
        is_form: acl::is_form,
        read: acl::read,
    },
    Form {
        kind: RawKind::Pheme,
        name: "pheme",
        aliases: &["pheme5", "pheme9", "rnr", "pheme-rnr"],
        parts: &[],
        layout: "a directory of events, each with `rumours/` and `non-rumours/`",
        labels: &[RawLabels::Rumor, RawLabels::Veracity],
        classes: &["non-rumor", "true", "unverified", "false", "rumor"],
        is_form: pheme::is_form,
        read: pheme::read,
    },
    Form {
        kind: RawKind::RumourEval,
        name: "rumoureval",
        aliases: &["rumoreval", "rumoureval2017", "rumoureval2019", "semeval2017-task8", "semeval2019-task7"],
        parts: &[],
        layout: "a directory with threads (`source-tweet/`, `replies/`) and key files (`train-key.json` or \
                 `rumoureval-subtaskB-train.json`)",
        labels: &[],
        classes: &["true", "unverified", "false"],
        is_form: rumoureval::is_form,
        read: rumoureval::read,
    },
    Form {
        kind: RawKind::Weibo,
        name: "weibo",
        aliases: &["weibo16", "weibo2016", "rumdect"],
        parts: &[],
        layout: "a directory with `Weibo.txt` and `Weibo/<id>.json`",
        labels: &[],
        classes: &["non-rumor", "rumor"],
        is_form: weibo::is_form,
        read: weibo::read,
    },
    Form {
        kind: RawKind::FakeNewsNet,
        name: "fakenewsnet",
        aliases: &["politifact", "gossipcop", "fnn"],
        parts: &["politifact", "gossipcop"],
        layout: "a directory with `politifact_fake.csv`, `politifact_real.csv`, `gossipcop_….csv`, or with \
                 `politifact/fake/<id>/news content.json`",
        labels: &[],
        classes: &["real", "fake"],
        is_form: fakenewsnet::is_form,
        read: fakenewsnet::read,
    },
    Form {
        kind: RawKind::MediaEval,
        name: "mediaeval",
        aliases: &["mediaeval2015", "mediaeval2016", "image-verification-corpus", "twitter-images"],
        parts: &[],
        layout: "a tab-separated file of posts (`tweets.txt`, `posts.txt`, `posts_groundtruth.txt`) or its directory",
        labels: &[],
        classes: &["real", "fake", "humor"],
        is_form: mediaeval::is_form,
        read: mediaeval::read,
    },
];

impl RawKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Acl2017, Self::Pheme, Self::RumourEval, Self::Weibo, Self::FakeNewsNet, Self::MediaEval];

    /// Returns the name, as in `faknow data prepare NAME`.
    pub fn name(self) -> &'static str {
        self.form().name
    }

    /// Returns all names of all kinds: their own names first, then the aliases.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let aliases = FORMS.iter().flat_map(|form| form.aliases.iter().copied());
        FORMS.iter().map(|form| form.name).chain(aliases)
    }

    /// Returns the kind with this name or alias, ignoring case.
    ///
    /// ```
    /// use faknow_data::raw::RawKind;
    ///
    /// assert_eq!(RawKind::from_name("Twitter16"), Some(RawKind::Acl2017));
    /// assert_eq!(RawKind::from_name("twitter17"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let has_name = |form: &&Form| form.name == name || form.aliases.contains(&name.as_str());
        FORMS.iter().find(has_name).map(|form| form.kind)
    }

    /// Returns the names of the datasets of a release that has several: `twitter15` and `twitter16` of ACL 2017.
    pub fn parts(self) -> &'static [&'static str] {
        self.form().parts
    }

    /// Returns the files of the raw form, for messages.
    pub fn layout(self) -> &'static str {
        self.form().layout
    }

    /// Returns the label sets to choose from, the default first; empty if the release has only one.
    pub fn labels(self) -> &'static [RawLabels] {
        self.form().labels
    }

    /// Returns all classes that may occur, those that are not fake first.
    pub fn classes(self) -> &'static [&'static str] {
        self.form().classes
    }

    pub(super) fn is_form_of(self, path: &Path) -> bool {
        (self.form().is_form)(path)
    }

    pub(super) fn read(self, path: &Path, sink: &mut Sink<'_>) -> Result<()> {
        (self.form().read)(path, sink)
    }

    /// Returns the error that a path does not have the form of this kind.
    pub(super) fn mismatch(self, path: &Path, found: &str) -> Error {
        Error::file(path, format!("{self}: expected {}, got {found}", self.layout()))
    }

    fn form(self) -> &'static Form {
        let row = FORMS.iter().find(|form| form.kind == self);
        row.unwrap_or(&FORMS[0])
    }
}

impl fmt::Display for RawKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for RawKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row_and_unique_names() {
        let kinds: Vec<_> = FORMS.iter().map(|form| form.kind).collect();
        assert_eq!(kinds, RawKind::ALL);
        let mut names: Vec<&str> = RawKind::names().collect();
        for name in &names {
            assert!(RawKind::from_name(&name.to_uppercase()).is_some(), "{name}");
            assert_eq!(*name, name.to_lowercase());
        }
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
