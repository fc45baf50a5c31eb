//! Repositories of every form: bare, strangely named, with submodules, hooks and filters.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::Sandbox;
use crate::stage::{
    Elsewhere, IDLE, beside, commit, containers, done, git_in, idle, refused, sandbox_with, worktree,
    worktrees,
};

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Clones the sandbox's repository without a worktree.
fn bare_clone(sandbox: &Sandbox, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    sandbox.git(&["clone", "--quiet", "--bare", ".", path.to_str().unwrap()]);
}

/// Returns the name that the sandbox's objects bear.
fn name(sandbox: &Sandbox) -> String {
    sandbox.repository().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_bare_repository_gets_its_worktrees_beside_it() {
    let sandbox = idle();
    let bare = beside(&sandbox, format!("bare/{}.git", name(&sandbox)));
    bare_clone(&sandbox, &bare);
    let there = Elsewhere { sandbox: &sandbox, folder: bare.clone() };
    there.done(&["up", "fix", "--no-wait"]);
    let place = beside(&sandbox, format!("bare/{}.worktrees/fix", name(&sandbox)));
    assert_eq!(git_in(&sandbox, &place, &["branch", "--show-current"]), "fix");
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn a_bare_repository_in_a_hidden_folder_is_named_after_the_folder_around_it() {
    let sandbox = idle();
    let project = beside(&sandbox, format!("project/{}", name(&sandbox)));
    bare_clone(&sandbox, &project.join(".bare"));
    fs::write(project.join(".git"), "gitdir: ./.bare\n").unwrap();
    let there = Elsewhere { sandbox: &sandbox, folder: project.clone() };
    there.done(&["up", "fix", "--no-wait"]);
    let listed = there.done(&["ls"]);
    assert!(listed.stdout.contains("fix"), "{listed}");
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn a_partial_clone_fetches_what_the_environment_is_made_of() {
    let sandbox = idle();
    sandbox.git(&["config", "uploadpack.allowFilter", "true"]);
    sandbox.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let clone = beside(&sandbox, format!("partial/{}", name(&sandbox)));
    let url = format!("file://{}", sandbox.repository().display());
    let options = ["clone", "--quiet", "--filter=blob:none", "--no-checkout"];
    sandbox.git(&[&options[..], &[&url, clone.to_str().unwrap()]].concat());
    let there = Elsewhere { sandbox: &sandbox, folder: clone.clone() };
    there.done(&["up", "one", "--no-wait"]);
    sandbox.write("compose.yaml", &IDLE.replace("app:", "moved:"));
    commit(&sandbox, "Move on");
    git_in(&sandbox, &clone, &["fetch", "--quiet"]);
    there.done(&["up", "two", "--no-wait"]);
    assert_eq!(
        containers(&sandbox).lines().collect::<BTreeSet<_>>(),
        BTreeSet::from(["sandbox-xxxxxxxx-one-app-1", "sandbox-xxxxxxxx-two-moved-1"])
    );
    there.done(&["rm", "one"]);
}

#[test]
fn paths_may_hold_spaces_and_letters_of_any_alphabet() {
    let sandbox = idle();
    let clone = beside(&sandbox, "Größe und Maß/лавка");
    fs::create_dir_all(clone.parent().unwrap()).unwrap();
    sandbox.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    let there = Elsewhere { sandbox: &sandbox, folder: clone.clone() };
    there.done(&["up", "büro", "--no-wait"]);
    let ran = there.done(&["exec", "büro", "--", "git", "branch", "--show-current"]);
    assert_eq!(ran.stdout, "büro\n");
    let project = there.done(&["exec", "büro", "--", "printenv", "COMPOSE_PROJECT_NAME"]).stdout;
    assert!(
        project.trim_end().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "{project}"
    );
}

#[test]
fn submodules_are_checked_out() {
    let sandbox = idle();
    sandbox.git(&["config", "--global", "protocol.file.allow", "always"]);
    let library = beside(&sandbox, "library");
    sandbox.git(&["clone", "--quiet", ".", library.to_str().unwrap()]);
    sandbox.git(&["submodule", "--quiet", "add", library.to_str().unwrap(), "vendor/library"]);
    commit(&sandbox, "Add a library");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert!(worktree(&sandbox, "fix").join("vendor/library/README.md").exists());
    assert_eq!(git_in(&sandbox, &worktree(&sandbox, "fix"), &["status", "--porcelain"]), "");
    done(&sandbox, &["rm", "fix"]);
    assert_eq!(worktrees(&sandbox), 1);
}

#[test]
fn the_post_checkout_hook_runs_in_the_new_worktree() {
    let sandbox = idle();
    executable(&sandbox.repository().join(".git/hooks/post-checkout"), "#!/bin/sh\necho $3 >.git-hook-ran\n");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(fs::read_to_string(worktree(&sandbox, "fix").join(".git-hook-ran")).unwrap(), "1\n");
}

#[test]
fn a_post_checkout_hook_that_fails_is_a_warning() {
    let sandbox = idle();
    executable(
        &sandbox.repository().join(".git/hooks/post-checkout"),
        "#!/bin/sh\necho no npm >&2\nexit 3\n",
    );
    let ran = done(&sandbox, &["up", "fix", "--no-wait"]);
    assert!(worktree(&sandbox, "fix").join("README.md").exists());
    assert!(ran.stderr.contains("warning: the `post-checkout` hook failed"), "{ran}");
    assert!(ran.stderr.contains("no npm"), "{ran}");
}

#[test]
fn filters_write_what_is_checked_out() {
    let sandbox = idle();
    sandbox.git(&["config", "filter.upper.clean", "tr A-Z a-z"]);
    sandbox.git(&["config", "filter.upper.smudge", "tr a-z A-Z"]);
    sandbox.write(".gitattributes", "*.up filter=upper\n");
    sandbox.write("a.up", "LARGE\n");
    commit(&sandbox, "Add a filter");
    assert_eq!(sandbox.git(&["show", "HEAD:a.up"]), "large");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let place = worktree(&sandbox, "fix");
    assert_eq!(fs::read_to_string(place.join("a.up")).unwrap(), "LARGE\n");
    assert_eq!(git_in(&sandbox, &place, &["status", "--porcelain"]), "");
}

#[test]
fn a_filter_that_is_needed_and_fails_leaves_no_worktree() {
    let sandbox =
        sandbox_with(&[("compose.yaml", IDLE), (".gitattributes", "*.bin filter=gone\n"), ("a.bin", "")]);
    sandbox.git(&["config", "filter.gone.smudge", "exit 9"]);
    sandbox.git(&["config", "filter.gone.required", "true"]);
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert_eq!(worktrees(&sandbox), 1);
    assert_eq!(sandbox.git(&["branch", "--list", "fix"]), "");
    assert!(ran.stderr.contains("gone"), "{ran}");
    sandbox.git(&["config", "filter.gone.required", "false"]);
    sandbox.git(&["config", "filter.gone.smudge", "cat"]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("web/a", ""), ("api/b", "")]);
    sandbox.git(&["sparse-checkout", "set", "web"]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let place = worktree(&sandbox, "fix");
    assert!(place.join("web/a").exists() && !place.join("api").exists());
}

#[test]
fn a_compose_file_that_a_sparse_checkout_leaves_out_is_read_nevertheless() {
    let files = [
        ("infra/compose.yaml", IDLE),
        ("web/a", ""),
        ("envtree.yaml", "compose: { files: [infra/compose.yaml] }\n"),
    ];
    let sandbox = sandbox_with(&files);
    sandbox.git(&["sparse-checkout", "set", "web"]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert!(!worktree(&sandbox, "fix").join("infra").exists());
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
    let removed = done(&sandbox, &["rm", "fix"]);
    assert!(!removed.stderr.contains("warning"), "{removed}");
}
