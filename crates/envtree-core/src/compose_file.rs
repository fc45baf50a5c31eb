//! Compose files: text to a [`Project`](crate::project::Project), as the Compose specification has it.
