//! A plan that is carried out leaves nothing to do, whatever happened before; and what holds data stays.

#[path = "support/deeds.rs"]
mod deeds;
#[path = "support/edits.rs"]
mod edits;
#[path = "support/projects.rs"]
mod projects;

use std::collections::BTreeSet;

use deeds::{act, deeds};
use edits::{Edit, edit, edits};
use envtree_core::branch::{Branch, Ground, Layer};
use envtree_core::isolate::{Assignments, isolate};
use envtree_core::label;
use envtree_core::name::VolumeName;
use envtree_core::observed::{ContainerState, ObservedNetwork, ObservedState, ObservedVolume};
use envtree_core::plan::{Operation, Owner, Plan, StepId};
use envtree_core::project::{Project, Volume};
use envtree_core::reconcile::{ReconcileOptions, reconcile};
use envtree_core::service::{MountSource, Service};
use envtree_core::simulate::{Refusal, SimulatedEngine};
use envtree_core::teardown::{RemovalOptions, plan_removal, plan_reset};
use indexmap::IndexMap;
use projects::{Reserved, identity, projects, reserve};
use proptest::collection::vec;
use proptest::prelude::*;

fn options() -> ReconcileOptions {
    ReconcileOptions {
        repository: "id-of-shop".into(),
        worktree: "/shop.worktrees/x".into(),
        ..ReconcileOptions::default()
    }
}

/// What begins every volume of a project as a branch; those that a service mounts as copies, if that is asked for.
fn branching(project: &Project, is_copied: bool) -> ReconcileOptions {
    let is_mounted = |key: &VolumeName| {
        let mut mounts = project
            .services
            .values()
            .filter(|service| service.replicas() > 0)
            .flat_map(|service| &service.mounts);
        mounts.any(|mount| matches!(&mount.source, MountSource::Volume { volume, .. } if volume.as_ref() == Some(key)))
    };
    let branch = |(key, volume): (&VolumeName, &Volume)| {
        let name = volume.name.clone().unwrap_or_default();
        let layer = Layer::of_volume("base", "/volumes/base/_data");
        let owner = Owner { uid: 1, gid: 2, mode: 0o700 };
        let mut ground = Ground::on_layer("0", layer, owner, Vec::new());
        ground.copied = (is_copied && is_mounted(key)).then(|| "it was asked for".to_owned());
        (name, Branch { volume: volume.clone(), key: key.clone(), ground })
    };
    let own = project.volumes.iter().filter(|(_, volume)| !volume.external);
    ReconcileOptions { branches: own.map(branch).collect(), ..options() }
}

/// What consent to every loss means.
fn consent() -> ReconcileOptions {
    ReconcileOptions { remove_orphans: true, recreate_volumes: true, ..options() }
}

/// Returns the projects of one environment, isolated: the second keeps what is reserved for the first.
fn isolated_in_turn(first: &Project, second: &Project) -> (Project, Project) {
    let identity = identity("shop", "x");
    let before = reserve(first, &Assignments::default(), &mut Reserved::default());
    let mut reserved =
        Reserved { subnets: before.subnets.values().copied().collect(), ..Reserved::default() };
    let after = reserve(second, &before, &mut reserved);
    (isolate(first, &identity, &before).project, isolate(second, &identity, &after).project)
}

fn isolated(raw: &Project) -> Project {
    isolated_in_turn(raw, raw).0
}

fn edited(raw: &Project, edits: &[Edit]) -> (Project, Project) {
    let mut edited = raw.clone();
    for change in edits {
        edit(&mut edited, change);
    }
    isolated_in_turn(raw, &edited)
}

/// An Engine with objects of others, among them all that `project` declares external.
fn engine_for(project: &Project) -> SimulatedEngine {
    let mut engine = SimulatedEngine::default();
    let networks: BTreeSet<String> = project
        .networks
        .values()
        .filter(|network| network.external)
        .filter_map(|network| network.name.clone())
        .chain(["bridge".into()])
        .collect();
    for name in networks {
        let id = format!("foreign-{name}");
        let (subnets, labels) = (Vec::new(), IndexMap::new());
        engine.state.networks.push(ObservedNetwork { id, name, subnets, labels });
    }
    let volumes: BTreeSet<String> = project
        .volumes
        .values()
        .filter(|volume| volume.external)
        .filter_map(|volume| volume.name.clone())
        .chain(["precious".into()])
        .collect();
    for name in volumes {
        engine.state.volumes.push(ObservedVolume {
            name,
            driver: "local".into(),
            created: String::new(),
            mountpoint: String::new(),
            labels: IndexMap::new(),
        });
    }
    engine
}

fn foreign(state: &ObservedState) -> Vec<String> {
    let networks = state.networks.iter().filter(|network| network.labels.is_empty());
    let volumes = state.volumes.iter().filter(|volume| volume.labels.is_empty());
    networks.map(|network| network.name.clone()).chain(volumes.map(|volume| volume.name.clone())).collect()
}

fn volumes(state: &ObservedState) -> BTreeSet<String> {
    state.volumes.iter().map(|volume| volume.name.clone()).collect()
}

fn up(
    engine: &mut SimulatedEngine,
    project: &Project,
    options: &ReconcileOptions,
) -> Result<Plan, TestCaseError> {
    let plan = reconcile(project, &engine.state, options);
    let plan = plan.map_err(|error| TestCaseError::fail(error.to_string()))?;
    engine.apply(&plan).map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{plan}")))?;
    Ok(plan)
}

/// Brings the project up and checks that nothing is left to do and that it runs as it is defined.
fn converge(
    engine: &mut SimulatedEngine,
    project: &Project,
    options: &ReconcileOptions,
) -> Result<Plan, TestCaseError> {
    let before = foreign(&engine.state);
    let plan = up(engine, project, options)?;
    let again = reconcile(project, &engine.state, options).expect("the first one was possible");
    prop_assert!(again.is_empty(), "first:\n{}then:\n{}", plan, again);
    prop_assert_eq!(before, foreign(&engine.state));
    let surplus = engine.state.containers.iter().find(|found| {
        let service = found.service().and_then(|name| project.services.get(name));
        service.is_some_and(|service| found.number() > service.replicas())
    });
    prop_assert!(surplus.is_none(), "{:?}", surplus);
    for (_, service) in
        project.services.values().filter(|service| service.replicas() > 0).flat_map(Service::containers)
    {
        let found =
            engine.state.containers.iter().find(|found| Some(&found.name) == service.container_name.as_ref());
        let found = found.ok_or_else(|| TestCaseError::fail("a service has no container"))?;
        prop_assert_eq!(found.state, ContainerState::Running);
        prop_assert_eq!(found.labels.get(label::CONFIG_HASH), service.labels.get(label::CONFIG_HASH));
        let wanted = service.networks.keys().filter_map(|key| project.networks[key].name.clone());
        let joined: BTreeSet<String> = found.networks.keys().cloned().collect();
        prop_assert_eq!(wanted.collect::<BTreeSet<_>>(), joined);
    }
    Ok(plan)
}

/// Returns the steps that `choices` let happen: one happens only after all that it comes after.
fn interrupted(plan: &Plan, choices: &[bool]) -> Plan {
    let mut done: Vec<Option<StepId>> = Vec::new();
    let mut part = Plan::default();
    for (step, happens) in plan.steps.iter().zip(choices.iter().cycle()) {
        let after: Option<Vec<StepId>> = step.after.iter().map(|id| done[id.0]).collect();
        done.push(after.filter(|_| *happens).map(|after| {
            let mut step = step.clone();
            step.after = after;
            part.push(step)
        }));
    }
    part
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_second_up_changes_nothing(raw in projects()) {
        let project = isolated(&raw);
        converge(&mut engine_for(&project), &project, &options())?;
    }

    #[test]
    fn edited_files_converge_and_no_volume_is_lost_without_consent(
        raw in projects(), edits in edits(), remove_orphans in any::<bool>()
    ) {
        let (project, edited) = edited(&raw, &edits);
        let mut engine = engine_for(&project);
        converge(&mut engine, &project, &options())?;
        let before = volumes(&engine.state);
        let plan = converge(&mut engine, &edited, &ReconcileOptions { remove_orphans, ..options() })?;
        let removes = |step: &envtree_core::plan::Step| matches!(step.operation, Operation::RemoveVolume { .. });
        prop_assert!(!plan.steps.iter().any(removes), "{}", plan);
        prop_assert!(before.is_subset(&volumes(&engine.state)));
        let kept_anonymous = plan.steps.iter().all(|step| match &step.operation {
            Operation::RemoveContainer { container, volumes } => {
                !volumes || !engine.state.containers.iter().any(|other| other.name == *container)
            }
            _ => true,
        });
        prop_assert!(kept_anonymous, "{}", plan);
    }

    #[test]
    fn edited_files_converge_with_consent_and_leave_no_orphan(raw in projects(), edits in edits()) {
        let (project, edited) = edited(&raw, &edits);
        let mut engine = engine_for(&project);
        converge(&mut engine, &project, &options())?;
        converge(&mut engine, &edited, &consent())?;
        let wanted = edited.services.values().map(|service| service.replicas() as usize);
        prop_assert_eq!(engine.state.containers.len(), wanted.sum::<usize>());
        let own = engine.state.networks.iter().filter(|network| !network.labels.is_empty()).count();
        prop_assert_eq!(own, edited.networks.values().filter(|network| !network.external).count());
        let again = reconcile(&edited, &engine.state, &options()).expect("the first one was possible");
        prop_assert!(again.confirmations.is_empty(), "{}", again);
    }

    #[test]
    fn what_was_done_by_hand_is_mended(raw in projects(), deeds in deeds()) {
        let project = isolated(&raw);
        let mut engine = engine_for(&project);
        converge(&mut engine, &project, &options())?;
        for deed in &deeds {
            act(&mut engine, deed);
        }
        let before = volumes(&engine.state);
        converge(&mut engine, &project, &options())?;
        prop_assert!(before.is_subset(&volumes(&engine.state)));
    }

    #[test]
    fn an_interrupted_up_is_completed_by_the_next(
        raw in projects(), edits in edits(),
        first in vec(any::<bool>(), 1..40), second in vec(any::<bool>(), 1..40), with_consent in any::<bool>(),
    ) {
        let options = if with_consent { consent() } else { options() };
        let (project, edited) = edited(&raw, &edits);
        let mut engine = engine_for(&project);
        for (project, choices) in [(&project, first), (&edited, second)] {
            let plan = reconcile(project, &engine.state, &options);
            let plan = plan.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let part = interrupted(&plan, &choices);
            engine.apply(&part).map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{part}")))?;
        }
        converge(&mut engine, &edited, &options)?;
    }

    #[test]
    fn branches_are_completed_kept_and_removed_whole(
        raw in projects(), deeds in deeds(),
        first in vec(any::<bool>(), 1..40), second in vec(any::<bool>(), 1..20), is_reset in any::<bool>(),
        is_copied in any::<bool>(),
    ) {
        let project = isolated(&raw);
        let options = branching(&project, is_copied);
        let count = options.branches.len();
        let mut engine = engine_for(&project);
        let fail = |refusal: Refusal| TestCaseError::fail(refusal.to_string());
        let plan = reconcile(&project, &engine.state, &options).expect("all that it needs is there");
        engine.apply(&interrupted(&plan, &first)).map_err(fail)?;
        converge(&mut engine, &project, &options)?;
        prop_assert_eq!((engine.state.uppers.len(), engine.state.keepers.len()), (count, count));
        for deed in &deeds {
            act(&mut engine, deed);
        }
        // What keeps them comes back, and changes stay where they are, whatever would be branched now.
        engine.state.keepers.pop();
        let uppers = engine.state.uppers.clone();
        converge(&mut engine, &project, &self::options())?;
        prop_assert_eq!(engine.state.keepers.len(), count);
        prop_assert_eq!(&engine.state.uppers, &uppers);
        let removal = |engine: &SimulatedEngine| if is_reset {
            let uppers = engine.state.uppers.iter();
            let branches = uppers.map(|upper| upper.labels[label::BRANCH].as_str()).collect();
            plan_reset(&engine.state, "id-of-shop", "shop-x", &branches)
        } else {
            let repository = "id-of-shop".into();
            let removal = RemovalOptions { repository, volumes: true, images: true, ..RemovalOptions::default() };
            plan_removal(&engine.state, "shop-x", &removal)
        };
        let plan = removal(&engine);
        engine.apply(&interrupted(&plan, &second)).map_err(fail)?;
        let plan = removal(&engine);
        engine.apply(&plan).map_err(fail)?;
        prop_assert!(engine.state.uppers.is_empty() && engine.state.keepers.is_empty(), "{}", plan);
        converge(&mut engine, &project, &options)?;
    }

    #[test]
    fn a_removal_leaves_what_belongs_to_others_and_volumes_unless_they_are_meant(
        raw in projects(), deeds in deeds(), choices in vec(any::<bool>(), 1..20), with_volumes in any::<bool>()
    ) {
        let project = isolated(&raw);
        let mut engine = engine_for(&project);
        let others = foreign(&engine.state);
        converge(&mut engine, &project, &options())?;
        for deed in &deeds {
            act(&mut engine, deed);
        }
        let before = volumes(&engine.state);
        let removal = RemovalOptions { repository: "id-of-shop".into(), volumes: with_volumes, images: with_volumes, ..RemovalOptions::default() };
        let plan = plan_removal(&engine.state, "shop-x", &removal);
        engine.apply(&interrupted(&plan, &choices)).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        let plan = plan_removal(&engine.state, "shop-x", &removal);
        engine.apply(&plan).map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{plan}")))?;
        prop_assert!(engine.state.containers.is_empty());
        prop_assert!(engine.state.networks.iter().all(|network| network.labels.is_empty()));
        prop_assert!(plan_removal(&engine.state, "shop-x", &removal).is_empty());
        prop_assert_eq!(foreign(&engine.state), others);
        if with_volumes {
            prop_assert!(engine.state.volumes.iter().all(|volume| volume.labels.is_empty()));
        } else {
            prop_assert_eq!(volumes(&engine.state), before);
        }
    }
}
