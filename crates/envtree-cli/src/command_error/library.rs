//! The library's errors as people and scripts see them.

use std::error::Error as StdError;
use std::path::Path;

use envtree::data::DataError;
use envtree::env_file::EnvFileError;
use envtree::error::{BuildFault, DockerError, EngineFailure, Error, Failure, ImageError, causes};
use envtree::hook::HookError;
use envtree::load::LoadError;
use envtree::one_off::RUNNING;
use envtree::repository::RepositoryError;
use envtree::worktree::WorktreeError;
use envtree_core::nearest::nearest;
use envtree_core::reconcile::ReconcileError;

use super::build;
use super::connect::no_engine;
use super::data::of_data;
use super::state::of_state;
use super::{AGAIN, CommandError, Kind, TASK};

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let mut all = causes(&error);
        let message = all.remove(0);
        let shown = Self { causes: all, ..Self::new(kind(&error), message) };
        match error {
            Error::Docker(DockerError::Connect(error)) => no_engine(shown, &error),
            Error::Docker(error) => engine_refused(shown, &error),
            Error::Repository(error) | Error::Load(LoadError::Repository(error)) => {
                of_repository(shown, &error)
            }
            Error::Worktree(error) => of_worktree(shown, error),
            Error::Base { failures, .. } => {
                with_failures(shown, &failures).hint(format!("mend it and run {AGAIN} again"))
            }
            Error::PartWay { project, command, failures, done } => {
                let shown = Self::new(Kind::PartWay, format!("cannot {command} environment `{project}`"));
                part_way(shown, &failures, &done, command != RUNNING)
            }
            Error::Reconcile(unreachable) => unreachable_plan(shown, &unreachable.error),
            error @ (Error::State(_) | Error::Lock(_) | Error::Secret(_) | Error::Trust(_)) => {
                of_state(shown, &error)
            }
            other => choice(shown, other),
        }
    }
}

/// Returns what sort of failure it is, as the exit status tells it.
fn kind(error: &Error) -> Kind {
    match error {
        Error::Docker(DockerError::Connect(_)) => Kind::Engine,
        Error::Docker(DockerError::Image(ImageError::ReferenceInvalid(_))) => Kind::Input,
        Error::Docker(_)
        | Error::Base { .. }
        | Error::PartWay { .. }
        | Error::Hook(_)
        | Error::Data(DataError::NotStopped { .. } | DataError::Gone { .. })
        | Error::Worktree(
            WorktreeError::Checkout { .. }
            | WorktreeError::Submodules { .. }
            | WorktreeError::Undeletable { .. }
            | WorktreeError::DeleteBranch { .. }
            | WorktreeError::File { .. },
        ) => Kind::PartWay,
        _ => Kind::Input,
    }
}

fn engine_refused(shown: CommandError, error: &DockerError) -> CommandError {
    if matches!(error, DockerError::Image(ImageError::ReferenceInvalid(_))) {
        return shown.hint("an `image` is named as in `postgres:17` or `registry.example.com/team/app:1`");
    }
    if matches!(error, DockerError::ContainerNotRunning { .. }) {
        return shown
            .hint(format!("`envtree start{TASK}` starts it, `envtree logs{TASK}` shows what it last wrote"));
    }
    let is_lost = std::iter::successors(Some(error as &dyn StdError), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<EngineFailure>())
        .any(|failure| failure.status.is_none());
    if is_lost { shown.hint(format!("run {AGAIN} again; it continues where this one ended")) } else { shown }
}

fn of_repository(shown: CommandError, error: &RepositoryError) -> CommandError {
    match error {
        RepositoryError::NotARepository { .. } => {
            shown.hint("go to a git repository, name one with `-C DIR`, or make one with `git init`")
        }
        RepositoryError::NoCommit { .. } => {
            shown.hint("make a first commit: a worktree needs one to start from")
        }
        RepositoryError::BranchName { .. } => {
            shown.hint("a task is named like a branch, such as `fix-login` or `feature/login`")
        }
        RepositoryError::UnknownRevision { .. } => shown.hint("name a branch, a tag or a commit"),
        RepositoryError::Fetch { .. } => shown
            .hint("run the command again when the remote can be reached; `git fetch` shows whether it can"),
        _ => shown,
    }
}

fn of_worktree(shown: CommandError, error: WorktreeError) -> CommandError {
    match error {
        WorktreeError::BranchInUse { prunable: true, .. } => {
            shown.hint("`git worktree prune` forgets the worktree, unless it is locked")
        }
        WorktreeError::BranchInUse { .. } => shown.hint(
            "leave out `--path` to bring that worktree up where it is, or name another branch with `--branch NAME`",
        ),
        WorktreeError::PathOccupied { .. } | WorktreeError::PathTaken { .. } => {
            shown.hint("name another folder with `--path DIR`")
        }
        WorktreeError::BranchInTheWay { .. } => shown.hint("name another branch with `--branch NAME`"),
        WorktreeError::Locked { path, .. } => shown.hint(format!(
            "`git worktree unlock {}`, or `--force`",
            crate::text::shell_quoted(&crate::text::path(&path))
        )),
        WorktreeError::Unmakeable { .. } => {
            shown.hint("mend that, or name another folder with `--path DIR`, for every task with `worktrees:` in `envtree.yaml`")
        }
        WorktreeError::Undeletable { first, .. } => {
            let shown = shown.hint(undeletable(&first));
            shown.hint(format!("{AGAIN} continues from here"))
        }
        WorktreeError::BrokenLink { path } => shown.hint(format!(
            "`git worktree repair {}` mends the link, where the repository or the worktree was moved",
            crate::text::shell_quoted(&crate::text::path(&path))
        )),
        WorktreeError::Submodules { .. } => {
            shown.hint(format!("run {AGAIN} again; it tries the submodules again"))
        }
        WorktreeError::Uncommitted { .. } => {
            shown.hint(format!("commit it, or throw it away with `envtree rm --force{TASK}`"))
        }
        _ => shown,
    }
}

/// Says what to do about a file in the way of a removal; containers often leave such files.
fn undeletable(file: &Path) -> String {
    let file = crate::text::shell_quoted(&crate::text::path(file));
    format!("delete it as its owner, which may be root if a container made it: `sudo rm -r {file}`")
}

fn unreachable_plan(shown: CommandError, error: &ReconcileError) -> CommandError {
    match error {
        ReconcileError::ImageMissing { .. } => shown.hint("`--pull missing` pulls it"),
        ReconcileError::FileUnavailable { .. } => shown.note("nothing was changed"),
        ReconcileError::AddressShared { .. } => shown
            .hint("leave the address out of the file, so that each container gets one of its own")
            .note("nothing was changed"),
        ReconcileError::NoneToJoin { used, .. } => {
            shown.hint(format!("give `{used}` a container: `--scale {used}=1`")).note("nothing was changed")
        }
        ReconcileError::ImageNotBuilt { .. } => shown.hint("leave out `--no-build` to build it"),
        ReconcileError::PlatformNotBuilt { .. } => {
            shown.hint("add the platform to `platforms` under `build`, or change the service's `platform`")
        }
        ReconcileError::ExternalNetworkMissing { name, .. } => {
            shown.hint(format!("`docker network create {name}` makes it"))
        }
        ReconcileError::ExternalVolumeMissing { name, .. } => {
            shown.hint(format!("`docker volume create {name}` makes it"))
        }
        ReconcileError::NotOwned { owner: Some(_), .. } => shown
            .hint("`envtree ls --all` shows whose it is; choose another task name")
            .note("nothing was changed"),
        ReconcileError::NotOwned { kind: "volume", name, owner: None } => shown
            .hint("where Docker Compose made it in this worktree and its containers are gone, `docker compose create` under the same project name lets `envtree up` take it over")
            .hint(format!("`docker volume rm {name}` removes it and its data, if nobody needs it"))
            .note("nothing was changed"),
        ReconcileError::NotOwned { kind, name, owner: None } => shown
            .hint(format!("`docker {kind} rm {name}` removes it, if nobody needs it"))
            .note("nothing was changed"),
    }
}

/// Describes an error that leaves the person a choice; any other stays as it is shown.
fn choice(shown: CommandError, error: Error) -> CommandError {
    match error {
        Error::UnknownTask { task, known } => unknown_task(shown, &task, &known),
        Error::UnknownService { service, known, .. } => unknown_service(shown, &service, &known),
        Error::PortsTaken(_) => shown.hint(format!("`envtree up{TASK} --reassign-ports` picks others")).note("nothing was started"),
        Error::Ports(_) => shown.hint("`envtree ls --all` shows who holds them; `envtree rm TASK` frees those of a task; `ports.range` in the machine's configuration widens the range"),
        Error::TooManyPorts { .. } => shown.hint("publish fewer ports, or widen `ports: { range: … }` in the machine's configuration, `~/.config/envtree/config.yaml`"),
        Error::SubnetsExhausted { .. } => shown.hint("`envtree ls --all` shows who holds them; `network.pool` in the machine's configuration names another pool"),
        Error::ContainerNameTaken { .. } => {
            shown.hint("choose another name, or remove the container").note("nothing was changed")
        }
        Error::NameTaken { .. } => shown.hint("choose another task name").note("nothing was changed"),
        Error::NotInWorktree { .. } => shown.hint("go to a worktree, or name a task: `envtree up TASK`"),
        Error::NoContainerOfNumber { known, .. } => shown.hint(format!("it has {}", numbers(&known))),
        Error::NamedContainer { .. } => shown.hint("leave `container_name` out of the file, so that each container has a name of its own"),
        Error::SharedService { .. } => shown.hint("it starts with its first user and stops with its last; `envtree exec TASK SERVICE -- CMD` runs a command in it"),
        Error::NoContainer { .. } | Error::NoContainers { .. } => shown.hint(format!("`envtree up{TASK}` makes what is missing")),
        Error::WorktreeHasTask { task, .. } => {
            shown.hint(format!("`envtree up {}` brings it up", crate::text::shell_quoted(&task)))
        }
        Error::EnvFileOutside { .. } => shown.hint("name a file inside the worktree, or write none with `env: { file: false }`"),
        Error::NoEnvironment { .. } => shown.hint("`envtree up` makes one, `envtree ls` lists those there are"),
        Error::WorktreeGone { task, .. } => {
            let task = crate::text::shell_quoted(&task);
            shown.hint(format!("`envtree up {task}` makes it again, `envtree rm {task}` removes what is left"))
        }
        Error::BranchExists { .. } => shown.hint("leave out `--from`, or name a new branch with `--branch NAME`"),
        Error::AmbiguousBranch { branch, remotes } => {
            let first = remotes.first().map(String::as_str).unwrap_or_default();
            shown.hint(format!("choose one with `--from {first}/{branch}`"))
        }
        Error::TaskMismatch { task, .. } => shown.hint(format!(
            "choose another task name, or remove the task first with `envtree rm {}`",
            crate::text::shell_quoted(&task)
        )),
        Error::Declined { losses } => CommandError {
            message: "nothing was changed: it needs consent".to_owned(),
            causes: Vec::new(),
            losses,
            ..shown
        }
        .hint("`--yes` consents to exactly this"),
        Error::UnsavedWork { losses, .. } => CommandError { losses, ..shown }
            .hint(format!("commit and push it, or throw it away with `envtree rm --force{TASK}`"))
            .note("nothing was removed"),
        // What fills a base begins with empty volumes each time.
        Error::Hook(HookError::Failed { hook, lines, .. }) => {
            let goes_on = if hook.starts_with("data.") { "" } else { "; it continues from here" };
            shown.log(&lines).hint(format!("mend it and run {AGAIN} again{goes_on}"))
        }
        Error::Data(error) => of_data(shown, &error),
        Error::TrackedEnvFile { .. } => shown.hint("name a file that git ignores, or write none with `env: { file: false }`"),
        Error::EnvFile(EnvFileError::NotAFile { .. } | EnvFileError::NotText(_) | EnvFileError::File { .. }) => {
            shown.hint("move it away, or name another file with `env: { file: NAME }`")
        }
        Error::EnvFile(EnvFileError::Closed { .. }) => {
            shown.hint("make the folder writable, or name another file with `env: { file: NAME }`")
        }
        Error::SettingsExist { .. } => shown.hint("edit it, or remove it first"),
        Error::TrustInside => shown.hint("run `envtree trust` in a shell of your own, outside any environment"),
        _ => shown,
    }
}

fn unknown_task(shown: CommandError, task: &str, known: &[String]) -> CommandError {
    let make = format!("`envtree up {}` makes it", crate::text::shell_quoted(task));
    let shown = match nearest(task, known.iter().map(String::as_str)) {
        Some(name) => shown.hint(format!("did you mean `{name}`?")),
        None if known.is_empty() => shown.hint(make),
        None => shown.hint(format!("`envtree ls` lists them; {make}")),
    };
    if known.is_empty() {
        shown.note("this repository has no environments")
    } else {
        shown.note(format!("there are: {}", quoted(known)))
    }
}

fn unknown_service(shown: CommandError, service: &str, known: &[String]) -> CommandError {
    let shown = match nearest(service, known.iter().map(String::as_str)) {
        Some(name) => shown.hint(format!("did you mean `{name}`?")),
        None => shown,
    };
    if known.is_empty() {
        shown
            .hint(format!("`envtree up{TASK}` makes its containers"))
            .note("the environment has no containers")
    } else {
        shown.note(format!("there are: {}", quoted(known)))
    }
}

/// `is_resumable` tells whether the command continues where it ended when it is given again.
fn part_way(shown: CommandError, failures: &[Failure], done: &[String], is_resumable: bool) -> CommandError {
    let mut shown = with_failures(shown, failures);
    if is_resumable {
        shown =
            shown.hint(format!("{AGAIN} continues from here, `envtree status{TASK}` shows what there is"));
    } else if !done.is_empty() {
        shown = shown.hint(format!("`envtree status{TASK}` shows what there is"));
    }
    if done.is_empty() {
        shown.note("nothing was changed on the Engine before that")
    } else {
        crate::done::notes(done).into_iter().fold(shown, CommandError::note)
    }
}

/// Adds what failed, and what to do about it.
fn with_failures(shown: CommandError, failures: &[Failure]) -> CommandError {
    // One failure shows its chain of causes line by line; several show one line each.
    let causes = match failures {
        [failure] => failure.causes.clone(),
        several => several.iter().map(|failure| failure.causes.join(": ")).collect(),
    };
    let mut shown = CommandError { causes, ..shown };
    for failure in failures {
        shown = shown.log(&failure.log);
    }
    for taken in failures.iter().filter_map(|failure| failure.taken.as_ref()) {
        let port = taken.number();
        let holder = taken.held_by().map(|holder| format!("{holder} holds port {port}; "));
        let holder = holder.unwrap_or_default();
        shown = shown.hint(format!("{holder}`envtree up{TASK} --reassign-ports` picks another port"));
    }
    for container in failures.iter().filter_map(|failure| failure.unstoppable.as_deref()) {
        shown = shown.hint(format!("mend the hook, or end the container without it: `docker stop {container}`; `envtree rm --force` goes on whatever it says"));
    }
    for port in failures.iter().filter_map(|failure| failure.silent) {
        shown = shown.hint(format!("nothing answers at port {port}, and the service has no health check: a `healthcheck` tells when it is ready, `--no-wait` does not wait for it"));
    }
    for registry in failures.iter().filter_map(|failure| failure.registry.as_deref()) {
        shown = shown.hint(format!("`docker login {registry}` gives credentials; without any, many registries deny images that they do not have"));
    }
    for file in failures.iter().filter_map(|failure| failure.undeletable.as_deref()) {
        shown = shown.hint(undeletable(file));
    }
    for failure in failures.iter().filter_map(|failure| failure.credentials.as_ref()) {
        shown = shown.hint(match &failure.helper {
            Some(helper) => format!("mend `{helper}`, or take it out of Docker's `config.json`, where `credsStore` or `credHelpers` names it"),
            None => "mend the file, or name another folder with `DOCKER_CONFIG`".to_owned(),
        });
    }
    let mut faults: Vec<BuildFault> = failures.iter().filter_map(|failure| failure.build).collect();
    faults.dedup();
    for fault in faults {
        shown = shown.hint(build::hint(fault));
    }
    shown
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Writes the numbers of containers: `container 1`, `containers 1 and 3`.
fn numbers(known: &[u32]) -> String {
    match known {
        [only] => format!("container {only}"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(u32::to_string).collect();
            format!("containers {} and {last}", rest.join(", "))
        }
        [] => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use envtree::error::{ConnectError, TakenPort};
    use envtree::port_probe::Holder;
    use envtree_core::service::Protocol;

    use super::*;

    fn shown(error: Error) -> String {
        let error = CommandError::from(error).addressed(Some("x"), Some("envtree up x"));
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    fn failure(causes: &[&str]) -> Failure {
        Failure { causes: causes.iter().map(|&cause| cause.to_owned()).collect(), ..Failure::default() }
    }

    fn part_way(failures: Vec<Failure>, done: &[&str]) -> Error {
        Error::PartWay {
            command: "bring up",
            project: "shop-x".to_owned(),
            failures,
            done: done.iter().map(|&step| step.to_owned()).collect(),
        }
    }

    #[test]
    fn a_failure_part_way_says_why_what_is_left_and_what_to_run() {
        let postgres = Holder { pid: 4711, name: "postgres".to_owned(), container: None };
        let port = TakenPort {
            port: 20_014,
            protocol: Protocol::Tcp,
            service: "db".to_owned(),
            holder: Some(postgres),
            container: None,
            user: None,
            suspects: Vec::new(),
        };
        let taken = Failure {
            taken: Some(port),
            ..failure(&["cannot start container `shop-x-db-1`", "address already in use"])
        };
        let error = part_way(vec![taken], &["create network shop-x_default"]);
        insta::assert_snapshot!(shown(error), @"
        error: cannot bring up environment `shop-x`
          caused by: cannot start container `shop-x-db-1`
          caused by: address already in use
        hint: process 4711 (`postgres`) holds port 20014; `envtree up x --reassign-ports` picks another port
        hint: `envtree up x` continues from here, `envtree status x` shows what there is
        note: created and kept: network `shop-x_default`
        ");
        assert_eq!(CommandError::from(part_way(vec![failure(&["a"])], &[])).kind.exit_code(), 5);
    }

    #[test]
    fn a_run_is_not_said_to_continue() {
        let run = |done: &[&str]| {
            let mut error = part_way(vec![failure(&["a"])], done);
            if let Error::PartWay { command, .. } = &mut error {
                *command = RUNNING;
            }
            shown(error)
        };
        insta::assert_snapshot!(run(&[]), @"
        error: cannot run a command in environment `shop-x`
          caused by: a
        note: nothing was changed on the Engine before that
        ");
        insta::assert_snapshot!(run(&["create network shop-x_default"]), @"
        error: cannot run a command in environment `shop-x`
          caused by: a
        hint: `envtree status x` shows what there is
        note: created and kept: network `shop-x_default`
        ");
    }

    #[test]
    fn a_base_is_no_environment_and_goes_on_from_nothing() {
        let error = Error::Base { project: "shop_base-1".to_owned(), failures: vec![failure(&["a"])] };
        insta::assert_snapshot!(shown(error), @"
        error: cannot work on base `shop_base-1`
          caused by: a
        hint: mend it and run `envtree up x` again
        ");
    }

    #[test]
    fn several_failures_take_a_line_each_and_show_their_output() {
        let loud = Failure { log: vec!["FATAL: no".to_owned(), "bye".to_owned()], ..failure(&["c"]) };
        insta::assert_snapshot!(shown(part_way(vec![failure(&["a", "b"]), loud], &[])), @"
        error: cannot bring up environment `shop-x`
          caused by: a: b
          caused by: c
          output: FATAL: no
          output: bye
        hint: `envtree up x` continues from here, `envtree status x` shows what there is
        note: nothing was changed on the Engine before that
        ");
    }

    #[test]
    fn an_engine_that_does_not_answer_has_a_status_of_its_own() {
        let attempt = envtree::error::Attempt {
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            cause: "no such socket".to_owned(),
        };
        let error = || Error::Docker(ConnectError::NoEngine { tried: vec![attempt.clone()] }.into());
        assert_eq!(CommandError::from(error()).kind.exit_code(), 4);
        insta::assert_snapshot!(shown(error()), @"
        error: no Engine answers at `unix:///var/run/docker.sock` (no such socket)
          caused by: unix:///var/run/docker.sock: no such socket
        hint: start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
        note: nothing was changed
        ");
    }

    #[test]
    fn a_mistyped_task_gets_a_suggestion() {
        let known = vec!["fix-login".to_owned(), "search".to_owned()];
        let error = Error::UnknownTask { task: "fix-logn".to_owned(), known };
        insta::assert_snapshot!(shown(error), @"
        error: no environment of this repository has the task `fix-logn`
        hint: did you mean `fix-login`?
        note: there are: `fix-login`, `search`
        ");
    }

    #[test]
    fn a_partial_clone_without_its_remote_gets_a_hint() {
        let source = Box::new(envtree::worktree::GitError::NotInstalled);
        let object = "74b4ff".to_owned();
        let error = RepositoryError::Fetch { object, common_dir: "/home/shop/.git".into(), source };
        insta::assert_snapshot!(shown(LoadError::from(error).into()), @"
        error: cannot fetch object `74b4ff`, which the partial clone `/home/shop/.git` lacks
          caused by: the `git` program is not installed
        hint: run the command again when the remote can be reached; `git fetch` shows whether it can
        ");
    }

    #[test]
    fn unsaved_work_is_listed() {
        let error = Error::UnsavedWork {
            worktree: "/home/shop.worktrees/x".into(),
            losses: vec![
                "uncommitted: README.md".to_owned(),
                "1 commit on `x`, neither pushed nor merged:".to_owned(),
            ],
        };
        insta::assert_snapshot!(shown(error), @"
        error: worktree `/home/shop.worktrees/x` holds work that exists nowhere else
          this would be lost:
            uncommitted: README.md
            1 commit on `x`, neither pushed nor merged:
        hint: commit and push it, or throw it away with `envtree rm --force x`
        note: nothing was removed
        ");
    }
}
