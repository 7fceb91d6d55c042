//! Idle threads of libtorch.

use std::sync::Once;
use std::sync::mpsc::channel;
use std::thread;

use tch::{Tensor, no_grad};

/// Lets libtorch's threads sleep while they are idle, from now on and for the entire process.
///
/// By default, they spin on their cores for about 15 milliseconds after each operation, in case another follows.
/// Meanwhile, the threads that read texts, assemble batches and update weights have to wait. GNU OpenMP, which libtorch
/// uses on Linux, spins only for a few microseconds when it has more threads than cores; so an additional thread takes
/// part in one operation and then sleeps forever. Results do not change.
///
/// Training from a config and detectors call this themselves. It does nothing if the environment variable
/// `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` is set, or if libtorch uses a single thread.
pub fn let_threads_sleep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let is_configured =
            ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"].iter().any(|name| std::env::var_os(name).is_some());
        if is_configured || tch::get_num_threads() < 2 {
            return;
        }
        let (sender, receiver) = channel();
        let spawned = thread::Builder::new().name("faknow-idle".into()).spawn(move || {
            // Large enough to involve all threads; the result is not used.
            let sum =
                no_grad(|| Tensor::f_ones([1 << 20], tch::kind::FLOAT_CPU).and_then(|ones| ones.f_exp()));
            drop(sum);
            let _ = sender.send(());
            loop {
                thread::park();
            }
        });
        if spawned.is_ok() {
            let _ = receiver.recv();
        }
    });
}
