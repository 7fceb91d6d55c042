//! `docs/config.md` has every setting with its default, `docs/trainer.md` every option of the trainer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use faknow::Config;

use faknow::models::Registry;
use toml::{Table, Value};

/// The default cells by key, by section (`## data` is `data`).
type Documented = BTreeMap<String, BTreeMap<String, String>>;

fn documented() -> Option<Documented> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let Ok(page) = fs::read_to_string(&path) else {
        println!("SKIPPED: {} is not there", path.display());
        return None;
    };
    let mut sections = Documented::new();
    let mut section = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            heading.clone_into(&mut section);
        }
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        if let [key, default, range, meaning] = cells[..]
            && key.starts_with('`')
        {
            assert!(!range.is_empty() && !meaning.is_empty(), "{key} is not explained");
            let keys = sections.entry(section.clone()).or_default();
            let twice = keys.insert(key.trim_matches('`').to_owned(), default.to_owned());
            assert!(twice.is_none(), "{key} is twice in `{section}`");
        }
    }
    Some(sections)
}

/// The keys that are read below `table`, found by one that is not.
fn accepted(table: &str, settings: &[&str]) -> BTreeSet<String> {
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    let probe = format!("{prefix}no_such_key=0");
    let error = Config::default().set_all(&[settings, &[&probe]].concat()).unwrap_err().to_string();
    let Some((_, names)) = error.split_once("expected ") else {
        assert!(error.contains("there are no fields"), "{error}");
        return BTreeSet::new();
    };
    // Aliases in capitals are PyTorch's spelling.
    let names = names.split('`').skip(1).step_by(2).filter(|name| name.chars().all(|c| !c.is_uppercase()));
    names.map(|name| format!("{prefix}{name}")).collect()
}

fn check_keys(documented: &Documented, section: &str, accepted: &BTreeSet<String>) {
    let known: BTreeSet<String> =
        documented.get(section).into_iter().flat_map(BTreeMap::keys).cloned().collect();
    let missing: Vec<_> = accepted.difference(&known).collect();
    let unknown: Vec<_> = known.difference(accepted).collect();
    assert!(missing.is_empty(), "docs/config.md, `{section}`, lacks {missing:?}");
    assert!(unknown.is_empty(), "docs/config.md, `{section}`, has {unknown:?}, which is no setting");
}

/// Tables that a config need not have: `a={ … }` for each whose keys do not depend on a name.
const OPTIONAL: [(&str, &str); 1] = [("loss", "loss={}")];

/// Compares the default cells with the values in a config's table.
fn check_defaults(documented: &Documented, section: &str, config: &Table) {
    for (key, cell) in documented.get(section).into_iter().flatten() {
        let actual = find(config, key);
        let told = match cell.as_str() {
            "none" => None,
            "required" => continue,
            cell => {
                let text = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
                let text = text.unwrap_or_else(|| panic!("{key}: {cell}"));
                format!("value = {text}").parse::<Table>().unwrap().remove("value")
            }
        };
        assert_eq!(told, actual, "docs/config.md, `{section}`: the default of {key}");
    }
}

fn find(table: &Table, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => table.get(key).cloned(),
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let Some(documented) = documented() else { return };
    let defaults = Config::default().to_table().unwrap();
    let tables = accepted("", &[]);
    let parts: Vec<&String> = tables
        .iter()
        .filter(|name| {
            let name = name.as_str();
            defaults.get(name).is_some_and(Value::is_table)
                || ["schedule", "loss", "adversarial", "average"].contains(&name)
        })
        .collect();
    let plain: BTreeSet<String> = tables.iter().filter(|name| !parts.contains(name)).cloned().collect();
    check_keys(&documented, "Run", &plain);
    check_defaults(&documented, "Run", &defaults);
    assert_eq!(parts.len(), 13, "{parts:?}");
    for part in parts {
        match part.as_str() {
            // Their further keys depend on the name, and have sections of their own.
            "model" => {
                let keys = ["model.name", "model.weights"].map(str::to_owned);
                check_keys(&documented, part, &BTreeSet::from(keys));
            }
            "optimizer" => {
                let keys = ["optimizer.name", "optimizer.groups"].map(str::to_owned);
                check_keys(&documented, part, &BTreeSet::from(keys));
            }
            "schedule" | "adversarial" | "average" => {
                check_keys(&documented, part, &BTreeSet::from([format!("{part}.name")]));
            }
            part => check_keys(&documented, part, &accepted(part, &[])),
        }
        let whole = OPTIONAL.iter().find(|(name, _)| *name == part.as_str());
        let defaults = match whole {
            Some((_, whole)) => Config::default().set(whole).unwrap().to_table().unwrap(),
            None => defaults.clone(),
        };
        check_defaults(&documented, part, &defaults);
    }
}

#[test]
fn every_rule_of_freezing_is_documented() {
    let Some(documented) = documented() else { return };
    let error = Config::default().set("freeze=[{ no_such_key = 0 }]").unwrap_err().to_string();
    let names = error.split_once("expected ").unwrap().1.split('`').skip(1).step_by(2);
    check_keys(&documented, "freeze", &names.map(|name| format!("freeze.{name}")).collect());
}

#[test]
fn every_model_is_documented() {
    let Some(documented) = documented() else { return };
    for model in Registry::builtin().models() {
        let section = format!("model.name = \"{}\"", model.name);
        let hyperparameters = model.hyperparameters;
        let keys = hyperparameters.keys().map(|key| format!("model.{key}")).collect();
        check_keys(&documented, &section, &keys);
        let table = Table::from_iter([("model".to_owned(), Value::Table(hyperparameters))]);
        check_defaults(&documented, &section, &table);
    }
}

#[test]
fn every_optimizer_is_documented() {
    let Some(documented) = documented() else { return };
    let error = Config::default().set("optimizer.name=none").unwrap_err().to_string();
    let names: Vec<&str> = error.split_once("expected ").unwrap().1.split('`').skip(1).step_by(2).collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let section = format!("optimizer.name = \"{name}\"");
        let whole = format!("optimizer={{ name = '{name}' }}");
        let mut keys = accepted("optimizer", &[&whole]);
        assert!(keys.remove("optimizer.groups"), "all have groups, which are told of once");
        check_keys(&documented, &section, &keys);
        check_defaults(&documented, &section, &Config::default().set(&whole).unwrap().to_table().unwrap());
    }
}

#[test]
fn every_attack_and_average_is_documented() {
    let Some(documented) = documented() else { return };
    for (table, name, required) in [
        ("adversarial", "pgd", ""),
        ("adversarial", "fgm", ""),
        ("average", "ema", ""),
        ("average", "swa", ", start = '1 epoch'"),
    ] {
        let section = format!("{table}.name = \"{name}\"");
        let whole = format!("{table}={{ name = '{name}'{required} }}");
        check_keys(&documented, &section, &accepted(table, &[&whole]));
        check_defaults(&documented, &section, &Config::default().set(&whole).unwrap().to_table().unwrap());
    }
}

#[test]
fn every_schedule_is_documented() {
    let Some(documented) = documented() else { return };
    // What has no default must be given.
    let required = |name: &str| match name {
        "step" => "step_size = 1",
        "multi_step" => "milestones = [1]",
        "exponential" => "gamma = 0.5",
        "cosine_warm_restarts" => "t_0 = 1",
        "sequential" => "schedules = [{ name = 'constant' }], milestones = []",
        _ => "",
    };
    let error = Config::default().set("schedule.name=none").unwrap_err().to_string();
    let names: Vec<&str> = error.split_once("expected one of ").unwrap().1.split(", ").collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let section = format!("schedule.name = \"{name}\"");
        let comma = if required(name).is_empty() { "" } else { ", " };
        let whole = format!("schedule={{ name = '{name}'{comma}{} }}", required(name));
        check_keys(&documented, &section, &accepted("schedule", &[&whole]));
        check_defaults(&documented, &section, &Config::default().set(&whole).unwrap().to_table().unwrap());
    }
}

/// The words in backquotes of the first column of the table below `| option | default |`.
fn documented_options(page: &str) -> BTreeSet<&str> {
    let table = page.lines().skip_while(|line| *line != "| option | default |").skip(2);
    let first = table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split(" | ").next());
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_option_of_the_trainer_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| fs::read_to_string(root.join(path));
    let (Ok(page), Ok(builder)) = (read("docs/trainer.md"), read("crates/faknow-trainer/src/builder.rs"))
    else {
        println!("SKIPPED: docs/trainer.md or the source of the builder is not there");
        return;
    };
    let step_fn = read("crates/faknow-trainer/src/step/from_fn.rs").unwrap();
    let schedule_fn = read("crates/faknow-trainer/src/schedule/from_fn.rs").unwrap();
    let source = [builder, step_fn, schedule_fn].concat();
    // Options take the builder and return it; `build` ends it.
    let options = source.split("pub fn ").skip(1).filter_map(|function| {
        let (name, rest) = function.split_once(['(', '<'])?;
        let signature = rest.split('{').next()?;
        (signature.contains("mut self") || signature.contains("self,")).then_some(name)
    });
    let options: BTreeSet<&str> = options.filter(|name| *name != "build").collect();
    assert_eq!(documented_options(&page), options);
}
