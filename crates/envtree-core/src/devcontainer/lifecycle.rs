//! The commands of a dev container's life, and which of them run when.
//!
//! A stage's commands run one origin after the other, those of the image first; the lines of one command side by side.
//! If one fails, nothing later runs.

use std::collections::BTreeSet;

use indexmap::IndexMap;

/// A stage in the life of a dev container, in the order in which they are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Each time that it is brought up, on the host.
    Initialize,
    /// Once after it was made.
    OnCreate,
    /// Once after it was made, and when its content is refreshed.
    UpdateContent,
    /// Once after it was made and given to its user.
    PostCreate,
    /// After each start.
    PostStart,
    /// Each time that a tool attaches.
    PostAttach,
}

impl Stage {
    /// The stages in their order.
    pub const ALL: [Self; 6] = [
        Self::Initialize,
        Self::OnCreate,
        Self::UpdateContent,
        Self::PostCreate,
        Self::PostStart,
        Self::PostAttach,
    ];
    /// The stage that a tool waits for unless `waitFor` says another.
    pub const WAITED_FOR: Self = Self::UpdateContent;

    /// Returns the property that holds its command.
    pub fn key(self) -> &'static str {
        match self {
            Self::Initialize => "initializeCommand",
            Self::OnCreate => "onCreateCommand",
            Self::UpdateContent => "updateContentCommand",
            Self::PostCreate => "postCreateCommand",
            Self::PostStart => "postStartCommand",
            Self::PostAttach => "postAttachCommand",
        }
    }

    /// Returns whether its commands run on the host rather than in the container.
    pub fn is_on_host(self) -> bool {
        self == Self::Initialize
    }

    /// Returns how long it counts that its commands ran.
    pub fn lasts(self) -> Lasts {
        match self {
            Self::Initialize | Self::PostAttach => Lasts::Never,
            Self::OnCreate | Self::UpdateContent | Self::PostCreate => Lasts::Container,
            Self::PostStart => Lasts::Start,
        }
    }
}

/// How long it counts that the commands of a stage ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// They run every time.
    Never,
    /// Until the container starts again.
    Start,
    /// As long as the container is there.
    Container,
}

/// What a stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One line.
    Single(Line),
    /// Lines that run side by side, by their names.
    Parallel(IndexMap<String, Line>),
}

impl Command {
    /// Returns whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Single(line) => line.is_empty(),
            Self::Parallel(lines) => lines.values().all(Line::is_empty),
        }
    }

    /// Returns the lines that run side by side, with their names where they have some, and none that does nothing.
    pub fn lines(&self) -> impl Iterator<Item = (Option<&str>, &Line)> {
        let (single, parallel) = match self {
            Self::Single(line) => (Some((None, line)), None),
            Self::Parallel(lines) => (None, Some(lines)),
        };
        let named = parallel.into_iter().flatten().map(|(name, line)| (Some(name.as_str()), line));
        single.into_iter().chain(named).filter(|(_, line)| !line.is_empty())
    }
}

/// A line that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A text for `/bin/sh`.
    Shell(String),
    /// A program and its arguments, for no shell.
    Program(Vec<String>),
}

impl Line {
    /// Returns whether it runs nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shell(text) => text.trim().is_empty(),
            Self::Program(words) => words.is_empty(),
        }
    }

    /// Returns the program and its arguments.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
            Self::Program(words) => words.clone(),
        }
    }
}

/// Who wrote a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The `devcontainer.json`, or an image made from one.
    Configuration,
    /// The feature of this id.
    Feature(String),
}

/// A command, and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedCommand {
    /// Who wrote it.
    pub origin: Origin,
    /// What runs.
    pub command: Command,
}

/// What runs at a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// The commands, which run one after the other; none at all is possible for a stage that is only waited for.
    pub commands: Vec<OwnedCommand>,
    /// Whether the person waits for it; what follows may run in the background.
    pub is_waited_for: bool,
}

/// What just happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It was made, and started for the first time.
    Created,
    /// It was started again.
    Started,
    /// It ran already, and somebody attaches.
    Attached,
}

impl Occasion {
    /// Returns the stages whose commands ran before, provided that all of them did.
    pub fn done(self) -> BTreeSet<Stage> {
        let lasts: &[Lasts] = match self {
            Self::Created => &[],
            Self::Started => &[Lasts::Container],
            Self::Attached => &[Lasts::Container, Lasts::Start],
        };
        Stage::ALL.into_iter().filter(|stage| lasts.contains(&stage.lasts())).collect()
    }
}

/// Returns what is to run, in its order, where the commands of the stages in `done` ran before.
///
/// A stage without commands is left out. `Initialize` and `PostAttach` run whatever `done` says.
pub fn steps(
    commands: &IndexMap<Stage, Vec<OwnedCommand>>,
    wait_for: Option<Stage>,
    done: &BTreeSet<Stage>,
) -> Vec<Step> {
    let wait_for = wait_for.unwrap_or(Stage::WAITED_FOR);
    let runs = |stage: &Stage| stage.lasts() == Lasts::Never || !done.contains(stage);
    let step = |stage: Stage| {
        let commands: Vec<OwnedCommand> =
            commands.get(&stage)?.iter().filter(|owned| !owned.command.is_empty()).cloned().collect();
        let step = Step { stage, commands, is_waited_for: stage <= wait_for };
        (!step.commands.is_empty()).then_some(step)
    };
    Stage::ALL.into_iter().filter(runs).filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        Command::Single(Line::Shell(text.into()))
    }

    fn of_file(command: Command) -> OwnedCommand {
        OwnedCommand { origin: Origin::Configuration, command }
    }

    fn all() -> IndexMap<Stage, Vec<OwnedCommand>> {
        Stage::ALL.into_iter().rev().map(|stage| (stage, vec![of_file(shell(stage.key()))])).collect()
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        let step = |step: &Step| format!("{}{}", step.stage.key(), if step.is_waited_for { "!" } else { "" });
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_new_container_runs_every_stage_in_order() {
        insta::assert_snapshot!(shown(&steps(&all(), None, &Occasion::Created.done())).join("\n"), @"
        initializeCommand!
        onCreateCommand!
        updateContentCommand!
        postCreateCommand
        postStartCommand
        postAttachCommand
        ");
    }

    #[test]
    fn a_start_and_an_attach_run_what_is_theirs() {
        let at = |occasion: Occasion| shown(&steps(&all(), None, &occasion.done()));
        assert_eq!(at(Occasion::Started), ["initializeCommand!", "postStartCommand", "postAttachCommand"]);
        assert_eq!(at(Occasion::Attached), ["initializeCommand!", "postAttachCommand"]);
    }

    #[test]
    fn what_was_left_out_after_a_failure_runs_the_next_time() {
        let done = BTreeSet::from([Stage::OnCreate, Stage::Initialize, Stage::PostAttach]);
        assert_eq!(
            shown(&steps(&all(), Some(Stage::PostStart), &done)),
            [
                "initializeCommand!",
                "updateContentCommand!",
                "postCreateCommand!",
                "postStartCommand!",
                "postAttachCommand"
            ]
        );
    }

    #[test]
    fn a_command_without_a_word_does_not_run() {
        let empty = [shell(" "), Command::Single(Line::Program(vec![])), Command::Parallel(IndexMap::new())];
        let commands = IndexMap::from([(Stage::OnCreate, empty.into_iter().map(of_file).collect())]);
        assert_eq!(steps(&commands, None, &BTreeSet::new()), []);
    }

    #[test]
    fn commands_of_an_image_run_before_those_of_the_file() {
        let feature = OwnedCommand { origin: Origin::Feature("node".into()), command: shell("a") };
        let commands = IndexMap::from([(Stage::OnCreate, vec![feature.clone(), of_file(shell("b"))])]);
        let steps = steps(&commands, Some(Stage::Initialize), &BTreeSet::new());
        assert_eq!(steps[0].commands, [feature, of_file(shell("b"))]);
        assert!(!steps[0].is_waited_for);
    }

    #[test]
    fn a_text_is_for_a_shell_and_a_list_for_none() {
        let lines = IndexMap::from([
            ("server".to_owned(), Line::Shell("npm start".into())),
            ("nothing".to_owned(), Line::Shell(String::new())),
            ("db".to_owned(), Line::Program(vec!["mysql".into(), "my database".into()])),
        ]);
        let command = Command::Parallel(lines);
        let lines: Vec<_> = command.lines().map(|(name, line)| (name, line.words())).collect();
        assert_eq!(lines[0], (Some("server"), vec!["/bin/sh".into(), "-c".into(), "npm start".into()]));
        assert_eq!(lines[1], (Some("db"), vec!["mysql".to_owned(), "my database".into()]));
        assert_eq!(lines.len(), 2);
        assert_eq!(shell("x").lines().next(), Some((None, &Line::Shell("x".into()))));
    }
}
