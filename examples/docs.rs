//! Compiles and runs the Rust code of the documentation: `cargo test -p faknow-examples --doc`.
//!
//! The other programs in this directory are the examples; the first lines of each describe it.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../CONTRIBUTING.md")]
    struct Contributing;

    #[doc = include_str!("../docs/trainer.md")]
    struct Trainer;

    #[doc = include_str!("../docs/schedules.md")]
    struct Schedules;

    #[doc = include_str!("../docs/models.md")]
    struct Models;

    #[doc = include_str!("../docs/extending.md")]
    struct Extending;

    #[doc = include_str!("../docs/resume.md")]
    struct Resume;

    #[doc = include_str!("../docs/explain.md")]
    struct Explain;

    #[doc = include_str!("../docs/migration.md")]
    struct Migration;

    #[doc = include_str!("../docs/report.md")]
    struct Report;

    #[doc = include_str!("../docs/calibration.md")]
    struct Calibration;
}

#[cfg(test)]
#[path = "tests/heads.rs"]
mod heads;
#[cfg(test)]
#[path = "tests/readme.rs"]
mod readme;
