//! Tests of the trainer through its public interface.

mod alone;
mod by_hand;
mod checkpoint;
mod checkpoint_fuzz;
mod defects_best;
mod defects_training;
mod determinism;
mod failures;
mod fit;
mod optimizer;
mod optimizer_parity;
mod optimizer_state;
mod parity;
mod resume;
mod run_folder;
mod schedule;
mod schedule_golden;
mod toy;
mod trajectory_cases;
mod trajectory_golden;
mod trials;
mod updates;
