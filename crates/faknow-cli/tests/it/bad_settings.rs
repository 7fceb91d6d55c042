//! Invalid settings: one error line with the key and the accepted values, exit code 2, and no run directory.

use std::fs;

use crate::support::{Sandbox, TINY};

#[test]
fn rejects_values_out_of_range() {
    let sandbox = Sandbox::new();
    let check = |assignment: &str, parts: &[&str]| sandbox.check_train_error(&["--set", assignment], parts);
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
fn options_are_checked_like_settings() {
    let sandbox = Sandbox::new();
    sandbox.check_train_error(&["--epochs", "0"], &["`--epochs`", "at least 1", "got 0"]);
    sandbox.check_train_error(&["--epochs", "many"], &["--epochs", "many", "an integer"]);
    sandbox.check_train_error(&["--seed", "-1"], &["--seed", "-1", "an integer"]);
    sandbox.check_train_error(&["--seed", "18446744073709551615"], &["seed", "9223372036854775807"]);
    sandbox.check_train_error(&["--threads", "100000"], &["`--threads`", "at most 1024"]);
    sandbox
        .check_train_error(&["--device", "tpu"], &["`--device`", "auto, cpu, cuda or cuda:N", "got `tpu`"]);
    sandbox.check_train_error(&["--device", "cuda:99"], &["`--device`", "CUDA", "got `cuda:99`"]);
    sandbox.check_train_error(&["--language", "fr"], &["`--language`", "`en` or `zh`", "got `fr`"]);
    sandbox.check_train_error(&["--format", "xml"], &["`--format`", "xml", "`json`, `jsonl`, `csv`, `tsv`"]);
    sandbox.check_train_error(
        &["--classes", "real"],
        &["`--classes`", "at least 2 class names", "got 1 (`real`)", "by commas"],
    );
    sandbox.check_train_error(&["--classes", "real,real"], &["`--classes`", "`real` twice"]);
    sandbox.check_train_error(&["--classes", "real,"], &["`--classes`", "a name for every class"]);
    sandbox.check_train_error(
        &["--classes", "real=1,fake=1"],
        &["`--classes`", "`1` for both `fake` and `real`"],
    );
}

#[test]
fn unknown_keys_and_types_are_reported_with_the_valid_ones() {
    let sandbox = Sandbox::new();
    let check = |assignment: &str, parts: &[&str]| sandbox.check_train_error(&["--set", assignment], parts);
    check("optimizer.lrr=1", &["`optimizer.lrr`", "`lr`, `betas`"]);
    check("optimizer.name=lion", &["`optimizer.name`", "lion", "`sgd`, `adam`"]);
    check("schedule.name=never", &["schedule", "never", "cosine", "plateau"]);
    check("schedule.name=StepLR", &["unknown schedule `StepLR`", "did you mean `step`?"]);
    check("schedule.name=step", &["schedule", "`step`", "`step_size`"]);
    check("model.filters=3", &["`model.filters`", "`n_filters`", "did you mean `n_filters`?"]);
    check("model.activation=gelu", &["`model.activation`", "gelu", "`relu`"]);
    check("learning_rate=1", &["`learning_rate`", "`trainer`", "did you mean `optimizer.lr`?"]);
    check("trainer.lr=1", &["`trainer.lr`", "did you mean `optimizer.lr`?"]);
    check("freeze.pattern=x", &["`freeze`", "a list of tables, as in freeze=[{ pattern ="]);
    check("trainer.epochs", &["trainer.epochs", "key=value"]);
    check("trainer.epochs=ten", &["`trainer.epochs`", "ten", "an integer"]);
    check("trainer.epochs=1.5", &["`trainer.epochs`", "1.5", "an integer"]);
    check("trainer.epochs=-1", &["`trainer.epochs`", "-1", "an integer"]);
    check("loader.drop_last=3", &["`loader.drop_last`", "true or false"]);
    check("data.classes=real", &["`data.classes`", "a list"]);
    check("data.text=3", &["`data.text`", "a string"]);
    check("trainer.monitor=speed", &["`trainer.monitor`", "`speed`", "`loss`", "accuracy", "f1_macro"]);
    check("early_stopping.monitor=speed", &["`early_stopping.monitor`", "`speed`", "accuracy"]);
    check("trainer.metrics=['speed']", &["`trainer.metrics`", "`speed`", "accuracy"]);
    check("data.values.hoax=['1']", &["`data.values`", "`hoax`", "`real`, `fake`"]);
}

#[test]
fn rejects_unknown_models_and_arguments() {
    let sandbox = Sandbox::new();
    sandbox.check_error(&["train", "bert", "--train", "train.csv"], &["`model.name`", "`bert`", "textcnn"]);
    sandbox.check_error(&["models", "textcn"], &["`textcn`", "did you mean `textcnn`?"]);
    sandbox.check_error(&["settings", "trainer.lr"], &["`trainer.lr`", "did you mean `optimizer.lr`?"]);
    sandbox.check_error(
        &["train", "bigcn", "--train", "train.csv", "--text", "tweet"],
        &["`--text`", "expected text records", "`bigcn`", "a text model such as `textcnn`"],
    );
    sandbox.check_error(&["models", "bert"], &["`bert`", "textcnn"]);
    sandbox.check_error(&["train", "textcnn"], &["`data.train`", "--train FILE"]);
    sandbox.check_error(&["train", "--tran", "x"], &["--tran", "--train", "--help"]);
    sandbox.check_error(&["trian"], &["trian", "train", "--help"]);
    sandbox.check_error(&["evaluate", "run"], &["evaluate", "did you mean `faknow test`?", "--help"]);
    sandbox.check_error(&["inspect", "x.csv"], &["did you mean `faknow data inspect`?"]);
    sandbox.check_error(&["predict", "run"], &["--input <FILE|->", "--help"]);
    sandbox.check_error(&["predict"], &["RUN_DIR"]);
    sandbox.check_error(&["test", "run"], &["--data <FILE,…>"]);
    sandbox.check_error(&["models", "--verbose", "--quiet"], &["--verbose", "--quiet"]);
}

#[test]
fn rejects_invalid_config_files() {
    let sandbox = Sandbox::new();
    let check = |name: &str, content: &[u8], parts: &[&str]| {
        sandbox.write(name, content);
        sandbox.check_train_error(&["--config", name], &[&[name], parts].concat());
    };
    sandbox.check_train_error(&["--config", "none.toml"], &["none.toml", "No such file"]);
    sandbox.check_error(&["train", "none.yaml"], &["none.yaml", "No such file"]);
    check("truncated.toml", b"seed = 1\n[trainer\n", &["line 2, column 9", "expected `]`"]);
    check("twice.toml", b"seed = 1\nseed = 2\n", &["line 2", "duplicate key"]);
    check("key.toml", b"[trainer]\nepoch = 3\n", &["`trainer.epoch`", "`epochs`"]);
    check("type.toml", b"[optimizer]\nname = 'sgd'\nlr = 'fast'\n", &["`optimizer.lr`", "fast", "a number"]);
    check("table.toml", b"optimizer = 3\n", &["`optimizer`", "a table with a `name`"]);
    check("bytes.toml", b"\xff\xfe\x00", &["UTF-8"]);
    check("notes.txt", b"epochs = 3\n", &[".toml, .yaml or .yml"]);
    check("key.yaml", b"learning_rate: 1\n", &["`learning_rate`", "num_epochs", "batch_size"]);
    check("type.yaml", b"num_epochs: many\n", &["`num_epochs`", "an integer"]);
    check("truncated.yaml", b"kernel_sizes: [1,\n", &["YAML", "line 2"]);
    check("pickle.yaml", b"word_vectors: vectors.pkl\n", &["`word_vectors`", "pickle", "vectors.pkl"]);
    sandbox.write("directory.toml", "");
    fs::remove_file(sandbox.path("directory.toml")).unwrap();
    fs::create_dir(sandbox.path("directory.toml")).unwrap();
    sandbox.check_train_error(&["--config", "directory.toml"], &["directory.toml", "directory"]);
}

#[test]
fn rejects_unusable_run_directories() {
    let sandbox = Sandbox::trained();
    let train = |out: &str| {
        let args = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", out];
        sandbox.faknow(&[&args[..], &TINY].concat())
    };
    let before = sandbox.read("run/config.toml");
    train("run").assert_error(&["run", "already contains a run", "`faknow resume run`", "`--out`"]);
    assert_eq!(sandbox.read("run/config.toml"), before);
    train("train.csv").assert_error(&["train.csv", "cannot use the directory"]);
    train("train.csv/run").assert_error(&["train.csv/run", "cannot use the directory"]);
    fs::create_dir(sandbox.path("empty")).unwrap();
    train("empty").ok();
}

#[cfg(unix)]
#[test]
fn rejects_run_directory_without_write_permission() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let parent = sandbox.path("sealed");
    fs::create_dir_all(parent.join("own")).unwrap();
    for dir in [parent.join("own"), parent.clone()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    }
    if fs::write(parent.join("probe"), "").is_ok() {
        fs::remove_file(parent.join("probe")).unwrap();
        crate::skip::check("permissions").unwrap();
        println!("SKIPPED: this user has write permission everywhere");
        return;
    }
    for (out, parts) in [
        ("sealed/new", ["sealed/new", "cannot create the directory"]),
        ("sealed/own", ["sealed/own", "cannot write"]),
    ] {
        let args = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", out];
        sandbox.faknow(&[&args[..], &TINY].concat()).assert_error(&parts);
    }
    for dir in [parent.clone(), parent.join("own")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
