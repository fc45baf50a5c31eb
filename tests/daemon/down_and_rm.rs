//! `down`, `stop`, `start`, `restart` and `rm`: what is kept, what goes, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::again::with_two_servers;
use crate::common::Sandbox;
use crate::compose_file::with_compose;
use crate::support::{checked, docker, port};

#[test]
fn after_down_the_next_up_finds_data_and_ports_again() {
    let sandbox = Sandbox::new();
    let first = sandbox.up("one");
    sandbox.sql("one", "CREATE TABLE note AS SELECT 'kept' AS text");
    sandbox.redis("one", &["SET", "note", "kept"]);

    sandbox.succeed(&["down", "one"]);
    let volumes = ["postgres-data", "redis-data"].map(|key| format!("{}_{key}", sandbox.project("one")));
    assert_eq!(sandbox.objects("one"), volumes);
    // Another environment gets neither of its ports meanwhile.
    let services = ["postgres", "redis"];
    let held = services.map(|service| port(&first, service));
    let other = sandbox.up("two");
    assert!(services.iter().all(|service| !held.contains(&port(&other, service))));

    let second = sandbox.up("one");
    assert_eq!(services.map(|service| port(&second, service)), held);
    assert_eq!(sandbox.sql("one", "SELECT text FROM note"), "kept");
    assert_eq!(sandbox.redis("one", &["GET", "note"]), "kept");
}

#[test]
fn down_removes_volumes_only_with_consent() {
    let (sandbox, _) = with_two_servers();
    let volume = format!("{}_cache", sandbox.project("one"));
    let refused = sandbox.fail(1, &["down", "one", "--volumes"]);
    assert!(sandbox.objects("one").contains(&sandbox.container("one", "cache")));
    assert!(sandbox.objects("one").contains(&volume));
    assert!(refused.contains("remove volume `sandbox-xxxxxxxx-one_cache` and its data"), "{refused}");

    sandbox.succeed(&["down", "one", "--volumes", "--yes"]);
    assert_eq!(sandbox.objects("one"), [""; 0]);
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "DBSIZE"]), "0");
}

#[test]
fn stop_start_and_restart_keep_data_and_ports() {
    let (sandbox, first) = with_two_servers();
    let services = ["cache", "queue"];
    let ids = || services.map(|service| sandbox.look("one", service)["Id"].clone());
    let states = || services.map(|service| sandbox.look("one", service)["State"]["Running"] == true);
    let before = ids();
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);

    sandbox.succeed(&["stop", "one", "cache"]);
    assert_eq!(states(), [false, true]);
    let queue = sandbox.lives("one", &["queue"]);
    sandbox.succeed(&["start", "one", "cache"]);
    assert_eq!(states(), [true, true]);
    sandbox.succeed(&["restart", "one", "cache"]);
    assert_eq!(sandbox.lives("one", &["queue"]), queue);
    sandbox.succeed(&["stop", "one"]);
    assert_eq!(states(), [false, false]);
    sandbox.succeed(&["start", "one"]);
    sandbox.succeed(&["restart", "one"]);

    assert_eq!(states(), [true, true]);
    assert_eq!(ids(), before);
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    let answer = sandbox.json(&["status", "one"]);
    assert_eq!(services.map(|name| port(&answer, name)), services.map(|name| port(&first, name)));
    let refused = sandbox.fail(1, &["stop", "one", "cachee"]);
    assert!(refused.contains("`cachee`") && refused.contains("cache"), "{refused}");
}

/// Returns the files below envtree's state that name `project`.
fn traces(sandbox: &Sandbox, project: &str) -> Vec<PathBuf> {
    let state = sandbox.repository().parent().unwrap().join("home/state");
    let found = checked(sandbox.command("find").arg(&state).args(["-type", "f"]));
    let names = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        path.to_string_lossy().contains(project) || text.contains(project)
    };
    found.lines().map(PathBuf::from).filter(|path| names(path)).collect()
}

#[test]
fn rm_leaves_nothing_behind() {
    let (sandbox, answer) = with_two_servers();
    let worktree = PathBuf::from(answer["environment"]["worktree"].as_str().unwrap());
    let project = sandbox.project("one");
    assert!(worktree.is_dir());
    assert!(!traces(&sandbox, &project).is_empty());
    let anonymous = sandbox.look("one", "cache")["Mounts"].as_array().unwrap().iter().find_map(|mount| {
        (mount["Destination"] == "/scratch").then(|| mount["Name"].as_str().unwrap().to_owned())
    });

    sandbox.succeed(&["rm", "one"]);
    assert_eq!(sandbox.objects("one"), [""; 0]);
    let volumes = docker(&["volume", "ls", "--quiet"]);
    assert!(!volumes.contains(&anonymous.unwrap()), "the anonymous volume is left");
    assert_eq!(traces(&sandbox, &project), Vec::<PathBuf>::new());
    assert!(!worktree.exists());
    assert_eq!(sandbox.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main");
    assert_eq!(sandbox.json(&["ls"])["environments"], json!([]));
}

#[test]
fn rm_of_an_adopted_worktree_takes_out_what_envtree_wrote_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services: { redis: { image: redis:8, ports: [6379] } }\n");
    sandbox.write(".gitignore", ".env.local\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Redis alone"]);
    sandbox.git(&["worktree", "add", "-q", "-b", "mine", "../mine"]);
    let worktree = sandbox.repository().parent().unwrap().join("mine");
    let file = worktree.join(".env.local");
    fs::write(&file, "MINE=1\n").unwrap();

    let answer = sandbox.up("mine");
    assert_eq!(answer["environment"]["worktree"], worktree.to_str().unwrap());
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("MINE=1\n") && written.contains("REDIS_PORT="), "{written}");

    sandbox.succeed(&["rm", "mine"]);
    assert_eq!(sandbox.objects("mine"), [""; 0]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "MINE=1\n");
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main\nmine");
}

/// A sandbox whose environments have no services, for what concerns git alone.
fn without_services() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .write("compose.yaml", "services: { idle: { image: busybox:1, command: sleep 600, init: true } }\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "One idle service"]);
    sandbox
}

/// Commits a file in the worktree of task `one`.
fn commit(sandbox: &Sandbox, worktree: &Path) {
    fs::write(worktree.join("work.txt"), "work\n").unwrap();
    let worktree = worktree.to_str().unwrap();
    sandbox.git(&["-C", worktree, "add", "."]);
    sandbox.git(&["-C", worktree, "commit", "-qm", "Work hard"]);
}

#[test]
fn rm_refuses_to_lose_work_and_says_which() {
    let sandbox = without_services();
    let answer = sandbox.up("one");
    let worktree = Path::new(answer["environment"]["worktree"].as_str().unwrap());
    let lives = sandbox.lives("one", &["idle"]);

    fs::write(worktree.join("draft.txt"), "draft\n").unwrap();
    let refused = sandbox.run(&["rm", "--yes", "one"]);
    insta::assert_snapshot!(refused, @"
    exit status 1
    --- stderr
    error: worktree `/root----------------/sandbox-xxxxxxxx.worktrees/one` holds work that exists nowhere else
      this would be lost:
        uncommitted: draft.txt
    hint: commit and push it, or throw it away with `envtree rm --force one`
    note: nothing was removed
    ");
    fs::remove_file(worktree.join("draft.txt")).unwrap();

    commit(&sandbox, worktree);
    let refused = sandbox.run(&["rm", "--yes", "one"]);
    insta::assert_snapshot!(refused, @"
    exit status 1
    --- stderr
    error: worktree `/root----------------/sandbox-xxxxxxxx.worktrees/one` holds work that exists nowhere else
      this would be lost:
        1 commit on `one`, neither pushed nor merged:
          Work hard
    hint: commit and push it, or throw it away with `envtree rm --force one`
    note: nothing was removed
    ");
    assert_eq!(sandbox.lives("one", &["idle"]), lives, "a refusal stops nothing");

    let ran = sandbox.run(&["-C", worktree.to_str().unwrap(), "rm", "--force", "one"]);
    assert!(ran.stdout.ends_with("next: cd to another directory: the one you stand in is gone\n"), "{ran}");
    assert!(!worktree.exists());
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main");
}

#[test]
fn rm_of_a_worktree_that_has_to_stay_removes_nothing() {
    let sandbox = without_services();
    let answer = sandbox.up("one");
    let worktree = answer["environment"]["worktree"].as_str().unwrap();
    let before = (sandbox.objects("one"), sandbox.lives("one", &["idle"]));
    sandbox.git(&["worktree", "lock", "--reason", "demo tomorrow", worktree]);
    insta::assert_snapshot!(sandbox.run(&["rm", "--yes", "one"]), @"
    exit status 1
    --- stderr
    error: worktree `/root----------------/sandbox-xxxxxxxx.worktrees/one` is locked: demo tomorrow
    hint: `git worktree unlock /root----------------/sandbox-xxxxxxxx.worktrees/one`, or `--force`
    ");
    sandbox.git(&["worktree", "unlock", worktree]);
    fs::write(Path::new(worktree).join(".git"), "gitdir: /nowhere\n").unwrap();
    insta::assert_snapshot!(sandbox.run(&["rm", "--yes", "one"]), @"
    exit status 1
    --- stderr
    error: `/root----------------/sandbox-xxxxxxxx.worktrees/one` does not point back to this repository
    hint: `git worktree repair /root----------------/sandbox-xxxxxxxx.worktrees/one` mends the link, where the repository or the worktree was moved
    ");
    insta::assert_snapshot!(sandbox.run(&["up", "one"]), @"
    exit status 1
    --- stderr
    error: `/root----------------/sandbox-xxxxxxxx.worktrees/one` does not point back to this repository
    hint: `git worktree repair /root----------------/sandbox-xxxxxxxx.worktrees/one` mends the link, where the repository or the worktree was moved
    ");
    assert_eq!((sandbox.objects("one"), sandbox.lives("one", &["idle"])), before);

    let ran = sandbox.succeed(&["rm", "--force", "one"]);
    assert!(ran.stdout.contains("kept worktree "), "{ran}");
    assert!(Path::new(worktree).join("compose.yaml").exists());
    assert_eq!(sandbox.objects("one"), [""; 0]);
    fs::remove_dir_all(worktree).unwrap();
}

#[test]
fn rm_deletes_a_merged_branch_and_keeps_one_that_it_did_not_make() {
    let sandbox = without_services();
    sandbox.git(&["branch", "two"]);
    let answer = sandbox.up("one");
    sandbox.up("two");
    commit(&sandbox, Path::new(answer["environment"]["worktree"].as_str().unwrap()));
    sandbox.git(&["merge", "--quiet", "one"]);

    let ran = sandbox.succeed(&["rm", "one", "two"]);
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main\ntwo");
    assert_eq!(sandbox.objects("one"), [""; 0]);
    assert_eq!(sandbox.objects("two"), [""; 0]);
    assert!(ran.stdout.contains("kept branch two: envtree did not make it"), "{ran}");
}

#[test]
fn rm_of_a_task_whose_worktree_was_deleted_by_hand_removes_the_rest() {
    let sandbox = without_services();
    let answer = sandbox.up("one");
    fs::remove_dir_all(answer["environment"]["worktree"].as_str().unwrap()).unwrap();

    sandbox.succeed(&["rm", "one"]);
    assert_eq!(sandbox.objects("one"), [""; 0]);
    assert_eq!(sandbox.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main");
    assert_eq!(sandbox.json(&["ls"])["environments"], json!([]));
}

#[test]
fn a_volume_that_only_the_image_names_survives_down_and_goes_with_rm() {
    let sandbox = with_compose("services:\n  cache: { image: redis:8 }\n");
    sandbox.up("one");
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);
    sandbox.succeed(&["down", "one"]);
    assert_eq!(sandbox.objects("one").len(), 1, "the volume alone stays");
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    sandbox.succeed(&["down", "one"]);
    sandbox.succeed(&["rm", "one"]);
    assert_eq!(sandbox.objects("one"), [""; 0]);
}
