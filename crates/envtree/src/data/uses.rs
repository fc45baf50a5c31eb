//! When bases were last used: the state tells that, and where it was lost, when they were made has to do.

use std::collections::BTreeSet;

use envtree_core::branch::base::{Base, project_name};
use envtree_core::label;
use envtree_core::observed::ObservedState;
use envtree_core::plan::{Operation, Plan};
use jiff::Timestamp;

use crate::error::Error;
use crate::session::Session;
use crate::state::State;
use crate::state::identity::bases_name;
use crate::state::record::RepositoryRecord;

/// How many uses are kept, each of another base; the oldest go first.
const KEPT: usize = 512;

impl State {
    /// Returns when a base was last made, imported, exported, begun with or parted from.
    pub(crate) fn last_used(&self, base: &Base) -> Timestamp {
        let made = Timestamp::from_second(base.made).unwrap_or_default();
        self.used.get(&*project_name(&base.repository, &base.key)).map_or(made, |used| *used)
    }

    /// Notes that a base of the repository called `repository` is used now.
    pub(crate) fn note_use(&mut self, repository: &str, key: &str) {
        self.used.insert(project_name(repository, key).to_string(), Timestamp::now());
        while self.used.len() > KEPT {
            let oldest = self.used.iter().min_by_key(|(_, used)| **used).map(|(name, _)| name.clone());
            oldest.map(|name| self.used.remove(&name));
        }
    }
}

impl Session {
    /// Notes that a base is used now.
    pub(super) async fn note_use(&self, repository: &str, key: &str) -> Result<(), Error> {
        let (repository, key) = (repository.to_owned(), key.to_owned());
        self.update_state(move |state| {
            state.note_use(&repository, &key);
            Ok(())
        })
        .await
    }

    /// Notes that bases are in use until now whose branches a plan removes.
    pub(crate) async fn note_parted(
        &self,
        repository: &RepositoryRecord,
        observed: &ObservedState,
        plan: &Plan,
    ) -> Result<(), Error> {
        let is_removed = |name: &str| {
            plan.steps.iter().any(
                |step| matches!(&step.operation, Operation::RemoveVolume { name: removed } if removed == name),
            )
        };
        let parting = observed.uppers.iter().filter(|upper| is_removed(&upper.name));
        let keys: BTreeSet<String> =
            parting.filter_map(|upper| upper.labels.get(label::BASE)).cloned().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let repository = bases_name(&repository.common_dir);
        self.update_state(move |state| {
            for key in keys {
                state.note_use(&repository, &key);
            }
            Ok(())
        })
        .await
    }

    /// Forgets when a base was used: it is gone.
    pub(super) async fn forget_use(&self, base: &Base) -> Result<(), Error> {
        let name = project_name(&base.repository, &base.key);
        self.update_state(move |state| {
            state.used.remove(&*name);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(key: &str) -> Base {
        Base {
            key: key.into(),
            repository: "shop".into(),
            is_seeded: true,
            made: 7,
            volumes: Vec::new(),
            others: Vec::new(),
            snapshot: None,
            lineage: None,
            copy_of: None,
            is_raw: false,
        }
    }

    #[test]
    fn a_base_of_which_no_use_is_known_was_used_when_it_was_made() {
        let mut state = State::default();
        assert_eq!(state.last_used(&base("aa")).as_second(), 7);
        let before = Timestamp::now();
        state.note_use("shop", "aa");
        assert!(state.last_used(&base("aa")) >= before);
        assert_eq!(state.last_used(&base("bb")).as_second(), 7);
        state.note_use("other", "bb");
        assert_eq!(state.last_used(&base("bb")).as_second(), 7);
    }

    #[test]
    fn the_oldest_uses_are_forgotten() {
        let mut state = State::default();
        state.used.insert("shop_base-old".into(), Timestamp::UNIX_EPOCH);
        for number in 0..KEPT {
            state.note_use("shop", &format!("{number:012}"));
        }
        assert_eq!(state.used.len(), KEPT);
        assert!(!state.used.contains_key("shop_base-old"));
    }
}
