//! The Compose files embedded in the binary, for repositories that have none.

/// The template of a repository that names none.
pub const DEFAULT: &str = "postgres-redis";

/// An embedded Compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its name, as `compose.template` has it.
    pub name: &'static str,
    /// What it starts, for people.
    pub summary: &'static str,
    /// The Compose file.
    pub text: &'static str,
}

/// Every template, the default one first.
pub const TEMPLATES: [Template; 4] = [
    Template {
        name: DEFAULT,
        summary: "PostgreSQL and Redis",
        text: include_str!("../../../compose-templates/postgres-redis.yaml"),
    },
    Template {
        name: "postgres",
        summary: "PostgreSQL",
        text: include_str!("../../../compose-templates/postgres.yaml"),
    },
    Template {
        name: "mariadb-redis",
        summary: "MariaDB and Redis",
        text: include_str!("../../../compose-templates/mariadb-redis.yaml"),
    },
    Template {
        name: "full",
        summary: "PostgreSQL, Redis, RabbitMQ and NATS",
        text: include_str!("../../../compose-templates/full.yaml"),
    },
];

/// A name that no template has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no template `{name}`, but {}", TEMPLATES.map(|template| format!("`{}`", template.name)).join(", "))]
pub struct UnknownTemplate {
    /// The name.
    pub name: String,
}

/// Returns the template of that name.
pub fn find(name: &str) -> Result<Template, UnknownTemplate> {
    let found = TEMPLATES.into_iter().find(|template| template.name == name);
    found.ok_or_else(|| UnknownTemplate { name: name.to_owned() })
}
