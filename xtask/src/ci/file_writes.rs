//! Direct writes of files: whatever a command reads later is written by `faknow_data::common::write_atomically`.

/// Calls that write a file in place.
const CALLS: &[&str] = &[
    "fs::write(",
    "fs::copy(",
    "File::create(",
    "File::create_new(",
    "File::options(",
    "OpenOptions::new(",
    "Writer::from_path(",
];

/// Files that may contain such calls, each with what happens to a file that a killed process has left incomplete.
const EXEMPTIONS: &[(&str, &str)] = &[
    ("crates/faknow-data/src/common/atomic_file.rs", "the atomic writes"),
    (
        "crates/faknow-trainer/src/checkpoint/disk.rs",
        "files of a hidden directory, which is published when it is complete",
    ),
    ("crates/faknow-trainer/src/checkpoint/crash.rs", "tests of crashes"),
    (
        "crates/faknow-trainer/src/system/lock.rs",
        "the lock file; a command that holds no lock ignores its content",
    ),
    ("crates/faknow-trainer/src/system/run_dir.rs", "the lock file and the probe have no content"),
    ("crates/faknow-trainer/src/system/memory.rs", "a switch of the kernel"),
    (
        "crates/faknow-callbacks/src/logs/run_file.rs",
        "append-only; a truncated last line is dropped on resume",
    ),
    (
        "crates/faknow-callbacks/src/tensorboard/event_file.rs",
        "append-only; a truncated last event is ignored",
    ),
    ("crates/faknow-cli/src/writer.rs", "predictions of a stream without end; lines are complete"),
];

/// Returns the lines of a source file with direct writes outside its unit tests.
pub fn faults(name: &str, text: &str) -> Vec<(usize, String)> {
    let is_source = name.starts_with("crates/") && name.contains("/src/");
    if !is_source || EXEMPTIONS.iter().any(|(file, _)| *file == name) {
        return Vec::new();
    }
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = (1..).zip(code).filter(|(_, line)| !line.trim_start().starts_with("//"));
    let is_call = |line: &str, call: &str| {
        // Not those of other types, such as `AtomicFile::create`.
        line.match_indices(call).any(|(start, _)| !line[..start].ends_with(char::is_alphanumeric))
    };
    let call = |line: &str| CALLS.iter().find(|call| is_call(line, call));
    let fault = |(number, line): (usize, &str)| {
        let call = call(line)?.trim_end_matches('(');
        let instead = "use `faknow_data::common::write_atomically`, or list the file in xtask/src/ci/file_writes.rs \
                       with what happens to an incomplete file";
        Some((number, format!("`{call}` writes in place: {instead}")))
    };
    code.filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_writes_are_found_outside_tests_and_exemptions() {
        let check = |name: &str, text: &str, expected: &[usize]| {
            let lines: Vec<usize> = faults(name, text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, expected, "{name}: {text}");
        };
        for call in CALLS {
            check(
                "crates/a/src/b.rs",
                &format!("//! {call}\n{call}path)\n#[cfg(test)]\n{call}path)\n"),
                &[2],
            );
            check("crates/a/tests/it/b.rs", call, &[]);
            check("xtask/src/b.rs", call, &[]);
            check(EXEMPTIONS[0].0, call, &[]);
        }
    }

    #[test]
    fn exempted_files_write() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (file, _) in EXEMPTIONS {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(
                CALLS.iter().any(|call| text.contains(call)),
                "{file} writes nothing: remove its exemption"
            );
        }
    }
}
