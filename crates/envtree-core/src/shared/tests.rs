use super::*;
use crate::compose_file::node::Place;
use crate::isolate::tests::{assignments, identity, raw_postgres_redis};
use crate::isolate::{Identity, isolate};
use crate::name::{NetworkName, VolumeName};
use crate::observed::{ContainerState, ObservedNetwork};
use crate::project::Network;
use crate::reconcile::joined;
use crate::service::{Condition, Dependency, Mount};

fn sharing(names: &[&str]) -> IndexMap<String, Sharing> {
    let place = |line| Place { file: "envtree.yaml".into(), line, column: 3 };
    let each = names.iter().zip(1..);
    each.map(|(name, line)| ((*name).to_owned(), Sharing { isolation: Isolation::None, place: place(line) }))
        .collect()
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// Returns the complaints about the template whose Postgres is shared, once `change` has changed it.
fn complaints(change: impl FnOnce(&mut Project)) -> Vec<String> {
    let mut project = raw_postgres_redis();
    change(&mut project);
    let parts = part(&project, &sharing(&["postgres"]), &[], "/w/fix-login");
    parts.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_shared_leaves_the_environment_with_its_volumes() {
    let Parts { own, common, warnings } =
        part(&raw_postgres_redis(), &sharing(&["postgres"]), &[], "/w").unwrap();
    assert_eq!(own.services.keys().collect::<Vec<_>>(), ["redis"]);
    assert_eq!((own.volumes.len(), own.networks.len()), (0, 1));
    assert_eq!(own.shared.keys().collect::<Vec<_>>(), ["postgres"]);
    assert_eq!(common.services.keys().collect::<Vec<_>>(), ["postgres"]);
    assert_eq!((common.volumes.len(), common.networks.len()), (1, 1));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_service_that_nobody_names_is_told_with_the_nearest() {
    let project = raw_postgres_redis();
    let unknown = |name| part(&project, &sharing(&[name]), &["search".into()], "/w");
    let text = |name| unknown(name).unwrap_err()[0].to_string();
    assert_eq!(text("postgre"), "envtree.yaml:1:3: no service is called `postgre`; did you mean `postgres`?");
    assert_eq!(
        text("zzz"),
        "envtree.yaml:1:3: no service is called `zzz`; known are `postgres`, `redis`, `search`"
    );
    assert!(unknown("search").is_ok());
}

#[test]
fn what_depends_on_one_environment_is_not_shared() {
    let on = |condition| Dependency { condition, required: true, restart: false };
    assert_eq!(
        complaints(|project| {
            let depends_on = &mut project.services["postgres"].depends_on;
            depends_on.insert(name("redis"), on(Condition::ServiceStarted));
        }),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because it depends on `redis`, which each environment has for itself; share `redis` too"
        ]
    );
    assert_eq!(
        complaints(|project| project.services["postgres"].set_replicas(2)),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because it has 2 containers, and one that is shared has one: leave out `scale` and `deploy.replicas`"
        ]
    );
    assert_eq!(
        complaints(|project| project.services["postgres"].network_mode = Some("host".into())),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because with `network_mode: host` it joins no network of an environment"
        ]
    );
    assert_eq!(
        complaints(|project| project.services["postgres"].volumes_from.push("redis:ro".into())),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because it uses the container of `redis`, which each environment has for itself; share `redis` too"
        ]
    );
    assert_eq!(
        complaints(|project| project.services["redis"].volumes_from.push("postgres".into())),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because `redis` uses its container, which another environment may make again at any time"
        ]
    );
    let mounted = |path: &str| {
        complaints(|project| {
            project.services["postgres"]
                .mounts
                .push(Mount { read_only: true, ..Mount::new("/init", MountSource::bind(path)) });
        })
    };
    assert_eq!(
        mounted("/w/fix-login/db/init"),
        [
            "envtree.yaml:1:3: service `postgres` cannot be shared, because it mounts `./db/init` of the worktree, which is one environment's and goes with it; use a volume, a config with `content`, or an image that holds the files"
        ]
    );
    assert_eq!(mounted("/srv/init"), [""; 0]);
}

#[test]
fn a_volume_that_both_sides_mount_is_pointed_out() {
    let mut project = raw_postgres_redis();
    project.services["redis"].mounts.push(Mount {
        read_only: true,
        ..Mount::new("/data", MountSource::volume(Some(VolumeName::new("data").unwrap())))
    });
    let parts = part(&project, &sharing(&["postgres"]), &[], "/w").unwrap();
    assert_eq!(
        parts.warnings,
        [
            "volume `data` is mounted by `postgres`, which is shared, and by `redis`, which is not: `redis` gets a volume of the environment's own"
        ]
    );
}

/// Returns the template whose Redis links to Postgres, isolated with what the settings share.
fn linked(shared: &[&str]) -> Project {
    let mut project = raw_postgres_redis();
    project.services["redis"].links.push("postgres:database".into());
    let assignments = assignments(&project);
    let Parts { own, common, .. } = part(&project, &sharing(shared), &[], "/w/fix-login").unwrap();
    let mut isolated = isolate(&own, &identity(), &assignments).project;
    let common_identity = Identity { project: ProjectName::new("shop_shared").unwrap(), ..identity() };
    join(&mut isolated, &isolate(&common, &common_identity, &assignments).project);
    isolated
}

#[test]
fn a_link_leads_to_the_shared_container() {
    let shared = linked(&["postgres"]);
    let links = |project: &Project| joined::links(project, &project.services["redis"]).join("\n");
    insta::assert_snapshot!(links(&shared), @"
    shop_shared-postgres-1:database
    shop_shared-postgres-1:postgres-1
    shop_shared-postgres-1:shop-fix-login-postgres-1
    ");
    // One that led to a container of the environment's own leads nowhere any more.
    let hash = |project: &Project| project.services["redis"].labels[label::CONFIG_HASH].clone();
    assert_ne!(hash(&shared), hash(&linked(&[])));
    assert_eq!(hash(&shared), hash(&linked(&["postgres"])));
}

#[test]
fn an_external_network_is_joined_once_for_all() {
    let mut project = raw_postgres_redis();
    let key = NetworkName::new("proxy").unwrap();
    project.networks.insert(key.clone(), Network { external: true, ..Network::default() });
    project.services["postgres"].networks.insert(key, crate::service::Attachment::default());
    let parts = part(&project, &sharing(&["postgres"]), &[], "/w").unwrap();
    assert_eq!(parts.own.shared["postgres"].networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(parts.own.networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(parts.common.networks.len(), 2);
}

fn container(service: &str, depends_on: &str, networks: &[&str]) -> ObservedContainer {
    let labels = [
        (label::REPOSITORY, "r"),
        (label::COMPOSE_PROJECT, "shop_shared"),
        (label::COMPOSE_SERVICE, service),
        (label::COMPOSE_DEPENDS_ON, depends_on),
    ];
    ObservedContainer {
        id: service.into(),
        name: format!("shop_shared-{service}-1"),
        state: ContainerState::Running,
        health: None,
        image: String::new(),
        image_id: String::new(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        networks: networks.iter().map(|network| ((*network).to_owned(), None)).collect(),
        network_ids: Vec::new(),
        volumes: IndexMap::new(),
        created: 0,
        status: String::new(),
    }
}

#[test]
fn a_service_is_used_by_environments_and_by_used_services() {
    let network = |name: &str, project: &str| ObservedNetwork {
        id: name.into(),
        name: name.into(),
        subnets: Vec::new(),
        labels: [(label::REPOSITORY, "r"), (label::COMPOSE_PROJECT, project)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let own = "shop_shared_default";
    let observed = |of_environment: &[&str]| ObservedState {
        containers: vec![
            container("search", "", &[own]),
            container("board", "search:service_healthy:false", &[&[own], of_environment].concat()),
            container("mail", "", &[own]),
        ],
        networks: vec![network(own, "shop_shared"), network("shop-one_default", "shop-one")],
        ..ObservedState::default()
    };
    assert_eq!(unused(&observed(&["shop-one_default"]), "shop_shared"), ["mail"]);
    assert_eq!(unused(&observed(&[]), "shop_shared"), ["search", "board", "mail"]);
}
