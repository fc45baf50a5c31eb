//! Parts of messages that depend on what is known.

use std::error::Error;

use super::DockerError;

pub(super) fn for_platform(image: &str, platform: Option<&str>) -> String {
    platform.map_or_else(String::new, |platform| {
        format!(
            " for platform `{platform}`; `docker manifest inspect {image}` shows those that its registry has"
        )
    })
}

pub(super) fn port_words(port: Option<u16>) -> String {
    port.map_or_else(|| "a port".to_owned(), |port| format!("port {port}"))
}

/// Returns an error and its causes on one line.
pub(super) fn chain(error: &DockerError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
