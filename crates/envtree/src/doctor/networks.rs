//! The addresses of networks: how many are left, and whether the machine reaches something else at those in use.

use std::fmt::Write as _;

use envtree_core::label;
use envtree_core::observed::ObservedNetwork;
use envtree_core::subnet::{Subnet, count};

use super::Known;
use super::check::{About, Check, Group};
use super::typed::{envtree, named};
use crate::route::host_subnets;

/// With fewer subnets than these, a project with several networks may find too few.
const FEW: u64 = 10;

const fn about(name: &'static str) -> About {
    About(Group::Networks, name)
}

/// Judges the pools, and the networks that envtree made.
pub(super) fn judge(known: &Known, checks: &mut Vec<Check>) {
    let engine = known.engine.as_ref();
    let networks = engine.map(|engine| engine.networks.as_slice()).unwrap_or_default();
    let is_remote = engine.is_some_and(|engine| engine.remote.is_some());
    let routes = if is_remote { Vec::new() } else { host_subnets() };
    let used: Vec<Subnet> = networks.iter().flat_map(subnets).collect();
    let mut taken = known.state.subnets_of_others("");
    taken.extend(&used);
    let foreign: Vec<Subnet> = routes.iter().filter(|route| !taken.contains(route)).copied().collect();
    taken.extend(&routes);
    let settings = &known.settings;
    checks.push(room(
        &settings.network_pools,
        settings.network_size,
        &taken,
        (&foreign, &known.machine_file),
    ));
    // Where no Engine tells of its networks, routes to these are not known as theirs.
    if engine.is_some() {
        checks.push(overlaps(known, networks, &foreign));
    }
}

fn subnets(network: &ObservedNetwork) -> impl Iterator<Item = Subnet> {
    network.subnets.iter().filter_map(|subnet| subnet.parse().ok())
}

/// Judges how many subnets are left; `foreign` are routes of the host to others.
fn room(pools: &[Subnet], size: u8, taken: &[Subnet], (foreign, machine_file): (&[Subnet], &str)) -> Check {
    let about = about("pool");
    let counted: Vec<(u64, u64)> = pools.iter().map(|pool| count(*pool, size, taken)).collect();
    let (all, left) = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let shown: Vec<String> = pools.iter().map(ToString::to_string).collect();
    let mut finding = format!("{left} of {all} subnets of /{size} are left in {}", shown.join(", "));
    for (pool, (all, _)) in pools.iter().zip(&counted) {
        let covers = |route: &&Subnet| count(*pool, size, std::slice::from_ref(route)).1 == 0;
        if let Some(route) = foreign.iter().find(covers).filter(|_| *all > 0) {
            let _ = write!(finding, "; the route of this machine to {route} covers all of {pool}");
        }
    }
    let remedy = format!(
        "`envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `network: {{ pool: 192.168.128.0/17 }}` in `{machine_file}` names another pool"
    );
    match left {
        0 => about.fail(finding, remedy),
        1..FEW => about.warn(finding, remedy),
        _ => about.ok(finding),
    }
}

/// Judges the networks of environments whose addresses the host has another route to.
fn overlaps(known: &Known, networks: &[ObservedNetwork], foreign: &[Subnet]) -> Check {
    let about = about("routes");
    let ours = networks.iter().filter(|network| network.labels.contains_key(label::REPOSITORY));
    let crossing = ours.filter_map(|network| {
        let route = subnets(network).find_map(|own| foreign.iter().find(|route| route.overlaps(own)))?;
        Some((network, route))
    });
    let crossing: Vec<_> = crossing.collect();
    let Some((first, route)) = crossing.first() else {
        return about.ok("no route of this machine leads to addresses of an environment");
    };
    let project = first.labels.get(label::COMPOSE_PROJECT);
    let record = project.and_then(|project| known.state.by_project(project));
    let remedy = record.map_or_else(
        || format!("`docker network rm {}`, once nothing uses it", first.name),
        |record| {
            let typed = |verb| envtree(known.here(), &record.repository.common_dir, &[verb, &record.task]);
            format!("`{}`, then `{}`, which takes other addresses", typed("down"), typed("up"))
        },
    );
    about.warn(
        format!(
            "the route of this machine to {route} leads to addresses of {}",
            named(crossing.iter().map(|(network, _)| &network.name))
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{known, told};
    use crate::repository::test_repository::TestRepository;
    use crate::state::record::tests::record;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn few_subnets_are_warned_about_and_none_is_a_failure() {
        let of = |pools: &[&str], taken: &[&str], foreign: &[&str]| {
            let [pools, taken, foreign] =
                [pools, taken, foreign].map(|list| list.iter().map(|text| subnet(text)).collect::<Vec<_>>());
            room(&pools, 26, &taken, (&foreign, "/c.yaml"))
        };
        let two = ["10.214.0.0/16", "172.16.0.0/16"];
        insta::assert_snapshot!(told(&[
            of(&two, &["10.214.0.0/26", "10.214.0.64/26"], &["192.168.1.0/24"]),
            of(&two, &["10.0.0.0/8"], &["10.0.0.0/8"]),
            of(&["10.214.0.0/22"], &["10.214.0.0/23"], &[]),
            of(&["10.214.0.0/22"], &["10.0.0.0/8"], &["10.0.0.0/8"]),
        ]), @"
        ok   networks pool: 2046 of 2048 subnets of /26 are left in 10.214.0.0/16, 172.16.0.0/16
        ok   networks pool: 1024 of 2048 subnets of /26 are left in 10.214.0.0/16, 172.16.0.0/16; the route of this machine to 10.0.0.0/8 covers all of 10.214.0.0/16
        warn networks pool: 8 of 16 subnets of /26 are left in 10.214.0.0/22
             -> `envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `network: { pool: 192.168.128.0/17 }` in `/c.yaml` names another pool
        fail networks pool: 0 of 16 subnets of /26 are left in 10.214.0.0/22; the route of this machine to 10.0.0.0/8 covers all of 10.214.0.0/22
             -> `envtree ls --all` shows who holds them, and `envtree rm TASK` frees those of a task; `network: { pool: 192.168.128.0/17 }` in `/c.yaml` names another pool
        ");
    }

    fn network(name: &str, project: Option<&str>, subnet: &str) -> ObservedNetwork {
        let own = project.map(|project| [(label::REPOSITORY, "id"), (label::COMPOSE_PROJECT, project)]);
        let labels = own.into_iter().flatten().map(|(key, value)| (key.to_owned(), value.to_owned()));
        ObservedNetwork {
            id: name.to_owned(),
            name: name.to_owned(),
            subnets: vec!["fd00::/64".to_owned(), subnet.to_owned()],
            labels: labels.collect(),
        }
    }

    #[test]
    fn a_route_into_the_network_of_an_environment_is_told_with_what_moves_the_network() {
        let shop = TestRepository::new();
        let mut known = known(&shop);
        known.state.environments.push(record("/src/shop/.git", "shop", "a", "a"));
        let networks = [
            network("bridge", None, "172.17.0.0/16"),
            network("shop-a_default", Some("shop-a"), "10.214.0.0/26"),
            network("shop-b_default", Some("shop-b"), "10.214.1.0/26"),
        ];
        let of = |routes: &[&str]| {
            let routes: Vec<_> = routes.iter().map(|text| subnet(text)).collect();
            overlaps(&known, &networks, &routes)
        };
        insta::assert_snapshot!(told(&[
            of(&["172.17.0.0/24", "10.215.0.0/16"]),
            of(&["10.214.0.0/24"]),
            of(&["10.214.1.0/24"]),
        ]), @"
        ok   networks routes: no route of this machine leads to addresses of an environment
        warn networks routes: the route of this machine to 10.214.0.0/24 leads to addresses of `shop-a_default`
             -> `envtree -C /src/shop down a`, then `envtree -C /src/shop up a`, which takes other addresses
        warn networks routes: the route of this machine to 10.214.1.0/24 leads to addresses of `shop-b_default`
             -> `docker network rm shop-b_default`, once nothing uses it
        ");
    }
}
