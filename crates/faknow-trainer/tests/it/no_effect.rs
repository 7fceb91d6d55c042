//! Settings that have no effect are warned about when a run starts, by their names and with what would help.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use faknow_callbacks::Interval;
use faknow_metrics::{Direction, Metrics};
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{CheckpointPolicy, RunDir, TrainerBuilder, WeightAveraging};

use crate::toy::{self, Toy, logged, scripted, train_data, valid_data};

/// Fits in epochs of 3 batches, and returns the warnings.
fn warnings(builder: TrainerBuilder<Toy>, has_validation: bool) -> Vec<String> {
    let valid = valid_data();
    let log = logged(|| {
        let mut trainer = builder.build().unwrap();
        trainer.fit(&train_data(), has_validation.then_some(&valid as _)).unwrap();
    });
    log.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

fn trainer() -> TrainerBuilder<Toy> {
    toy::trainer().max_epochs(2)
}

fn with_checkpoints(policy: CheckpointPolicy) -> (TrainerBuilder<Toy>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let builder = trainer().run_dir(RunDir::create(dir.path().join("run")).unwrap()).checkpoints(policy);
    (builder, dir)
}

/// Checks that a run of 6 updates in 2 epochs warns about a setting once, and not about `others`.
#[test]
fn settings_without_effect_are_warned_about() {
    let check = |builder: TrainerBuilder<Toy>, has_validation: bool, parts: &[&str]| {
        let warnings = warnings(builder, has_validation);
        assert_eq!(warnings.len(), usize::from(!parts.is_empty()), "{parts:?}: {warnings:#?}");
        let is_complete = parts.iter().all(|part| warnings[0].contains(part));
        assert!(is_complete, "{parts:?}: {warnings:#?}");
    };
    let swa = |start: &str, every: &str| WeightAveraging::Swa {
        start: start.parse().unwrap(),
        every: every.parse().unwrap(),
    };
    check(trainer(), true, &[]);
    check(trainer(), false, &[]);
    check(trainer().stop_after("6 steps"), true, &[]);
    check(
        trainer().stop_after("7 steps"),
        true,
        &[
            "`trainer.max_steps` (in Rust `stop_after`) is 7 steps",
            "2 epochs (6 updates)",
            "`trainer.epochs`",
        ],
    );
    check(trainer().stop_after("3 epochs"), true, &["`stop_after`", "3 epochs"]);
    check(trainer().stop_after("1 hour"), true, &[]);
    check(trainer().validate_every("2 epochs"), true, &[]);
    check(
        trainer().validate_every("3 epochs"),
        true,
        &[
            "`trainer.validate_every`",
            "is 3 epochs",
            "longer than the run of 6 updates, so only the end is validated",
        ],
    );
    check(trainer().validate_every("4 steps").stop_after("3 steps"), true, &["`trainer.validate_every`"]);
    check(
        trainer().validate_every("1 epoch"),
        false,
        &["`trainer.validate_every`", "without validation data"],
    );
    check(trainer().accumulate_grad_batches(3), true, &[]);
    check(trainer().accumulate_grad_batches(4), true, &["`trainer.accumulate`", "is 4", "only 3 batches"]);
    check(trainer().average(swa("1 epoch", "1 step")), true, &[]);
    check(trainer().average(swa("3 epochs", "1 step")), true, &["`average.start`", "never averaged"]);
    check(trainer().average(swa("1 step", "10 steps")), true, &["`average.every`", "one update"]);
    for (policy, has_validation, parts) in [
        (
            CheckpointPolicy { every: Interval::steps(7), ..CheckpointPolicy::default() },
            true,
            &["`checkpoint.every`", "saved only"][..],
        ),
        (
            CheckpointPolicy { best: 2, ..CheckpointPolicy::default() },
            false,
            &["`checkpoint.best`", "without validation data"],
        ),
        (CheckpointPolicy { best: 2, ..CheckpointPolicy::default() }, true, &[]),
        (CheckpointPolicy::default(), false, &[]),
    ] {
        let (builder, _dir) = with_checkpoints(policy);
        check(builder, has_validation, parts);
    }
    let (builder, _dir) = with_checkpoints(CheckpointPolicy::default());
    check(builder.stop_after("1 step"), true, &[]);
    // A smoke test is too short for everything.
    check(trainer().validate_every("3 epochs").fast_dev_run(), true, &[]);
}

#[test]
fn schedules_beyond_the_end_are_warned_about() {
    let check = |config: &str, parts: &[&str]| {
        let schedule: ScheduleConfig = toml::from_str(&config.replace("; ", "\n")).unwrap();
        let warnings = warnings(trainer().schedule(schedule), true);
        assert_eq!(warnings.len(), usize::from(!parts.is_empty()), "{config}: {warnings:#?}");
        assert!(parts.iter().all(|part| warnings[0].contains(part)), "{config}: {warnings:#?}");
    };
    check("name = 'step'; step_size = 1", &[]);
    check(
        "name = 'step'; step_size = 2",
        &["`schedule.step_size` is 2", "no effect", "2 epochs", "interval = \"step\""],
    );
    check(
        "name = 'step'; step_size = 6; interval = 'step'",
        &["`schedule.step_size` is 6", "6 steps", "train longer"],
    );
    check("name = 'multi_step'; milestones = [1]", &[]);
    check("name = 'multi_step'; milestones = [1, 5]", &["`schedule.milestones` is 5", "no effect"]);
    check("name = 'exponential'; gamma = 0.5", &[]);
    check("name = 'constant_factor'", &["`schedule.total_iters` is 5", "base learning rate is never used"]);
    check("name = 'linear'", &["`schedule.total_iters` is 5", "`end_factor` is not reached"]);
    check("name = 'linear'; total_iters = 2", &[]);
    check("name = 'polynomial'; total_iters = 1", &["`schedule.total_iters` is 1", "learning rate is 0"]);
    check("name = 'polynomial'", &[]);
    check("name = 'cosine'", &[]);
    check("name = 'cosine_warm_restarts'; t_0 = 3", &["`schedule.t_0` is 3", "no restart"]);
    check("name = 'one_cycle'", &[]);
    check(
        "name = 'one_cycle'; total_steps = 9",
        &["`schedule.total_steps` is 9", "the run has 6 steps", "omit it"],
    );
    check("name = 'warmup_linear'", &[]);
    check("name = 'warmup_linear'; total_steps = 5", &["`schedule.total_steps` is 5"]);
    check("name = 'warmup_cosine'; warmup_steps = 6", &["`schedule.warmup_steps` is 6", "entire run"]);
    check(
        "name = 'sequential'; milestones = [2]; schedules = [{ name = 'constant' }, { name = 'cosine' }]",
        &["`schedule.milestones` is 2", "never used"],
    );
    check(
        "name = 'sequential'; milestones = [1]; schedules = [{ name = 'linear' }, { name = 'cosine' }]",
        &["`schedule.schedules[0].total_iters` is 5", "1 epoch"],
    );
    check("name = 'plateau'", &[]);
}

#[test]
fn a_monitor_that_is_never_defined_is_warned_about() {
    let undefined = Metrics::empty().with(scripted("score", Direction::Maximize, &[])).unwrap();
    let found = warnings(trainer().metrics(undefined).monitor("valid/score"), true);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in ["monitor `score` was undefined in every epoch (", "NaN", "the last weights are used"] {
        assert!(found[0].contains(part), "{part}: {found:#?}");
    }
    let once = Metrics::empty().with(scripted("score", Direction::Maximize, &[f64::NAN, 0.5])).unwrap();
    assert_eq!(warnings(trainer().metrics(once).monitor("score"), true), [""; 0]);
}
