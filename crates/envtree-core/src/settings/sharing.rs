//! The keys `shared` and `services`: which services all environments of the repository have in common, and how.

use indexmap::IndexMap;

use super::read::{Fields, entries, expected, text};
use crate::compose_file::node::{Diagnostic, Node, Place, Value};
use crate::nearest::nearest;

/// How the environments of a repository have a service in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// What each environment has of its own in it.
    pub isolation: Isolation,
    /// Where the service is named.
    pub place: Place,
}

/// What each environment has of its own in a service that it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Nothing.
    None,
    /// Its own databases, role and password.
    Database,
}

/// Reads both keys.
pub(super) fn sharing(
    shared: Option<&Node>,
    services: Option<&Node>,
) -> Result<IndexMap<String, Sharing>, Diagnostic> {
    let mut sharing = IndexMap::new();
    for node in shared.map(names).transpose()?.unwrap_or_default() {
        let name = text(node)?;
        if sharing.contains_key(&name) {
            return Err(node.diagnostic(format!("service `{name}` is named twice")));
        }
        sharing.insert(name, Sharing { isolation: Isolation::None, place: node.place.clone() });
    }
    let services = services.map(entries).transpose()?.into_iter().flatten();
    for (name, entry) in services {
        let fields = Fields::new(&entry.node, &["isolation"])?;
        if let Some(isolation) = fields.node("isolation").map(isolation).transpose()? {
            sharing.insert(name.clone(), Sharing { isolation, place: entry.key_place.clone() });
        }
    }
    Ok(sharing)
}

/// Returns the nodes of a list of names; a single name counts as a list of one.
fn names(node: &Node) -> Result<Vec<&Node>, Diagnostic> {
    match &node.value {
        Value::List(items) => Ok(items.iter().collect()),
        Value::Text(_) | Value::Number(_) => Ok(vec![node]),
        _ => Err(expected("the name of a service or a list of names", node)),
    }
}

fn isolation(node: &Node) -> Result<Isolation, Diagnostic> {
    let word = text(node)?;
    if word == "database" {
        return Ok(Isolation::Database);
    }
    let hint = nearest(&word, ["database"]).map_or("known is `database`", |_| "did you mean `database`?");
    Err(node.diagnostic(format!("unknown isolation `{}`; {hint}", word.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse_settings;

    #[test]
    fn services_are_shared_whole_or_but_for_their_databases() {
        let text = "shared: [search]\nservices:\n  db: { isolation: database }\n  web:\n";
        let sharing = parse_settings("envtree.yaml", text).unwrap().sharing;
        let read: Vec<_> = sharing
            .iter()
            .map(|(name, sharing)| (name.as_str(), sharing.isolation, sharing.place.to_string()))
            .collect();
        assert_eq!(
            read,
            [
                ("search", Isolation::None, "envtree.yaml:1:10".to_owned()),
                ("db", Isolation::Database, "envtree.yaml:3:3".to_owned()),
            ]
        );
        assert_eq!(parse_settings("e", "shared: search").unwrap().sharing.len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_place() {
        let texts = [
            "shared: {db: x}",
            "shared: [db, db]",
            "services: {db: {isolate: database}}",
            "services: {db: {isolation: databases}}",
            "services: {db: {isolation: schema}}",
        ];
        let errors = texts.map(|text| parse_settings("e", text).unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @"
        e:1:9: expected the name of a service or a list of names, found a mapping
        e:1:14: service `db` is named twice
        e:1:17: unknown key `isolate`; did you mean `isolation`?
        e:1:28: unknown isolation `databases`; did you mean `database`?
        e:1:28: unknown isolation `schema`; known is `database`
        ");
    }
}
