//! A container that runs one command of a service, beside the containers that the service consists of.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::label;
use crate::name::ServiceName;
use crate::observed::ObservedState;
use crate::plan::{Await, Operation, Plan};
use crate::project::Project;
use crate::reconcile::{ReconcileError, ReconcileOptions, reconcile};
use crate::service::{MountSource, Port, RestartPolicy, Service};

/// What becomes of the container once its command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Whoever ran it removes it; if that fails, the next `up` does.
    Removed,
    /// The Engine removes it by itself, for nobody waits for it.
    RemovedByEngine,
    /// It stays until the environment is taken down.
    Kept,
}

impl Ended {
    const ALL: [Self; 3] = [Self::Removed, Self::RemovedByEngine, Self::Kept];

    /// Returns the value of [`label::ONE_OFF`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::RemovedByEngine => "removed-by-engine",
            Self::Kept => "kept",
        }
    }

    /// Reads it out of a container's labels; nothing if the container is none of envtree's `run`.
    pub fn of_labels(labels: &IndexMap<String, String>) -> Option<Self> {
        let value = labels.get(label::ONE_OFF)?;
        Self::ALL.into_iter().find(|ended| ended.as_str() == value)
    }
}

/// How one command is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOff {
    /// The service whose definition the container has.
    pub service: ServiceName,
    /// The container's name.
    pub container: String,
    /// What tells it from its like.
    pub slug: String,
    /// What becomes of it.
    pub ended: Ended,
    /// Whether the command gets a terminal.
    pub tty: bool,
    /// Whether the command reads input.
    pub interactive: bool,
    /// Whether the ports of the service are published.
    pub service_ports: bool,
    /// Ports that are published besides.
    pub publish: Vec<Port>,
    /// Whether it is reached under the names of the service.
    pub use_aliases: bool,
    /// Whether what the service depends on is started.
    pub dependencies: bool,
}

/// What leads to a container that is ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOffPlan {
    /// The steps; the container's own start is none of them.
    pub plan: Plan,
    /// What must hold before it is started.
    pub awaits: Vec<Await>,
}

/// Returns the part of an isolated project that a command needs: the service, as the command's container has it, and
/// what it depends on.
pub fn one_off_project(isolated: &Project, one_off: &OneOff) -> Project {
    let mut project = isolated.clone();
    let mut needed = BTreeSet::from([one_off.service.clone()]);
    let mut open = vec![one_off.service.clone()];
    while let Some(service) = open.pop().filter(|_| one_off.dependencies) {
        let on = isolated.services.get(&service).into_iter().flat_map(|service| service.depends_on.keys());
        open.extend(on.filter(|on| needed.insert((*on).clone())).cloned());
    }
    if let Some(service) = project.services.get_mut(&one_off.service) {
        if !one_off.dependencies {
            *service = crate::reconcile::with_containers(isolated, service);
            service.depends_on.clear();
        }
        adapt(service, one_off);
    }
    project.services.retain(|name, _| needed.contains(name));
    project.bases = bases(isolated, &project.services);
    let services = || project.services.values();
    let networks: BTreeSet<_> = services().flat_map(|service| service.networks.keys().cloned()).collect();
    let mounts = services().flat_map(|service| &service.mounts);
    let volumes: BTreeSet<_> = mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { volume, .. } => volume.clone(),
            _ => None,
        })
        .collect();
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project
}

/// Returns the services beside `services` whose images those are made from or mount.
fn bases(isolated: &Project, services: &IndexMap<ServiceName, Service>) -> IndexMap<ServiceName, Service> {
    let mut bases: IndexMap<ServiceName, Service> = IndexMap::new();
    let mut open: Vec<&Service> = services.values().collect();
    while let Some(service) = open.pop() {
        let contexts = service.build.iter().flat_map(|build| build.additional_contexts.values());
        let images = contexts.filter_map(|context| context.strip_prefix("docker-image://"));
        for image in images.chain(service.mounted_images()) {
            let base =
                isolated.built().find(|(name, base)| base.image == image && !services.contains_key(*name));
            if let Some((name, base)) = base
                && bases.insert(name.clone(), base.clone()).is_none()
            {
                open.push(base);
            }
        }
    }
    bases
}

/// Makes of a service's definition that of the command's container.
fn adapt(service: &mut Service, one_off: &OneOff) {
    service.container_name = Some(one_off.container.clone());
    service.restart = RestartPolicy::No;
    service.set_replicas(1);
    service.further = Arc::default();
    if let Some(deploy) = &mut service.deploy {
        deploy.restart_policy = None;
    }
    if !one_off.service_ports {
        service.ports.clear();
    }
    service.ports.extend(one_off.publish.iter().cloned());
    service.post_start.clear();
    service.pre_stop.clear();
    service.runtime.tty = one_off.tty;
    service.runtime.stdin_open = one_off.interactive;
    for attachment in service.networks.values_mut() {
        // What is fixed belongs to the service's own container.
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
        attachment.mac_address = None;
        if !one_off.use_aliases {
            attachment.aliases.clear();
            attachment.nameless = true;
        }
    }
    for key in [label::PORTS, label::POST_START, label::PRE_STOP] {
        service.labels.shift_remove(key);
    }
    let own = [
        (label::COMPOSE_ONEOFF, "True"),
        (label::COMPOSE_SLUG, &one_off.slug),
        (label::ONE_OFF, one_off.ended.as_str()),
    ];
    service.labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

/// Returns the steps up to the start of the container, for a project of [`one_off_project`].
///
/// Networks and volumes that exist are taken as they are: other containers use them.
pub fn plan_one_off(
    project: &Project,
    observed: &ObservedState,
    one_off: &OneOff,
    options: &ReconcileOptions,
) -> Result<OneOffPlan, ReconcileError> {
    let mut project = project.clone();
    let hash = |labels: &IndexMap<String, String>| labels.get(label::CONFIG_HASH).cloned();
    for network in project.networks.values_mut() {
        let found = observed.networks.iter().find(|found| Some(&found.name) == network.name.as_ref());
        if let Some(hash) = found.and_then(|found| hash(&found.labels)) {
            network.labels.insert(label::CONFIG_HASH.into(), hash);
        }
    }
    for volume in project.volumes.values_mut() {
        let found = observed.volumes.iter().find(|found| Some(&found.name) == volume.name.as_ref());
        if let Some(hash) = found.and_then(|found| hash(&found.labels)) {
            volume.labels.insert(label::CONFIG_HASH.into(), hash);
        }
    }
    let others = observed.containers.iter().filter_map(|container| container.service().map(str::to_owned));
    let options = ReconcileOptions { inactive: others.collect(), ..options.clone() };
    // The service's own containers are nobody's business here.
    let mut observed = observed.clone();
    observed
        .containers
        .retain(|container| container.is_one_off() || container.service() != Some(one_off.service.as_str()));
    let mut plan = reconcile(&project, &observed, &options)?;
    plan.warnings.clear();
    let mut awaits = Vec::new();
    // The service depends on all others, so its start is the last step.
    if let Some(last) = plan.steps.pop_if(|step| {
        matches!(&step.operation, Operation::StartContainer { container, .. } if *container == one_off.container)
    }) {
        awaits = last.awaits;
    }
    Ok(OneOffPlan { plan, awaits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Build;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis, service};
    use crate::service::{Condition, Dependency};
    use crate::simulate::SimulatedEngine;

    fn one_off() -> OneOff {
        OneOff {
            service: ServiceName::new("web").unwrap(),
            container: "shop-fix-login-web-run-0a".into(),
            slug: "0a".into(),
            ended: Ended::Removed,
            tty: false,
            interactive: true,
            service_ports: false,
            publish: Vec::new(),
            use_aliases: false,
            dependencies: true,
        }
    }

    /// The template's project with a service `web` that depends on `postgres`.
    fn project() -> Project {
        let mut raw = raw_postgres_redis();
        let mut web = service("web:1", 80);
        let healthy = Dependency { condition: Condition::ServiceHealthy, restart: false, required: true };
        web.depends_on.insert(ServiceName::new("postgres").unwrap(), healthy);
        raw.services.insert(ServiceName::new("web").unwrap(), web);
        isolate(&raw, &identity(), &assignments(&raw)).project
    }

    fn options() -> ReconcileOptions {
        ReconcileOptions { repository: identity().repository, ..ReconcileOptions::default() }
    }

    #[test]
    fn what_the_service_depends_on_is_started_and_the_container_itself_only_made() {
        let mut engine = SimulatedEngine::default();
        let part = one_off_project(&project(), &one_off());
        let OneOffPlan { plan, awaits } = plan_one_off(&part, &engine.state, &one_off(), &options()).unwrap();
        insta::assert_snapshot!(plan, @"
        pull image postgres:17 [the Engine does not have it]
        pull image web:1 [the Engine does not have it]
        create network shop-fix-login_default (10.214.0.0/26) [it does not exist]
        create volume shop-fix-login_data [it does not exist]
        create container shop-fix-login-postgres-1 [it does not exist]
        start container shop-fix-login-postgres-1 [it was created]
        create container shop-fix-login-web-run-0a [it does not exist]
        ");
        assert_eq!(awaits.len(), 1);
        engine.apply(&plan).unwrap();
        let made = engine.state.containers.iter().find(|container| container.is_one_off()).unwrap();
        assert!(!made.labels.contains_key(label::PORTS), "{made:?}");
        assert_eq!(Ended::of_labels(&made.labels), Some(Ended::Removed));
    }

    #[test]
    fn what_its_image_is_made_from_is_built_without_a_container() {
        let built = |contexts: &[(&str, &str)]| {
            let text = |(name, context): &(&str, &str)| ((*name).to_owned(), (*context).to_owned());
            let additional_contexts = contexts.iter().map(text).collect();
            let build = Build { context: "/srv".into(), additional_contexts, ..Build::default() };
            Service { build: Some(build), ..service("", 80) }
        };
        let mut raw = raw_postgres_redis();
        let mut add = |name: &str, service| raw.services.insert(ServiceName::new(name).unwrap(), service);
        add("web", built(&[("base", "service:base"), ("other", "docker-image://alpine")]));
        add("base", built(&[("root", "service:root")]));
        add("root", built(&[("base", "service:base")]));
        let isolated = isolate(&raw, &identity(), &assignments(&raw)).project;
        let mut engine = SimulatedEngine::default();
        let part = one_off_project(&isolated, &one_off());
        let planned = plan_one_off(&part, &engine.state, &one_off(), &options()).unwrap();
        let builds = |plan: &Plan| plan.to_string().lines().filter(|line| line.starts_with("build")).count();
        assert_eq!(builds(&planned.plan), 3, "{}", planned.plan);
        engine.apply(&planned.plan).unwrap();
        assert_eq!(engine.state.containers.len(), 1);

        engine.apply(&reconcile(&isolated, &engine.state, &options()).unwrap()).unwrap();
        let containers = engine.state.containers.len();
        engine.state.images.shift_remove("shop-fix-login-web");
        engine.state.images.shift_remove("shop-fix-login-root");
        let again = OneOff { container: "shop-fix-login-web-run-0b".into(), ..one_off() };
        let part = one_off_project(&isolated, &again);
        let planned = plan_one_off(&part, &engine.state, &again, &options()).unwrap();
        insta::assert_snapshot!(planned.plan, @"
        build image shop-fix-login-web [the Engine does not have it]
        create container shop-fix-login-web-run-0b [it does not exist]
        ");
        engine.apply(&planned.plan).unwrap();
        assert_eq!(engine.state.containers.len(), containers + 1);
    }

    #[test]
    fn nothing_else_of_a_running_environment_is_touched() {
        let mut engine = SimulatedEngine::default();
        engine.apply(&reconcile(&project(), &engine.state, &options()).unwrap()).unwrap();
        for network in &mut engine.state.networks {
            network.labels.insert(label::CONFIG_HASH.into(), "another".into());
        }
        for dependencies in [true, false] {
            let one_off = OneOff { dependencies, ..one_off() };
            let part = one_off_project(&project(), &one_off);
            let planned = plan_one_off(&part, &engine.state, &one_off, &options()).unwrap();
            assert_eq!(
                planned.plan.to_string(),
                "create container shop-fix-login-web-run-0a [it does not exist]\n"
            );
            assert_eq!(planned.awaits.len(), usize::from(dependencies));
        }
    }

    #[test]
    fn the_container_has_no_name_and_no_address_of_the_service() {
        let mut isolated = project();
        isolated.services["web"].networks["default"].ipv4_address = Some("10.214.0.9".into());
        isolated.services["web"].restart = RestartPolicy::Always;
        let part = one_off_project(&isolated, &one_off());
        let web = &part.services["web"];
        assert!(web.networks["default"].nameless && web.networks["default"].ipv4_address.is_none());
        assert!(web.ports.is_empty() && web.restart == RestartPolicy::No);
        assert_eq!(part.services.keys().map(ServiceName::as_str).collect::<Vec<_>>(), ["postgres", "web"]);
        let open = OneOff { service_ports: true, use_aliases: true, ..one_off() };
        let web = one_off_project(&isolated, &open).services["web"].clone();
        assert!(!web.networks["default"].nameless && web.ports.len() == 1);
    }

    #[test]
    fn an_abandoned_container_goes_with_the_next_up_and_a_running_or_kept_one_stays() {
        use crate::observed::ContainerState::{Created, Exited, Running};
        let mut engine = SimulatedEngine::default();
        engine.apply(&reconcile(&project(), &engine.state, &options()).unwrap()).unwrap();
        for (ended, state, goes) in [
            (Ended::Removed, Exited, true),
            (Ended::Removed, Created, true),
            (Ended::Removed, Running, false),
            (Ended::RemovedByEngine, Created, true),
            (Ended::Kept, Exited, false),
        ] {
            let one_off = OneOff { ended, ..one_off() };
            let mut engine = engine.clone();
            let part = one_off_project(&project(), &one_off);
            engine.apply(&plan_one_off(&part, &engine.state, &one_off, &options()).unwrap().plan).unwrap();
            engine.state.containers.iter_mut().find(|found| found.is_one_off()).unwrap().state = state;
            let plan = reconcile(&project(), &engine.state, &options()).unwrap();
            assert_eq!(plan.steps.len(), usize::from(goes), "{ended:?} {state:?}: {plan}");
        }
    }
}
