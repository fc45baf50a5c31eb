//! Host ports: how many are left, whether the system hands out the same ones, and who holds reserved ones.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

use envtree_core::observed::ObservedState;
use envtree_core::port::Owner;
use envtree_core::settings::machine::MachineSettings;

use super::Known;
use super::check::{About, Check, Group};
use super::engine::KnownEngine;
use super::typed::envtree;
use crate::error::TakenPort;
use crate::port_probe;
use crate::state::State;
use crate::state::record::{EnvironmentRecord, PortReservation};
use crate::taken::{describe, name_container, strangers_port};

/// With fewer ports than these, the next environment may find too few.
const FEW: usize = 20;

const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const KEPT_BACK: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

const fn about(name: &'static str) -> About {
    About(Group::Ports, name)
}

/// Judges the range, and the ports that are reserved.
pub(super) async fn judge(known: &Known, checks: &mut Vec<Check>) {
    let range = &known.settings.port_range;
    checks.push(room(range, &reserved(&known.state), &known.machine_file));
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    if let Some(ephemeral) = parse_ephemeral(&read(EPHEMERAL)) {
        checks.push(overlap(range, &ephemeral, &read(KEPT_BACK), &known.machine_file));
    }
    if let Some(engine) = &known.engine {
        taken(known, engine, checks).await;
    }
}

fn reserved(state: &State) -> BTreeSet<u16> {
    // No project has this name.
    state.ports_of_others("")
}

fn room(range: &RangeInclusive<u16>, reserved: &BTreeSet<u16>, machine_file: &str) -> Check {
    let about = about("range");
    let held = reserved.iter().filter(|port| range.contains(port)).count();
    let left = range.len() - held;
    let finding = format!("{}: {held} reserved, {left} left", span(range));
    let remedy = format!(
        "`envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `ports: {{ range: 20000-29999 }}` in `{machine_file}` is a wide range"
    );
    match left {
        0 => about.fail(finding, remedy),
        1..FEW => about.warn(finding, remedy),
        _ => about.ok(finding),
    }
}

/// Judges whether the system may give a port of `range` to a program that asks for any; `kept_back` is the system's list of
/// those that it gives to nobody.
fn overlap(
    range: &RangeInclusive<u16>,
    ephemeral: &RangeInclusive<u16>,
    kept_back: &str,
    machine_file: &str,
) -> Check {
    let about = about("ephemeral");
    let shown = span(ephemeral);
    let kept = parse_list(kept_back);
    let is_handed_out =
        |port: &u16| ephemeral.contains(port) && !kept.iter().any(|range| range.contains(port));
    let mut handed_out = range.clone().filter(is_handed_out);
    let Some(first) = handed_out.next() else {
        return about.ok(format!("the system hands out {shown}, and none of the range"));
    };
    let crossing = span(&(first..=handed_out.next_back().unwrap_or(first)));
    // The list is replaced as a whole.
    let list: Vec<&str> = [kept_back.trim(), &crossing].into_iter().filter(|part| !part.is_empty()).collect();
    let keep_back = format!("`sudo sysctl -w net.ipv4.ip_local_reserved_ports={}`", list.join(","));
    let usual = MachineSettings::default().port_range;
    let remedy = if usual.clone().any(|port| is_handed_out(&port)) {
        keep_back
    } else {
        format!("`ports: {{ range: {} }}` in `{machine_file}`, or {keep_back}", span(&usual))
    };
    about.warn(
        format!("the system hands out {shown} to programs that ask for any port, {crossing} of the range among them"),
        remedy,
    )
}

/// Writes a range as it is configured, one port as itself.
fn span(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// Reads two ports, as the system separates them.
fn parse_ephemeral(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ports = text.split_whitespace().map(str::parse::<u16>);
    Some(ports.next()?.ok()?..=ports.next()?.ok()?)
}

/// Reads a list such as `8080,9148-9150`.
fn parse_list(text: &str) -> Vec<RangeInclusive<u16>> {
    let parse = |entry: &str| {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(parse).collect()
}

/// Judges reserved ports that somebody else holds.
async fn taken(known: &Known, engine: &KnownEngine, checks: &mut Vec<Check>) {
    let own: BTreeSet<u16> = idle(&known.state, &engine.observed)
        .into_iter()
        .filter(|(record, _)| !known.is_busy(&record.project))
        .filter(|(_, port)| is_held(port, engine))
        .map(|(_, port)| port.published)
        .collect();
    let mut all = 0;
    for record in known.state.environments.iter().chain(&known.state.shared) {
        let held = record.ports.iter().filter_map(|port| match &port.owner {
            Owner::Service(_) => own.contains(&port.published).then(|| (describe(port), true)),
            Owner::App(_) => strangers_port(port, &record.worktree).map(|taken| (taken, false)),
        });
        for (mut taken, is_service) in held.collect::<Vec<_>>() {
            name_container(&known.docker, &mut taken).await;
            checks.push(stolen(known, record, &taken, is_service));
            all += 1;
        }
    }
    if all == 0 {
        checks.push(about("reserved").ok("nobody else holds a reserved port"));
    }
}

/// Returns whether somebody listens on the port of a service that does not run.
fn is_held(port: &PortReservation, engine: &KnownEngine) -> bool {
    match engine.remote {
        None => !port_probe::is_free(port.published, port.protocol),
        Some(_) => engine.published.contains(&port.published),
    }
}

/// Returns the ports of services of which no container runs.
fn idle<'a>(state: &'a State, observed: &ObservedState) -> Vec<(&'a EnvironmentRecord, &'a PortReservation)> {
    let runs = |record: &EnvironmentRecord, service: &str, number: u32| {
        observed.containers.iter().filter(|container| container.is_active()).any(|container| {
            container.service() == Some(service)
                && container.number() == number
                && record.names(&container.labels)
        })
    };
    let records = state.environments.iter().chain(&state.shared);
    let ports = records.flat_map(|record| record.ports.iter().map(move |port| (record, port)));
    ports
        .filter(|(record, port)| {
            matches!(&port.owner, Owner::Service(service) if !runs(record, service, port.replica))
        })
        .collect()
}

fn stolen(known: &Known, record: &EnvironmentRecord, taken: &TakenPort, is_service: bool) -> Check {
    let about = about("reserved");
    let holder = taken.held_by().unwrap_or_else(|| "another process".to_owned());
    let kind = if is_service { "service" } else { "app" };
    let finding = format!(
        "port {}, reserved for {kind} `{}` of `{}`, is taken by {holder}",
        taken.number(),
        taken.service,
        record.project
    );
    // What environments share moves with any of them.
    let task = known.state.of_repository(&record.repository.id).find(|other| other.project == record.project);
    let task = task.or_else(|| known.state.of_repository(&record.repository.id).next());
    let words = match task {
        Some(task) => vec!["up", task.task.as_str(), "--reassign-ports"],
        None => vec!["up", "--reassign-ports"],
    };
    let command = envtree(known.here(), &record.repository.common_dir, &words);
    let remedy = format!("end that, or `{command}` picks another port");
    if is_service { about.fail(finding, remedy) } else { about.warn(finding, remedy) }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use envtree_core::label;
    use envtree_core::observed::{ContainerState, ObservedContainer};
    use envtree_core::service::Protocol;
    use indexmap::IndexMap;

    use super::*;
    use crate::doctor::tests::told;
    use crate::state::record::tests::record;

    const FILE: &str = "/c.yaml";

    #[test]
    fn few_ports_are_warned_about_and_none_is_a_failure() {
        let reserved: BTreeSet<u16> = (20_000..20_030).chain([9]).collect();
        let of = |last| room(&(20_000..=last), &reserved, FILE);
        insta::assert_snapshot!(told(&[of(20_049), of(20_048), of(20_029)]), @"
        ok   ports range: 20000-20049: 30 reserved, 20 left
        warn ports range: 20000-20048: 30 reserved, 19 left
             -> `envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `ports: { range: 20000-29999 }` in `/c.yaml` is a wide range
        fail ports range: 20000-20029: 30 reserved, 0 left
             -> `envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `ports: { range: 20000-29999 }` in `/c.yaml` is a wide range
        ");
    }

    #[test]
    fn a_range_that_the_system_hands_out_is_warned_about() {
        let ephemeral = parse_ephemeral("32768\t60999\n").unwrap();
        let of = |range: RangeInclusive<u16>, list: &str| overlap(&range, &ephemeral, list, FILE);
        insta::assert_snapshot!(told(&[
            of(20_000..=29_999, "\n"),
            of(32_000..=32_799, ""),
            of(32_760..=32_770, "8080,32768-32769\n"),
            of(32_760..=32_770, "8080,32768-32770\n"),
        ]), @"
        ok   ports ephemeral: the system hands out 32768-60999, and none of the range
        warn ports ephemeral: the system hands out 32768-60999 to programs that ask for any port, 32768-32799 of the range among them
             -> `ports: { range: 20000-29999 }` in `/c.yaml`, or `sudo sysctl -w net.ipv4.ip_local_reserved_ports=32768-32799`
        warn ports ephemeral: the system hands out 32768-60999 to programs that ask for any port, 32770 of the range among them
             -> `ports: { range: 20000-29999 }` in `/c.yaml`, or `sudo sysctl -w net.ipv4.ip_local_reserved_ports=8080,32768-32769,32770`
        ok   ports ephemeral: the system hands out 32768-60999, and none of the range
        ");
        assert_eq!(parse_ephemeral(""), None);
        let all = overlap(&(32_760..=32_770), &(1_024..=65_535), "", FILE);
        insta::assert_snapshot!(told(&[all]), @"
        warn ports ephemeral: the system hands out 1024-65535 to programs that ask for any port, 32760-32770 of the range among them
             -> `sudo sysctl -w net.ipv4.ip_local_reserved_ports=32760-32770`
        ");
    }

    fn reservation(service: &str, published: u16) -> PortReservation {
        PortReservation {
            owner: Owner::Service(service.to_owned()),
            replica: 1,
            target: 80,
            protocol: Protocol::Tcp,
            index: 0,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            published,
        }
    }

    fn container(project: &str, service: &str, state: ContainerState) -> ObservedContainer {
        let labels = [(label::COMPOSE_PROJECT, project), (label::COMPOSE_SERVICE, service)];
        ObservedContainer {
            id: String::new(),
            name: format!("{project}-{service}-1"),
            state,
            health: None,
            image: String::new(),
            image_id: String::new(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            networks: IndexMap::new(),
            network_ids: Vec::new(),
            volumes: IndexMap::new(),
            created: 0,
            status: String::new(),
        }
    }

    #[test]
    fn the_ports_of_what_runs_are_held_by_itself() {
        let mut shop = record("/src/shop/.git", "shop", "a", "a");
        shop.ports = vec![reservation("web", 20_001), reservation("db", 20_002), reservation("api", 20_003)];
        let state = State { environments: vec![shop], ..State::default() };
        let observed = ObservedState {
            containers: vec![
                container("shop-a", "web", ContainerState::Running),
                container("shop-a", "db", ContainerState::Exited),
                container("shop-b", "api", ContainerState::Running),
            ],
            ..ObservedState::default()
        };
        let ports: Vec<u16> = idle(&state, &observed).iter().map(|(_, port)| port.published).collect();
        assert_eq!(ports, [20_002, 20_003]);
    }

    #[test]
    fn a_stranger_on_a_reserved_port_is_named_with_what_moves_the_port() {
        let shop = crate::repository::test_repository::TestRepository::new();
        let mut known = crate::doctor::tests::known(&shop);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = record("/src/shop/.git", "shop", "it's", "its");
        known.state.environments.push(other.clone());
        let checks = [
            stolen(&known, &other, &describe(&reservation("web", port)), true),
            stolen(&known, &other, &describe(&reservation("site", port)), false),
        ];
        let told = told(&checks).replace(&port.to_string(), "[port]");
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let own = format!("process {} (`{}`)", std::process::id(), name.trim_end());
        insta::assert_snapshot!(told.replace(&own, "[process]"), @r#"
        fail ports reserved: port [port], reserved for service `web` of `shop-its`, is taken by [process]
             -> end that, or `envtree -C /src/shop up 'it'\''s' --reassign-ports` picks another port
        warn ports reserved: port [port], reserved for app `site` of `shop-its`, is taken by [process]
             -> end that, or `envtree -C /src/shop up 'it'\''s' --reassign-ports` picks another port
        "#);
    }
}
