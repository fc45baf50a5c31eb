//! Dev containers: the text of a `devcontainer.json` → [`document`] → [`substitute`] → [`parse`] → [`metadata`] merged →
//! what an environment's container is made of, and what runs in it.
//!
//! Properties are called as the specification calls them. What depends on the container, such as its environment
//! variables or the label of its image, comes from the caller.

pub mod document;
mod fields;
pub mod git_view;
pub mod lifecycle;
pub mod locate;
pub mod metadata;
pub mod mount;
mod old_properties;
pub mod overlay;
pub mod parse;
mod path;
pub mod ports;
pub mod property;
mod quantity;
pub mod run_args;
pub mod substitute;
pub mod workspace;
