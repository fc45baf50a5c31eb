//! Objects of another repository, or of nobody, on the same Engine: never changed, never removed.

use std::process::Command;

use crate::common::Sandbox;
use crate::leftovers::leftovers;
use crate::stage::{answer, beside, done, idle, refused, sandbox_with};
use crate::support::{docker, inspect};

const COMPOSE: &str = "\
services:
  app:
    image: busybox:1
    command: sleep inf
    init: true
    volumes: ['data:/data']
volumes: { data: {} }
";

/// An object that the sandbox does not own; dropping it removes it.
struct Foreign {
    kind: &'static str,
    name: String,
}

impl Foreign {
    /// Makes an object with Compose's labels of the environment `fix`, and those of another repository if `is_ours`.
    fn make(sandbox: &Sandbox, kind: &'static str, name: &str, of_envtree: bool) -> Self {
        let project = sandbox.project("fix");
        let mut labels =
            vec![format!("com.docker.compose.project={project}"), "com.docker.compose.service=app".into()];
        if of_envtree {
            labels.extend([
                "dev.envtree.repository=feedfeedfeed".to_owned(),
                "dev.envtree.repository.name=elsewhere".to_owned(),
                "dev.envtree.repository.common-dir=/nonexistent/elsewhere/.git".to_owned(),
                "dev.envtree.environment=fix".to_owned(),
                "dev.envtree.task=fix".to_owned(),
                "dev.envtree.worktree=/nonexistent/elsewhere".to_owned(),
            ]);
        }
        let labels: Vec<String> =
            labels.into_iter().flat_map(|label| ["--label".to_owned(), label]).collect();
        // Scenarios run side by side.
        let process = std::process::id();
        let subnet = format!("10.198.{}.{}/29", process % 256, process / 256 % 32 * 8);
        let mut arguments = match kind {
            "container" => vec!["run", "--detach", "--name", name],
            "network" => vec!["network", "create", "--subnet", &subnet],
            _ => vec!["volume", "create"],
        };
        arguments.extend(labels.iter().map(String::as_str));
        match kind {
            "container" => arguments.extend(["--init", "busybox:1", "sleep", "inf"]),
            _ => arguments.push(name),
        }
        docker(&arguments);
        Self { kind, name: name.to_owned() }
    }

    /// Returns what changes if anybody touches it.
    fn life(&self) -> String {
        let found = inspect(self.kind, &self.name);
        let state = &found["State"];
        format!("{} {} {} {}", found["Id"], found["CreatedAt"], state["StartedAt"], state["Status"])
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let force: &[&str] = if self.kind == "network" { &[] } else { &["--force"] };
        let _ = Command::new("docker").args([self.kind, "rm"]).args(force).arg(&self.name).output();
    }
}

/// Brings the image to the Engine.
fn with_image() -> Sandbox {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
    done(&sandbox, &["up", "first"]);
    done(&sandbox, &["rm", "first", "--yes"]);
    sandbox
}

#[test]
fn an_object_in_the_way_is_named_with_its_owner_and_left_alone() {
    let sandbox = with_image();
    let project = sandbox.project("fix");
    let mut told = String::new();
    for (kind, name) in [
        ("container", format!("{project}-app-1")),
        ("network", format!("{project}_default")),
        ("volume", format!("{project}_data")),
    ] {
        for of_envtree in [true, false] {
            let foreign = Foreign::make(&sandbox, kind, &name, of_envtree);
            let life = foreign.life();
            let ran = refused(&sandbox, 1, &["up", "fix"]);
            told += &ran.stderr;
            refused(&sandbox, 1, &["up", "fix", "--remove-orphans", "--force-recreate"]);
            refused(&sandbox, 1, &["down", "fix", "--volumes", "--yes"]);
            refused(&sandbox, 1, &["rm", "fix", "--force", "--yes"]);
            assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
            assert_eq!(foreign.life(), life, "{kind} {of_envtree}");
            assert_eq!(leftovers(&sandbox), [""; 0]);
        }
    }
    insta::assert_snapshot!(told, @"
    error: container `sandbox-xxxxxxxx-fix-app-1` exists, and belongs to repository `/nonexistent/elsewhere/.git`
    hint: `envtree ls --all` shows whose it is; choose another task name
    note: nothing was changed
    error: container `sandbox-xxxxxxxx-fix-app-1` exists, and envtree did not make it
    hint: `docker container rm sandbox-xxxxxxxx-fix-app-1` removes it, if nobody needs it
    note: nothing was changed
    error: network `sandbox-xxxxxxxx-fix_default` exists, and belongs to repository `/nonexistent/elsewhere/.git`
    hint: `envtree ls --all` shows whose it is; choose another task name
    note: nothing was changed
    error: network `sandbox-xxxxxxxx-fix_default` exists, and envtree did not make it
    hint: `docker network rm sandbox-xxxxxxxx-fix_default` removes it, if nobody needs it
    note: nothing was changed
    error: volume `sandbox-xxxxxxxx-fix_data` exists, and belongs to repository `/nonexistent/elsewhere/.git`
    hint: `envtree ls --all` shows whose it is; choose another task name
    note: nothing was changed
    error: volume `sandbox-xxxxxxxx-fix_data` exists, and envtree did not make it
    hint: where Docker Compose made it in this worktree and its containers are gone, `docker compose create` under the same project name lets `envtree up` take it over
    hint: `docker volume rm sandbox-xxxxxxxx-fix_data` removes it and its data, if nobody needs it
    note: nothing was changed
    ");
}

#[test]
fn objects_beside_an_environment_survive_all_that_is_done_to_it() {
    let sandbox = with_image();
    let project = sandbox.project("fix");
    let mut strangers = Vec::new();
    for of_envtree in [true, false] {
        for kind in ["container", "volume"] {
            let name = format!("{project}-beside-{of_envtree}");
            strangers.push(Foreign::make(&sandbox, kind, &name, of_envtree));
        }
    }
    strangers.push(Foreign::make(&sandbox, "network", &format!("{project}-beside"), true));
    let lives = || strangers.iter().map(Foreign::life).collect::<Vec<_>>();
    let before = lives();
    for arguments in [
        &["up", "fix"][..],
        &["up", "fix", "--remove-orphans", "--force-recreate"],
        &["restart", "fix"],
        &["stop", "fix"],
        &["start", "fix"],
        &["ls"],
        &["ls", "--all"],
        &["down", "fix", "--volumes", "--yes"],
        &["up", "fix"],
        &["rm", "fix", "--force", "--yes"],
    ] {
        done(&sandbox, arguments);
        assert_eq!(lives(), before, "{arguments:?}");
    }
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn a_repository_of_the_same_name_that_another_state_knows_is_not_touched() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix"]);
    let life = sandbox.lives("fix", &["app"]);
    let twin = beside(&sandbox, "twin").join(sandbox.repository().file_name().unwrap());
    sandbox.git(&["clone", "--quiet", ".", twin.to_str().unwrap()]);
    let run = |arguments: &[&str]| {
        let mut command = sandbox.envtree_with(arguments);
        let output =
            command.current_dir(&twin).env("ENVTREE_STATE_DIR", beside(&sandbox, "twin-state")).output();
        sandbox.ran(&output.unwrap())
    };
    let refused = run(&["up", "fix"]);
    assert_eq!(refused.status, Some(1), "{refused}");
    let owner = "belongs to repository `/root----------------/sandbox-xxxxxxxx/.git`";
    assert!(refused.stderr.contains(owner), "{refused}");
    for arguments in
        [&["down", "fix", "--volumes", "--yes"][..], &["rm", "fix", "--force", "--yes"], &["stop", "fix"]]
    {
        assert_eq!(run(arguments).status, Some(1), "{arguments:?}");
    }
    assert!(!run(&["ls"]).stdout.contains("fix"));
    assert_eq!(sandbox.lives("fix", &["app"]), life);
    assert_eq!(sandbox.git(&["-C", twin.to_str().unwrap(), "worktree", "list"]).lines().count(), 1);
}
