//! Takes over what Docker Compose made under an environment's project name, from the files of its worktree.

use std::path::Path;

use envtree_core::adopt::{Adopted, Adoption, Wanted, adopt};
use envtree_core::engine::{Engine, Scope};
use envtree_core::observed::{ObservedContainer, ObservedState};

use crate::environment::{Definition, placeholder};
use crate::error::Error;
use crate::repository::Repository;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::up::scope;

impl Session {
    /// Returns what the Engine has in `scope`; what the environment took over, or would take over, counts as its own.
    pub(crate) async fn observe_own(
        &self,
        record: &EnvironmentRecord,
        scope: &Scope,
    ) -> Result<ObservedState, Error> {
        let mut observed = self.docker.observe(scope).await?;
        let is_of_compose = |container: &ObservedContainer| {
            record.names(&container.labels) && !record.owns(&container.labels)
        };
        let wanted = if observed.containers.iter().any(is_of_compose) {
            self.wanted_of(record).unwrap_or_default()
        } else {
            Wanted::default()
        };
        self.adopt(record, &wanted, &mut observed);
        Ok(observed)
    }

    /// Returns what the Engine has for a definition, and what of it was made by Docker Compose and is taken over.
    pub(crate) async fn observe_and_adopt(
        &self,
        record: &EnvironmentRecord,
        definition: &Definition,
    ) -> Result<(ObservedState, Adopted), Error> {
        let shared = match &definition.shared {
            Some(shared) => Some(shared.definition.wanted.project.name.clone()),
            None => self.shared_project_of(record)?,
        };
        let mut scope = scope(definition, shared);
        scope.volumes.extend(record.adopted_anonymous.values().cloned());
        let mut observed = self.docker.observe(&scope).await?;
        let adopted = self.adopt(record, &Wanted::of(&definition.wanted.project), &mut observed);
        Ok((observed, adopted))
    }

    /// Returns what the environment's files say of volumes; nothing if they cannot be read.
    fn wanted_of(&self, record: &EnvironmentRecord) -> Option<Wanted> {
        let files = self.files_of(record).ok()?;
        let definition = self.define(record, &files, &placeholder()).ok()?;
        Some(Wanted::of(&definition.wanted.project))
    }

    fn adopt(&self, record: &EnvironmentRecord, wanted: &Wanted, observed: &mut ObservedState) -> Adopted {
        let adoption = Adoption {
            repository: &record.repository.id,
            project: &record.project,
            is_of_worktree: &|path| self.is_of_worktree(record, Path::new(path)),
            volumes: &record.adopted,
            anonymous: &record.adopted_anonymous,
            wanted,
        };
        adopt(observed, &adoption)
    }

    /// Returns whether an absolute path, of a folder or a file, lies in the worktree of `record`, and in none of another
    /// repository inside it.
    fn is_of_worktree(&self, record: &EnvironmentRecord, path: &Path) -> bool {
        let folder = if path.is_dir() { Some(path) } else { path.parent().filter(|_| path.is_file()) };
        let Some(folder) = folder.filter(|folder| folder.is_absolute()) else {
            return false;
        };
        let of_repository = Repository::discover(folder)
            .is_ok_and(|found| found.common_dir() == self.repository.common_dir());
        let worktree = self.repository.worktree_containing(folder);
        of_repository && matches!(worktree, Ok(Some(found)) if found.path == record.worktree)
    }
}

/// Says what `up` takes over; nothing if that is no container.
pub(crate) fn warnings(project: &str, adopted: &Adopted) -> Vec<String> {
    if adopted.containers.is_empty() {
        return Vec::new();
    }
    let has_volumes = !adopted.volumes.is_empty() || !adopted.anonymous.is_empty();
    let kept = if has_volumes { "; their volumes are kept with their data" } else { "" };
    let taken = format!(
        "Docker Compose made {} of project `{project}` from the files of this worktree: envtree takes over and makes them again{kept}",
        named("container", &adopted.containers)
    );
    let left = adopted.left.iter().map(|name| {
        format!("volume `{name}` is left alone with its data, because the environment has one under a name of its own")
    });
    let left_networks = adopted.left_networks.iter().map(|name| {
        format!("network `{name}` is left behind, because the environment has one under a name of its own; `docker network rm {name}` removes it once nothing uses it")
    });
    std::iter::once(taken).chain(left).chain(left_networks).collect()
}

fn named(kind: &str, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{kind}{plural} {}", quoted.join(", "))
}
