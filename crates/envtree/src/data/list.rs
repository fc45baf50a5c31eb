//! The bases of a repository: what there is, who uses it, and its end.

use envtree_core::branch::base::{Base, project_name, short};
use envtree_core::observed::ObservedState;
use jiff::Timestamp;

use super::DataError;
use super::make::users;
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::repository_id;

/// A base, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseStatus {
    /// What it is called: the first digits of its key.
    pub name: String,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// When it was complete.
    pub made: Timestamp,
    /// Its bytes; absent if the Engine does not tell.
    pub size: Option<u64>,
    /// The volumes that are branches of it.
    pub branches: Vec<BranchStatus>,
}

/// A branch, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchStatus {
    /// The volume.
    pub volume: String,
    /// Its own bytes, those of the base not among them; absent if the Engine does not tell.
    pub own: Option<u64>,
}

/// A base that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedBase {
    /// What it was called.
    pub name: String,
    /// What was done, as a plan shows it.
    pub done: Vec<String>,
}

impl Session {
    /// Returns the bases of the repository, the oldest first.
    pub async fn bases(&self) -> Result<Vec<BaseStatus>, Error> {
        let repository = repository_id(self.repository.common_dir());
        let observed = self.docker.observe_services(Some(&repository)).await?;
        let mut bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        bases.sort_by(|one, other| (one.made, &one.key).cmp(&(other.made, &other.key)));
        // Sizes are an extra that some Engines do not tell.
        let sizes =
            if bases.is_empty() { None } else { self.docker.volume_sizes().await.ok() }.unwrap_or_default();
        let users = users(&observed);
        let status = |base: Base| {
            let branches = users.get(base.key.as_str()).into_iter().flatten();
            let mut services: Vec<String> =
                base.volumes.iter().map(|volume| volume.service.clone()).collect();
            services.dedup();
            BaseStatus {
                name: short(&base.key).to_owned(),
                services,
                made: Timestamp::from_second(base.made).unwrap_or_default(),
                size: base.volumes.iter().map(|volume| sizes.get(&volume.volume).copied()).sum(),
                branches: branches
                    .map(|&volume| BranchStatus {
                        volume: volume.to_owned(),
                        own: sizes.get(&envtree_core::branch::upper_name(volume)).copied(),
                    })
                    .collect(),
            }
        };
        Ok(bases.into_iter().map(status).collect())
    }

    /// Removes bases, by the first digits of their keys; all that nothing uses if none is named.
    ///
    /// None is removed if one of them is in use.
    pub async fn drop_bases(&self, names: &[String]) -> Result<Vec<DroppedBase>, Error> {
        let repository = repository_id(self.repository.common_dir());
        if names.is_empty() {
            self.sweep_bases(&repository, None).await?;
        }
        let observed = self.docker.observe_services(Some(&repository)).await?;
        let bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        let users = users(&observed);
        let is_used = |base: &Base| users.contains_key(base.key.as_str());
        let chosen: Vec<&Base> = if names.is_empty() {
            bases.iter().filter(|base| !is_used(base)).collect()
        } else {
            names.iter().map(|name| find(&bases, name)).collect::<Result<_, _>>()?
        };
        for base in &chosen {
            refuse_used(base, &observed)?;
        }
        let mut dropped = Vec::new();
        for base in chosen {
            let name = project_name(&base.repository, &base.key);
            let lock = self.state.lock_project(&name, &self.patiently()).await?;
            // Whoever shared the lock may use it now.
            refuse_used(base, &self.docker.observe_services(Some(&repository)).await?)?;
            let done = self.remove_base(&repository, &name, true).await?;
            self.release(lock)?;
            dropped.push(DroppedBase { name: short(&base.key).to_owned(), done });
        }
        Ok(dropped)
    }
}

/// Refuses to drop what volumes are branches of.
fn refuse_used(base: &Base, observed: &ObservedState) -> Result<(), DataError> {
    match users(observed).get(base.key.as_str()) {
        None => Ok(()),
        Some(users) => Err(DataError::BaseInUse {
            name: short(&base.key).to_owned(),
            users: users.iter().map(|&user| user.to_owned()).collect(),
        }),
    }
}

/// Returns the base that a name means: any beginning of its key that no other has.
fn find<'a>(bases: &'a [Base], name: &str) -> Result<&'a Base, DataError> {
    let mut meant = bases.iter().filter(|base| !name.is_empty() && base.key.starts_with(name));
    match (meant.next(), meant.next()) {
        (Some(base), None) => Ok(base),
        _ => Err(DataError::UnknownBase {
            name: name.to_owned(),
            known: bases.iter().map(|base| short(&base.key).to_owned()).collect(),
        }),
    }
}
