//! Names, files and settings that cannot be right: what `up` says of each, and that it makes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::common::{Ran, Sandbox};
use crate::leftovers::leftovers;
use crate::stage::{IDLE, answer, beside, commit, done, idle, refused, sandbox_with, worktree};

/// Brings `task` up, which must be refused before anything is made.
#[track_caller]
fn refused_up(sandbox: &Sandbox, task: &str) -> Ran {
    let ran = refused(sandbox, 1, &["up", "--", task]);
    assert_eq!(leftovers(sandbox), [""; 0], "{task}: {ran}");
    ran
}

/// Returns the error of a repository with these files, of which nothing may be made.
#[track_caller]
fn refusal_of(files: &[(&str, &str)]) -> String {
    refused_up(&sandbox_with(files), "fix").to_string()
}

/// Returns the error of a repository with [`IDLE`] on a machine with this configuration.
#[track_caller]
fn refusal_on(machine: &str) -> String {
    let sandbox = idle();
    fs::write(beside(&sandbox, "machine.yaml"), machine).unwrap();
    let mut command = sandbox.envtree_with(&["up", "fix"]);
    let output = command.env("ENVTREE_CONFIG", beside(&sandbox, "machine.yaml")).output().unwrap();
    assert_eq!(leftovers(&sandbox), [""; 0]);
    sandbox.ran(&output).to_string()
}

#[test]
fn names_that_no_branch_can_have_are_refused_with_the_rule() {
    let sandbox = idle();
    let long = "x".repeat(300);
    let names =
        ["..", ".", "-x", "", "a\u{1b}[31mb", "a\nb", "refs/heads/x", "x/", "@{-1}", "é .lock", &long];
    let rules = names.map(|name| {
        let ran = refused_up(&sandbox, name);
        assert!(
            ran.stderr
                .ends_with("hint: a task is named like a branch, such as `fix-login` or `feature/login`\n"),
            "{ran}"
        );
        ran.stderr.lines().next().unwrap().replace(&long, "x…x")
    });
    insta::assert_snapshot!(rules.join("\n"), @r"
    error: `..` cannot be the name of a branch: it, or a part of it, begins with `.`
    error: `.` cannot be the name of a branch: it, or a part of it, begins with `.`
    error: `-x` cannot be the name of a branch: it begins with `-`
    error: `` cannot be the name of a branch: it is empty
    error: `a\u{1b}[31mb` cannot be the name of a branch: it contains a control character or a blank that is not allowed
    error: `a\nb` cannot be the name of a branch: it contains a control character or a blank that is not allowed
    error: `refs/heads/x` cannot be the name of a branch: it begins with `refs/`, as full names of references do
    error: `x/` cannot be the name of a branch: a slash stands at its beginning or end, or next to another
    error: `@{-1}` cannot be the name of a branch: it contains `@{`
    error: `é .lock` cannot be the name of a branch: ` ` is not allowed in it
    error: `x…x` cannot be the name of a branch: a part of it is longer than 250 bytes
    ");
    let ran = refused(&sandbox, 1, &["up", "fix", "--branch", "a..b"]);
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: `a..b` cannot be the name of a branch: it contains `..`
    hint: a task is named like a branch, such as `fix-login` or `feature/login`
    ");
}

#[test]
fn every_command_refuses_a_task_that_there_is_not() {
    let sandbox = idle();
    for command in ["down", "stop", "start", "restart", "rm", "status", "logs", "env"] {
        let ran = refused(&sandbox, 1, &[command, "--", "../../etc"]);
        let first = "error: no environment of this repository has the task `../../etc`\n";
        assert!(ran.stderr.starts_with(first), "{command}: {ran}");
    }
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn names_that_differ_in_case_alone_are_two_environments() {
    let sandbox = idle();
    for task in ["Fix", "fix", "FIX"] {
        done(&sandbox, &["up", task, "--no-wait"]);
    }
    let listed = answer(&sandbox, &["ls"]);
    let of = |key: &str| {
        let values = listed["environments"].as_array().unwrap().iter();
        let mut values: Vec<_> =
            values.map(|environment| environment[key].as_str().unwrap().to_owned()).collect();
        values.sort();
        values.dedup();
        values
    };
    assert_eq!(of("task"), ["FIX", "Fix", "fix"]);
    assert_eq!((of("id").len(), of("worktree").len(), of("project").len()), (3, 3, 3), "{listed:#}");
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_is_not_checked_out_twice() {
    let sandbox = idle();
    let place = beside(&sandbox, "elsewhere");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "theirs", place.to_str().unwrap()]);
    let ran = refused(&sandbox, 1, &["up", "fix", "--branch", "theirs", "--path", "../new"]);
    assert!(!beside(&sandbox, "new").exists());
    assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: branch `theirs` is already checked out in `/root----------------/elsewhere`
    hint: leave out `--path` to bring that worktree up where it is, or name another branch with `--branch NAME`
    ");
}

#[test]
fn an_unknown_template_names_those_there_are() {
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "compose:\n  template: oracle\n")]), @"
    exit status 1
    --- stderr
    error: main:envtree.yaml:2:13: there is no template `oracle`, but `postgres-redis`, `postgres`, `mariadb-redis`, `full`
    ");
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "hooks: [\n")]), @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:8: `hooks`: this `[` is not closed
    ");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", "services:\n  app:\n   image: a\n  - b\n")]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:4:5: `services`: a key or `- ` of the lines above is expected here; is the indentation right?
    ");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", "services:\n\tapp: {}\n")]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:2:2: `services`: a tab stands where YAML takes only spaces
    ");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", "")]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:1:1: the Compose file is empty; `services` is expected
    ");
}

#[test]
fn values_of_the_wrong_type_are_told_with_what_was_expected() {
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "hooks: { post_up: { run: x } }\n")]), @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:19: expected a text or a list of texts, found a mapping
    ");
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "apps: { web: { port: many } }\n")]), @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:22: expected a whole number from 1 to 65535
    ");
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "apps: { web: { port: 70000 } }\n")]), @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:22: expected a whole number from 1 to 65535
    ");
    insta::assert_snapshot!(refusal_of(&[("envtree.yaml", "env: { file: [a] }\n")]), @"
    exit status 1
    --- stderr
    error: envtree.yaml:1:14: expected a text, found a list
    ");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", "services: [app]\n")]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:1:11: `services` must be a mapping, not a list
    ");
    let ports = IDLE.replace("init: true", "ports: ['eighty']");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", &ports)]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:5:13: service `app`: `ports[0]` must be `[[address:]published:]target[/protocol]`, not `eighty`
    ");
    let init = IDLE.replace("init: true", "init: perhaps");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", &init)]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:5:11: service `app`: `init` must be `true` or `false`, not `perhaps`
    ");
}

#[test]
fn nonsense_in_the_configuration_of_the_machine_is_told_with_its_place() {
    insta::assert_snapshot!(refusal_on("ports: { range: 1-0 }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:17: expected a range of ports such as `2####-2####`
    ");
    for range in ["0-10", "65000-66000", "80", "a-b", "{}", "[1, 2]"] {
        let refusal = refusal_on(&format!("ports: {{ range: {range} }}\n"));
        assert!(refusal.contains("machine.yaml:1:17: "), "{range}: {refusal}");
    }
    insta::assert_snapshot!(refusal_on("ports: { span: 1-2 }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:10: unknown key `span`; known are `range`
    ");
    insta::assert_snapshot!(refusal_on("networks: { pool: 10.0.0.0/16 }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:1: unknown key `networks`; did you mean `network`?
    ");
    insta::assert_snapshot!(refusal_on("network: { pol: 10.0.0.0/16 }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:12: unknown key `pol`; did you mean `pool`?
    ");
    insta::assert_snapshot!(refusal_on("network: { pool: here }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:18: expected an IPv4 network such as `10.214.0.0/16`
    ");
    insta::assert_snapshot!(refusal_on("network: { pool: 10.0.0.0/16, size: 8 }\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:37: expected a whole number from 17 to 29
    ");
    insta::assert_snapshot!(refusal_on("mirrors: [docker.io]\n"), @"
    exit status 1
    --- stderr
    error: /root----------------/machine.yaml:1:10: expected a mapping, found a list
    ");
    let sandbox = idle();
    let output = sandbox.envtree_with(&["up", "fix"]).env("ENVTREE_CONFIG", "/nonexistent").output().unwrap();
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 1
    --- stderr
    error: ENVTREE_CONFIG names `/nonexistent`, where there is no file
    ");
}

#[test]
fn a_pool_that_the_engine_or_the_host_uses_is_passed_over_and_then_refused() {
    // The Engine's own bridge lies in it, and takes all of it.
    let bridge = crate::support::inspect("network", "bridge")["IPAM"]["Config"][0]["Subnet"].clone();
    let bridge: String = bridge.as_str().unwrap().to_owned();
    let size = bridge.split_once('/').unwrap().1.parse::<u8>().unwrap() + 4;
    let refusal = refusal_on(&format!("network: {{ pool: {bridge}, size: {size} }}\n"));
    let text = refusal.replace(&bridge, "[bridge]").replace(&format!("/{size}"), "/[size]");
    insta::assert_snapshot!(text, @"
    exit status 1
    --- stderr
    error: no free subnet of size /[size] is left in [bridge]
    hint: `envtree ls --all` shows who holds them; `network.pool` in the machine's configuration names another pool
    ");
}

#[test]
fn an_env_file_that_leads_out_is_not_written_through() {
    let settings = "env:\n  file: config/local.env\n";
    let sandbox = sandbox_with(&[("envtree.yaml", settings), ("compose.yaml", IDLE)]);
    let target = beside(&sandbox, "precious");
    fs::write(&target, "mine\n").unwrap();
    fs::create_dir(sandbox.repository().join("config")).unwrap();
    symlink(&target, sandbox.repository().join("config/local.env")).unwrap();
    fs::write(sandbox.repository().join(".gitignore"), "x\n").unwrap();
    commit(&sandbox, "Link the file");
    let ran = refused_up(&sandbox, "fix");
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine\n");
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: symlink `config/local.env` in commit ############ leads out of the repository or back to itself
    ");
}

#[test]
fn an_env_file_that_cannot_be_written_is_told_and_up_goes_on_from_there() {
    let settings = "env:\n  file: config/local.env\n";
    let sandbox = sandbox_with(&[("envtree.yaml", settings), ("compose.yaml", IDLE), ("config/x", "")]);
    done(&sandbox, &["up", "fix"]);
    let place = worktree(&sandbox, "fix").join("config/local.env");
    fs::remove_file(&place).unwrap();
    // Root writes anywhere, so a folder stands in the way.
    fs::create_dir(&place).unwrap();
    fs::write(place.join("mine"), "").unwrap();
    let ran = sandbox.run(&["up", "fix"]);
    assert!(place.join("mine").exists());
    fs::remove_dir_all(&place).unwrap();
    done(&sandbox, &["up", "fix"]);
    assert!(Path::new(&place).is_file());
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: env file `/root----------------/sandbox-xxxxxxxx.worktrees/fix/config/local.env` is not a regular file
    hint: move it away, or name another file with `env: { file: NAME }`
    ");
}

#[test]
fn an_image_that_is_no_image_is_refused() {
    let compose = IDLE.replace("busybox:1", "'Busy Box:1'");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", &compose)]), @"
    exit status 1
    --- stderr
    error: `Busy Box:1` is not an image reference: a repository is lower-case letters, digits, `.`, `_`, `-` and `/`
    hint: an `image` is named as in `postgres:17` or `registry.example.com/team/app:1`
    ");
}

#[test]
fn containers_to_join_that_do_not_exist_are_refused_with_their_places() {
    let compose =
        format!("{IDLE}    network_mode: 'container:nope'\n    volumes_from: ['container:nope:ro']\n");
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", &compose)]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:6:5: service `app`: `network_mode`: the Engine has no container `nope`; make it first, or name a service of the file as `service:NAME`
      main:compose.yaml:7:5: service `app`: `volumes_from`: the Engine has no container `nope`; make it first, or name a service of the file as `NAME`
    ");
}

#[test]
fn what_no_engine_starts_is_refused_before_anything_is_made() {
    let keys = "    extra_hosts: ['api:nowhere']\n    volumes: ['d:/d']\n";
    insta::assert_snapshot!(refusal_of(&[("compose.yaml", &format!("{IDLE}{keys}"))]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:6:5: service `app`: `extra_hosts`: `nowhere`, for `api`, is neither an IP address nor `host-gateway`
      main:compose.yaml:7:5: service `app`: `volumes`: the target of a mount must be an absolute path, not `d:/d`
    ");
}

#[test]
fn an_engine_that_is_too_old_is_told() {
    use std::io::{Read, Write};
    let sandbox = idle();
    let socket = beside(&sandbox, "old.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    // It answers until the test ends, and has nothing.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let body = match String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default() {
                "/_ping" => "OK",
                "/version" => {
                    r#"{"ApiVersion":"1.40","MinAPIVersion":"1.12","Version":"19.03.15","Os":"linux","Arch":"amd64"}"#
                }
                path if path.starts_with("/volumes") => r#"{"Volumes":[],"Warnings":null}"#,
                _ => "[]",
            };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.40\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let host = format!("unix://{}", socket.display());
    let output = sandbox.envtree().args(["up", "fix"]).env("DOCKER_HOST", host).output().unwrap();
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 4
    --- stderr
    error: the Engine at `unix:///root----------------/old.sock` speaks API 1.40, which is older than 1.41
    hint: envtree needs Docker Engine 20.10 or a newer one: update it, or name another with `DOCKER_HOST`
    ");
}
