//! The adapter on a real Engine, with images of the registry at `127.0.0.1:5000`.

#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

#[path = "engine/build.rs"]
mod build;
#[path = "engine/classic_build.rs"]
mod classic_build;
#[path = "engine/container.rs"]
mod container;
#[path = "engine/exec.rs"]
mod exec;
#[path = "engine/keeper.rs"]
mod keeper;
#[path = "engine/logs.rs"]
mod logs;
#[path = "engine/perform.rs"]
mod perform;
#[path = "engine/stage.rs"]
mod stage;
