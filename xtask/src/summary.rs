//! Counting tests: what `cargo nextest` and `cargo test` write at their end, added up.

use std::fmt;

use anyhow::Result;

/// How many tests and checks passed, and how many failed, timed out, or could not be built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub passed: usize,
    pub failed: usize,
}

impl Summary {
    /// Returns the counts in the output of a test runner.
    ///
    /// A runner that fails without a failed test, as when the tests do not compile, counts as one failure.
    pub fn of_run(written: &str, success: bool) -> Self {
        let lines: Vec<String> = written.lines().map(|line| without_colors(line).trim().to_owned()).collect();
        // nextest also shows the output of single tests, in which each counts itself once more.
        let nextest = lines.iter().filter_map(|line| {
            let (_, counts) = line.strip_prefix("Summary [")?.split_once(" run: ")?;
            Some((counts, [" passed", " failed", " timed out", " exec failed"].as_slice()))
        });
        let libtest = lines.iter().filter_map(|line| {
            Some((line.strip_prefix("test result: ")?, [" passed;", " failed;"].as_slice()))
        });
        let counts: Vec<_> = nextest.collect();
        let counts = if counts.is_empty() { libtest.collect() } else { counts };
        let mut summary = Self::default();
        for (counts, words) in counts {
            summary.passed += number_before(counts, words[0]);
            summary.failed += words[1..].iter().map(|word| number_before(counts, word)).sum::<usize>();
        }
        if !success && summary.failed == 0 {
            summary.failed = 1;
        }
        summary
    }

    /// Returns the counts of one check and prints why it failed.
    pub fn of_check(name: &str, outcome: Result<()>) -> Self {
        match outcome {
            Ok(()) => Self { passed: 1, failed: 0 },
            Err(error) => {
                eprintln!("{name}: {error:#}");
                Self { passed: 0, failed: 1 }
            }
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Returns the number right before a word, or 0: 10 before " passed" in `x: 10 passed`.
fn number_before(text: &str, word: &str) -> usize {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Returns a line without terminal colors: escape, bracket, numbers, and a letter at the end of each.
fn without_colors(line: &str) -> String {
    let (plain, colored) = line.split_once('\u{1b}').unwrap_or((line, ""));
    let ends = colored.split('\u{1b}').map(|part| part.split_once(|c: char| c.is_ascii_alphabetic()));
    ends.fold(plain.to_owned(), |text, end| text + end.map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_both_runners() {
        let check = |written: &str, success: bool, passed: usize, failed: usize| {
            assert_eq!(Summary::of_run(written, success), Summary { passed, failed }, "{written}");
        };
        check("     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped\n", true, 3, 0);
        check(
            "  Summary [ 1.0s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 7 skipped",
            false,
            2,
            2,
        );
        check("  Summary [ 0.1s] 1 test run: 0 passed, 1 exec failed, 0 skipped", false, 0, 1);
        check("  Summary [ 0.1s] 3/8 tests run: 2 passed, 1 failed, 0 skipped", false, 2, 1);
        let (bold, green, plain) = ("\u{1b}[1m", "\u{1b}[32;1m", "\u{1b}[0m");
        let colored = format!(
            "{green}  Summary{plain} [ 0.1s] {bold}3{plain} tests run: {bold}3{plain} {green}passed{plain}"
        );
        check(&colored, true, 3, 0);
        let line =
            "test result: ok. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        check(&format!("running 3 tests\n{line}{line}"), false, 6, 2);
        // What nextest shows of single tests does not count twice.
        check(&format!("{line}  Summary [ 0.1s] 2 tests run: 1 passed, 1 failed\n{line}"), false, 1, 1);
        // A failure without a failed test.
        check("error: could not compile `faknow`\n", false, 0, 1);
        check("test result: ok. 5 passed; 0 failed; 0 ignored\nerror: other\n", false, 5, 1);
        check("", true, 0, 0);
        check("the words 3 passed, 2 failed in a test's output\n", true, 0, 0);
    }

    #[test]
    fn the_plain_line() {
        let mut summary = Summary::of_check("x", Ok(()));
        summary.add(Summary::of_check("x", Err(anyhow::anyhow!("y"))));
        summary.add(Summary { passed: 40, failed: 0 });
        assert_eq!(summary.to_string(), "41 passed, 1 failed");
    }
}
