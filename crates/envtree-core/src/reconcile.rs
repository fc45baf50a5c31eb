//! Decides what must change so that an environment matches its project.
//!
//! [`reconcile`] makes no Engine calls: equal inputs give equal plans. It never asks the user either. A step that would
//! lose data is left out unless [`ReconcileOptions`] consents to it, and listed in [`Plan::confirmations`].

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::branch::Branch;
use crate::build::ImageBuild;
use crate::label;
use crate::name::{NetworkName, ServiceName, VolumeName};
use crate::observed::{ObservedContainer, ObservedState};
use crate::plan::{Await, Operation, Plan, Step, StepId};
use crate::project::Project;
use crate::service::{PullPolicy, Service};
use crate::teardown::pre_stop;

pub use build::BuildPolicy;
pub(crate) use joined::resolved as with_containers;

mod branch;
mod build;
mod creation;
mod image;
pub(crate) mod joined;
mod network;
mod orphan;
mod replaced;
mod replica;
mod service;
mod shared;
mod volume;

/// Choices that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconcileOptions {
    /// The repository that owns the environment, as its label has it.
    pub repository: String,
    /// The environment's worktree: what is mounted from it waits for the checkout.
    pub worktree: String,
    /// When images are pulled; absent leaves it to each service. `Always` and `Every` are the caller's matter: it pulls
    /// first, by [`plan_images`], and then observes.
    pub pull: Option<PullPolicy>,
    /// Seconds since 1970, by which images are too old for a timed pull policy.
    pub now: i64,
    /// When images are built that are not pulled. `Always` is the caller's matter, too.
    pub build: BuildPolicy,
    /// Services that no active profile enables: their containers are left alone, as nobody decided about them.
    pub inactive: Vec<String>,
    /// Whether containers and networks that nothing wants are removed.
    pub remove_orphans: bool,
    /// Whether a volume whose definition diverged is removed with its data and made again.
    pub recreate_volumes: bool,
    /// Whether every container is made again.
    pub force_recreate: bool,
    /// Running containers whose `post_start` hooks have not all run, by name: they start anew.
    pub unhooked: BTreeSet<String>,
    /// The branches that volumes begin as, by the Engine's name of the volume.
    pub branches: IndexMap<String, Branch>,
}

/// Why no plan leads to the project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// The Engine lacks an image that must not be pulled.
    #[error("service `{service}` must not pull, and the Engine has no image `{image}`")]
    ImageMissing {
        /// The service.
        service: ServiceName,
        /// Its image.
        image: String,
    },
    /// A config or a secret has no content.
    #[error("{kind} `{source_name}` of service `{service}` has no content: {reason}")]
    FileUnavailable {
        /// The service.
        service: ServiceName,
        /// `config` or `secret`.
        kind: &'static str,
        /// The config or secret.
        source_name: String,
        /// Why not.
        reason: String,
    },
    /// A service fixes an address, which only one container can have.
    #[error(
        "service `{service}`: `networks.{network}`: {replicas} containers cannot share the address {address}"
    )]
    AddressShared {
        /// The service.
        service: ServiceName,
        /// The network.
        network: NetworkName,
        /// The address in the environment's network.
        address: String,
        /// How many containers the service has.
        replicas: u32,
    },
    /// A service uses what belongs to a container of a service that has none.
    #[error("service `{service}` uses the container of service `{used}`, which has none")]
    NoneToJoin {
        /// The service.
        service: ServiceName,
        /// The service that it uses.
        used: ServiceName,
    },
    /// The Engine lacks an image that must not be built.
    #[error("image `{image}` of service `{service}` is not built yet")]
    ImageNotBuilt {
        /// The service.
        service: ServiceName,
        /// Its image.
        image: String,
    },
    /// A service runs on a platform that its image is not built for.
    #[error("service `{service}` runs on {platform}, and its image is built for {}", platforms.join(", "))]
    PlatformNotBuilt {
        /// The service.
        service: ServiceName,
        /// Its platform.
        platform: String,
        /// The platforms of the image.
        platforms: Vec<String>,
    },
    /// An external network does not exist.
    #[error("network `{key}` is external, and the Engine has no network `{name}`")]
    ExternalNetworkMissing {
        /// The key in the file.
        key: NetworkName,
        /// The Engine's name.
        name: String,
    },
    /// An external volume does not exist.
    #[error("volume `{key}` is external, and the Engine has no volume `{name}`")]
    ExternalVolumeMissing {
        /// The key in the file.
        key: VolumeName,
        /// The Engine's name.
        name: String,
    },
    /// A container, network or volume of the wanted name exists, and is not this repository's.
    #[error("{kind} `{name}` exists, and {}", owner_words(owner.as_deref()))]
    NotOwned {
        /// `container`, `network` or `volume`.
        kind: &'static str,
        /// The Engine's name.
        name: String,
        /// The common directory of the repository that it belongs to; absent if envtree did not make it.
        owner: Option<String>,
    },
}

fn owner_words(owner: Option<&str>) -> String {
    owner.map_or_else(
        || "envtree did not make it".to_owned(),
        |owner| format!("belongs to repository `{owner}`"),
    )
}

/// Returns the error of an object that stands in the way.
fn not_owned(kind: &'static str, name: &str, labels: &IndexMap<String, String>) -> ReconcileError {
    let owner = labels.get(label::REPOSITORY).and_then(|_| labels.get(label::COMMON_DIR));
    ReconcileError::NotOwned { kind, name: name.to_owned(), owner: owner.cloned() }
}

/// Returns the steps that make `observed` match `desired`, an isolated project.
///
/// The plan of an environment that matches has no steps. A changed service alone is recreated; its volumes, anonymous
/// ones included, are kept.
pub fn reconcile(
    desired: &Project,
    observed: &ObservedState,
    options: &ReconcileOptions,
) -> Result<Plan, ReconcileError> {
    let mut draft = Draft::new(desired, observed, options);
    let diverged_networks = network::diverged(&draft)?;
    let diverged_volumes = volume::diverged(&mut draft)?;
    let fates = service::fates(&draft, &diverged_networks, &diverged_volumes)?;
    image::plan_missing(&mut draft, &fates)?;
    replica::plan_surplus(&mut draft);
    service::plan_removals(&mut draft, &fates);
    replaced::plan_replaced(&mut draft);
    replaced::plan_abandoned(&mut draft);
    orphan::plan_orphans(&mut draft);
    network::plan_networks(&mut draft, &diverged_networks);
    volume::plan_volumes(&mut draft, &diverged_volumes);
    branch::plan_unnamed(&mut draft);
    branch::plan_keepers(&mut draft);
    shared::plan_joins(&mut draft);
    service::plan_services(&mut draft, &fates);
    Ok(draft.plan)
}

/// Returns the steps by which shared containers join the networks of an isolated project, all of which exist.
pub fn plan_joining(desired: &Project, observed: &ObservedState, repository: &str) -> Plan {
    let options = ReconcileOptions { repository: repository.to_owned(), ..ReconcileOptions::default() };
    let mut draft = Draft::new(desired, observed, &options);
    shared::plan_joins(&mut draft);
    draft.plan
}

/// Returns the steps for images that are pulled or built although the Engine has them: one for each image.
pub fn plan_images(
    desired: &Project,
    observed: &ObservedState,
    options: &ReconcileOptions,
) -> Result<Plan, ReconcileError> {
    let mut plan = Plan::default();
    image::plan_refreshed(&mut plan, desired, observed, options);
    let builds = build::builds(desired)?;
    let is_forced = |image: &ImageBuild| build::is_forced(desired, image, options);
    let wanted = build::Wanted { cause: "it is built anew", itself: &is_forced, as_base: &is_forced };
    build::plan_builds(&mut plan, &builds, &wanted, &options.worktree);
    Ok(plan)
}

/// Returns the steps that bring the images of all services to an Engine that lacks them.
pub fn plan_missing_images(
    desired: &Project,
    observed: &ObservedState,
    options: &ReconcileOptions,
) -> Result<Plan, ReconcileError> {
    let observed = ObservedState { images: observed.images.clone(), ..ObservedState::default() };
    let mut draft = Draft::new(desired, &observed, options);
    let fates = service::fates(&draft, &BTreeSet::new(), &BTreeSet::new())?;
    image::plan_missing(&mut draft, &fates)?;
    Ok(draft.plan)
}

/// Returns whether a service of the project builds that image.
fn is_built(desired: &Project, image: &str) -> bool {
    desired.built().any(|(_, service)| service.image == image)
}

/// A plan in the making, and the steps by what they bring about.
struct Draft<'a> {
    desired: &'a Project,
    observed: &'a ObservedState,
    options: &'a ReconcileOptions,
    plan: Plan,
    pulls: IndexMap<String, StepId>,
    networks: IndexMap<NetworkName, StepId>,
    volumes: IndexMap<VolumeName, StepId>,
    /// The creation of the branches that the file does not name.
    unnamed: Vec<StepId>,
    /// The removal of a container, by its name.
    removed: IndexMap<String, StepId>,
    /// The creation of a container, by its name.
    created: IndexMap<String, StepId>,
    /// The starts of a service's containers.
    starts: IndexMap<ServiceName, Vec<StepId>>,
}

impl<'a> Draft<'a> {
    fn new(desired: &'a Project, observed: &'a ObservedState, options: &'a ReconcileOptions) -> Self {
        Self {
            desired,
            observed,
            options,
            plan: Plan::default(),
            pulls: IndexMap::new(),
            networks: IndexMap::new(),
            volumes: IndexMap::new(),
            unnamed: Vec::new(),
            removed: IndexMap::new(),
            created: IndexMap::new(),
            starts: IndexMap::new(),
        }
    }

    fn push(&mut self, operation: Operation, cause: &str, after: Vec<StepId>, awaits: Vec<Await>) -> StepId {
        self.plan.push(Step { operation, cause: cause.to_owned(), after, awaits })
    }

    /// Plans the stop, if it runs, and the removal of a container.
    ///
    /// Its anonymous volumes stay, for the container that replaces it, unless `volumes` is set.
    fn remove_container(
        &mut self,
        container: &ObservedContainer,
        cause: &str,
        volumes: bool,
        mut after: Vec<StepId>,
    ) -> StepId {
        if container.is_active() {
            for hook in pre_stop(container) {
                after = vec![self.push(hook, cause, after, Vec::new())];
            }
            let stop = Operation::StopContainer { container: container.name.clone(), grace: None };
            after = vec![self.push(stop, cause, after, Vec::new())];
        }
        let remove = Operation::RemoveContainer { container: container.name.clone(), volumes };
        let step = self.push(remove, cause, after, Vec::new());
        self.removed.insert(container.name.clone(), step);
        step
    }

    fn owns(&self, labels: &IndexMap<String, String>) -> bool {
        labels.get(label::REPOSITORY) == Some(&self.options.repository)
    }

    fn is_of_project(&self, labels: &IndexMap<String, String>) -> bool {
        labels.get(label::COMPOSE_PROJECT).is_some_and(|name| self.desired.name == *name.as_str())
    }

    /// Returns whether a container is one of this project's services.
    fn is_own(&self, container: &ObservedContainer) -> bool {
        self.owns(&container.labels) && self.is_of_project(&container.labels) && !container.is_one_off()
    }

    /// Returns the container of a definition, if there is one of its name.
    fn container_of(&self, definition: &Service) -> Option<&'a ObservedContainer> {
        let wanted = definition.container_name.as_deref();
        self.observed.containers.iter().find(|container| Some(container.name.as_str()) == wanted)
    }
}

#[cfg(test)]
mod tests;
