//! Tests of the trainer through its public interface.

mod by_hand;
mod defects_training;
mod schedule;
mod schedule_golden;
mod toy;
