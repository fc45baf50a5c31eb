//! One check: what was looked at, what was found, how that is judged, and what to do about it.

use std::io;

use crate::error::{Error, causes};

/// What a check looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The Engine.
    Engine,
    /// The `git` program, and the repository around the person.
    Git,
    /// What envtree keeps about environments.
    State,
    /// The files that say what is wanted.
    Configuration,
    /// Host ports.
    Ports,
    /// The addresses of networks.
    Networks,
    /// Room on file systems.
    Disk,
    /// Data that branches.
    Data,
    /// What belongs to no environment any more.
    Leftovers,
}

impl Group {
    /// Returns the word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Git => "git",
            Self::State => "state",
            Self::Configuration => "configuration",
            Self::Ports => "ports",
            Self::Networks => "networks",
            Self::Disk => "disk",
            Self::Data => "data",
            Self::Leftovers => "leftovers",
        }
    }
}

/// How a finding is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// It works, though not as well as it could, or not for long.
    Warn,
    /// It keeps a command from its work.
    Fail,
}

impl Verdict {
    /// Returns the word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What to do about a finding.
#[derive(Debug)]
pub enum Remedy {
    /// Nothing is wrong.
    Nothing,
    /// This, as a lower-case fragment.
    Words(String),
    /// What is told of a command that fails of this error.
    OfError {
        /// The error.
        error: Box<Error>,
        /// What is to be done where nothing is told of it.
        otherwise: String,
    },
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// What was looked at.
    pub group: Group,
    /// What of it, in a word; several checks have the same where several things are wrong in the same way.
    pub name: &'static str,
    /// How the finding is judged.
    pub verdict: Verdict,
    /// What was found, as a lower-case fragment; of several lines where several places are named.
    pub finding: String,
    /// What to do about it: nothing where all is well, and something anywhere else.
    pub remedy: Remedy,
}

/// What a check is about, before anything is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct About(pub(super) Group, pub(super) &'static str);

impl About {
    pub(super) fn ok(self, finding: impl Into<String>) -> Check {
        self.judged(Verdict::Ok, finding, Remedy::Nothing)
    }

    pub(super) fn warn(self, finding: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.judged(Verdict::Warn, finding, Remedy::Words(remedy.into()))
    }

    pub(super) fn fail(self, finding: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.judged(Verdict::Fail, finding, Remedy::Words(remedy.into()))
    }

    /// Fails with an error, and with what is told to those whose command fails of it.
    pub(super) fn fault(self, error: impl Into<Error>, otherwise: impl Into<String>) -> Check {
        let error = error.into();
        let finding = causes(&error).join(": ");
        let remedy = Remedy::OfError { error: Box::new(error), otherwise: otherwise.into() };
        self.judged(Verdict::Fail, finding, remedy)
    }

    pub(super) fn judged(self, verdict: Verdict, finding: impl Into<String>, remedy: Remedy) -> Check {
        let Self(group, name) = self;
        Check { group, name, verdict, finding: finding.into(), remedy }
    }
}

/// Returns why something cannot be looked at, as a finding.
pub(super) fn unseen(path: &std::path::Path, error: &io::Error) -> String {
    format!("`{}` cannot be looked at: {error}", path.display())
}
