//! Gives an environment its names and its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Map;

use crate::load::normal;
use crate::session::Session;
use crate::state::State;
use crate::state::identity::{environment_id, project_name, repository};
use crate::state::record::EnvironmentRecord;
use crate::target::{Origin, Target};

/// Where new worktrees go if nothing else is configured.
const WORKTREES: &str = "../{repository}.worktrees/{id}";

impl Session {
    /// Returns the record of the target, as it is in `state` or as it will be; `place` is the setting `worktrees`.
    pub(crate) fn identify(&self, state: &State, target: &Target, place: Option<&str>) -> EnvironmentRecord {
        let mut record = self.known_or_new(state, &target.task);
        match &target.origin {
            Origin::Present(worktree) => {
                record.worktree.clone_from(&worktree.path);
                record.branch.clone_from(&worktree.branch);
            }
            Origin::Checkout { branch, makes_branch, path, .. } => {
                record.worktree = path
                    .clone()
                    .unwrap_or_else(|| self.place(place.unwrap_or(WORKTREES), &record, branch.name()));
                record.branch = Some(branch.name().to_owned());
                // Noted before it is done: a process that is killed on the way leaves what the next one may remove.
                record.worktree_made_by_envtree = true;
                record.branch_made_by_envtree |= makes_branch;
            }
        }
        record
    }

    fn known_or_new(&self, state: &State, task: &str) -> EnvironmentRecord {
        let repository = repository(state, self.repository.common_dir());
        if let Some(record) = state.environment(&repository.id, task) {
            return record.clone();
        }
        let id = environment_id(state, &repository, task);
        EnvironmentRecord {
            project: project_name(&repository, &id),
            repository,
            task: task.to_owned(),
            branch: None,
            id,
            worktree: PathBuf::new(),
            worktree_made_by_envtree: false,
            branch_made_by_envtree: false,
            created: Timestamp::now(),
            env_file: None,
            ports: Vec::new(),
            subnets: Vec::new(),
            last_failure: None,
            hooks_done: BTreeMap::new(),
            unknown: Map::new(),
        }
    }

    /// Fills in the setting `worktrees`, relative to the repository's top.
    fn place(&self, setting: &str, record: &EnvironmentRecord, branch: &str) -> PathBuf {
        let filled = setting
            .replace("{repository}", self.repository.name())
            .replace("{id}", &record.id)
            .replace("{task}", &record.task)
            .replace("{branch}", branch);
        let path = match (filled.strip_prefix("~/"), self.options.environment.get("HOME")) {
            (Some(below), Some(home)) => PathBuf::from(home).join(below),
            _ => self.repository.top().join(filled),
        };
        normal(&path)
    }
}
