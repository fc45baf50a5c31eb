//! Decides which objects that Docker Compose made belong to an environment.
//!
//! A Compose project of the environment's name counts as its own only where every container of it was made from files of
//! the environment's worktree. Networks and volumes tell nothing of where they come from: they count if such a container
//! uses them. What is adopted is marked in the observation as if it bore envtree's label, so that everything that looks
//! at an observation agrees on it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::anonymous::{Holder, is_anonymous};
use crate::label;
use crate::name::{ProjectName, ServiceName};
use crate::observed::{ObservedContainer, ObservedState, ObservedVolume};
use crate::project::Project;
use crate::service::{MountSource, Service};

/// The volumes that an environment took over: when each was made, by its name.
pub type AdoptedVolumes = BTreeMap<String, String>;

/// The anonymous volumes that an environment took over: the name of each, by [`Holder::key`].
pub type AdoptedAnonymous = BTreeMap<String, String>;

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
    /// The anonymous volumes that were taken over before.
    pub anonymous: &'a AdoptedAnonymous,
    /// What may be taken over now.
    pub wanted: &'a Wanted,
}

/// What an environment's files say of the volumes that it may take over.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The Engine's names of its volumes.
    volumes: BTreeSet<String>,
    /// The services, whose containers may have anonymous volumes.
    services: IndexMap<ServiceName, Service>,
}

impl Wanted {
    /// Returns what the files of the project say.
    pub fn of(project: &Project) -> Self {
        let own = project.volumes.iter().filter(|(_, volume)| !volume.external);
        Self {
            volumes: own.map(|(key, _)| project.name.object(key)).collect(),
            services: project.services.clone(),
        }
    }

    /// Returns whether a volume that the Engine named is the service's own: the file asks for one there, or the image
    /// does. What it names itself, and what it mounts of other containers, belongs to others.
    fn is_anonymous_of(&self, service: &str, target: &str) -> bool {
        let Some(service) = self.services.get(service) else { return false };
        match service.mounts.iter().find(|mount| mount.target == target) {
            Some(mount) => matches!(mount.source, MountSource::Volume { volume: None, .. }),
            None => service.volumes_from.is_empty(),
        }
    }
}

/// What was adopted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopted {
    /// The containers that Docker Compose made, by name.
    pub containers: Vec<String>,
    /// The volumes, those of before that still exist included.
    pub volumes: AdoptedVolumes,
    /// The anonymous volumes, those of before that still exist included.
    pub anonymous: AdoptedAnonymous,
    /// Volumes of the project that the containers use under names which no environment uses.
    pub left: Vec<String>,
    /// Networks of the project that the containers use under names which no environment uses.
    pub left_networks: Vec<String>,
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
        if let Some(key) = network.labels.get(label::COMPOSE_NETWORK).filter(|_| is_used) {
            if network.name != adoption.project.object(key) {
                adopted.left_networks.push(network.name.clone());
            }
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
        if is_known || has_own_name && adoption.wanted.volumes.contains(&volume.name) && mounted(&volume.name)
        {
            mark(&mut volume.labels);
            adopted.volumes.insert(volume.name.clone(), volume.created.clone());
        } else if !has_own_name && mounted(&volume.name) && volume.labels.contains_key(label::COMPOSE_VOLUME)
        {
            adopted.left.push(volume.name.clone());
        }
    }
    adopted.anonymous = adopt_anonymous(observed, adoption);
    adopted
}

/// Marks the anonymous volumes of the environment's containers, and those of before; returns them.
///
/// They bear no label that names a project, so an observation has those alone that it was asked for.
fn adopt_anonymous(observed: &mut ObservedState, adoption: &Adoption<'_>) -> AdoptedAnonymous {
    let exists = |name: &String| observed.volumes.iter().any(|volume| volume.name == *name);
    let known = adoption.anonymous.iter().filter(|(_, name)| exists(name));
    let mut anonymous: AdoptedAnonymous = known.map(|(key, name)| (key.clone(), name.clone())).collect();
    let is_own = |container: &&ObservedContainer| {
        let value = |key: &str| container.labels.get(key).map(String::as_str);
        value(label::REPOSITORY) == Some(adoption.repository)
            && value(label::COMPOSE_PROJECT) == Some(adoption.project.as_str())
            && !container.is_one_off()
    };
    for container in observed.containers.iter().filter(is_own) {
        let Some(service) = container.service() else { continue };
        let holder = Holder { service, number: container.number() };
        let is_its = |target: &str| adoption.wanted.is_anonymous_of(service, target);
        let mounted = container.volumes.iter().filter(|(target, name)| is_anonymous(name) && is_its(target));
        anonymous.extend(mounted.map(|(target, name)| (holder.key(target), name.clone())));
    }
    for (key, name) in &anonymous {
        observed.volumes.retain(|volume| volume.name != *name);
        let labels = [
            (label::REPOSITORY, adoption.repository),
            (label::COMPOSE_PROJECT, adoption.project.as_str()),
            (label::ANONYMOUS, key),
        ];
        observed.volumes.push(ObservedVolume {
            name: name.clone(),
            driver: "local".to_owned(),
            created: String::new(),
            mountpoint: String::new(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        });
    }
    anonymous
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
        adopted_again(engine, &Adopted { volumes: volumes.clone(), ..Adopted::default() }, wanted)
    }

    fn adopted_again(engine: &mut SimulatedEngine, before: &Adopted, wanted: &[&str]) -> Adopted {
        let volumes = wanted.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Wanted { volumes, services: raw_postgres_redis().services };
        let adoption = Adoption {
            repository: &identity().repository,
            project: &identity().project,
            is_of_worktree: &|path| path.starts_with("/w/fix-login"),
            volumes: &before.volumes,
            anonymous: &before.anonymous,
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
    fn an_anonymous_volume_is_mounted_again_without_the_container_that_it_was_made_for() {
        let raw = raw_postgres_redis();
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let mut engine = composed("/w/fix-login");
        let redis = |engine: &SimulatedEngine| {
            let mut containers = engine.state.containers.iter();
            containers.find(|found| found.service() == Some("redis")).unwrap().volumes["/data"].clone()
        };
        let volume = redis(&engine);
        let known = adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]);
        assert_eq!(known.anonymous, AdoptedAnonymous::from([("redis:/data".to_owned(), volume.clone())]));
        engine.state.containers.clear();
        assert_eq!(adopted_again(&mut engine, &known, &[]).anonymous, known.anonymous);
        engine.apply(&reconcile(&project, &engine.state, &options()).unwrap()).unwrap();
        assert_eq!(redis(&engine), volume);

        // A volume that is gone is forgotten, and not made under its old name.
        engine.state.containers.clear();
        engine.state.volumes.retain(|found| found.name != volume);
        assert_eq!(adopted_again(&mut engine, &known, &[]).anonymous, AdoptedAnonymous::new());
        engine.apply(&reconcile(&project, &engine.state, &options()).unwrap()).unwrap();
        assert_ne!(redis(&engine), volume);
    }

    #[test]
    fn a_volume_that_the_file_names_or_another_container_has_is_not_taken_over() {
        let named = "b".repeat(64);
        let mut engine = composed("/w/fix-login");
        let postgres = engine.state.containers.iter_mut().find(|found| found.service() == Some("postgres"));
        let data = &raw_postgres_redis().services["postgres"].mounts[0].target;
        postgres.unwrap().volumes.insert(data.clone(), named);
        let wanted = |of_others: &[&str]| {
            let mut services = raw_postgres_redis().services;
            services["redis"].volumes_from = of_others.iter().map(|name| (*name).to_owned()).collect();
            Wanted { volumes: BTreeSet::new(), services }
        };
        let keys = |wanted: &Wanted| {
            let adoption = Adoption {
                repository: &identity().repository,
                project: &identity().project,
                is_of_worktree: &|_| true,
                volumes: &AdoptedVolumes::new(),
                anonymous: &AdoptedAnonymous::new(),
                wanted,
            };
            let adopted = adopt(&mut engine.state.clone(), &adoption);
            adopted.anonymous.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(keys(&wanted(&[])), ["redis:/data"]);
        assert_eq!(keys(&wanted(&["container:theirs"])), [""; 0]);
    }

    #[test]
    fn an_anonymous_volume_goes_with_the_environment() {
        let mut engine = composed("/w/fix-login");
        let known = adopted(&mut engine, &AdoptedVolumes::new(), &[]);
        engine.state.containers.clear();
        engine.state.networks.clear();
        adopted_again(&mut engine, &known, &[]);
        let removal =
            RemovalOptions { repository: identity().repository, volumes: true, ..RemovalOptions::default() };
        let plan = plan_removal(&engine.state, "shop-fix-login", &removal);
        let volume = &known.anonymous["redis:/data"];
        assert_eq!(plan.to_string(), format!("remove volume {volume} [it was asked for]\n"));
    }

    #[test]
    fn a_network_with_a_name_of_its_own_is_left() {
        let mut engine = composed("/w/fix-login");
        assert_eq!(adopted(&mut engine.clone(), &AdoptedVolumes::new(), &[]).left_networks, [""; 0]);
        engine.state.networks[0].name = "fixed".into();
        for container in &mut engine.state.containers {
            container.networks = [("fixed".to_owned(), None)].into();
        }
        let found = adopted(&mut engine, &AdoptedVolumes::new(), &[]);
        assert_eq!(found.left_networks, ["fixed"]);
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
        let postgres = postgres.unwrap();
        postgres.name = "fixed-db".into();
        let anonymous = "a".repeat(64);
        postgres.volumes.insert("/anonymous".into(), anonymous.clone());
        adopted(&mut engine, &AdoptedVolumes::new(), &[DATA]);
        let plan = reconcile(&project, &engine.state, &options()).unwrap();
        let position = |text: &str| plan.to_string().lines().position(|line| line.starts_with(text)).unwrap();
        assert!(
            position("remove container fixed-db") < position("create container shop-fix-login-postgres-1")
        );
        engine.apply(&plan).unwrap();
        assert!(engine.state.containers.iter().all(|found| found.state == ContainerState::Running));
        assert_eq!(engine.state.containers.len(), 2);
        let mounts = |found: &ObservedContainer| found.volumes.values().any(|name| *name == anonymous);
        assert!(engine.state.containers.iter().any(mounts), "{:?}", engine.state.containers);
    }
}
