//! Settings of the loss, the optimizer and the learning-rate schedule.

use super::policies::{CONFIG, INITIAL};
use super::setting::{StaticTable, setting, table};

const ADAMS: &[&str] = &["adam", "adamw"];
const INTERVAL: &[&str] = &[
    "step",
    "multi_step",
    "exponential",
    "constant_factor",
    "linear",
    "polynomial",
    "cosine",
    "cosine_warm_restarts",
    "one_cycle",
    "warmup_linear",
    "warmup_cosine",
    "sequential",
];
const WARMUPS: &[&str] = &["warmup_linear", "warmup_cosine"];

pub(super) const TABLES: &[StaticTable] = &[
    table(
        "loss",
        "The training loss in place of the model's own, which validation always reports. Default: the model's own.",
        &[
            setting("name", CONFIG, "`cross_entropy`, `focal`", "the loss"),
            setting("gamma", CONFIG, "at least 0", "focusing parameter of `focal`, where it is 2 by default"),
            setting("label_smoothing", CONFIG, "0 to below 1", "share of each target that is spread over all classes"),
            setting("class_weights", CONFIG, "`balanced`, or a list of numbers above 0, one per class", "class weights; `balanced`: scikit-learn's formula on the training samples"),
        ],
    ),
    table(
        "adversarial",
        "Adversarial training: parameters are moved along the gradient and a second loss is added. Default: none.",
        &[
            setting("name", CONFIG, "`pgd` (Madry et al., 2018), `fgm` (Miyato et al., 2017)", "the attack"),
            setting("pattern", CONFIG, "parameter names, `*` matches any characters", "attacked parameters; at least one must be trainable"),
            setting("epsilon", CONFIG, "above 0", "maximum norm of the perturbation"),
            setting("alpha", CONFIG, "above 0", "step size").of(&["pgd"]),
            setting("steps", CONFIG, "at least 1", "steps per batch, each a forward and backward pass").of(&["pgd"]),
        ],
    )
    .by_name(&["pgd", "fgm"]),
    table(
        "optimizer",
        "PyTorch's optimizers with PyTorch's defaults. A `name` resets all others of these settings but the learning rate: that of the optimizer is used if neither the config nor the model has one.",
        &[
            setting("name", CONFIG, "`adam`, `adamw`, `sgd`, `rmsprop`, `adagrad`", "the optimizer"),
            setting("lr", CONFIG, "at least 0", "learning rate"),
            setting("weight_decay", CONFIG, "at least 0", "L2 penalty; decoupled in `adamw`"),
            setting("betas", CONFIG, "two numbers, 0 to below 1", "decay rates of the moments").of(ADAMS),
            setting("amsgrad", CONFIG, "boolean", "the AMSGrad variant").of(ADAMS),
            setting("eps", CONFIG, "above 0", "added to the denominator").of(&["adam", "adamw", "rmsprop", "adagrad"]),
            setting("momentum", CONFIG, "0 to below 1", "momentum").of(&["sgd", "rmsprop"]),
            setting("dampening", CONFIG, "at least 0", "dampening of the momentum").of(&["sgd"]),
            setting("nesterov", CONFIG, "boolean", "Nesterov momentum; needs momentum and no dampening").of(&["sgd"]),
            setting("alpha", CONFIG, "0 to below 1", "smoothing constant").of(&["rmsprop"]),
            setting("centered", CONFIG, "boolean", "normalize gradients by their variance").of(&["rmsprop"]),
            setting("lr_decay", CONFIG, "at least 0", "learning rate decay per update").of(&["adagrad"]),
            setting("initial_accumulator_value", INITIAL, "at least 0", "initial sum of squared gradients").of(&["adagrad"]),
            setting("groups", CONFIG, "list of tables: `pattern`, and `lr` or `weight_decay`", "parameter groups; the first pattern that matches a name applies"),
        ],
    )
    .by_name(&["adam", "adamw", "sgd", "rmsprop", "adagrad"]),
    table(
        "schedule",
        "The learning-rate schedule (schedules.md has the formulas). Default: a constant learning rate. Lengths count \
         steps (weight updates) or epochs, as `interval` says.",
        &[
            setting("name", CONFIG, "a schedule of schedules.md", "the schedule"),
            setting("interval", CONFIG, "`step`, `epoch`", "what lengths count; default: steps for `one_cycle` and warm-ups, else epochs").of(INTERVAL),
            setting("step_size", CONFIG, "at least 1", "length between two changes").of(&["step"]).required("1"),
            setting("milestones", CONFIG, "ascending lengths", "when the learning rate changes").of(&["multi_step"]).required("[1]"),
            setting("gamma", CONFIG, "above 0", "factor of each change").of(&["step", "multi_step"]),
            setting("gamma", CONFIG, "above 0", "factor of each change").of(&["exponential"]).required("0.5"),
            setting("factor", CONFIG, "0 to 1", "factor during the first `total_iters`").of(&["constant_factor"]),
            setting("start_factor", CONFIG, "above 0, at most 1", "factor at the start").of(&["linear"]),
            setting("end_factor", CONFIG, "0 to 1", "factor at the end").of(&["linear"]),
            setting("total_iters", CONFIG, "length", "length of the change").of(&["constant_factor", "linear"]),
            setting("total_iters", CONFIG, "length, at least 1", "length until 0; default: the run").of(&["polynomial"]),
            setting("power", CONFIG, "at least 0", "exponent").of(&["polynomial"]),
            setting("t_max", CONFIG, "length, at least 1", "length from the maximum to the minimum; default: the run").of(&["cosine"]),
            setting("t_0", CONFIG, "length, at least 1", "length of the first cycle").of(&["cosine_warm_restarts"]).required("1"),
            setting("t_mult", CONFIG, "at least 1", "factor from one cycle length to the next").of(&["cosine_warm_restarts"]),
            setting("eta_min", CONFIG, "at least 0", "minimum learning rate").of(&["cosine", "cosine_warm_restarts"]),
            setting("max_lr", CONFIG, "above 0", "maximum learning rate; default: the optimizer's").of(&["one_cycle"]),
            setting("total_steps", CONFIG, "length, at least the run", "length of the cycle; default: the run").of(&["one_cycle"]),
            setting("pct_start", CONFIG, "0 to 1; to 0.5 with `three_phase`", "share of the cycle that increases the learning rate").of(&["one_cycle"]),
            setting("anneal_strategy", CONFIG, "`cos`, `linear`", "form of the increase and decrease").of(&["one_cycle"]),
            setting("div_factor", CONFIG, "above 0", "maximum / initial learning rate").of(&["one_cycle"]),
            setting("final_div_factor", CONFIG, "above 0", "initial / final learning rate").of(&["one_cycle"]),
            setting("three_phase", CONFIG, "boolean", "return to the initial learning rate before the final decrease").of(&["one_cycle"]),
            setting("warmup_steps", CONFIG, "length, at most `total_steps`", "length of the warm-up; default: by `warmup_ratio`").of(WARMUPS),
            setting("warmup_ratio", CONFIG, "0 to 1", "warm-up as a share of `total_steps`; 0.1 if neither is given").of(WARMUPS),
            setting("total_steps", CONFIG, "length, at least 1", "length of warm-up and decay; default: the run").of(WARMUPS),
            setting("num_cycles", CONFIG, "above 0", "cosine waves; 0.5 decays to 0 once").of(&["warmup_cosine"]),
            setting("schedules", CONFIG, "list of schedule tables", "the schedules in order").of(&["sequential"]).required("[{ name = 'constant' }]"),
            setting("milestones", CONFIG, "ascending lengths, one fewer than schedules", "when the next schedule starts").of(&["sequential"]).required("[]"),
            setting("mode", CONFIG, "`min`, `max`", "whether lower or higher is better; default: as `trainer.monitor`").of(&["plateau"]),
            setting("factor", CONFIG, "above 0, below 1", "factor of each reduction").of(&["plateau"]),
            setting("patience", CONFIG, "validations", "validations without improvement before a reduction").of(&["plateau"]),
            setting("threshold", CONFIG, "at least 0", "minimum improvement").of(&["plateau"]),
            setting("threshold_mode", CONFIG, "`rel`, `abs`", "whether `threshold` is relative to the best value").of(&["plateau"]),
            setting("cooldown", CONFIG, "validations", "validations after a reduction that are not counted").of(&["plateau"]),
            setting("min_lr", CONFIG, "at least 0", "minimum learning rate").of(&["plateau"]),
            setting("eps", CONFIG, "at least 0", "smallest change of the learning rate that is applied").of(&["plateau"]),
        ],
    )
    .by_name(&[
        "constant", "step", "multi_step", "exponential", "constant_factor", "linear", "polynomial", "cosine",
        "cosine_warm_restarts", "one_cycle", "warmup_linear", "warmup_cosine", "sequential", "plateau",
    ]),
];
