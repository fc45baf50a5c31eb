//! Reads the lines of the classic builder: which step goes on, what it writes, and how it ends.

use std::time::{Duration, Instant};

use bollard::models::BuildInfo;
use envtree_core::build::ImageBuild;
use envtree_core::engine::{BuildProgress, Progress, StepState};

use crate::build::buildkit::Hears;
use crate::build::error::BuildError;
use crate::build::location::in_dockerfile;
use crate::failure::EngineFailure;

/// How many of the last lines of a step are kept for the report of its failure.
const KEPT: usize = 20;
/// By what the builder sets apart what a step writes to its standard error.
const COLOURS: [&str; 2] = ["\u{1b}[91m", "\u{1b}[0m"];

/// The steps of one build so far, read from the builder's lines.
pub(super) struct Steps<'a> {
    progress: Hears<'a>,
    current: Option<(String, Instant)>,
    output: Vec<String>,
}

impl<'a> Steps<'a> {
    /// Begins before the first step.
    pub(super) fn new(progress: Hears<'a>) -> Self {
        Self { progress, current: None, output: Vec::new() }
    }

    /// Takes in one answer; returns why the build failed, if it says so.
    pub(super) fn hear(&mut self, answer: BuildInfo) -> Option<EngineFailure> {
        for line in answer.stream.iter().flat_map(|text| text.split(['\n', '\r'])) {
            self.line(&COLOURS.iter().fold(line.to_owned(), |line, colour| line.replace(colour, "")));
        }
        let message = answer.error_detail?.message?;
        Some(EngineFailure { status: Some(500), message: message.trim().to_owned() })
    }

    fn line(&mut self, line: &str) {
        if let Some(step) = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP ")) {
            self.end();
            let (number, instruction) = step.split_once(':').unwrap_or((step, ""));
            let name = format!("[{}] {}", number.trim(), instruction.trim());
            self.tell(name.clone(), StepState::Running(None));
            self.current = Some((name, Instant::now()));
            self.output.clear();
        } else if line.trim() == "---> Using cache" {
            self.pass(StepState::Cached);
        } else if is_of_builder(line, "Successfully built ") {
            self.end();
        } else if is_of_builder(line, "Removing intermediate container ") {
            // The step is over, and nobody wants to know.
        } else if !line.trim().is_empty()
            && !["--->", "-->"].iter().any(|arrow| line.trim_start().starts_with(arrow))
        {
            if self.output.len() == KEPT {
                self.output.remove(0);
            }
            self.output.push(line.to_owned());
            if let Some((step, _)) = self.current.clone() {
                let line = line.to_owned();
                (self.progress)(Progress::Build(BuildProgress::Output { id: step.clone(), step, line }));
            }
        }
    }

    /// Tells that the current step is done.
    pub(super) fn end(&mut self) {
        self.pass(StepState::Done(Duration::ZERO));
    }

    /// Tells that the current step is over.
    fn pass(&mut self, state: StepState) {
        if let Some((name, begun)) = self.current.take() {
            let state = if state == StepState::Cached { state } else { StepState::Done(begun.elapsed()) };
            self.tell(name, state);
        }
    }

    fn tell(&self, name: String, state: StepState) {
        (self.progress)(Progress::Build(BuildProgress::Step { id: name.clone(), name, state }));
    }

    pub(super) fn failure(self, build: &ImageBuild, source: EngineFailure) -> BuildError {
        let image = build.name().to_owned();
        // The Engine says why outside a step too: a Dockerfile that it cannot read, a base image that is not there.
        let Some((step, _)) =
            self.current.filter(|_| source.says(&["returned a non-zero code", "exit status"]))
        else {
            return BuildError::Engine { image, source };
        };
        tell_of_failure(self.progress, &step);
        let location = in_dockerfile(&build.definition, &step);
        BuildError::Step {
            image,
            dockerfile: location.as_ref().map(|location| location.file.clone()),
            line: location.map(|location| location.line),
            step,
            output: self.output,
            source: EngineFailure { message: exit_code(&source.message), ..source },
        }
    }
}

/// Returns whether the builder itself wrote a line: `words` and the id of something.
fn is_of_builder(line: &str, words: &str) -> bool {
    let id = line.strip_prefix(words).map(str::trim_end);
    id.is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn tell_of_failure(progress: Hears<'_>, step: &str) {
    let name = step.to_owned();
    progress(Progress::Build(BuildProgress::Step { id: name.clone(), name, state: StepState::Failed }));
}

/// The builder names the command again: `The command '…' returned a non-zero code: 7`.
fn exit_code(message: &str) -> String {
    let code =
        message.rsplit_once("returned a non-zero code: ").map(|(_, code)| format!("exit code: {code}"));
    code.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn steps_are_read_from_the_builders_lines() {
        let told = Mutex::new(Vec::new());
        let hear = |progress| {
            if let Progress::Build(progress) = progress {
                told.lock().unwrap().push(match progress {
                    BuildProgress::Step { name, state: StepState::Done(_), .. } => format!("{name}: done"),
                    BuildProgress::Step { name, state, .. } => format!("{name}: {state:?}"),
                    BuildProgress::Output { line, .. } => format!("| {line}"),
                    BuildProgress::Remark(remark) => remark,
                });
            }
        };
        let mut steps = Steps::new(&hear);
        let lines =
            ["Step 1/3 : FROM busybox", "\n", " ---> 0a1b\n", "Step 2/3 : RUN a\n", " ---> Using cache\n"];
        for text in lines.into_iter().chain([
            "Step 3/3 : RUN b\n",
            " ---> Running in 1\n",
            "\u{1b}[91mout\n",
            "\u{1b}[0m",
            "Removing intermediate container 79369c66d3ce\n",
        ]) {
            steps.hear(BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() });
        }
        let message = "The command '/bin/sh -c b' returned a non-zero code: 7".to_owned();
        let failure = steps.failure(&ImageBuild::default(), EngineFailure { status: Some(500), message });
        assert!(matches!(failure, BuildError::Step { source, output, .. }
            if source.message == "exit code: 7" && output == ["out"]));
        insta::assert_snapshot!(told.lock().unwrap().join("\n"), @"
        [1/3] FROM busybox: Running(None)
        [1/3] FROM busybox: done
        [2/3] RUN a: Running(None)
        [2/3] RUN a: Cached
        [3/3] RUN b: Running(None)
        | out
        [3/3] RUN b: Failed
        ");
    }
}
