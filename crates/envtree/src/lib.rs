//! Git worktrees with a complete runtime each: the library behind the `envtree` command.
//!
//! It never prints, prompts or exits: work emits [`event::Event`]s, questions go to the caller, results are values.

pub mod apply;
pub mod event;
pub mod state;
pub mod status;
