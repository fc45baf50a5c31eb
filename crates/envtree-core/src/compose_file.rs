//! Compose files: text → [`node`]s → variables filled in → overrides merged → [`crate::project::Project`].

pub mod node;
