//! Schedules compared with reference values of PyTorch and Hugging Face, also after resuming.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use faknow_metrics::Direction;
use faknow_trainer::schedule::{
    BuildSchedule, LambdaSchedule, MultiplicativeSchedule, Schedule, ScheduleConfig, TrainingLength, Unit,
};
use serde_json::{Map, Value, json};

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
    println!(
        "{}: {} cases, {n_rates} learning rates within {tolerance:e}, each resumed",
        path.display(),
        cases.len()
    );
}

/// Returns the learning rates of a case with `n` scheduler steps; after `stop` steps the state is restored from JSON into
/// a new schedule.
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
    let length =
        TrainingLength { steps_per_epoch, max_epochs, max_steps: None, monitor_direction: Some(direction) };
    let schedule =
        builder(case["scheduler"].as_str().unwrap(), args, unit).build(&base_lrs, &length).unwrap();
    assert_eq!(schedule.unit(), unit);
    schedule
}

/// Returns a case as a configuration (with PyTorch's names converted) or, for schedulers that take a function, as a closure.
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
        other => panic!("scheduler {other} is not supported"),
    };
    let mut settings = Map::from_iter([("name".to_owned(), json!(name))]);
    for (key, value) in args {
        match key.as_str() {
            "scheduler" => {}
            "cycle_momentum" => assert_eq!(value, false, "cycling momentum is not supported"),
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

/// Returns the file of reference values: in `FAKNOW_GOLDEN` if that is set, else the shared one, else the copy in this
/// crate.
fn golden_file() -> Option<PathBuf> {
    const NAME: &str = "schedules.json";
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(dir) = std::env::var_os("FAKNOW_GOLDEN") {
        let path = PathBuf::from(dir).join(NAME);
        if !path.exists() {
            crate::skip::check("golden").unwrap();
            println!("SKIPPED: golden_schedules: {} does not exist", path.display());
            return None;
        }
        return Some(path);
    }
    let shared =
        std::env::var_os("FAKNOW_SHARED").map_or_else(|| crate_dir.join("../../../shared"), PathBuf::from);
    let candidates = [shared.join("golden").join(NAME), crate_dir.join("tests/golden").join(NAME)];
    let path = candidates.into_iter().find(|path| path.exists());
    assert!(path.is_some(), "tests/golden/{NAME} is missing");
    path
}
