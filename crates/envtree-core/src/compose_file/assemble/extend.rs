//! `extends`: services that begin as copies of others, of the same file or another one.

use std::rc::Rc;

use indexmap::IndexMap;

use super::path::folder;
use super::rebase::rebase;
use super::{Scope, Source, over, section};
use crate::compose_file::merge::{Tags, extend};
use crate::compose_file::node::{Diagnostic, Entry, Node, Value};
use crate::nearest::nearest;

/// How many services may extend each other in a row.
const CHAIN_LIMIT: usize = 100;

/// The services of a file that another one extends, none of them extended yet.
pub(super) struct Base {
    /// The file as messages show it.
    display: String,
    services: IndexMap<String, Entry>,
    /// The tags of its last document.
    tags: Rc<Tags>,
}

/// What `extends` says.
struct Extends<'a> {
    /// The key under which the service is named.
    key: &'static str,
    service: &'a Node,
    name: &'a str,
    file: Option<(&'a Node, &'a str)>,
}

/// A service on the way to what it extends: file and name.
type Link = (String, String);

/// What is known while the services of a document are extended.
#[derive(Default)]
struct Way {
    /// The services that led to the one at hand.
    chain: Vec<Link>,
    /// The files that led to the one at hand, and that itself.
    files: Vec<Rc<Base>>,
    /// The services that are extended, by the files that led to them, and name.
    done: IndexMap<(Vec<String>, String), Node>,
}

impl Scope<'_> {
    /// Extends every service of a document of `source`.
    pub(super) fn extend_services(
        &self,
        document: &mut Node,
        source: &Source,
        tags: &Rc<Tags>,
    ) -> Result<(), Diagnostic> {
        let Some(services) = section(document, "services") else { return Ok(()) };
        if services.values().all(|entry| entry.node.entry("extends").is_none()) {
            return Ok(());
        }
        let base = Base { display: source.display.clone(), services: services.clone(), tags: tags.clone() };
        let mut way = Way { files: vec![Rc::new(base)], ..Way::default() };
        for (name, entry) in services {
            if entry.node.entry("extends").is_some() {
                entry.node = self.extended(name, &mut way)?;
            }
        }
        Ok(())
    }

    /// Returns a service of the file at hand with all that it extends merged under it.
    fn extended(&self, name: &str, way: &mut Way) -> Result<Node, Diagnostic> {
        let base = way.files.last().expect("it begins with a file").clone();
        let node = &base.services[name].node;
        let Some(entry) = node.entry("extends") else {
            return Ok(node.clone());
        };
        let id = (way.files.iter().map(|file| file.display.clone()).collect(), name.to_owned());
        if let Some(node) = way.done.get(&id) {
            return Ok(node.clone());
        }
        let link = (base.display.clone(), name.to_owned());
        let extends = read(&entry.node, name)?;
        self.warn_of_keys(&entry.node, &format!("service `{name}`: `extends"), &["service", "file"]);
        if way.chain.contains(&link) {
            return Err(extends.service.diagnostic(circle(&way.chain, &link)));
        }
        if way.chain.len() >= CHAIN_LIMIT {
            let message = format!("service `{name}`: more than {CHAIN_LIMIT} services extend each other");
            return Err(extends.service.diagnostic(message));
        }
        way.chain.push(link);
        let length = way.files.len();
        if let Some((node, file)) = extends.file {
            way.files.push(self.base(file, node, name)?);
        }
        let mut parent = self.parent(name, &extends, way)?;
        // As in Compose, every file on the way takes away what it has a tag for at a service of this name.
        for file in &way.files {
            if let Some(tags) = file.tags.within("services").and_then(|tags| tags.within(name)) {
                tags.clear(&mut parent);
            }
        }
        way.files.truncate(length);
        way.chain.pop();
        let mut service = node.clone();
        if let Value::Map(entries) = &mut service.value {
            entries.shift_remove("extends");
        }
        let merged = match parent.value {
            Value::Null => service,
            _ => extend(parent, name, service)?,
        };
        self.run.count_extended(&merged)?;
        way.done.insert(id, merged.clone());
        Ok(merged)
    }

    /// Returns what the service `name` extends, which lies in the file at hand.
    fn parent(&self, name: &str, extends: &Extends<'_>, way: &mut Way) -> Result<Node, Diagnostic> {
        let base = way.files.last().expect("it begins with a file").clone();
        if base.services.contains_key(extends.name) {
            return self.extended(extends.name, way);
        }
        let near = nearest(extends.name, base.services.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let message = format!(
            "service `{name}`: `{}`: service `{}` is not declared under `services` of {}{hint}",
            extends.key, extends.name, base.display
        );
        Err(extends.service.diagnostic(message))
    }

    /// Reads the services of a file that `node`, a part of the service `name`, names.
    fn base(&self, file: &str, node: &Node, name: &str) -> Result<Rc<Base>, Diagnostic> {
        let path = self.located(file, &node.place)?;
        if let Some(base) = self.extended.borrow().get(&path) {
            return Ok(base.clone());
        }
        let subject = format!("service `{name}`: `extends.file`");
        let source = self.run.source(&path, &node.place, &subject)?;
        let mut merged: Option<Node> = None;
        let mut tags = Tags::default();
        for mut document in self.documents(&source)? {
            tags = Tags::take(&mut document);
            if let Some(base) = &mut merged {
                tags.clear(base);
            }
            merged = Some(over(merged, document)?);
        }
        let mut services = IndexMap::new();
        if let Some(mut tree) = merged {
            rebase(&mut tree, &self.base_in(folder(&path)))?;
            services = section(&mut tree, "services").map(std::mem::take).unwrap_or_default();
        }
        let base = Rc::new(Base { display: source.display, services, tags: Rc::new(tags) });
        self.extended.borrow_mut().insert(path, base.clone());
        Ok(base)
    }
}

fn read<'a>(node: &'a Node, name: &str) -> Result<Extends<'a>, Diagnostic> {
    let expected = "the name of a service, or a mapping with `service` and `file`";
    let entries = match &node.value {
        Value::Text(service) => {
            return Ok(Extends { key: "extends", service: node, name: service, file: None });
        }
        Value::Map(entries) => entries,
        _ => {
            let message = format!("service `{name}`: `extends` must be {expected}, not {}", node.kind());
            return Err(node.diagnostic(message));
        }
    };
    let text = |key: &str| match entries.get(key).map(|entry| (&entry.node, &entry.node.value)) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((node, Value::Text(text))) => Ok(Some((node, text.as_str()))),
        Some((node, _)) => {
            Err(node
                .diagnostic(format!("service `{name}`: `extends.{key}` must be a text, not {}", node.kind())))
        }
    };
    let Some((service, wanted)) = text("service")? else {
        if let Some((key, entry)) = entries.iter().find(|(key, _)| nearest(key, ["service"]).is_some()) {
            let message =
                format!("service `{name}`: `extends.{key}` is not a known key; did you mean `service`?");
            return Err(Diagnostic { place: entry.key_place.clone(), message });
        }
        return Err(node.diagnostic(format!("service `{name}`: `extends.service` is missing")));
    };
    Ok(Extends { key: "extends.service", service, name: wanted, file: text("file")? })
}

fn circle(chain: &[Link], last: &Link) -> String {
    let start = chain.iter().position(|link| link == last).unwrap_or_default();
    let names: Vec<String> =
        chain[start..].iter().chain([last]).map(|(file, service)| format!("`{service}` of {file}")).collect();
    format!("services extend each other in a circle: {}", names.join(" → "))
}
