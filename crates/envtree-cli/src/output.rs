//! Answers as versioned JSON, apart from the library's types: what scripts read changes only on purpose.
//!
//! `schema/output.json` describes them; a test holds it against these types.

mod data;
mod doctor;
mod environment;
mod prune;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use envtree::down::ChangeReport;
use envtree::exec::LogLine;
use envtree::init::TrustRequest;
use envtree::inspect::ConfigReport;
use envtree::remove::RemoveReport;
use envtree::up::{PlannedUp, UpReport};

use crate::command_error::CommandError;
use crate::text;

pub(crate) use data::{
    BasesOutput, DroppedOutput, DumpOutput, ExportOutput, ImportOutput, SeedOutput, SnapshotOutput,
};
pub(crate) use doctor::{CheckOutput, DoctorOutput};
pub(crate) use environment::EnvironmentOutput;
#[cfg(test)]
pub(crate) use environment::samples::environment as sample;
pub(crate) use prune::PruneOutput;

/// The version of the format: it grows when a field is removed or changes its meaning, not when one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "u32")]
pub(crate) struct Version(#[schemars(range(min = 1, max = 1))] u32);

const VERSION: Version = Version(1);

impl From<Version> for u32 {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// The answer of `up`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UpOutput {
    version: Version,
    /// The environment as it is now.
    environment: EnvironmentOutput,
    /// Whether this run made the worktree.
    created_worktree: bool,
    /// How many Engine calls changed something.
    operations: usize,
    /// What the person should know.
    warnings: Vec<String>,
    /// How long all of it took, in milliseconds.
    elapsed_ms: u64,
}

impl From<&UpReport> for UpOutput {
    fn from(report: &UpReport) -> Self {
        Self {
            version: VERSION,
            environment: EnvironmentOutput::from(&report.status),
            created_worktree: report.created_worktree,
            operations: report.operations,
            warnings: report.warnings.clone(),
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The answer of `up --dry-run`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanOutput {
    version: Version,
    /// The task.
    task: String,
    /// The Compose project.
    project: String,
    /// The folder of the worktree.
    worktree: String,
    /// The branch; null for a detached HEAD.
    branch: Option<String>,
    /// Whether the worktree would be made.
    creates_worktree: bool,
    /// The Engine calls, in an order in which they can happen.
    steps: Vec<StepOutput>,
    /// What the person should know.
    warnings: Vec<String>,
    /// What would need consent.
    confirmations: Vec<String>,
}

/// An Engine call of a plan.
#[derive(Debug, Serialize, JsonSchema)]
struct StepOutput {
    /// The call, such as `create-network`.
    act: String,
    /// What it acts on.
    object: String,
    /// Why.
    cause: String,
}

impl From<&PlannedUp> for PlanOutput {
    fn from(plan: &PlannedUp) -> Self {
        let step = |step: &envtree::up::PlannedStep| StepOutput {
            act: text::act(step.act).replace(' ', "-"),
            object: step.object.clone(),
            cause: step.cause.clone(),
        };
        Self {
            version: VERSION,
            task: plan.task.clone(),
            project: plan.project.clone(),
            worktree: text::path(&plan.worktree),
            branch: plan.branch.clone(),
            creates_worktree: plan.creates_worktree,
            steps: plan.steps.iter().map(step).collect(),
            warnings: plan.warnings.clone(),
            confirmations: plan.confirmations.clone(),
        }
    }
}

/// The answer of `ls`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListOutput {
    version: Version,
    /// The environments, those of one repository together.
    environments: Vec<EnvironmentOutput>,
    /// Why the Engine could not be asked; null if it was.
    engine_error: Option<String>,
}

impl ListOutput {
    /// Makes the answer of the environments.
    pub(crate) fn new(environments: Vec<EnvironmentOutput>, engine_error: Option<String>) -> Self {
        Self { version: VERSION, environments, engine_error }
    }
}

/// The answer of `status`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusOutput {
    version: Version,
    /// The environment.
    environment: EnvironmentOutput,
}

impl From<EnvironmentOutput> for StatusOutput {
    fn from(environment: EnvironmentOutput) -> Self {
        Self { version: VERSION, environment }
    }
}

/// The answer of `env`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VariablesOutput {
    version: Version,
    /// The variables by name.
    variables: IndexMap<String, String>,
}

impl From<IndexMap<String, String>> for VariablesOutput {
    fn from(variables: IndexMap<String, String>) -> Self {
        Self { version: VERSION, variables }
    }
}

/// The answer of `down`, `stop`, `start` and `restart`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ChangeOutput {
    version: Version,
    /// The task.
    task: String,
    /// The Compose project.
    project: String,
    /// What was done, in order.
    done: Vec<String>,
}

impl From<&ChangeReport> for ChangeOutput {
    fn from(report: &ChangeReport) -> Self {
        Self {
            version: VERSION,
            task: report.task.clone(),
            project: report.project.clone(),
            done: report.done.clone(),
        }
    }
}

/// The answer of `rm`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RemoveOutput {
    version: Version,
    /// What was removed, an entry a task.
    removed: Vec<RemovedOutput>,
}

/// What was removed for one task.
#[derive(Debug, Serialize, JsonSchema)]
struct RemovedOutput {
    /// The task.
    task: String,
    /// The Compose project.
    project: String,
    /// The Engine objects, in the order of their removal.
    done: Vec<String>,
    /// The folder of the removed worktree; null if it stays.
    worktree: Option<String>,
    /// The worktree that stays; null if there is none.
    worktree_kept: Option<KeptOutput>,
    /// The deleted branch; null if none was.
    branch_deleted: Option<String>,
    /// The branch that stays although its worktree went; null if there is none.
    branch_kept: Option<KeptOutput>,
}

/// A worktree or branch that stays.
#[derive(Debug, Serialize, JsonSchema)]
struct KeptOutput {
    /// The folder of the worktree, or the name of the branch.
    name: String,
    /// Why it stays.
    reason: String,
}

impl From<&[RemoveReport]> for RemoveOutput {
    fn from(reports: &[RemoveReport]) -> Self {
        let removed = reports.iter().map(|report| RemovedOutput {
            task: report.task.clone(),
            project: report.project.clone(),
            done: report.done.clone(),
            worktree: report.worktree.as_deref().map(text::path),
            branch_deleted: report.branch_deleted.clone(),
            worktree_kept: report
                .worktree_kept
                .clone()
                .map(|(path, reason)| KeptOutput { name: text::path(&path), reason }),
            branch_kept: report.branch_kept.clone().map(|(name, reason)| KeptOutput { name, reason }),
        });
        Self { version: VERSION, removed: removed.collect() }
    }
}

/// The answer of `config`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConfigOutput {
    version: Version,
    /// The name of the Compose project.
    project: String,
    /// The project as a Compose file.
    yaml: String,
    /// The same as a tree, in which dollar signs stand as they are.
    model: serde_json::Value,
    /// What was noticed on the way.
    warnings: Vec<String>,
}

impl From<&ConfigReport> for ConfigOutput {
    fn from(report: &ConfigReport) -> Self {
        Self {
            version: VERSION,
            project: report.project.clone(),
            yaml: report.yaml.clone(),
            model: report.model.clone(),
            warnings: report.warnings.clone(),
        }
    }
}

/// The answer of `init`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InitOutput {
    version: Version,
    /// The file that was written.
    path: String,
}

impl InitOutput {
    /// Makes the answer of the path.
    pub(crate) fn new(path: String) -> Self {
        Self { version: VERSION, path }
    }
}

/// The answer of `trust`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TrustOutput {
    version: Version,
    /// The commands that the repository wants to run.
    requests: Vec<TrustRequestOutput>,
}

/// A command that the repository wants to run.
#[derive(Debug, Serialize, JsonSchema)]
struct TrustRequestOutput {
    /// Its key, such as `hooks.post_create`.
    key: String,
    /// The file that asks for it.
    file: String,
    /// The commands, control characters escaped.
    commands: Vec<String>,
    /// Whether exactly this text was accepted before this run.
    trusted_before: bool,
}

impl From<&[TrustRequest]> for TrustOutput {
    fn from(requests: &[TrustRequest]) -> Self {
        let requests = requests.iter().map(|request| TrustRequestOutput {
            key: request.key.clone(),
            file: text::path(&request.file),
            commands: request.commands.clone(),
            trusted_before: request.trusted,
        });
        Self { version: VERSION, requests: requests.collect() }
    }
}

/// One line of the answer of `logs`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogLineOutput {
    version: Version,
    /// The service.
    service: String,
    /// The number of the container among those of the service, from 1.
    number: u32,
    /// The line without its end.
    text: String,
    /// Whether it came on standard error.
    stderr: bool,
}

impl From<LogLine> for LogLineOutput {
    fn from(line: LogLine) -> Self {
        let LogLine { service, number, text, stderr, .. } = line;
        Self { version: VERSION, service, number, text, stderr }
    }
}

/// The answer of a command that failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorOutput {
    version: Version,
    /// The failure.
    error: ErrorBody,
}

/// A failure.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorBody {
    /// `input`, `usage`, `findings`, `engine`, `part-way`, `bug` or `interrupted`.
    kind: String,
    /// Doing what, to which resource.
    message: String,
    /// Why, outermost first, and what would have been lost.
    causes: Vec<String>,
    /// What would have been lost, a line each.
    losses: Vec<String>,
    /// What to run next.
    hints: Vec<String>,
    /// What state is left.
    notes: Vec<String>,
    /// The last lines of output of what failed.
    output: Vec<String>,
}

impl From<&CommandError> for ErrorOutput {
    fn from(error: &CommandError) -> Self {
        Self {
            version: VERSION,
            error: ErrorBody {
                kind: error.kind.as_str().to_owned(),
                message: error.message.clone(),
                causes: error.causes.iter().chain(&error.losses).cloned().collect(),
                losses: error.losses.clone(),
                hints: error.hints.clone(),
                notes: error.notes.clone(),
                output: error.log.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use envtree::doctor::{Group, Verdict};

    use super::*;

    /// Any answer; `logs` writes one for each line, every other command writes one in all.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    #[expect(dead_code, reason = "only its schema is wanted")]
    enum Answer {
        Up(UpOutput),
        Plan(PlanOutput),
        List(ListOutput),
        Status(StatusOutput),
        Variables(VariablesOutput),
        Change(ChangeOutput),
        Remove(RemoveOutput),
        Config(ConfigOutput),
        Bases(BasesOutput),
        Dropped(DroppedOutput),
        Seed(SeedOutput),
        Export(ExportOutput),
        Import(ImportOutput),
        Dump(DumpOutput),
        Snapshot(SnapshotOutput),
        Prune(PruneOutput),
        Doctor(DoctorOutput),
        Init(InitOutput),
        Trust(TrustOutput),
        LogLine(LogLineOutput),
        Error(ErrorOutput),
    }

    fn schema() -> serde_json::Value {
        schemars::schema_for!(Answer).to_value()
    }

    #[test]
    fn the_schema_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/output.json");
        let wanted = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == wanted,
            "{path} differs from the types of output.rs. Is the change meant, and does it only add? Then run \
             `UPDATE_SCHEMA=1 cargo test -p envtree-cli schema`, else raise VERSION as well."
        );
    }

    #[test]
    fn answers_obey_the_schema() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let environment = sample();
        let error = CommandError::input("no").hint("try");
        let finding = ("no room".to_owned(), Some("tidy up".to_owned()));
        let check = CheckOutput::new(Group::Disk, "state", Verdict::Fail, finding);
        let answers = [
            serde_json::to_value(ListOutput::new(vec![EnvironmentOutput::from(&environment)], None)),
            serde_json::to_value(StatusOutput::from(EnvironmentOutput::from(&environment))),
            serde_json::to_value(DoctorOutput::new(vec![check])),
            serde_json::to_value(ErrorOutput::from(&error)),
        ];
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer["version"], 1);
            assert!(validator.is_valid(&answer), "{answer:#}");
        }
        assert!(!validator.is_valid(&serde_json::json!({"version": 2, "path": "x"})));
    }
}
