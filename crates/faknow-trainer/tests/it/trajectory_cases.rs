//! The training runs of the reference files: model, data, optimizer and schedule, as described in the manifest.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use faknow_data::{FieldBatch, Loader};
use faknow_model::{Mode, Model, TextCnn, TextCnnConfig, loss, weights};
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{Clip, OptimizerConfig, WeightAveraging};
use serde_json::{Map, Value, json};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// The supported settings of a case; cases with other settings are skipped.
const SUPPORTED: [&str; 17] = [
    "model",
    "vocab_size",
    "embedding_size",
    "filter_num",
    "kernel_sizes",
    "dropout",
    "activation",
    "batch_size",
    "steps",
    "clip_grad_norm",
    "optimizer",
    "scheduler",
    "micro_sizes",
    "ema_decay",
    "feature_size",
    "hidden_size",
    "trees",
];

/// Returns whether the model and all settings of a case are supported.
pub(crate) fn is_supported(case: &Value) -> bool {
    let config = case["config"].as_object().expect("config");
    matches!(config["model"].as_str(), Some("TextCNN" | "GCN"))
        && config.keys().all(|key| SUPPORTED.contains(&key.as_str()))
}

/// A training run that can be started.
pub(crate) struct Case {
    pub(crate) task: Task,
    pub(crate) vars: VarStore,
    pub(crate) optimizer: OptimizerConfig,
    pub(crate) schedule: Option<ScheduleConfig>,
    pub(crate) clip: Clip,
    /// The rows of each step.
    pub(crate) batches: Tensor,
    /// The sizes of the micro-batches of each batch; empty if batches are not split.
    pub(crate) micro_sizes: Vec<i64>,
    /// The weight average to compute.
    pub(crate) average: Option<WeightAveraging>,
}

/// A model with its data.
pub(crate) enum Task {
    Text { model: TextCnn, tokens: Tensor, labels: Tensor },
    Trees { model: Gcn, trees: Vec<(Tensor, Tensor)>, labels: Tensor },
}

impl Case {
    pub(crate) fn new(case: &Value, tensors: &Tensors, kind: Kind) -> Self {
        let config = &case["config"];
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(kind);
        let task = match config["model"].as_str() {
            Some("TextCNN") => Task::text(config, tensors, &vars),
            _ => Task::trees(config, tensors, &vars),
        };
        weights::restore(&vars, &with_prefix(tensors, "param."), Path::new("fixture")).unwrap();
        let batches = tensors["in.batches"].shallow_clone();
        assert_eq!(batches.size(), [int(config, "steps"), int(config, "batch_size")]);
        let schedule = config.get("scheduler").and_then(Value::as_object);
        Self {
            task,
            vars,
            optimizer: serde_json::from_value(convert_optimizer(&config["optimizer"])).expect("an optimizer"),
            schedule: schedule.map(|s| serde_json::from_value(convert_schedule(s)).expect("a schedule")),
            clip: config["clip_grad_norm"].as_f64().map_or(Clip::None, Clip::Norm),
            batches,
            micro_sizes: tensors.get("in.micro_sizes").map_or(vec![], |t| t.try_into().unwrap()),
            average: config
                .get("ema_decay")
                .and_then(Value::as_f64)
                .map(|decay| WeightAveraging::Ema { decay }),
        }
    }
}

fn int(config: &Value, name: &str) -> i64 {
    config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"))
}

/// Converts PyTorch's settings of an optimizer to a configuration.
fn convert_optimizer(optimizer: &Value) -> Value {
    let mut config = optimizer.clone();
    config["name"] = json!(config["name"].as_str().expect("a name").to_lowercase());
    for group in config.get_mut("groups").and_then(Value::as_array_mut).into_iter().flatten() {
        let group = group.as_object_mut().expect("a group");
        let pattern = group.remove("params").expect("params");
        group.insert("pattern".into(), pattern);
    }
    config
}

/// Converts PyTorch's settings of a scheduler to a configuration.
fn convert_schedule(scheduler: &Map<String, Value>) -> Value {
    let name = match scheduler["name"].as_str() {
        Some("StepLR") => "step",
        Some("CosineAnnealingLR") => "cosine",
        other => panic!("schedule {other:?}"),
    };
    let settings = scheduler.iter().map(|(key, value)| match key.as_str() {
        "name" => ("name".to_owned(), json!(name)),
        "unit" => ("interval".to_owned(), value.clone()),
        other => (other.to_lowercase(), value.clone()),
    });
    Value::Object(settings.collect())
}

pub(crate) fn with_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    let named = tensors
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.shallow_clone())));
    named.collect()
}

impl Task {
    fn text(config: &Value, tensors: &Tensors, vars: &VarStore) -> Self {
        let model_config = TextCnnConfig {
            embedding_size: int(config, "embedding_size"),
            n_filters: int(config, "filter_num"),
            kernel_sizes: serde_json::from_value(config["kernel_sizes"].clone()).unwrap(),
            activation: serde_json::from_value(config["activation"].clone()).unwrap(),
            dropout: config["dropout"].as_f64().unwrap(),
            freeze_embedding: false,
        };
        let n_classes = tensors["param.classifier.1.bias"].size()[0] as usize;
        let n_words = int(config, "vocab_size") as usize;
        let model = TextCnn::new(&vars.root(), &model_config, n_words, n_classes).unwrap();
        let [tokens, labels] = ["in.tokens", "in.labels"].map(|name| tensors[name].shallow_clone());
        Self::Text { model, tokens, labels }
    }

    fn trees(config: &Value, tensors: &Tensors, vars: &VarStore) -> Self {
        let labels = tensors["in.y"].shallow_clone();
        let n_classes = tensors["param.fc2.bias"].size()[0];
        let sizes = [int(config, "feature_size"), int(config, "hidden_size"), n_classes];
        let ends = |name: &str| Vec::<i64>::try_from(&tensors[name]).unwrap();
        let slice = |t: &Tensor, dim, ends: &[i64]| t.narrow(dim, ends[0], ends[1] - ends[0]);
        let nodes = ends("in.node_ptr");
        let edges = ends("in.edge_ptr");
        let trees = nodes.windows(2).zip(edges.windows(2)).map(|(nodes, edges)| {
            let x = slice(&tensors["in.x"], 0, nodes);
            let propagation = propagation(&slice(&tensors["in.edge_index"], 1, edges), x.size()[0]);
            (x.to_kind(vars.kind()), propagation.to_kind(vars.kind()))
        });
        let trees: Vec<_> = trees.collect();
        assert_eq!(trees.len() as i64, int(config, "trees"));
        Self::Trees { model: Gcn::new(vars, sizes), trees, labels }
    }

    /// Returns the mean cross-entropy of these rows.
    pub(crate) fn loss(&self, rows: &Tensor) -> Tensor {
        match self {
            Self::Text { model, tokens, labels } => {
                let batch = text_batch(tokens, labels, rows);
                model.forward(&batch, Mode::Train).unwrap().loss.expect("a loss").total
            }
            Self::Trees { model, trees, labels } => {
                let indices = Vec::<i64>::try_from(rows).unwrap();
                let logits: Vec<Tensor> = indices.iter().map(|&i| model.logits(&trees[i as usize])).collect();
                // Not tch's cross-entropy, which is computed in single precision.
                loss::cross_entropy(&Tensor::stack(&logits, 0), &labels.index_select(0, rows)).unwrap()
            }
        }
    }

    pub(crate) fn all_rows(&self) -> Tensor {
        let (Self::Text { labels, .. } | Self::Trees { labels, .. }) = self;
        Tensor::arange(labels.size()[0], tch::kind::INT64_CPU)
    }
}

/// A graph convolution, ReLU, max pooling over the nodes, and a linear layer, for one tree at a time.
pub(crate) struct Gcn {
    weight: Tensor,
    bias: Tensor,
    fc_weight: Tensor,
    fc_bias: Tensor,
}

impl Gcn {
    fn new(vars: &VarStore, [n_features, n_hidden, n_classes]: [i64; 3]) -> Self {
        let (conv, fc) = (vars.root() / "conv", vars.root() / "fc2");
        let zeros = Init::Const(0.0);
        Self {
            weight: (&conv / "lin").var("weight", &[n_hidden, n_features], zeros),
            bias: conv.var("bias", &[n_hidden], zeros),
            fc_weight: fc.var("weight", &[n_classes, n_hidden], zeros),
            fc_bias: fc.var("bias", &[n_classes], zeros),
        }
    }

    fn logits(&self, (x, propagation): &(Tensor, Tensor)) -> Tensor {
        let nodes = propagation.matmul(&x.matmul(&self.weight.tr())) + &self.bias;
        nodes.relu().amax(0, false).linear(&self.fc_weight, Some(&self.fc_bias))
    }
}

/// Returns `D^-1/2 (A + I) D^-1/2` of a graph, where D is the in-degree; row 0 of `edges` are the sources, row 1 the targets.
fn propagation(edges: &Tensor, n_nodes: i64) -> Tensor {
    let adjacency = Tensor::eye(n_nodes, tch::kind::DOUBLE_CPU);
    let ones = Tensor::ones([edges.size()[1]], tch::kind::DOUBLE_CPU);
    let adjacency = adjacency.index_put(&[Some(edges.get(1)), Some(edges.get(0))], &ones, true);
    let root = adjacency.sum_dim_intlist(1, false, Kind::Double).rsqrt();
    root.unsqueeze(1) * adjacency * root.unsqueeze(0)
}

fn text_batch(tokens: &Tensor, labels: &Tensor, rows: &Tensor) -> FieldBatch {
    FieldBatch::from_words(tokens.index_select(0, rows), Some(labels.index_select(0, rows))).unwrap()
}

/// A loader of the batches of a reference file, in order, split into micro-batches.
pub(crate) struct Batches {
    tokens: Tensor,
    labels: Tensor,
    /// The rows of each micro-batch.
    rows: Vec<Tensor>,
}

impl Batches {
    /// Creates a loader; batches are not split if `micro_sizes` is empty.
    pub(crate) fn new(tokens: Tensor, labels: Tensor, batches: &Tensor, micro_sizes: &[i64]) -> Self {
        let steps = (0..batches.size()[0]).map(|step| batches.get(step));
        let rows = match micro_sizes {
            [] => steps.collect(),
            sizes => steps.flat_map(|batch| batch.split_with_sizes(sizes, 0)).collect(),
        };
        Self { tokens, labels, rows }
    }
}

impl Loader<FieldBatch> for Batches {
    fn n_samples(&self) -> usize {
        self.rows.iter().map(Tensor::numel).sum()
    }

    fn n_batches(&self) -> usize {
        self.rows.len()
    }

    fn batches(
        &self,
        _: usize,
        from: usize,
    ) -> Box<dyn Iterator<Item = faknow_data::Result<FieldBatch>> + '_> {
        let batch = |rows| Ok(text_batch(&self.tokens, &self.labels, rows));
        Box::new(self.rows[from..].iter().map(batch))
    }
}
