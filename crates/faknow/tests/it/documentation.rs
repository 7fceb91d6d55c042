//! The reference of settings is complete, `docs/config.md` contains it, and `docs/trainer.md` has every option of the trainer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use faknow::Config;
use faknow::models::Registry;
use faknow::settings::{DefaultValue, Setting, SettingsTable, reference};
use faknow::trainer::{BUILDER_OPTIONS, ResumePolicy};

fn page(name: &str) -> Option<(PathBuf, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some((path, text)),
        Err(_) => {
            crate::skip::check("docs").unwrap();
            println!("SKIPPED: {} does not exist", path.display());
            None
        }
    }
}

/// Returns the keys that the error message of an unknown key lists. Aliases in capitals are PyTorch's spelling.
fn listed(error: &str) -> BTreeSet<String> {
    let names = error.split_once("expected ").map_or("", |(_, names)| names);
    let names = names.split('`').skip(1).step_by(2).filter(|name| name.chars().all(|c| !c.is_uppercase()));
    names.map(str::to_owned).collect()
}

fn error_of(settings: &[&str]) -> String {
    Config::default().set_all(settings).unwrap_err().to_string()
}

/// Returns the keys of a table that a config accepts with these settings.
fn accepted(table: &str, settings: &[&str]) -> BTreeSet<String> {
    let probe = if table.is_empty() { "no_such_key=0".to_owned() } else { format!("{table}.no_such_key=0") };
    listed(&error_of(&[settings, &[&probe]].concat()))
}

/// Returns the keys of a table in the reference, without the table's name.
fn documented(table: &SettingsTable, variant: &str) -> BTreeSet<String> {
    let settings =
        table.settings.iter().filter(|it| it.variants.is_empty() || it.variants.contains(&variant));
    let key = |it: &Setting| it.key.rsplit('.').next().unwrap_or_default().to_owned();
    settings.map(key).collect()
}

fn table(name: &str) -> SettingsTable {
    let tables = reference(&Registry::builtin());
    tables.into_iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table `{name}`"))
}

#[test]
fn reference_has_every_key_of_every_table() {
    let tables = reference(&Registry::builtin());
    let names: BTreeSet<String> =
        tables.iter().filter(|it| !it.name.is_empty()).map(|it| it.name.to_owned()).collect();
    let outside = documented(&table(""), "");
    assert_eq!(outside.union(&names).cloned().collect::<BTreeSet<_>>(), accepted("", &[]));
    for name in ["data", "text", "image", "loader", "trainer", "early_stopping", "decision", "checkpoint"] {
        assert_eq!(documented(&table(name), ""), accepted(name, &[]), "{name}");
    }
    assert_eq!(documented(&table("loss"), ""), accepted("loss", &["loss={}"]), "loss");
    assert_eq!(
        documented(&table("freeze"), ""),
        listed(&error_of(&["freeze=[{ no_such_key = 0 }]"])),
        "freeze"
    );
    let with_variants = ["model", "optimizer", "schedule", "adversarial", "average"];
    assert_eq!(names.len(), 8 + 2 + with_variants.len(), "a table without a check: {names:?}");
}

#[test]
fn reference_has_every_key_of_every_named_variant() {
    // Keys without a default must be given before another can be refused.
    let required = |name: &str| match name {
        "step" => "step_size = 1",
        "multi_step" => "milestones = [1]",
        "exponential" => "gamma = 0.5",
        "cosine_warm_restarts" => "t_0 = 1",
        "sequential" => "schedules = [{ name = 'constant' }], milestones = []",
        "swa" => "start = '1 epoch'",
        _ => "",
    };
    let schedules = error_of(&["schedule.name=none"]);
    let schedules =
        schedules.split_once("expected one of ").unwrap().1.split(", ").map(str::to_owned).collect();
    let optimizers = listed(&error_of(&["optimizer.name=none"]));
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<String>>();
    for (name, variants, n_variants) in [
        ("optimizer", optimizers, 5),
        ("schedule", schedules, 14),
        ("adversarial", names(&["pgd", "fgm"]), 2),
        ("average", names(&["ema", "swa"]), 2),
    ] {
        assert_eq!(variants.len(), n_variants, "{variants:?}");
        let table = table(name);
        for variant in variants {
            let comma = if required(&variant).is_empty() { "" } else { ", " };
            let example = format!("{name}={{ name = '{variant}'{comma}{} }}", required(&variant));
            let mut expected = accepted(name, &[&example]);
            expected.insert("name".to_owned());
            assert_eq!(documented(&table, &variant), expected, "{name}.name = {variant}");
        }
    }
}

#[test]
fn reference_has_every_hyperparameter_of_every_model() {
    let table = table("model");
    for model in Registry::builtin().models() {
        let mut expected: BTreeSet<String> = model.hyperparameters.keys().cloned().collect();
        expected.extend(["name".to_owned(), "weights".to_owned()]);
        assert_eq!(documented(&table, model.name), expected, "{}", model.name);
    }
}

#[test]
fn reference_describes_each_setting_in_one_line() {
    for table in reference(&Registry::builtin()) {
        assert!(table.purpose.ends_with('.'), "{}: {}", table.name, table.purpose);
        for Setting { key, range, meaning, defaults, .. } in table.settings {
            assert!(!defaults.is_empty(), "{key} has no default");
            for text in [range, meaning] {
                assert!(
                    !text.is_empty() && !text.ends_with('.') && !text.contains(['\n', '|']),
                    "{key}: {text}"
                );
            }
        }
    }
}

#[test]
fn defaults_are_those_of_the_code() {
    let defaults = |key: &str| {
        let tables = reference(&Registry::builtin());
        let setting = tables.into_iter().flat_map(|it| it.settings).find(|it| it.key == key).unwrap();
        setting.defaults.iter().map(|it| (it.variants.join(" "), it.to_text())).collect::<Vec<_>>()
    };
    let one = |text: &str| vec![(String::new(), text.to_owned())];
    assert_eq!(defaults("trainer.epochs"), one("20"));
    assert_eq!(defaults("data.train"), one("none"));
    assert_eq!(defaults("optimizer.name"), one("\"adam\""));
    assert_eq!(
        defaults("optimizer.lr"),
        [
            ("adam adamw".to_owned(), "0.001".to_owned()),
            ("sgd rmsprop adagrad".to_owned(), "0.01".to_owned())
        ]
    );
    assert_eq!(defaults("schedule.name"), one("none"));
    assert_eq!(defaults("schedule.step_size"), one("required"));
    assert_eq!(defaults("average.every"), one("\"1 epoch\""));
    assert_eq!(defaults("freeze.until"), one("none"));
    assert_eq!(defaults("loss.name"), one("\"cross_entropy\""));
}

/// Returns the reference as the tables of `docs/config.md`.
fn markdown() -> String {
    let mut page = String::new();
    for table in reference(&Registry::builtin()) {
        let title = if table.name.is_empty() { "Run" } else { table.name };
        let has_variants = table.settings.iter().any(|it| !it.variants.is_empty());
        let (column, line) = if has_variants { (" for |", "---|") } else { ("", "") };
        writeln!(page, "## {title}\n\n{}\n", table.purpose).unwrap();
        writeln!(
            page,
            "| key |{column} default | range | on resume | meaning |\n|---|{line}---|---|---|---|"
        )
        .unwrap();
        for Setting { key, variants, range, meaning, defaults, on_resume, .. } in table.settings {
            let variants = if has_variants { format!(" {} |", variants.join(", ")) } else { String::new() };
            let defaults: Vec<String> = defaults.iter().map(cell).collect();
            let policy = policy_cell(on_resume);
            let defaults = defaults.join("; ");
            writeln!(page, "| `{key}` |{variants} {defaults} | {range} | {policy} | {meaning} |").unwrap();
        }
        page.push('\n');
    }
    page
}

fn cell(default: &DefaultValue) -> String {
    let value = match default.to_text() {
        text if text == "none" || text == "required" => text,
        text => format!("`{text}`"),
    };
    if default.variants.is_empty() { value } else { format!("{value} ({})", default.variants.join(", ")) }
}

const START: &str = "<!-- The rest is generated: UPDATE_EXPECT=1 cargo xtask test documentation -->\n\n";

#[test]
fn config_page_contains_the_reference() {
    let Some((path, page)) = page("config.md") else { return };
    let (head, _) = page.split_once(START).expect("the page has the line that starts the generated part");
    expect_file![path].assert_eq(&format!("{head}{START}{}", markdown().trim_end().to_owned() + "\n"));
}

/// Returns the rows of the table of options: the methods in the first column, and the last column.
fn documented_options(page: &str) -> Vec<(Vec<&str>, &str)> {
    let table = page.lines().skip_while(|line| *line != "| option | default | on resume |").skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| line.trim_end_matches(" |"));
    let cells = rows.filter_map(|row| Some((row.split(" | ").next()?, row.rsplit(" | ").next()?)));
    cells.map(|(first, last)| (first.split('`').skip(1).step_by(2).collect(), last)).collect()
}

fn policy_cell(policy: ResumePolicy) -> String {
    match policy {
        ResumePolicy::Allow(_) => format!("`{policy}`"),
        other => other.to_string(),
    }
}

#[test]
fn trainer_page_has_every_option_of_the_builder() {
    let Some((_, page)) = page("trainer.md") else { return };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faknow-trainer/src");
    let files = ["builder.rs", "step/from_fn.rs", "schedule/from_fn.rs"];
    let source: String = files.iter().map(|file| fs::read_to_string(sources.join(file)).unwrap()).collect();
    // Options take the builder and return it; `build` ends it.
    let options = source.split("pub fn ").skip(1).filter_map(|function| {
        let (name, rest) = function.split_once(['(', '<'])?;
        let signature = rest.split('{').next()?;
        (signature.contains("mut self") || signature.contains("self,")).then_some(name)
    });
    let options: BTreeSet<&str> = options.filter(|name| *name != "build").collect();
    let rows = documented_options(&page);
    let documented: BTreeSet<&str> = rows.iter().flat_map(|(methods, _)| methods.iter().copied()).collect();
    assert_eq!(documented, options);
    let in_table: BTreeSet<&str> =
        BUILDER_OPTIONS.iter().flat_map(|option| option.methods.iter().copied()).collect();
    assert_eq!(in_table, options);
    for (methods, on_resume) in rows {
        let mut policies: Vec<String> = Vec::new();
        for option in BUILDER_OPTIONS.iter().filter(|it| it.methods.iter().any(|it| methods.contains(it))) {
            let policy = policy_cell(option.policy);
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        assert_eq!(on_resume, policies.join(", "), "{methods:?}");
    }
}
