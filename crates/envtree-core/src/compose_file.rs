//! Compose files: text → [`node`]s → variables filled in → overrides merged → [`crate::project::Project`].

pub mod assemble;
pub mod dotenv;
mod fault;
pub mod interpolate;
pub mod lower;
pub mod merge;
pub mod node;
pub mod parse;
pub mod render;
pub mod scalar;
mod syntax_error;
#[cfg(test)]
pub(crate) mod testing;
mod timestamp;
