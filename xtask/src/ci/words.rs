//! The words that this project does not use, and what to write instead: one list for code and prose.
//!
//! This file and the places in [`EXEMPT`] may contain them.

/// A word or phrase that is not used.
struct Banned {
    /// Lowercase; a trailing `*` matches any ending. Words of a phrase are separated by single spaces.
    phrase: &'static str,
    /// What to write instead.
    instead: &'static str,
    /// Longer phrases that contain this one and are fine.
    except: &'static [&'static str],
}

const fn ban(phrase: &'static str, instead: &'static str) -> Banned {
    Banned { phrase, instead, except: &[] }
}

const fn ban_except(phrase: &'static str, instead: &'static str, except: &'static [&'static str]) -> Banned {
    Banned { phrase, instead, except }
}

const THERE: &[&str] =
    &["there is no", "there are no", "is no longer", "are no longer", "is no more", "are no more"];

/// Not the field's terms, or not plain English.
const WORDS: &[Banned] = &[
    ban("judg*", "predict, classify, evaluate"),
    ban("go on", "continue, resume"),
    ban("goes on", "continues, resumes"),
    ban("going on", "continuing, resuming"),
    ban("went on", "continued, resumed"),
    ban("gone on", "continued, resumed"),
    ban("begin", "start"),
    ban("begins", "starts"),
    ban("beginning", "start, first"),
    ban("begun", "started"),
    ban("began", "started"),
    ban("beside", "next to, besides, in addition to"),
    ban("behind", "after, following"),
    ban("anew", "again, from scratch"),
    ban("so many", "n, as many as"),
    ban("answer*", "return, respond; response, result"),
    ban("told", "given, passed, notified"),
    ban("tell", "say, report, notify"),
    ban("tells", "says, reports, notifies"),
    ban("telling", "reporting, notifying"),
    ban("hear", "receive, be notified"),
    ban("hears", "receives, is notified"),
    ban("heard", "received, notified"),
    ban("kept", "retained, saved, stored; `keep` as a verb is fine"),
    ban("is none", "is not one, there is no X"),
    ban("are none", "are not, there are no X"),
    ban_except("is no", "is not a X, no X found", THERE),
    ban_except("are no", "are not X, no X found", THERE),
    ban("whoever", "name the person or part"),
    ban("nobody", "name who; no caller, no one"),
    ban("for who", "for users who"),
    ban("who comes", "users coming from"),
    ban("by heart", "memorize"),
    ban("mend*", "fix, repair"),
    ban("damage*", "corrupt, corrupted"),
    ban("in good order", "gracefully, consistent"),
    ban("put back", "restore, restored"),
    ban("puts back", "restores"),
    ban("cut", "truncate, split, tokenize, interrupt"),
    ban("cuts", "truncates, splits, tokenizes"),
    ban("cutting", "truncating, splitting, tokenizing"),
    ban("cut off", "truncated, interrupted"),
    ban("whole", "entire, complete, full"),
    ban("at once", "immediately, at the same time"),
    ban("word for word", "verbatim, step by step"),
    ban("of ours", "our own, of this project"),
    ban("of its own", "its own, separate, custom"),
    ban("of their own", "their own, separate"),
    ban("of your own", "your own, custom"),
    ban("of one's own", "custom, separate"),
    ban("truth value", "boolean"),
    ban("truth values", "booleans"),
    ban("small letters", "lowercase"),
    ban("word number", "token id"),
    ban("word numbers", "token ids"),
    ban_except("stands", "is", &["stands for"]),
    ban("folder", "directory; `dir` in identifiers"),
    ban("folders", "directories; `dirs` in identifiers"),
    ban_except("ending", "extension (of a file), suffix", &["line ending"]),
    ban_except("endings", "extensions (of files), suffixes", &["line endings"]),
    ban("likeness", "similarity"),
    ban("nothing but", "only"),
    ban("for ever", "forever, without limit"),
    ban("till", "until"),
    ban("one a", "one per"),
    ban("seldom", "rarely"),
    ban("forerunner", "predecessor"),
    ban("surest", "most confident"),
    ban("page for people", "HTML report"),
    ban("given away", "distributed"),
    ban("take along", "export, deploy"),
    ban("hyper parameter*", "hyperparameter"),
    ban("data set", "dataset"),
    ban("data sets", "datasets"),
    ban_except(
        "deviation",
        "standard deviation",
        &["standard deviation", "mean deviation", "absolute deviation", "standard deviations"],
    ),
];

/// British spellings.
const SPELLINGS: &[Banned] = &[
    ban("behaviour*", "behavior"),
    ban("colour*", "color"),
    ban("neighbour*", "neighbor"),
    ban("favour*", "favor"),
    ban("honour*", "honor"),
    ban("labelled", "labeled"),
    ban("labelling", "labeling"),
    ban("unlabelled", "unlabeled"),
    ban("modelled", "modeled"),
    ban("modelling", "modeling"),
    ban("cancelled", "canceled"),
    ban("learnt", "learned"),
    ban("licence*", "license"),
    ban("grey*", "gray"),
    ban("centre*", "center"),
    ban("artefact*", "artifact"),
    ban("catalogue*", "catalog"),
    ban("analyse*", "analyze"),
    ban("normalis*", "normalize"),
    ban("initialis*", "initialize"),
    ban("minimis*", "minimize"),
    ban("maximis*", "maximize"),
    ban("optimis*", "optimize"),
    ban("organis*", "organize"),
    ban("serialis*", "serialize"),
    ban("deserialis*", "deserialize"),
    ban("standardis*", "standardize"),
    ban("regularis*", "regularize"),
    ban("summaris*", "summarize"),
    ban("recognis*", "recognize"),
    ban("memoris*", "memorize"),
    ban("tokenis*", "tokenize"),
    ban("synchronis*", "synchronize"),
    ban("generalis*", "generalize"),
    ban("visualis*", "visualize"),
    ban("randomis*", "randomize"),
    ban("utilis*", "use"),
];

/// Words that are quoted on purpose: (start of the file's path, phrase, reason).
const EXEMPT: &[(&str, &str, &str)] = &[
    ("xtask/src/ci/words.rs", "", "the list itself"),
    (".ci/run", "cut", "the Unix program"),
    (
        "crates/faknow-data/src/synth/language.rs",
        "",
        "words of the synthetic corpus, on which results depend",
    ),
    ("crates/faknow-data/src/text/tokenize.rs", "cut", "a method of jieba-rs"),
    ("crates/faknow-metrics/src/mean_std.rs", "deviation", "a key of JSON outputs"),
    ("crates/faknow-cli/src/cv.rs", "deviation", "a key of JSON outputs"),
    ("crates/faknow-cli/tests/it/selection.rs", "deviation", "a key of JSON outputs"),
    ("docs/cli.md", "deviation", "a key of JSON outputs"),
    ("docs/migration.md", "data set", "names of FaKnow's classes"),
    ("docs/tuning.md", "deviation", "a key of JSON outputs"),
];

/// Returns the banned words of a line, each with its replacement.
pub fn faults(file: &str, line: &str) -> Vec<String> {
    let is_exempt = |phrase: &str| {
        EXEMPT.iter().any(|(path, word, _)| file.starts_with(path) && (word.is_empty() || *word == phrase))
    };
    if is_exempt("") {
        return Vec::new();
    }
    // The method of `Option` is not a phrase.
    let text = normalized(&line.replace(".is_none", "").replace("::is_none", ""));
    let banned = WORDS.iter().chain(SPELLINGS).filter(|it| it.is_in(&text) && !is_exempt(it.phrase));
    banned.map(|it| format!("`{}` is not used here; write: {}", it.phrase, it.instead)).collect()
}

impl Banned {
    fn is_in(&self, text: &str) -> bool {
        let mut text = std::borrow::Cow::Borrowed(text);
        for fine in self.except {
            text = text.replace(&format!(" {fine} "), "  ").into();
        }
        match self.phrase.strip_suffix('*') {
            Some(stem) => text.contains(&format!(" {stem}")),
            None => text.contains(&format!(" {} ", self.phrase)),
        }
    }
}

/// Returns the words of a line in lowercase, each between single spaces, with `|` for punctuation. Identifiers are
/// split into their words, also those in camel case.
fn normalized(line: &str) -> String {
    let mut text = String::from(" ");
    let mut last = ' ';
    for c in line.chars() {
        if c.is_uppercase() && last.is_lowercase() {
            text.push(' ');
        }
        if c.is_alphanumeric() || c == '\'' {
            text.extend(c.to_lowercase());
        } else {
            if !text.ends_with(' ') {
                text.push(' ');
            }
            // No phrase goes across punctuation.
            if !c.is_whitespace() && c != '_' && c != '-' {
                text.push_str("| ");
            }
        }
        last = c;
    }
    text.push(' ');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let found = faults("docs/a.md", line);
        let found: Vec<&str> = found.iter().filter_map(|it| it.split('`').nth(1)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn every_entry_is_found_in_prose_and_in_identifiers() {
        for banned in WORDS.iter().chain(SPELLINGS) {
            let word = banned.phrase.trim_end_matches('*');
            for line in [format!("x {word}, y"), format!("fn a_{}() {{", word.replace(' ', "_"))] {
                let found = faults("docs/a.md", &line);
                assert!(found.iter().any(|it| it.contains(banned.instead)), "{line}: {found:?}");
            }
            assert!(!banned.instead.is_empty() && banned.phrase == banned.phrase.to_lowercase());
        }
    }

    #[test]
    fn matches_words_and_not_parts_of_words() {
        check("The run goes on.", &["goes on"]);
        check("struct RunFolder;", &["folder"]);
        check("Judged posts", &["judg*"]);
        check("a shortcut, wholesale, appending", &[]);
        check("what is no model", &["is no"]);
        check("no word, number or option.is_none()", &[]);
        check("there is no model, and it is no longer there", &[]);
        check("mean and deviation", &["deviation"]);
        check("mean and standard deviation", &[]);
        assert!(faults("xtask/src/ci/words.rs", "judge").is_empty());
    }
}
