//! Bases and snapshots that lie on too many layers: what begins on them begins on a copy, which lies on none.

use envtree_core::branch::base::{Base, BaseVolume, project_name};
use envtree_core::branch::view::View;
use envtree_core::branch::{Branch, Layer};
use envtree_core::engine::Engine;
use envtree_core::name::{ProjectName, VolumeName};
use envtree_core::plan::{NewCopy, NewKeeper, Operation};
use envtree_core::project::Volume;
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{DataError, owner};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::Event;
use crate::session::Session;
use crate::state::Lock;
use crate::state::identity::bases_name;
use crate::state::record::EnvironmentRecord;

impl Session {
    /// Returns a copy of a base that lies on one layer alone, which is made unless it is there. As long as the lock is
    /// held, nobody drops it.
    pub(super) async fn flat(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        base: &Base,
    ) -> Result<(Base, Lock), Error> {
        let key = base.key_of_copy();
        let name = project_name(&bases_name(&record.repository.common_dir), &key);
        let labels = owner(&record.repository).labels(&key);
        self.found_or_made(record, &key, async || {
            let copying = Copying { session: self, record, environment, base, name: &name, labels: &labels };
            Box::pin(copying.run(&key)).await
        })
        .await
    }

    /// Makes what a branch is mounted from, with `image` if it is a copy; all of it bears `labels` and belongs to a base.
    /// Returns its definition, which is absent where it cannot be mounted.
    pub(super) async fn begin_branch(
        &self,
        branch: &Branch,
        image: &str,
        labels: &IndexMap<String, String>,
    ) -> Result<Option<Volume>, Error> {
        let Some(definition) = branch.definition() else {
            return Ok(None);
        };
        let keeper = NewKeeper { labels: labels.clone(), ..branch.keeper() };
        let container = keeper.name.clone();
        let upper = Volume { labels: labels.clone(), ..branch.upper() };
        let filled = match branch.copy(image) {
            Some(copy) => Operation::CopyLayer(Box::new(NewCopy { labels: labels.clone(), ..copy })),
            None => Operation::PutDirectories { container, directories: branch.directories() },
        };
        let operations = [
            Operation::CreateVolume { key: branch.key.clone(), volume: upper },
            Operation::CreateKeeper(Box::new(keeper)),
            filled,
        ];
        for operation in &operations {
            self.docker.perform(operation, &|_| {}).await?;
        }
        Ok(Some(Volume { labels: labels.clone(), ..definition }))
    }
}

/// A copy in the making.
struct Copying<'a> {
    session: &'a Session,
    record: &'a EnvironmentRecord,
    environment: &'a Environment,
    base: &'a Base,
    name: &'a ProjectName,
    labels: &'a IndexMap<String, String>,
}

impl Copying<'_> {
    async fn run(&self, key: &str) -> Result<(), Error> {
        let session = self.session;
        session.emit(Event::CopyingBase { base: self.base.name().to_owned() });
        let mut volumes = Vec::new();
        for (number, volume) in self.base.volumes.iter().enumerate() {
            volumes.push(self.copy(number, volume).await?);
        }
        let kept = volumes.iter().map(|volume| volume.layer.volume.clone()).collect();
        session.remove_all_but(&self.record.repository.id, self.name, &kept).await?;
        let base = Base {
            key: key.to_owned(),
            repository: bases_name(&self.record.repository.common_dir),
            is_seeded: self.base.is_seeded,
            made: Timestamp::now().as_second(),
            volumes,
            others: Vec::new(),
            snapshot: None,
            lineage: None,
            copy_of: Some(self.base.key.clone()),
            is_raw: self.base.is_raw,
        };
        Ok(session.docker.create_volume("marker", &base.marker(self.labels)).await?)
    }

    /// Copies a volume with all that lies below it.
    async fn copy(&self, number: usize, volume: &BaseVolume) -> Result<BaseVolume, Error> {
        let docker = &self.session.docker;
        let named = |kind: &str| {
            let key = VolumeName::new(format!("{kind}{number}")).expect("it is a key");
            (self.name.object(&key), key)
        };
        let (from, key) = named("from");
        let gone = || DataError::GroundGone { name: self.base.name().to_owned() };
        let labels = self.labels;
        let view = View::of(volume, &from, labels).ok_or_else(gone)?;
        if let View::Merged(merged) = &view {
            docker.create_volume(&key, merged).await?;
        }
        let (to, key) = named("layer");
        let filled = Volume { name: Some(to.clone()), labels: labels.clone(), ..Volume::default() };
        docker.create_volume(&key, &filled).await?;
        let whole = Layer::of_volume(view.name(), "");
        let image = image_for(self.environment, &volume.service)?;
        docker.copy_layer(&NewCopy::new(&whole, &to, image, labels)).await?;
        let made = docker.inspect_volume(&to).await?.ok_or_else(gone)?;
        Ok(BaseVolume { layer: Layer::of_upper(&made), below: Vec::new(), on: None, ..volume.clone() })
    }
}

/// Returns an image that has a shell: that of the service itself, or of another one if it is no more.
pub(super) fn image_for<'a>(environment: &'a Environment, service: &str) -> Result<&'a str, DataError> {
    let services = &environment.isolated.project.services;
    let own = services.get(service).or_else(|| services.values().next());
    own.map(|service| service.image.as_str())
        .ok_or_else(|| DataError::NoCopier { service: service.to_owned() })
}
