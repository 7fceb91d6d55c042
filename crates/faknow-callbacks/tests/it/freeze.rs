//! Freezing of weights.

use faknow_callbacks::{Callback, Error, FitStart, Freeze, FreezeRule, Interval, Run, RunOwner, StopReason};
use tch::nn::{Init, VarStore};
use tch::{Device, Tensor};

/// Creates a run with 4 batches per epoch, three trainable weights, one frozen by its model, and running statistics.
fn run() -> RunOwner {
    let vars = VarStore::new(Device::Cpu);
    let root = vars.root();
    for name in ["embedding", "conv", "classifier"] {
        let _ = (&root / name).var("weight", &[2], Init::Const(1.0));
    }
    let _ = (&root / "frozen").var("weight", &[2], Init::Const(1.0)).set_requires_grad(false);
    let _ = (&root / "conv").zeros_no_train("running_mean", &[2]);
    let mut run = RunOwner::new("toy", vars);
    (run.progress_mut().n_batches, run.progress_mut().max_epochs) = (4, 3);
    run
}

/// Returns the names of the trainable weights.
fn trainable(run: &Run) -> Vec<String> {
    let variables = run.vars.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
    let mut names: Vec<_> = variables.map(|(name, _)| name.replace(".weight", "")).collect();
    names.sort();
    names
}

fn set_progress(run: &mut RunOwner, epoch: usize, batch: usize) {
    let progress = run.progress_mut();
    (progress.epoch, progress.batch) = (epoch, batch);
    progress.step = (4 * (epoch.max(1) - 1) + batch) as u64;
    progress.samples = 8 * progress.step;
}

const ALL: &str = "classifier conv embedding";

#[test]
fn freezes_weights_by_name_until_the_interval() {
    let until = |pattern: &str, interval: &str| FreezeRule::until(pattern, interval.parse().unwrap());
    let check = |rules: &[FreezeRule], expected: &[((usize, usize), &str)]| {
        let mut freeze = Freeze::new(rules.to_vec());
        let mut run = run();
        // Uninterrupted, resumed at each position, and rolled back from each position.
        for direction in [1, 0, -1] {
            let mut positions = expected.to_vec();
            if direction < 0 {
                positions.reverse();
            }
            freeze.on_fit_start(&mut run).unwrap();
            for ((epoch, batch), names) in positions {
                set_progress(&mut run, epoch, batch);
                match direction {
                    1 => freeze.on_batch_start(&mut run).unwrap(),
                    0 => freeze.on_fit_start(&mut run).unwrap(),
                    _ => {
                        run.setup_mut().start = FitStart::RolledBack;
                        freeze.on_fit_start(&mut run).unwrap();
                    }
                }
                assert_eq!(trainable(&run).join(" "), names, "{rules:?}: epoch {epoch}, batch {batch}");
            }
            freeze.on_fit_end(&mut run, Ok(&StopReason::Completed)).unwrap();
            assert_eq!(trainable(&run).join(" "), ALL, "all weights are trainable after the fit");
        }
    };
    check(&[], &[((0, 0), ALL), ((1, 0), ALL)]);
    check(
        &[FreezeRule::always("embedding.*")],
        &[((0, 0), "classifier conv"), ((1, 3), "classifier conv"), ((3, 4), "classifier conv")],
    );
    let two_epochs = [((1, 0), "classifier conv"), ((2, 3), "classifier conv"), ((2, 4), ALL), ((3, 0), ALL)];
    check(&[until("embedding.weight", "2 epochs")], &two_epochs);
    check(&[until("emb*", "8 steps")], &two_epochs);
    check(&[until("emb*", "64 samples")], &two_epochs);
    // Gradual unfreezing from the last layer to the first.
    let gradually = [until("conv.*", "1 epoch"), until("embedding.*", "2 epochs")];
    check(
        &gradually,
        &[((1, 3), "classifier"), ((1, 4), "classifier conv"), ((2, 3), "classifier conv"), ((3, 0), ALL)],
    );
    // A weight is frozen as long as any rule applies.
    let overlapping = [until("*n*.weight", "1 step"), until("emb*", "3 steps"), until("conv.*", "2 steps")];
    check(
        &overlapping,
        &[((1, 0), "classifier"), ((1, 1), "classifier"), ((1, 2), "classifier conv"), ((1, 3), ALL)],
    );
    // Weights frozen by the model stay frozen.
    check(
        &[until("frozen.*", "1 step"), FreezeRule::always("*running_mean")],
        &[((1, 0), ALL), ((1, 1), ALL)],
    );
}

#[test]
fn frozen_weights_get_no_gradient() {
    let mut run = run();
    let mut freeze = Freeze::new([FreezeRule::until("conv.*", Interval::steps(1))]);
    let gradients = |run: &Run| -> Vec<String> {
        let weights = run.vars.variables();
        let trainable: Vec<_> = weights.values().filter(|t| t.requires_grad()).map(Tensor::square).collect();
        Tensor::stack(&trainable, 0).sum(tch::Kind::Float).backward();
        let mut names: Vec<_> =
            weights.into_iter().filter(|(_, t)| t.grad().defined()).map(|(name, _)| name).collect();
        names.sort();
        names
    };
    freeze.on_fit_start(&mut run).unwrap();
    assert_eq!(gradients(&run), ["classifier.weight", "embedding.weight"]);
    run.progress_mut().step = 1;
    freeze.on_batch_start(&mut run).unwrap();
    assert_eq!(gradients(&run), ["classifier.weight", "conv.weight", "embedding.weight"]);
}

#[test]
fn rejects_invalid_rules_before_training() {
    let check = |rules: &[FreezeRule], expected: &str| {
        let mut run = run();
        let freeze = Freeze::new(rules.to_vec());
        let error = freeze.check(&run.vars).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
        let mut freeze = freeze;
        assert_eq!(freeze.on_fit_start(&mut run).unwrap_err().to_string(), expected);
        assert_eq!(trainable(&run).join(" "), ALL, "nothing was frozen");
    };
    check(
        &[FreezeRule::always("conv.*"), FreezeRule::always("embeddings.*")],
        "freeze.pattern: expected a pattern that matches a weight (classifier.weight, conv.running_mean, conv.weight, \
         embedding.weight, frozen.weight), got `embeddings.*`",
    );
    check(
        &[FreezeRule::until("conv.*", Interval::steps(0))],
        "freeze.until: expected an interval above 0, with an integer number of steps or samples, got 0 steps",
    );
    check(
        &[FreezeRule::always("c*"), FreezeRule::until("*.weight", Interval::epochs(1.0))],
        "freeze.pattern: expected patterns that leave at least one weight trainable, got `c*`, `*.weight` until 1 epoch",
    );
}

#[test]
fn weights_are_unfrozen_after_an_error() {
    let mut run = run();
    let mut freeze = Freeze::new([FreezeRule::always("conv.*")]);
    freeze.on_fit_start(&mut run).unwrap();
    assert_eq!(trainable(&run).join(" "), "classifier embedding");
    freeze.on_fit_end(&mut run, Err(&std::io::Error::other("out of memory"))).unwrap();
    assert_eq!(trainable(&run).join(" "), ALL);
}

#[test]
fn rules_are_serializable() {
    let rules: Vec<FreezeRule> =
        serde_json::from_str(r#"[{"pattern": "a.*", "until": "2 epochs"}, {"pattern": "b"}]"#).unwrap();
    assert_eq!(rules, [FreezeRule::until("a.*", Interval::epochs(2.0)), FreezeRule::always("b")]);
    let written = serde_json::to_string(&rules).unwrap();
    assert_eq!(written, r#"[{"pattern":"a.*","until":"2 epochs"},{"pattern":"b"}]"#);
    let wrong = serde_json::from_str::<FreezeRule>(r#"{"pattern": "a", "unti": "1 epoch"}"#).unwrap_err();
    assert!(wrong.to_string().contains("unknown field `unti`"), "{wrong}");
}
