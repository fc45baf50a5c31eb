//! Events in the words of a person: one step begins, goes on, and ends.

use std::time::Duration;

use envtree::event::{Act, Event, Way};
use envtree_core::engine::{BuildProgress, PullProgress, StepState, StepWork};

use crate::text;

/// Something to show about one piece of work, which `key` tells from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Tells the pieces of work apart.
    pub(super) key: String,
    /// What to say.
    pub(super) text: String,
    /// What happened to it.
    pub(super) phase: Phase,
    /// Whether the person sees it without having asked for details.
    pub(super) essential: bool,
}

/// What happened to a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It begins.
    Began,
    /// An image came further.
    Pulling(PullProgress),
    /// It wrote a line, which is the step's text.
    Wrote,
    /// It does what the step's text says.
    Working,
    /// It is done, and only a part of what goes on: a line of it stays only if details are wanted.
    Passed(Option<Duration>),
    /// It is done; how long it took, if that is known.
    Ended(Option<Duration>),
    /// It failed.
    Failed,
}

impl Step {
    /// Returns what to show of `event`; nothing for warnings, which are no work.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::WaitingForLock { holder } => {
                Self::new("lock", format!("waiting for {holder}"), Phase::Began).essential()
            }
            Event::CreatingWorktree { .. }
            | Event::CreatedWorktree { .. }
            | Event::RemovingWorktree { .. }
            | Event::RemovedWorktree { .. } => Self::of_worktree(event)?,
            Event::Performing { act, object, .. } => {
                let step = Self::of_call(*act, object, words(*act).0, Phase::Began);
                Self { essential: takes_its_time(*act), ..step }
            }
            Event::Building { image, progress } => Self::of_build(image, progress)?,
            Event::Pulling { image, progress } => {
                Self::of_call(Act::PullImage, image, "pulling", Phase::Pulling(*progress)).essential()
            }
            Event::Performed { act, object, elapsed } => {
                let step = Self::of_call(*act, object, words(*act).1, Phase::Ended(Some(*elapsed)));
                Self { essential: takes_its_time(*act), ..step }
            }
            Event::Failed { act, object } => {
                let text = format!("failed {}", words(*act).0);
                Self::of_call(*act, object, &text, Phase::Failed).essential()
            }
            Event::AwaitingService { .. } | Event::ServiceReady { .. } => Self::of_service(event)?,
            Event::RunningHook { .. } | Event::HookOutput { .. } | Event::RanHook { .. } => {
                Self::of_hook(event)?.essential()
            }
            Event::MakingBase { base, services, on } => {
                let on = on.as_ref().map(|on| format!(", on {on}")).unwrap_or_default();
                let text = format!("making the data of {} (base {base}{on})", services.join(", "));
                Self::new("base", text, Phase::Began).essential()
            }
            Event::CopyingBase { base } => {
                let text = format!("copying the data of {base}, which lies on many layers");
                Self::new("base", text, Phase::Began).essential()
            }
            Event::MadeBase { base, elapsed } => {
                Self::new("base", format!("made base {base}"), Phase::Ended(Some(*elapsed))).essential()
            }
            Event::MovingData { .. } | Event::MovedSoFar { .. } | Event::MovedData { .. } => {
                Self::of_archive(event)?
            }
            Event::RemovingVolumes { volumes } => {
                let text = format!("removing with all data: {}", text::plain(&volumes.join(", ")));
                Self::new("volumes", text, Phase::Wrote).essential()
            }
            Event::Pruning { losses } => {
                Self::new("prune", text::plain(&losses.join("; ")), Phase::Wrote).essential()
            }
            Event::Warning(_) => return None,
        })
    }

    fn new(key: impl Into<String>, text: impl Into<String>, phase: Phase) -> Self {
        Self { key: key.into(), text: text.into(), phase, essential: false }
    }

    fn essential(self) -> Self {
        Self { essential: true, ..self }
    }

    fn of_call(act: Act, object: &str, doing: &str, phase: Phase) -> Self {
        Self::new(format!("{act:?} {object}"), format!("{doing} {}", text::plain(object)), phase)
    }

    /// A step of a Dockerfile is seen; what the builder does for itself is a detail.
    fn of_build(image: &str, progress: &BuildProgress) -> Option<Self> {
        let (id, text, phase) = match progress {
            BuildProgress::Step { id, name, state } => {
                let text = text::plain(name);
                let (text, phase) = match state {
                    StepState::Running(None) => (text, Phase::Began),
                    StepState::Running(Some(work)) => (format!("{text}: {}", worked(work)), Phase::Working),
                    StepState::Cached => (format!("{text} (cached)"), Phase::Passed(None)),
                    StepState::Done(elapsed) => (text, Phase::Passed(Some(*elapsed))),
                    StepState::Failed => (format!("{text} (not done)"), Phase::Passed(None)),
                };
                (id, text, phase)
            }
            BuildProgress::Output { id, line, .. } => (id, format!("| {}", text::plain(line)), Phase::Wrote),
            BuildProgress::Remark(_) => return None,
        };
        let is_own = matches!(progress, BuildProgress::Step { name, .. } if !name.starts_with("[internal]"));
        // The error tells of the step that failed.
        let has_failed = matches!(progress, BuildProgress::Step { state: StepState::Failed, .. });
        let is_seen = is_own && !has_failed && matches!(phase, Phase::Began | Phase::Passed(None));
        let step = Self::new(format!("build {image} {id}"), format!("{} {text}", text::plain(image)), phase);
        Some(Self { essential: is_seen, ..step })
    }

    fn of_worktree(event: &Event) -> Option<Self> {
        let (path, doing, phase) = match event {
            Event::CreatingWorktree { path, .. } => (path, "creating worktree", Phase::Began),
            Event::CreatedWorktree { path, elapsed } => {
                (path, "created worktree", Phase::Ended(Some(*elapsed)))
            }
            Event::RemovingWorktree { path } => (path, "removing worktree", Phase::Began),
            Event::RemovedWorktree { path } => (path, "removed worktree", Phase::Ended(None)),
            _ => return None,
        };
        let step = Self::new(
            format!("worktree {}", path.display()),
            format!("{doing} {}", text::plain(&text::path(path))),
            phase,
        );
        Some(Self { essential: phase != Phase::Began, ..step })
    }

    fn of_service(event: &Event) -> Option<Self> {
        match event {
            Event::AwaitingService { service } => {
                let text = format!("waiting for {service}");
                Some(Self::new(format!("service {service}"), text, Phase::Began))
            }
            Event::ServiceReady { service, elapsed } => {
                let text = format!("{service} is ready");
                Some(Self::new(format!("service {service}"), text, Phase::Ended(Some(*elapsed))).essential())
            }
            _ => None,
        }
    }

    fn of_archive(event: &Event) -> Option<Self> {
        let words = |way: Way| match way {
            Way::Export => ("exporting", "exported"),
            Way::Import => ("importing", "imported"),
        };
        let (way, name, text, phase) = match event {
            Event::MovingData { way, name, services } => {
                (way, name, format!("{} {name}: {}", words(*way).0, services.join(", ")), Phase::Began)
            }
            Event::MovedSoFar { way, name, bytes } => {
                (way, name, format!("{} {name}: {}", words(*way).0, text::bytes(*bytes)), Phase::Working)
            }
            Event::MovedData { way, name, elapsed } => {
                (way, name, format!("{} {name}", words(*way).1), Phase::Passed(Some(*elapsed)))
            }
            _ => return None,
        };
        // The answer tells the end.
        let essential = !matches!(phase, Phase::Passed(_));
        Some(Self { essential, ..Self::new(format!("{way:?} {name}"), text::plain(&text), phase) })
    }

    fn of_hook(event: &Event) -> Option<Self> {
        let (hook, text, phase) = match event {
            Event::RunningHook { hook, command } => {
                (hook, format!("running {hook}: {}", text::plain(command)), Phase::Began)
            }
            Event::HookOutput { hook, line } => {
                (hook, format!("{hook} | {}", text::plain(line)), Phase::Wrote)
            }
            Event::RanHook { hook, elapsed } => (hook, format!("ran {hook}"), Phase::Ended(Some(*elapsed))),
            _ => return None,
        };
        Some(Self::new(format!("hook {hook}"), text, phase))
    }
}

/// Returns the words for a call that goes on and for one that is done.
fn words(act: Act) -> (&'static str, &'static str) {
    match act {
        Act::PullImage => ("pulling", "pulled"),
        Act::BuildImage => ("building", "built"),
        Act::RemoveImage => ("removing image", "removed image"),
        Act::CreateNetwork => ("creating network", "created network"),
        Act::RemoveNetwork => ("removing network", "removed network"),
        Act::CreateVolume => ("creating volume", "created volume"),
        Act::RemoveVolume => ("removing volume", "removed volume"),
        Act::CopyLayer => ("copying data into", "copied data into"),
        Act::CreateContainer => ("creating container", "created container"),
        Act::ConnectNetwork => ("connecting container", "connected container"),
        Act::DisconnectNetwork => ("disconnecting container", "disconnected container"),
        Act::PutFiles => ("putting files into", "put files into"),
        Act::RunHook => ("running a hook in", "ran a hook in"),
        Act::StartContainer => ("starting container", "started container"),
        Act::UnpauseContainer => ("unpausing container", "unpaused container"),
        Act::StopContainer => ("stopping container", "stopped container"),
        Act::RemoveContainer => ("removing container", "removed container"),
    }
}

/// Returns whether a person wonders what goes on meanwhile.
fn takes_its_time(act: Act) -> bool {
    matches!(act, Act::PullImage | Act::BuildImage | Act::CopyLayer)
}

/// Writes how far a step of a build has come with what it does.
fn worked(work: &StepWork) -> String {
    let what = text::plain(&work.what);
    match (work.bytes_done, work.bytes) {
        (0, 0) => what,
        (done, 0) => format!("{what} {}", text::bytes(done)),
        (done, all) => format!("{what} {} of {}", text::bytes(done), text::bytes(all)),
    }
}

/// Writes how far a pull has come.
pub(super) fn pulled(progress: PullProgress) -> String {
    let PullProgress { layers, layers_done, bytes, bytes_done, awaits_helper } = progress;
    if awaits_helper {
        return "waiting for Docker's credential helper".to_owned();
    }
    format!(
        "{layers_done} of {}, {} of {}",
        text::counted(usize::try_from(layers).unwrap_or(usize::MAX), "layer"),
        text::bytes(bytes_done),
        text::bytes(bytes),
    )
}
