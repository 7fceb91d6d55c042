//! Counting tests: what `cargo nextest` and `cargo test` say at their end, added up to one plain line.

use std::fmt;

use anyhow::Result;

use crate::process::Failed;

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests and checks that passed.
    pub passed: usize,
    /// Tests and checks that failed, timed out, or could not be built.
    pub failed: usize,
}

impl Summary {
    /// The counts in what a test runner wrote.
    ///
    /// A runner that fails without a failed test, as when the tests do not compile, counts as one failure.
    pub fn of_run(written: &str, success: bool) -> Self {
        let lines: Vec<String> = written.lines().map(|line| without_colors(line).trim().to_owned()).collect();
        // nextest shows the output of single tests too, in which each counts itself once more.
        let of_nextest: Vec<Self> = lines.iter().filter_map(|line| nextest_counts(line)).collect();
        let counts = match of_nextest.is_empty() {
            true => lines.iter().filter_map(|line| libtest_counts(line)).collect(),
            false => of_nextest,
        };
        let mut summary = Self::default();
        counts.into_iter().for_each(|it| summary.add(it));
        if !success && summary.failed == 0 {
            summary.failed = 1;
        }
        summary
    }

    /// One check that passed or failed.
    pub fn of_check(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }

    /// Prints the plain last line of a task, and answers whether the task succeeded.
    pub fn conclude(self) -> Result<()> {
        println!("{self}");
        if self.failed > 0 { Err(Failed.into()) } else { Ok(()) }
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

/// nextest: `Summary [   1.5s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped`.
fn nextest_counts(line: &str) -> Option<Summary> {
    let (_, counts) = line.strip_prefix("Summary [")?.split_once(" run: ")?;
    Some(Summary {
        passed: count_before(counts, " passed"),
        failed: [" failed", " timed out", " exec failed"].iter().map(|word| count_before(counts, word)).sum(),
    })
}

/// cargo test: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
fn libtest_counts(line: &str) -> Option<Summary> {
    let counts = line.strip_prefix("test result: ")?;
    Some(Summary { passed: count_before(counts, " passed;"), failed: count_before(counts, " failed;") })
}

/// The number right before a word: 10 before " passed" in `x: 10 passed`.
fn count_before(text: &str, word: &str) -> usize {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

fn without_colors(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // A color is escape, bracket, numbers, and a letter at its end.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, success: bool, passed: usize, failed: usize) {
        assert_eq!(Summary::of_run(written, success), Summary { passed, failed }, "{written}");
    }

    #[test]
    fn nextest_summaries() {
        check("     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped\n", true, 3, 0);
        check(
            "     Summary [   1.000s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 7 skipped\n",
            false,
            2,
            2,
        );
        check("  Summary [ 0.1s] 1 test run: 0 passed, 1 exec failed, 0 skipped", false, 0, 1);
        check("     Summary [   0.1s] 3/8 tests run: 2 passed, 1 failed, 0 skipped", false, 2, 1);
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \
               \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped",
            true,
            3,
            0,
        );
    }

    #[test]
    fn what_nextest_shows_of_single_tests_does_not_count_twice() {
        let shown = "    test result: ok. 1 passed; 0 failed; 0 ignored\n    test result: FAILED. 0 passed; 1 failed;\n";
        check(
            &format!("{shown}     Summary [ 0.1s] 2 tests run: 1 passed, 1 failed, 0 skipped\n{shown}"),
            false,
            1,
            1,
        );
    }

    #[test]
    fn libtest_summaries_add_up() {
        let line = |passed, failed| {
            format!(
                "test result: ok. {passed} passed; {failed} failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n"
            )
        };
        check(&format!("running 3 tests\n{}{}", line(3, 0), line(20, 0)), true, 23, 0);
        check(&format!("{}{}", line(3, 1), line(0, 2)), false, 3, 3);
    }

    #[test]
    fn a_failure_without_a_failed_test_counts() {
        check("error: could not compile `faknow`\n", false, 0, 1);
        check("test result: ok. 5 passed; 0 failed; 0 ignored\nerror: other\n", false, 5, 1);
        check("", true, 0, 0);
        check("the words 3 passed, 2 failed in a test's output\n", true, 0, 0);
    }

    #[test]
    fn the_plain_line() {
        let mut summary = Summary::of_check(true);
        summary.add(Summary::of_check(false));
        summary.add(Summary { passed: 40, failed: 0 });
        assert_eq!(summary.to_string(), "41 passed, 1 failed");
    }
}
