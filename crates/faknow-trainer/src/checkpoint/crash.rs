//! Crash tests: simulates a crash before every disk operation, and checks the remaining checkpoints.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use faknow_data::Rng;
use serde_json::json;
use tch::Tensor;

use super::disk::Step;
use super::error::Result;
use super::{Checkpoint, CheckpointError, CheckpointInfo, CheckpointStore};

/// A simulated failure of the disk operations of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    None,
    /// This operation and all later ones fail, as after a kill of the process.
    KillAt(usize),
    /// This operation fails, as on a full disk.
    FailAt(usize),
}

#[derive(Default)]
struct Script {
    fault: Fault,
    log: Vec<(Step, PathBuf)>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// Records an operation, and fails if the script says so; called before every operation that changes the disk.
pub(super) fn before(step: Step, path: &Path) -> io::Result<()> {
    SCRIPT.with_borrow_mut(|script| {
        let number = script.log.len();
        script.log.push((step, path.to_path_buf()));
        match script.fault {
            Fault::KillAt(index) if number >= index => Err(ErrorKind::Other.into()),
            Fault::FailAt(index) if number == index => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    })
}

/// Runs a change with a simulated fault; returns its result, and all attempted operations.
fn with_fault<T>(fault: Fault, change: impl FnOnce() -> T) -> (T, Vec<(Step, PathBuf)>) {
    SCRIPT.set(Script { fault, log: Vec::new() });
    let result = change();
    (result, SCRIPT.take().log)
}

/// Returns a directory, in memory if possible, where syncs are fast.
fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Returns a checkpoint that differs from those of other ids in every file.
fn content(id: u64) -> Checkpoint {
    let tensors = |n: i64, offset: f64| {
        let values = Tensor::arange(n, tch::kind::FLOAT_CPU) + id as f64 + offset;
        BTreeMap::from([("a.weight".to_owned(), values), ("b".to_owned(), Tensor::from(id as i64))])
    };
    Checkpoint {
        info: CheckpointInfo {
            epoch: 1,
            step: id,
            value: Some(0.1 * id as f64),
            ..CheckpointInfo::default()
        },
        state: json!({"id": id, "list": [0.1, null, "x"]}),
        tensors: [("model".to_owned(), tensors(20, 0.0)), ("optimizer".to_owned(), tensors(30, 0.5))].into(),
    }
}

/// Returns the id of a checkpoint, and checks that its content is complete.
fn id_of(store: &CheckpointStore, name: &str) -> Option<u64> {
    let checkpoint = match store.read(name) {
        Err(CheckpointError::Missing { .. }) => return None,
        result => result.unwrap(),
    };
    let expected = content(checkpoint.info.step);
    assert_eq!(checkpoint.info, expected.info);
    assert_eq!(checkpoint.state, expected.state);
    assert_eq!(checkpoint.tensors, expected.tensors);
    assert_eq!(store.verify(name).unwrap(), checkpoint.info);
    Some(checkpoint.info.step)
}

const NAMES: [&str; 4] = ["last", "previous", "best", "epoch-0001"];

/// Checkpoint ids by name.
type State = BTreeMap<&'static str, u64>;

fn state(store: &CheckpointStore) -> State {
    NAMES.into_iter().filter_map(|name| Some((name, id_of(store, name)?))).collect()
}

/// Returns the names of all directories of the store, including hidden ones.
fn names(store: &CheckpointStore) -> BTreeSet<String> {
    let entries = fs::read_dir(&store.dir).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn assert_clean(store: &CheckpointStore) {
    let expected: BTreeSet<String> = state(store).into_keys().map(str::to_owned).collect();
    assert_eq!(names(store), expected);
    assert_eq!(store.list().into_iter().map(|entry| entry.name).collect::<BTreeSet<_>>(), expected);
}

/// A change of the store.
#[derive(Debug, Clone, Copy)]
enum Change {
    Save(&'static str, u64),
    SaveKeepingPrevious(&'static str, &'static str, u64),
    Link(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Clean,
}

impl Change {
    fn random(rng: &mut Rng, id: u64) -> Self {
        let (a, b) = (NAMES[rng.below(4)], NAMES[rng.below(4)]);
        match rng.below(10) {
            0 | 1 => Self::Save(a, id),
            2..5 => Self::SaveKeepingPrevious(a, b, id),
            5 | 6 => Self::Link(a, b),
            7 => Self::Rename(a, b),
            8 => Self::Remove(a),
            _ => Self::Clean,
        }
    }

    fn apply(self, store: &CheckpointStore) -> Result<()> {
        match self {
            Self::Save(name, id) => store.save(name, &content(id)),
            Self::SaveKeepingPrevious(name, previous, id) => {
                store.save_keeping_previous(name, previous, &content(id))
            }
            Self::Link(from, to) => store.link(from, to),
            Self::Rename(from, to) => store.rename(from, to),
            Self::Remove(name) => store.remove(name),
            Self::Clean => store.clean(),
        }
    }

    /// Returns the state after the change; `None` if its source is missing.
    fn apply_to_model(self, state: &State) -> Option<State> {
        let mut state = state.clone();
        match self {
            Self::Save(name, id) => drop(state.insert(name, id)),
            Self::SaveKeepingPrevious(name, previous, id) => {
                if let Some(old) = state.insert(name, id)
                    && previous != name
                {
                    state.insert(previous, old);
                }
            }
            Self::Link(from, to) => drop(state.insert(to, *state.get(from)?)),
            Self::Rename(from, to) => {
                let id = state.remove(from)?;
                state.insert(to, id);
            }
            Self::Remove(name) => drop(state.remove(name)?),
            Self::Clean => {}
        }
        Some(state)
    }
}

/// Truncates all files that were written and not synced, as a power loss may do.
fn lose_power(log: &[(Step, PathBuf)]) {
    let mut unsynced = BTreeSet::new();
    for (step, path) in log {
        match step {
            Step::Create | Step::Write | Step::Copy => drop(unsynced.insert(path)),
            Step::Sync => drop(unsynced.remove(path)),
            _ => {}
        }
    }
    for path in unsynced.into_iter().filter(|path| path.exists()) {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
}

/// Returns the changes to interrupt at every operation, each with the changes before it.
fn cases() -> Vec<(Vec<Change>, Change)> {
    use Change::{Clean, Link, Remove, Rename, Save, SaveKeepingPrevious};
    let (one, two) =
        (vec![Save("last", 1)], vec![Save("last", 1), SaveKeepingPrevious("last", "previous", 2)]);
    let all = [two.clone(), vec![Link("last", "best"), Save("epoch-0001", 3)]].concat();
    vec![
        (vec![], Save("last", 1)),
        (vec![], SaveKeepingPrevious("last", "previous", 1)),
        (one.clone(), Save("last", 2)),
        (one.clone(), SaveKeepingPrevious("last", "previous", 2)),
        (two.clone(), SaveKeepingPrevious("last", "previous", 3)),
        (two.clone(), Save("last", 3)),
        (vec![Save("previous", 1)], SaveKeepingPrevious("last", "previous", 2)),
        (one.clone(), Link("last", "best")),
        (all.clone(), Link("previous", "best")),
        (all.clone(), SaveKeepingPrevious("last", "best", 4)),
        (one.clone(), Rename("last", "epoch-0001")),
        (all.clone(), Rename("last", "epoch-0001")),
        (all.clone(), Rename("last", "last")),
        (one, Remove("last")),
        (all, Remove("best")),
        (two, Clean),
    ]
}

#[test]
fn kill_or_power_loss_at_any_operation_preserves_old_or_new_state() {
    let mut n_kills = 0;
    for (history, change) in cases() {
        for (index, is_power_loss) in (0..).flat_map(|index| [(index, false), (index, true)]) {
            let dir = dir();
            let store = CheckpointStore::new(dir.path());
            history.iter().for_each(|change| change.apply(&store).unwrap());
            let old = state(&store);
            let new = change.apply_to_model(&old).unwrap();
            let (result, log) = with_fault(Fault::KillAt(index), || change.apply(&store));
            if is_power_loss {
                lose_power(&log);
            }
            let context = format!("{change:?} after {history:?}, killed before {:?}", log.last());
            // Before recovery, each name has its old content or its new one.
            let remaining = state(&store);
            for name in NAMES {
                assert!(
                    [old.get(name), new.get(name)].contains(&remaining.get(name)),
                    "{context}: {remaining:?}"
                );
            }
            let listed: BTreeSet<String> = store.list().into_iter().map(|entry| entry.name).collect();
            assert_eq!(listed, remaining.keys().map(|&name| name.to_owned()).collect(), "{context}");
            // A second kill, during recovery, makes no difference.
            drop(with_fault(Fault::KillAt(index % 5), || store.clean()));
            store.clean().unwrap();
            let remaining = state(&store);
            assert!(remaining == old || remaining == new, "{context}: {remaining:?}");
            assert_clean(&store);
            // The run can continue.
            store.save_keeping_previous("last", "previous", &content(99)).unwrap();
            assert_eq!(store.newest_valid("").unwrap().0, "last", "{context}");
            if log.len() <= index {
                result.unwrap();
                assert_eq!(remaining, new, "{context}");
                break;
            }
            n_kills += 1;
        }
    }
    println!("{n_kills} kills");
    assert!(n_kills > 300, "{n_kills}");
}

#[test]
fn failed_operation_returns_path_and_preserves_checkpoints() {
    let mut failed_steps = BTreeSet::new();
    for (history, change) in cases() {
        for index in 0.. {
            let dir = dir();
            let store = CheckpointStore::new(dir.path());
            history.iter().for_each(|change| change.apply(&store).unwrap());
            let old = state(&store);
            let new = change.apply_to_model(&old).unwrap();
            let (result, log) = with_fault(Fault::FailAt(index), || change.apply(&store));
            let context = format!("{change:?} after {history:?}, failed at {:?}", log.get(index));
            let remaining = state(&store);
            match result {
                Ok(()) => assert_eq!(remaining, new, "{context}"),
                Err(error) => {
                    assert!(remaining == old || remaining == new, "{context}: {remaining:?}");
                    let CheckpointError::Io { path, source, fallback } = &error else {
                        panic!("{context}: {error}")
                    };
                    assert!(path.starts_with(dir.path()), "{context}: {error}");
                    assert_eq!(source.kind(), ErrorKind::StorageFull, "{context}");
                    assert_eq!(fallback.is_some(), !remaining.is_empty(), "{context}: {error}");
                    assert!(names(&store).iter().all(|name| !name.starts_with(".tmp-")), "{context}");
                    failed_steps.insert(format!("{:?}", log[index].0));
                }
            }
            store.clean().unwrap();
            assert_eq!(state(&store), remaining, "{context}");
            assert_clean(&store);
            if log.len() <= index {
                break;
            }
        }
    }
    // A failed link becomes a copy, and a failed removal is repeated later.
    let expected = ["Create", "MakeDir", "Rename", "Sync", "SyncDir", "Write"];
    assert_eq!(failed_steps, expected.map(str::to_owned).into());
}

#[test]
fn save_syncs_before_publishing_and_publishes_before_removing() {
    let dir = dir();
    let store = CheckpointStore::new(dir.path());
    let first = |log: &[(Step, PathBuf)], step: Step| log.iter().position(|(s, _)| *s == step).unwrap();
    store.save("last", &content(1)).unwrap();
    let (result, log) = with_fault(Fault::None, || store.save("last", &content(2)));
    result.unwrap();
    let renames = first(&log, Step::Rename);
    for (_, path) in log.iter().filter(|(step, _)| *step == Step::Create) {
        let last = |step: Step| log.iter().rposition(|entry| *entry == (step, path.clone())).unwrap();
        assert!(last(Step::Write) < last(Step::Sync) && last(Step::Sync) < renames, "{path:?}");
    }
    assert_eq!(log.iter().filter(|(step, _)| *step == Step::Create).count(), 4);
    assert_eq!(log[renames - 1], (Step::SyncDir, store.dir.join(".tmp-last")));
    let end: Vec<_> =
        log[renames..].iter().map(|(step, path)| (*step, path.strip_prefix(&store.dir).unwrap())).collect();
    assert_eq!(end[0], (Step::Rename, Path::new(".old-last")));
    assert_eq!(end[1], (Step::Rename, Path::new("last")));
    assert_eq!(end[2], (Step::SyncDir, Path::new("")));
    assert!(end[3..].iter().all(|entry| *entry == (Step::Remove, Path::new(".old-last"))) && end.len() > 3);
}

#[test]
fn save_keeps_previous_if_last_is_corrupted() {
    let cases = [
        ("model.safetensors", "truncated"),
        ("manifest.json", "{\"format\": \"faknow-checkpoint\"}"),
        ("manifest.json", ""),
        ("state.json", ""),
    ];
    for (file, corrupted) in cases {
        let dir = dir();
        let store = CheckpointStore::new(dir.path());
        store.save("last", &content(1)).unwrap();
        store.save_keeping_previous("last", "previous", &content(2)).unwrap();
        fs::write(store.path("last").join(file), corrupted).unwrap();
        store.save_keeping_previous("last", "previous", &content(3)).unwrap();
        assert_eq!(state(&store), State::from([("last", 3), ("previous", 1)]), "{file}");
    }
}

#[test]
fn random_changes_and_kills_match_model() {
    let (mut n_changes, mut n_kills) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::from_parts(&[seed, 0x5ee]);
        let dir = dir();
        let store = CheckpointStore::new(dir.path());
        let mut model = State::new();
        for id in 1..=25 {
            let change = Change::random(&mut rng, id);
            let kill = rng.chance(0.4).then(|| rng.below(60));
            let new = change.apply_to_model(&model);
            let (result, log) = with_fault(kill.map_or(Fault::None, Fault::KillAt), || change.apply(&store));
            let context = format!("seed {seed}, {id}: {change:?} on {model:?}, {kill:?}: {result:?}");
            if kill.is_some_and(|index| index < log.len()) {
                n_kills += 1;
                if rng.chance(0.5) {
                    store.clean().unwrap();
                }
                let remaining = state(&store);
                assert!(remaining == model || Some(&remaining) == new.as_ref(), "{context}: {remaining:?}");
                model = remaining;
                continue;
            }
            n_changes += 1;
            let is_done = new.is_some();
            match new {
                None => assert!(matches!(result, Err(CheckpointError::Missing { .. })), "{context}"),
                Some(new) => {
                    result.unwrap();
                    model = new;
                }
            }
            assert_eq!(state(&store), model, "{context}");
            if !matches!(change, Change::Link(from, to) if from == to) && is_done {
                assert_clean(&store);
            }
            let newest = model.values().max();
            assert_eq!(store.newest_valid("").map(|(_, info)| info.step).as_ref(), newest, "{context}");
        }
    }
    println!("{n_changes} changes, {n_kills} kills");
    assert!(n_changes > 800 && n_kills > 100, "{n_changes} {n_kills}");
}
