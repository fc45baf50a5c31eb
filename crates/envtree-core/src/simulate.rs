//! An Engine in memory that obeys the Engine's rules, for tests of plans.

use indexmap::IndexMap;

use crate::build::ImageBuild;
use crate::known_image::KnownImage;
use crate::label;
use crate::observed::{
    BuiltImage, ContainerState, ObservedContainer, ObservedImage, ObservedNetwork, ObservedState,
    ObservedVolume,
};
use crate::plan::{NewContainer, NewCopy, NewKeeper, Operation, Plan, Step};
use crate::service::MountSource;

/// A refusal of the simulated Engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {reason}")]
pub struct Refusal {
    /// The call, as a plan shows it.
    pub operation: String,
    /// The rule that it breaks.
    pub reason: String,
}

/// An Engine in memory.
#[derive(Debug, Clone, Default)]
pub struct SimulatedEngine {
    /// What it has; every container of it, whatever its project.
    pub state: ObservedState,
    /// The host ports of each container, by its name: taken while it runs.
    pub published: IndexMap<String, Vec<u16>>,
    next_id: u64,
}

impl SimulatedEngine {
    /// Carries out every step of a plan, checking that each comes after the steps it names.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), Refusal> {
        for (position, step) in plan.steps.iter().enumerate() {
            if let Some(later) = step.after.iter().find(|id| id.0 >= position) {
                return Err(refusal(&step.operation, &format!("step {} comes later", later.0)));
            }
            self.perform(step)?;
        }
        Ok(())
    }

    fn perform(&mut self, step: &Step) -> Result<(), Refusal> {
        let result = match &step.operation {
            Operation::PullImage { image, .. } => {
                let id = format!("sha256:{image}");
                self.state.images.insert(image.clone(), ObservedImage { id, ..ObservedImage::default() });
                Ok(())
            }
            Operation::BuildImage(build) => {
                self.build(build);
                Ok(())
            }
            Operation::RemoveImage { id, .. } => self.remove_image(id),
            Operation::CreateNetwork { .. } | Operation::RemoveNetwork { .. } => {
                self.change_network(&step.operation)
            }
            Operation::CreateVolume { .. } | Operation::RemoveVolume { .. } => {
                self.change_volume(&step.operation)
            }
            Operation::CreateContainer(new) => self.create(new),
            Operation::CreateKeeper(keeper) => self.create_keeper(keeper),
            Operation::PutDirectories { container, .. } => {
                let is_there = self.state.keepers.iter().any(|keeper| keeper.name == *container);
                if is_there { Ok(()) } else { Err("no such container".into()) }
            }
            Operation::CopyLayer(copy) => self.copy(copy),
            operation => self.change_container(operation),
        };
        result.map_err(|reason| refusal(&step.operation, &reason))
    }

    /// Copies a layer, of which nothing is seen afterwards.
    fn copy(&self, copy: &NewCopy) -> Result<(), String> {
        if !self.state.images.contains_key(&copy.image) {
            return Err("no such image".into());
        }
        let is_kept = |name: &String| {
            self.state.keepers.iter().any(|keeper| keeper.volumes.values().any(|kept| kept == name))
        };
        if is_kept(&copy.from) && is_kept(&copy.to) { Ok(()) } else { Err("a volume is not kept".into()) }
    }

    /// Builds an image; the same definition gives the same image.
    fn build(&mut self, build: &ImageBuild) {
        let id = format!("sha256:{:?}", build.definition);
        for image in &build.images {
            let observed = ObservedImage { id: id.clone(), ..ObservedImage::default() };
            self.state.images.insert(image.clone(), observed);
        }
        self.state.built.retain(|built| built.id != id);
        let (names, labels) = (build.images.clone(), build.definition.labels.clone());
        self.state.built.push(BuiltImage { id, names, labels });
    }

    fn remove_image(&mut self, id: &str) -> Result<(), String> {
        if self.state.containers.iter().any(|container| container.image_id == id) {
            return Err("image is being used".into());
        }
        self.state.images.retain(|_, image| image.id != id);
        self.state.built.retain(|built| built.id != id);
        Ok(())
    }

    fn change_network(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::CreateNetwork { network, key } => {
                let name = network.name.clone().unwrap_or_else(|| key.to_string());
                let subnets: Vec<String> =
                    network.ipam.iter().filter_map(|pool| pool.subnet.clone()).collect();
                if self.network_exists(&name).is_ok() {
                    return Err("a network of this name exists".into());
                }
                if self.overlaps(&subnets) {
                    return Err("pool overlaps with other one on this address space".into());
                }
                let id = self.id();
                let labels = network.labels.clone();
                self.state.networks.push(ObservedNetwork { id, name, subnets, labels });
            }
            Operation::RemoveNetwork { id, name } => {
                if self.state.containers.iter().any(|c| c.is_active() && c.networks.contains_key(name)) {
                    return Err("network has active endpoints".into());
                }
                self.state.networks.retain(|network| network.id != *id);
            }
            _ => unreachable!("only operations on networks come here"),
        }
        Ok(())
    }

    fn change_volume(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::CreateVolume { volume, key } => {
                let name = volume.name.clone().unwrap_or_else(|| key.to_string());
                let is_upper = volume.labels.contains_key(label::BRANCH);
                let volumes = if is_upper { &mut self.state.uppers } else { &mut self.state.volumes };
                volumes.push(ObservedVolume {
                    mountpoint: format!("/volumes/{name}/_data"),
                    name,
                    driver: "local".into(),
                    created: String::new(),
                    labels: volume.labels.clone(),
                });
            }
            Operation::RemoveVolume { name } => {
                let mut containers = self.state.containers.iter().chain(&self.state.keepers);
                if containers.any(|c| c.volumes.values().any(|used| used == name)) {
                    return Err("volume is in use".into());
                }
                self.state.volumes.retain(|volume| volume.name != *name);
                self.state.uppers.retain(|volume| volume.name != *name);
            }
            _ => unreachable!("only operations on volumes come here"),
        }
        Ok(())
    }

    fn create(&mut self, new: &NewContainer) -> Result<(), String> {
        let image = self.state.images.get(&new.definition.image).ok_or("no such image")?.clone();
        let definition = &new.definition;
        let mut shared = [&definition.network_mode, &definition.runtime.ipc, &definition.runtime.pid]
            .into_iter()
            .filter_map(|mode| mode.as_deref()?.strip_prefix("container:"))
            .chain(definition.volumes_from.iter().filter_map(|from| from.split(':').next()));
        let containers = self.state.containers.iter().chain(&self.state.keepers);
        if let Some(missing) = shared.find(|name| !containers.clone().any(|c| c.name == **name)) {
            return Err(format!("no such container: {missing}"));
        }
        if self.state.containers.iter().any(|other| other.name == new.name) {
            return Err("the name is in use".into());
        }
        let mut networks = IndexMap::new();
        if let Some((network, _)) = &new.network {
            self.network_exists(network)?;
            networks.insert(network.clone(), None);
        }
        let network_ids = networks.keys().filter_map(|name| self.network_id(name)).collect();
        let mut volumes = new.inherited_volumes.clone();
        for mount in &new.definition.mounts {
            if let MountSource::Volume { volume: Some(key), .. } = &mount.source {
                let name = &new.volume_names[key];
                if !self.state.volumes.iter().any(|volume| volume.name == *name) {
                    return Err(format!("no such volume: {name}"));
                }
                volumes.insert(mount.target.clone(), name.clone());
            }
        }
        let id = self.id();
        if KnownImage::recognise(&new.definition.image) == Some(KnownImage::Redis)
            && !volumes.contains_key("/data")
        {
            volumes.insert("/data".into(), format!("{id:0>64}"));
        }
        let ports = new.definition.ports.iter().filter_map(|port| port.published).collect();
        self.published.insert(new.name.clone(), ports);
        self.state.containers.push(ObservedContainer {
            id,
            name: new.name.clone(),
            state: ContainerState::Created,
            health: None,
            image: new.definition.image.clone(),
            image_id: image.id,
            labels: new.definition.labels.clone(),
            networks,
            network_ids,
            volumes,
            created: 0,
            status: "Created".into(),
        });
        Ok(())
    }

    fn create_keeper(&mut self, keeper: &NewKeeper) -> Result<(), String> {
        if self.state.keepers.iter().any(|other| other.name == keeper.name) {
            return Err("the name is in use".into());
        }
        let id = self.id();
        self.state.keepers.push(ObservedContainer {
            id,
            name: keeper.name.clone(),
            state: ContainerState::Created,
            health: None,
            image: String::new(),
            image_id: String::new(),
            labels: keeper.labels.clone(),
            networks: IndexMap::new(),
            network_ids: Vec::new(),
            volumes: keeper.volumes.clone(),
            created: 0,
            status: "Created".into(),
        });
        Ok(())
    }

    fn change_container(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::ConnectNetwork { container, network, .. } => {
                self.network_exists(network)?;
                let id = self.network_id(network);
                let found = self.container(container)?;
                found.networks.insert(network.clone(), None);
                found.network_ids.extend(id);
            }
            Operation::DisconnectNetwork { container, network } => {
                let id = self.network_id(network);
                let found = self.container(container)?;
                found.networks.shift_remove(network);
                found.network_ids.retain(|other| Some(other) != id.as_ref());
            }
            Operation::PutFiles { container, .. } => {
                if self.container(container)?.state != ContainerState::Created {
                    return Err("files are put into a container before its first start".into());
                }
            }
            Operation::RunHook { container, .. } => {
                if self.container(container)?.state != ContainerState::Running {
                    return Err("the container does not run".into());
                }
            }
            Operation::StartContainer { container, .. } => {
                self.ports_are_free(container)?;
                self.networks_are_there(container)?;
                let found = self.container(container)?;
                (found.state, found.status) = (ContainerState::Running, "Up 1 second".into());
            }
            Operation::UnpauseContainer { container } => {
                self.container(container)?.state = ContainerState::Running;
            }
            Operation::StopContainer { container, .. } => {
                let found = self.container(container)?;
                (found.state, found.status) = (ContainerState::Exited, "Exited (0) 1 second ago".into());
            }
            Operation::RemoveContainer { container, .. }
                if self.state.keepers.iter().any(|keeper| keeper.name == *container) =>
            {
                self.state.keepers.retain(|keeper| keeper.name != *container);
            }
            Operation::RemoveContainer { container, .. } => {
                if self.container(container)?.is_active() {
                    return Err("a running container cannot be removed".into());
                }
                self.state.containers.retain(|other| other.name != *container);
                self.published.shift_remove(container);
            }
            _ => unreachable!("every other operation is performed elsewhere"),
        }
        Ok(())
    }

    fn container(&mut self, name: &str) -> Result<&mut ObservedContainer, String> {
        self.state
            .containers
            .iter_mut()
            .find(|other| other.name == name)
            .ok_or_else(|| "no such container".into())
    }

    fn network_exists(&self, name: &str) -> Result<(), String> {
        let found = self.state.networks.iter().any(|network| network.name == name);
        found.then_some(()).ok_or_else(|| format!("no such network: {name}"))
    }

    fn network_id(&self, name: &str) -> Option<String> {
        self.state.networks.iter().find(|network| network.name == name).map(|network| network.id.clone())
    }

    fn networks_are_there(&mut self, name: &str) -> Result<(), String> {
        let there: Vec<String> = self.state.networks.iter().map(|network| network.id.clone()).collect();
        match self.container(name)?.network_ids.iter().find(|id| !there.contains(id)) {
            Some(id) => Err(format!("network {id} not found")),
            None => Ok(()),
        }
    }

    fn ports_are_free(&self, name: &str) -> Result<(), String> {
        let own = self.published.get(name).cloned().unwrap_or_default();
        let taken = self
            .state
            .containers
            .iter()
            .filter(|other| other.is_active() && other.name != name)
            .filter_map(|other| self.published.get(&other.name))
            .flatten();
        match taken.into_iter().find(|port| own.contains(port)) {
            Some(port) => Err(format!("port {port} is already allocated")),
            None => Ok(()),
        }
    }

    fn overlaps(&self, subnets: &[String]) -> bool {
        let parse = |text: &String| text.parse::<crate::subnet::Subnet>().ok();
        let taken: Vec<_> =
            self.state.networks.iter().flat_map(|network| &network.subnets).filter_map(parse).collect();
        subnets.iter().filter_map(parse).any(|own| taken.iter().any(|other| own.overlaps(*other)))
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("{:x}", self.next_id)
    }
}

fn refusal(operation: &Operation, reason: &str) -> Refusal {
    Refusal { operation: operation.to_string(), reason: reason.to_owned() }
}
