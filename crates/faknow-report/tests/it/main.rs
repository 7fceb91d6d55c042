//! Pages of run folders.
