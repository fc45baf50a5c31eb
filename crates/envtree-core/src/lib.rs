//! Decides what an environment must be: from files and observations to a plan.
//!
//! Nothing here reads a file, a clock, an environment variable or a socket. Equal input gives equal output.

pub mod compose_file;
pub mod engine;
pub mod label;
pub mod name;
pub mod observed;
pub mod plan;
pub mod project;
pub mod service;
