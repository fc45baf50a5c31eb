//! The mark that envtree leaves in the administrative directory of every worktree that it makes.
//!
//! It says whose worktree it is, so that a lost state does not leave one behind that `rm` takes for somebody else's, and
//! which ports are its own, which no label tells while there are no containers. Git removes it together with the
//! worktree.

use envtree_core::name::EnvironmentId;
use serde::{Deserialize, Serialize};

use crate::repository::{Repository, RepositoryError, Worktree};
use crate::state::identity::{project_name, repository};
use crate::state::record::{EnvironmentRecord, PortReservation};
use crate::state::{FileError, State, file};

/// The file's name.
const FILE: &str = "envtree.json";

/// What the mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The task that the worktree was made for.
    task: String,
    /// The id of its environment.
    id: EnvironmentId,
    /// Whether the branch was made together with it.
    branch_made: bool,
    /// The host ports that are its own.
    #[serde(default)]
    ports: Vec<PortReservation>,
}

/// Marks the worktree of `record`, which envtree made.
pub(crate) fn leave(worktree: &Worktree, record: &EnvironmentRecord) -> Result<(), FileError> {
    let mark = Mark {
        task: record.task.clone(),
        id: record.id.clone(),
        branch_made: record.branch_made_by_envtree,
        ports: record.ports.clone(),
    };
    if read(worktree).as_ref() == Some(&mark) {
        return Ok(());
    }
    let text = serde_json::to_vec(&mark).expect("a mark has string keys only");
    file::replace(&worktree.git_dir.join(FILE), &text)
}

/// Returns the mark of a worktree; one that cannot be read is none.
fn read(worktree: &Worktree) -> Option<Mark> {
    let text = file::read(&worktree.git_dir.join(FILE)).ok()??;
    serde_json::from_slice(&text).ok()
}

/// Completes `lost`, records that `state` lacks, by what the marks of `repository`'s worktrees tell.
pub(crate) fn complete(
    lost: &mut Vec<EnvironmentRecord>,
    state: &State,
    of: &Repository,
) -> Result<(), RepositoryError> {
    let repository = repository(state, of.common_dir());
    for worktree in of.worktrees()?.into_iter().filter(|worktree| !worktree.is_main) {
        let Some(mark) = read(&worktree) else {
            continue;
        };
        if state.environment(&repository.id, &mark.task).is_some() {
            continue;
        }
        let is_known =
            |record: &EnvironmentRecord| record.repository.id == repository.id && record.task == mark.task;
        let index = lost.iter().position(is_known).unwrap_or_else(|| {
            let project = project_name(&repository, &mark.id);
            lost.push(EnvironmentRecord::new(repository.clone(), &mark.task, mark.id.clone(), project));
            lost.len() - 1
        });
        let record = &mut lost[index];
        record.worktree = worktree.path;
        record.branch = worktree.branch;
        record.worktree_made_by_envtree = true;
        record.branch_made_by_envtree = mark.branch_made;
        let kept = record.ports.clone();
        // Meanwhile another environment may have come by one of them.
        let others = || state.environments.iter().flat_map(|other| &other.ports);
        let is_free = |port: &PortReservation| {
            !kept.iter().any(|kept| kept.is_for_the_same(port))
                && !others().any(|other| other.published == port.published)
        };
        record.ports.extend(mark.ports.into_iter().filter(is_free));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use envtree_core::port::Owner;
    use envtree_core::service::Protocol;

    use super::*;
    use crate::repository::test_repository::TestRepository;

    #[test]
    fn a_marked_worktree_is_known_without_a_state() {
        let shop = TestRepository::new();
        let path = shop.beside("fix");
        shop.git(&["worktree", "add", "--quiet", "-b", "fix", path.to_str().unwrap()]);
        shop.git(&["worktree", "add", "--quiet", "-b", "other", shop.beside("other").to_str().unwrap()]);
        let opened = Repository::discover(&shop.path).unwrap();
        let worktree =
            opened.worktrees().unwrap().into_iter().find(|worktree| worktree.path == path).unwrap();
        let state = State::default();
        let repository = repository(&state, opened.common_dir());
        let id = EnvironmentId::new("fix").unwrap();
        let project = project_name(&repository, &id);
        let mut record = EnvironmentRecord::new(repository, "fix", id, project);
        record.branch_made_by_envtree = true;
        let port = |number| PortReservation {
            owner: Owner::Service("db".into()),
            replica: 1,
            target: number,
            protocol: Protocol::Tcp,
            index: 0,
            address: Ipv4Addr::LOCALHOST.into(),
            published: number,
        };
        record.ports = vec![port(3000), port(3001)];
        leave(&worktree, &record).unwrap();

        let mut lost = Vec::new();
        complete(&mut lost, &state, &opened).unwrap();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((lost[0].task.as_str(), &lost[0].worktree), ("fix", &path));
        assert!(lost[0].worktree_made_by_envtree && lost[0].branch_made_by_envtree);
        assert_eq!(lost[0].ports, record.ports);
        // A port that has another owner by now is not taken back.
        let mut other = EnvironmentRecord { task: "other".into(), ..record.clone() };
        other.ports.truncate(1);
        let taken = State { environments: vec![other], ..State::default() };
        let mut rest = Vec::new();
        complete(&mut rest, &taken, &opened).unwrap();
        assert_eq!(rest[0].ports, record.ports[1..]);
        let known = State { environments: lost, ..State::default() };
        let mut lost = Vec::new();
        complete(&mut lost, &known, &opened).unwrap();
        assert!(lost.is_empty());
    }
}
