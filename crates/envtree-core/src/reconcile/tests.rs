use std::time::Duration;

use super::*;
use crate::isolate::tests::{assignments, identity, raw_postgres_redis, service};
use crate::isolate::{Isolated, isolate};
use crate::observed::ObservedImage;
use crate::service::{Condition, Dependency, Mount, MountSource};
use crate::simulate::SimulatedEngine;

pub(super) fn options() -> ReconcileOptions {
    let identity = identity();
    ReconcileOptions {
        repository: identity.repository,
        worktree: identity.worktree,
        ..ReconcileOptions::default()
    }
}

fn isolated(raw: &Project) -> Project {
    let Isolated { project, .. } = isolate(raw, &identity(), &assignments(raw));
    project
}

/// An Engine on which `project` was brought up.
fn engine_with(project: &Project) -> SimulatedEngine {
    let mut engine = SimulatedEngine::default();
    engine.apply(&reconcile(project, &engine.state, &options()).unwrap()).unwrap();
    engine
}

fn depend(project: &mut Project, dependent: &str, on: &str, condition: Condition, restart: bool) {
    let on = ServiceName::new(on).unwrap();
    project.services[dependent].depends_on.insert(on, Dependency { condition, required: true, restart });
}

#[test]
fn a_first_up_makes_everything_in_order() {
    let plan = reconcile(&isolated(&raw_postgres_redis()), &ObservedState::default(), &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    pull image postgres:17 [the Engine does not have it]
    pull image redis:8 [the Engine does not have it]
    create network shop-fix-login_default (10.214.0.0/26) [it does not exist]
    create volume shop-fix-login_data [it does not exist]
    create container shop-fix-login-postgres-1 [it does not exist]
    start container shop-fix-login-postgres-1 [it was created]
    create container shop-fix-login-redis-1 [it does not exist]
    start container shop-fix-login-redis-1 [it was created]
    ");
}

#[test]
fn a_second_up_changes_nothing() {
    let project = isolated(&raw_postgres_redis());
    let engine = engine_with(&project);
    let plan = reconcile(&project, &engine.state, &options()).unwrap();
    assert!(plan.is_empty(), "{plan}");
}

#[test]
fn a_changed_service_alone_is_recreated_and_its_volume_kept() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.services["postgres"].environment.insert("TZ".into(), "UTC".into());
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    stop container shop-fix-login-postgres-1 [its definition changed]
    remove container shop-fix-login-postgres-1 [its definition changed]
    create container shop-fix-login-postgres-1 [its definition changed]
    start container shop-fix-login-postgres-1 [it was created]
    ");
    engine.apply(&plan).unwrap();
}

#[test]
fn an_anonymous_volume_moves_to_the_container_that_replaces_its_own() {
    let mut raw = raw_postgres_redis();
    let engine = engine_with(&isolated(&raw));
    raw.services["redis"].environment.insert("TZ".into(), "UTC".into());
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    let inherited = plan.steps.iter().find_map(|step| match &step.operation {
        Operation::CreateContainer(container) => Some(&container.inherited_volumes),
        _ => None,
    });
    assert_eq!(inherited.unwrap().keys().collect::<Vec<_>>(), ["/data"]);
}

#[test]
fn a_diverged_network_takes_its_containers_with_it() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.networks["default"].attachable = true;
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    engine.apply(&plan).unwrap();
    assert!(reconcile(&isolated(&raw), &engine.state, &options()).unwrap().is_empty());
    assert!(plan.to_string().contains("[its network is made again]"));
}

#[test]
fn of_two_networks_of_one_name_the_second_goes_before_a_container_is_made() {
    let project = isolated(&raw_postgres_redis());
    let mut engine = engine_with(&project);
    engine.state.containers.clear();
    let mut double = engine.state.networks[0].clone();
    double.id = "double".into();
    engine.state.networks.push(double);
    let plan = reconcile(&project, &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    remove network shop-fix-login_default [another network has its name]
    create container shop-fix-login-postgres-1 [it does not exist]
    start container shop-fix-login-postgres-1 [it was created]
    create container shop-fix-login-redis-1 [it does not exist]
    start container shop-fix-login-redis-1 [it was created]
    ");
    let create =
        plan.steps.iter().find(|step| matches!(step.operation, Operation::CreateContainer(_))).unwrap();
    assert!(create.after.contains(&StepId(0)), "{:?}", create.after);
}

#[test]
fn a_service_that_leaves_a_network_is_recreated() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.services["redis"].networks.clear();
    engine.apply(&reconcile(&isolated(&raw), &engine.state, &options()).unwrap()).unwrap();
    assert!(engine.state.containers.iter().any(|container| container.networks.is_empty()));
}

#[test]
fn a_stopped_container_whose_network_was_removed_by_hand_is_recreated() {
    let project = isolated(&raw_postgres_redis());
    let mut engine = engine_with(&project);
    for container in &mut engine.state.containers {
        container.state = crate::observed::ContainerState::Exited;
    }
    engine.state.networks.clear();
    let plan = reconcile(&project, &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    remove container shop-fix-login-redis-1 [its network was made again]
    remove container shop-fix-login-postgres-1 [its network was made again]
    create network shop-fix-login_default (10.214.0.0/26) [it does not exist]
    create container shop-fix-login-postgres-1 [its network was made again]
    start container shop-fix-login-postgres-1 [it was created]
    create container shop-fix-login-redis-1 [its network was made again]
    start container shop-fix-login-redis-1 [it was created]
    ");
    engine.apply(&plan).unwrap();
}

#[test]
fn an_orphan_that_stays_is_stopped_when_its_network_is_made_again() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.networks["default"].internal = true;
    raw.services.shift_remove("redis");
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    assert!(plan.to_string().contains("stop container shop-fix-login-redis-1 [its network is made again]"));
    engine.apply(&plan).unwrap();
    assert_eq!(engine.state.containers.len(), 2);
}

#[test]
fn a_network_that_nothing_wants_goes_after_the_containers_that_leave_it() {
    let mut raw = raw_postgres_redis();
    let engine = engine_with(&isolated(&raw));
    raw.networks.clear();
    raw.services.values_mut().for_each(|service| service.networks.clear());
    let consent = ReconcileOptions { remove_orphans: true, ..options() };
    let plan = reconcile(&isolated(&raw), &engine.state, &consent).unwrap();
    let is_removal = |text: &str| text.starts_with("remove container");
    let containers: Vec<StepId> = (0..plan.steps.len())
        .filter(|step| is_removal(&plan.steps[*step].operation.to_string()))
        .map(StepId)
        .collect();
    let network = plan.steps.iter().find(|step| matches!(step.operation, Operation::RemoveNetwork { .. }));
    assert_eq!(network.unwrap().after, containers);
}

#[test]
fn what_another_environment_of_the_repository_has_is_no_orphan() {
    let project = isolated(&raw_postgres_redis());
    let mut engine = engine_with(&project);
    let mut other = engine.state.clone();
    for container in &mut other.containers {
        container.name = container.name.replace("login", "logout");
        container.networks.clear();
        container.labels.insert(label::COMPOSE_PROJECT.into(), "shop-fix-logout".into());
    }
    other.volumes[0].labels.insert(label::COMPOSE_PROJECT.into(), "shop-fix-logout".into());
    other.volumes[0].labels.insert(label::COMPOSE_VOLUME.into(), "other".into());
    engine.state.containers.extend(other.containers);
    engine.state.volumes.extend(other.volumes);
    let plan = reconcile(&project, &engine.state, &options()).unwrap();
    assert_eq!(plan, Plan::default());
    let removal = crate::teardown::RemovalOptions {
        images: false,
        repository: identity().repository,
        ..crate::teardown::RemovalOptions::default()
    };
    engine.apply(&crate::teardown::plan_removal(&engine.state, &project.name, &removal)).unwrap();
    assert_eq!(engine.state.containers.len(), 2);
}

#[test]
fn a_diverged_volume_is_kept_until_consent_is_given() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.volumes["data"].driver_opts.insert("type".into(), "tmpfs".into());
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    warning: the definition of volume `data` changed; `shop-fix-login_data` is kept as it is, with its data, unless `--yes` has it made again
    needs consent: remove volume `shop-fix-login_data` and its data, and make it again
    ");
    let consent = ReconcileOptions { recreate_volumes: true, ..options() };
    let plan = reconcile(&isolated(&raw), &engine.state, &consent).unwrap();
    engine.apply(&plan).unwrap();
    assert!(reconcile(&isolated(&raw), &engine.state, &consent).unwrap().is_empty());
}

#[test]
fn an_orphan_is_reported_and_removed_with_consent() {
    let mut raw = raw_postgres_redis();
    let mut engine = engine_with(&isolated(&raw));
    raw.services.shift_remove("redis");
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    warning: container `shop-fix-login-redis-1` belongs to no service any more; `--remove-orphans` removes it
    needs consent: remove orphan container `shop-fix-login-redis-1`
    ");
    let consent = ReconcileOptions { remove_orphans: true, ..options() };
    engine.apply(&reconcile(&isolated(&raw), &engine.state, &consent).unwrap()).unwrap();
    assert_eq!(engine.state.containers.len(), 1);
}

#[test]
fn a_dependent_starts_after_its_dependency_is_healthy() {
    let mut raw = raw_postgres_redis();
    depend(&mut raw, "postgres", "redis", Condition::ServiceHealthy, false);
    let plan = reconcile(&isolated(&raw), &ObservedState::default(), &options()).unwrap();
    let position =
        |text: &str| plan.steps.iter().position(|step| step.operation.to_string().starts_with(text)).unwrap();
    let start = &plan.steps[position("start container shop-fix-login-postgres")];
    assert!(start.after.contains(&StepId(position("start container shop-fix-login-redis"))));
    assert!(matches!(&start.awaits[..], [Await::Service { condition: Condition::ServiceHealthy, .. }]));
}

#[test]
fn a_dependent_restarts_with_its_dependency_only_if_it_asks_for_it() {
    let mut raw = raw_postgres_redis();
    depend(&mut raw, "redis", "postgres", Condition::ServiceStarted, true);
    let engine = engine_with(&isolated(&raw));
    raw.services["postgres"].environment.insert("TZ".into(), "UTC".into());
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap().to_string();
    assert!(
        plan.contains("stop container shop-fix-login-redis-1 [a service that it depends on was made again]")
    );
}

#[test]
fn a_completed_job_is_not_run_again() {
    let mut raw = raw_postgres_redis();
    raw.services.insert(ServiceName::new("migrate").unwrap(), service("shop", 1));
    depend(&mut raw, "redis", "migrate", Condition::ServiceCompletedSuccessfully, false);
    let mut engine = engine_with(&isolated(&raw));
    let job = engine.state.containers.iter_mut().find(|c| c.name.contains("migrate")).unwrap();
    job.state = crate::observed::ContainerState::Exited;
    job.status = "Exited (0) 2 minutes ago".into();
    assert!(reconcile(&isolated(&raw), &engine.state, &options()).unwrap().is_empty());
    let job = engine.state.containers.iter_mut().find(|c| c.name.contains("migrate")).unwrap();
    job.status = "Exited (1) 2 minutes ago".into();
    assert_eq!(reconcile(&isolated(&raw), &engine.state, &options()).unwrap().steps.len(), 1);
}

#[test]
fn a_stopped_container_is_started_and_a_paused_one_goes_on() {
    let project = isolated(&raw_postgres_redis());
    let mut engine = engine_with(&project);
    engine.state.containers[0].state = crate::observed::ContainerState::Exited;
    engine.state.containers[1].state = crate::observed::ContainerState::Paused;
    let plan = reconcile(&project, &engine.state, &options()).unwrap();
    insta::assert_snapshot!(plan, @"
    start container shop-fix-login-postgres-1 [it is stopped]
    unpause container shop-fix-login-redis-1 [it is paused]
    ");
}

#[test]
fn what_is_not_owned_is_refused() {
    let project = isolated(&raw_postgres_redis());
    let mut engine = engine_with(&project);
    for container in &mut engine.state.containers {
        container.labels.shift_remove(label::REPOSITORY);
    }
    let error = reconcile(&project, &engine.state, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "container `shop-fix-login-postgres-1` exists, and envtree did not make it"
    );
}

#[test]
fn what_must_exist_and_does_not_is_an_error() {
    let mut raw = raw_postgres_redis();
    raw.networks["default"].external = true;
    let error = reconcile(&isolated(&raw), &ObservedState::default(), &options()).unwrap_err();
    assert_eq!(error.to_string(), "network `default` is external, and the Engine has no network `default`");
    let never = ReconcileOptions { pull: Some(PullPolicy::Never), ..options() };
    let error = reconcile(&isolated(&raw_postgres_redis()), &ObservedState::default(), &never).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service `postgres` must not pull, and the Engine has no image `postgres:17`"
    );
}

#[test]
fn only_what_mounts_the_worktree_waits_for_the_checkout() {
    let mut raw = raw_postgres_redis();
    raw.services["redis"].mounts.push(Mount::new("/src", MountSource::bind("/w/fix-login/src")));
    let plan = reconcile(&isolated(&raw), &ObservedState::default(), &options()).unwrap();
    let waiting: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.awaits.contains(&Await::Checkout))
        .map(|step| step.operation.to_string())
        .collect();
    assert_eq!(waiting, ["create container shop-fix-login-redis-1"]);
}

#[test]
fn a_service_on_two_networks_is_connected_before_it_starts() {
    let mut raw = raw_postgres_redis();
    let back = NetworkName::new("back").unwrap();
    raw.networks.insert(back.clone(), crate::project::Network::default());
    raw.services["redis"].networks.insert(back, crate::service::Attachment::default());
    let engine = engine_with(&isolated(&raw));
    assert_eq!(engine.state.containers[1].networks.len(), 2);
}

#[test]
fn an_image_that_is_mounted_is_pulled_before_the_container_is_made() {
    let mut raw = raw_postgres_redis();
    let source = MountSource::Image { image: "shop/assets:1".into(), subpath: None };
    let redis = &mut raw.services["redis"];
    redis.mounts.push(Mount::new("/assets", source));
    redis.pull_policy = Some(PullPolicy::Never);
    let mut engine = engine_with(&isolated(&raw_postgres_redis()));
    let plan = reconcile(&isolated(&raw), &engine.state, &options()).unwrap();
    let at = |text: &str| plan.steps.iter().position(|step| step.operation.to_string() == text).unwrap();
    let create = &plan.steps[at("create container shop-fix-login-redis-1")];
    assert!(create.after.contains(&StepId(at("pull image shop/assets:1"))), "{plan}");
    engine.apply(&plan).unwrap();
    assert!(reconcile(&isolated(&raw), &engine.state, &options()).unwrap().is_empty());

    engine.state.images.shift_remove("shop/assets:1");
    let never = ReconcileOptions { pull: Some(PullPolicy::Never), force_recreate: true, ..options() };
    assert!(matches!(
        reconcile(&isolated(&raw), &engine.state, &never),
        Err(ReconcileError::ImageMissing { image, .. }) if image == "shop/assets:1"
    ));
}

#[test]
fn always_pulls_each_image_once() {
    let mut raw = raw_postgres_redis();
    let second = raw.services["redis"].clone();
    raw.services.insert(ServiceName::new("queue").unwrap(), second);
    let always = ReconcileOptions { pull: Some(PullPolicy::Always), ..options() };
    let none = ObservedState::default();
    assert_eq!(plan_images(&raw, &none, &always).unwrap().steps.len(), 2);
    assert!(plan_images(&raw, &none, &options()).unwrap().is_empty());
}

#[test]
fn a_timed_policy_pulls_an_image_that_was_tagged_too_long_ago() {
    let mut raw = raw_postgres_redis();
    raw.services["redis"].pull_policy = Some(PullPolicy::Every(Duration::from_mins(1)));
    let pulls = |raw: &Project, tagged: Option<i64>, options: ReconcileOptions| {
        let mut observed = ObservedState::default();
        let image = ObservedImage { tagged, ..ObservedImage::default() };
        observed.images.insert(raw.services["redis"].image.clone(), image);
        plan_images(raw, &observed, &ReconcileOptions { now: 1000, ..options }).unwrap().to_string()
    };
    assert_eq!(pulls(&raw, Some(941), options()), "");
    let refreshed = "pull image redis:8 [it was pulled longer ago than its pull policy allows]\n";
    assert_eq!(pulls(&raw, Some(940), options()), refreshed);
    assert_eq!(pulls(&raw, None, options()), refreshed);
    let missing = ReconcileOptions { pull: Some(PullPolicy::Missing), ..options() };
    assert_eq!(pulls(&raw, None, missing), "");
    // One that the Engine lacks is pulled with the rest.
    assert!(plan_images(&raw, &ObservedState::default(), &options()).unwrap().is_empty());
    raw.services["redis"].image = format!("redis@sha256:{}", "0".repeat(64));
    assert_eq!(pulls(&raw, None, options()), "");
}
