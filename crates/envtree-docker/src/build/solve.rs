//! What BuildKit is asked for: a build in the words of its Dockerfile frontend.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, SolveRequest};
use envtree_core::build::{Build, ImageBuild, is_folder, is_remote};
use envtree_core::service::Ulimit;
use indexmap::IndexMap;
use serde_json::json;

use super::error::BuildError;
use super::files::Source;

/// The names under which BuildKit asks for the context and for the folder of the Dockerfile.
const CONTEXT: &str = "context";
const DOCKERFILE: &str = "dockerfile";
const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// A request, and the files that BuildKit asks for in return.
#[derive(Debug, Default)]
pub(super) struct Solve {
    pub(super) request: SolveRequest,
    pub(super) sources: IndexMap<String, Source>,
    /// What is left out of it, and why.
    pub(super) remarks: Vec<String>,
}

/// What the request depends on besides the build.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// Build arguments that the user's Docker configuration sets everywhere: proxies.
    pub(super) proxies: IndexMap<String, String>,
    /// Whether images are kept by containerd, which can keep more of them.
    pub(super) containerd_store: bool,
    /// The address that `host-gateway` stands for, if the build names it.
    pub(super) host_gateway: Option<String>,
}

/// Returns where the Dockerfile of a local context lies.
pub(super) fn dockerfile_of(definition: &Build) -> PathBuf {
    Path::new(&definition.context).join(definition.dockerfile.as_deref().unwrap_or(DEFAULT_DOCKERFILE))
}

/// Returns what BuildKit is asked for, as session `session`.
pub(super) fn solve(
    build: &ImageBuild,
    session: &str,
    surroundings: &Surroundings,
) -> Result<Solve, BuildError> {
    let mut solve = Solve::default();
    let definition = &build.definition;
    let mut attributes = attributes(build, surroundings)?;
    solve.add_context(definition, &mut attributes);
    solve.add_further_contexts(build, &mut attributes)?;
    solve.add_attestations(definition, surroundings, &mut attributes);
    let cache = solve.cache(definition, surroundings, &mut attributes);
    let exporter = HashMap::from([("name".to_owned(), build.images.join(","))]);
    solve.request = SolveRequest {
        r#ref: session.to_owned(),
        session: session.to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes,
        // Engines of before the list of exporters know only these.
        exporter_deprecated: "moby".to_owned(),
        exporter_attrs_deprecated: exporter,
        cache: Some(cache),
        entitlements: entitlements(definition),
        ..SolveRequest::default()
    };
    Ok(solve)
}

type Attributes = HashMap<String, String>;

fn attributes(build: &ImageBuild, surroundings: &Surroundings) -> Result<Attributes, BuildError> {
    let definition = &build.definition;
    let mut attributes = Attributes::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), value);
        }
    };
    set("target", definition.target.clone());
    set("platform", build.platform.clone());
    set("image-resolve-mode", definition.pull.then(|| "pull".to_owned()));
    set("no-cache", no_cache(definition));
    set("shm-size", definition.shm_size.map(|size| size.to_string()));
    set("add-hosts", joined(hosts(definition, surroundings)));
    set("ulimit", joined(definition.ulimits.iter().map(ulimit)));
    set("force-network-mode", network(build)?);
    for (name, value) in &definition.args {
        set(&format!("build-arg:{name}"), value.clone());
    }
    for (name, value) in surroundings.proxies.iter().filter(|(name, _)| !definition.args.contains_key(*name))
    {
        set(&format!("build-arg:{name}"), Some(value.clone()));
    }
    for (key, value) in &definition.labels {
        set(&format!("label:{key}"), Some(value.clone()));
    }
    Ok(attributes)
}

fn joined(parts: impl IntoIterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// An empty list means every stage.
fn no_cache(definition: &Build) -> Option<String> {
    if definition.no_cache {
        return Some(String::new());
    }
    joined(definition.no_cache_filter.clone())
}

/// Returns the lines for `/etc/hosts`, as `host=address`.
pub(super) fn hosts<'a>(
    definition: &'a Build,
    surroundings: &'a Surroundings,
) -> impl Iterator<Item = String> + 'a {
    definition.extra_hosts.iter().filter_map(|line| {
        let (host, address) = line.split_once(':')?;
        let gateway = surroundings.host_gateway.as_deref().filter(|_| address == "host-gateway");
        Some(format!("{host}={}", gateway.unwrap_or(address)))
    })
}

fn ulimit((name, limit): (&String, &Ulimit)) -> String {
    format!("{name}={}:{}", limit.soft, limit.hard)
}

fn network(build: &ImageBuild) -> Result<Option<String>, BuildError> {
    match build.definition.network.as_deref() {
        None | Some("" | "default") => Ok(None),
        Some(mode @ ("host" | "none")) => Ok(Some(mode.to_owned())),
        Some(other) => Err(BuildError::Network { image: build.name().to_owned(), network: other.to_owned() }),
    }
}

fn entitlements(definition: &Build) -> Vec<String> {
    let mut wanted = definition.entitlements.clone();
    wanted.extend((definition.network.as_deref() == Some("host")).then(|| "network.host".to_owned()));
    wanted.extend(definition.privileged.then(|| "security.insecure".to_owned()));
    wanted.sort();
    wanted.dedup();
    wanted
}

impl Solve {
    fn add_context(&mut self, definition: &Build, attributes: &mut Attributes) {
        let is_remote = is_remote(&definition.context);
        if is_remote {
            attributes.insert(CONTEXT.to_owned(), definition.context.clone());
        } else {
            self.sources.insert(CONTEXT.to_owned(), Source::Folder(PathBuf::from(&definition.context)));
        }
        let filename = match &definition.dockerfile_inline {
            Some(text) => {
                let name = DEFAULT_DOCKERFILE.to_owned();
                self.sources
                    .insert(DOCKERFILE.to_owned(), Source::Text { name: name.clone(), text: text.clone() });
                if is_remote {
                    attributes.insert("dockerfilekey".to_owned(), DOCKERFILE.to_owned());
                }
                name
            }
            None if is_remote => {
                definition.dockerfile.clone().unwrap_or_else(|| DEFAULT_DOCKERFILE.to_owned())
            }
            None => {
                let path = dockerfile_of(definition);
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                self.sources.insert(DOCKERFILE.to_owned(), Source::Folder(folder));
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        attributes.insert("filename".to_owned(), filename);
    }

    fn add_further_contexts(
        &mut self,
        build: &ImageBuild,
        attributes: &mut Attributes,
    ) -> Result<(), BuildError> {
        let contexts = &build.definition.additional_contexts;
        for (name, value) in contexts {
            let value = if is_folder(value) {
                let local =
                    if name == CONTEXT || name == DOCKERFILE { format!("_{name}_") } else { name.clone() };
                self.sources.insert(local.clone(), Source::Folder(PathBuf::from(value)));
                format!("local:{local}")
            } else if value.starts_with("oci-layout:") {
                return Err(BuildError::OciLayout { image: build.name().to_owned(), context: name.clone() });
            } else {
                value.clone()
            };
            attributes.insert(format!("context:{name}"), value);
        }
        if !contexts.is_empty() {
            // A frontend that lacks them would take `FROM name` for an image of a registry.
            let capability = "moby.buildkit.frontend.contexts+forward";
            attributes.insert("frontend.caps".to_owned(), capability.to_owned());
        }
        Ok(())
    }

    fn add_attestations(
        &mut self,
        definition: &Build,
        surroundings: &Surroundings,
        attributes: &mut Attributes,
    ) {
        for (key, value) in [("provenance", &definition.provenance), ("sbom", &definition.sbom)] {
            let Some(value) = value.as_deref().filter(|value| *value != "false") else {
                continue;
            };
            if surroundings.containerd_store {
                let value = if value == "true" { "" } else { value };
                attributes.insert(format!("attest:{key}"), value.to_owned());
            } else {
                self.remarks.push(format!("`{key}` is left out: {WITHOUT_CONTAINERD}"));
            }
        }
    }

    fn cache(
        &mut self,
        definition: &Build,
        surroundings: &Surroundings,
        attributes: &mut Attributes,
    ) -> CacheOptions {
        let mut cache = CacheOptions::default();
        for text in &definition.cache_from {
            let entry = cache_entry(text);
            match entry.r#type.as_str() {
                "registry" => cache.imports.push(entry),
                "gha" | "s3" | "azblob" if surroundings.containerd_store => cache.imports.push(entry),
                _ => self.leave_out("cache_from", text),
            }
        }
        for text in &definition.cache_to {
            let entry = cache_entry(text);
            match entry.r#type.as_str() {
                // The image itself says how it was made.
                "inline" => cache.exports.push(entry),
                "registry" | "gha" | "s3" | "azblob" if surroundings.containerd_store => {
                    cache.exports.push(entry);
                }
                _ => self.leave_out("cache_to", text),
            }
        }
        if asks_for_inline(definition) && cache.exports.iter().all(|entry| entry.r#type != "inline") {
            cache.exports.push(cache_entry("type=inline"));
        }
        if !cache.imports.is_empty() {
            let imports: Vec<_> = cache
                .imports
                .iter()
                .map(|entry| json!({"Type": entry.r#type, "Attrs": entry.attrs}))
                .collect();
            attributes.insert("cache-imports".to_owned(), json!(imports).to_string());
        }
        cache
    }

    fn leave_out(&mut self, key: &str, text: &str) {
        let why = if text.contains("type=local") {
            "the Engine's own BuildKit keeps no cache in folders"
        } else {
            WITHOUT_CONTAINERD
        };
        self.remarks.push(format!("`{key}: {text}` is left out: {why}"));
    }
}

const WITHOUT_CONTAINERD: &str = "the Engine can only do that with containerd's image store";

/// Returns whether an argument asks for the inline cache, which is the client's part and not BuildKit's.
fn asks_for_inline(definition: &Build) -> bool {
    let value = definition.args.get("BUILDKIT_INLINE_CACHE").and_then(Option::as_deref);
    value.is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// Reads a cache: `type=registry,ref=…`, or the name of an image alone.
fn cache_entry(text: &str) -> CacheOptionsEntry {
    if !text.split(',').any(|part| part.starts_with("type=")) && !text.contains('=') {
        let attrs = HashMap::from([("ref".to_owned(), text.to_owned())]);
        return CacheOptionsEntry { r#type: "registry".to_owned(), attrs };
    }
    let pairs = text.split(',').filter_map(|part| part.split_once('='));
    let mut attrs: HashMap<String, String> =
        pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect();
    let kind = attrs.remove("type").unwrap_or_else(|| "registry".to_owned());
    CacheOptionsEntry { r#type: kind, attrs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(definition: Build) -> ImageBuild {
        let images = vec!["shop-x-web".to_owned(), "shop-x-worker".to_owned()];
        ImageBuild { images, definition, ..ImageBuild::default() }
    }

    fn solved(definition: Build) -> Solve {
        solve(&build(definition), "id", &Surroundings::default()).unwrap()
    }

    fn local() -> Build {
        Build { context: "/w/web".into(), ..Build::default() }
    }

    #[test]
    fn a_plain_build_names_its_image_and_offers_its_folder() {
        let solve = solved(local());
        assert_eq!(solve.request.exporter_attrs_deprecated["name"], "shop-x-web,shop-x-worker");
        assert_eq!(solve.request.frontend_attrs, HashMap::from([("filename".into(), "Dockerfile".into())]));
        assert_eq!(solve.sources["context"], Source::Folder("/w/web".into()));
        assert_eq!(solve.sources["dockerfile"], Source::Folder("/w/web".into()));
    }

    #[test]
    fn a_dockerfile_elsewhere_is_offered_with_its_own_folder() {
        let solve = solved(Build { dockerfile: Some("../docker/web.Dockerfile".into()), ..local() });
        assert_eq!(solve.sources["dockerfile"], Source::Folder("/w/web/../docker".into()));
        assert_eq!(solve.request.frontend_attrs["filename"], "web.Dockerfile");
    }

    #[test]
    fn a_remote_context_is_left_to_buildkit() {
        let address = "https://example.org/a.git#main:web";
        let solve =
            solved(Build { context: address.into(), dockerfile: Some("web/D".into()), ..Build::default() });
        assert!(solve.sources.is_empty());
        assert_eq!(solve.request.frontend_attrs["context"], address);
        assert_eq!(solve.request.frontend_attrs["filename"], "web/D");
    }

    #[test]
    fn every_option_has_buildkits_word() {
        let solve = solved(Build {
            args: IndexMap::from([("A".into(), Some("1".into())), ("UNSET".into(), None)]),
            target: Some("dev".into()),
            labels: IndexMap::from([("k".into(), "v".into())]),
            no_cache: true,
            pull: true,
            network: Some("host".into()),
            shm_size: Some(1024),
            extra_hosts: vec!["db:10.0.0.1".into(), "six:::1".into()],
            ulimits: IndexMap::from([("nofile".into(), Ulimit { soft: 10, hard: 20 })]),
            privileged: true,
            ..local()
        });
        let mut attributes: Vec<String> =
            solve.request.frontend_attrs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        attributes.sort();
        insta::assert_snapshot!(attributes.join("\n"), @"
        add-hosts=db=10.0.0.1,six=::1
        build-arg:A=1
        filename=Dockerfile
        force-network-mode=host
        image-resolve-mode=pull
        label:k=v
        no-cache=
        shm-size=1024
        target=dev
        ulimit=nofile=10:20
        ");
        assert_eq!(solve.request.entitlements, ["network.host", "security.insecure"]);
    }

    #[test]
    fn further_contexts_are_offered_by_name() {
        let further = [("shared", "/w/shared"), ("context", "/w/c"), ("base", "docker-image://postgres:17")];
        let contexts = further.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let solve = solved(Build { additional_contexts: IndexMap::from(contexts), ..local() });
        let attributes = &solve.request.frontend_attrs;
        assert_eq!(attributes["context:shared"], "local:shared");
        assert_eq!(attributes["context:context"], "local:_context_");
        assert_eq!(attributes["context:base"], "docker-image://postgres:17");
        assert_eq!(solve.sources["_context_"], Source::Folder("/w/c".into()));
        assert!(attributes.contains_key("frontend.caps"));
    }

    #[test]
    fn caches_that_the_engine_cannot_keep_are_left_out_with_a_word() {
        let definition = Build {
            cache_from: vec!["reg/app:cache".into(), "type=local,src=/x".into()],
            cache_to: vec!["type=inline".into(), "type=registry,ref=reg/app:cache".into()],
            ..local()
        };
        let solve = solved(definition.clone());
        let cache = solve.request.cache.unwrap();
        assert_eq!((cache.imports.len(), cache.exports.len()), (1, 1));
        assert_eq!(cache.exports[0].r#type, "inline");
        insta::assert_snapshot!(solve.remarks.join("\n"), @"
        `cache_from: type=local,src=/x` is left out: the Engine's own BuildKit keeps no cache in folders
        `cache_to: type=registry,ref=reg/app:cache` is left out: the Engine can only do that with containerd's image store
        ");
        let containerd = Surroundings { containerd_store: true, ..Surroundings::default() };
        let cache = super::solve(&build(definition), "id", &containerd).unwrap().request.cache.unwrap();
        assert_eq!(cache.exports[1].attrs["ref"], "reg/app:cache");
        let args = IndexMap::from([("BUILDKIT_INLINE_CACHE".to_owned(), Some("1".to_owned()))]);
        let cache = solved(Build { args, ..local() }).request.cache.unwrap();
        assert_eq!(cache.exports[0].r#type, "inline");
    }

    #[test]
    fn proxies_of_the_configuration_yield_to_the_file() {
        let proxies = ["HTTP_PROXY", "NO_PROXY"].map(|name| (name.to_owned(), "default".to_owned()));
        let surroundings = Surroundings { proxies: IndexMap::from(proxies), ..Surroundings::default() };
        let args = IndexMap::from([("HTTP_PROXY".into(), Some("own".into()))]);
        let solve = solve(&build(Build { args, ..local() }), "id", &surroundings).unwrap();
        assert_eq!(solve.request.frontend_attrs["build-arg:HTTP_PROXY"], "own");
        assert_eq!(solve.request.frontend_attrs["build-arg:NO_PROXY"], "default");
    }

    #[test]
    fn a_network_of_its_own_is_refused() {
        let other = build(Build { network: Some("shop_default".into()), ..local() });
        assert!(matches!(
            solve(&other, "id", &Surroundings::default()),
            Err(BuildError::Network { network, .. }) if network == "shop_default"
        ));
    }
}
