//! Gives the service that a dev container is what its configuration says of it.
//!
//! It is the same for every kind: a service made for an image, or one of a Compose file. Flags of `runArgs` come after
//! it, because they count more; what git needs comes last.

use indexmap::IndexMap;

use super::git_view::{BindMount, GitView};
use super::metadata::Merged;
use super::mount::ParsedMount;
use super::workspace::Workspace;
use crate::name::VolumeName;
use crate::project::Volume;
use crate::service::{BindOptions, Mount, MountSource, Service};

/// What an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageCommand<'a> {
    /// Its `ENTRYPOINT`.
    pub entrypoint: &'a [String],
    /// Its `CMD`.
    pub command: &'a [String],
}

/// Applies what entries say together to a service, and returns the volumes that it mounts by their names.
///
/// A mount takes the place of one with the same target.
pub fn overlay(
    merged: &Merged,
    workspace: &Workspace,
    service: &mut Service,
) -> IndexMap<VolumeName, Volume> {
    let mut volumes = IndexMap::new();
    service.environment.extend(merged.container_env.clone());
    service.unset.retain(|name| !merged.container_env.contains_key(name));
    if let Some(user) = &merged.container_user {
        service.user = Some(user.clone());
    }
    let parsed: Vec<&ParsedMount> =
        workspace.mount.iter().chain(merged.mounts.iter().map(|mount| &mount.value)).collect();
    for mount in parsed {
        if let Some((name, volume)) = mount.named_volume() {
            volumes.insert(name.clone(), volume.clone());
        }
        put(&mut service.mounts, mount.mount.clone());
    }
    let runtime = &mut service.runtime;
    if merged.init {
        runtime.init = Some(true);
    }
    runtime.privileged |= merged.privileged;
    add_new(&mut runtime.cap_add, &merged.cap_add);
    add_new(&mut runtime.security_opt, &merged.security_opt);
    volumes
}

/// Lets the container sleep, or run its own command behind the scripts of features, as the configuration says.
///
/// Without a word about it, a container that Compose makes runs its own command, and any other one sleeps.
pub fn override_command(
    merged: &Merged,
    is_of_compose: bool,
    image: ImageCommand<'_>,
    service: &mut Service,
) {
    let sleeps = merged.override_command.unwrap_or(!is_of_compose);
    if !sleeps && merged.entrypoints.is_empty() {
        return;
    }
    let (entrypoint, command) = if sleeps { (Vec::new(), Vec::new()) } else { own_command(image, service) };
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), script(&merged.entrypoints), "-".to_owned()];
    service.entrypoint = Some(shell.into_iter().chain(entrypoint).collect());
    service.command = Some(command);
}

/// Returns what the container would run: the service's own words stand in for the image's, which an entrypoint clears.
fn own_command(image: ImageCommand<'_>, service: &Service) -> (Vec<String>, Vec<String>) {
    let of_image = if service.entrypoint.is_some() { &[] } else { image.command };
    (
        service.entrypoint.clone().unwrap_or_else(|| image.entrypoint.to_vec()),
        service.command.clone().unwrap_or_else(|| of_image.to_vec()),
    )
}

/// Returns a script that runs those of features, and then its arguments, or sleeps until it is asked to stop.
fn script(entrypoints: &[String]) -> String {
    let mut lines = vec!["trap 'exit 0' TERM"];
    lines.extend(entrypoints.iter().map(String::as_str));
    // The shell hears a signal while it waits, but not while a program in the foreground sleeps.
    lines.extend(["[ $# -eq 0 ] || exec \"$@\"", "while :; do sleep 3600 & wait $!; done"]);
    lines.join("\n")
}

/// Applies what git needs.
pub fn overlay_git(view: &GitView, service: &mut Service) {
    for mount in &view.mounts {
        put(&mut service.mounts, mount.mount());
    }
    service.environment.extend(view.environment.clone());
}

impl BindMount {
    /// Returns it as a mount of a service, which is refused where its source is missing.
    pub fn mount(&self) -> Mount {
        let options = BindOptions { create_host_path: Some(false), ..BindOptions::default() };
        let source = MountSource::Bind { path: self.source.clone(), options };
        Mount { read_only: self.read_only, ..Mount::new(self.target.clone(), source) }
    }
}

fn put(mounts: &mut Vec<Mount>, mount: Mount) {
    mounts.retain(|other| other.target != mount.target);
    mounts.push(mount);
}

fn add_new(all: &mut Vec<String>, more: &[String]) {
    for text in more {
        if !all.contains(text) {
            all.push(text.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::metadata::{merge, parse_label, read_entry};

    fn merged(text: &str) -> Merged {
        let entries = parse_label(text, "x").entries;
        merge(&entries.iter().map(|entry| read_entry(entry).0).collect::<Vec<_>>())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn without_mount() -> Workspace {
        Workspace { folder: "/w".into(), mount: None }
    }

    #[test]
    fn a_service_gets_what_the_configuration_says() {
        let merged = merged(
            r#"[{"containerEnv": {"A": "1", "B": "2"}, "containerUser": "dev", "init": true, "privileged": true,
                 "capAdd": ["X", "Y"], "securityOpt": ["s"], "mounts": ["source=v,target=/v", "source=n,target=/old"]}]"#,
        );
        let mut service = Service { unset: words(&["B", "C"]), ..Service::default() };
        service.environment.insert("A".into(), "0".into());
        service.runtime.cap_add = words(&["X"]);
        service.mounts.push(Mount::new("/old", MountSource::bind("/src/old")));
        let mount = "type=bind,source=/src,target=/w".parse().unwrap();
        let workspace = Workspace { folder: "/w".into(), mount: Some(mount) };
        let volumes = overlay(&merged, &workspace, &mut service);
        assert_eq!((service.environment["A"].as_str(), service.environment["B"].as_str()), ("1", "2"));
        assert_eq!((service.user.as_deref(), service.unset), (Some("dev"), words(&["C"])));
        assert_eq!((service.runtime.init, service.runtime.privileged), (Some(true), true));
        assert_eq!(
            (service.runtime.cap_add, service.runtime.security_opt),
            (words(&["X", "Y"]), words(&["s"]))
        );
        let targets: Vec<_> = service.mounts.iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(targets, ["/w", "/v", "/old"]);
        assert_eq!(volumes.keys().map(VolumeName::as_str).collect::<Vec<_>>(), ["v", "n"]);
    }

    #[test]
    fn what_is_not_said_stays_as_the_service_has_it() {
        let mut service = Service { user: Some("own".into()), ..Service::default() };
        service.runtime.init = Some(false);
        let before = service.clone();
        overlay(&merged("[]"), &without_mount(), &mut service);
        assert_eq!(service, before);
    }

    #[test]
    fn a_container_sleeps_unless_it_is_to_run_its_own_command() {
        let (entrypoint, command) = (words(&["/run"]), words(&["serve"]));
        let image = ImageCommand { entrypoint: &entrypoint, command: &command };
        let overridden = |text: &str, is_of_compose: bool, before: Service| {
            let mut service = before;
            override_command(&merged(text), is_of_compose, image, &mut service);
            let further = service.entrypoint.map(|words| words[3..].join(" "));
            (further, service.command.map(|words| words.join(" ")))
        };
        let sleeps = (Some("-".to_owned()), Some(String::new()));
        let stays = (None, None);
        assert_eq!(overridden("[]", false, Service::default()), sleeps);
        assert_eq!(overridden("[]", true, Service::default()), stays);
        assert_eq!(overridden(r#"{"overrideCommand": false}"#, false, Service::default()), stays);
        assert_eq!(overridden(r#"{"overrideCommand": true}"#, true, Service::default()), sleeps);
        let with_script = r#"{"entrypoint": "/feature.sh", "overrideCommand": false}"#;
        let of_image = (Some("- /run".to_owned()), Some("serve".to_owned()));
        assert_eq!(overridden(with_script, false, Service::default()), of_image);
        let own = Service { entrypoint: Some(words(&["/own"])), ..Service::default() };
        assert_eq!(overridden(with_script, true, own), (Some("- /own".to_owned()), Some(String::new())));
        let own = Service { command: Some(words(&["work"])), ..Service::default() };
        assert_eq!(overridden(with_script, true, own), (Some("- /run".to_owned()), Some("work".to_owned())));
    }

    #[test]
    fn the_scripts_of_features_run_first() {
        insta::assert_snapshot!(script(&words(&["/a.sh", "/b.sh"])), @r#"
        trap 'exit 0' TERM
        /a.sh
        /b.sh
        [ $# -eq 0 ] || exec "$@"
        while :; do sleep 3600 & wait $!; done
        "#);
    }

    #[test]
    fn what_git_needs_is_never_made_where_it_is_missing() {
        let mount = BindMount { source: "/src/.git".into(), target: "/g".into(), read_only: true };
        let environment = IndexMap::from([("GIT_CONFIG_COUNT".to_owned(), "3".to_owned())]);
        let view = GitView { mounts: vec![mount], environment, ..GitView::default() };
        let mut service = Service::default();
        overlay_git(&view, &mut service);
        assert!(service.mounts[0].read_only);
        assert!(
            matches!(&service.mounts[0].source, MountSource::Bind { options, .. } if !options.makes_path())
        );
        assert_eq!(service.environment["GIT_CONFIG_COUNT"], "3");
    }
}
