//! Validated names: a value of one of these types obeys the rules of the thing that it names.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A text that cannot name what it was meant to name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct NameError {
    /// The rejected text.
    pub text: String,
    /// What it was to name.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $valid:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Accepts `text` if it obeys the type's rule.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if $valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(NameError { text, kind: $kind, rule: $rule })
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $type {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

name! {
    /// A Compose project name, which begins the name of every object of an environment.
    ProjectName, "project name", is_project_name,
    "lower-case letters, digits, `-` and `_`, beginning with a letter or a digit"
}
name! {
    /// The part of a project name that tells the environments of one repository apart: a DNS label.
    EnvironmentId, "environment id", is_dns_label,
    "lower-case letters, digits and `-`, at most 63, neither beginning nor ending with `-`"
}
name! {
    /// A key under `services:`.
    ServiceName, "service name", is_compose_key, "letters, digits, `.`, `_` and `-`"
}
name! {
    /// A key under `networks:`.
    NetworkName, "network name", is_compose_key, "letters, digits, `.`, `_` and `-`"
}
name! {
    /// A key under `volumes:`.
    VolumeName, "volume name", is_compose_key, "letters, digits, `.`, `_` and `-`"
}

fn is_project_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The Compose specification's pattern for the keys of services, networks and volumes.
fn is_compose_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

impl ProjectName {
    /// Returns what the Engine calls a network, a volume, a config or a secret of the project whose own name nobody set.
    pub fn object(&self, key: &str) -> String {
        format!("{self}_{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_name_begins_with_a_letter_or_a_digit() {
        assert!(ProjectName::new("shop-fix_1").is_ok());
        assert!(ProjectName::new("-shop").is_err());
        assert!(ProjectName::new("Shop").is_err());
        assert!(ProjectName::new("").is_err());
    }

    #[test]
    fn an_environment_id_is_a_dns_label() {
        assert!(EnvironmentId::new("fix-login").is_ok());
        assert!(EnvironmentId::new("fix_login").is_err());
        assert!(EnvironmentId::new("fix-").is_err());
        assert!(EnvironmentId::new("a".repeat(64)).is_err());
    }

    #[test]
    fn an_error_names_the_text_and_the_rule() {
        let error = ServiceName::new("a b").unwrap_err();
        assert_eq!(error.to_string(), "`a b` is not a valid service name: letters, digits, `.`, `_` and `-`");
    }
}
