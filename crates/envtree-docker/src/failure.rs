//! What the Engine says about a failed call, freed from the client that heard it.

use std::error::Error;

/// What the Engine, or the way to it, said about a failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineFailure {
    /// The HTTP status, if the Engine answered.
    pub status: Option<u16>,
    /// The Engine's words, or the transport's.
    pub message: String,
}

impl EngineFailure {
    /// Returns whether the Engine answered with `status`.
    pub fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// Returns the status if the answer was nothing but a status.
    pub(crate) fn wordless_status(&self) -> Option<u16> {
        self.status.filter(|status| self.message == wordless(*status))
    }

    /// Returns whether the message contains any of `fragments`, in whatever case.
    pub(crate) fn says(&self, fragments: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        fragments.iter().any(|fragment| message.contains(&fragment.to_ascii_lowercase()))
    }
}

impl From<bollard::errors::Error> for EngineFailure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as Bollard;
        let (status, message): (Option<u16>, String) = match error {
            Bollard::DockerResponseServerError { status_code, message } => (Some(status_code), message),
            Bollard::DockerStreamError { error } => (None, error),
            Bollard::RequestTimeoutError => (None, "the Engine did not answer in time".to_owned()),
            other => (None, root_cause(&other)),
        };
        let said = without_values(message.trim());
        let message = match status {
            Some(status) if said.is_empty() => wordless(status),
            _ => said,
        };
        Self { status, message }
    }
}

/// Says what is known of an answer that gives no reason.
fn wordless(status: u16) -> String {
    format!("HTTP {status}, without a reason")
}

/// Returns the words of the innermost cause: the outer ones only name layers of the HTTP client.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// Cuts off the one message in which the Engine repeats a variable with its value.
fn without_values(message: &str) -> String {
    const PREFIX: &str = "invalid environment variable";
    match message.find(PREFIX) {
        Some(start) => message[..start + PREFIX.len()].to_owned(),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_the_engine_repeats_is_cut_off() {
        let failure = EngineFailure::from(bollard::errors::Error::DockerResponseServerError {
            status_code: 400,
            message: "invalid environment variable: =hunter2\n".to_owned(),
        });
        assert_eq!(failure.message, "invalid environment variable");
        assert!(failure.is(400));
    }

    #[test]
    fn an_answer_without_words_is_told_by_its_status() {
        let answer = |message: &str| bollard::errors::Error::DockerResponseServerError {
            status_code: 503,
            message: message.to_owned(),
        };
        let failure = EngineFailure::from(answer(" \n"));
        assert_eq!(
            (failure.to_string().as_str(), failure.wordless_status()),
            ("HTTP 503, without a reason", Some(503))
        );
        assert_eq!(EngineFailure::from(answer("too busy")).wordless_status(), None);
    }
}
