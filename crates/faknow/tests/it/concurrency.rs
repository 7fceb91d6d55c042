//! Concurrent runs, detectors and configs in one process do not affect each other's results.

use std::sync::atomic::{AtomicBool, Ordering};

use faknow::callbacks::Callbacks;
use faknow::tch::Device;
use faknow::trainer::RunDir;
use faknow::{Detector, train};

use crate::support::{Bench, posts};

#[test]
fn concurrent_runs_have_the_results_of_separate_runs() {
    let bench = Bench::new(&posts(40));
    let run = |seed: u64, name: &str| {
        let run = format!("{name}-{seed}");
        let config = bench.config.set(&format!("seed={seed}")).unwrap();
        let outcome = train(&config, || RunDir::create(bench.path(&run)), Callbacks::default()).unwrap();
        (bench.last_weights(&run), outcome.test.unwrap().evaluation.scores)
    };
    let seeds = [1, 2, 3];
    let separate = seeds.map(|seed| run(seed, "separate"));
    let done = AtomicBool::new(false);
    let concurrent = std::thread::scope(|scope| {
        // Another thread loads detectors and checks configs, which also build models.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                bench.config.validate().unwrap();
                Detector::load(&bench.path("separate-1"), Device::Cpu).unwrap();
            }
        });
        let run = &run;
        let threads = seeds.map(|seed| scope.spawn(move || run(seed, "concurrent")));
        let results = threads.map(|thread| thread.join());
        done.store(true, Ordering::SeqCst);
        results.map(|result| result.unwrap())
    });
    for ((seed, separate), concurrent) in seeds.iter().zip(separate).zip(concurrent) {
        assert!(separate == concurrent, "seed {seed}");
    }
}
