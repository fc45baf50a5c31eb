//! Docker Compose beside envtree: each works on what the other made under one project name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::stage::{answer, beside, done, environment, idle, refused, sandbox_with, worktree};
use crate::support::{docker, inspect};

const COMPOSE: &str = "\
services:
  app:
    image: busybox:1
    command: sh -c 'echo hello; exec sleep inf'
    init: true
    volumes: ['data:/data']
    depends_on: [cache]
  cache:
    image: busybox:1
    command: sleep inf
    init: true
volumes: { data: {} }
";

/// A project of Docker Compose, of which nothing is left in the end.
struct Theirs<'a> {
    sandbox: &'a Sandbox,
    project: String,
    folder: PathBuf,
}

impl<'a> Theirs<'a> {
    /// Returns the project of environment `fix`; Compose is run in `folder`.
    fn of_fix(sandbox: &'a Sandbox, folder: &Path) -> Self {
        Self { sandbox, project: sandbox.project("fix"), folder: folder.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command("docker");
        command.current_dir(&self.folder).args(["compose", "--project-name", &self.project]).args(arguments);
        command
    }

    /// Runs Compose, which must succeed and have nothing to complain about.
    #[track_caller]
    fn compose(&self, arguments: &[&str]) -> Ran {
        self.checked(arguments, self.sandbox.ran(&self.command(arguments).output().unwrap()))
    }

    /// Runs Compose with a file on its standard input.
    #[track_caller]
    fn compose_with(&self, file: &str, arguments: &[&str]) -> Ran {
        let all = [&["--file", "-"], arguments].concat();
        let mut command = self.command(&all);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        running.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
        self.checked(&all, self.sandbox.ran(&running.wait_with_output().unwrap()))
    }

    #[track_caller]
    fn checked(&self, arguments: &[&str], ran: Ran) -> Ran {
        assert_eq!(ran.status, Some(0), "docker compose {arguments:?} in {:?}: {ran}", self.folder);
        for complaint in ["level=warn", "was not created", "orphan"] {
            assert!(!ran.stderr.contains(complaint), "docker compose {arguments:?}: {ran}");
        }
        ran
    }

    fn up(&self, arguments: &[&str]) {
        self.compose(&[&["up", "--detach", "--wait"], arguments].concat());
    }
}

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        let mut down = self.command(&["down", "--volumes", "--remove-orphans", "--timeout", "0"]);
        // The worktree may be gone.
        let down = down.current_dir("/").output();
        assert!(std::thread::panicking() || down.unwrap().status.success());
    }
}

/// Returns a sandbox, and the worktree of task `fix` that git alone has made. Compose need not pull the image.
fn with_worktree(compose: &str) -> (Sandbox, PathBuf) {
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    if !docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).contains("busybox:1") {
        // It comes from where envtree is told that it is.
        done(&idle(), &["up", "fix"]);
    }
    let folder = worktree(&sandbox, "fix");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "fix", folder.to_str().unwrap()]);
    (sandbox, folder)
}

fn state(sandbox: &Sandbox) -> String {
    environment(sandbox, "fix")["state"].as_str().unwrap().to_owned()
}

#[test]
fn compose_works_from_any_folder_on_what_envtree_made() {
    let check = "  cache:\n    healthcheck: { test: 'true', interval: 1s }\n";
    let sandbox = sandbox_with(&[("compose.yaml", &COMPOSE.replace("  cache:\n", check))]);
    done(&sandbox, &["up", "fix"]);
    sandbox.inside("fix", "app", &["sh", "-c", "echo kept >/data/file"]);
    let mut theirs = Theirs::of_fix(&sandbox, Path::new("/"));
    for folder in [Path::new("/").to_owned(), worktree(&sandbox, "fix")] {
        theirs.folder = folder;
        // `up` runs the check itself, and does not wait for the Engine to have done so.
        let shown = || theirs.compose(&["ps", "--format", "{{.Service}} {{.State}} {{.Health}}"]).stdout;
        eventually(|| shown() == "app running \ncache running healthy\n", SOON);
        assert!(theirs.compose(&["logs", "--no-log-prefix", "app"]).stdout.contains("hello\n"));
        assert_eq!(theirs.compose(&["exec", "-T", "app", "cat", "/data/file"]).stdout, "kept\n");
        theirs.compose(&["stop", "--timeout", "1"]);
        assert_eq!(state(&sandbox), "stopped");
        theirs.compose(&["start"]);
        assert_eq!(state(&sandbox), "ready");
        assert!(sandbox.up("fix")["operations"] == 0, "Compose changed something");
        theirs.compose(&["down", "--timeout", "1"]);
        assert_eq!(state(&sandbox), "down");
        assert_eq!(sandbox.objects("fix"), [format!("{}_data", sandbox.project("fix"))]);
        done(&sandbox, &["up", "fix"]);
        assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/file"]), "kept");
    }
}

#[test]
fn compose_takes_the_file_that_envtree_prints_and_envtree_what_it_makes_of_it() {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
    done(&sandbox, &["up", "fix"]);
    sandbox.inside("fix", "app", &["sh", "-c", "echo kept >/data/file"]);
    let network = inspect("network", &format!("{}_default", sandbox.project("fix")))["Id"].clone();
    let file = sandbox.command(env!("CARGO_BIN_EXE_envtree")).args(["config", "fix"]).output().unwrap();
    let file = String::from_utf8(file.stdout).unwrap();
    let mut theirs = Theirs::of_fix(&sandbox, Path::new("/"));
    for folder in [Path::new("/").to_owned(), worktree(&sandbox, "fix")] {
        theirs.folder = folder;
        theirs.compose_with(&file, &["up", "--detach", "--wait"]);
        assert_eq!(inspect("network", &format!("{}_default", sandbox.project("fix")))["Id"], network);
        // What Compose made from the file, it leaves alone.
        let lives = sandbox.lives("fix", &["app", "cache"]);
        theirs.compose_with(&file, &["up", "--detach", "--wait"]);
        assert_eq!(sandbox.up("fix")["operations"], 0);
        assert_eq!(sandbox.lives("fix", &["app", "cache"]), lives);
        assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/file"]), "kept");
    }
}

#[test]
fn envtree_takes_over_what_compose_made_of_the_worktree() {
    let (sandbox, folder) = with_worktree(COMPOSE);
    let theirs = Theirs::of_fix(&sandbox, &folder);
    theirs.up(&["--scale", "cache=2"]);
    theirs.compose(&["exec", "-T", "app", "sh", "-c", "echo kept >/data/file"]);
    let planned = done(&sandbox, &["up", "fix", "--dry-run"]);
    assert!(planned.stdout.contains("remove container sandbox-xxxxxxxx-fix-cache-2"), "{planned}");
    let ran = done(&sandbox, &["up", "fix", "--yes"]);
    insta::assert_snapshot!(ran.warnings(), @"warning: Docker Compose made containers `sandbox-xxxxxxxx-fix-app-1`, `sandbox-xxxxxxxx-fix-cache-1`, `sandbox-xxxxxxxx-fix-cache-2` of project `sandbox-xxxxxxxx-fix` from the files of this worktree: envtree takes over and makes them again; their volumes are kept with their data");
    assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/file"]), "kept");
    assert_eq!(sandbox.objects("fix").len(), 4);
    let volume = format!("{}_data", sandbox.project("fix"));
    assert_eq!(environment(&sandbox, "fix")["volumes"][0]["name"], volume);
    // Some Engines take what is written for the volume's making.
    sandbox.inside("fix", "app", &["touch", "/data/later"]);
    assert_eq!(sandbox.up("fix")["operations"], 0);

    // Compose makes the containers its own once more, and envtree takes them back.
    theirs.up(&[]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(sandbox.up("fix")["operations"], 0);
    // Without containers the volume is known by the record, and without a record by the containers.
    done(&sandbox, &["down", "fix"]);
    done(&sandbox, &["up", "fix"]);
    fs::remove_file(beside(&sandbox, "home/state/envtree/environments.json")).unwrap();
    assert_eq!(sandbox.up("fix")["operations"], 0);
    assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/file"]), "kept");
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert_eq!(sandbox.objects("fix"), [""; 0]);
}

#[test]
fn an_anonymous_volume_is_taken_over_with_its_data() {
    let anonymous = "volumes: ['data:/data', /anonymous]\n    networks: [front]";
    let compose = COMPOSE.replace("volumes: ['data:/data']", anonymous);
    let network = "networks: { front: { name: '${COMPOSE_PROJECT_NAME}-theirs' } }\n";
    let (sandbox, folder) = with_worktree(&(compose + network));
    let theirs = Theirs::of_fix(&sandbox, &folder);
    theirs.up(&[]);
    theirs.compose(&["exec", "-T", "app", "sh", "-c", "echo kept >/anonymous/file"]);
    let mounted = || {
        let mounts = sandbox.look("fix", "app")["Mounts"].clone();
        let mounts = mounts.as_array().unwrap().iter();
        let mut names = mounts.filter(|mount| mount["Destination"] == "/anonymous");
        names.next().unwrap()["Name"].as_str().unwrap().to_owned()
    };
    let volume = mounted();
    let exists = || docker(&["volume", "ls", "--quiet"]).lines().any(|name| name == volume);
    let read = || sandbox.inside("fix", "app", &["cat", "/anonymous/file"]);
    let ran = done(&sandbox, &["up", "fix"]);
    insta::assert_snapshot!(ran.warnings(), @"
    warning: Docker Compose made containers `sandbox-xxxxxxxx-fix-app-1`, `sandbox-xxxxxxxx-fix-cache-1` of project `sandbox-xxxxxxxx-fix` from the files of this worktree: envtree takes over and makes them again; their volumes are kept with their data
    warning: network `sandbox-xxxxxxxx-fix-theirs` is left behind, because the environment has one under a name of its own; `docker network rm sandbox-xxxxxxxx-fix-theirs` removes it once nothing uses it
    ");
    assert_eq!((mounted(), read()), (volume.clone(), "kept".to_owned()));
    assert_eq!(sandbox.up("fix")["operations"], 0);
    done(&sandbox, &["up", "fix", "--force-recreate"]);
    assert_eq!((mounted(), read()), (volume.clone(), "kept".to_owned()));
    done(&sandbox, &["down", "fix"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!((mounted(), read()), (volume.clone(), "kept".to_owned()));
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert!(!exists(), "the anonymous volume is left");
    docker(&["network", "rm", &format!("{}-theirs", theirs.project)]);
}

#[test]
fn a_volume_is_taken_over_as_long_as_compose_has_a_container_for_it() {
    let (sandbox, folder) = with_worktree(COMPOSE);
    let theirs = Theirs::of_fix(&sandbox, &folder);
    theirs.up(&[]);
    theirs.compose(&["exec", "-T", "app", "sh", "-c", "echo kept >/data/file"]);
    theirs.compose(&["down", "--timeout", "1"]);
    // Whose a volume without containers is, nobody can tell.
    let told = refused(&sandbox, 1, &["up", "fix"]).stderr;
    assert!(told.contains("`docker compose create`"), "{told}");
    theirs.compose(&["create"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/file"]), "kept");
    done(&sandbox, &["down", "fix", "--volumes", "--yes"]);
    assert_eq!(sandbox.objects("fix"), [""; 0]);
}

#[test]
fn what_compose_made_meanwhile_is_taken_down_and_removed() {
    for command in [&["down", "fix", "--volumes", "--yes"][..], &["rm", "fix", "--yes"]] {
        let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
        done(&sandbox, &["up", "fix"]);
        done(&sandbox, &["down", "fix", "--volumes", "--yes"]);
        let theirs = Theirs::of_fix(&sandbox, &worktree(&sandbox, "fix"));
        theirs.up(&[]);
        assert_eq!(environment(&sandbox, "fix")["services"][1]["state"], "running");
        done(&sandbox, command);
        assert_eq!(sandbox.objects("fix"), [""; 0], "{command:?}");
    }
}

#[test]
fn a_project_of_the_same_name_from_elsewhere_is_left_alone() {
    let (sandbox, folder) = with_worktree(COMPOSE);
    let elsewhere = beside(&sandbox, "elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("compose.yaml"), COMPOSE).unwrap();
    // A repository inside the worktree is another one.
    let nested = folder.join("nested");
    fs::create_dir(&nested).unwrap();
    fs::write(nested.join("compose.yaml"), COMPOSE).unwrap();
    sandbox.git(&["init", "--quiet", nested.to_str().unwrap()]);
    let main = sandbox.repository();
    for folder in [&elsewhere, &nested, &main] {
        let theirs = Theirs::of_fix(&sandbox, folder);
        theirs.up(&[]);
        let lives = || {
            let ids = docker(&["ps", "--quiet", "--filter", &format!("name={}", theirs.project)]);
            (ids, sandbox.lives("fix", &["app", "cache"]), sandbox.objects("fix"))
        };
        let before = lives();
        for arguments in [
            &["up", "fix"][..],
            &["up", "fix", "--remove-orphans", "--force-recreate", "--yes"],
            &["down", "fix", "--volumes", "--yes"],
            &["rm", "fix", "--force", "--yes"],
        ] {
            let ran = refused(&sandbox, 1, arguments);
            let told = ran.stderr.contains("envtree did not make it") || arguments[0] != "up";
            assert!(told, "{arguments:?} in {folder:?}: {ran}");
        }
        assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
        assert_eq!(lives(), before);
    }
}
