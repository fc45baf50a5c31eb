//! What to do about builds that stood no chance.

use envtree::error::BuildFault;

/// Returns what to do about `fault`.
pub(super) fn hint(fault: BuildFault) -> &'static str {
    match fault {
        BuildFault::NoBuildKit => {
            "leave the key out, or use Docker Engine 18.09 or later, whose BuildKit can do it"
        }
        BuildFault::NoContexts => {
            "use Docker Engine 23.0 or later, or begin the Dockerfile with `# syntax=docker/dockerfile:1`"
        }
        BuildFault::Network => "`network` under `build` is `host`, `none` or `default`",
        BuildFault::NoFiles => "`context` is relative to the Compose file, `dockerfile` to the context",
        BuildFault::Secret => "the file's `secrets` say where the value comes from",
        BuildFault::Agent => {
            "start an agent with `eval \"$(ssh-agent)\"` and `ssh-add`, or name a key under `ssh` that has no passphrase"
        }
    }
}
