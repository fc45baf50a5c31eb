//! Whatever a repository has, a dev container's view of it keeps what its protection promises.

use std::collections::BTreeSet;

use envtree_core::devcontainer::git_view::{
    GitView, OtherMount, Protection, RefFormat, Repository, Submodule, Surroundings, ViewOptions, git_view,
};
use indexmap::IndexMap;
use proptest::prelude::*;

/// Names of what a common git directory can hold.
const ENTRIES: &[&str] = &[
    "HEAD",
    "config",
    "hooks",
    "info",
    "logs",
    "objects",
    "packed-refs",
    "refs",
    "reftable",
    "worktrees",
    "lfs",
    "rr-cache",
    "modules",
    "shared",
    "commondir",
    "shallow",
    "config.worktree",
];
const WORKTREES: &[&str] =
    &["/src/shop.worktrees/fix", "/src/shop/.worktrees/fix", "/fix", "/src/shop/.git/fix", "/a b/x"];
const COMMON_DIRS: &[&str] = &["/src/shop/.git", "/src/.bare", "/home/dev/src/shop/.git"];
const ALIASES: &[&str] = &["/workspaces/fix", "/workspaces/sub/fix", "/src", "/w", "/src/shop.worktrees/fix"];
const PROTECTIONS: [Protection; 3] = [Protection::Strict, Protection::Guarded, Protection::ReadOnly];

fn repositories() -> impl Strategy<Value = Repository> {
    let entries = prop::sample::subsequence(ENTRIES, 0..=ENTRIES.len());
    let paths = (prop::sample::select(WORKTREES), prop::sample::select(COMMON_DIRS));
    let submodules = prop::sample::subsequence(vec!["sub", "libs/two"], 0..=2);
    (paths, entries, any::<bool>(), any::<bool>(), submodules, any::<bool>()).prop_map(
        |((worktree, common_dir), entries, is_reftable, is_relative, submodules, has_alternate)| {
            let admin_dir = format!("{common_dir}/worktrees/fix");
            let up = "../".repeat(worktree.matches('/').count());
            let git_file = if is_relative { format!("{up}{}", &admin_dir[1..]) } else { admin_dir.clone() };
            let submodule = |name: &str| Submodule {
                worktree: format!("{worktree}/{name}"),
                git_dir: format!("{admin_dir}/modules/{name}"),
                entries: ["objects", "refs"].map(str::to_owned).into(),
            };
            Repository {
                worktree: worktree.to_owned(),
                common_dir: common_dir.to_owned(),
                submodules: submodules.into_iter().map(submodule).collect(),
                admin_dir: Some(admin_dir),
                git_file: Some(git_file),
                entries: entries.into_iter().map(str::to_owned).collect(),
                ref_format: if is_reftable { RefFormat::Reftable } else { RefFormat::Files },
                alternates: has_alternate.then(|| "/srv/mirror.git/objects".to_owned()).into_iter().collect(),
            }
        },
    )
}

fn options() -> impl Strategy<Value = ViewOptions> {
    let protection = prop::sample::select(PROTECTIONS.to_vec());
    let alias = prop::option::of(prop::sample::select(ALIASES));
    (protection, alias, any::<[bool; 3]>()).prop_map(|(protection, alias, [submodules, hooks, config])| {
        ViewOptions {
            protection,
            writable_submodules: submodules,
            alias: alias.map(str::to_owned),
            hooks: hooks.then(|| "/state/hooks".to_owned()),
            system_config: config.then(|| "/state/gitconfig".to_owned()),
            owners_differ: config,
        }
    })
}

fn lies_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the path of the host that the container reaches at `path`, and whether it may write there.
fn reached(view: &GitView, path: &str) -> Option<(String, bool)> {
    let mount = view.mount_of(path)?;
    Some((format!("{}{}", mount.source, &path[mount.target.len()..]), !mount.read_only))
}

/// Returns whether a strict view may let a container write to this path below the common git directory.
fn is_allowed(path: &str, repository: &Repository, options: &ViewOptions) -> bool {
    let (common_dir, admin_dir) =
        (&repository.common_dir, repository.admin_dir.as_ref().expect("all are linked"));
    let below = |name: &str| lies_in(path, &format!("{common_dir}/{name}"));
    let shared = ["objects", "lfs", "rr-cache", "shared"].into_iter().any(below);
    let refs = match repository.ref_format {
        RefFormat::Files => below("refs") || below("logs"),
        RefFormat::Reftable => below("reftable"),
    };
    let pointer =
        ["commondir", "gitdir", "config.worktree"].iter().any(|name| path == format!("{admin_dir}/{name}"));
    let of_submodule = repository.submodules.iter().any(|submodule| {
        let inner = ["objects", "refs", "logs"].iter().any(|name| {
            lies_in(path, &format!("{}/{name}", submodule.git_dir))
                && !lies_in(path, &format!("{}/objects/info", submodule.git_dir))
        });
        lies_in(path, &submodule.git_dir) && !inner
    });
    if lies_in(path, &repository.worktree) {
        return path != format!("{}/.git", repository.worktree);
    }
    (shared && !below("objects/info"))
        || refs
        || (lies_in(path, admin_dir) && !pointer && (options.writable_submodules || !of_submodule))
}

/// Paths below a common git directory that matter, some of them as they would be planted.
fn probes(repository: &Repository) -> Vec<String> {
    let common_dir = &repository.common_dir;
    let mut probes = vec![common_dir.clone()];
    let names = ENTRIES
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}/x"), format!("{name}/info/alternates")]);
    probes.extend(names.map(|name| format!("{common_dir}/{name}")));
    for worktree in ["fix", "sibling"] {
        for name in [
            "",
            "/HEAD",
            "/index",
            "/commondir",
            "/gitdir",
            "/config.worktree",
            "/modules",
            "/modules/sub/config",
            "/modules/sub/objects/aa",
            "/modules/sub/objects/info/alternates",
            "/modules/libs/two/hooks/post-checkout",
            "/modules/sub/refs/heads/a",
            "/modules/new/config",
            "/logs/HEAD",
        ] {
            probes.push(format!("{common_dir}/worktrees/{worktree}{name}"));
        }
    }
    probes
}

proptest! {
    #[test]
    fn a_mount_comes_after_those_that_it_lies_in(repository in repositories(), options in options()) {
        let Ok(view) = git_view(&repository, &options, &Surroundings::default()) else { return Ok(()) };
        for (index, mount) in view.mounts.iter().enumerate() {
            for later in &view.mounts[index + 1..] {
                prop_assert!(!lies_in(&mount.target, &later.target), "{} before {}", mount.target, later.target);
            }
        }
    }

    #[test]
    fn a_strict_view_lets_through_nothing_that_is_not_allowed(repository in repositories(), options in options()) {
        let options = ViewOptions { protection: Protection::Strict, ..options };
        let Ok(view) = git_view(&repository, &options, &Surroundings::default()) else { return Ok(()) };
        let roots = view.mounts.iter().filter(|mount| mount.source == repository.common_dir);
        for root in roots {
            for probe in probes(&repository) {
                let path = format!("{}{}", root.target, &probe[repository.common_dir.len()..]);
                let (reached, is_writable) = reached(&view, &path).unwrap();
                if is_writable && lies_in(&reached, &repository.common_dir) {
                    prop_assert!(is_allowed(&reached, &repository, &options), "{path} writes to {reached}");
                }
            }
        }
        for worktree in [Some(&repository.worktree), options.alias.as_ref()].into_iter().flatten() {
            prop_assert_eq!(reached(&view, &format!("{worktree}/.git")).map(|(_, is_writable)| is_writable), Some(false));
            prop_assert_eq!(reached(&view, &format!("{worktree}/src/a")).map(|(_, is_writable)| is_writable), Some(true));
        }
    }

    #[test]
    fn nothing_that_is_protected_can_be_moved_away(repository in repositories(), options in options()) {
        let Ok(view) = git_view(&repository, &options, &Surroundings::default()) else { return Ok(()) };
        for mount in view.mounts.iter().filter(|mount| mount.read_only) {
            let mut rest = mount.target.as_str();
            while let Some((folder, _)) = rest.rsplit_once('/').filter(|(folder, _)| !folder.is_empty()) {
                // Only a folder that is a mount, or in one that is read-only, stays where it is on the host.
                if let Some(holder) = view.mount_of(folder) {
                    prop_assert!(holder.target == folder || holder.read_only, "{folder} of {}", mount.target);
                }
                rest = folder;
            }
        }
    }

    #[test]
    fn a_view_keeps_siblings_from_being_changed(repository in repositories(), options in options()) {
        let Ok(view) = git_view(&repository, &options, &Surroundings::default()) else { return Ok(()) };
        for root in view.mounts.iter().filter(|mount| mount.source == repository.common_dir) {
            let path = format!("{}/worktrees/sibling/HEAD", root.target);
            prop_assert_eq!(reached(&view, &path).map(|(_, is_writable)| is_writable), Some(false), "{}", path);
        }
    }

    #[test]
    fn settings_of_git_in_the_environment_are_kept(repository in repositories(), options in options(), count in 0..40_u16) {
        let mut environment: IndexMap<String, String> = IndexMap::new();
        environment.insert("GIT_CONFIG_COUNT".to_owned(), count.to_string());
        for number in 0..count {
            environment.insert(format!("GIT_CONFIG_KEY_{number}"), "user.name".to_owned());
        }
        let surroundings = Surroundings { environment: environment.clone(), ..Surroundings::default() };
        let Ok(view) = git_view(&repository, &options, &surroundings) else { return Ok(()) };
        let total: u16 = view.environment["GIT_CONFIG_COUNT"].parse().unwrap();
        let keys: BTreeSet<_> = view.environment.keys().filter(|name| name.starts_with("GIT_CONFIG_KEY_")).collect();
        prop_assert_eq!(keys.len(), usize::from(total - count));
        prop_assert!(keys.iter().all(|name| !environment.contains_key(*name)));
    }

    #[test]
    fn no_mount_of_the_configuration_gets_round_a_strict_view(
        repository in repositories(),
        options in options(),
        target in prop::sample::select(&["/other", "/src", "/src/shop/.git/config", "/workspaces/fix/.git", "/w/node_modules"]),
        source in prop::option::of(prop::sample::select(&["/src", "/", "/src/shop/.git/hooks", "/srv", "/home/dev"])),
    ) {
        let options = ViewOptions { protection: Protection::Strict, ..options };
        let source = source.map(str::to_owned);
        let other = OtherMount { target: target.to_owned(), source: source.clone(), read_only: false };
        let surroundings = Surroundings { mounts: vec![other], ..Surroundings::default() };
        let Ok(view) = git_view(&repository, &options, &surroundings) else { return Ok(()) };
        prop_assert!(view.mounts.iter().all(|mount| mount.target != target));
        if let Some(source) = source {
            let folder = source.trim_end_matches('/');
            prop_assert!(!lies_in(&repository.common_dir, folder) && !lies_in(folder, &repository.common_dir));
            let git_file = format!("{}/.git", repository.worktree);
            prop_assert!(!lies_in(&git_file, folder));
        }
    }
}
