//! What BuildKit tells of a build while it goes on: steps, what they do, and what they write.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};
use envtree_core::engine::{BuildProgress, StepState, StepWork};
use indexmap::IndexMap;

use super::arguments::Arguments;

/// How many of the last lines of a step are kept for the report of its failure.
const KEPT: usize = 20;

/// The steps of one build so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    steps: HashMap<String, Step>,
    arguments: Arguments,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    is_begun: bool,
    is_ended: bool,
    error: String,
    /// The last lines, and what follows the last line break.
    lines: VecDeque<String>,
    rest: Vec<u8>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedStep {
    pub(super) name: String,
    pub(super) output: Vec<String>,
    pub(super) message: String,
}

impl Trace {
    /// Returns the trace of a build that was given `args`.
    pub(super) fn new(args: &IndexMap<String, Option<String>>) -> Self {
        Self { arguments: Arguments::new(args), ..Self::default() }
    }

    /// Takes in what BuildKit tells, and hands on what is new of it.
    pub(super) fn hear(&mut self, status: StatusResponse, progress: &mut dyn FnMut(BuildProgress)) {
        for mut vertex in status.vertexes {
            vertex.name = self.arguments.hide(vertex.name);
            vertex.error = self.arguments.hide(vertex.error);
            self.hear_step(vertex, progress);
        }
        for status in status.statuses {
            self.hear_work(&status, progress);
        }
        for log in status.logs {
            self.hear_output(&log, progress);
        }
        for warning in status.warnings {
            progress(BuildProgress::Remark(String::from_utf8_lossy(&warning.short).into_owned()));
        }
    }

    fn hear_step(&mut self, vertex: Vertex, progress: &mut dyn FnMut(BuildProgress)) {
        let step = self.steps.entry(vertex.digest.clone()).or_default();
        step.name.clone_from(&vertex.name);
        if !vertex.error.is_empty() {
            step.error.clone_from(&vertex.error);
        }
        let is_new_end = vertex.completed.is_some() && !step.is_ended;
        let state = match (&vertex.started, &vertex.completed) {
            (_, Some(_)) if !vertex.error.is_empty() => StepState::Failed,
            (_, Some(_)) if vertex.cached => StepState::Cached,
            (started, Some(completed)) => StepState::Done(elapsed(started.as_ref(), completed)),
            (Some(_), None) => StepState::Running(None),
            (None, None) => return,
        };
        // BuildKit repeats itself, and begins a step again whose result another build was to bring.
        if is_new_end || vertex.completed.is_none() && !step.is_begun {
            step.is_begun = true;
            step.is_ended |= is_new_end;
            if is_new_end && !step.rest.is_empty() {
                let rest = std::mem::take(&mut step.rest);
                step.write(&vertex.digest, &rest, progress);
            }
            progress(BuildProgress::Step { id: vertex.digest, name: vertex.name, state });
        }
    }

    fn hear_work(&self, status: &VertexStatus, progress: &mut dyn FnMut(BuildProgress)) {
        let Some(step) = self.steps.get(&status.vertex).filter(|step| step.is_begun && !step.is_ended) else {
            return;
        };
        let what = if status.name.is_empty() { &status.id } else { &status.name };
        let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
        let work = StepWork {
            what: what.trim_end_matches(':').to_owned(),
            bytes_done: bytes(status.current),
            bytes: bytes(status.total),
        };
        progress(BuildProgress::Step {
            id: status.vertex.clone(),
            name: step.name.clone(),
            state: StepState::Running(Some(work)),
        });
    }

    fn hear_output(&mut self, log: &VertexLog, progress: &mut dyn FnMut(BuildProgress)) {
        let step = self.steps.entry(log.vertex.clone()).or_default();
        step.rest.extend_from_slice(&log.msg);
        while let Some(end) = step.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = step.rest.drain(..=end).collect();
            step.write(&log.vertex, &line, progress);
        }
    }

    /// Returns the step that failed first by itself: the others were ended because of it.
    pub(super) fn failed(&self) -> Option<FailedStep> {
        let failed = self.steps.values().filter(|step| !step.error.is_empty());
        let own = failed
            .filter(|step| !step.error.contains("context canceled"))
            .min_by_key(|step| step.lines.is_empty())?;
        let mut output: Vec<String> = own.lines.iter().cloned().collect();
        if !own.rest.is_empty() {
            output.push(line_of(&own.rest));
        }
        Some(FailedStep { name: own.name.clone(), output, message: own.error.clone() })
    }
}

impl Step {
    fn write(&mut self, id: &str, line: &[u8], progress: &mut dyn FnMut(BuildProgress)) {
        let line = line_of(line);
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        progress(BuildProgress::Output { id: id.to_owned(), step: self.name.clone(), line });
    }
}

/// Returns a line as it would stand on a terminal: what a carriage return overwrote is gone.
fn line_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    text.rsplit('\r').next().unwrap_or_default().to_owned()
}

fn elapsed(started: Option<&Timestamp>, completed: &Timestamp) -> Duration {
    let nanos = |stamp: &Timestamp| i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanos);
    let elapsed = started.map_or(0, |started| nanos(completed) - nanos(started));
    Duration::from_nanos(u64::try_from(elapsed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(name: &str, started: Option<i64>, completed: Option<i64>, error: &str) -> Vertex {
        let stamp = |seconds| Timestamp { seconds, nanos: 0 };
        Vertex {
            digest: format!("id of {name}"),
            name: name.to_owned(),
            started: started.map(stamp),
            completed: completed.map(stamp),
            error: error.to_owned(),
            ..Vertex::default()
        }
    }

    fn log(step: &str, text: &str) -> StatusResponse {
        let log = VertexLog { vertex: format!("id of {step}"), msg: text.into(), ..VertexLog::default() };
        StatusResponse { logs: vec![log], ..StatusResponse::default() }
    }

    fn steps(vertexes: Vec<Vertex>) -> StatusResponse {
        StatusResponse { vertexes, ..StatusResponse::default() }
    }

    fn heard(trace: &mut Trace, answers: Vec<StatusResponse>) -> Vec<String> {
        let mut told = Vec::new();
        for answer in answers {
            trace.hear(answer, &mut |progress| {
                told.push(match progress {
                    BuildProgress::Step { name, state, .. } => format!("{name}: {state:?}"),
                    BuildProgress::Output { step, line, .. } => format!("{step} | {line}"),
                    BuildProgress::Remark(remark) => remark,
                });
            });
        }
        told
    }

    #[test]
    fn a_step_begins_writes_lines_and_ends_once() {
        let mut trace = Trace::default();
        let told = heard(
            &mut trace,
            vec![
                steps(vec![vertex("RUN x", None, None, "")]),
                steps(vec![vertex("RUN x", Some(1), None, "")]),
                steps(vec![vertex("RUN x", Some(1), None, "")]),
                log("RUN x", "one\ntw"),
                log("RUN x", "o\r\n10%\r20%\nrest"),
                steps(vec![vertex("RUN x", Some(1), Some(3), "")]),
                steps(vec![vertex("RUN x", Some(1), Some(3), "")]),
            ],
        );
        insta::assert_snapshot!(told.join("\n"), @"
        RUN x: Running(None)
        RUN x | one
        RUN x | two
        RUN x | 20%
        RUN x | rest
        RUN x: Done(2s)
        ");
        assert_eq!(trace.failed(), None);
    }

    #[test]
    fn the_failed_step_is_the_one_that_no_other_ended() {
        let mut trace = Trace::default();
        let lines = (0..30).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n") + "\n";
        heard(
            &mut trace,
            vec![
                steps(vec![vertex("RUN a", Some(1), None, ""), vertex("RUN b", Some(1), None, "")]),
                log("RUN b", &lines),
                steps(vec![
                    vertex("RUN a", Some(1), Some(2), "context canceled"),
                    vertex("RUN b", Some(1), Some(2), "exit code: 3"),
                ]),
            ],
        );
        let failed = trace.failed().unwrap();
        assert_eq!((failed.name.as_str(), failed.message.as_str()), ("RUN b", "exit code: 3"));
        assert_eq!((failed.output.len(), failed.output[19].as_str()), (20, "line 29"));
    }
}
