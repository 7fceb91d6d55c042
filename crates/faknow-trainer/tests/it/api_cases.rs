//! What went wrong when others used the API, one test for each subject. Batches of one row are tested in `shapes.rs`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::{
    Callback, LevelFilter, Monitor, MonitorChoice, ProgressWriter, Run, console_subscriber,
};
use faknow_data::{DataLoader, TensorDataset};
use faknow_metrics::{Direction, FnMetric, Metrics, metric_fn};
use faknow_model::{Criterion, Loss, Mode, Model, Output};
use faknow_trainer::{
    Adversarial, Attack, CheckpointPolicy, Error, Fgm, OptimizerConfig, RunDir, StepOutput, Supervised,
    Trainer, TrainerBuilder, evaluate, predict, seeded_model,
};
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor, kind};

type Pair = (Tensor, Option<Tensor>);

/// A linear model whose output a function changes.
struct Linear(nn::Linear, fn(Output) -> Output);

impl Model for Linear {
    type Batch = Pair;

    fn forward(&self, batch: &Pair, _: Mode) -> faknow_model::Result<Output> {
        let logits = batch.0.apply(&self.0);
        let loss = batch.1.as_ref().map(|labels| Loss::single(logits.cross_entropy_for_logits(labels)));
        Ok((self.1)(Output { logits, loss }))
    }
}

fn builder(change: fn(Output) -> Output) -> TrainerBuilder<Linear> {
    let vars = VarStore::new(Device::Cpu);
    let zero = nn::LinearConfig { ws_init: nn::Init::Const(0.0), bs_init: None, bias: true };
    let model = Linear(nn::linear(vars.root(), 1, 2, zero), change);
    Trainer::builder(model, vars).max_epochs(3)
}

fn unchanged(output: Output) -> Output {
    output
}

/// Returns fifty numbers from -1 to 1, of class 1 above 0, in batches of 20.
fn data() -> DataLoader<TensorDataset> {
    let x = Tensor::linspace(-1.0, 1.0, 50, kind::FLOAT_CPU).unsqueeze(1);
    let labels = x.squeeze_dim(1).gt(0.0).to_kind(Kind::Int64);
    DataLoader::builder(TensorDataset::new(x, labels).unwrap()).batch_size(20).build().unwrap()
}

fn fit_error(builder: TrainerBuilder<Linear>) -> Error {
    builder.build().unwrap().fit(&data(), Some(&data())).unwrap_err()
}

#[test]
fn row_06_store_that_is_not_the_models_is_rejected() {
    let model = |vars: &VarStore| Linear(nn::linear(vars.root(), 1, 2, Default::default()), unchanged);
    let own = VarStore::new(Device::Cpu);
    let empty = Trainer::builder(model(&own), VarStore::new(Device::Cpu)).build().unwrap_err();
    let expected = "vars: expected the variables of the model, got ";
    assert_eq!(
        empty.to_string(),
        format!("{expected}0 variables, none of them trainable; build the model in this `VarStore`")
    );
    let foreign = VarStore::new(Device::Cpu);
    let _other = model(&foreign);
    let error = fit_error(Trainer::builder(model(&own), foreign));
    assert_eq!(
        error.to_string(),
        format!("{expected}2 variables that the loss does not depend on; build the model in this `VarStore`")
    );
}

#[test]
fn row_08_the_error_names_what_gives_no_loss_and_a_criterion_replaces_it() {
    let no_loss = |output: Output| Output { loss: None, ..output };
    let custom = builder(no_loss).step_fn(|model: &mut Linear, batch: &Pair, optimizer, context| {
        let loss = context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)?;
        optimizer.backward_step(&loss.total)?;
        Ok(loss)
    });
    for builder in [builder(no_loss), custom] {
        let error = fit_error(builder);
        assert!(matches!(error, Error::NoLoss { .. }), "{error:?}");
        let expected = "training, epoch 1, batch 1: the model returned no loss; return one from `forward`";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let error = builder(no_loss).build().unwrap().fit(&Unlabeled, None).unwrap_err();
    assert!(matches!(error, Error::NoLabels { .. }), "{error:?}");

    // The criterion computes the loss, in every step that is built on the default one.
    let criterion = || Supervised::new(Criterion::default()).unwrap();
    let attack = Attack::Fgm(Fgm { pattern: "weight".into(), ..Fgm::default() });
    let plain = builder(no_loss).step(criterion());
    let vars = VarStore::new(Device::Cpu);
    let model = Linear(nn::linear(vars.root(), 1, 2, Default::default()), no_loss);
    let step = Adversarial::new(attack, &vars).unwrap().supervised(criterion());
    let adversarial = Trainer::builder(model, vars).step(step);
    for builder in [plain, adversarial] {
        let builder = builder.max_epochs(20).optimizer(OptimizerConfig::adam(0.1));
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&data(), Some(&data())).unwrap();
        let record = report.history.last().unwrap();
        assert!(record.train.value("loss").is_some(), "{:?}", record.train);
        assert!(record.valid.as_ref().unwrap().value("accuracy").unwrap() > 0.9);
        let reason = record.valid.as_ref().unwrap().get("loss").unwrap().reason();
        assert_eq!(reason, Some("the model returned no loss"));
    }
}

/// A loader of one batch without labels.
struct Unlabeled;

impl faknow_data::Loader<Pair> for Unlabeled {
    fn n_samples(&self) -> usize {
        2
    }

    fn n_batches(&self) -> usize {
        1
    }

    fn batches(&self, _: usize, _: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Pair>> + '_> {
        Box::new(std::iter::once(Ok((Tensor::ones([2, 1], kind::FLOAT_CPU), None))))
    }
}

#[test]
fn row_09_wrong_shapes_are_named_in_every_pass() {
    let logits = "logits of the model: expected [20, n_classes] with at least 2 classes, got ";
    type Change = fn(Output) -> Output;
    let table: [(Change, String); 4] = [
        (|output| Output { logits: output.logits.narrow(0, 0, 3), ..output }, format!("{logits}[3, 2]")),
        (|output| Output { logits: output.logits.flatten(0, -1), ..output }, format!("{logits}[40]")),
        (|output| Output { logits: output.logits.narrow(1, 0, 1), ..output }, format!("{logits}[20, 1]")),
        (
            |output| {
                let loss = Loss::single(output.logits.select(1, 0).narrow(0, 0, 3));
                Output { loss: Some(loss), ..output }
            },
            "loss: expected a scalar: the mean over the samples, got [3]".to_owned(),
        ),
    ];
    for (change, expected) in table {
        let error = fit_error(builder(change).num_sanity_val_batches(0)).to_string();
        assert_eq!(error, format!("training, epoch 1, batch 1: {expected}"));
        let error = fit_error(builder(change)).to_string();
        assert_eq!(error, format!("validation, batch 1: {expected}"), "the sanity check");
        let mut trainer = builder(change).build().unwrap();
        let error = trainer.test(&data()).unwrap_err().to_string();
        assert_eq!(error, format!("test, batch 1: {expected}"));
        let error = trainer.predict(&data()).unwrap_err().to_string();
        assert_eq!(error, format!("test, batch 1: {expected}"));
        assert!(evaluate(trainer.model(), &data(), &Metrics::default(), Device::Cpu).is_err());
        assert!(predict(trainer.model(), &data(), Device::Cpu).is_err());
    }
    // The output of a custom step.
    let step = |change: fn(StepOutput) -> StepOutput| {
        builder(unchanged).step_fn(move |model: &mut Linear, batch: &Pair, optimizer, context| {
            let output = model.forward(batch, Mode::Train)?;
            let loss = context.check_loss(output.loss, optimizer)?;
            optimizer.backward_step(&loss.total)?;
            Ok(change(StepOutput::new(loss).logits(output.logits)))
        })
    };
    let narrow =
        |output: StepOutput| StepOutput { logits: output.logits.map(|t| t.narrow(0, 0, 3)), ..output };
    let vector =
        |output: StepOutput| StepOutput { loss: Loss::single(Tensor::ones([3], kind::FLOAT_CPU)), ..output };
    type StepChange = fn(StepOutput) -> StepOutput;
    let table: [(StepChange, &str); 2] = [
        (narrow, "logits of the step: expected [20, n_classes] with at least 2 classes, got [3, 2]"),
        (vector, "loss: expected a scalar: the mean over the samples, got [3]"),
    ];
    for (change, expected) in table {
        assert_eq!(fit_error(step(change)).to_string(), format!("training, epoch 1, batch 1: {expected}"));
    }
}

#[test]
fn row_09_failing_metric_is_named_with_its_location() {
    let panicking = || -> FnMetric {
        metric_fn("mine", Direction::Maximize, |predictions| {
            assert!(predictions.n_samples() < 50, "too many samples");
            1.0
        })
    };
    let metrics = || Metrics::default().with(panicking()).unwrap();
    let error = fit_error(builder(unchanged).metrics(metrics()));
    assert!(matches!(error, Error::Metric { .. }), "{error:?}");
    let expected = "validation, epoch 1, batch 3: metric `mine`: panicked: too many samples";
    assert_eq!(error.to_string(), expected);
    let error = builder(unchanged).metrics(metrics()).build().unwrap().test(&data()).unwrap_err();
    assert_eq!(error.to_string(), "test, batch 3: metric `mine`: panicked: too many samples");
}

#[test]
fn row_13_names_options_and_undefined_values_are_reported() {
    // One naming scheme: with and without the phase, aliases and other spellings.
    for name in ["accuracy", "valid/accuracy", "Accuracy"] {
        let mut trainer = builder(unchanged).monitor(name).build().unwrap();
        trainer.fit(&data(), Some(&data())).unwrap();
        assert_eq!(trainer.run().monitor(), Some(&Monitor::max("accuracy")), "{name}");
        let series = trainer.run().history().series(name).unwrap();
        assert_eq!(series.len(), 3, "{name}");
    }
    for name in ["auc", "valid/auc", "AUC", "roc_auc"] {
        let metrics = Metrics::from_names(&["auc"]).unwrap();
        let mut trainer = builder(unchanged).metrics(metrics).monitor(name).build().unwrap();
        trainer.fit(&data(), Some(&data())).unwrap();
        assert_eq!(trainer.run().monitor(), Some(&Monitor::max("roc_auc")), "{name}");
        assert!(trainer.run().history().series(name).unwrap().iter().all(|(_, value)| value.is_some()));
    }
    let mut trainer = builder(unchanged).build().unwrap();
    trainer.fit(&data(), Some(&data())).unwrap();
    let error = trainer.run().history().series("acuracy").unwrap_err().to_string();
    assert!(error.starts_with("unknown recorded value `acuracy`: expected one of train/loss, "), "{error}");
    let error = MonitorChoice::from("acuracy").resolve(trainer.run()).unwrap_err().to_string();
    assert!(error.contains("`acuracy`") && error.contains("accuracy, "), "{error}");

    // Options that only a run directory gives an effect.
    let policy = CheckpointPolicy { keep: 2, ..CheckpointPolicy::default() };
    for (builder, name) in [
        (builder(unchanged).histograms_every(1), "histograms_every"),
        (builder(unchanged).checkpoints(policy), "checkpoints"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: expected no value without a run directory")), "{error}");
    }

    // A monitor that is undefined in every epoch, with the reason.
    let undefined = || Metrics::from_names(&["auc"]).unwrap();
    let one_class = || {
        let x = Tensor::ones([4, 1], kind::FLOAT_CPU);
        let data = TensorDataset::new(x, Tensor::ones([4], kind::INT64_CPU)).unwrap();
        DataLoader::builder(data).build().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let run_dir = RunDir::create(dir.path().join("run")).unwrap();
    let subscriber = console_subscriber(LevelFilter::ERROR, &ProgressWriter::plain(std::io::sink()));
    let subscriber = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&subscriber, || {
        let builder = builder(unchanged).metrics(undefined()).monitor("auc").run_dir(run_dir);
        let report = builder.build().unwrap().fit(&data(), Some(&one_class())).unwrap();
        assert!(report.best.is_none());
    });
    let text = std::fs::read_to_string(dir.path().join("run/run.log")).unwrap();
    assert!(text.contains("roc_auc=undefined ("), "{text}");
    let start = "monitor `roc_auc` was undefined in every epoch (";
    assert!(text.contains(start) && text.contains("there is no best epoch"), "{text}");
}

/// A callback one of whose methods panics.
struct Panics(&'static str);

impl Callback for Panics {
    fn name(&self) -> &str {
        assert_ne!(self.0, "name", "no name");
        "Panics"
    }

    fn key(&self) -> Option<&str> {
        assert_ne!(self.0, "key", "no key");
        None
    }

    fn is_log(&self) -> bool {
        assert_ne!(self.0, "is_log", "unknown");
        false
    }

    fn on_epoch_start(&mut self, _: &mut Run) -> faknow_callbacks::HookResult {
        Err("fails so that its name is needed".into())
    }
}

#[test]
fn row_14_seeds_panics_and_the_state_of_the_loop() {
    // Models built in several threads have the weights of their seeds.
    let weight = |seed| {
        let build = |path: &nn::Path<'_>| path.f_randn_standard("weight", &[1000]);
        let (weight, _vars) = seeded_model(seed, Device::Cpu, build).unwrap();
        Vec::<f32>::try_from(&weight).unwrap()
    };
    let expected: Vec<Vec<f32>> = (0..4).map(weight).collect();
    for _ in 0..10 {
        let threads: Vec<_> = (0..4).map(|seed| std::thread::spawn(move || weight(seed))).collect();
        let got: Vec<Vec<f32>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(got == expected);
    }

    // A panic in any method of a callback is an error of the run.
    for method in ["name", "is_log"] {
        let error = fit_error(builder(unchanged).callback(Panics(method))).to_string();
        assert!(error.contains("fails so that its name is needed (in on_epoch_start"), "{method}: {error}");
    }
    let error = builder(unchanged).callback(Panics("key")).build().unwrap_err().to_string();
    assert!(error.contains("no key") && error.ends_with("(in key)"), "{error}");
    // So is a panic in anything else that the trainer calls.
    let error = fit_error(builder(unchanged).schedule_fn(|_| panic!("no learning rate"))).to_string();
    assert!(error.contains("no learning rate"), "{error}");

    // A callback changes weights and learning rates, but neither the epoch nor another counter: they are private.
    let run = faknow_callbacks::RunOwner::new("run", VarStore::new(Device::Cpu));
    let read: (usize, u64) = (Run::epoch(&run), Run::step(&run));
    assert_eq!(read, (0, 0));
}
