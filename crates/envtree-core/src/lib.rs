//! Decides what an environment must be: from files and observations to a plan.
//!
//! Nothing here reads a file, a clock, an environment variable or a socket. Equal input gives equal output.

pub mod adopt;
pub mod anonymous;
pub mod archive;
pub mod branch;
pub mod build;
pub mod compose_file;
pub mod config_hash;
pub mod database;
pub mod decimal;
pub mod devcontainer;
pub mod dump;
pub mod engine;
pub mod given;
pub mod host_path;
pub mod isolate;
pub mod known_image;
pub mod label;
pub mod name;
pub mod nearest;
pub mod observed;
pub mod one_off;
pub mod overtaken;
pub mod plan;
pub mod port;
pub mod project;
pub mod reconcile;
pub mod reference;
pub mod service;
pub mod settings;
pub mod shared;
pub mod simulate;
pub mod subnet;
pub mod teardown;
pub mod unstartable;
pub mod variables;
