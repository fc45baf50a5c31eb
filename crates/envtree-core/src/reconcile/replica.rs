//! Services that have several containers, or none.

use super::{Draft, ReconcileError};
use crate::name::ServiceName;
use crate::observed::ObservedContainer;
use crate::service::Service;

/// Plans the removal of the containers whose numbers are higher than what their services ask for.
///
/// Their volumes stay: a service that is given more containers again finds them.
pub(super) fn plan_surplus(draft: &mut Draft<'_>) {
    let observed = draft.observed;
    for container in &observed.containers {
        if let Some(count) = surplus(draft, container) {
            let cause = match count {
                0 => "its service has no container".to_owned(),
                1 => "its service has one container".to_owned(),
                count => format!("its service has {count} containers"),
            };
            draft.remove_container(container, &cause, false, Vec::new());
        }
    }
}

/// Returns how many containers the service of `container` has, if that leaves this one out.
fn surplus(draft: &Draft<'_>, container: &ObservedContainer) -> Option<u32> {
    let service = draft.desired.services.get(container.service()?)?;
    let count = service.replicas();
    let is_left_out = container.number() > count && draft.is_own(container);
    is_left_out.then_some(count)
}

/// Returns an error if the containers of a service cannot all be made.
pub(super) fn check(draft: &Draft<'_>, name: &ServiceName, service: &Service) -> Result<(), ReconcileError> {
    let replicas = service.replicas();
    if replicas == 0 {
        return Ok(());
    }
    let is_empty = |used: &Service| used.replicas() == 0;
    let services = &draft.desired.services;
    let used = service.joined_services().filter_map(|used| services.get_key_value(used));
    if let Some((used, _)) = used.into_iter().find(|(_, used)| is_empty(used)) {
        return Err(ReconcileError::NoneToJoin { service: name.clone(), used: used.clone() });
    }
    let fixed = service.networks.iter().find_map(|(network, joins)| {
        Some((network.clone(), joins.ipv4_address.as_ref().or(joins.ipv6_address.as_ref())?.clone()))
    });
    match fixed.filter(|_| replicas > 1) {
        Some((network, address)) => {
            Err(ReconcileError::AddressShared { service: name.clone(), network, address, replicas })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis};
    use crate::name::{NetworkName, ServiceName};
    use crate::plan::{Await, Operation, Plan, Step};
    use crate::project::Project;
    use crate::reconcile::{ReconcileError, ReconcileOptions, reconcile};
    use crate::service::{Condition, Dependency};
    use crate::simulate::SimulatedEngine;

    /// The template with so many containers of `redis`, on which `postgres` depends.
    fn raw(count: u32) -> Project {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].set_replicas(count);
        let how = Dependency { condition: Condition::ServiceHealthy, required: true, restart: true };
        raw.services["postgres"].depends_on.insert(ServiceName::new("redis").unwrap(), how);
        raw
    }

    fn plan(raw: &Project, engine: &SimulatedEngine) -> Result<Plan, ReconcileError> {
        let identity = identity();
        let project = isolate(raw, &identity, &assignments(raw)).project;
        let options = ReconcileOptions {
            repository: identity.repository,
            worktree: identity.worktree,
            ..ReconcileOptions::default()
        };
        reconcile(&project, &engine.state, &options)
    }

    fn up(raw: &Project) -> SimulatedEngine {
        let mut engine = SimulatedEngine::default();
        engine.apply(&plan(raw, &engine).unwrap()).unwrap();
        engine
    }

    fn start_of_postgres(plan: &Plan) -> &Step {
        let is_it = |step: &&Step| matches!(&step.operation, Operation::StartContainer { service, .. } if service.as_str() == "postgres");
        plan.steps.iter().find(is_it).unwrap()
    }

    #[test]
    fn a_dependent_starts_after_every_container() {
        let plan = plan(&raw(2), &SimulatedEngine::default()).unwrap();
        insta::assert_snapshot!(plan, @"
        pull image redis:8 [the Engine does not have it]
        pull image postgres:17 [the Engine does not have it]
        create network shop-fix-login_default (10.214.0.0/26) [it does not exist]
        create volume shop-fix-login_data [it does not exist]
        create container shop-fix-login-redis-1 [it does not exist]
        start container shop-fix-login-redis-1 [it was created]
        create container shop-fix-login-redis-2 [it does not exist]
        start container shop-fix-login-redis-2 [it was created]
        create container shop-fix-login-postgres-1 [it does not exist]
        start container shop-fix-login-postgres-1 [it was created]
        ");
        let start = start_of_postgres(&plan);
        let after: Vec<String> =
            start.after.iter().map(|id| plan.steps[id.0].operation.to_string()).collect();
        assert!(after.contains(&"start container shop-fix-login-redis-1".to_owned()), "{after:?}");
        assert!(after.contains(&"start container shop-fix-login-redis-2".to_owned()), "{after:?}");
    }

    #[test]
    fn scaling_changes_the_last_containers_alone() {
        let mut engine = up(&raw(2));
        let grown = plan(&raw(3), &engine).unwrap();
        insta::assert_snapshot!(grown, @"
        create container shop-fix-login-redis-3 [it does not exist]
        start container shop-fix-login-redis-3 [it was created]
        ");
        engine.apply(&grown).unwrap();
        let shrunk = plan(&raw(1), &engine).unwrap();
        insta::assert_snapshot!(shrunk, @"
        stop container shop-fix-login-redis-2 [its service has one container]
        remove container shop-fix-login-redis-2 [its service has one container]
        stop container shop-fix-login-redis-3 [its service has one container]
        remove container shop-fix-login-redis-3 [its service has one container]
        ");
        engine.apply(&shrunk).unwrap();
        assert!(plan(&raw(1), &engine).unwrap().is_empty());
    }

    #[test]
    fn a_changed_definition_makes_every_container_again_with_its_own_volume() {
        let mut raw = raw(2);
        let engine = up(&raw);
        raw.services["redis"].environment.insert("TZ".into(), "UTC".into());
        raw.services["postgres"].depends_on.clear();
        let plan = plan(&raw, &engine).unwrap();
        let mut seen = Vec::new();
        for step in &plan.steps {
            if let Operation::CreateContainer(new) = &step.operation {
                let old = engine.state.containers.iter().find(|old| old.name == new.name).unwrap();
                assert_eq!(new.inherited_volumes, old.volumes);
                seen.push(new.inherited_volumes["/data"].clone());
            }
        }
        assert_eq!(seen.len(), 2);
        assert_ne!(seen[0], seen[1]);
    }

    #[test]
    fn what_became_of_one_container_is_mended_in_that_one() {
        let mut engine = up(&raw(3));
        engine.state.containers.retain(|container| container.name != "shop-fix-login-redis-2");
        insta::assert_snapshot!(plan(&raw(3), &engine).unwrap(), @"
        create container shop-fix-login-redis-2 [it does not exist]
        start container shop-fix-login-redis-2 [it was created]
        ");
    }

    #[test]
    fn nobody_waits_for_a_service_without_containers() {
        let mut engine = up(&raw(1));
        let plan = plan(&raw(0), &engine).unwrap();
        insta::assert_snapshot!(plan, @"
        stop container shop-fix-login-redis-1 [its service has no container]
        remove container shop-fix-login-redis-1 [its service has no container]
        ");
        engine.apply(&plan).unwrap();
        let first = self::plan(&raw(0), &SimulatedEngine::default()).unwrap();
        let waits = |step: &Step| step.awaits.iter().any(|on| matches!(on, Await::Service { .. }));
        assert!(!waits(start_of_postgres(&first)), "{first}");
        assert!(waits(start_of_postgres(&self::plan(&raw(1), &SimulatedEngine::default()).unwrap())));
    }

    #[test]
    fn what_only_one_container_can_have_is_refused_by_name() {
        let mut fixed = raw(2);
        let joins = &mut fixed.services["redis"].networks[&NetworkName::new("default").unwrap()];
        joins.ipv4_address = Some("10.214.0.9".into());
        let error = plan(&fixed, &SimulatedEngine::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "service `redis`: `networks.default`: 2 containers cannot share the address 10.214.0.50"
        );
        fixed.services["redis"].set_replicas(1);
        assert!(plan(&fixed, &SimulatedEngine::default()).is_ok());
        let mut joined = raw(0);
        joined.services["postgres"].network_mode = Some("service:redis".into());
        let error = plan(&joined, &SimulatedEngine::default()).unwrap_err().to_string();
        assert_eq!(error, "service `postgres` uses the container of service `redis`, which has none");
    }

    #[test]
    fn links_lead_to_every_container() {
        let mut raw = raw(2);
        raw.services["postgres"].links.push("redis:cache".into());
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let links = crate::reconcile::joined::links(&project, &project.services["postgres"]).join("\n");
        insta::assert_snapshot!(links, @"
        shop-fix-login-redis-1:cache
        shop-fix-login-redis-1:redis-1
        shop-fix-login-redis-1:shop-fix-login-redis-1
        shop-fix-login-redis-2:cache
        shop-fix-login-redis-2:redis-2
        shop-fix-login-redis-2:shop-fix-login-redis-2
        ");
    }
}
