//! What scenarios share: commands that must succeed, their answers, and looks at the Engine.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Ran, Sandbox};

/// Long enough for whatever is awaited, on a machine that others keep busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

impl Sandbox {
    /// Runs envtree, which must succeed.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.status, Some(0), "envtree {}\n{ran}", arguments.join(" "));
        ran
    }

    /// Runs envtree, which must fail with `status`, and returns what it wrote to standard error.
    #[track_caller]
    pub(crate) fn fail(&self, status: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, Some(status), "envtree {}\n{ran}", arguments.join(" "));
        ran.stderr
    }

    /// Runs envtree with `--json`, which must succeed, and returns its answer with nothing redacted.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = checked(&mut self.envtree_with(&[&["--json"], arguments].concat()));
        serde_json::from_str(&answer).expect(&answer)
    }

    /// Brings a task up and returns the answer.
    #[track_caller]
    pub(crate) fn up(&self, task: &str) -> Value {
        self.json(&["up", task])
    }

    /// Returns what a command inside a service wrote; it must succeed.
    #[track_caller]
    pub(crate) fn inside(&self, task: &str, service: &str, command: &[&str]) -> String {
        checked(&mut self.envtree_with(&[&["exec", task, service, "--"], command].concat()))
    }

    /// Asks the task's Postgres.
    #[track_caller]
    pub(crate) fn sql(&self, task: &str, statement: &str) -> String {
        self.inside(task, "postgres", &["psql", "-U", "app", "-qtAc", statement])
    }

    /// Asks the task's Redis.
    #[track_caller]
    pub(crate) fn redis(&self, task: &str, words: &[&str]) -> String {
        self.inside(task, "redis", &[&["redis-cli"], words].concat())
    }

    /// Returns a Compose project's name.
    pub(crate) fn project(&self, id: &str) -> String {
        format!("{}-{id}", self.repository().file_name().unwrap().to_str().unwrap())
    }

    /// Returns the name of a service's container.
    pub(crate) fn container(&self, id: &str, service: &str) -> String {
        format!("{}-{service}-1", self.project(id))
    }

    /// Returns the Engine's description of a service's container.
    #[track_caller]
    pub(crate) fn look(&self, id: &str, service: &str) -> Value {
        inspect("container", &self.container(id, service))
    }

    /// Returns the ids and start times of an environment's containers: equal as long as nobody touched them.
    #[track_caller]
    pub(crate) fn lives(&self, id: &str, services: &[&str]) -> Vec<String> {
        let life = |service: &&str| {
            let container = self.look(id, service);
            format!("{} {}", container["Id"], container["State"]["StartedAt"])
        };
        services.iter().map(life).collect()
    }

    /// Returns the names of the Engine's objects that belong to an environment.
    pub(crate) fn objects(&self, id: &str) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", self.project(id));
        let listed = |arguments: &[&str]| docker(&[arguments, &["--filter", &label]].concat());
        let mut names = listed(&["container", "ls", "--all", "--format", "{{.Names}}"]);
        names += "\n";
        names += &listed(&["network", "ls", "--format", "{{.Name}}"]);
        names += "\n";
        names += &listed(&["volume", "ls", "--format", "{{.Name}}"]);
        names.split_whitespace().map(str::to_owned).collect()
    }
}

impl Ran {
    /// Returns the warnings alone, in their order; what became ready when is left out.
    pub(crate) fn warnings(&self) -> String {
        let warnings = self.stderr.lines().filter(|line| line.starts_with("warning: "));
        warnings.collect::<Vec<_>>().join("\n")
    }
}

/// Returns the standard output of a program that must succeed, without the last line's end.
#[track_caller]
pub(crate) fn checked(command: &mut Command) -> String {
    let Output { stdout, stderr, status } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.trim_end().to_owned()
}

/// Returns the standard output of a program that reads `input` to its end, and must succeed.
#[track_caller]
pub(crate) fn fed(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { stdout, stderr, status } = child.wait_with_output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Runs Docker's own client.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    checked(Command::new("docker").args(arguments))
}

/// Returns the Engine's description of an object, which must exist.
#[track_caller]
pub(crate) fn inspect(kind: &str, name: &str) -> Value {
    let described = docker(&[kind, "inspect", name]);
    serde_json::from_str::<Value>(&described).unwrap()[0].take()
}

/// Returns the host port that an answer of `up` or `status` gives for a service's first port.
#[track_caller]
pub(crate) fn port(answer: &Value, service: &str) -> u16 {
    let services = answer["environment"]["services"].as_array().unwrap();
    let found = services.iter().find(|found| found["name"] == service).unwrap();
    u16::try_from(found["ports"][0]["published"].as_u64().unwrap()).unwrap()
}

/// Waits until `check` holds; fails after `deadline`.
#[track_caller]
pub(crate) fn eventually(check: impl Fn() -> bool, deadline: Duration) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < deadline, "it did not come about within {deadline:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
