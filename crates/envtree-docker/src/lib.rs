//! The Docker Engine as envtree uses it.
//!
//! This is the only crate that names bollard. There is one file per Engine resource and one error variant per Engine
//! call. Nothing here decides anything: it carries out an [`Operation`](envtree_core::plan::Operation) and reports
//! what it sees.

pub mod attach;
pub mod build;
pub mod connect;
pub mod container;
pub mod copy;
pub mod credentials;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod exec;
pub mod failure;
mod file;
pub mod image;
pub mod keeper;
pub mod logs;
pub mod network;
pub mod observe;
pub mod output;
pub mod running;
pub mod setup;
pub mod ssh;
pub mod tls;
mod transport;
pub mod version;
pub mod volume;

pub use build::BuildError;
pub use connect::ConnectError;
pub use endpoint::{Endpoint, Selection};
pub use engine::Docker;
pub use error::{DockerError, ImageError};
pub use failure::EngineFailure;
pub use setup::EngineSetup;
pub use ssh::SshProblem;
