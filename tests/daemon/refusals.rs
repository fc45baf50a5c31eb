//! What `up` refuses before it makes anything.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::{Ran, Sandbox};
use crate::leftovers::{leftovers, state_directory};
use crate::no_image;
use crate::stage::{
    IDLE, answer, beside, commit, containers, done, git_in, idle, refused, sandbox_with, worktree, worktrees,
};

fn assert_nothing_was_made(sandbox: &Sandbox) {
    assert_eq!(leftovers(sandbox), [""; 0]);
    assert_eq!(answer(sandbox, &["ls"])["environments"], serde_json::json!([]));
}

#[test]
fn a_branch_that_is_checked_out_in_the_main_worktree_is_brought_up_there() {
    let sandbox = idle();
    done(&sandbox, &["up", "main", "--no-wait"]);
    assert_eq!(worktrees(&sandbox), 1);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-main-app-1");
}

#[test]
fn a_second_folder_for_a_branch_is_refused() {
    let sandbox = idle();
    let ran = refused(&sandbox, 1, &["up", "two", "--branch", "main", "--path", "../two"]);
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: branch `main` is already checked out in `/root----------------/sandbox-xxxxxxxx`
    hint: leave out `--path` to bring that worktree up where it is, or name another branch with `--branch NAME`
    ");
}

#[test]
fn an_occupied_path_is_refused_and_left_alone() {
    let sandbox = idle();
    let place = worktree(&sandbox, "fix");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("mine"), "").unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert!(place.join("mine").exists());
    fs::remove_dir_all(&place).unwrap();
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `/root----------------/sandbox-xxxxxxxx.worktrees/fix` exists and is not an empty folder
    hint: name another folder with `--path DIR`
    ");
}

#[test]
fn a_file_where_the_worktree_should_be_stays() {
    let sandbox = idle();
    let place = worktree(&sandbox, "fix");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "mine").unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_eq!(fs::read_to_string(&place).unwrap(), "mine");
    fs::remove_file(&place).unwrap();
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `/root----------------/sandbox-xxxxxxxx.worktrees/fix` exists and is not an empty folder
    hint: name another folder with `--path DIR`
    ");
    symlink(beside(&sandbox, "home"), &place).unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert!(!beside(&sandbox, "home/compose.yaml").exists());
    fs::remove_file(&place).unwrap();
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `/root----------------/home` exists and is not an empty folder
    hint: name another folder with `--path DIR`
    ");
}

#[test]
fn a_file_where_the_folder_of_worktrees_should_be_stays() {
    let sandbox = idle();
    let folder = worktree(&sandbox, "fix").parent().unwrap().to_owned();
    fs::write(&folder, "mine").unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_eq!(fs::read_to_string(&folder).unwrap(), "mine");
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: cannot make worktree `/root----------------/sandbox-xxxxxxxx.worktrees/fix`: `/root----------------/sandbox-xxxxxxxx.worktrees` is not a folder
    hint: mend that, or name another folder with `--path DIR`, for every task with `worktrees:` in `envtree.yaml`
    ");
}

#[test]
fn a_branch_below_a_branch_is_refused() {
    let sandbox = idle();
    sandbox.git(&["branch", "fix"]);
    let ran = refused(&sandbox, 1, &["up", "fix/login"]);
    assert_eq!(leftovers(&sandbox), ["branch fix"]);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: branch `fix/login` cannot exist beside branch `fix`
    hint: name another branch with `--branch NAME`
    ");
}

#[test]
fn an_unknown_start_is_refused() {
    let sandbox = idle();
    let ran = refused(&sandbox, 1, &["up", "fix", "--from", "nowhere"]);
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `nowhere` does not name a commit
    hint: name a branch, a tag or a commit
    ");
}

#[test]
fn a_task_that_no_branch_can_be_called_is_refused() {
    let sandbox = idle();
    let ran = refused(&sandbox, 1, &["up", "fix..login"]);
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `fix..login` cannot be the name of a branch: it contains `..`
    hint: a task is named like a branch, such as `fix-login` or `feature/login`
    ");
    for task in ["a b", "-x", "x.lock", "a//b", "x~1", "HEAD", "@"] {
        refused(&sandbox, 1, &["up", "--", task]);
    }
    assert_nothing_was_made(&sandbox);
}

/// Makes a folder outside the sandbox's repository, of the same name, so that what is made for it counts as left over.
fn namesake(sandbox: &Sandbox) -> PathBuf {
    let folder = beside(sandbox, "apart").join(sandbox.repository().file_name().unwrap());
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Brings a task up in a [`namesake`], which must be refused; not even a folder may be made for it.
#[track_caller]
fn refused_apart(sandbox: &Sandbox, folder: &Path) -> Ran {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.collect::<BTreeSet<_>>()
    };
    let before = [folder, folder.parent().unwrap()].map(names);
    let ran = refused(sandbox, 1, &["-C", folder.to_str().unwrap(), "up", "fix"]);
    assert_eq!([folder, folder.parent().unwrap()].map(names), before);
    assert_eq!(leftovers(sandbox), [""; 0]);
    ran
}

#[test]
fn a_repository_without_a_commit_has_nothing_to_start_from() {
    let sandbox = Sandbox::new();
    let empty = namesake(&sandbox);
    sandbox.git(&["init", "--quiet", empty.to_str().unwrap()]);
    let ran = refused_apart(&sandbox, &empty);
    assert_eq!(git_in(&sandbox, &empty, &["for-each-ref"]), "");
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: repository `/root----------------/apart/sandbox-xxxxxxxx/.git` has no commit yet
    hint: make a first commit: a worktree needs one to start from
    ");
}

#[test]
fn a_folder_without_a_repository_is_refused() {
    let sandbox = Sandbox::new();
    let folder = namesake(&sandbox);
    let ran = refused_apart(&sandbox, &folder);
    assert!(!state_directory(&sandbox).exists());
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `/root----------------/apart/sandbox-xxxxxxxx` is not in a git repository
    hint: go to a git repository, name one with `-C DIR`, or make one with `git init`
    ");
}

#[test]
fn a_locked_worktree_whose_folder_is_away_is_refused() {
    let sandbox = idle();
    let place = beside(&sandbox, "stick");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "fix", place.to_str().unwrap()]);
    sandbox.git(&["worktree", "lock", "--reason", "on a stick", place.to_str().unwrap()]);
    fs::remove_dir_all(&place).unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_eq!(worktrees(&sandbox), 2);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: branch `fix` is already checked out in `/root----------------/stick`
    hint: `git worktree prune` forgets the worktree, unless it is locked
    ");
}

#[test]
fn a_mistake_in_the_settings_is_found_before_anything_is_made() {
    let sandbox = idle();
    sandbox.write("envtree.yaml", "wortrees: ../x\n");
    crate::stage::commit(&sandbox, "Mistype");
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:1: unknown key `wortrees`; did you mean `worktrees`?
    ");
}

#[test]
fn an_image_that_no_registry_has_leaves_an_environment_that_can_go_on() {
    let sandbox = idle();
    sandbox.write("compose.yaml", "services:\n  app:\n    image: nobody/nothing:1\n");
    crate::stage::commit(&sandbox, "Mistype");
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert!(ran.stderr.contains("nobody/nothing:1"), "{ran}");
    no_image::assert_left(&sandbox);
    fs::write(worktree(&sandbox, "fix").join("compose.yaml"), crate::stage::IDLE).unwrap();
    done(&sandbox, &["up", "fix"]);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn what_the_engine_is_too_old_for_is_refused_with_its_place() {
    let compose =
        format!("{IDLE}    annotations: {{ a: b }}\n    networks: {{ default: {{ gw_priority: 1 }} }}\n");
    let sandbox = sandbox_with(&[("compose.yaml", &compose)]);
    let said = refused(&sandbox, 1, &["up", "fix"]).stderr;
    assert_nothing_was_made(&sandbox);
    assert!(
        said.contains("main:compose.yaml:7:5: service `app` asks for gw_priority of a network"),
        "{said}"
    );
    assert_eq!(refused(&sandbox, 1, &["up", "fix", "--dry-run"]).stderr, said);
}

#[test]
fn a_mount_of_what_is_not_there_is_refused_with_its_place() {
    let volumes = "    volumes:
      - { type: bind, source: ./certs, target: /certs }
      - { type: bind, source: /nonexistent/key, target: /key, bind: { create_host_path: false } }
      - { type: bind, source: ./made, target: /made, bind: { create_host_path: true } }
      - { type: bind, source: ./.env.local, target: /env }
";
    let compose = format!("{IDLE}{volumes}");
    let sandbox = sandbox_with(&[("compose.yaml", &compose), (".gitignore", "certs\n.env.local\n")]);
    sandbox.write("certs/ca.pem", "x");
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_nothing_was_made(&sandbox);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: main:compose.yaml:7:9: service `app`: cannot mount `/root----------------/sandbox-xxxxxxxx.worktrees/fix/certs`: there is no such file or folder; the main worktree has it, and git ignores it: name it in `.worktreeinclude`, which brings it into new worktrees
      main:compose.yaml:8:9: service `app`: cannot mount `/nonexistent/key`: there is no such file or folder
    ");

    sandbox.write(".worktreeinclude", "certs/\n");
    sandbox.write("compose.yaml", &compose.replace("/nonexistent/key", "/etc/hostname"));
    commit(&sandbox, "Mount what there is");
    done(&sandbox, &["up", "fix", "--no-wait"]);
}

#[test]
fn a_folder_that_lies_beside_the_main_worktree_alone_is_refused_with_its_place() {
    let volumes = "    volumes: ['../libs:/libs:ro', '../nowhere:/nowhere']\n";
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{IDLE}{volumes}"))]);
    let (libs, unwanted) = (beside(&sandbox, "libs"), worktree(&sandbox, "libs"));
    fs::create_dir(&libs).unwrap();
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_nothing_was_made(&sandbox);
    assert!(!unwanted.exists());
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: main:compose.yaml:6:15: service `app`: cannot mount `/root----------------/sandbox-xxxxxxxx.worktrees/libs`: there is no such file or folder; seen from the main worktree it is `/root----------------/libs`, which exists: write that path or a variable that holds it, or let `worktrees: ../{repository}-{id}` of `envtree.yaml` make worktrees beside the main one
    ");
    assert_eq!(refused(&sandbox, 1, &["up", "fix", "--dry-run"]).stderr, ran.stderr);

    // In the main worktree it is there.
    assert!(done(&sandbox, &["up", "--dry-run"]).stderr.contains("every environment reads the same"));
    let settings = "worktrees: ../{repository}-{id}\n";
    sandbox.write("envtree.yaml", settings);
    commit(&sandbox, "Make worktrees beside the main one");
    let ran = done(&sandbox, &["up", "fix", "--no-wait"]);
    insta::assert_snapshot!(ran.warnings(), @"
    warning: service `app` mounts `/root----------------/libs`, which lies outside the worktree: every environment reads the same
    warning: service `app` mounts `/root----------------/nowhere`, which lies outside the worktree: every environment that mounts it shares it
    warning: main:compose.yaml:6:35: service `app`: there is nothing at `/root----------------/nowhere`, so the Engine makes an empty folder there
    ");
}

#[test]
fn a_mount_of_what_no_hook_made_is_refused_before_its_container_is_made() {
    let volumes = "    volumes: [{ type: bind, source: ./certs, target: /certs }]\n";
    let settings = "hooks: { post_create: mkdir certs }\n";
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{IDLE}{volumes}")), ("envtree.yaml", settings)]);
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert_eq!(containers(&sandbox), "");
    insta::assert_snapshot!(ran, @"
    exit status 5
    --- stderr
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix ([time])
    warning: hook `post_create` was skipped: its commands are not trusted yet; `envtree trust` shows and accepts them
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: main:compose.yaml:6:15: service `app`: cannot mount `/root----------------/sandbox-xxxxxxxx.worktrees/fix/certs`: there is no such file or folder
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    note: created and kept: network `sandbox-xxxxxxxx-fix_default`
    ");
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
}
