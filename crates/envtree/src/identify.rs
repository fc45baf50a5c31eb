//! Gives an environment its names and its place.

use std::path::PathBuf;

use crate::load::normal;
use crate::session::Session;
use crate::state::State;
use crate::state::identity::{environment_id, project_name, repository};
use crate::state::record::EnvironmentRecord;
use crate::target::{Origin, Target};
use crate::worktree::real_path;

/// Where new worktrees go if nothing else is configured.
pub(crate) const WORKTREES: &str = "../{repository}.worktrees/{id}";

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
        let project = project_name(&repository, &id);
        EnvironmentRecord::new(repository, task, id, project)
    }

    /// Fills in the setting `worktrees`, relative to the repository's top.
    pub(crate) fn place(&self, setting: &str, record: &EnvironmentRecord, branch: &str) -> PathBuf {
        let filled = setting
            .replace("{repository}", self.repository.name())
            .replace("{id}", &record.id)
            .replace("{task}", &record.task)
            .replace("{branch}", branch);
        let path = match (filled.strip_prefix("~/"), self.options.environment.get("HOME")) {
            (Some(below), Some(home)) => PathBuf::from(home).join(below),
            _ => self.repository.top().join(filled),
        };
        // Later it is looked for as git registers it.
        real_path(&path).unwrap_or_else(|_| normal(&path))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::session;
    use crate::target::resolve;
    use crate::up::UpOptions;

    fn placed(shop: &TestRepository, directory: &Path, task: &str, place: Option<&str>) -> EnvironmentRecord {
        let session = session(shop, directory);
        let target = resolve(&session, &State::default(), &UpOptions::of(Some(task)), None).unwrap();
        session.identify(&State::default(), &target, place)
    }

    #[test]
    fn a_worktree_goes_where_the_setting_says_wherever_the_person_stands() {
        let shop = TestRepository::new();
        shop.write("src/x", "");
        for directory in [shop.path.clone(), shop.path.join("src")] {
            let place = |place| placed(&shop, &directory, "feature/Auth", place).worktree;
            assert_eq!(place(None), shop.beside("shop.worktrees/feature-auth"));
            assert_eq!(place(Some("../{branch}@{task}")), shop.beside("feature/Auth@feature/Auth"));
            assert_eq!(place(Some("/srv/{repository}-{id}")), Path::new("/srv/shop-feature-auth"));
            assert_eq!(place(Some("~/w/./{id}/../{id}")), shop.beside("home/w/feature-auth"));
        }
    }

    #[test]
    fn a_place_behind_a_symlink_is_known_as_git_registers_it() {
        let shop = TestRepository::new();
        std::fs::create_dir(shop.beside("disk")).unwrap();
        std::os::unix::fs::symlink(shop.beside("disk"), shop.beside("link")).unwrap();
        let record = placed(&shop, &shop.path, "login", Some("../link/{id}"));
        assert_eq!(record.worktree, shop.beside("disk/login"));
    }

    #[test]
    fn what_will_be_made_is_noted_before_it_is_made() {
        let shop = TestRepository::new();
        shop.git(&["branch", "old"]);
        let new = placed(&shop, &shop.path, "new", None);
        assert!(new.worktree_made_by_envtree && new.branch_made_by_envtree);
        let old = placed(&shop, &shop.path, "old", None);
        assert!(old.worktree_made_by_envtree && !old.branch_made_by_envtree);
        let main = placed(&shop, &shop.path, "main", None);
        assert!(!main.worktree_made_by_envtree && !main.branch_made_by_envtree);
        assert_eq!((main.worktree, main.branch.as_deref()), (shop.path.clone(), Some("main")));
    }
}
