//! Bit-exact round trip of a history through a checkpoint.

use faknow_metrics::{EpochRecord, History, Score, Scores};
use serde_json::{Value, json};

/// Random bits (splitmix64), for reproducible failures.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Returns any float: every exponent and sign, subnormals, NaNs with payload, and common values.
    fn float(&mut self) -> f64 {
        let edges = [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, -f64::INFINITY, 1.0, 0.1];
        match self.below(4) {
            0 => edges[self.below(edges.len() as u64) as usize],
            1 => self.next() as f64 / u64::MAX as f64,
            2 => f64::from_bits(self.next() | 0x7ff0_0000_0000_0000),
            _ => f64::from_bits(self.next()),
        }
    }

    fn scores(&mut self) -> Scores {
        let names = ["loss", "loss/class", "f1", "an \"odd\" name\n", "虚假", "", "0x7ff8"];
        let n = self.below(names.len() as u64) as usize;
        let score = |bits: &mut Self| match bits.below(4) {
            0 => Score::undefined("no \"sample\"\n of class 1"),
            1 => Score::undefined_or("", bits.float()),
            _ => Score::Defined(bits.float()),
        };
        names[..n].iter().map(|name| (*name, score(self))).collect()
    }

    fn record(&mut self) -> EpochRecord {
        EpochRecord {
            epoch: self.below(1000) as usize,
            step: self.next(),
            samples: self.next(),
            train: self.scores(),
            valid: (self.below(3) > 0).then(|| self.scores()),
            learning_rates: (0..self.below(4)).map(|_| self.float()).collect(),
            grad_norm: (self.below(2) > 0).then(|| self.float()),
            train_seconds: self.float(),
            valid_seconds: self.float(),
        }
    }

    fn history(&mut self) -> History {
        let (n_epochs, n_inside) = (self.below(4), self.below(3));
        History {
            epochs: (0..n_epochs).map(|_| self.record()).collect(),
            mid_epoch: (0..n_inside).map(|_| self.record()).collect(),
        }
    }
}

/// Returns the content of a history with the bits of its floats, since `==` is false for NaN and true for -0 and 0.
fn bits_of(history: &History) -> String {
    let score = |(name, score): (&str, &Score)| match score {
        Score::Defined(value) => format!("{name}: {:x}", value.to_bits()),
        Score::Undefined { reason, convention } => {
            format!("{name}: undefined {reason} {:x?}", convention.map(f64::to_bits))
        }
    };
    let scores = |all: &Scores| all.iter().map(score).collect::<Vec<_>>();
    let record = |r: &EpochRecord| {
        let lrs: Vec<u64> = r.learning_rates.iter().map(|lr| lr.to_bits()).collect();
        let seconds = [r.train_seconds.to_bits(), r.valid_seconds.to_bits()];
        let valid = r.valid.as_ref().map(scores);
        let norm = r.grad_norm.map(f64::to_bits);
        format!("{:?}", (r.epoch, r.step, r.samples, scores(&r.train), valid, lrs, norm, seconds))
    };
    let records = |all: &[EpochRecord]| all.iter().map(record).collect::<Vec<_>>();
    format!("{:#?}", (records(&history.epochs), records(&history.mid_epoch)))
}

#[test]
fn roundtrip_is_bit_exact() {
    for seed in 0..3000 {
        let history = Bits(seed).history();
        let text = serde_json::to_string(&history.to_state()).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        let restored = History::from_state(&state).unwrap();
        assert_eq!(bits_of(&restored), bits_of(&history), "seed {seed}: {text}");
        // The same state gives the same text, so checkpoints of the same state are equal files.
        assert_eq!(serde_json::to_string(&restored.to_state()).unwrap(), text, "seed {seed}");
    }
}

#[test]
fn finite_floats_are_saved_as_numbers() {
    let mut history = Bits(1).history();
    history.epochs = vec![EpochRecord {
        epoch: 1,
        step: 2,
        samples: 3,
        train: [("loss", Score::Defined(-0.0)), ("f1", Score::undefined_or("never predicted", 0.0))]
            .into_iter()
            .collect(),
        valid: None,
        learning_rates: vec![0.1],
        grad_norm: Some(f64::INFINITY),
        train_seconds: 1.5,
        valid_seconds: 0.0,
    }];
    history.mid_epoch.clear();
    let expected = r#"{"epochs":[{"epoch":1,"step":2,"samples":3,"train":[["loss",-0.0],["f1",{"undefined":"never predicted","convention":0.0}]],"valid":null,"learning_rates":[0.1],"grad_norm":"0x7ff0000000000000","train_seconds":1.5,"valid_seconds":0.0}]}"#;
    assert_eq!(history.to_state().to_string(), expected);
}

#[test]
fn from_state_rejects_invalid_history() {
    let check = |state: Value, expected: &str| {
        let error = History::from_state(&state).unwrap_err().to_string();
        assert!(error.starts_with("invalid saved history: "), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    check(Value::Null, "invalid type: null");
    check(json!({}), "missing field `epochs`");
    check(json!({ "epochs": [], "later": 1 }), "unknown field `later`");
    check(json!({ "epochs": [{ "epoch": -1 }] }), "invalid value");
    let with_norm = |norm: Value| {
        let mut history = Bits(1).history();
        while history.epochs.is_empty() {
            history.epochs.push(Bits(2).record());
        }
        let mut state = history.to_state();
        state["epochs"][0]["grad_norm"] = norm;
        state
    };
    check(with_norm(json!("many")), "its bits as text");
    check(with_norm(json!([1])), "a number");
    assert!(History::from_state(&with_norm(json!(3))).is_ok());
}
