use std::path::{Path, PathBuf};

use super::*;
use crate::repository::CHECKOUT_IN_PROGRESS;
use crate::repository::test_repository::{TestRepository, git_in};
use crate::session::test_session::{claim, session};

fn up(task: &str) -> UpOptions {
    UpOptions::of(Some(task))
}

fn resolved(shop: &TestRepository, directory: &Path, state: &State, up: &UpOptions) -> Result<Target, Error> {
    resolve(&session(shop, directory), state, up, None)
}

/// Describes a target in a line, with paths relative to the folder that holds the repository.
fn describe(shop: &TestRepository, target: &Target) -> String {
    let folder = shop.beside("");
    let short = |path: &PathBuf| path.strip_prefix(&folder).unwrap_or(path).display().to_string();
    let origin = match &target.origin {
        Origin::Present(worktree) => format!("present {}", short(&worktree.path)),
        Origin::Checkout { branch, name, makes_branch, path, .. } => {
            let made = if *makes_branch { "new" } else { "old" };
            let path = path.as_ref().map(|path| format!(" at {}", short(path))).unwrap_or_default();
            format!("{made} {} from {name}{path}", branch.name())
        }
    };
    format!("{}: {origin}", target.task)
}

fn told(shop: &TestRepository, state: &State, up: &UpOptions) -> String {
    match resolved(shop, &shop.path, state, up) {
        Ok(target) => describe(shop, &target),
        Err(error) => format!("error: {error}").replace(&shop.beside("").display().to_string(), ""),
    }
}

/// A state in which the environment of `task` is claimed and its worktree made by git.
fn claimed(shop: &TestRepository, task: &str) -> State {
    let mut state = State::default();
    claim(&session(shop, &shop.path), &mut state, &up(task));
    let path = state.environments[0].worktree.display().to_string();
    shop.git(&["worktree", "add", "-q", "-b", task, &path]);
    state
}

#[test]
fn a_new_branch_starts_at_the_base_or_where_it_is_told_to() {
    let shop = TestRepository::new();
    shop.git(&["tag", "v1"]);
    let state = State::default();
    assert_eq!(told(&shop, &state, &up("login")), "login: new login from main");
    let from = UpOptions { from: Some("v1".into()), ..up("login") };
    assert_eq!(told(&shop, &state, &from), "login: new login from v1");
    let named = UpOptions { branch: Some("fix/login".into()), path: Some("../x".into()), ..up("login") };
    assert_eq!(told(&shop, &state, &named), "login: new fix/login from main at x");
    let unknown = UpOptions { from: Some("v2".into()), ..up("login") };
    assert_eq!(told(&shop, &state, &unknown), "error: `v2` does not name a commit");
    assert!(told(&shop, &state, &up("a b")).starts_with("error: `a b` cannot be the name of a branch"));
}

#[test]
fn an_existing_branch_is_checked_out_and_starts_nowhere_else() {
    let shop = TestRepository::new();
    shop.git(&["branch", "login"]);
    let state = State::default();
    assert_eq!(told(&shop, &state, &up("login")), "login: old login from login");
    let from = UpOptions { from: Some("main".into()), ..up("login") };
    assert_eq!(
        told(&shop, &state, &from),
        "error: branch `login` exists already, so it cannot start at `main`"
    );
}

#[test]
fn a_branch_of_a_remote_is_followed_unless_several_have_it() {
    let shop = TestRepository::new();
    shop.git(&["branch", "login"]);
    shop.remote("origin");
    shop.git(&["branch", "-q", "-D", "login"]);
    let state = State::default();
    assert_eq!(told(&shop, &state, &up("login")), "login: new login from origin/login");
    shop.git(&["fetch", "-q", shop.beside("origin.git").to_str().unwrap()]);
    shop.git(&["branch", "login", "origin/login"]);
    shop.remote("fork");
    shop.git(&["branch", "-q", "-D", "login"]);
    assert_eq!(
        told(&shop, &state, &up("login")),
        "error: branch `login` is on several remotes: fork, origin"
    );
}

#[test]
fn a_worktree_that_somebody_made_is_adopted_wherever_it_lies() {
    let shop = TestRepository::new();
    let far = shop.beside("far/away");
    shop.git(&["worktree", "add", "-q", "-b", "login", far.to_str().unwrap()]);
    let state = State::default();
    assert_eq!(told(&shop, &state, &up("login")), "login: present far/away");
    assert_eq!(told(&shop, &state, &up("main")), "main: present shop");
    let at = |path: &str| UpOptions { path: Some(path.into()), ..up("login") };
    assert_eq!(told(&shop, &state, &at("../far/away")), "login: present far/away");
    assert_eq!(
        told(&shop, &state, &at("../near")),
        "error: branch `login` is already checked out in `far/away`"
    );
    let task = UpOptions { path: Some("../far/away".into()), ..up("other") };
    let error = told(&shop, &state, &task);
    assert!(error.starts_with("error: ") && error.contains("`login`"), "{error}");
    let branch = UpOptions { branch: Some("login".into()), ..up("other") };
    assert_eq!(told(&shop, &state, &branch), "other: present far/away");
}

#[test]
fn without_a_task_it_is_the_worktree_around_the_person() {
    let shop = TestRepository::new();
    shop.write("src/x/y", "");
    let far = shop.beside("far");
    shop.git(&["worktree", "add", "-q", "--detach", far.to_str().unwrap()]);
    let here = |directory: &Path| {
        let target = resolved(&shop, directory, &State::default(), &UpOptions::of(None));
        target.map(|target| describe(&shop, &target)).map_err(|error| error.to_string())
    };
    assert_eq!(here(&shop.path.join("src/x")).unwrap(), "main: present shop");
    assert_eq!(here(&far).unwrap(), "far: present far");
    let inside = here(&shop.path.join(".git/refs")).unwrap();
    assert_eq!(inside, "main: present shop");
}

#[test]
fn two_detached_worktrees_in_folders_of_one_name_are_two_environments() {
    let shop = TestRepository::new();
    let mut state = State::default();
    for folder in ["a/wt", "b/wt"] {
        let path = shop.beside(folder);
        shop.git(&["worktree", "add", "-q", "--detach", path.to_str().unwrap()]);
        claim(&session(&shop, &path), &mut state, &UpOptions::of(None));
    }
    let tasks: Vec<&str> = state.environments.iter().map(|record| record.task.as_str()).collect();
    assert_eq!(tasks, ["wt", "wt-2"]);
    let again = resolved(&shop, &shop.beside("a/wt"), &state, &UpOptions::of(None)).unwrap();
    assert_eq!(describe(&shop, &again), "wt: present a/wt");
}

#[test]
fn a_known_task_means_its_worktree_and_a_gone_one_is_made_again() {
    let shop = TestRepository::new();
    let state = claimed(&shop, "login");
    assert_eq!(told(&shop, &state, &up("login")), "login: present shop.worktrees/login");
    let mismatched = UpOptions { branch: Some("main".into()), ..up("login") };
    assert_eq!(told(&shop, &state, &mismatched), "error: task `login` belongs to branch `login`, not `main`");
    std::fs::remove_dir_all(shop.beside("shop.worktrees/login")).unwrap();
    let again = "login: old login from login at shop.worktrees/login";
    assert_eq!(told(&shop, &state, &up("login")), again);
    let at = UpOptions { path: Some("../shop.worktrees/login".into()), ..up("login") };
    assert_eq!(told(&shop, &State::default(), &at), again);
    shop.git(&["worktree", "prune"]);
    shop.git(&["branch", "-q", "-D", "login"]);
    assert_eq!(told(&shop, &state, &up("login")), "login: new login from main at shop.worktrees/login");
}

#[test]
fn a_moved_worktree_keeps_its_environment() {
    let shop = TestRepository::new();
    let state = claimed(&shop, "login");
    let moved = shop.beside("moved");
    shop.git(&["worktree", "move", "../shop.worktrees/login", moved.to_str().unwrap()]);
    assert_eq!(told(&shop, &state, &up("login")), "login: present moved");
    let here = resolved(&shop, &moved, &state, &UpOptions::of(None)).unwrap();
    assert_eq!(describe(&shop, &here), "login: present moved");
}

#[test]
fn a_half_made_worktree_is_finished_with_the_same_words_and_from_inside() {
    let shop = TestRepository::new();
    let path = shop.beside("half");
    shop.git(&["worktree", "add", "-q", "-b", "login", path.to_str().unwrap()]);
    std::fs::write(shop.path.join(".git/worktrees/half/locked"), CHECKOUT_IN_PROGRESS).unwrap();
    let half = "login: old login from login at half";
    assert_eq!(told(&shop, &State::default(), &up("login")), half);
    let from = UpOptions { from: Some("main".into()), ..up("login") };
    assert_eq!(told(&shop, &State::default(), &from), half);
    let here = resolved(&shop, &path, &State::default(), &UpOptions::of(None)).unwrap();
    assert_eq!(describe(&shop, &here), half);
}

#[test]
fn a_branch_that_another_task_has_checked_out_means_that_task() {
    let shop = TestRepository::new();
    let state = claimed(&shop, "login");
    git_in(&shop.beside("shop.worktrees/login"), &["switch", "-q", "-c", "other"]);
    assert_eq!(told(&shop, &state, &up("other")), "login: present shop.worktrees/login");
    assert_eq!(told(&shop, &state, &up("login")), "login: present shop.worktrees/login");
}

#[test]
fn a_task_that_looks_like_the_id_of_another_is_a_task_of_its_own() {
    let shop = TestRepository::new();
    let state = claimed(&shop, "feature/auth");
    assert_eq!(told(&shop, &state, &up("feature-auth")), "feature-auth: new feature-auth from main");
}

#[test]
fn a_bare_repository_has_worktrees_beside_it_and_none_around_it() {
    let shop = TestRepository::new();
    let bare = shop.remote("origin");
    let here = |up: &UpOptions| resolved(&shop, &bare, &State::default(), up);
    assert!(matches!(here(&UpOptions::of(None)), Err(Error::NotInWorktree { .. })));
    assert_eq!(describe(&shop, &here(&up("login")).unwrap()), "login: new login from main");
    let session = session(&shop, &bare);
    let record = session.identify(&State::default(), &here(&up("login")).unwrap(), None);
    assert_eq!(record.worktree, shop.beside("origin.worktrees/login"));
}
