//! `build`.

use serde_json::Value;

use super::runtime::{hosts, ulimit};
use super::settings::{Settings, bytes, text};
use crate::build::{Build, BuildSecret};

pub(super) fn build(build: &Build) -> Value {
    let mut settings = Settings::default();
    let context = build.written_context.as_ref().unwrap_or(&build.context);
    settings.some("context", Some(context).filter(|context| !context.is_empty()).cloned());
    settings.some("dockerfile_inline", build.dockerfile_inline.clone());
    if build.dockerfile_inline.is_none() {
        settings.set("dockerfile", build.dockerfile.as_deref().unwrap_or("Dockerfile"));
    }
    let mut args = Settings::default();
    for (name, value) in &build.args {
        args.some(name, value.clone());
    }
    settings.inner("args", args);
    settings.some("target", build.target.clone());
    settings.mapping("labels", &build.labels, text);
    settings.list("cache_from", &build.cache_from);
    settings.list("cache_to", &build.cache_to);
    settings.on("no_cache", build.no_cache);
    settings.list("no_cache_filter", &build.no_cache_filter);
    settings.on("pull", build.pull);
    settings.mapping("additional_contexts", &build.additional_contexts, text);
    settings.some("network", build.network.clone());
    settings.some("shm_size", build.shm_size.map(bytes));
    settings.list("extra_hosts", &hosts(&build.extra_hosts));
    settings.mapping("ulimits", &build.ulimits, ulimit);
    settings.on("privileged", build.privileged);
    settings.list("entitlements", &build.entitlements);
    settings.some("isolation", build.isolation.clone());
    settings.list("platforms", &build.platforms);
    settings.list("tags", &build.tags);
    settings.list("secrets", &build.secrets.iter().map(secret).collect::<Vec<_>>());
    let keys = build.ssh.iter().map(|key| match &key.path {
        Some(path) => format!("{}={path}", key.id),
        None => key.id.clone(),
    });
    settings.list("ssh", &keys.collect::<Vec<_>>());
    settings.some("provenance", build.provenance.clone());
    settings.some("sbom", build.sbom.clone());
    settings.into()
}

fn secret(secret: &BuildSecret) -> Value {
    let mut settings = Settings::default();
    settings.set("source", secret.source.clone());
    settings.some("target", secret.target.clone());
    settings.some("uid", secret.uid.clone());
    settings.some("gid", secret.gid.clone());
    settings.some("mode", secret.mode);
    settings.as_written(&secret.as_written);
    settings.into()
}
