//! The base that an incremental seed goes on from: the new one begins as a branch of it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use envtree_core::branch::base::{Base, BaseVolume, volume_key};
use envtree_core::branch::lineage::Lineage;
use envtree_core::branch::{Branch, DataVolume, Layer};
use envtree_core::name::VolumeName;
use envtree_core::project::Volume;

use super::Making;
use crate::data::copy::image_for;
use crate::data::{DataError, complete};
use crate::error::Error;
use crate::state::Lock;

/// How many layers a base may lie on: from there on, one is made from nothing, so that looking through them stays cheap
/// and environments can take snapshots on top.
const DEEPEST: usize = 12;

/// What the volumes of a base in the making are branches of.
pub(super) struct Ancestor {
    pub(super) base: Base,
    /// In the order of the wanted volumes.
    branches: Vec<Branch>,
    /// Nobody drops it meanwhile.
    _held: Lock,
}

impl Ancestor {
    /// Returns all volumes that it consists of and lies on, unless the base in the making is a copy of them.
    pub(super) fn volumes(&self) -> Vec<String> {
        let overlays = self.branches.iter().filter(|branch| branch.ground.copied.is_none());
        let volumes = overlays.flat_map(|branch| {
            let layers = branch.ground.layers().map(|layer| &layer.volume);
            layers.chain(&branch.ground.others).cloned().collect::<Vec<_>>()
        });
        volumes.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

impl Making<'_> {
    /// Returns the base with the most inputs that the seed can go on from, the newest of several.
    pub(super) async fn ancestor(&self) -> Result<Option<Ancestor>, Error> {
        let Self { session, record, wanted, .. } = self;
        if !wanted.is_incremental {
            return Ok(None);
        }
        let mut bases = complete(&session.docker.volumes_of_bases(&record.repository.id).await?);
        let continues = |base: &Base| {
            base.lineage.as_ref().is_some_and(|lineage| lineage.is_continued_by(&wanted.ingredients))
        };
        bases.retain(continues);
        bases.sort_by_key(|base| Reverse((base.lineage.as_ref().map(Lineage::files), base.made)));
        if bases.is_empty() {
            return Ok(None);
        }
        let copied = session.copied(record, self.environment).await?;
        for base in bases {
            let branches: Option<Vec<Branch>> =
                wanted.all.iter().map(|data| self.branch(data, &base, copied.as_deref())).collect();
            let Some(branches) = branches else { continue };
            match session.hold_base(record, &base.key).await {
                Ok(held) => return Ok(Some(Ancestor { base, branches, _held: held })),
                // Somebody dropped it.
                Err(Error::Data(DataError::GroundGone { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Returns the branch that a volume of this base is of another; nothing if it is none, or lies too deep.
    fn branch(&self, data: &DataVolume, base: &Base, copied: Option<&str>) -> Option<Branch> {
        let key = VolumeName::new(volume_key(data)).ok()?;
        let mut ground = base.ground(&data.service, &data.target)?;
        ground.copied = copied.map(str::to_owned);
        let volume =
            Volume { name: Some(self.name.object(&key)), labels: self.labels.clone(), ..Volume::default() };
        let branch = Branch { volume, key, ground };
        let fits = branch.definition().is_some() && branch.ground.layers().count() <= DEEPEST;
        Some(branch).filter(|_| fits)
    }

    /// Makes what the volumes are mounted from, and lets the project have them.
    ///
    /// All of it belongs to the base in the making, and to no environment.
    pub(super) async fn begin_on(&mut self, ancestor: &Ancestor) -> Result<(), Error> {
        for (data, branch) in self.wanted.all.iter().zip(&ancestor.branches) {
            let image = image_for(self.environment, &data.service)?;
            if let Some(volume) = self.session.begin_branch(branch, image, &self.labels).await? {
                self.project.volumes.insert(branch.key.clone(), volume);
            }
        }
        Ok(())
    }

    /// Takes the branches away above what they changed, which are the layers of the base; returns its volumes.
    ///
    /// Nothing mounts them any more.
    pub(super) async fn freeze(&self, ancestor: &Ancestor) -> Result<Vec<BaseVolume>, Error> {
        let docker = &self.session.docker;
        let mut volumes = Vec::new();
        for (data, branch) in self.wanted.all.iter().zip(&ancestor.branches) {
            docker.remove_volume(branch.name()).await?;
            let upper = branch.upper().name.unwrap_or_default();
            let gone = || DataError::Gone { container: upper.clone() };
            let upper = docker.inspect_volume(&upper).await?.ok_or_else(gone)?;
            volumes.push(BaseVolume {
                service: data.service.to_string(),
                target: data.target.clone(),
                layer: Layer::of_upper(&upper),
                below: branch.ground.needed(),
                on: branch.ground.copied.is_none().then(|| ancestor.base.key.clone()),
                owner: branch.ground.owner,
            });
        }
        Ok(volumes)
    }
}
