//! Runs, detectors and configs in several threads of one process leave each other's numbers alone.

use std::sync::atomic::{AtomicBool, Ordering};

use faknow::callbacks::Callbacks;
use faknow::tch::Device;
use faknow::trainer::RunDir;
use faknow::{Detector, train};

use crate::support::{Bench, posts};

#[test]
fn many_runs_at_once_are_each_what_it_is_alone() {
    let bench = Bench::new(&posts(40));
    let run = |seed: u64, name: &str| {
        let run = format!("{name}-{seed}");
        let config = bench.config.set(&format!("seed={seed}")).unwrap();
        let outcome = train(&config, || RunDir::create(bench.path(&run)), Callbacks::default()).unwrap();
        (bench.last_weights(&run), outcome.test.unwrap().0.scores)
    };
    let seeds = [1, 2, 3];
    let alone = seeds.map(|seed| run(seed, "alone"));
    let done = AtomicBool::new(false);
    let together = std::thread::scope(|scope| {
        // Others load detectors and check configs, which makes models too.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                bench.config.validate().unwrap();
                Detector::load(&bench.path("alone-1"), Device::Cpu).unwrap();
            }
        });
        let run = &run;
        let threads = seeds.map(|seed| scope.spawn(move || run(seed, "together")));
        let together = threads.map(|thread| thread.join());
        done.store(true, Ordering::SeqCst);
        together.map(|run| run.unwrap())
    });
    for ((seed, alone), together) in seeds.iter().zip(alone).zip(together) {
        assert!(alone == together, "the run of seed {seed}");
    }
}
