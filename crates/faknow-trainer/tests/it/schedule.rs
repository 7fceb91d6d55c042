//! Schedules: default lengths, invalid settings, states, custom schedules.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use expect_test::{Expect, expect};
use faknow_metrics::Direction;
use faknow_trainer::schedule::{
    Anneal, BuildSchedule, ConstantFactor, CosineAnnealing, CosineWarmRestarts, ExponentialLr,
    LambdaSchedule, LinearLr, MultiStepLr, MultiplicativeSchedule, OneCycle, Plateau, PlateauMode,
    PolynomialLr, Result, Schedule, ScheduleConfig, ScheduleUnit, Sequential, StepLr, TrainingLength, Unit,
    WarmupCosine, WarmupLinear,
};
use serde_json::{Value, json};

const LENGTH: TrainingLength = TrainingLength {
    steps_per_epoch: 5,
    max_epochs: 4,
    max_steps: None,
    monitor_direction: Some(Direction::Minimize),
};

/// Checks that the learning rates of `config` over 20 steps (or 4 epochs) equal those of `same`.
fn check_same(config: &str, same: &str) {
    assert_eq!(learning_rates(&parse(config)), learning_rates(&parse(same)), "{config}");
}

/// Returns the learning rates over 20 steps (or 4 epochs) from a base learning rate of 1.
fn learning_rates(config: &ScheduleConfig) -> Vec<f64> {
    let mut schedule = config.build(&[1.0], &LENGTH).unwrap();
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
fn lengths_default_to_that_of_the_run() {
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

/// Checks that a warm-up in steps counts steps. FaKnow stepped it once per epoch, with a learning rate of 0 in the first one.
#[test]
fn a_warm_up_ends_within_the_first_epochs() {
    let rates = learning_rates(&parse("name = 'warmup_linear'; warmup_steps = 5"));
    assert_eq!(rates[0], 0.0);
    assert_eq!(rates[LENGTH.steps_per_epoch], 1.0);
    assert_eq!(rates[20], 0.0);
}

#[test]
fn total_is_the_first_limit_reached() {
    let check = |max_steps, steps, epochs| {
        let length = TrainingLength { max_steps, ..LENGTH };
        assert_eq!(
            [length.total(ScheduleUnit::Step), length.total(ScheduleUnit::Epoch)],
            [steps, epochs],
            "{max_steps:?}"
        );
    };
    check(None, 20, 4);
    check(Some(100), 20, 4);
    check(Some(10), 10, 2);
    check(Some(11), 11, 3);
}

#[test]
fn parts_of_a_sequence_share_one_unit() {
    let unit = |config: &str| parse(config).build(&[1.0], &LENGTH).unwrap().unit();
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
fn one_cycle_peaks_at_base_learning_rate_of_each_group() {
    let mut schedule =
        ScheduleConfig::OneCycle(OneCycle { anneal_strategy: Anneal::Linear, ..OneCycle::default() })
            .build(&[1.0, 0.5], &LENGTH)
            .unwrap();
    for _ in 0..5 {
        schedule.step(None).unwrap();
    }
    assert_eq!(schedule.learning_rates(), [1.0, 0.5]);
}

/// Checks cycles so short that a phase has no step, and steps after the end of the cycle.
#[test]
fn one_cycle_of_any_length_is_finite() {
    for total in 1..=30_u64 {
        for pct_start in [0.0, 0.01, 0.3, 0.5, 1.0] {
            for three_phase in [false, true] {
                if three_phase && pct_start > 0.5 {
                    continue;
                }
                let cycle =
                    OneCycle { pct_start, three_phase, total_steps: Some(total), ..OneCycle::default() };
                let length = TrainingLength {
                    steps_per_epoch: total as usize,
                    max_epochs: 1,
                    max_steps: None,
                    monitor_direction: None,
                };
                let mut schedule = ScheduleConfig::OneCycle(cycle).build(&[1.0], &length).unwrap();
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

#[test]
fn plateau_uses_direction_of_monitored_value() {
    let rates_after = |config: &str, direction: Direction, metrics: &[f64]| {
        let length = TrainingLength { monitor_direction: Some(direction), ..LENGTH };
        let mut schedule = parse(config).build(&[1.0], &length).unwrap();
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
fn undefined_values_do_not_count_as_improvement() {
    for undefined in [None, Some(f64::NAN), Some(f64::NEG_INFINITY)] {
        let config = Plateau { patience: 1, ..Plateau::default() };
        let mut schedule = ScheduleConfig::Plateau(config).build(&[1.0], &LENGTH).unwrap();
        for (metric, expected) in [(undefined, 1.0), (undefined, 0.1), (Some(9.0), 0.1), (undefined, 0.1)] {
            schedule.step(metric).unwrap();
            assert_eq!(schedule.learning_rates(), [expected], "{undefined:?}");
        }
    }
}

/// Checks the errors of building these configurations for a run of 20 steps in 4 epochs, one per line.
fn check_rejected(configs: &[&str], messages: Expect) {
    let message = |config: &&str| match parse(config).build(&[0.1], &LENGTH) {
        Ok(_) => panic!("{config}: accepted"),
        Err(e) => format!("{e}\n"),
    };
    messages.assert_eq(&configs.iter().map(message).collect::<String>());
}

#[test]
fn rejects_settings_out_of_range() {
    check_rejected(
        &[
            "name = 'step'; step_size = 0",
            "name = 'step'; step_size = 1; gamma = nan",
            "name = 'multi_step'; milestones = []",
            "name = 'exponential'; gamma = -0.5",
            "name = 'constant_factor'; factor = 1.5",
            "name = 'linear'; start_factor = 0.0",
            "name = 'linear'; end_factor = inf",
            "name = 'linear'; total_iters = 0",
            "name = 'polynomial'; power = -1.0",
            "name = 'cosine'; t_max = 0",
            "name = 'cosine'; eta_min = -1e-3",
            "name = 'cosine_warm_restarts'; t_0 = 0",
            "name = 'cosine_warm_restarts'; t_0 = 1; t_mult = 0",
            "name = 'one_cycle'; total_steps = 19",
            "name = 'one_cycle'; max_lr = 0.0",
            "name = 'one_cycle'; pct_start = 1.1",
            "name = 'one_cycle'; pct_start = 0.6; three_phase = true",
            "name = 'one_cycle'; div_factor = 0.0",
            "name = 'one_cycle'; final_div_factor = -1.0",
            "name = 'warmup_linear'; warmup_steps = 21",
            "name = 'warmup_linear'; warmup_steps = 2; warmup_ratio = 0.1",
            "name = 'warmup_cosine'; warmup_ratio = 1.5",
            "name = 'warmup_cosine'; num_cycles = 0.0",
            "name = 'warmup_cosine'; total_steps = 0",
            "name = 'plateau'; factor = 1.0",
            "name = 'plateau'; threshold = nan",
            "name = 'plateau'; min_lr = -1.0",
            "name = 'plateau'; eps = -1.0",
        ],
        expect![[r#"
            schedule `step`: step_size: expected at least 1, got 0
            schedule `step`: gamma: expected a finite number above 0, got NaN
            schedule `multi_step`: milestones: expected at least one, got none
            schedule `exponential`: gamma: expected a finite number above 0, got -0.5
            schedule `constant_factor`: factor: expected a number from 0 to 1, got 1.5
            schedule `linear`: start_factor: expected a finite number above 0, got 0
            schedule `linear`: end_factor: expected a number from 0 to 1, got inf
            schedule `linear`: total_iters: expected at least 1, got 0
            schedule `polynomial`: power: expected a finite number of at least 0, got -1
            schedule `cosine`: t_max: expected at least 1, got 0
            schedule `cosine`: eta_min: expected a finite number of at least 0, got -0.001
            schedule `cosine_warm_restarts`: t_0: expected at least 1, got 0
            schedule `cosine_warm_restarts`: t_mult: expected at least 1, got 0
            schedule `one_cycle`: total_steps: expected at least the length of the run, 20, got 19
            schedule `one_cycle`: max_lr: expected a finite number above 0, got 0
            schedule `one_cycle`: pct_start: expected a number from 0 to 1, got 1.1
            schedule `one_cycle`: pct_start: expected at most 0.5 with three_phase, got 0.6
            schedule `one_cycle`: div_factor: expected a finite number above 0, got 0
            schedule `one_cycle`: final_div_factor: expected a finite number above 0, got -1
            schedule `warmup_linear`: warmup_steps: expected at most total_steps, 20, got 21
            schedule `warmup_linear`: warmup_steps: expected either warmup_steps or warmup_ratio, got both, 2 and 0.1
            schedule `warmup_cosine`: warmup_ratio: expected a number from 0 to 1, got 1.5
            schedule `warmup_cosine`: num_cycles: expected a finite number above 0, got 0
            schedule `warmup_cosine`: total_steps: expected at least 1, got 0
            schedule `plateau`: factor: expected a number below 1, got 1
            schedule `plateau`: threshold: expected a finite number of at least 0, got NaN
            schedule `plateau`: min_lr: expected a finite number of at least 0, got -1
            schedule `plateau`: eps: expected a finite number of at least 0, got -1
        "#]],
    );
}

#[test]
fn rejects_invalid_sequences() {
    check_rejected(
        &[
            "name = 'sequential'; milestones = []; schedules = []",
            "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }]",
            "name = 'sequential'; milestones = [0]; schedules = [{ name = 'constant' }, { name = 'constant' }]",
            "name = 'sequential'; milestones = [2, 2]; \
             schedules = [{ name = 'constant' }, { name = 'constant' }, { name = 'constant' }]",
            "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }, { name = 'cosine', t_max = 0 }]",
            "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }, { name = 'plateau' }]",
            "name = 'sequential'; milestones = [1]; schedules = [{ name = 'linear' }, { name = 'one_cycle' }]",
            "name = 'sequential'; milestones = [1]; \
             schedules = [{ name = 'linear', interval = 'step' }, { name = 'cosine', interval = 'epoch' }]",
            "name = 'sequential'; milestones = []; interval = 'step'; \
             schedules = [{ name = 'cosine', interval = 'epoch' }]",
            "name = 'sequential'; milestones = []; \
             schedules = [{ name = 'sequential', milestones = [], schedules = [{ name = 'step', step_size = 0 }] }]",
        ],
        expect![[r#"
            schedule `sequential`: schedules: expected at least one schedule, got none
            schedule `sequential`: milestones: expected 0, one fewer than schedules, got 1
            schedule `sequential`: milestones: expected ascending numbers of at least 1, got [0]
            schedule `sequential`: milestones: expected ascending numbers of at least 1, got [2, 2]
            schedule `sequential`: schedules[1].t_max: expected at least 1, got 0
            schedule `sequential`: schedules[1].name: expected a schedule of steps or epochs, got plateau
            schedule `sequential`: interval: expected "step" or "epoch", as one part counts epochs and another steps, got nothing
            schedule `sequential`: interval: expected "step" or "epoch", as one part counts steps and another epochs, got nothing
            schedule `sequential`: schedules[0].interval: expected "step", the unit of the sequence, got "epoch"
            schedule `sequential`: schedules[0].schedules[0].step_size: expected at least 1, got 0
        "#]],
    );
}

#[test]
fn rejects_schedules_that_do_not_fit_the_run() {
    let min = Plateau { mode: Some(PlateauMode::Min), ..Plateau::default() };
    let cases = [
        (ScheduleConfig::Plateau(min), vec![0.1], TrainingLength { monitor_direction: None, ..LENGTH }),
        (ScheduleConfig::Constant, vec![], LENGTH),
        (ScheduleConfig::Constant, vec![0.1, f64::NAN], LENGTH),
        (ScheduleConfig::Plateau(Plateau::default()), vec![-1.0], LENGTH),
    ];
    let messages = cases
        .map(|(config, base_lrs, length)| format!("{}\n", config.build(&base_lrs, &length).err().unwrap()));
    expect![[r#"
        schedule `plateau`: monitored value: expected a validation value, got a run without validation
        schedule `constant`: base_lrs: expected a base learning rate for each parameter group, got none
        schedule `constant`: base_lrs[1]: expected a finite number of at least 0, got NaN
        schedule `plateau`: base_lrs[0]: expected a finite number of at least 0, got -1
    "#]]
    .assert_eq(&messages.concat());
}

#[test]
fn parse_errors_name_schedule_and_key() {
    let configs = [
        "name = 'step'; step_size = 1; gama = 0.5",
        "name = 'constant'; gamma = 0.5",
        "name = 'plateau'; interval = 'epoch'",
        "name = 'step'",
        "name = 'step'; step_size = -1",
        "name = 'exponential'; gamma = 'half'",
        "name = 'cosine'; interval = 'batch'",
        "name = 'plateau'; mode = 'up'",
        "name = 'cosin'",
        "name = 3",
        "step_size = 3",
        "name = 'sequential'; milestones = []; schedules = [{ name = 'step', size = 3 }]",
    ];
    let message = |config: &str| {
        let error = toml::from_str::<ScheduleConfig>(&config.replace("; ", "\n")).unwrap_err();
        format!("{}\n", error.message())
    };
    expect![[r#"
        schedule `step`: unknown field `gama`, expected one of `interval`, `step_size`, `gamma`
        schedule `constant`: unknown field `gamma`, there are no fields
        schedule `plateau`: unknown field `interval`, expected one of `mode`, `factor`, `patience`, `threshold`, `threshold_mode`, `cooldown`, `min_lr`, `eps`
        schedule `step`: missing field `step_size`
        schedule `step`: invalid value: integer `-1`, expected u64 in `step_size`
        schedule `exponential`: invalid type: string "half", expected f64 in `gamma`
        schedule `cosine`: unknown variant `batch`, expected `step` or `epoch` in `interval`
        schedule `plateau`: unknown variant `up`, expected `min` or `max` in `mode`
        unknown schedule `cosin`, expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau
        `name`: expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau, got 3
        missing field `name`, expected one of constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau
        schedule `sequential`: schedule `step`: unknown field `size`, expected one of `interval`, `step_size`, `gamma` in `schedules`
    "#]].assert_eq(&configs.map(message).concat());
}

#[test]
fn configs_round_trip_through_json_and_toml() {
    let interval = Some(ScheduleUnit::Step);
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

#[test]
fn restore_rejects_states_of_other_schedules() {
    let mut schedule = ScheduleConfig::Plateau(Plateau::default()).build(&[0.1], &LENGTH).unwrap();
    let valid = schedule.state();
    let with = |key: &str, value: Value| {
        let mut state = valid.clone();
        state[key] = value;
        state
    };
    let states = [
        json!({ "name": "step", "t": 3 }),
        json!({ "t": 3 }),
        json!(3),
        json!({ "name": "plateau" }),
        with("learning_rates", json!([0.1, 0.1])),
        with("learning_rates", json!([-0.1])),
        with("n_bad", json!("many")),
    ];
    let messages = states.map(|state| format!("{}\n", schedule.restore(&state).unwrap_err()));
    assert_eq!(schedule.state(), valid);
    expect![[r#"
        schedule `plateau`: saved state: name: expected "plateau", got "step"
        schedule `plateau`: saved state: name: expected "plateau", got nothing
        schedule `plateau`: saved state: expected an object, got 3
        schedule `plateau`: saved state: missing field `learning_rates`
        schedule `plateau`: saved state: learning_rates: expected 1, one per parameter group, got 2
        schedule `plateau`: the learning rate of group 0 after 0 validations: expected a finite number of at least 0, got -0.1
        schedule `plateau`: saved state: invalid type: string "many", expected u64
    "#]].assert_eq(&messages.concat());
}

/// Restores learning rates that have no short decimal form.
#[test]
fn state_restores_learning_rates_bit_exactly() {
    let schedule = MultiplicativeSchedule::new(Unit::Step, |t, _| 1.0 - 1.0 / (t as f64 + 3.7));
    let mut schedule = schedule.build(&[0.123_456_789, 1.0 / 3.0], &LENGTH).unwrap();
    for _ in 0..1000 {
        schedule.step(None).unwrap();
        let before = schedule.learning_rates();
        schedule.restore(&serde_json::from_str(&schedule.state().to_string()).unwrap()).unwrap();
        assert_eq!(schedule.learning_rates(), before);
    }
}

#[test]
fn step_rejects_invalid_learning_rates() {
    let builders: [Box<dyn BuildSchedule>; 3] = [
        Box::new(LambdaSchedule::new(
            Unit::Epoch,
            |t, base| if t < 2 || base > 0.5 { 1.0 } else { f64::NAN },
        )),
        Box::new(MultiplicativeSchedule::new(Unit::Step, |t, _| 1.5 - t as f64)),
        Box::new(ScheduleConfig::Exponential(ExponentialLr::new(1e200))),
    ];
    let messages = builders.map(|builder| {
        let mut schedule = builder.build(&[1.0, 0.1], &LENGTH).unwrap();
        schedule.step(None).unwrap();
        let before = schedule.learning_rates();
        let error = schedule.step(None).unwrap_err();
        assert_eq!(schedule.learning_rates(), before);
        format!("{error}\n")
    });
    expect![[r#"
        schedule `lambda`: the learning rate of group 1 after 2 epochs: expected a finite number of at least 0, got NaN
        schedule `multiplicative`: the learning rate of group 0 after 2 steps: expected a finite number of at least 0, got -0.25
        schedule `exponential`: the learning rate of group 0 after 2 epochs: expected a finite number of at least 0, got inf
    "#]].assert_eq(&messages.concat());
}

#[test]
fn closures_can_build_custom_schedules() {
    /// Halves the learning rates whenever the monitored value is undefined.
    struct HalveIfUndefined(Vec<f64>);

    impl Schedule for HalveIfUndefined {
        fn unit(&self) -> Unit {
            Unit::Validation
        }

        fn learning_rates(&self) -> Vec<f64> {
            self.0.clone()
        }

        fn step(&mut self, metric: Option<f64>) -> Result<()> {
            if metric.is_none() {
                self.0.iter_mut().for_each(|lr| *lr /= 2.0);
            }
            Ok(())
        }

        fn state(&self) -> Value {
            json!(self.0)
        }

        fn restore(&mut self, state: &Value) -> Result<()> {
            self.0 = serde_json::from_value(state.clone())?;
            Ok(())
        }
    }

    let builder = |base_lrs: &[f64], _: &TrainingLength| -> Result<Box<dyn Schedule>> {
        Ok(Box::new(HalveIfUndefined(base_lrs.to_vec())))
    };
    let boxed: Box<dyn BuildSchedule> = Box::new(builder);
    let mut schedule = BuildSchedule::build(&boxed, &[1.0, 0.5], &LENGTH).unwrap();
    schedule.step(Some(1.0)).unwrap();
    schedule.step(None).unwrap();
    assert_eq!(schedule.learning_rates(), [0.5, 0.25]);
    let error = schedule.restore(&json!("x")).unwrap_err();
    expect![[r#"schedule: invalid type: string "x", expected a sequence"#]].assert_eq(&error.to_string());
}
