//! Schedules against PyTorch's numbers, and against wrong settings.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use faknow_metrics::Direction;
use faknow_trainer::schedule::{
    Anneal, BuildSchedule, ConstantFactor, CosineAnnealing, CosineWarmRestarts, ExponentialLr, Interval,
    LambdaSchedule, LinearLr, MultiStepLr, MultiplicativeSchedule, OneCycle, Plan, Plateau, PlateauMode,
    PolynomialLr, Result, Schedule, ScheduleConfig, ScheduleError, Sequential, StepLr, Unit, WarmupCosine,
    WarmupLinear,
};
use serde_json::{Map, Value, json};

const PLAN: Plan = Plan { steps_per_epoch: 5, max_epochs: 4, monitor_direction: Some(Direction::Minimize) };

// ---------------------------------------------------------------------------------------------------------- golden

#[test]
fn golden_schedules() {
    let Some(path) = golden_file() else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let tolerance = file["tolerance"].as_f64().unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());

    let mut n_rates = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let expected = case["lr"].as_array().unwrap().iter().map(one_or_more).collect::<Vec<_>>();
        let got = run(case, expected.len() - 1, None);
        for (t, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.len(), expected.len(), "{name}: groups");
            for (got, expected) in got.iter().zip(expected) {
                assert!(
                    (got - expected).abs() <= tolerance,
                    "{name}: t = {t}: expected {expected}, got {got}"
                );
                n_rates += 1;
            }
        }
        for stop in [0, 1, expected.len() / 2, expected.len() - 1] {
            assert_eq!(run(case, expected.len() - 1, Some(stop)), got, "{name}: resumed after {stop}");
        }
    }
    println!("{}: {} cases, {n_rates} rates within {tolerance:e}, each resumed", path.display(), cases.len());
}

/// All rates of a case with `n` scheduler steps; after `stop` steps saved as text and restored into a new schedule.
fn run(case: &Value, n: usize, stop: Option<usize>) -> Vec<Vec<f64>> {
    let mut schedule = build(case, n);
    let mut rates = Vec::new();
    for t in 0..=n {
        if stop == Some(t) {
            let saved = schedule.state().to_string();
            schedule = build(case, n);
            schedule.restore(&serde_json::from_str(&saved).unwrap()).unwrap();
        }
        rates.push(schedule.learning_rates());
        if t < n {
            let metric = case.get("metrics").map(|metrics| metrics[t].as_f64().unwrap_or(f64::NAN));
            schedule.step(metric).unwrap();
        }
    }
    rates
}

fn build(case: &Value, n: usize) -> Box<dyn Schedule> {
    let base_lrs = one_or_more(&case["base_lrs"]);
    let unit: Unit = serde_json::from_value(case["unit"].clone()).unwrap();
    let args = &case["args"];
    let direction = if args["mode"] == "max" { Direction::Maximize } else { Direction::Minimize };
    let (steps_per_epoch, max_epochs) = if unit == Unit::Step { (n, 1) } else { (1, n) };
    let plan = Plan { steps_per_epoch, max_epochs, monitor_direction: Some(direction) };
    let schedule = builder(case["scheduler"].as_str().unwrap(), args, unit).build(&base_lrs, &plan).unwrap();
    assert_eq!(schedule.unit(), unit);
    schedule
}

/// The case as a configuration (PyTorch's names become ours) or, for those that take a function, as a closure.
fn builder(scheduler: &str, args: &Value, unit: Unit) -> Box<dyn BuildSchedule> {
    let factor = args["factor"].as_str();
    match (scheduler, factor) {
        ("LambdaLR", Some("min((t+1)/w, sqrt(w/(t+1)))")) => {
            let w = args["w"].as_f64().unwrap();
            Box::new(LambdaSchedule::new(unit, move |t, _| {
                let n = (t + 1) as f64;
                (n / w).min((w / n).sqrt())
            }))
        }
        ("LambdaLR", Some(power)) => {
            let base: f64 = power.strip_suffix("**t").unwrap().parse().unwrap();
            Box::new(LambdaSchedule::new(unit, move |t, _| base.powf(t as f64)))
        }
        ("MultiplicativeLR", Some(constant)) => {
            let factor: f64 = constant.strip_suffix(" at every step").unwrap().parse().unwrap();
            Box::new(MultiplicativeSchedule::new(unit, move |_, _| factor))
        }
        _ => {
            let mut config = config(scheduler, args.as_object().unwrap());
            if unit != Unit::Validation {
                config["interval"] = json!(unit);
            }
            Box::new(serde_json::from_value::<ScheduleConfig>(config).unwrap())
        }
    }
}

fn config(scheduler: &str, args: &Map<String, Value>) -> Value {
    let name = match scheduler {
        "StepLR" => "step",
        "MultiStepLR" => "multi_step",
        "ExponentialLR" => "exponential",
        "ConstantLR" => "constant_factor",
        "CosineAnnealingLR" => "cosine",
        "CosineAnnealingWarmRestarts" => "cosine_warm_restarts",
        "OneCycleLR" => "one_cycle",
        "LinearLR" => "linear",
        "PolynomialLR" => "polynomial",
        "WarmupLinear" => "warmup_linear",
        "WarmupCosine" => "warmup_cosine",
        "SequentialLR" => "sequential",
        "ReduceLROnPlateau" => "plateau",
        other => panic!("no schedule for {other}"),
    };
    let mut settings = Map::from_iter([("name".to_owned(), json!(name))]);
    for (key, value) in args {
        match key.as_str() {
            "scheduler" => {}
            "cycle_momentum" => assert_eq!(value, false, "the momentum does not cycle"),
            "parts" => {
                let parts = value.as_array().unwrap().iter().map(|part| {
                    let scheduler = part["scheduler"].as_str().unwrap();
                    config(scheduler, part.as_object().unwrap())
                });
                settings.insert("schedules".to_owned(), parts.collect());
            }
            _ => {
                settings.insert(key.to_lowercase(), value.clone());
            }
        }
    }
    Value::Object(settings)
}

fn one_or_more(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

/// The file to test: in `FAKNOW_GOLDEN` if that is set, else the shared one, else the copy in this crate.
fn golden_file() -> Option<PathBuf> {
    const NAME: &str = "schedules.json";
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(folder) = std::env::var_os("FAKNOW_GOLDEN") {
        let path = PathBuf::from(folder).join(NAME);
        if !path.exists() {
            println!("SKIPPED: golden_schedules: {} does not exist", path.display());
            return None;
        }
        return Some(path);
    }
    let shared =
        std::env::var_os("FAKNOW_SHARED").map_or_else(|| here.join("../../../shared"), PathBuf::from);
    let candidates = [shared.join("golden").join(NAME), here.join("tests/golden").join(NAME)];
    let found = candidates.into_iter().find(|path| path.exists());
    assert!(found.is_some(), "tests/golden/{NAME} is missing");
    found
}

// ------------------------------------------------------------------------------------------- lengths from the run

/// The rates of `config` over 20 steps (or 4 epochs) from a base rate of 1 are those of `same`.
fn check_same(config: &str, same: &str) {
    assert_eq!(rates(&parse(config)), rates(&parse(same)), "{config}");
}

fn rates(config: &ScheduleConfig) -> Vec<f64> {
    let mut schedule = config.build(&[1.0], &PLAN).unwrap();
    let n = if schedule.unit() == Unit::Step { 20 } else { 4 };
    let mut rates = vec![schedule.learning_rates()[0]];
    for _ in 0..n {
        schedule.step(None).unwrap();
        rates.push(schedule.learning_rates()[0]);
    }
    rates
}

fn parse(config: &str) -> ScheduleConfig {
    toml::from_str(&config.replace("; ", "\n")).unwrap_or_else(|e| panic!("{config}: {e}"))
}

#[test]
fn lengths_come_from_the_run() {
    check_same("name = 'one_cycle'", "name = 'one_cycle'; interval = 'step'; total_steps = 20; max_lr = 1.0");
    check_same(
        "name = 'one_cycle'; interval = 'epoch'",
        "name = 'one_cycle'; interval = 'epoch'; total_steps = 4",
    );
    check_same("name = 'warmup_linear'", "name = 'warmup_linear'; total_steps = 20; warmup_steps = 2");
    check_same("name = 'warmup_linear'; warmup_ratio = 0.21", "name = 'warmup_linear'; warmup_steps = 5");
    check_same("name = 'warmup_cosine'; warmup_steps = 5", "name = 'warmup_cosine'; warmup_ratio = 0.25");
    check_same("name = 'cosine'", "name = 'cosine'; interval = 'epoch'; T_max = 4");
    check_same("name = 'cosine'; interval = 'step'", "name = 'cosine'; interval = 'step'; t_max = 20");
    check_same(
        "name = 'polynomial'; interval = 'step'",
        "name = 'linear'; interval = 'step'; total_iters = 20; \
                start_factor = 1.0; end_factor = 0.0",
    );
    check_same(
        "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }, { name = 'cosine' }]",
        "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }, { name = 'cosine', t_max = 3 }]",
    );
}

/// FaKnow stepped a warm-up made for steps once per epoch: the first epoch trained at 0, the last one at 2 %.
#[test]
fn a_warm_up_ends_within_the_first_epochs() {
    let rates = rates(&parse("name = 'warmup_linear'; warmup_steps = 5"));
    assert_eq!(rates[0], 0.0);
    assert_eq!(rates[PLAN.steps_per_epoch], 1.0);
    assert_eq!(rates[20], 0.0);
}

#[test]
fn parts_of_a_sequence_agree_on_what_they_count() {
    let unit = |config: &str| parse(config).build(&[1.0], &PLAN).unwrap().unit();
    let sequence = |first: &str, second: &str| {
        format!("name = 'sequential'; milestones = [2]; schedules = [{{ {first} }}, {{ {second} }}]")
    };
    assert_eq!(unit(&sequence("name = 'linear'", "name = 'cosine'")), Unit::Epoch);
    assert_eq!(unit(&sequence("name = 'linear', interval = 'step'", "name = 'cosine'")), Unit::Step);
    assert_eq!(unit(&sequence("name = 'constant'", "name = 'one_cycle'")), Unit::Step);
    assert_eq!(unit(&sequence("name = 'constant'", "name = 'constant'")), Unit::Epoch);
    assert_eq!(
        unit(&format!("interval = 'step'; {}", sequence("name = 'linear'", "name = 'one_cycle'"))),
        Unit::Step
    );
}

#[test]
fn the_peak_of_a_cycle_is_the_base_rate_of_each_group() {
    let mut schedule =
        ScheduleConfig::OneCycle(OneCycle { anneal_strategy: Anneal::Linear, ..OneCycle::default() })
            .build(&[1.0, 0.5], &PLAN)
            .unwrap();
    for _ in 0..5 {
        schedule.step(None).unwrap();
    }
    assert_eq!(schedule.learning_rates(), [1.0, 0.5]);
}

/// Runs so short that a phase has no step give finite rates, and so does going on after the end.
#[test]
fn cycles_of_any_length() {
    for total in 1..=30_u64 {
        for pct_start in [0.0, 0.01, 0.3, 0.5, 1.0] {
            for three_phase in [false, true] {
                if three_phase && pct_start > 0.5 {
                    continue;
                }
                let cycle =
                    OneCycle { pct_start, three_phase, total_steps: Some(total), ..OneCycle::default() };
                let plan = Plan { steps_per_epoch: total as usize, max_epochs: 1, monitor_direction: None };
                let mut schedule = ScheduleConfig::OneCycle(cycle).build(&[1.0], &plan).unwrap();
                for _ in 0..total + 3 {
                    let rate = schedule.learning_rates()[0];
                    assert!((3.9e-6..=1.0).contains(&rate), "{total} {pct_start} {three_phase}: {rate}");
                    schedule.step(None).unwrap();
                }
                assert!(
                    (schedule.learning_rates()[0] - 4e-6).abs() < 1e-15,
                    "{total} {pct_start} {three_phase}"
                );
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- plateau

/// FaKnow's trainer could not use it at all; here it needs no setting.
#[test]
fn a_plateau_takes_its_direction_from_the_monitored_value() {
    let rates_after = |config: &str, direction: Direction, metrics: &[f64]| {
        let plan = Plan { monitor_direction: Some(direction), ..PLAN };
        let mut schedule = parse(config).build(&[1.0], &plan).unwrap();
        metrics.iter().for_each(|&metric| schedule.step(Some(metric)).unwrap());
        schedule.learning_rates()[0]
    };
    let rising = [0.1, 0.2, 0.3, 0.4];
    let patient = "name = 'plateau'; patience = 2";
    assert_eq!(rates_after(patient, Direction::Maximize, &rising), 1.0);
    assert_eq!(rates_after(patient, Direction::Minimize, &rising), 0.1);
    assert_eq!(rates_after(&format!("{patient}; mode = 'max'"), Direction::Minimize, &rising), 1.0);
    assert_eq!(rates_after("name = 'plateau'", Direction::Minimize, &[0.5; 11]), 1.0);
    assert_eq!(rates_after("name = 'plateau'", Direction::Minimize, &[0.5; 12]), 0.1);
}

#[test]
fn undefined_values_improve_nothing() {
    for undefined in [None, Some(f64::NAN), Some(f64::NEG_INFINITY)] {
        let config = Plateau { patience: 1, ..Plateau::default() };
        let mut schedule = ScheduleConfig::Plateau(config).build(&[1.0], &PLAN).unwrap();
        for (metric, expected) in [(undefined, 1.0), (undefined, 0.1), (Some(9.0), 0.1), (undefined, 0.1)] {
            schedule.step(metric).unwrap();
            assert_eq!(schedule.learning_rates(), [expected], "{undefined:?}");
        }
    }
}

// ------------------------------------------------------------------------------------------------- wrong settings

fn check_refused(config: &str, message: Expect) {
    let error = parse(config).build(&[0.1], &PLAN).err();
    message.assert_eq(&error.unwrap_or_else(|| panic!("{config}: accepted")).to_string());
}

#[test]
fn settings_out_of_range_are_refused() {
    check_refused(
        "name = 'step'; step_size = 0",
        expect!["schedule `step`: step_size: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'step'; step_size = 1; gamma = nan",
        expect!["schedule `step`: gamma: expected a finite number above 0, got NaN"],
    );
    check_refused(
        "name = 'multi_step'; milestones = []",
        expect!["schedule `multi_step`: milestones: expected at least one, got none"],
    );
    check_refused(
        "name = 'exponential'; gamma = -0.5",
        expect!["schedule `exponential`: gamma: expected a finite number above 0, got -0.5"],
    );
    check_refused(
        "name = 'constant_factor'; factor = 1.5",
        expect!["schedule `constant_factor`: factor: expected a number from 0 to 1, got 1.5"],
    );
    check_refused(
        "name = 'linear'; start_factor = 0.0",
        expect!["schedule `linear`: start_factor: expected a finite number above 0, got 0"],
    );
    check_refused(
        "name = 'linear'; end_factor = inf",
        expect!["schedule `linear`: end_factor: expected a number from 0 to 1, got inf"],
    );
    check_refused(
        "name = 'linear'; total_iters = 0",
        expect!["schedule `linear`: total_iters: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'polynomial'; power = -1.0",
        expect!["schedule `polynomial`: power: expected a finite number of at least 0, got -1"],
    );
    check_refused(
        "name = 'cosine'; t_max = 0",
        expect!["schedule `cosine`: t_max: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'cosine'; eta_min = -1e-3",
        expect!["schedule `cosine`: eta_min: expected a finite number of at least 0, got -0.001"],
    );
    check_refused(
        "name = 'cosine_warm_restarts'; t_0 = 0",
        expect!["schedule `cosine_warm_restarts`: t_0: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'cosine_warm_restarts'; t_0 = 1; t_mult = 0",
        expect!["schedule `cosine_warm_restarts`: t_mult: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'one_cycle'; total_steps = 19",
        expect!["schedule `one_cycle`: total_steps: expected at least the length of the run, 20, got 19"],
    );
    check_refused(
        "name = 'one_cycle'; max_lr = 0.0",
        expect!["schedule `one_cycle`: max_lr: expected a finite number above 0, got 0"],
    );
    check_refused(
        "name = 'one_cycle'; pct_start = 1.1",
        expect!["schedule `one_cycle`: pct_start: expected a number from 0 to 1, got 1.1"],
    );
    check_refused(
        "name = 'one_cycle'; pct_start = 0.6; three_phase = true",
        expect!["schedule `one_cycle`: pct_start: expected at most 0.5 with three_phase, got 0.6"],
    );
    check_refused(
        "name = 'one_cycle'; div_factor = 0.0",
        expect!["schedule `one_cycle`: div_factor: expected a finite number above 0, got 0"],
    );
    check_refused(
        "name = 'one_cycle'; final_div_factor = -1.0",
        expect!["schedule `one_cycle`: final_div_factor: expected a finite number above 0, got -1"],
    );
    check_refused(
        "name = 'warmup_linear'; warmup_steps = 21",
        expect!["schedule `warmup_linear`: warmup_steps: expected at most total_steps, 20, got 21"],
    );
    check_refused(
        "name = 'warmup_linear'; warmup_steps = 2; warmup_ratio = 0.1",
        expect![
            "schedule `warmup_linear`: warmup_steps: expected either warmup_steps or warmup_ratio, got both, 2 and 0.1"
        ],
    );
    check_refused(
        "name = 'warmup_cosine'; warmup_ratio = 1.5",
        expect!["schedule `warmup_cosine`: warmup_ratio: expected a number from 0 to 1, got 1.5"],
    );
    check_refused(
        "name = 'warmup_cosine'; num_cycles = 0.0",
        expect!["schedule `warmup_cosine`: num_cycles: expected a finite number above 0, got 0"],
    );
    check_refused(
        "name = 'warmup_cosine'; total_steps = 0",
        expect!["schedule `warmup_cosine`: total_steps: expected at least 1, got 0"],
    );
    check_refused(
        "name = 'plateau'; factor = 1.0",
        expect!["schedule `plateau`: factor: expected a number below 1, got 1"],
    );
    check_refused(
        "name = 'plateau'; threshold = nan",
        expect!["schedule `plateau`: threshold: expected a finite number of at least 0, got NaN"],
    );
    check_refused(
        "name = 'plateau'; min_lr = -1.0",
        expect!["schedule `plateau`: min_lr: expected a finite number of at least 0, got -1"],
    );
    check_refused(
        "name = 'plateau'; eps = -1.0",
        expect!["schedule `plateau`: eps: expected a finite number of at least 0, got -1"],
    );
}

#[test]
fn wrong_sequences_are_refused() {
    let refused = |milestones: &str, parts: &str, message: Expect| {
        check_refused(
            &format!("name = 'sequential'; milestones = {milestones}; schedules = [{parts}]"),
            message,
        );
    };
    let constant = "{ name = 'constant' }";
    refused("[]", "", expect!["schedule `sequential`: schedules: expected at least one schedule, got none"]);
    refused(
        "[1, 2]",
        &format!("{constant}, {constant}"),
        expect!["schedule `sequential`: milestones: expected 1 for 2 schedules, got 2"],
    );
    refused(
        "[2, 2]",
        &format!("{constant}, {constant}, {constant}"),
        expect!["schedule `sequential`: milestones: expected ascending numbers of at least 1, got [2, 2]"],
    );
    refused(
        "[0]",
        &format!("{constant}, {constant}"),
        expect!["schedule `sequential`: milestones: expected ascending numbers of at least 1, got [0]"],
    );
    refused(
        "[1]",
        &format!("{constant}, {{ name = 'cosine', t_max = 0 }}"),
        expect!["schedule `sequential`: schedules[1].t_max: expected at least 1, got 0"],
    );
    refused(
        "[1]",
        &format!("{constant}, {{ name = 'plateau' }}"),
        expect![
            "schedule `sequential`: schedules[1].name: expected a schedule of steps or epochs, got plateau"
        ],
    );
    refused(
        "[1]",
        "{ name = 'linear' }, { name = 'one_cycle' }",
        expect![[
            r#"schedule `sequential`: interval: expected "step" or "epoch", got none, where one part counts epochs and another steps"#
        ]],
    );
    refused(
        "[1]",
        "{ name = 'linear', interval = 'step' }, { name = 'cosine', interval = 'epoch' }",
        expect![[
            r#"schedule `sequential`: interval: expected "step" or "epoch", got none, where one part counts steps and another epochs"#
        ]],
    );
    check_refused(
        "name = 'sequential'; interval = 'step'; milestones = []; schedules = [{ name = 'cosine', interval = 'epoch' }]",
        expect![[
            r#"schedule `sequential`: schedules[0].interval: expected "step", as the whole counts, got "epoch""#
        ]],
    );
    refused(
        "[]",
        "{ name = 'sequential', milestones = [], schedules = [{ name = 'exponential', gamma = 0.0 }] }",
        expect![
            "schedule `sequential`: schedules[0].schedules[0].gamma: expected a finite number above 0, got 0"
        ],
    );
}

#[test]
fn what_does_not_fit_the_run_is_refused() {
    let refused = |config: ScheduleConfig, base_lrs: &[f64], plan: Plan, message: Expect| {
        message.assert_eq(&config.build(base_lrs, &plan).err().unwrap().to_string());
    };
    let plateau = Plateau { mode: Some(PlateauMode::Min), ..Plateau::default() };
    refused(
        ScheduleConfig::Plateau(plateau),
        &[0.1],
        Plan { monitor_direction: None, ..PLAN },
        expect![
            "schedule `plateau`: name: expected a run with validation, whose result it follows, got a run without"
        ],
    );
    refused(
        ScheduleConfig::Constant,
        &[],
        PLAN,
        expect!["schedule `constant`: base_lrs: expected a base rate for each parameter group, got none"],
    );
    refused(
        ScheduleConfig::Constant,
        &[0.1, f64::NAN],
        PLAN,
        expect!["schedule `constant`: base_lrs[1]: expected a finite number of at least 0, got NaN"],
    );
    refused(
        ScheduleConfig::Plateau(Plateau::default()),
        &[-1.0],
        PLAN,
        expect!["schedule `plateau`: base_lrs[0]: expected a finite number of at least 0, got -1"],
    );
}

// --------------------------------------------------------------------------------------------------- configurations

fn check_unreadable(config: &str, message: Expect) {
    let error = toml::from_str::<ScheduleConfig>(&config.replace("; ", "\n")).unwrap_err();
    message.assert_eq(error.message());
}

#[test]
fn unreadable_settings_are_named() {
    check_unreadable(
        "name = 'step'; step_size = 1; gama = 0.5",
        expect!["schedule `step`: unknown field `gama`, expected one of `interval`, `step_size`, `gamma`"],
    );
    check_unreadable(
        "name = 'constant'; gamma = 0.5",
        expect!["schedule `constant`: unknown field `gamma`, there are no fields"],
    );
    check_unreadable(
        "name = 'plateau'; interval = 'epoch'",
        expect![
            "schedule `plateau`: unknown field `interval`, expected one of `mode`, `factor`, `patience`, `threshold`, `threshold_mode`, `cooldown`, `min_lr`, `eps`"
        ],
    );
    check_unreadable("name = 'step'", expect!["schedule `step`: missing field `step_size`"]);
    check_unreadable(
        "name = 'step'; step_size = -1",
        expect!["schedule `step`: invalid value: integer `-1`, expected u64 in `step_size`"],
    );
    check_unreadable(
        "name = 'exponential'; gamma = 'half'",
        expect![[r#"schedule `exponential`: invalid type: string "half", expected f64 in `gamma`"#]],
    );
    check_unreadable(
        "name = 'cosine'; interval = 'batch'",
        expect!["schedule `cosine`: unknown variant `batch`, expected `step` or `epoch` in `interval`"],
    );
    check_unreadable(
        "name = 'plateau'; mode = 'up'",
        expect!["schedule `plateau`: unknown variant `up`, expected `min` or `max` in `mode`"],
    );
    check_unreadable(
        "name = 'cosin'",
        expect![
            "schedule: unknown name `cosin`; expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau"
        ],
    );
    check_unreadable(
        "name = 3",
        expect![
            "schedule: name: expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau, got 3"
        ],
    );
    check_unreadable(
        "step_size = 3",
        expect![
            "schedule: the key `name` is missing; expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau"
        ],
    );
    check_unreadable(
        "name = 'sequential'; milestones = []; schedules = [{ name = 'step', size = 3 }]",
        expect![
            "schedule `sequential`: schedule `step`: unknown field `size`, expected one of `interval`, `step_size`, `gamma` in `schedules`"
        ],
    );
}

#[test]
fn configurations_survive_writing_and_reading() {
    let interval = Some(Interval::Step);
    let all = [
        ScheduleConfig::default(),
        ScheduleConfig::Step(StepLr::new(3)),
        ScheduleConfig::MultiStep(MultiStepLr { interval, ..MultiStepLr::new([3, 3, 4]) }),
        ScheduleConfig::Exponential(ExponentialLr::new(0.1 + 0.2)),
        ScheduleConfig::ConstantFactor(ConstantFactor { interval, ..ConstantFactor::default() }),
        ScheduleConfig::Linear(LinearLr::default()),
        ScheduleConfig::Polynomial(PolynomialLr {
            total_iters: Some(7),
            power: 2.0,
            ..PolynomialLr::default()
        }),
        ScheduleConfig::Cosine(CosineAnnealing { interval, t_max: Some(9), eta_min: 1e-7 }),
        ScheduleConfig::CosineWarmRestarts(CosineWarmRestarts { t_mult: 2, ..CosineWarmRestarts::new(3) }),
        ScheduleConfig::OneCycle(OneCycle { max_lr: Some(0.3), three_phase: true, ..OneCycle::default() }),
        ScheduleConfig::WarmupLinear(WarmupLinear { warmup_ratio: Some(0.05), ..WarmupLinear::default() }),
        ScheduleConfig::WarmupCosine(WarmupCosine { warmup_steps: Some(5), ..WarmupCosine::default() }),
        ScheduleConfig::Plateau(Plateau { mode: Some(PlateauMode::Max), ..Plateau::default() }),
    ];
    let sequential = ScheduleConfig::Sequential(Sequential::new(all[1..3].to_vec(), [5]));
    for config in all.into_iter().chain([sequential]) {
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["name"], config.name());
        assert_eq!(serde_json::from_value::<ScheduleConfig>(json).unwrap(), config);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<ScheduleConfig>(&text).unwrap(), config, "{text}");
    }
}

// ------------------------------------------------------------------------------------------------------------ states

#[test]
fn states_of_other_schedules_are_refused() {
    let refused = |state: Value, message: Expect| {
        let mut schedule = ScheduleConfig::Plateau(Plateau::default()).build(&[0.1], &PLAN).unwrap();
        message.assert_eq(&schedule.restore(&state).unwrap_err().to_string());
        assert_eq!(schedule.learning_rates(), [0.1]);
    };
    let good = ScheduleConfig::Plateau(Plateau::default()).build(&[0.1], &PLAN).unwrap().state();
    let with = |key: &str, value: Value| {
        let mut state = good.clone();
        state[key] = value;
        state
    };
    refused(
        json!({ "name": "step", "t": 3 }),
        expect![[r#"schedule `plateau`: saved state: expected one of `plateau`, got one of "step""#]],
    );
    refused(
        json!({ "t": 3 }),
        expect!["schedule `plateau`: saved state: expected the key `name` with `plateau`, got none"],
    );
    refused(json!(3), expect!["schedule `plateau`: saved state: expected an object, got 3"]);
    refused(
        json!({ "name": "plateau" }),
        expect!["schedule `plateau`: saved state: missing field `learning_rates`"],
    );
    refused(
        with("learning_rates", json!([0.1, 0.1])),
        expect!["schedule `plateau`: saved state: expected learning rates of 1 parameter groups, got 2"],
    );
    refused(
        with("learning_rates", json!([-0.1])),
        expect![
            "schedule `plateau`: the learning rate of group 0 after 0 validations: expected a finite number of at least 0, got -0.1"
        ],
    );
    refused(
        with("n_bad", json!("many")),
        expect![[r#"schedule `plateau`: saved state: invalid type: string "many", expected u64"#]],
    );
}

/// Rates that are no short decimal numbers come back from text to the last bit.
#[test]
fn rates_survive_text_exactly() {
    let schedule = MultiplicativeSchedule::new(Unit::Step, |t, _| 1.0 - 1.0 / (t as f64 + 3.7));
    let mut schedule = schedule.build(&[0.123_456_789, 1.0 / 3.0], &PLAN).unwrap();
    for _ in 0..1000 {
        schedule.step(None).unwrap();
        let before = schedule.learning_rates();
        schedule.restore(&serde_json::from_str(&schedule.state().to_string()).unwrap()).unwrap();
        assert_eq!(schedule.learning_rates(), before);
    }
}

// --------------------------------------------------------------------------------------------------- own schedules

#[test]
fn rates_that_no_optimizer_can_use_are_refused() {
    let refused = |builder: &dyn BuildSchedule, message: Expect| {
        let mut schedule = builder.build(&[1.0, 0.1], &PLAN).unwrap();
        schedule.step(None).unwrap();
        let before = schedule.learning_rates();
        message.assert_eq(&schedule.step(None).unwrap_err().to_string());
        assert_eq!(schedule.learning_rates(), before);
    };
    refused(
        &LambdaSchedule::new(Unit::Epoch, |t, base| if t < 2 || base > 0.5 { 1.0 } else { f64::NAN }),
        expect![
            "schedule `lambda`: the learning rate of group 1 after 2 epochs: expected a finite number of at least 0, got NaN"
        ],
    );
    refused(
        &MultiplicativeSchedule::new(Unit::Step, |t, _| 1.5 - t as f64),
        expect![
            "schedule `multiplicative`: the learning rate of group 0 after 2 steps: expected a finite number of at least 0, got -0.25"
        ],
    );
    refused(
        &ScheduleConfig::Exponential(ExponentialLr::new(1e200)),
        expect![
            "schedule `exponential`: the learning rate of group 0 after 2 epochs: expected a finite number of at least 0, got inf"
        ],
    );
}

#[test]
fn a_closure_builds_any_schedule() {
    /// Halves the rate whenever the monitored value is undefined.
    struct Careful(Vec<f64>);

    impl Schedule for Careful {
        fn unit(&self) -> Unit {
            Unit::Validation
        }

        fn learning_rates(&self) -> Vec<f64> {
            self.0.clone()
        }

        fn step(&mut self, metric: Option<f64>) -> Result<()> {
            if metric.is_none() {
                self.0.iter_mut().for_each(|rate| *rate /= 2.0);
            }
            Ok(())
        }

        fn state(&self) -> Value {
            json!(self.0)
        }

        fn restore(&mut self, state: &Value) -> Result<()> {
            self.0 = serde_json::from_value(state.clone())
                .map_err(|e| ScheduleError::Custom { message: format!("careful: {e}") })?;
            Ok(())
        }
    }

    let builder = |base_lrs: &[f64], _: &Plan| -> Result<Box<dyn Schedule>> {
        Ok(Box::new(Careful(base_lrs.to_vec())))
    };
    let mut schedule = BuildSchedule::build(&builder, &[1.0, 0.5], &PLAN).unwrap();
    schedule.step(Some(1.0)).unwrap();
    schedule.step(None).unwrap();
    assert_eq!(schedule.learning_rates(), [0.5, 0.25]);
    let error = schedule.restore(&json!("x")).unwrap_err();
    expect![[r#"schedule: careful: invalid type: string "x", expected a sequence"#]]
        .assert_eq(&error.to_string());
}
