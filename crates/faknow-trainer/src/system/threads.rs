//! Threads of libtorch next to those of other libraries.

use std::sync::Once;
use std::sync::mpsc::channel;
use std::thread;

use tch::{Tensor, no_grad};

/// Lets libtorch's threads sleep when they have nothing to do, from now on and for the whole process.
///
/// After each operation they keep their cores busy for some 15 milliseconds, in case there is another one. Meanwhile the threads
/// that read texts, assemble batches and update weights wait. GNU's OpenMP, which libtorch has on Linux, waits a few microseconds
/// only once there are more of its threads than cores; so one thread more takes part in an operation once, and sleeps for ever.
/// It changes no result. Training from a config and a detector do it by themselves; who sets `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` decides
/// alone. Without a second thread of libtorch's there is nothing to do.
pub fn let_threads_sleep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let decided =
            ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"].iter().any(|name| std::env::var_os(name).is_some());
        if decided || tch::get_num_threads() < 2 {
            return;
        }
        let (done, wait) = channel();
        let spawned = thread::Builder::new().name("faknow-idle".into()).spawn(move || {
            // Large enough for all threads; what comes of it does not matter.
            let sum =
                no_grad(|| Tensor::f_ones([1 << 20], tch::kind::FLOAT_CPU).and_then(|ones| ones.f_exp()));
            drop(sum);
            let _ = done.send(());
            loop {
                thread::park();
            }
        });
        if spawned.is_ok() {
            let _ = wait.recv();
        }
    });
}
