//! Which branch and folder a task gets.

use crate::common::Sandbox;
use crate::stage::IDLE;
use crate::stage::{
    beside, commit, containers, done, environment, git_in, idle, refused, sandbox_with, worktree, worktrees,
};

/// Gives the sandbox a bare remote `origin` with everything in it, and fetches from it.
fn add_origin(sandbox: &Sandbox) {
    let origin = beside(sandbox, "origin.git");
    let origin = origin.to_str().unwrap();
    sandbox.git(&["clone", "--quiet", "--bare", ".", origin]);
    sandbox.git(&["remote", "add", "origin", origin]);
    sandbox.git(&["fetch", "--quiet", "origin"]);
    sandbox.git(&["remote", "set-head", "origin", "--auto"]);
}

#[test]
fn a_new_branch_starts_at_the_default_branch_of_origin() {
    let sandbox = idle();
    add_origin(&sandbox);
    sandbox.git(&["switch", "--quiet", "--create", "experiment"]);
    sandbox.git(&["commit", "--quiet", "--allow-empty", "--message", "Not for others"]);
    let ran = done(&sandbox, &["up", "fix-login"]);
    let head = git_in(&sandbox, &worktree(&sandbox, "fix-login"), &["rev-parse", "HEAD"]);
    assert_eq!(head, sandbox.git(&["rev-parse", "origin/main"]));
    assert_eq!(sandbox.git(&["config", "--get", "--default", "none", "branch.fix-login.merge"]), "none");
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-login-app-1");
    insta::assert_snapshot!(ran, @"
    exit status 0
    --- stdout
    sandbox-xxxxxxxx-fix-login is ready in [time]
      worktree  /root----------------/sandbox-xxxxxxxx.worktrees/fix-login
      branch    fix-login
      app       no published port
      env file  /root----------------/sandbox-xxxxxxxx.worktrees/fix-login/.env.local
    next: cd /root----------------/sandbox-xxxxxxxx.worktrees/fix-login
    --- stderr
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix-login ([time])
    app is ready ([time])
    ");
}

#[test]
fn from_names_another_start_and_follows_a_branch_of_a_remote() {
    let sandbox = idle();
    sandbox.git(&["branch", "release"]);
    add_origin(&sandbox);
    sandbox.git(&["commit", "--quiet", "--allow-empty", "--message", "Go on"]);
    done(&sandbox, &["up", "patch", "--from", "origin/release", "--no-wait"]);
    assert_eq!(sandbox.git(&["rev-parse", "patch"]), sandbox.git(&["rev-parse", "origin/release"]));
    assert_eq!(sandbox.git(&["rev-parse", "--abbrev-ref", "patch@{upstream}"]), "origin/release");
}

#[test]
fn a_local_branch_is_checked_out_as_it_is() {
    let sandbox = idle();
    sandbox.git(&["switch", "--quiet", "--create", "begun"]);
    sandbox.write("notes.md", "half\n");
    commit(&sandbox, "Begin");
    sandbox.git(&["switch", "--quiet", "main"]);
    done(&sandbox, &["up", "begun", "--no-wait"]);
    assert!(worktree(&sandbox, "begun").join("notes.md").exists());
    let again = refused(&sandbox, 1, &["up", "begun", "--from", "main"]);
    insta::assert_snapshot!(again, @"
    exit status 1
    --- stderr
    error: branch `begun` exists already, so it cannot start at `main`
    hint: leave out `--from`, or name a new branch with `--branch NAME`
    ");
}

#[test]
fn a_branch_that_only_a_remote_has_is_followed() {
    let sandbox = idle();
    sandbox.git(&["branch", "theirs"]);
    add_origin(&sandbox);
    sandbox.git(&["branch", "--delete", "--force", "--quiet", "theirs"]);
    done(&sandbox, &["up", "theirs", "--no-wait"]);
    assert_eq!(sandbox.git(&["rev-parse", "--abbrev-ref", "theirs@{upstream}"]), "origin/theirs");
}

#[test]
fn a_branch_that_two_remotes_have_needs_a_choice() {
    let sandbox = idle();
    sandbox.git(&["branch", "theirs"]);
    add_origin(&sandbox);
    sandbox.git(&["branch", "--delete", "--force", "--quiet", "theirs"]);
    sandbox.git(&["remote", "add", "fork", beside(&sandbox, "origin.git").to_str().unwrap()]);
    sandbox.git(&["fetch", "--quiet", "fork"]);
    let ran = refused(&sandbox, 1, &["up", "theirs"]);
    assert_eq!(worktrees(&sandbox), 1);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: branch `theirs` is on several remotes: fork, origin
    hint: choose one with `--from fork/theirs`
    ");
}

#[test]
fn slashes_and_capitals_stay_in_the_branch_and_leave_the_id() {
    let sandbox = idle();
    done(&sandbox, &["up", "Feature/JIRA-12_Login", "--no-wait"]);
    let environment = environment(&sandbox, "Feature/JIRA-12_Login");
    assert_eq!(environment["branch"], "Feature/JIRA-12_Login");
    assert_eq!(environment["id"], "feature-jira-12-login");
    let project = sandbox.redact(environment["project"].as_str().unwrap());
    assert_eq!(project, "sandbox-xxxxxxxx-feature-jira-12-login");
    let folder = worktree(&sandbox, "feature-jira-12-login");
    assert_eq!(git_in(&sandbox, &folder, &["branch", "--show-current"]), "Feature/JIRA-12_Login");
}

#[test]
fn a_long_task_has_an_id_that_fits_a_dns_label() {
    let sandbox = idle();
    let task = format!("feature/{}", "very-".repeat(20) + "long");
    done(&sandbox, &["up", &task, "--no-wait"]);
    let environment = environment(&sandbox, &task);
    let id = environment["id"].as_str().unwrap();
    assert!(id.len() <= 40 && !id.ends_with('-'), "{id}");
    assert_eq!(environment["branch"], task.as_str());
}

#[test]
fn two_tasks_with_one_slug_are_told_apart_by_a_suffix() {
    let sandbox = idle();
    done(&sandbox, &["up", "feature/auth", "--no-wait"]);
    done(&sandbox, &["up", "feature-auth", "--no-wait"]);
    assert_eq!(environment(&sandbox, "feature/auth")["id"], "feature-auth");
    let later = environment(&sandbox, "feature-auth");
    let id = later["id"].as_str().unwrap();
    let suffix = id.strip_prefix("feature-auth-").unwrap();
    assert!(suffix.len() == 4 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(later["branch"], "feature-auth");
}

#[test]
fn a_worktree_that_git_made_anywhere_is_adopted_and_stays_after_rm() {
    let sandbox = idle();
    let place = beside(&sandbox, "some where/mine");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "mine", place.to_str().unwrap()]);
    done(&sandbox, &["up", "mine", "--no-wait"]);
    assert_eq!(environment(&sandbox, "mine")["worktree"], place.to_str().unwrap());
    assert_eq!(worktrees(&sandbox), 2);
    let ran = done(&sandbox, &["rm", "mine"]);
    assert!(place.join("compose.yaml").exists(), "{ran}");
    assert_eq!(containers(&sandbox), "");
}

#[test]
fn without_a_task_the_worktree_around_the_folder_is_meant() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("web/src/index.ts", "")]);
    let place = beside(&sandbox, "elsewhere");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "topic", place.to_str().unwrap()]);
    let inside = place.join("web/src");
    done(&sandbox, &["-C", inside.to_str().unwrap(), "up", "--no-wait"]);
    assert_eq!(environment(&sandbox, "topic")["worktree"], place.to_str().unwrap());
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-topic-app-1");
}

#[test]
fn the_main_worktree_can_have_an_environment_and_outlives_it() {
    let sandbox = idle();
    done(&sandbox, &["up", "--no-wait"]);
    let main = environment(&sandbox, "main");
    assert_eq!((&main["is_main"], &main["branch"]), (&true.into(), &"main".into()));
    assert_eq!(main["worktree"], sandbox.repository().to_str().unwrap());
    done(&sandbox, &["rm", "main"]);
    assert!(sandbox.repository().join("compose.yaml").exists());
    assert_eq!(sandbox.git(&["branch", "--show-current"]), "main");
    assert_eq!(containers(&sandbox), "");
}

#[test]
fn a_detached_worktree_is_named_after_its_folder() {
    let sandbox = idle();
    let place = beside(&sandbox, "bisect");
    sandbox.git(&["worktree", "add", "--quiet", "--detach", place.to_str().unwrap()]);
    done(&sandbox, &["-C", place.to_str().unwrap(), "up", "--no-wait"]);
    let environment = environment(&sandbox, "bisect");
    assert_eq!((&environment["id"], &environment["branch"]), (&"bisect".into(), &serde_json::Value::Null));
}

#[test]
fn branch_and_path_part_the_task_from_both() {
    let sandbox = idle();
    let place = beside(&sandbox, "Desk/one");
    done(&sandbox, &["up", "one", "--branch", "user/one", "--path", place.to_str().unwrap(), "--no-wait"]);
    let environment = environment(&sandbox, "one");
    assert_eq!((&environment["task"], &environment["branch"]), (&"one".into(), &"user/one".into()));
    assert_eq!(git_in(&sandbox, &place, &["branch", "--show-current"]), "user/one");
    let ran = refused(&sandbox, 1, &["up", "one", "--branch", "other"]);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: task `one` belongs to branch `user/one`, not `other`
    hint: choose another task name, or remove the task first with `envtree rm one`
    ");
}

#[test]
fn the_settings_say_where_worktrees_go() {
    let settings = "worktrees: ../trees/{repository}/{branch}\n";
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", settings)]);
    done(&sandbox, &["up", "feature/a", "--no-wait"]);
    let repository = sandbox.repository();
    let place = beside(&sandbox, "trees").join(repository.file_name().unwrap()).join("feature/a");
    assert_eq!(git_in(&sandbox, &place, &["branch", "--show-current"]), "feature/a");
}
