//! `healthcheck`.

use super::section::{Section, scalar};
use super::shown::WHOLE;
use super::unknown::Keys;
use crate::compose_file::node::Value;
use crate::service::{HealthCheck, HealthTest};

const KEYS: Keys = Keys {
    read: &["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"],
    ignored: &[],
    refused: &[],
};

const RETRIES: &str = "a whole number from 0 to 4294967295";

/// Returns the health check that the service asks for.
pub(super) fn lower_health_check(service: &Section<'_>) -> Option<HealthCheck> {
    let section = service.child("healthcheck", &KEYS)?;
    let test = lower_test(&section);
    let disabled = section.is_on("disable");
    Some(HealthCheck {
        test: if disabled { Some(HealthTest::None) } else { test },
        interval: section.duration_or_shown("interval"),
        timeout: section.duration_or_shown("timeout"),
        retries: section.count_or_shown("retries", section.cut_integer("retries"), RETRIES, WHOLE),
        start_period: section.duration_or_shown("start_period"),
        start_interval: section.duration_or_shown("start_interval"),
        as_written: section.shown(),
    })
}

/// Says what the Engine makes of a list with too few or too many words.
fn unusual(kind: &str, rest: &[String]) -> String {
    match (kind, rest) {
        ("NONE", _) => "`NONE` switches the health check off; what follows it is ignored".to_owned(),
        (_, []) => format!("a command is missing behind `{kind}`: the health check never passes"),
        _ => format!("`{kind}` takes one text; what follows it are `$0`, `$1` and so on of the shell"),
    }
}

fn lower_test(section: &Section<'_>) -> Option<HealthTest> {
    let node = section.node("test")?;
    if let Some(line) = scalar(node) {
        return Some(HealthTest::Shell(line));
    }
    let Value::List(_) = node.value else {
        section.unfit("test", node, "a text or a list");
        return None;
    };
    let words = section.texts("test");
    let (kind, rest) = words.split_first()?;
    match (kind.as_str(), rest) {
        ("NONE", []) => Some(HealthTest::None),
        ("CMD", [_, ..]) => Some(HealthTest::Cmd(rest.to_vec())),
        ("CMD-SHELL", [line]) => Some(HealthTest::Shell(line.clone())),
        (kind @ ("NONE" | "CMD" | "CMD-SHELL"), _) => {
            section.warn(&node.place, unusual(kind, rest));
            Some(HealthTest::Other(words))
        }
        _ => {
            section.error(
                &node.place,
                "`healthcheck.test` must begin with `CMD` or `CMD-SHELL` and a command, or be `NONE`",
            );
            None
        }
    }
}
