//! Locks between processes: an exclusive lock on a file, waited for with a deadline, that names its holder.
//!
//! The kernel releases a lock when its process ends, however it ends. A command that needs both kinds takes the lock of
//! its project first and the lock of the state last, so that two commands never wait for each other.
//!
//! A lock file may be removed by its holder alone, see [`Lock::retire`]. A process that opened the file earlier then
//! locks a file that no longer has a name, while a third process creates the name anew and locks that: both would
//! believe that they are alone. So whoever obtains a lock compares its file with the one that stands at the path, and
//! starts over if they differ. An inode number cannot be reused meanwhile, for the open file still occupies it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::file::{self, FileError};

/// How often a waiting process tries again.
const POLL: Duration = Duration::from_millis(20);
/// A wait shorter than this is not worth a message.
const UNNOTICED: Duration = Duration::from_millis(100);
/// A holder that has not named itself by then will not: another program holds the lock, or the disk is full.
const NAMELESS: Duration = Duration::from_secs(1);
/// More than any holder writes about itself.
const HOLDER_BYTES: usize = 4096;

/// Hears that a command waits, and for whom where that is known.
pub type OnWait<'a> = dyn Fn(Option<&Holder>) + Send + Sync + 'a;

/// How a command asks for a lock.
#[derive(Clone, Copy)]
pub struct LockOptions<'a> {
    /// The words of this command, as others shall read them: `envtree up fix-login`.
    pub command: &'a str,
    /// How long to wait at most.
    pub timeout: Duration,
    /// Called once, as soon as the wait becomes noticeable, with the holder unless that stays unknown.
    pub on_wait: &'a OnWait<'a>,
}

impl fmt::Debug for LockOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LockOptions")
            .field("command", &self.command)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The process that holds a lock, as it described itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The words of its command.
    pub command: String,
    /// When it obtained the lock.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` (pid {})", self.command, self.pid)
    }
}

/// Why a lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process held it until the deadline.
    #[error("{} still holds the lock `{path}` after {timeout:?}", holder_words(holder.as_ref()))]
    TimedOut {
        /// The lock file.
        path: PathBuf,
        /// How long this process waited.
        timeout: Duration,
        /// Who holds it, where that is known.
        holder: Option<Holder>,
    },
    /// The name of the project would lead out of the directory of locks.
    #[error("`{project}` cannot name a lock")]
    Name {
        /// The refused name.
        project: String,
    },
    /// The lock file cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file system refused to lock, as some network file systems do.
    #[error("cannot lock `{path}`")]
    Acquire {
        /// The lock file.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
}

fn holder_words(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), Holder::to_string)
}

/// A held lock; dropping it lets the next process go on.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until this process alone holds the lock file `path`, whose directory exists.
    pub async fn acquire(path: &Path, options: &LockOptions<'_>) -> Result<Self, LockError> {
        Self::wait(path, options, false).await
    }

    /// Waits until no process holds the lock file `path` alone; others may share it.
    pub async fn share(path: &Path, options: &LockOptions<'_>) -> Result<Self, LockError> {
        Self::wait(path, options, true).await
    }

    async fn wait(path: &Path, options: &LockOptions<'_>, is_shared: bool) -> Result<Self, LockError> {
        let started = Instant::now();
        let mut announced = false;
        let mut file = open(path)?;
        loop {
            match if is_shared { file.try_lock_shared() } else { file.try_lock() } {
                Ok(()) if is_current(&file, path)? => return Ok(Self::held(file, path, options.command)),
                Ok(()) => {
                    file = open(path)?;
                    continue;
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(acquire_error(path, source)),
            }
            let waited = started.elapsed();
            let holder = holder(&file);
            if waited >= options.timeout {
                let path = path.to_owned();
                return Err(LockError::TimedOut { path, timeout: options.timeout, holder });
            }
            let noticeable = if holder.is_some() { UNNOTICED } else { NAMELESS };
            if !announced && waited >= noticeable {
                (options.on_wait)(holder.as_ref());
                announced = true;
            }
            tokio::time::sleep(POLL.min(options.timeout.saturating_sub(waited))).await;
        }
    }

    /// Takes the lock file `path` if nobody holds it.
    pub(super) fn try_acquire(path: &Path, command: &str) -> Result<Option<Self>, LockError> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) if is_current(&file, path)? => return Ok(Some(Self::held(file, path, command))),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(acquire_error(path, source)),
            }
        }
    }

    /// Returns whether somebody holds the lock file `path`, alone or with others; nothing is written.
    pub(super) fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Returns who wrote into the lock file `path` that they hold it, if anybody did.
    pub(super) fn named_holder(path: &Path) -> Option<Holder> {
        holder(&File::open(path).ok()?)
    }

    fn held(file: File, path: &Path, command: &str) -> Self {
        let lock = Self { file, path: path.to_owned() };
        let holder = Holder { pid: std::process::id(), command: command.to_owned(), since: Timestamp::now() };
        // The text only serves messages: the lock holds without it, on a full disk for instance.
        if let Ok(text) = serde_json::to_vec(&holder) {
            let _ = lock.file.set_len(0);
            let _ = lock.file.write_all_at(&text, 0);
        }
        lock
    }

    /// Returns the lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the lock file and releases the lock.
    ///
    /// For what will not be locked again, such as the lock of a removed project. Processes that wait meanwhile go on
    /// with a new file.
    pub fn retire(self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::write(&self.path)(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Without its text, the file does not name a process that has long gone on.
        let _ = self.file.set_len(0);
        // Closing the file is not enough: a child that is just being started has a copy of it until it executes.
        let _ = self.file.unlock();
    }
}

/// Opens or creates the lock file, whichever happens to be possible while others create and remove it.
fn open(path: &Path) -> Result<File, FileError> {
    loop {
        match file::create_new(path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::write(path)(error)),
        }
        if let Some(file) = file::open(path, OpenOptions::new().read(true).write(true))? {
            return Ok(file);
        }
    }
}

fn is_current(file: &File, path: &Path) -> Result<bool, LockError> {
    file::is_current(file, path).map_err(|source| acquire_error(path, source))
}

fn acquire_error(path: &Path, source: io::Error) -> LockError {
    let path = path.to_owned();
    LockError::Acquire { path, source }
}

/// Returns what the holder wrote; `None` while it has not written yet.
fn holder(file: &File) -> Option<Holder> {
    let mut text = [0; HOLDER_BYTES];
    let length = file.read_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text[..length]).ok()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    const PATIENT: LockOptions<'_> =
        LockOptions { command: "envtree up x", timeout: Duration::from_secs(20), on_wait: &|_| {} };
    const HASTY: LockOptions<'_> = LockOptions { timeout: Duration::ZERO, ..PATIENT };

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[tokio::test]
    async fn a_timeout_names_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let _held = Lock::acquire(&path, &PATIENT).await.unwrap();
        let error = Lock::acquire(&path, &HASTY).await.unwrap_err();
        let LockError::TimedOut { holder, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(holder.as_ref().unwrap().pid, std::process::id());
        assert!(error.to_string().starts_with("`envtree up x` (pid "), "{error}");
    }

    #[tokio::test]
    async fn a_long_wait_is_announced_once_and_ends_with_the_release() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let held = Mutex::new(Some(Lock::acquire(&path, &PATIENT).await.unwrap()));
        let announced = AtomicUsize::new(0);
        let on_wait = |holder: Option<&Holder>| {
            assert_eq!(holder.unwrap().command, "envtree up x");
            announced.fetch_add(1, Ordering::SeqCst);
            held.lock().unwrap().take();
        };
        let options = LockOptions { on_wait: &on_wait, ..PATIENT };
        Lock::acquire(&path, &options).await.unwrap();
        assert_eq!(announced.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_wait_for_a_nameless_holder_is_announced_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let nameless = Mutex::new(Some(file::create_new(&path).unwrap()));
        nameless.lock().unwrap().as_ref().unwrap().try_lock().unwrap();
        let on_wait = |holder: Option<&Holder>| {
            assert_eq!(holder, None);
            nameless.lock().unwrap().take();
        };
        Lock::acquire(&path, &LockOptions { on_wait: &on_wait, ..PATIENT }).await.unwrap();
        assert!(nameless.lock().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_released_lock_names_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        drop(Lock::acquire(&path, &PATIENT).await.unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn threads_that_lock_and_remove_the_file_are_never_inside_together() {
        let directory = tempfile::tempdir().unwrap();
        let path = Arc::new(directory.path().join("x.lock"));
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let (path, inside) = (Arc::clone(&path), Arc::clone(&inside));
                std::thread::spawn(move || {
                    runtime().block_on(async {
                        for round in 0..40 {
                            let lock = Lock::acquire(&path, &PATIENT).await.unwrap();
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            if (thread + round) % 2 == 0 {
                                lock.retire().unwrap();
                            }
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[tokio::test]
    async fn a_waiter_for_a_removed_file_moves_on_to_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let first = Lock::acquire(&path, &PATIENT).await.unwrap();
        let old = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        first.retire().unwrap();
        let _second = Lock::acquire(&path, &PATIENT).await.unwrap();
        old.try_lock().unwrap();
        assert!(!is_current(&old, &path).unwrap());
        assert!(matches!(Lock::acquire(&path, &HASTY).await, Err(LockError::TimedOut { .. })));
    }

    /// Does nothing by itself: the next test runs it in a process of its own.
    #[tokio::test]
    async fn a_child_holds_the_lock() {
        let Some(path) = std::env::var_os("LOCK_HELD_BY_CHILD") else {
            return;
        };
        let options = LockOptions { command: "envtree rm y", ..PATIENT };
        let _lock = Lock::acquire(Path::new(&path), &options).await.unwrap();
        println!("locked");
        io::stdin().read_line(&mut String::new()).unwrap();
    }

    #[tokio::test]
    async fn the_lock_of_a_killed_process_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "state::lock::tests::a_child_holds_the_lock"])
            .env("LOCK_HELD_BY_CHILD", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("locked")));

        let error = Lock::acquire(&path, &HASTY).await.unwrap_err();
        let LockError::TimedOut { holder: Some(holder), .. } = error else {
            panic!("{error}");
        };
        assert_eq!((holder.pid, holder.command.as_str()), (child.id(), "envtree rm y"));

        child.kill().unwrap();
        child.wait().unwrap();
        Lock::acquire(&path, &PATIENT).await.unwrap();
    }

    #[tokio::test]
    async fn a_symlink_is_not_locked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(
            Lock::acquire(&path, &HASTY).await,
            Err(LockError::File(FileError::Symlink { .. }))
        ));
        assert!(!directory.path().join("elsewhere").exists());
    }
}
