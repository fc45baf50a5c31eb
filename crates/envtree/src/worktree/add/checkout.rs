//! Runs git and its hook to check out a branch, from the beginning or from where a killed run stopped.

use std::path::Path;
use std::time::Duration;

use super::super::claim::Claim;
use super::super::git::Git;
use super::super::{GitError, WorktreeError, blocking, delete_branch, registered};
use super::{Branch, step};
use crate::repository::{BranchPlace, CHECKOUT_IN_PROGRESS, Repository, Worktree};

/// How often git is run again where it met the half-made worktree of another process, and the pause before.
const AGAIN: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Who writes the files of a new worktree.
#[derive(Clone, Copy)]
enum Files {
    /// Git, when it makes the worktree.
    Now,
    /// This process, afterwards.
    Later,
}

/// Makes the worktree. Returns the failure of the hook, if it failed.
pub(super) async fn make(
    repository: &Repository,
    path: &Path,
    branch: &Branch,
    claim: &Claim,
) -> Result<Option<GitError>, WorktreeError> {
    let repo = repository.clone();
    let may_check_out = blocking(move || repo.may_check_out()).await;
    let files = if may_check_out { Files::Later } else { Files::Now };
    let Err(source) = add(repository, path, branch, files, claim).await? else {
        return match files {
            Files::Now => Ok(None),
            Files::Later => check_out(repository, path, branch, claim).await,
        };
    };
    let (repo, at) = (repository.clone(), path.to_owned());
    let worktree = blocking(move || registered(&repo, &at)).await?;
    if worktree.is_some_and(|worktree| worktree.is_checked_out()) {
        // Git ends with the hook's status and keeps the checkout, as `git checkout` does.
        return Ok(Some(source));
    }
    take_back(repository, branch).await;
    let branch = branch.name().to_owned();
    Err(WorktreeError::Checkout { branch, path: path.to_owned(), source })
}

/// Writes the files of a worktree that git has just made without; where something asks for git, git does it after all.
async fn check_out(
    repository: &Repository,
    path: &Path,
    branch: &Branch,
    claim: &Claim,
) -> Result<Option<GitError>, WorktreeError> {
    let (repo, at, share) = (repository.clone(), path.to_owned(), claim.share()?);
    // As long as files are written, nobody else finishes this worktree, even if nobody waits for it here.
    let check_out = move || {
        let _share = share;
        repo.check_out(&at)
    };
    if blocking(check_out).await {
        return Ok(None);
    }
    let (repo, at) = (repository.clone(), path.to_owned());
    let worktree = blocking(move || registered(&repo, &at)).await?;
    let worktree = worktree.ok_or_else(|| WorktreeError::NotAWorktree { path: path.to_owned() })?;
    let finished = finish(repository, &worktree, claim).await;
    if finished.is_err() {
        // As `git worktree add` does when it fails.
        let _ = Git::of(repository)
            .args(["worktree", "remove", "--force", "--force", "--"])
            .arg(path)
            .run()
            .await;
        take_back(repository, branch).await;
    }
    finished
}

/// Runs `git worktree add`, again where it met the half-made worktree of another process: git looks at all others.
async fn add(
    repository: &Repository,
    path: &Path,
    branch: &Branch,
    files: Files,
    claim: &Claim,
) -> Result<Result<(), GitError>, WorktreeError> {
    let mut branch = branch.clone();
    for _ in 0..AGAIN {
        let added = add_once(repository, path, &branch, files, claim)?.run().await;
        if !added.as_ref().is_err_and(|error| error.says("/commondir")) {
            return Ok(added);
        }
        tokio::time::sleep(PAUSE).await;
        // The branch comes first; nobody had it before.
        if matches!(repository.branch(branch.name())?, BranchPlace::Local { .. }) {
            branch = Branch::Existing { name: branch.name().to_owned() };
        }
    }
    Ok(add_once(repository, path, &branch, files, claim)?.run().await)
}

fn add_once(
    repository: &Repository,
    path: &Path,
    branch: &Branch,
    files: Files,
    claim: &Claim,
) -> Result<Git, WorktreeError> {
    // The lock is written before the first file and outlives the command.
    let git = with_workers(Git::of(repository), repository);
    let git = git.args(["worktree", "add", "--quiet", "--lock", "--reason", CHECKOUT_IN_PROGRESS]);
    let git = match files {
        Files::Now => git,
        Files::Later => git.args(["--no-checkout"]),
    };
    let git = match branch {
        Branch::New { name, from } => {
            let from = from.to_string();
            git.args(["--no-track", "-b", name, "--"]).arg(path).arg(from)
        }
        Branch::Existing { name } => git.arg("--").arg(path).arg(name),
        Branch::Tracking { name, reference } => {
            git.args(["--track", "-b", name, "--"]).arg(path).arg(reference)
        }
    };
    Ok(git.holding(claim.share()?))
}

/// Deletes the branch of a checkout that failed, unless it was there before: git takes the folder away again, but not the
/// branch.
///
/// It did not exist before, and it is left alone if it is not where it began. That git may have failed before
/// it made the branch is no matter.
async fn take_back(repository: &Repository, branch: &Branch) {
    if matches!(branch, Branch::Existing { .. }) {
        return;
    }
    let (repo, wanted) = (repository.clone(), branch.clone());
    if let Ok(start) = blocking(move || step::start_of(&repo, &wanted)).await {
        let _ = delete_branch(repository, branch.name(), start).await;
    }
}

/// Checks out what an interrupted run did not, and runs the hook, which may not have run.
pub(super) async fn finish(
    repository: &Repository,
    worktree: &Worktree,
    claim: &Claim,
) -> Result<Option<GitError>, WorktreeError> {
    let path = &worktree.path;
    if !worktree.is_checked_out() {
        // The claim is held, so no git is alive that could own this lock.
        let lock = worktree.git_dir.join("index.lock");
        match std::fs::remove_file(&lock) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(WorktreeError::file("delete", &lock, source));
            }
            _ => {}
        }
        let git = with_workers(Git::inside(path), repository);
        let git = git.args(["reset", "--hard", "--no-recurse-submodules", "--quiet"]);
        git.holding(claim.share()?).run().await.map_err(|source| WorktreeError::Checkout {
            branch: worktree.branch.clone().unwrap_or_default(),
            path: path.clone(),
            source,
        })?;
    }
    let new = worktree.head.map(|head| head.to_string()).unwrap_or_default();
    let old = "0".repeat(new.len());
    let hook = ["hook", "run", "--ignore-missing", "post-checkout", "--", &old, &new, "1"];
    Ok(Git::inside(path).args(hook).holding(claim.share()?).run().await.err())
}

/// Lets git write files with as many processes as there are processors, unless the user decided that.
fn with_workers(git: Git, repository: &Repository) -> Git {
    match repository.checkout_workers() {
        Some(_) => git,
        None => git.args(["-c", "checkout.workers=0"]),
    }
}
