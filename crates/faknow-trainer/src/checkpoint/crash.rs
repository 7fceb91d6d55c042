//! Tests only: stops the writer before any of its steps, and looks at what is left.

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

/// What happens to a thread's steps from a certain one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Trouble {
    #[default]
    None,
    /// This and all later ones fail: the process is no more.
    Dies(usize),
    /// This one fails, as on a full disk.
    Fails(usize),
}

#[derive(Default)]
struct Plan {
    trouble: Trouble,
    log: Vec<(Step, PathBuf)>,
}

thread_local! {
    static PLAN: RefCell<Plan> = RefCell::default();
}

/// Is called before every step that changes the disk.
pub(super) fn before(step: Step, path: &Path) -> io::Result<()> {
    PLAN.with_borrow_mut(|plan| {
        let number = plan.log.len();
        plan.log.push((step, path.to_path_buf()));
        match plan.trouble {
            Trouble::Dies(at) if number >= at => Err(ErrorKind::Other.into()),
            Trouble::Fails(at) if number == at => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    })
}

/// Does something under trouble; answers what came of it, and the steps that were taken or tried.
fn under<T>(trouble: Trouble, act: impl FnOnce() -> T) -> (T, Vec<(Step, PathBuf)>) {
    PLAN.set(Plan { trouble, log: Vec::new() });
    let result = act();
    (result, PLAN.take().log)
}

/// Syncs cost nothing where the directory is in memory.
fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A checkpoint that differs from all others in every file.
fn content(id: u64) -> Checkpoint {
    let tensors = |n: i64, more: f64| {
        let values = Tensor::arange(n, tch::kind::FLOAT_CPU) + id as f64 + more;
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

/// Which content a name has now; all of it must be there.
fn id_of(store: &CheckpointStore, name: &str) -> Option<u64> {
    let found = match store.read(name) {
        Err(CheckpointError::Missing { .. }) => return None,
        found => found.unwrap(),
    };
    let expected = content(found.info.step);
    assert_eq!(found.info, expected.info);
    assert_eq!(found.state, expected.state);
    assert_eq!(found.tensors, expected.tensors);
    assert_eq!(store.verify(name).unwrap(), found.info);
    Some(found.info.step)
}

const NAMES: [&str; 4] = ["last", "previous", "best", "epoch-0001"];

/// The contents by name.
type State = BTreeMap<&'static str, u64>;

fn state(store: &CheckpointStore) -> State {
    NAMES.into_iter().filter_map(|name| Some((name, id_of(store, name)?))).collect()
}

/// The directories below the store, hidden ones too.
fn names(store: &CheckpointStore) -> BTreeSet<String> {
    let entries = fs::read_dir(&store.dir).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn expect_tidy(store: &CheckpointStore) {
    let expected: BTreeSet<String> = state(store).into_keys().map(str::to_owned).collect();
    assert_eq!(names(store), expected);
    assert_eq!(store.list().into_iter().map(|found| found.name).collect::<BTreeSet<_>>(), expected);
}

/// One change of the store.
#[derive(Debug, Clone, Copy)]
enum Act {
    Save(&'static str, u64),
    Keep(&'static str, &'static str, u64),
    Link(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Clean,
}

impl Act {
    fn random(rng: &mut Rng, id: u64) -> Self {
        let (a, b) = (NAMES[rng.below(4)], NAMES[rng.below(4)]);
        match rng.below(10) {
            0 | 1 => Self::Save(a, id),
            2..5 => Self::Keep(a, b, id),
            5 | 6 => Self::Link(a, b),
            7 => Self::Rename(a, b),
            8 => Self::Remove(a),
            _ => Self::Clean,
        }
    }

    fn on(self, store: &CheckpointStore) -> Result<()> {
        match self {
            Self::Save(name, id) => store.save(name, &content(id)),
            Self::Keep(name, previous, id) => store.save_keeping_previous(name, previous, &content(id)),
            Self::Link(from, to) => store.link(from, to),
            Self::Rename(from, to) => store.rename(from, to),
            Self::Remove(name) => store.remove(name),
            Self::Clean => store.clean(),
        }
    }

    /// What the change should do; `None` if its source is missing.
    fn on_model(self, state: &State) -> Option<State> {
        let mut state = state.clone();
        match self {
            Self::Save(name, id) => drop(state.insert(name, id)),
            Self::Keep(name, previous, id) => {
                if let Some(former) = state.insert(name, id)
                    && previous != name
                {
                    state.insert(previous, former);
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

/// What had been written and not synced is cut in half, as a loss of power may do.
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

/// The changes that are tried at every step, each after its own history.
fn cases() -> Vec<(Vec<Act>, Act)> {
    use Act::{Clean, Keep, Link, Remove, Rename, Save};
    let (one, two) = (vec![Save("last", 1)], vec![Save("last", 1), Keep("last", "previous", 2)]);
    let all = [two.clone(), vec![Link("last", "best"), Save("epoch-0001", 3)]].concat();
    vec![
        (vec![], Save("last", 1)),
        (vec![], Keep("last", "previous", 1)),
        (one.clone(), Save("last", 2)),
        (one.clone(), Keep("last", "previous", 2)),
        (two.clone(), Keep("last", "previous", 3)),
        (two.clone(), Save("last", 3)),
        (vec![Save("previous", 1)], Keep("last", "previous", 2)),
        (one.clone(), Link("last", "best")),
        (all.clone(), Link("previous", "best")),
        (all.clone(), Keep("last", "best", 4)),
        (one.clone(), Rename("last", "epoch-0001")),
        (all.clone(), Rename("last", "epoch-0001")),
        (all.clone(), Rename("last", "last")),
        (one, Remove("last")),
        (all, Remove("best")),
        (two, Clean),
    ]
}

#[test]
fn a_kill_or_a_loss_of_power_at_any_step_leaves_the_former_checkpoints_or_the_new_ones() {
    let mut n_kills = 0;
    for (history, act) in cases() {
        for (at, power) in (0..).flat_map(|at| [(at, false), (at, true)]) {
            let dir = dir();
            let store = CheckpointStore::new(dir.path());
            history.iter().for_each(|act| act.on(&store).unwrap());
            let former = state(&store);
            let new = act.on_model(&former).unwrap();
            let (result, log) = under(Trouble::Dies(at), || act.on(&store));
            if power {
                lose_power(&log);
            }
            let context = format!("{act:?} after {history:?}, killed before {:?}", log.last());
            // Without tidying up, each name has its former content or its new one.
            let left = state(&store);
            for name in NAMES {
                assert!([former.get(name), new.get(name)].contains(&left.get(name)), "{context}: {left:?}");
            }
            let listed: BTreeSet<String> = store.list().into_iter().map(|found| found.name).collect();
            assert_eq!(listed, left.keys().map(|&name| name.to_owned()).collect(), "{context}");
            // A second kill, while tidying up, changes nothing about that.
            drop(under(Trouble::Dies(at % 5), || store.clean()));
            store.clean().unwrap();
            let left = state(&store);
            assert!(left == former || left == new, "{context}: {left:?}");
            expect_tidy(&store);
            // And the run goes on.
            store.save_keeping_previous("last", "previous", &content(99)).unwrap();
            assert_eq!(store.newest_valid("").unwrap().0, "last", "{context}");
            if log.len() <= at {
                result.unwrap();
                assert_eq!(left, new, "{context}");
                break;
            }
            n_kills += 1;
        }
    }
    println!("{n_kills} kills");
    assert!(n_kills > 300, "{n_kills}");
}

#[test]
fn a_step_that_fails_is_an_error_with_its_path_and_the_former_checkpoints_stay() {
    let mut seen = BTreeSet::new();
    for (history, act) in cases() {
        for at in 0.. {
            let dir = dir();
            let store = CheckpointStore::new(dir.path());
            history.iter().for_each(|act| act.on(&store).unwrap());
            let former = state(&store);
            let new = act.on_model(&former).unwrap();
            let (result, log) = under(Trouble::Fails(at), || act.on(&store));
            let context = format!("{act:?} after {history:?}, failed at {:?}", log.get(at));
            let left = state(&store);
            match result {
                Ok(()) => assert_eq!(left, new, "{context}"),
                Err(error) => {
                    assert!(left == former || left == new, "{context}: {left:?}");
                    let CheckpointError::Io { path, source, fallback } = &error else {
                        panic!("{context}: {error}")
                    };
                    assert!(path.starts_with(dir.path()), "{context}: {error}");
                    assert_eq!(source.kind(), ErrorKind::StorageFull, "{context}");
                    assert_eq!(fallback.is_some(), !left.is_empty(), "{context}: {error}");
                    assert!(names(&store).iter().all(|name| !name.starts_with(".tmp-")), "{context}");
                    seen.insert(format!("{:?}", log[at].0));
                }
            }
            store.clean().unwrap();
            assert_eq!(state(&store), left, "{context}");
            expect_tidy(&store);
            if log.len() <= at {
                break;
            }
        }
    }
    // A link that is refused becomes a copy, and what was replaced may be removed later.
    let expected = ["Create", "MakeFolder", "Rename", "Sync", "SyncFolder", "Write"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

#[test]
fn everything_is_on_the_disk_before_it_is_published_and_that_before_the_former_one_goes() {
    let dir = dir();
    let store = CheckpointStore::new(dir.path());
    let first = |log: &[(Step, PathBuf)], step: Step| log.iter().position(|(s, _)| *s == step).unwrap();
    store.save("last", &content(1)).unwrap();
    let (result, log) = under(Trouble::None, || store.save("last", &content(2)));
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
fn a_former_one_that_is_visibly_damaged_does_not_push_out_the_previous_one() {
    let cases = [
        ("model.safetensors", "cut"),
        ("manifest.json", "{\"format\": \"faknow-checkpoint\"}"),
        ("manifest.json", ""),
        ("state.json", ""),
    ];
    for (file, damage) in cases {
        let dir = dir();
        let store = CheckpointStore::new(dir.path());
        store.save("last", &content(1)).unwrap();
        store.save_keeping_previous("last", "previous", &content(2)).unwrap();
        fs::write(store.path("last").join(file), damage).unwrap();
        store.save_keeping_previous("last", "previous", &content(3)).unwrap();
        assert_eq!(state(&store), State::from([("last", 3), ("previous", 1)]), "{file}");
    }
}

#[test]
fn any_sequence_of_changes_and_kills_does_what_it_says() {
    let (mut n_changes, mut n_kills) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::from_parts(&[seed, 0x5ee]);
        let dir = dir();
        let store = CheckpointStore::new(dir.path());
        let mut model = State::new();
        for id in 1..=25 {
            let act = Act::random(&mut rng, id);
            let kill = rng.chance(0.4).then(|| rng.below(60));
            let new = act.on_model(&model);
            let (result, log) = under(kill.map_or(Trouble::None, Trouble::Dies), || act.on(&store));
            let context = format!("seed {seed}, {id}: {act:?} on {model:?}, {kill:?}: {result:?}");
            if kill.is_some_and(|at| at < log.len()) {
                n_kills += 1;
                if rng.chance(0.5) {
                    store.clean().unwrap();
                }
                let left = state(&store);
                assert!(left == model || Some(&left) == new.as_ref(), "{context}: {left:?}");
                model = left;
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
            if !matches!(act, Act::Link(from, to) if from == to) && is_done {
                expect_tidy(&store);
            }
            let newest = model.values().max();
            assert_eq!(store.newest_valid("").map(|(_, info)| info.step).as_ref(), newest, "{context}");
        }
    }
    println!("{n_changes} changes, {n_kills} kills");
    assert!(n_changes > 800 && n_kills > 100, "{n_changes} {n_kills}");
}
