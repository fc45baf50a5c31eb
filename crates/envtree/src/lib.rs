//! Git worktrees with a complete runtime each: the library behind the `envtree` command.
//!
//! It never prints, prompts or exits: work emits [`event::Event`]s, questions go to the caller, results are values.

mod access;
mod adopt;
mod apply;
mod checkout;
mod converge;
pub mod data;
mod database;
pub mod doctor;
pub mod down;
pub mod env_file;
mod environment;
pub mod error;
pub mod event;
pub mod exec;
mod half_made;
pub mod hook;
mod hooks;
mod identify;
pub mod include;
pub mod init;
pub mod inspect;
pub mod load;
mod mark;
mod observe_status;
pub mod one_off;
pub mod port_probe;
mod post_start;
pub mod prune;
mod quiet;
mod readiness;
mod ready;
mod rebuild;
pub mod remove;
pub mod repository;
mod reserve;
mod route;
pub mod secret;
pub mod session;
mod shared;
pub mod state;
pub mod status;
mod taken;
mod target;
pub mod template;
pub mod trust;
pub mod up;
pub mod words;
pub mod worktree;

pub use envtree_docker::running;
