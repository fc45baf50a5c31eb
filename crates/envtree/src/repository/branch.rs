//! Finds branches, revisions and the commit from which a new branch starts.

use gix::bstr::{BStr, BString, ByteSlice};
use gix::refs::FullName;

use super::error::LONGEST_PART;
use super::{BranchNameFault, CommitId, Repository, RepositoryError};

/// The base that is used when none is configured.
const DEFAULT_BASE: &str = "origin/HEAD";

/// Where a branch of some name already is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchPlace {
    /// A local branch.
    Local {
        /// Its tip.
        commit: CommitId,
    },
    /// Only one remote has it, or `checkout.defaultRemote` prefers this one.
    Remote {
        /// The name of the remote.
        remote: String,
        /// The remote-tracking reference in full, `refs/remotes/origin/login`.
        reference: String,
        /// Its tip, as last fetched.
        commit: CommitId,
    },
    /// Several remotes have it; their names, sorted.
    Ambiguous(Vec<String>),
    /// There is none.
    Missing,
}

/// The commit on which new branches start, and against which merges are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// For people, `origin/main`.
    pub name: String,
    /// The commit.
    pub commit: CommitId,
}

impl Repository {
    /// Checks `name` against git's rules for branches, and says which it breaks.
    pub fn check_branch_name(name: &str) -> Result<(), RepositoryError> {
        let fault = if name.is_empty() {
            Some(BranchNameFault::Empty)
        } else if name.starts_with('-') {
            Some(BranchNameFault::LeadingDash)
        } else if name.starts_with("refs/") {
            Some(BranchNameFault::Qualified)
        } else if name.split('/').any(|part| part.len() > LONGEST_PART) {
            Some(BranchNameFault::Long)
        } else if name == "@" {
            Some(BranchNameFault::Reserved)
        } else {
            let full = format!("refs/heads/{name}");
            gix::validate::reference::branch_name(full.as_bytes().as_bstr())
                .err()
                .map(|error| fault_of(&error))
        };
        fault.map_or(Ok(()), |fault| Err(RepositoryError::BranchName { name: name.to_owned(), fault }))
    }

    /// Finds a branch as `git worktree add --guess-remote` would: the local one, else that of the only remote
    /// that has it, else that of `checkout.defaultRemote`.
    ///
    /// Remotes are asked from what was last fetched; nothing goes over the network.
    pub fn branch(&self, name: &str) -> Result<BranchPlace, RepositoryError> {
        Self::check_branch_name(name)?;
        let local = self.local();
        if let Some(commit) = self.commit_of_reference(&local, &format!("refs/heads/{name}"))? {
            return Ok(BranchPlace::Local { commit });
        }
        let mut found = Vec::new();
        for remote in local.remote_names() {
            let Some(reference) = tracking_reference(&local, remote.as_ref(), name) else {
                continue;
            };
            if let Some(commit) = self.commit_of_reference(&local, &reference)? {
                found.push((remote.to_string(), reference, commit));
            }
        }
        let preferred = local.config_snapshot().string("checkout.defaultRemote").map(|name| name.to_string());
        let index = found.iter().position(|(remote, ..)| preferred.as_ref() == Some(remote));
        match (found.len(), index) {
            (0, _) => Ok(BranchPlace::Missing),
            (1, _) | (_, Some(_)) => {
                let (remote, reference, commit) = found.swap_remove(index.unwrap_or(0));
                Ok(BranchPlace::Remote { remote, reference, commit })
            }
            _ => Ok(BranchPlace::Ambiguous(found.into_iter().map(|(remote, ..)| remote).collect())),
        }
    }

    /// Returns the local branch that keeps git from making one called `name`: references are files, so
    /// `fix` and `fix/login` exclude each other.
    pub fn branch_in_the_way(&self, name: &str) -> Result<Option<String>, RepositoryError> {
        let below = format!("{name}/");
        for branch in self.local_branches()? {
            let is_parent = name.strip_prefix(branch.as_str()).is_some_and(|rest| rest.starts_with('/'));
            if is_parent || branch.starts_with(&below) {
                return Ok(Some(branch));
            }
        }
        Ok(None)
    }

    /// Lists the names of all local branches, without `refs/heads/`, sorted.
    pub fn local_branches(&self) -> Result<Vec<String>, RepositoryError> {
        let local = self.local();
        let references = local.references().map_err(|source| self.unreadable("branches", source))?;
        let branches = references.local_branches().map_err(|source| self.unreadable("branches", source))?;
        Ok(branches.flatten().map(|branch| branch.name().shorten().to_string()).collect())
    }

    /// Returns the commit that `revision` names: a branch, tag, id or any of git's expressions (`HEAD~2`).
    ///
    /// `HEAD` is that of the worktree in which the repository was found.
    pub fn resolve_commit(&self, revision: &str) -> Result<CommitId, RepositoryError> {
        let local = self.local();
        let expression = format!("{revision}^{{commit}}");
        let found = local.rev_parse_single(expression.as_bytes().as_bstr());
        found
            .map(|id| CommitId(id.detach()))
            .map_err(|_| RepositoryError::UnknownRevision { revision: revision.to_owned() })
    }

    /// Returns the remote-tracking reference in full that `revision` names, `refs/remotes/origin/main` for
    /// `origin/main` and what `origin/HEAD` stands for; none where it names anything else.
    pub fn remote_tracking_reference(&self, revision: &str) -> Option<String> {
        let local = self.local();
        let mut reference = local.try_find_reference(revision).ok()??;
        while let Some(Ok(next)) = reference.follow() {
            reference = next;
        }
        let name = reference.name();
        let is_remote = name.category() == Some(gix::refs::Category::RemoteBranch);
        is_remote.then(|| name.as_bstr().to_string())
    }

    /// Returns whether git makes the new branch `name` follow the remote-tracking `reference` on which it starts,
    /// by `branch.autoSetupMerge`.
    pub(crate) fn is_followed(&self, name: &str, reference: &str) -> bool {
        let setting = self.local().config_snapshot().string("branch.autoSetupMerge");
        match setting.as_ref().map(|setting| setting.to_str_lossy()).as_deref() {
            Some("false" | "no" | "off" | "0") => false,
            Some("simple") => reference
                .strip_suffix(name)
                .and_then(|rest| rest.strip_prefix("refs/remotes/"))
                .is_some_and(|remote| remote.ends_with('/')),
            _ => true,
        }
    }

    /// Returns the commit from which new branches start.
    ///
    /// A `setting` other than `origin/HEAD` must name a commit. Without one, the first that exists of:
    /// 1. `<remote>/HEAD`, `<remote>/main`, `<remote>/master`, where the remote is `origin`, else the only one;
    /// 2. the local branches `init.defaultBranch`, `main`, `master`;
    /// 3. `HEAD` of the main worktree or bare repository, then of the worktree one stands in.
    pub fn base(&self, setting: Option<&str>) -> Result<Base, RepositoryError> {
        if let Some(revision) = setting.filter(|revision| *revision != DEFAULT_BASE) {
            return Ok(Base { name: revision.to_owned(), commit: self.resolve_commit(revision)? });
        }
        let local = self.local();
        let mut candidates = Vec::new();
        if let Some(remote) = default_remote(&local) {
            let in_remote =
                ["HEAD", "main", "master"].map(|branch| format!("refs/remotes/{remote}/{branch}"));
            candidates.extend(in_remote);
        }
        let configured = local.config_snapshot().string("init.defaultBranch").map(|name| name.to_string());
        let branches = configured.into_iter().chain(["main".to_owned(), "master".to_owned()]);
        candidates.extend(branches.map(|branch| format!("refs/heads/{branch}")));
        for reference in candidates {
            if let Some(commit) = self.commit_of_reference(&local, &reference)? {
                return Ok(Base { name: short_name(&local, &reference), commit });
            }
        }
        let main = local.main_repo().map_err(|source| self.unreadable("main repository", source))?;
        [main, local]
            .iter()
            .find_map(|repository| match super::head_of(repository) {
                (branch, Some(commit)) => {
                    Some(Base { name: branch.unwrap_or_else(|| "HEAD".to_owned()), commit })
                }
                (_, None) => None,
            })
            .ok_or_else(|| RepositoryError::NoCommit { common_dir: self.common_dir.clone() })
    }

    /// Returns the commit of a reference given in full; none when it is missing, dangling or not a commit.
    pub(super) fn commit_of_reference(
        &self,
        local: &gix::Repository,
        reference: &str,
    ) -> Result<Option<CommitId>, RepositoryError> {
        let Ok(name) = FullName::try_from(reference) else {
            return Ok(None);
        };
        let found = local
            .try_find_reference(name.as_ref())
            .map_err(|source| self.unreadable("references", source))?;
        Ok(found.and_then(|mut reference| reference.peel_to_commit().ok()).map(|commit| CommitId(commit.id)))
    }
}

/// Returns the reference under which `remote` keeps its branch `name` here, by the remote's fetch rules.
fn tracking_reference(local: &gix::Repository, remote: &BStr, name: &str) -> Option<String> {
    let remote = local.find_remote(remote).ok()?;
    let branch = BString::from(format!("refs/heads/{name}"));
    remote.refspecs(gix::remote::Direction::Fetch).iter().find_map(|specification| {
        let specification = specification.to_ref();
        let (source, destination) = (specification.source()?, specification.destination()?);
        let Some((before, after)) = source.split_once_str("*") else {
            return (source == branch).then(|| destination.to_string());
        };
        let middle = branch.strip_prefix(before)?.strip_suffix(after)?;
        Some(destination.to_string().replacen('*', &middle.to_str_lossy(), 1))
    })
}

fn default_remote(local: &gix::Repository) -> Option<String> {
    let names: Vec<String> = local.remote_names().iter().map(ToString::to_string).collect();
    let origin = names.iter().find(|name| *name == "origin");
    origin.or(if names.len() == 1 { names.first() } else { None }).cloned()
}

/// Returns the name for people, following `origin/HEAD` to what it stands for.
fn short_name(local: &gix::Repository, reference: &str) -> String {
    let Ok(found) = local.find_reference(reference) else {
        return reference.to_owned();
    };
    let target = found.target().try_name().map(ToOwned::to_owned);
    target.unwrap_or_else(|| found.name().to_owned()).shorten().to_string()
}

fn fault_of(error: &gix::validate::reference::name::Error) -> BranchNameFault {
    use gix::validate::reference::name::Error;
    match error {
        Error::InvalidByte { byte } => match byte.chars().next() {
            Some(character) if !character.is_control() => BranchNameFault::Character(character),
            _ => BranchNameFault::Control,
        },
        Error::StartsWithSlash | Error::RepeatedSlash | Error::EndsWithSlash => BranchNameFault::Slash,
        Error::RepeatedDot => BranchNameFault::Dots,
        Error::LockFileSuffix => BranchNameFault::Lock,
        Error::ReflogPortion => BranchNameFault::Reflog,
        Error::Asterisk => BranchNameFault::Character('*'),
        Error::StartsWithDot => BranchNameFault::LeadingDot,
        Error::EndsWithDot => BranchNameFault::TrailingDot,
        Error::Empty => BranchNameFault::Empty,
        _ => BranchNameFault::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    #[test]
    fn a_local_branch_comes_before_a_remote_one() {
        let shop = TestRepository::new();
        shop.git(&["branch", "login"]);
        shop.remote("origin");
        let place = shop.open().branch("login").unwrap();
        assert_eq!(place, BranchPlace::Local { commit: shop.open().resolve_commit("HEAD").unwrap() });
    }

    #[test]
    fn a_branch_of_the_only_remote_that_has_it_is_found() {
        let shop = TestRepository::new();
        shop.remote("empty");
        shop.git(&["branch", "feature/anmelden-ü"]);
        shop.remote("fork");
        shop.git(&["branch", "-D", "-q", "feature/anmelden-ü"]);
        let place = shop.open().branch("feature/anmelden-ü").unwrap();
        let BranchPlace::Remote { remote, reference, .. } = place else { panic!("{place:?}") };
        assert_eq!((remote.as_str(), reference.as_str()), ("fork", "refs/remotes/fork/feature/anmelden-ü"));
        assert_eq!(shop.open().branch("other").unwrap(), BranchPlace::Missing);
    }

    #[test]
    fn a_branch_of_two_remotes_is_ambiguous_until_one_is_preferred() {
        let shop = TestRepository::new();
        shop.git(&["branch", "login"]);
        shop.remote("fork");
        shop.remote("origin");
        shop.git(&["branch", "-D", "-q", "login"]);
        let both = BranchPlace::Ambiguous(vec!["fork".to_owned(), "origin".to_owned()]);
        assert_eq!(shop.open().branch("login").unwrap(), both);
        shop.git(&["config", "checkout.defaultRemote", "origin"]);
        let place = shop.open().branch("login").unwrap();
        assert!(matches!(&place, BranchPlace::Remote { remote, .. } if remote == "origin"), "{place:?}");
    }

    #[test]
    fn names_are_judged_as_git_judges_them() {
        let shop = TestRepository::new();
        let names = [
            "fix-login",
            "feature/auth",
            "ümlaut",
            "a.b",
            "käse/brot",
            "-x",
            "",
            "HEAD",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "a.lock/b",
            "a@{1}",
            "a\tb",
            "@a",
            "#1",
            "a'b",
            "main",
        ];
        for name in names {
            let accepted = std::process::Command::new("git")
                .current_dir(&shop.path)
                .args(["check-ref-format", "--branch", name])
                .output()
                .unwrap();
            let ours = Repository::check_branch_name(name);
            assert_eq!(ours.is_ok(), accepted.status.success(), "{name:?}: {ours:?}");
        }
        // Git would take these and make what nobody means, or fail half-way.
        for name in ["@", "refs/heads/x", &"x".repeat(251)] {
            assert!(Repository::check_branch_name(name).is_err(), "{name}");
        }
        Repository::check_branch_name(&format!("{0}/{0}", "x".repeat(250))).unwrap();
        let error = Repository::check_branch_name("a b").unwrap_err();
        assert_eq!(error.to_string(), "`a b` cannot be the name of a branch: ` ` is not allowed in it");
    }

    #[test]
    fn a_branch_in_the_place_of_a_folder_is_in_the_way() {
        let shop = TestRepository::new();
        shop.git(&["branch", "fix"]);
        shop.git(&["branch", "feature/auth"]);
        let repository = shop.open();
        assert_eq!(repository.branch_in_the_way("fix/login").unwrap().as_deref(), Some("fix"));
        assert_eq!(repository.branch_in_the_way("feature").unwrap().as_deref(), Some("feature/auth"));
        assert_eq!(repository.branch_in_the_way("fix2").unwrap(), None);
        assert_eq!(repository.branch_in_the_way("fix").unwrap(), None);
    }

    #[test]
    fn the_base_is_the_remotes_head_then_its_main_then_the_local_one() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "-c", "work"]);
        shop.commit("Work");
        assert_eq!(shop.open().base(None).unwrap().name, "main");
        shop.remote("upstream");
        assert_eq!(shop.open().base(None).unwrap().name, "upstream/main");
        shop.remote("origin");
        assert_eq!(shop.open().base(Some("origin/HEAD")).unwrap().name, "origin/main");
        shop.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/work"]);
        let base = shop.open().base(None).unwrap();
        assert_eq!(
            (base.name.as_str(), base.commit),
            ("origin/work", shop.open().resolve_commit("work").unwrap())
        );
        shop.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone"]);
        assert_eq!(shop.open().base(None).unwrap().name, "origin/main");
    }

    #[test]
    fn a_revision_that_is_a_remote_branch_is_known_as_one() {
        let shop = TestRepository::new();
        shop.git(&["tag", "v1"]);
        shop.git(&["branch", "origin/local"]);
        shop.remote("origin");
        shop.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
        let repository = shop.open();
        let main = Some("refs/remotes/origin/main");
        for revision in ["origin/main", "origin/HEAD", "origin", "refs/remotes/origin/main"] {
            let reference = repository.remote_tracking_reference(revision);
            assert_eq!(reference.as_deref(), main, "{revision}");
        }
        for revision in ["main", "v1", "HEAD", "HEAD~0", "origin/main~0", "origin/local", "none", "a b"] {
            assert_eq!(repository.remote_tracking_reference(revision), None, "{revision}");
        }
        assert!(repository.is_followed("fix", "refs/remotes/origin/main"));
        shop.git(&["config", "branch.autoSetupMerge", "simple"]);
        let repository = shop.open();
        assert!(repository.is_followed("main", "refs/remotes/origin/main"));
        assert!(!repository.is_followed("ain", "refs/remotes/origin/main"));
        shop.git(&["config", "branch.autoSetupMerge", "false"]);
        assert!(!shop.open().is_followed("main", "refs/remotes/origin/main"));
    }

    #[test]
    fn a_configured_base_must_exist() {
        let shop = TestRepository::new();
        shop.git(&["tag", "-a", "-m", "one", "v1"]);
        assert_eq!(shop.open().base(Some("v1")).unwrap().commit, shop.open().resolve_commit("main").unwrap());
        let error = shop.open().base(Some("develop")).unwrap_err();
        assert_eq!(error.to_string(), "`develop` does not name a commit");
    }

    #[test]
    fn a_detached_head_on_another_branch_name_is_still_a_base() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "--detach"]);
        shop.git(&["branch", "-D", "-q", "main"]);
        assert_eq!(shop.open().base(None).unwrap().name, "HEAD");
    }
}
