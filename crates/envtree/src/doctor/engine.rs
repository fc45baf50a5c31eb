//! The Engine: where it is, whether it answers, what it is, and what it can do.

use std::collections::BTreeSet;
use std::time::Duration;

use envtree_core::observed::{ObservedNetwork, ObservedState};
use envtree_docker::connect::ConnectError;
use envtree_docker::version::{ApiVersion, EngineFacts};
use envtree_docker::{Docker, DockerError, Endpoint, EngineFailure, EngineSetup, Selection};
use jiff::Timestamp;

use super::check::{About, Check, Group};
use crate::error::Error;

/// How long the Engine may take for each answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// By how many seconds its clock may differ.
const DIFFERENCE: i64 = 5;
/// The storage drivers that keep every layer as a whole copy, or that Engines are giving up.
const POOR_DRIVERS: [&str; 3] = ["vfs", "devicemapper", "aufs"];

const NO_ENGINE: &str = "start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`";
const UNWELL: &str = "`docker ps` shows whether it answers others; if not, start Docker again";

/// An Engine that answers.
pub(super) struct KnownEngine {
    pub(super) facts: EngineFacts,
    /// Empty where the Engine does not tell.
    pub(super) setup: EngineSetup,
    /// The other machine on which it runs.
    pub(super) remote: Option<String>,
    /// All that envtree made.
    pub(super) observed: ObservedState,
    /// All networks.
    pub(super) networks: Vec<ObservedNetwork>,
    /// The ports that containers publish, if it runs on another machine.
    pub(super) published: BTreeSet<u16>,
}

impl KnownEngine {
    /// Returns whether the files of the Engine are files of this machine.
    pub(super) fn has_files_here(&self) -> bool {
        self.facts.is_local || self.remote.is_none() && self.setup.is_rootless
    }
}

const fn about(name: &'static str) -> About {
    About(Group::Engine, name)
}

/// Looks at the Engine; nothing if none answers as it must.
pub(super) async fn look(docker: &Docker, classic: bool, checks: &mut Vec<Check>) -> Option<KnownEngine> {
    // It has deadlines of its own, which differ from way to way.
    if let Err(error) = docker.connect().await {
        checks.push(unreachable(error));
        return None;
    }
    let facts = match within(docker.facts()).await {
        Ok(facts) => facts.clone(),
        Err(error) => {
            checks.push(about("version").fault(error, UNWELL));
            return None;
        }
    };
    checks.push(about("endpoint").ok(endpoint(&facts)));
    checks.push(version(&facts));
    let remote = docker.remote_host().await.ok().flatten().map(str::to_owned);
    let before = Timestamp::now();
    let setup = within(docker.setup()).await;
    let after = Timestamp::now();
    let setup = match setup {
        Ok(setup) => setup,
        Err(error) => {
            checks.push(about("setup").fault(error, UNWELL));
            EngineSetup::default()
        }
    };
    checks.push(place(&facts, &setup, remote.as_deref()));
    checks.extend(clock(&setup, before, after));
    checks.extend(storage(&facts, &setup));
    checks.push(builder(&facts, classic, within(docker.has_buildkit()).await));
    let known = KnownEngine {
        facts,
        setup,
        published: BTreeSet::new(),
        remote,
        observed: ObservedState::default(),
        networks: Vec::new(),
    };
    observe(docker, known, checks).await
}

async fn observe(docker: &Docker, known: KnownEngine, checks: &mut Vec<Check>) -> Option<KnownEngine> {
    let looked = within(async {
        let published =
            if known.remote.is_some() { docker.published_ports().await? } else { BTreeSet::new() };
        Ok((docker.observe_all(None).await?, docker.networks().await?, published))
    });
    match looked.await {
        Ok((observed, networks, published)) => Some(KnownEngine { observed, networks, published, ..known }),
        Err(error) => {
            checks.push(about("objects").fault(error, UNWELL));
            None
        }
    }
}

/// Waits for an answer as long as it may take.
async fn within<T>(call: impl Future<Output = Result<T, DockerError>>) -> Result<T, DockerError> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", PATIENCE.as_secs());
        Err(DockerError::Info(EngineFailure { status: None, message }))
    })
}

fn unreachable(error: DockerError) -> Check {
    let silent = match &error {
        DockerError::Connect(ConnectError::NoEngine { tried }) if tried.len() > 1 => {
            let there: Vec<String> = tried
                .iter()
                .filter(|attempt| attempt.cause != "no such socket")
                .map(|attempt| format!("`{}` ({})", attempt.endpoint, attempt.cause))
                .collect();
            Some(match &there[..] {
                [] => format!(
                    "no Engine answers: none of the {} usual sockets is there, the first being `{}`",
                    tried.len(),
                    tried[0].endpoint
                ),
                there => format!("no Engine answers at {}", there.join(", ")),
            })
        }
        _ => None,
    };
    let check = about("endpoint").fault(Error::from(error), NO_ENGINE);
    match silent {
        Some(finding) => Check { finding, ..check },
        None => check,
    }
}

fn endpoint(facts: &EngineFacts) -> String {
    match Endpoint::from_environment().selection() {
        Ok(Selection::Usual) => format!("`{}`, one of {}", facts.endpoint, Selection::Usual),
        Ok(selection) => format!("`{}`, named by {selection}", facts.endpoint),
        Err(_) => format!("`{}`", facts.endpoint),
    }
}

fn version(facts: &EngineFacts) -> Check {
    let oldest = ApiVersion::MINIMUM;
    let EngineFacts { name, version, api, .. } = facts;
    about("version").ok(format!("{name} {version}, API {api} (oldest supported: {oldest})"))
}

/// Judges where containers run: what they publish is reached there.
fn place(facts: &EngineFacts, setup: &EngineSetup, remote: Option<&str>) -> Check {
    let about = about("place");
    match remote {
        Some(host) => about.warn(
            format!("it runs on `{host}`: ports are published there, and bind mounts of files of this machine are refused"),
            "unset `DOCKER_HOST`, or `docker context use default`, if an Engine of this machine is meant",
        ),
        None if setup.is_rootless => about.ok("it runs on this machine, without root"),
        None if facts.is_local => about.ok("it runs on this machine, as root"),
        None => about.ok("it runs on this machine, in a virtual one or in a network of its own"),
    }
}

fn clock(setup: &EngineSetup, before: Timestamp, after: Timestamp) -> Option<Check> {
    let told: Timestamp = setup.time.as_ref()?.parse().ok()?;
    let ahead = ahead(told, before, after);
    let about = about("clock");
    if ahead.abs() <= DIFFERENCE {
        return Some(about.ok("it tells the time of this machine"));
    }
    let (seconds, way) = (ahead.unsigned_abs(), if ahead > 0 { "ahead of" } else { "behind" });
    Some(about.warn(
        format!("its clock is {seconds} s {way} this machine's: ages, `logs --since` and certificates go by it"),
        "set both by the network, `sudo timedatectl set-ntp true`; start a virtual machine such as Docker Desktop's again",
    ))
}

/// Returns by how many seconds a clock is ahead that told `told` at some moment between the two, at least; a negative number
/// if it is behind.
fn ahead(told: Timestamp, before: Timestamp, after: Timestamp) -> i64 {
    if told > after {
        told.as_second() - after.as_second()
    } else if told < before {
        told.as_second() - before.as_second()
    } else {
        0
    }
}

fn storage(facts: &EngineFacts, setup: &EngineSetup) -> Option<Check> {
    let driver = setup.storage_driver.as_str();
    if driver.is_empty() {
        return None;
    }
    let about = about("storage");
    let root = setup.root.as_ref().map(|root| format!(" in `{}`", root.display())).unwrap_or_default();
    if !POOR_DRIVERS.contains(&driver) {
        return Some(about.ok(format!("{driver}{root}")));
    }
    let remedy = if facts.is_podman() {
        "set `driver = \"overlay\"` under `[storage]` in `storage.conf`, then `podman system reset`, which removes all that it has"
    } else {
        "set `\"storage-driver\": \"overlay2\"` in `/etc/docker/daemon.json` and start Docker again; images are pulled anew"
    };
    Some(about.warn(format!("{driver}{root}, which is slow or takes the room of every layer again"), remedy))
}

fn builder(facts: &EngineFacts, classic: bool, buildkit: Result<bool, DockerError>) -> Check {
    let about = about("builder");
    match buildkit {
        _ if classic => about.ok("the classic builder, as `DOCKER_BUILDKIT=0` says"),
        Ok(true) => about.ok("BuildKit"),
        Ok(false) => about.warn(
            format!("{} {} has no BuildKit: `build:` goes by the classic builder, without `secrets`, `ssh` and `additional_contexts`", facts.name, facts.version),
            "where a `build:` needs these, `docker context use NAME` chooses an Engine with BuildKit, such as Docker Engine 23",
        ),
        Err(error) => about.fault(error, UNWELL),
    }
}

#[cfg(test)]
mod tests {
    use envtree_docker::connect::Attempt;

    use super::*;
    use crate::doctor::tests::{facts, told};

    fn setup(driver: &str) -> EngineSetup {
        EngineSetup {
            storage_driver: driver.to_owned(),
            root: Some("/data".into()),
            ..EngineSetup::default()
        }
    }

    #[test]
    fn where_containers_run_is_told_and_another_machine_warned_about() {
        let rootless = EngineSetup { is_rootless: true, ..setup("vfs") };
        let distant = EngineFacts { is_local: false, ..facts("Docker Desktop") };
        insta::assert_snapshot!(told(&[
            place(&facts("Docker Engine"), &setup("overlay2"), None),
            place(&facts("Docker Engine"), &rootless, None),
            place(&distant, &setup("overlay2"), None),
            place(&distant, &setup("overlay2"), Some("build")),
        ]), @"
        ok   engine place: it runs on this machine, as root
        ok   engine place: it runs on this machine, without root
        ok   engine place: it runs on this machine, in a virtual one or in a network of its own
        warn engine place: it runs on `build`: ports are published there, and bind mounts of files of this machine are refused
             -> unset `DOCKER_HOST`, or `docker context use default`, if an Engine of this machine is meant
        ");
    }

    #[test]
    fn a_clock_may_differ_by_some_seconds_and_by_what_the_answer_took() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!([99, 100, 104, 107, 110].map(|told| ahead(at(told), at(100), at(104))), [-1, 0, 0, 3, 6]);
        let check = |second| {
            let setup = EngineSetup { time: Some(at(second).to_string()), ..setup("overlay2") };
            clock(&setup, at(100), at(104)).unwrap()
        };
        insta::assert_snapshot!(told(&[check(95), check(94), check(109), check(110)]), @"
        ok   engine clock: it tells the time of this machine
        warn engine clock: its clock is 6 s behind this machine's: ages, `logs --since` and certificates go by it
             -> set both by the network, `sudo timedatectl set-ntp true`; start a virtual machine such as Docker Desktop's again
        ok   engine clock: it tells the time of this machine
        warn engine clock: its clock is 6 s ahead of this machine's: ages, `logs --since` and certificates go by it
             -> set both by the network, `sudo timedatectl set-ntp true`; start a virtual machine such as Docker Desktop's again
        ");
        let broken = EngineSetup { time: Some("noon".to_owned()), ..setup("overlay2") };
        assert!(clock(&broken, at(0), at(0)).is_none() && clock(&setup("x"), at(0), at(0)).is_none());
    }

    #[test]
    fn a_storage_driver_that_copies_every_layer_is_warned_about() {
        let of = |name: &str, driver: &str| storage(&facts(name), &setup(driver)).unwrap();
        insta::assert_snapshot!(told(&[
            of("Docker Engine", "overlay2"),
            of("Docker Engine", "vfs"),
            of("Podman", "vfs"),
        ]), @r#"
        ok   engine storage: overlay2 in `/data`
        warn engine storage: vfs in `/data`, which is slow or takes the room of every layer again
             -> set `"storage-driver": "overlay2"` in `/etc/docker/daemon.json` and start Docker again; images are pulled anew
        warn engine storage: vfs in `/data`, which is slow or takes the room of every layer again
             -> set `driver = "overlay"` under `[storage]` in `storage.conf`, then `podman system reset`, which removes all that it has
        "#);
        assert!(storage(&facts("Podman"), &setup("")).is_none());
    }

    #[test]
    fn a_builder_that_lacks_something_is_warned_about_unless_it_is_wanted() {
        let failure = EngineFailure { status: None, message: "connection reset".to_owned() };
        insta::assert_snapshot!(told(&[
            builder(&facts("Docker Engine"), false, Ok(true)),
            builder(&facts("Podman"), true, Ok(false)),
            builder(&facts("Podman"), false, Ok(false)),
            builder(&facts("Podman"), false, Err(DockerError::Info(failure))),
        ]), @"
        ok   engine builder: BuildKit
        ok   engine builder: the classic builder, as `DOCKER_BUILDKIT=0` says
        warn engine builder: Podman 20.10.24 has no BuildKit: `build:` goes by the classic builder, without `secrets`, `ssh` and `additional_contexts`
             -> where a `build:` needs these, `docker context use NAME` chooses an Engine with BuildKit, such as Docker Engine 23
        fail engine builder: cannot ask the Engine how it is set up: connection reset
             => `docker ps` shows whether it answers others; if not, start Docker again
        ");
    }

    #[test]
    fn sockets_that_are_not_there_are_counted_and_others_named() {
        let attempt =
            |endpoint: &str, cause: &str| Attempt { endpoint: endpoint.into(), cause: cause.into() };
        let of = |tried: Vec<Attempt>| unreachable(ConnectError::NoEngine { tried }.into());
        let absent = || attempt("unix:///a.sock", "no such socket");
        insta::assert_snapshot!(told(&[
            of(vec![absent()]),
            of(vec![absent(), absent()]),
            of(vec![absent(), attempt("unix:///b.sock", "connection refused")]),
        ]), @"
        fail engine endpoint: no Engine answers at `unix:///a.sock` (no such socket)
             => start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
        fail engine endpoint: no Engine answers: none of the 2 usual sockets is there, the first being `unix:///a.sock`
             => start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
        fail engine endpoint: no Engine answers at `unix:///b.sock` (connection refused)
             => start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
        ");
    }
}
