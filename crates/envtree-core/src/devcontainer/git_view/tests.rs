use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn repository() -> Repository {
    Repository {
        worktree: "/src/shop.worktrees/fix".into(),
        common_dir: "/src/shop/.git".into(),
        admin_dir: Some("/src/shop/.git/worktrees/fix".into()),
        git_file: Some("/src/shop/.git/worktrees/fix".into()),
        entries: names(&[
            "HEAD",
            "config",
            "hooks",
            "info",
            "logs",
            "objects",
            "packed-refs",
            "refs",
            "worktrees",
        ]),
        ..Repository::default()
    }
}

fn main_worktree() -> Repository {
    Repository {
        worktree: "/src/shop".into(),
        common_dir: "/src/shop/.git".into(),
        admin_dir: None,
        git_file: None,
        ..repository()
    }
}

fn options(protection: Protection) -> ViewOptions {
    ViewOptions {
        protection,
        writable_submodules: false,
        alias: Some("/workspaces/fix".into()),
        hooks: Some("/state/hooks".into()),
        system_config: Some("/state/gitconfig".into()),
        owners_differ: false,
    }
}

fn view(repository: &Repository, options: &ViewOptions) -> GitView {
    git_view(repository, options, &Surroundings::default()).unwrap()
}

/// Shows every mount as a line, of which the source is left out where it is the target.
fn shown(view: &GitView) -> String {
    let line = |mount: &BindMount| {
        let mode = if mount.read_only { "ro" } else { "rw" };
        let source =
            if mount.source == mount.target { String::new() } else { format!(" <- {}", mount.source) };
        format!("{mode} {}{source}", mount.target)
    };
    view.mounts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn faults(repository: &Repository, options: &ViewOptions, surroundings: &Surroundings) -> String {
    let faults = git_view(repository, options, surroundings).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_strict_view_lets_through_only_what_a_commit_needs() {
    let view = view(&repository(), &options(Protection::Strict));
    insta::assert_snapshot!(shown(&view), @"
    ro /envtree/gitconfig <- /state/gitconfig
    ro /src/shop/.git
    rw /src/shop/.git/hooks <- /state/hooks
    rw /src/shop/.git/logs
    rw /src/shop/.git/objects
    ro /src/shop/.git/objects/info
    rw /src/shop/.git/refs
    rw /src/shop/.git/worktrees/fix
    ro /src/shop/.git/worktrees/fix/commondir
    ro /src/shop/.git/worktrees/fix/config.worktree
    ro /src/shop/.git/worktrees/fix/gitdir
    rw /src/shop.worktrees/fix
    ro /src/shop.worktrees/fix/.git
    rw /workspaces/fix <- /src/shop.worktrees/fix
    ro /workspaces/fix/.git <- /src/shop.worktrees/fix/.git
    ");
    insta::assert_snapshot!(format!("{:#?}", view.preparations), @r#"
    [
        Folder(
            "/src/shop/.git/hooks",
        ),
        Folder(
            "/src/shop/.git/logs",
        ),
        Folder(
            "/src/shop/.git/objects/info",
        ),
        EmptyFile(
            "/src/shop/.git/worktrees/fix/config.worktree",
        ),
    ]
    "#);
}

#[test]
fn a_guarded_view_keeps_siblings_and_configuration() {
    let view = view(&repository(), &options(Protection::Guarded));
    insta::assert_snapshot!(shown(&view), @"
    ro /envtree/gitconfig <- /state/gitconfig
    rw /src/shop/.git
    ro /src/shop/.git/config
    ro /src/shop/.git/config.worktree
    rw /src/shop/.git/hooks <- /state/hooks
    ro /src/shop/.git/worktrees
    rw /src/shop/.git/worktrees/fix
    ro /src/shop/.git/worktrees/fix/commondir
    ro /src/shop/.git/worktrees/fix/config.worktree
    ro /src/shop/.git/worktrees/fix/gitdir
    rw /src/shop.worktrees/fix
    ro /src/shop.worktrees/fix/.git
    rw /workspaces/fix <- /src/shop.worktrees/fix
    ro /workspaces/fix/.git <- /src/shop.worktrees/fix/.git
    ");
}

#[test]
fn a_read_only_view_lets_nothing_through() {
    let view = view(&repository(), &options(Protection::ReadOnly));
    insta::assert_snapshot!(shown(&view), @"
    ro /envtree/gitconfig <- /state/gitconfig
    ro /src/shop/.git
    rw /src/shop.worktrees/fix
    ro /src/shop.worktrees/fix/.git
    rw /workspaces/fix <- /src/shop.worktrees/fix
    ro /workspaces/fix/.git <- /src/shop.worktrees/fix/.git
    ");
}

#[test]
fn without_git_nothing_is_mounted() {
    assert_eq!(view(&repository(), &options(Protection::Off)), GitView::default());
}

#[test]
fn what_a_repository_has_besides_is_shown_too() {
    let repository = Repository {
        entries: names(&[
            "logs",
            "objects",
            "refs",
            "reftable",
            "lfs",
            "rr-cache",
            "shared",
            "modules",
            "worktrees",
        ]),
        ref_format: RefFormat::Reftable,
        alternates: vec!["/src/shop/.git/alternate".into(), "/srv/mirror.git/objects".into()],
        ..repository()
    };
    let strict = ViewOptions { hooks: None, alias: None, system_config: None, ..options(Protection::Strict) };
    insta::assert_snapshot!(shown(&view(&repository, &strict)), @"
    ro /src/shop/.git
    rw /src/shop/.git/lfs
    rw /src/shop/.git/objects
    ro /src/shop/.git/objects/info
    rw /src/shop/.git/reftable
    rw /src/shop/.git/rr-cache
    rw /src/shop/.git/shared
    rw /src/shop/.git/worktrees/fix
    ro /src/shop/.git/worktrees/fix/commondir
    ro /src/shop/.git/worktrees/fix/config.worktree
    ro /src/shop/.git/worktrees/fix/gitdir
    rw /src/shop.worktrees/fix
    ro /src/shop.worktrees/fix/.git
    ro /srv/mirror.git/objects
    ");
}

#[test]
fn submodules_may_be_committed_to_only_where_that_is_wanted() {
    let repository = Repository {
        submodules: vec![Submodule {
            worktree: "/src/shop.worktrees/fix/libs/sub".into(),
            git_dir: "/src/shop/.git/worktrees/fix/modules/libs/sub".into(),
            entries: names(&["HEAD", "config", "objects", "refs"]),
        }],
        ..repository()
    };
    let strict = ViewOptions { hooks: None, system_config: None, ..options(Protection::Strict) };
    let with_them = view(&repository, &strict);
    let without = view(&Repository { submodules: Vec::new(), ..repository.clone() }, &strict);
    let further: Vec<_> =
        with_them.mounts.iter().filter(|mount| !without.mounts.contains(mount)).cloned().collect();
    insta::assert_snapshot!(shown(&GitView { mounts: further, ..GitView::default() }), @"
    rw /src/shop/.git/worktrees/fix/modules
    rw /src/shop/.git/worktrees/fix/modules/libs
    ro /src/shop/.git/worktrees/fix/modules/libs/sub
    rw /src/shop/.git/worktrees/fix/modules/libs/sub/objects
    ro /src/shop/.git/worktrees/fix/modules/libs/sub/objects/info
    rw /src/shop/.git/worktrees/fix/modules/libs/sub/refs
    rw /src/shop.worktrees/fix/libs
    rw /src/shop.worktrees/fix/libs/sub
    ro /src/shop.worktrees/fix/libs/sub/.git
    rw /workspaces/fix/libs <- /src/shop.worktrees/fix/libs
    rw /workspaces/fix/libs/sub <- /src/shop.worktrees/fix/libs/sub
    ro /workspaces/fix/libs/sub/.git <- /src/shop.worktrees/fix/libs/sub/.git
    ");
    let writable = ViewOptions { writable_submodules: true, ..strict };
    assert_eq!(view(&repository, &writable), without);
}

#[test]
fn a_relative_git_file_leads_to_the_same_place_from_everywhere() {
    let repository = Repository { git_file: Some("../../shop/.git/worktrees/fix".into()), ..repository() };
    let view = view(&repository, &options(Protection::Strict));
    let common_dirs = view.mounts.iter().filter(|mount| mount.source == repository.common_dir);
    let targets: Vec<_> = common_dirs.map(|mount| (mount.target.as_str(), mount.read_only)).collect();
    assert_eq!(targets, [("/shop/.git", true), ("/src/shop/.git", true)]);
    assert!(view.mount_of("/shop/.git/worktrees/fix/commondir").unwrap().read_only);
    assert!(!view.mount_of("/shop/.git/worktrees/fix/index").unwrap().read_only);
}

#[test]
fn other_layouts_have_their_own_views() {
    let bare = Repository {
        worktree: "/proj/fix".into(),
        common_dir: "/proj/.bare".into(),
        admin_dir: Some("/proj/.bare/worktrees/fix".into()),
        git_file: Some("/proj/.bare/worktrees/fix".into()),
        ..repository()
    };
    let bare = Repository { entries: names(&["config", "objects", "refs", "worktrees"]), ..bare };
    let seen = view(&bare, &options(Protection::Strict));
    assert!(seen.mount_of("/proj/.bare/config").unwrap().read_only);
    // A bare repository has no logs until a branch is changed in one of its worktrees.
    assert!(!seen.mount_of("/proj/.bare/logs/refs/heads/a").unwrap().read_only);
    assert!(seen.preparations.contains(&Preparation::Folder("/proj/.bare/logs".into())));
    let nested = Repository { worktree: "/src/shop/.worktrees/fix".into(), ..repository() };
    assert!(
        !view(&nested, &options(Protection::Strict))
            .mount_of("/src/shop/.worktrees/fix/a")
            .unwrap()
            .read_only
    );
    // Some tools keep their worktrees within the git directory.
    let inside = Repository { worktree: "/src/shop/.git/fix".into(), ..repository() };
    let seen = view(&inside, &options(Protection::Strict));
    assert!(!seen.mount_of("/src/shop/.git/fix/a").unwrap().read_only);
    assert!(seen.mount_of("/src/shop/.git/fix/.git").unwrap().read_only);
    let separate = Repository { git_file: Some("/src/elsewhere.git".into()), ..main_worktree() };
    let separate = Repository { common_dir: "/src/elsewhere.git".into(), ..separate };
    assert!(
        !view(&separate, &options(Protection::Guarded))
            .mount_of("/src/elsewhere.git/index")
            .unwrap()
            .read_only
    );
}

#[test]
fn a_worktree_that_is_not_linked_can_be_guarded_only() {
    let main = main_worktree();
    let fault = faults(&main, &options(Protection::Strict), &Surroundings::default());
    assert_eq!(fault, "`git: strict` needs a linked worktree, and `/src/shop` is none");
    let view = view(&main, &options(Protection::Guarded));
    for path in ["/src/shop/.git", "/workspaces/fix/.git"] {
        assert!(view.mount_of(&format!("{path}/config")).unwrap().read_only, "{path}");
        assert!(!view.mount_of(&format!("{path}/index")).unwrap().read_only, "{path}");
        assert_eq!(view.mount_of(&format!("{path}/hooks/pre-commit")).unwrap().source, "/state/hooks");
    }
}

#[test]
fn a_worktree_at_the_path_that_tools_look_for_is_mounted_once() {
    let at_alias = ViewOptions { alias: Some(repository().worktree), ..options(Protection::ReadOnly) };
    insta::assert_snapshot!(shown(&view(&repository(), &at_alias)), @"
    ro /envtree/gitconfig <- /state/gitconfig
    ro /src/shop/.git
    rw /src/shop.worktrees/fix
    ro /src/shop.worktrees/fix/.git
    ");
}

#[test]
fn the_system_of_the_container_is_never_hidden() {
    let at = |worktree: &str| {
        let repository = Repository { worktree: worktree.into(), ..repository() };
        faults(
            &repository,
            &ViewOptions { alias: None, ..options(Protection::Strict) },
            &Surroundings::default(),
        )
    };
    assert!(at("/usr").contains("`/usr` cannot be mounted, for it would hide `/usr` of the container"));
    assert!(at("/").contains("it would hide `/` of the container"));
    assert!(at("/proc/x").contains("it would hide `/proc` of the container"));
    assert!(at("/envtree/x").contains("it would hide `/envtree` of the container"));
    let home = Surroundings { image_folders: vec!["/home/dev".into()], ..Surroundings::default() };
    let dotfiles = Repository { worktree: "/home/dev".into(), ..repository() };
    let fault = faults(&dotfiles, &options(Protection::Strict), &home);
    assert_eq!(fault, "`/home/dev` cannot be mounted, for it would hide `/home/dev` of the container");
    let below = Repository { worktree: "/home/dev/src".into(), ..repository() };
    assert!(git_view(&below, &options(Protection::Strict), &home).is_ok());
}

#[test]
fn nothing_is_made_on_the_host_to_be_mounted_on() {
    let alias = ViewOptions { alias: Some("/src".into()), ..options(Protection::ReadOnly) };
    let fault = faults(&repository(), &alias, &Surroundings::default());
    assert!(
        fault.contains("`/src/shop/.git` would be made within `/src/shop.worktrees/fix` on the host, which is mounted at `/src`"),
        "{fault}"
    );
}

fn with_mount(target: &str, source: Option<&str>, read_only: bool) -> Surroundings {
    let other = OtherMount { target: target.into(), source: source.map(str::to_owned), read_only };
    Surroundings { mounts: vec![other], ..Surroundings::default() }
}

#[test]
fn mounts_of_the_configuration_keep_away_from_git() {
    let strict = options(Protection::Strict);
    for (target, source, read_only, expected) in [
        (
            "/src/shop/.git/hooks",
            None,
            false,
            "the mount at `/src/shop/.git/hooks` collides with `/src/shop/.git`",
        ),
        ("/src/shop/.git", None, true, "the mount at `/src/shop/.git` collides with `/src/shop/.git`"),
        ("/workspaces/fix", Some("/elsewhere"), false, "the mount at `/workspaces/fix` collides with"),
        ("/src", Some("/elsewhere"), true, "`/src/shop/.git` would be made within `/elsewhere` on the host"),
        ("/host", Some("/src"), false, "the mount of `/src` at `/host` would let the container write to"),
        ("/hooks", Some("/src/shop/.git/hooks"), false, "would let the container write to `/src/shop/.git`"),
        (
            "/w",
            Some("/src/shop.worktrees/fix"),
            false,
            "would let the container write to `/src/shop.worktrees/fix/.git`",
        ),
    ] {
        let fault = faults(&repository(), &strict, &with_mount(target, source, read_only));
        assert!(fault.contains(expected), "{target}: {fault}");
    }
    for (target, source, read_only) in [
        ("/workspaces/fix/node_modules", None, false),
        ("/host", Some("/src"), true),
        ("/cache", Some("/home/dev/.cache"), false),
        ("/sub", Some("/src/shop.worktrees/fix/sub"), false),
        ("/src", None, false),
    ] {
        let surroundings = with_mount(target, source, read_only);
        assert!(git_view(&repository(), &strict, &surroundings).is_ok(), "{target}");
    }
    let submodule = Submodule {
        worktree: "/src/shop.worktrees/fix/sub".into(),
        git_dir: "/src/shop/.git/worktrees/fix/modules/sub".into(),
        entries: names(&["objects"]),
    };
    let repository = Repository { submodules: vec![submodule], ..repository() };
    let below = |target: &str| git_view(&repository, &strict, &with_mount(target, None, false)).is_ok();
    assert!(below("/workspaces/fix/sub/node_modules"));
    assert!(!below("/src/shop/.git/worktrees/fix/modules/other"));
    let guarded = options(Protection::Guarded);
    let inner = with_mount("/workspaces/fix/.git/lfs", None, false);
    assert!(git_view(&main_worktree(), &guarded, &inner).is_err());
    let parent = with_mount("/host", Some("/src"), false);
    assert!(git_view(&repository, &guarded, &parent).is_ok());
}

#[test]
fn a_path_that_is_not_clean_is_refused() {
    let repository = Repository { common_dir: "/src/x/../shop/.git".into(), ..repository() };
    let fault = faults(&repository, &options(Protection::Strict), &Surroundings::default());
    assert_eq!(fault, "`/src/x/../shop/.git` is no absolute path without `..`");
}

#[test]
fn a_count_that_is_no_number_is_told() {
    let environment = IndexMap::from([("GIT_CONFIG_COUNT".to_owned(), "x".to_owned())]);
    let surroundings = Surroundings { environment, ..Surroundings::default() };
    let fault = faults(&repository(), &options(Protection::Strict), &surroundings);
    assert_eq!(fault, "`GIT_CONFIG_COUNT` must be a number, not `x`");
}
