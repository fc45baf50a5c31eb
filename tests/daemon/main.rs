//! Scenarios on a real Engine with real services: what people do with environments, from the outside.

// `cfg(test)` tells clippy that all of it is test code.
#[cfg(test)]
#[path = "../common.rs"]
mod common;

mod again;
mod down_and_rm;
mod mend;
mod side_by_side;
mod support;
