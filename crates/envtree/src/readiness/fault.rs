//! What keeps a service from becoming ready, in words for people.

use std::time::Duration;

use envtree_docker::container::ContainerDetail;
use envtree_docker::error::DockerError;

/// A service did not become ready.
#[derive(Debug, Clone, thiserror::Error)]
#[error("service `{service}` {fault}")]
pub(crate) struct NotReady {
    /// The service.
    pub service: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// Its last lines of output.
    pub log: Vec<String>,
    /// The port at which it was waited for in vain, where nothing else tells that it is ready.
    pub silent: Option<u16>,
}

/// What is wrong with a service.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// Its process ended.
    #[error("exited with status {code}{}{}", if *out_of_memory { ", killed for want of memory" } else { "" }, detail(.engine.as_deref()))]
    Exited {
        /// The status.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
        /// What the Engine adds.
        engine: Option<String>,
    },
    /// Its health check failed too often.
    #[error("is unhealthy{}", detail(.output.as_deref()))]
    Unhealthy {
        /// What the last check printed.
        output: Option<String>,
    },
    /// Time ran out.
    #[error("was not ready after {}: {reason}", seconds(*.timeout))]
    TimedOut {
        /// How long it had.
        timeout: Duration,
        /// What the last probe met.
        reason: String,
    },
    /// The environment could not be given databases of its own on it.
    #[error("did not take the environment's own databases{}", detail(Some(.0)))]
    Databases(String),
    /// The Engine could not be asked.
    #[error("could not be watched: {0}")]
    Engine(String),
}

pub(super) fn detail(text: Option<&str>) -> String {
    text.map(str::trim).filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

pub(super) fn exit_fault(detail: &ContainerDetail) -> Fault {
    Fault::Exited { code: detail.exit_code, out_of_memory: detail.oom_killed, engine: detail.error.clone() }
}

pub(super) fn engine_fault(error: &DockerError) -> Fault {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    Fault::Engine(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_happened() {
        let exited = Fault::Exited { code: 137, out_of_memory: true, engine: None };
        assert_eq!(exited.to_string(), "exited with status 137, killed for want of memory");
        let unhealthy = Fault::Unhealthy { output: Some("no\n".into()) };
        assert_eq!(unhealthy.to_string(), "is unhealthy: no");
        let late = Fault::TimedOut { timeout: Duration::from_mins(1), reason: "connection refused".into() };
        assert_eq!(late.to_string(), "was not ready after 60 s: connection refused");
    }
}
