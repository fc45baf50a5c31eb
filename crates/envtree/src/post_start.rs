//! Keeps in mind which containers have started without all of their `post_start` hooks: they are to start anew.

use std::collections::BTreeSet;

use envtree_core::plan::{Operation, Plan};

use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;

/// The key of the hooks in a Compose file.
const KEY: &str = "post_start";

/// Returns the containers in which a plan runs hooks after their start, once for each hook.
pub(crate) fn hooked(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.steps.iter().filter_map(|step| match &step.operation {
        Operation::RunHook { container, key, .. } if *key == KEY => Some(container.as_str()),
        _ => None,
    })
}

/// Returns the containers of a plan in which a hook was not run, or failed. `done` is what was done of a plan that
/// failed.
pub(crate) fn unhooked(plan: &Plan, done: Option<&[String]>) -> BTreeSet<String> {
    let Some(done) = done else {
        return BTreeSet::new();
    };
    let is_whole = |container: &str| {
        let operation = |operation: &&Operation| matches!(operation, Operation::RunHook { container: of, key, .. } if of == container && *key == KEY);
        let hooks = plan.steps.iter().map(|step| &step.operation).filter(operation);
        let texts: Vec<String> = hooks.map(ToString::to_string).collect();
        done.iter().filter(|text| texts.contains(text)).count() == texts.len()
    };
    hooked(plan).filter(|container| !is_whole(container)).map(str::to_owned).collect()
}

impl Session {
    /// Notes in which containers the hooks of a plan have run, and in which they have not.
    pub(crate) async fn note_hooked(
        &self,
        record: &EnvironmentRecord,
        plan: &Plan,
        unhooked: BTreeSet<String>,
    ) -> Result<(), Error> {
        let hooked: BTreeSet<String> = hooked(plan).map(str::to_owned).collect();
        if hooked.is_empty() {
            return Ok(());
        }
        self.update_record(&record.project, |record| {
            record.unhooked.retain(|container| !hooked.contains(container));
            record.unhooked.extend(unhooked);
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use envtree_core::plan::Step;
    use envtree_core::service::Hook;

    use super::*;

    fn plan() -> Plan {
        let mut plan = Plan::default();
        for (container, key) in [("a", KEY), ("a", KEY), ("b", KEY), ("c", "pre_stop")] {
            let hook = Hook::default();
            let operation = Operation::RunHook { container: container.into(), key, hook, required: true };
            plan.push(Step { operation, cause: String::new(), after: Vec::new(), awaits: Vec::new() });
        }
        plan
    }

    #[test]
    fn a_container_is_hooked_once_each_of_its_hooks_has_run() {
        let plan = plan();
        let texts: Vec<String> = plan.steps.iter().map(|step| step.operation.to_string()).collect();
        assert!(unhooked(&plan, None).is_empty());
        assert_eq!(unhooked(&plan, Some(&texts[..2])), ["b".to_owned()].into());
        assert_eq!(unhooked(&plan, Some(&texts[..1])), ["a".to_owned(), "b".to_owned()].into());
        assert_eq!(unhooked(&plan, Some(&[])), ["a".to_owned(), "b".to_owned()].into());
    }
}
