//! The key `data`: what fills empty volumes, and what is done to the data then.

use std::time::Duration;

use indexmap::IndexMap;

use super::read::{Fields, age, boolean, expected, text, texts};
use super::{Hook, hook};
use crate::compose_file::node::{Diagnostic, Node, Place, Value};

/// The key `data`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSettings {
    /// The commands that fill empty volumes.
    pub seed: Option<Seed>,
    /// The patterns of the files that the seed depends on.
    pub inputs: Vec<String>,
    /// What makes real data harmless before anything begins on it.
    pub sanitize: Option<Treatment>,
    /// What must have nothing to report of it then.
    pub verify: Option<Treatment>,
    /// Whether servers without a seed are prepared too: initialised once, and branched ever after. Absent means that the
    /// machine's configuration says so.
    pub prepare: Option<bool>,
    /// What volumes that branch consist of.
    pub mode: BranchMode,
    /// Volumes by their keys in the Compose file that hold data too, though no known server runs on them, and where they are
    /// named.
    pub volumes: IndexMap<String, Place>,
    /// For how long a base is kept that nothing uses; absent means that the machine's configuration says so.
    pub keep: Option<Duration>,
}

/// The key `data.mode`: what volumes that branch consist of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BranchMode {
    /// Overlays where the Engine mounts them, else copies.
    #[default]
    Auto,
    /// Overlays, which take no space for what nobody changes.
    Overlay,
    /// Copies, whose changes need no copy-up.
    Copy,
}

/// The key `data.seed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The commands.
    pub hook: Hook,
    /// The service in whose container they run, and where it is named; absent means the host.
    pub service: Option<(String, Place)>,
    /// Whether they add to what they made before with fewer inputs, as migrations do.
    pub incremental: bool,
}

/// The keys `data.sanitize` and `data.verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treatment {
    /// What is done.
    pub work: Work,
    /// The server, or for commands the service in whose container they run, and where it is named; absent means the only
    /// server that takes statements, or the host.
    pub service: Option<(String, Place)>,
    /// Where it stands.
    pub place: Place,
}

/// What is done to data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Commands run, like those of a seed.
    Commands(Vec<String>),
    /// The server's own client reads these files of the worktree, which patterns name.
    Files(Vec<String>),
    /// The server answers these queries.
    Queries(Vec<String>),
}

/// Reads the key `data`.
pub(super) fn data(node: &Node) -> Result<DataSettings, Diagnostic> {
    let fields =
        Fields::new(node, &["seed", "inputs", "sanitize", "verify", "prepare", "mode", "volumes", "keep"])?;
    Ok(DataSettings {
        seed: fields.node("seed").map(seed).transpose()?,
        inputs: fields.parse("inputs", texts)?,
        sanitize: fields.node("sanitize").map(|node| treatment(node, "files", Work::Files)).transpose()?,
        verify: fields.node("verify").map(|node| treatment(node, "query", Work::Queries)).transpose()?,
        prepare: fields.node("prepare").map(boolean).transpose()?,
        mode: fields.parse("mode", branch_mode)?,
        volumes: fields.node("volumes").map_or_else(|| Ok(IndexMap::new()), volumes)?,
        keep: fields.node("keep").map(age).transpose()?,
    })
}

/// Reads the commands of a seed, by themselves or with where and how they run.
fn seed(node: &Node) -> Result<Seed, Diagnostic> {
    if !matches!(node.value, Value::Map(_)) {
        return Ok(Seed { hook: hook(node)?, service: None, incremental: false });
    }
    let fields = Fields::new(node, &["run", "service", "incremental"])?;
    let run = fields.node("run").ok_or_else(|| node.diagnostic("`data.seed` has no `run`: its commands"))?;
    Ok(Seed {
        hook: hook(run)?,
        service: fields.node("service").map(|node| Ok((text(node)?, node.place.clone()))).transpose()?,
        incremental: fields.node("incremental").map_or(Ok(false), boolean)?,
    })
}

pub(super) fn branch_mode(node: &Node) -> Result<BranchMode, Diagnostic> {
    match text(node)?.as_str() {
        "auto" => Ok(BranchMode::Auto),
        "overlay" => Ok(BranchMode::Overlay),
        "copy" => Ok(BranchMode::Copy),
        other => {
            let other = other.escape_debug();
            Err(node.diagnostic(format!("expected `auto`, `overlay` or `copy`, found `{other}`")))
        }
    }
}

/// Reads what is done to data: commands by themselves, or `run` or `key` with a service.
fn treatment(node: &Node, key: &str, of_key: fn(Vec<String>) -> Work) -> Result<Treatment, Diagnostic> {
    let place = node.place.clone();
    if !matches!(node.value, Value::Map(_)) {
        return Ok(Treatment { work: Work::Commands(hook(node)?.commands), service: None, place });
    }
    let fields = Fields::new(node, &["run", key, "service"])?;
    let work = match (fields.node("run"), fields.node(key)) {
        (Some(run), None) => Work::Commands(hook(run)?.commands),
        (None, Some(node)) => of_key(some(texts(node)?, node)?),
        _ => return Err(node.diagnostic(format!("expected either `run` or `{key}`"))),
    };
    let service = fields.node("service").map(|node| Ok((text(node)?, node.place.clone()))).transpose()?;
    Ok(Treatment { work, service, place })
}

/// Returns texts, of which there must be one.
fn some(texts: Vec<String>, node: &Node) -> Result<Vec<String>, Diagnostic> {
    if texts.is_empty() { Err(node.diagnostic("expected a text or a list of texts")) } else { Ok(texts) }
}

/// Reads the names of volumes; a single name counts as a list of one.
fn volumes(node: &Node) -> Result<IndexMap<String, Place>, Diagnostic> {
    let nodes = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Text(_) => std::slice::from_ref(node),
        _ => return Err(expected("the name of a volume or a list of names", node)),
    };
    nodes.iter().map(|node| Ok((text(node)?, node.place.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings, parse_settings};

    fn error(text: &str) -> String {
        parse_settings("envtree.yaml", text).unwrap_err().to_string()
    }

    fn data_of(text: &str) -> DataSettings {
        let Settings { data, .. } = parse_settings("envtree.yaml", text).unwrap();
        data
    }

    #[test]
    fn a_seed_may_say_where_and_how_it_runs() {
        let text = "data: { seed: { run: [a, b], service: app, incremental: true } }";
        let seed = parse_settings("envtree.yaml", text).unwrap().data.seed.unwrap();
        let (service, place) = seed.service.unwrap();
        assert_eq!((seed.hook.commands.len(), &*service, seed.incremental), (2, "app", true));
        assert_eq!(place.to_string(), "envtree.yaml:1:39");
        let seed = parse_settings("e", "data: { seed: { run: a } }").unwrap().data.seed.unwrap();
        assert_eq!((seed.service, seed.incremental), (None, false));
        let errors = [
            "data: {seed: {service: app}}",
            "data: {seed: {run: make, in: app}}",
            "data: {seed: {run: make, incremental: x}}",
            "data: {seed: []}",
            "data: {mode: clone}",
        ];
        insta::assert_snapshot!(errors.map(error).join("\n"), @"
        envtree.yaml:1:14: `data.seed` has no `run`: its commands
        envtree.yaml:1:26: unknown key `in`; known are `run`, `service`, `incremental`
        envtree.yaml:1:39: expected `true` or `false`, found a text
        envtree.yaml:1:14: expected a command or a list of commands
        envtree.yaml:1:14: expected `auto`, `overlay` or `copy`, found `clone`
        ");
    }

    #[test]
    fn data_is_treated_by_commands_files_or_queries() {
        let treated = data_of(
            "data: { sanitize: { files: [db/mask/*.sql], service: db }, verify: { query: SELECT 1 } }",
        );
        let sanitize = treated.sanitize.unwrap();
        assert_eq!(sanitize.work, Work::Files(vec!["db/mask/*.sql".into()]));
        assert_eq!(sanitize.service.unwrap().0, "db");
        assert_eq!(treated.verify.unwrap().work, Work::Queries(vec!["SELECT 1".into()]));
        let run = data_of("data: { sanitize: make mask, verify: { run: [a, b], service: app } }");
        assert_eq!(run.sanitize.unwrap().work, Work::Commands(vec!["make mask".into()]));
        assert_eq!(run.verify.unwrap().work, Work::Commands(vec!["a".into(), "b".into()]));
        let errors = [
            "data: {sanitize: {service: db}}",
            "data: {sanitize: {run: a, files: b}}",
            "data: {sanitize: {query: a}}",
            "data: {verify: {query: []}}",
            "data: {verify: []}",
        ];
        insta::assert_snapshot!(errors.map(error).join("\n"), @"
        envtree.yaml:1:18: expected either `run` or `files`
        envtree.yaml:1:18: expected either `run` or `files`
        envtree.yaml:1:19: unknown key `query`; known are `run`, `files`, `service`
        envtree.yaml:1:24: expected a text or a list of texts
        envtree.yaml:1:16: expected a command or a list of commands
        ");
    }
}
