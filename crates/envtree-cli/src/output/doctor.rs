//! The answer of `doctor`.

use envtree::doctor::{Group, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use super::{VERSION, Version};

/// The answer of `doctor`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorOutput {
    version: Version,
    /// That of the worst check: `ok`, `warn` or `fail`.
    verdict: VerdictOutput,
    /// What was looked at, group by group. Which checks there are depends on what is there: without an Engine, for
    /// instance, none judges what only it could tell.
    checks: Vec<CheckOutput>,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub(crate) struct CheckOutput {
    /// What was looked at: `engine`, `git`, `state`, `configuration`, `ports`, `networks`, `disk`, `data` or `leftovers`.
    pub(crate) group: &'static str,
    /// What of it; several checks have the same name where several things are wrong in the same way.
    pub(crate) name: &'static str,
    /// `ok`, `warn` (it works, though not as well as it could, or not for long) or `fail` (it keeps a command from its
    /// work).
    verdict: VerdictOutput,
    /// What was found.
    pub(crate) finding: String,
    /// What to do about it, commands in backticks; null if it is ok.
    pub(crate) remedy: Option<String>,
}

/// How a finding is judged.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Verdict", with = "String")]
#[serde(into = "&'static str")]
struct VerdictOutput(Verdict);

impl From<VerdictOutput> for &'static str {
    fn from(verdict: VerdictOutput) -> Self {
        verdict.0.as_str()
    }
}

impl DoctorOutput {
    /// Makes the answer of the checks.
    pub(crate) fn new(checks: Vec<CheckOutput>) -> Self {
        let verdict = checks.iter().map(CheckOutput::verdict).max().unwrap_or(Verdict::Ok);
        Self { version: VERSION, verdict: VerdictOutput(verdict), checks }
    }

    /// Returns the verdict on all of it.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict.0
    }

    /// Returns the checks.
    pub(crate) fn checks(&self) -> &[CheckOutput] {
        &self.checks
    }
}

impl CheckOutput {
    /// Makes the answer of one check, with what was found and what to do about it.
    pub(crate) fn new(
        group: Group,
        name: &'static str,
        verdict: Verdict,
        (finding, remedy): (String, Option<String>),
    ) -> Self {
        Self { group: group.as_str(), name, verdict: VerdictOutput(verdict), finding, remedy }
    }

    /// Returns how it is judged.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict.0
    }
}
