//! Decides which objects that Docker Compose made belong to an environment.
//!
//! A Compose project of the environment's name counts as its own only where every container of it was made from files of
//! the environment's worktree. Networks and volumes tell nothing of where they come from: they count if such a container
//! uses them. What is adopted is marked in the observation as if it bore envtree's label, so that everything that looks
//! at an observation agrees on it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::label;
use crate::name::ProjectName;
use crate::observed::{ObservedContainer, ObservedState};

/// The volumes that an environment took over: when each was made, by its name.
pub type AdoptedVolumes = BTreeMap<String, String>;

/// Whose objects are looked for.
pub struct Adoption<'a> {
    /// The repository that owns the environment, as its label has it.
    pub repository: &'a str,
    /// The environment's project.
    pub project: &'a ProjectName,
    /// Returns whether an absolute path lies in the environment's worktree.
    pub is_of_worktree: &'a dyn Fn(&str) -> bool,
    /// The volumes that were taken over before.
    pub volumes: &'a AdoptedVolumes,
    /// The Engine's names of volumes that may be taken over now.
    pub wanted: &'a BTreeSet<String>,
}

/// What was adopted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopted {
    /// The containers that Docker Compose made, by name.
    pub containers: Vec<String>,
    /// The volumes, those of before that still exist included.
    pub volumes: AdoptedVolumes,
    /// Volumes of the project that the containers use under names which no environment uses.
    pub left: Vec<String>,
}

/// Marks what is adopted in `observed`, and returns it.
pub fn adopt(observed: &mut ObservedState, adoption: &Adoption<'_>) -> Adopted {
    let is_of_compose = |labels: &IndexMap<String, String>| {
        labels.get(label::COMPOSE_PROJECT).is_some_and(|name| *adoption.project == *name.as_str())
            && !labels.contains_key(label::REPOSITORY)
    };
    let theirs: Vec<ObservedContainer> =
        observed.containers.iter().filter(|container| is_of_compose(&container.labels)).cloned().collect();
    if !theirs.iter().all(|container| is_of_worktree(container, adoption)) {
        return Adopted::default();
    }
    let mounted =
        |name: &str| theirs.iter().any(|container| container.volumes.values().any(|used| used == name));
    let mut adopted = Adopted {
        containers: theirs.iter().map(|container| container.name.clone()).collect(),
        ..Adopted::default()
    };
    let mark = |labels: &mut IndexMap<String, String>| {
        labels.insert(label::REPOSITORY.to_owned(), adoption.repository.to_owned());
    };
    for container in observed.containers.iter_mut().filter(|container| is_of_compose(&container.labels)) {
        mark(&mut container.labels);
    }
    for network in observed.networks.iter_mut().filter(|network| is_of_compose(&network.labels)) {
        let is_used = theirs.iter().any(|container| container.networks.contains_key(&network.name));
        if is_used && network.labels.contains_key(label::COMPOSE_NETWORK) {
            mark(&mut network.labels);
        }
    }
    for volume in observed.volumes.iter_mut().filter(|volume| is_of_compose(&volume.labels)) {
        let is_same =
            |created: &String| created.is_empty() || volume.created.is_empty() || *created == volume.created;
        let is_known = adoption.volumes.get(&volume.name).is_some_and(is_same);
        let has_own_name = volume
            .labels
            .get(label::COMPOSE_VOLUME)
            .is_some_and(|key| volume.name == adoption.project.object(key));
        if is_known || has_own_name && adoption.wanted.contains(&volume.name) && mounted(&volume.name) {
            mark(&mut volume.labels);
            adopted.volumes.insert(volume.name.clone(), volume.created.clone());
        } else if !has_own_name && mounted(&volume.name) && volume.labels.contains_key(label::COMPOSE_VOLUME)
        {
            adopted.left.push(volume.name.clone());
        }
    }
    adopted
}

/// Returns whether the folder and the files of a container's project, of which there is at least one, lie in the
/// worktree.
fn is_of_worktree(container: &ObservedContainer, adoption: &Adoption<'_>) -> bool {
    let value = |key: &str| container.labels.get(key).map(String::as_str).unwrap_or_default();
    let files = value(label::COMPOSE_CONFIG_FILES).split(',');
    std::iter::once(value(label::COMPOSE_WORKING_DIR)).chain(files).all(adoption.is_of_worktree)
}

/// Writes volumes as the value of [`label::ADOPTED`].
pub fn adopted_label(volumes: &AdoptedVolumes) -> String {
    let pairs: Vec<String> = volumes.iter().map(|(name, created)| format!("{name}={created}")).collect();
    pairs.join(",")
}

/// Reads the volumes that a container took over out of its labels.
pub fn adopted_volumes(labels: &IndexMap<String, String>) -> AdoptedVolumes {
    let text = labels.get(label::ADOPTED).map(String::as_str).unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, created)| (name.to_owned(), created.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis};
    use crate::observed::ContainerState;
    use crate::reconcile::{ReconcileOptions, reconcile};
    use crate::simulate::SimulatedEngine;
    use crate::teardown::{RemovalOptions, plan_removal};

    /// The Engine after `docker compose up` of the template in `folder`.
    fn composed(folder: &str) -> SimulatedEngine {
        let raw = raw_postgres_redis();
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let mut engine = SimulatedEngine::default();
        engine.apply(&reconcile(&project, &engine.state, &options()).unwrap()).unwrap();
        let state = &mut engine.state;
        let labels = state.containers.iter_mut().map(|container| &mut container.labels);
        let labels = labels.chain(state.networks.iter_mut().map(|network| &mut network.labels));
        for labels in labels.chain(state.volumes.iter_mut().map(|volume| &mut volume.labels)) {
            labels.retain(|key, _| key.starts_with("com.docker.compose."));
            if labels.contains_key(label::COMPOSE_WORKING_DIR) {
                labels.insert(label::COMPOSE_WORKING_DIR.into(), folder.into());
                labels.insert(label::COMPOSE_CONFIG_FILES.into(), format!("{folder}/compose.yaml"));
            }
        }
        engine
    }

    fn options() -> ReconcileOptions {
        ReconcileOptions { repository: identity().repository, ..ReconcileOptions::default() }
    }

    fn adopted(engine: &mut SimulatedEngine, volumes: &AdoptedVolumes, wanted: &[&str]) -> Adopted {
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        let adoption = Adoption {
            repository: &identity().repository,
            project: &identity().project,
            is_of_worktree: &|path| path.starts_with("/w/fix-login"),
            volumes,
            wanted: &wanted,
        };
        adopt(&mut engine.state, &adoption)
    }

    const DATA: &str = "shop-fix-login_data";

    #[test]
    fn a_stack_of_the_same_worktree_is_taken_over_and_its_volume_kept() {
        let raw = raw_postgres_redis();
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let mut engine = composed("/w/fix-login");
        assert!(reconcile(&project, &engine.state, &options()).is_err());
        let found = adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]);
        assert_eq!(found.containers.len(), 2);
        assert_eq!(found.volumes.keys().collect::<Vec<_>>(), [DATA]);
        let consent = ReconcileOptions { recreate_volumes: true, ..options() };
        let plan = reconcile(&project, &engine.state, &consent).unwrap();
        assert!(!plan.to_string().contains("volume"), "{plan}");
        engine.apply(&plan).unwrap();
        // The containers tell of the volume from now on.
        let told: AdoptedVolumes =
            engine.state.containers.iter().flat_map(|container| adopted_volumes(&container.labels)).collect();
        assert_eq!(told, found.volumes);
        assert!(reconcile(&project, &engine.state, &consent).unwrap().is_empty());
    }

    #[test]
    fn a_known_volume_stays_the_environments_own_and_goes_with_it() {
        let mut engine = composed("/w/fix-login");
        let known = adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]).volumes;
        let mut engine = composed("/w/fix-login");
        engine.state.containers.clear();
        assert_eq!(adopted(&mut engine.clone(), &AdoptedVolumes::new(), &[DATA]), Adopted::default());
        let mut later = engine.clone();
        // What the Engine does not tell the age of is known by its name.
        assert_eq!(adopted(&mut later, &known, &[]).volumes, known);
        let mut later = engine.clone();
        later.state.volumes[0].created = "later".into();
        let earlier = AdoptedVolumes::from([(DATA.to_owned(), "earlier".to_owned())]);
        assert_eq!(adopted(&mut later, &earlier, &[]), Adopted::default());
        assert_eq!(adopted(&mut engine, &known, &[]).volumes, known);
        let removal =
            RemovalOptions { repository: identity().repository, volumes: true, ..RemovalOptions::default() };
        let plan = plan_removal(&engine.state, "shop-fix-login", &removal);
        assert_eq!(plan.to_string(), format!("remove volume {DATA} [it was asked for]\n"));
    }

    #[test]
    fn nothing_of_a_stack_is_adopted_of_which_one_container_comes_from_elsewhere() {
        for folder in ["/elsewhere", ""] {
            let mut engine = composed(folder);
            assert_eq!(adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]), Adopted::default());
        }
        let mut engine = composed("/w/fix-login");
        engine.state.containers[1].labels.insert(label::COMPOSE_WORKING_DIR.into(), "/elsewhere".into());
        let before = engine.state.clone();
        assert_eq!(adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]), Adopted::default());
        assert_eq!(engine.state, before);
    }

    #[test]
    fn a_volume_that_is_not_wanted_or_has_a_name_of_its_own_is_left() {
        let mut engine = composed("/w/fix-login");
        assert!(adopted(&mut engine.clone(), &AdoptedVolumes::new(), &[]).volumes.is_empty());
        engine.state.volumes[0].name = "fixed".into();
        for container in &mut engine.state.containers {
            container.volumes.values_mut().for_each(|name| *name = "fixed".into());
        }
        let found = adopted(&mut engine, &AdoptedVolumes::new(), &["fixed"]);
        assert_eq!((found.left, found.volumes.len()), (vec!["fixed".to_owned()], 0));
    }

    #[test]
    fn a_container_of_another_name_that_runs_the_same_service_makes_way_before_its_successor_starts() {
        let raw = raw_postgres_redis();
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let mut engine = composed("/w/fix-login");
        let postgres = engine.state.containers.iter_mut().find(|found| found.name.contains("postgres"));
        postgres.unwrap().name = "fixed-db".into();
        adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]);
        let plan = reconcile(&project, &engine.state, &options()).unwrap();
        let position = |text: &str| plan.to_string().lines().position(|line| line.starts_with(text)).unwrap();
        assert!(
            position("remove container fixed-db") < position("create container shop-fix-login-postgres-1")
        );
        engine.apply(&plan).unwrap();
        assert!(engine.state.containers.iter().all(|found| found.state == ContainerState::Running));
        assert_eq!(engine.state.containers.len(), 2);
    }
}
