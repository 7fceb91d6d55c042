//! Tests of the trainer through its public interface.

mod schedule;
mod schedule_golden;
