//! What is left when the Engine, its socket, the disk or envtree itself fails at the worst moment: nothing that the next
//! `up` does not mend and the next `rm` does not remove.

// `cfg(test)` tells clippy that all of it is test code.
#[cfg(test)]
#[path = "../common.rs"]
mod common;
#[cfg(test)]
#[path = "../engine.rs"]
mod engine;
#[cfg(test)]
#[cfg(feature = "private-engine")]
#[path = "../private_engine.rs"]
mod private_engine;

#[cfg(test)]
mod bases;
#[cfg(test)]
mod crowd;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod disk;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod engine_death;
#[cfg(test)]
mod every_request;
#[cfg(test)]
mod half_made;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod long_run;
#[cfg(test)]
mod process;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod seed;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod state_files;
#[cfg(test)]
mod under_way;
