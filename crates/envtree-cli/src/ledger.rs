//! What a command has done so far, for the one who interrupts it.

use envtree::event::{Act, Event, Way};

use crate::{done, text};

/// The changes that events told of.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Steps in the words of a plan, those of the Engine alone.
    steps: Vec<String>,
    /// Those of which the Engine's answer has not come yet.
    begun: Vec<String>,
    /// What became of the worktree.
    worktree: Option<String>,
    /// What became of an archive.
    archive: Option<String>,
}

impl Ledger {
    /// Notes what an event tells.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Performing { act, object, .. } => self.begun.push(step(*act, object)),
            Event::Performed { act, object, .. } => {
                let step = self.ended(*act, object);
                self.steps.push(step);
            }
            Event::Failed { act, object } => drop(self.ended(*act, object)),
            Event::CreatingWorktree { path, .. } => {
                self.worktree = Some(format!("worktree `{}` is not complete yet", path.display()));
            }
            Event::CreatedWorktree { path, .. } => {
                self.worktree = Some(format!("created and kept: worktree `{}`", path.display()));
            }
            Event::MovingData { way, name, .. } => {
                let kept = match way {
                    Way::Export => format!("what is written of the archive of `{name}` is kept"),
                    Way::Import => {
                        format!("what is imported of `{name}` is kept: `envtree data drop` removes it")
                    }
                };
                self.archive = Some(kept);
            }
            Event::RemovingWorktree { path } => {
                self.worktree = Some(format!("worktree `{}` is partly removed", path.display()));
            }
            Event::RemovedWorktree { path } => {
                self.worktree = Some(format!("removed: worktree `{}`", path.display()));
            }
            _ => {}
        }
    }

    /// Returns a step of which the Engine's answer has come.
    fn ended(&mut self, act: Act, object: &str) -> String {
        let step = step(act, object);
        self.begun.retain(|begun| *begun != step);
        step
    }

    /// Returns a line for each sort of thing that was done.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.worktree.iter().chain(&self.archive).cloned().collect();
        notes.extend(done::notes(&self.steps));
        // The Engine goes on with what it was asked for; a pull alone ends with the connection.
        let asked: Vec<_> = self.begun.iter().filter(|step| !step.starts_with("pull ")).cloned().collect();
        notes.extend(done::asked(&asked));
        if notes.is_empty() {
            notes.push("nothing was made, started or removed yet".to_owned());
        }
        notes
    }
}

fn step(act: Act, object: &str) -> String {
    format!("{} {object}", text::act(act))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_done_is_told_by_its_sort() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.notes(), ["nothing was made, started or removed yet"]);
        let performed =
            |act, object: &str| Event::Performed { act, object: object.into(), elapsed: Duration::ZERO };
        ledger.note(&Event::CreatingWorktree { path: "/w/a b".into(), branch: "fix".into() });
        ledger.note(&performed(Act::CreateNetwork, "shop-fix_default"));
        ledger.note(&performed(Act::CreateVolume, "shop-fix_data"));
        ledger.note(&Event::Warning("something".into()));
        ledger.note(&performed(Act::CreateContainer, "shop-fix-db-1"));
        ledger.note(&performed(Act::StartContainer, "shop-fix-db-1"));
        let performing =
            |act, object: &str| Event::Performing { act, object: object.into(), cause: "it is new".into() };
        ledger.note(&performing(Act::PullImage, "redis:8"));
        ledger.note(&performing(Act::CreateVolume, "shop-fix_cache"));
        ledger.note(&Event::Failed { act: Act::CreateVolume, object: "shop-fix_cache".into() });
        ledger.note(&performing(Act::CreateContainer, "shop-fix-web-1"));
        assert_eq!(
            ledger.notes(),
            [
                "worktree `/w/a b` is not complete yet",
                "created and kept: network `shop-fix_default`, volume `shop-fix_data`, container `shop-fix-db-1`",
                "started: container `shop-fix-db-1`",
                "asked for, and perhaps done meanwhile: create container `shop-fix-web-1`",
            ]
        );
    }
}
