//! What scenarios share: commands that must succeed, their answers, and looks at the Engine.

use serde_json::Value;

use crate::common::{Ran, Sandbox};
pub(crate) use crate::common::{SOON, eventually};
pub(crate) use crate::engine::{checked, docker, inspect};

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

/// Returns the host port that an answer of `up` or `status` gives for a service's first port.
#[track_caller]
pub(crate) fn port(answer: &Value, service: &str) -> u16 {
    let services = answer["environment"]["services"].as_array().unwrap();
    let found = services.iter().find(|found| found["name"] == service).unwrap();
    u16::try_from(found["ports"][0]["published"].as_u64().unwrap()).unwrap()
}
