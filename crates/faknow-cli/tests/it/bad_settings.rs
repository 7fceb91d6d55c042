//! Settings that cannot be: one clear line with the key and what is accepted, exit code 2, and no run directory.

use std::fs;

use crate::support::{Bench, TINY};

#[test]
fn values_outside_their_range() {
    let bench = Bench::new();
    let check = |assignment: &str, parts: &[&str]| bench.train_refuses(&["--set", assignment], parts);
    check("optimizer.lr=nan", &["`optimizer.lr`", "a number of at least 0", "got NaN"]);
    check("optimizer.lr=-0.1", &["`optimizer.lr`", "got -0.1"]);
    check("optimizer.lr=inf", &["`optimizer.lr`", "got inf"]);
    check("trainer.epochs=0", &["`trainer.epochs`", "at least 1", "got 0"]);
    check("trainer.clip_norm=0", &["`trainer.clip_norm`", "above 0"]);
    check("loader.batch_size=0", &["`loader.batch_size`", "at least 1"]);
    check("early_stopping.patience=0", &["`early_stopping.patience`", "at least 1"]);
    check("early_stopping.min_delta=nan", &["`early_stopping.min_delta`", "at least 0"]);
    check("model.dropout=1.5", &["`model.dropout`", "from 0 to below 1", "got 1.5"]);
    check("model.kernel_sizes=[]", &["`model.kernel_sizes`", "at least 1"]);
    check("text.max_length=0", &["`text.max_length`", "at least 1"]);
    check("data.split=[0.5, 0.5, 0.5]", &["`data.split`", "add up to 1"]);
    check("schedule={ name = 'step', step_size = 0 }", &["`schedule`", "`step`", "step_size", "at least 1"]);
    check("schedule={ name = 'one_cycle', total_steps = 1 }", &["`schedule`", "`one_cycle`", "total_steps"]);
}

#[test]
fn the_short_options_are_checked_as_the_settings_are() {
    let bench = Bench::new();
    bench.train_refuses(&["--epochs", "0"], &["`--epochs`", "at least 1", "got 0"]);
    bench.train_refuses(&["--epochs", "many"], &["--epochs", "many", "a whole number"]);
    bench.train_refuses(&["--seed", "-1"], &["--seed", "-1", "a whole number"]);
    bench.train_refuses(&["--seed", "18446744073709551615"], &["seed", "9223372036854775807"]);
    bench.train_refuses(&["--threads", "100000"], &["`--threads`", "at most 1024"]);
    bench.train_refuses(&["--device", "tpu"], &["`--device`", "auto, cpu, cuda or cuda:N", "got `tpu`"]);
    bench.train_refuses(&["--device", "cuda:99"], &["`--device`", "CUDA", "got `cuda:99`"]);
    bench.train_refuses(&["--language", "fr"], &["`--language`", "`en` or `zh`", "got `fr`"]);
    bench.train_refuses(&["--format", "xml"], &["`--format`", "xml", "`json`, `jsonl`, `csv`, `tsv`"]);
    bench.train_refuses(&["--classes", "real"], &["`--classes`", "at least 2 class names", "1 (`real`)"]);
    bench.train_refuses(&["--classes", "real,real"], &["`--classes`", "`real` twice"]);
    bench.train_refuses(&["--classes", "real,"], &["`--classes`", "a name for every class"]);
    bench.train_refuses(&["--classes", "real=1,fake=1"], &["`--classes`", "`1` for both `fake` and `real`"]);
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_what_there_is() {
    let bench = Bench::new();
    let check = |assignment: &str, parts: &[&str]| bench.train_refuses(&["--set", assignment], parts);
    check("optimizer.lrr=1", &["`optimizer.lrr`", "`lr`, `betas`"]);
    check("optimizer.name=lion", &["`optimizer.name`", "lion", "`sgd`, `adam`"]);
    check("schedule.name=never", &["schedule", "never", "cosine", "plateau"]);
    check("schedule.name=step", &["schedule", "`step`", "`step_size`"]);
    check("model.filters=3", &["`model.filters`", "`n_filters`"]);
    check("model.activation=gelu", &["`model.activation`", "gelu", "`relu`"]);
    check("learning_rate=1", &["`learning_rate`", "`optimizer`", "`trainer`"]);
    check("trainer.epochs", &["trainer.epochs", "key=value"]);
    check("trainer.epochs=ten", &["`trainer.epochs`", "ten", "a whole number"]);
    check("trainer.epochs=1.5", &["`trainer.epochs`", "1.5", "a whole number"]);
    check("trainer.epochs=-1", &["`trainer.epochs`", "-1", "a whole number"]);
    check("loader.drop_last=3", &["`loader.drop_last`", "true or false"]);
    check("data.classes=real", &["`data.classes`", "a list"]);
    check("data.text=3", &["`data.text`", "a text"]);
    check("trainer.monitor=speed", &["`trainer.monitor`", "`speed`", "`loss`", "accuracy", "f1_macro"]);
    check("early_stopping.monitor=speed", &["`early_stopping.monitor`", "`speed`", "accuracy"]);
    check("trainer.metrics=['speed']", &["`trainer.metrics`", "`speed`", "accuracy"]);
    check("data.values.hoax=['1']", &["`data.values`", "`hoax`", "`real`, `fake`"]);
}

#[test]
fn unknown_models_and_arguments() {
    let bench = Bench::new();
    bench.refuses(&["train", "bert", "--train", "train.csv"], &["`model.name`", "`bert`", "textcnn"]);
    bench.refuses(&["models", "bert"], &["`bert`", "textcnn"]);
    bench.refuses(&["train", "textcnn"], &["`data.train`", "--train FILE"]);
    bench.refuses(&["train", "--tran", "x"], &["--tran", "--train", "--help"]);
    bench.refuses(&["trian"], &["trian", "train", "--help"]);
    bench.refuses(&["predict", "run"], &["--input <FILE|->", "--help"]);
    bench.refuses(&["predict"], &["RUN_DIR"]);
    bench.refuses(&["test", "run"], &["--data <FILE>"]);
    bench.refuses(&["models", "--verbose", "--quiet"], &["--verbose", "--quiet"]);
}

#[test]
fn config_files() {
    let bench = Bench::new();
    let check = |name: &str, content: &[u8], parts: &[&str]| {
        bench.write(name, content);
        bench.train_refuses(&["--config", name], &[&[name], parts].concat());
    };
    bench.train_refuses(&["--config", "none.toml"], &["none.toml", "No such file"]);
    bench.refuses(&["train", "none.yaml"], &["none.yaml", "No such file"]);
    check("cut.toml", b"seed = 1\n[trainer\n", &["line 2, column 9", "expected `]`"]);
    check("twice.toml", b"seed = 1\nseed = 2\n", &["line 2", "duplicate key"]);
    check("key.toml", b"[trainer]\nepoch = 3\n", &["`trainer.epoch`", "`epochs`"]);
    check("type.toml", b"[optimizer]\nname = 'sgd'\nlr = 'fast'\n", &["`optimizer.lr`", "fast", "a number"]);
    check("table.toml", b"optimizer = 3\n", &["`optimizer`", "a table with a `name`"]);
    check("bytes.toml", b"\xff\xfe\x00", &["UTF-8"]);
    check("notes.txt", b"epochs = 3\n", &[".toml, .yaml or .yml"]);
    check("key.yaml", b"learning_rate: 1\n", &["`learning_rate`", "num_epochs", "batch_size"]);
    check("type.yaml", b"num_epochs: many\n", &["`num_epochs`", "a whole number"]);
    check("cut.yaml", b"kernel_sizes: [1,\n", &["YAML", "line 2"]);
    check("pickle.yaml", b"word_vectors: vectors.pkl\n", &["`word_vectors`", "pickle", "vectors.pkl"]);
    bench.write("directory.toml", "");
    fs::remove_file(bench.path("directory.toml")).unwrap();
    fs::create_dir(bench.path("directory.toml")).unwrap();
    bench.train_refuses(&["--config", "directory.toml"], &["directory.toml", "directory"]);
}

#[test]
fn run_dirs_that_cannot_be() {
    let bench = Bench::trained();
    let train = |out: &str| {
        let args = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", out];
        bench.faknow(&[&args[..], &TINY].concat())
    };
    let before = bench.read("run/config.toml");
    train("run").refused(&["run", "it holds a run already", "new directory"]);
    assert_eq!(bench.read("run/config.toml"), before);
    train("train.csv").refused(&["train.csv", "cannot use the directory"]);
    train("train.csv/run").refused(&["train.csv/run", "cannot use the directory"]);
    fs::create_dir(bench.path("empty")).unwrap();
    train("empty").ok();
}

#[cfg(unix)]
#[test]
fn a_run_dir_without_write_permission() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let parent = bench.path("sealed");
    fs::create_dir_all(parent.join("own")).unwrap();
    for dir in [parent.join("own"), parent.clone()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    }
    if fs::write(parent.join("probe"), "").is_ok() {
        fs::remove_file(parent.join("probe")).unwrap();
        println!("SKIPPED: this user may write everywhere, as root may");
        return;
    }
    for (out, parts) in [
        ("sealed/new", ["sealed/new", "cannot create the directory"]),
        ("sealed/own", ["sealed/own", "cannot write"]),
    ] {
        let args = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", out];
        bench.faknow(&[&args[..], &TINY].concat()).refused(&parts);
    }
    for dir in [parent.clone(), parent.join("own")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
