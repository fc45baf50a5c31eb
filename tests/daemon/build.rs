//! Services whose images are built: each environment has its own, built once, said as it goes on, removed with it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::Sandbox;
use crate::compose_file::with_compose;
use crate::pty::{INTERRUPT, Terminal};
use crate::stage::worktree;
use crate::support::{SOON, docker, eventually, inspect};

/// The image that is built upon; no test has to pull it before.
const BASE: &str = "127.0.0.1:5000/library/busybox:1";

/// A sandbox with a Compose file, a Dockerfile of these steps, and a file that it may copy.
fn with_build(compose: &str, steps: &str) -> Sandbox {
    let sandbox = with_compose(compose);
    sandbox.write("Dockerfile", &format!("FROM {BASE}\n{steps}"));
    sandbox.write("greeting", "hello");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Describe the image"]);
    sandbox
}

/// Returns the id of the image that an environment built for a service.
#[track_caller]
fn image(sandbox: &Sandbox, id: &str, service: &str) -> String {
    let name = format!("{}-{service}", sandbox.project(id));
    inspect("image", &name)["Id"].as_str().unwrap().to_owned()
}

const SHOP: &str = "\
services:
  web:
    build: .
    image: shop/web:dev
    command: sleep inf
    init: true
  worker:
    image: shop/web:dev
    command: sleep inf
    init: true
";

#[test]
fn each_environment_builds_its_own_image_once_and_removes_it() {
    let sandbox = with_build(SHOP, "COPY greeting /\n");
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "worker", &["cat", "/greeting"]), "hello");
    let first = image(&sandbox, "one", "web");
    let labels = inspect("image", &first)["Config"]["Labels"].clone();
    assert_eq!(labels["com.docker.compose.project"], sandbox.project("one"));
    assert_eq!(labels["com.docker.compose.service"], "web");
    assert_eq!(labels["dev.envtree.task"], "one");

    // Compose does not look at the files of an image either, unless it is asked to build.
    fs::write(worktree(&sandbox, "one").join("greeting"), "good day").unwrap();
    let again = sandbox.json(&["up", "one"]);
    assert_eq!(again["operations"], 0, "{again:#}");
    assert_eq!(image(&sandbox, "one", "web"), first);
    let plan = sandbox.json(&["up", "one", "--build", "--dry-run"]).to_string();
    assert!(plan.contains("\"build-image\""), "{plan}");
    assert_eq!(image(&sandbox, "one", "web"), first);
    sandbox.succeed(&["up", "one", "--build"]);
    assert_eq!(sandbox.inside("one", "worker", &["cat", "/greeting"]), "good day");

    sandbox.up("two");
    assert_eq!(sandbox.inside("two", "web", &["cat", "/greeting"]), "hello");
    assert_eq!(sandbox.inside("one", "web", &["cat", "/greeting"]), "good day");
    sandbox.succeed(&["rm", "--force", "one"]);
    let labelled = |id: &str| {
        let label = format!("label=com.docker.compose.project={}", sandbox.project(id));
        docker(&["image", "ls", "--quiet", "--filter", &label])
    };
    assert_eq!(labelled("one").trim(), "");
    assert_ne!(labelled("two").trim(), "");
}

#[test]
fn a_failed_step_is_shown_with_its_line_and_its_last_lines() {
    let sandbox = with_build(SHOP, "COPY greeting /\nRUN echo working; echo no such thing; exit 3\n");
    let said = sandbox.fail(5, &["up", "fix"]);
    assert!(said.contains("caused by: main:compose.yaml:3:5: service `web`: cannot build image `"), "{said}");
    assert!(said.contains("Dockerfile:3: `[3/3] RUN echo working"), "{said}");
    // Once when it begins, and once in the error.
    assert_eq!(said.matches("RUN echo working").count(), 2, "{said}");
    assert!(said.contains("caused by: exit code: 3"), "{said}");
    assert!(said.contains("output: working\n  output: no such thing\n"), "{said}");
    // What is mended is completed by the next.
    fs::write(worktree(&sandbox, "fix").join("Dockerfile"), format!("FROM {BASE}\nCOPY greeting /\n"))
        .unwrap();
    sandbox.up("fix");
    assert_eq!(sandbox.inside("fix", "web", &["cat", "/greeting"]), "hello");
}

#[test]
fn what_cannot_be_built_is_said_with_a_remedy() {
    let sandbox = with_build(SHOP, "");
    let said = sandbox.fail(1, &["up", "fix", "--no-build"]);
    assert!(said.contains("is not built yet") && said.contains("hint: leave out `--no-build`"), "{said}");
    sandbox.git(&["rm", "-q", "Dockerfile"]);
    sandbox.git(&["commit", "-qm", "Forget the image"]);
    let said = sandbox.fail(5, &["up", "other"]);
    assert!(said.contains("there is no file `") && said.contains("hint: `context` is relative"), "{said}");
}

#[test]
fn arguments_secrets_and_inline_text_reach_the_build() {
    let compose = format!(
        "\
services:
  web:
    build:
      context: .
      dockerfile_inline: |
        FROM {BASE} AS dev
        ARG GIVEN
        ARG OUTSIDE
        RUN --mount=type=secret,id=token --mount=type=secret,id=key \\
          echo $$GIVEN $$OUTSIDE $$(wc -c < /run/secrets/token) $$(wc -c < /run/secrets/key) > /result
        FROM dev
        RUN false
      args: {{ GIVEN: here, OUTSIDE: }}
      target: dev
      secrets: [token, key]
    command: sleep inf
    init: true
secrets:
  token: {{ environment: TOKEN }}
  key: {{ file: ./greeting }}
"
    );
    let sandbox = with_build(&compose, "");
    let mut up = sandbox.envtree_with(&["up", "fix", "-v"]);
    let ran = sandbox.ran(&up.env("OUTSIDE", "there").env("TOKEN", "hunter22").output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!(sandbox.inside("fix", "web", &["cat", "/result"]), "here there 8 5");
    assert!(!ran.stderr.contains("hunter22"), "{ran}");
    let history = docker(&["history", "--no-trunc", &format!("{}-web", sandbox.project("fix"))]);
    assert!(!history.contains("hunter22") && !history.contains("hello"), "{history}");
}

/// A server of this machine, which ends with the scenario.
struct Server(Child);

impl Server {
    /// Serves the repositories below `folder` by git's own protocol; returns the port too.
    fn of_git(folder: &Path) -> (Self, u16) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut daemon = Command::new("git");
        daemon.args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.display()));
        let server = Self(daemon.stderr(Stdio::null()).process_group(0).spawn().unwrap());
        eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), SOON);
        (server, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `git daemon` is a process of its own.
        let _ = Command::new("kill").args(["-s", "TERM", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_context_is_fetched_from_a_repository() {
    let remote = with_build("services: {}\n", "COPY greeting /\n");
    let (_server, port) = Server::of_git(&remote.repository());
    let compose = format!(
        "services:\n  web:\n    build: git://127.0.0.1:{port}/.git#main\n    command: sleep inf\n    init: true\n"
    );
    let sandbox = with_compose(&compose);
    sandbox.up("fix");
    assert_eq!(sandbox.inside("fix", "web", &["cat", "/greeting"]), "hello");
    assert_eq!(sandbox.up("fix")["operations"], 0);
}

#[test]
fn a_service_that_runs_a_tag_of_a_build_runs_the_environments_own_image() {
    let compose = "\
services:
  base:
    build: { context: ., tags: ['shop/tagged:1'] }
    command: sleep inf
    init: true
  user:
    image: shop/tagged:1
    command: sleep inf
    init: true
    depends_on: [base]
";
    let sandbox = with_build(compose, "COPY greeting /\n");
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "user", &["cat", "/greeting"]), "hello");
}

#[test]
fn further_contexts_are_folders_images_and_what_other_services_build() {
    let compose = "\
services:
  web:
    build:
      context: .
      dockerfile_inline: |
        FROM base
        COPY --from=docs greeting /docs
        COPY --from=plain /bin/busybox /plain
      additional_contexts:
        base: service:base
        docs: ./docs
        plain: docker-image://BASE
    command: sleep inf
    init: true
  base:
    build: { context: ., dockerfile_inline: \"FROM BASE\\nRUN echo based >/base\\n\" }
    command: sleep inf
    init: true
";
    let sandbox = with_build(&compose.replace("BASE", BASE), "");
    sandbox.write("docs/greeting", "documented");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Document it"]);
    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    if version.starts_with("20.") {
        let said = sandbox.fail(5, &["up", "fix"]);
        assert!(said.contains("knows no `additional_contexts`"), "{said}");
        return;
    }
    sandbox.up("fix");
    assert_eq!(sandbox.inside("fix", "web", &["cat", "/base", "/docs"]), "based\ndocumented");
    sandbox.inside("fix", "web", &["test", "-s", "/plain"]);

    // A command needs the image of another service to have its own built, and not that service.
    sandbox.succeed(&["down", "fix"]);
    for service in ["web", "base"] {
        docker(&["image", "rm", "-f", &format!("{}-{service}", sandbox.project("fix"))]);
    }
    let ran = sandbox.succeed(&["run", "fix", "web", "--", "cat", "/base"]);
    assert_eq!(ran.stdout, "based\n", "{ran}");
}

#[test]
fn an_image_keeps_how_it_was_made_where_that_is_asked_for() {
    let compose = "\
services:
  web:
    build: { context: ., cache_to: [type=inline], cache_from: [127.0.0.1:5000/nobody/has:this] }
    command: sleep inf
    init: true
  other:
    build: { context: ., args: { BUILDKIT_INLINE_CACHE: 1 } }
    command: sleep inf
    init: true
";
    let sandbox = with_build(compose, "RUN echo made >/made\n");
    sandbox.up("fix");
    for service in ["web", "other"] {
        let name = format!("{}-{service}", sandbox.project("fix"));
        let saved = Command::new("docker").args(["save", &name]).output().unwrap().stdout;
        let said = String::from_utf8_lossy(&saved).contains("moby.buildkit.cache.v0");
        assert!(said, "{service}");
    }
}

#[test]
fn the_progress_of_a_build_is_plain_lines_or_moves_at_a_terminal() {
    let sandbox = with_build(SHOP, "RUN echo from within; sleep 1\n");
    let ran = sandbox.succeed(&["up", "fix"]);
    let name = format!("{}-web", sandbox.project("fix"));
    let lines = sandbox.run(&["up", "other", "-v"]).stderr;
    assert!(ran.stderr.contains("building ") && ran.stderr.contains(" [2/2] RUN echo from within"), "{ran}");
    assert!(!ran.stderr.contains("[internal]") && !ran.stderr.contains("| from within"), "{ran}");
    assert!(lines.contains("[internal]"), "{lines}");
    fs::write(
        worktree(&sandbox, "fix").join("Dockerfile"),
        // Named after the sandbox, since the Engine remembers what it built for earlier ones.
        format!("FROM {BASE}\nRUN echo at a terminal; sleep 1; : {name}\n"),
    )
    .unwrap();
    let (status, shown) = Terminal::new(&sandbox, 160, &["up", "fix", "--build"]).end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("[2/2] RUN echo at a terminal") && shown.contains("| at a terminal"), "{shown}");
    assert!(shown.contains(&format!("built {name}")), "{shown}");
}

#[test]
fn an_interrupted_build_ends_and_the_next_up_completes_it() {
    let sandbox = with_build(SHOP, "RUN [ ! -e /wait ]; echo begun; sleep 600\n");
    let marker = "sleep 600";
    let mut terminal = Terminal::new(&sandbox, 160, &["up", "fix"]);
    terminal.wait_for("| begun");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    let is_running = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.into_iter().any(|line| line.contains("[ ! -e /wait ]") && line.contains(marker))
    };
    eventually(|| !is_running(), SOON);
    fs::write(worktree(&sandbox, "fix").join("Dockerfile"), format!("FROM {BASE}\n")).unwrap();
    sandbox.up("fix");
}

#[test]
fn the_classic_builder_builds_and_names_what_it_cannot_do() {
    let sandbox = with_build(SHOP, "COPY greeting /\n");
    let mut up = sandbox.envtree_with(&["up", "fix"]);
    let ran = sandbox.ran(&up.env("DOCKER_BUILDKIT", "0").output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!(sandbox.inside("fix", "web", &["cat", "/greeting"]), "hello");
    sandbox.write("compose.yaml", &SHOP.replace("build: .", "build: { context: ., ssh: [default] }"));
    sandbox.git(&["commit", "-qam", "Ask for an agent"]);
    let mut up = sandbox.envtree_with(&["up", "other"]);
    let ran = sandbox.ran(&up.env("DOCKER_BUILDKIT", "0").output().unwrap());
    assert_eq!(ran.status, Some(5), "{ran}");
    assert!(
        ran.stderr.contains("`ssh` needs BuildKit") && ran.stderr.contains("hint: leave the key out"),
        "{ran}"
    );
}
