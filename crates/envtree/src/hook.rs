//! Runs the commands of a hook on the host, and reports what they write line by line.
//!
//! Each command is a process group of its own, and its processes bear a mark: a run that is dropped, because the user gave
//! up for instance, ends every one of them at once; without a `/proc`, those of the group. A process that a command leaves
//! behind when it ends lives on, so that a hook can start a server, but nobody reads what it writes.

mod inside;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::event::{Event, Events};
use crate::running::{Leash, Mark};
use crate::trust::Visible;
use crate::worktree::REPOSITORY_VARIABLES;

pub(crate) use inside::Inside;

/// How many last lines of a failed command are kept.
const LAST_LINES: usize = 20;

/// A line longer than this is reported in parts.
const LONGEST_LINE: usize = 64 * 1024;

/// How long the rest of the output may take once the command has ended; a process it left may never close it.
const DRAIN: Duration = Duration::from_millis(100);

/// Why a hook did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// This system has no `sh`.
    #[error("hook `{hook}` cannot run on this system, which has no `sh`")]
    Unsupported {
        /// The hook's key.
        hook: String,
    },
    /// The command could not be started.
    #[error("cannot start command `{}` of hook `{hook}` in `{directory}`", Visible(.command))]
    Start {
        /// The hook's key.
        hook: String,
        /// The command.
        command: String,
        /// Where it should have run.
        directory: PathBuf,
        /// The answer of the system.
        source: io::Error,
    },
    /// The command was started, but its end is unknown.
    #[error("cannot tell how command `{}` of hook `{hook}` ended", Visible(.command))]
    Wait {
        /// The hook's key.
        hook: String,
        /// The command.
        command: String,
        /// The answer of the system.
        source: io::Error,
    },
    /// The command failed.
    #[error("command `{}` of hook `{hook}` {}", Visible(.command), outcome(*.status))]
    Failed {
        /// The hook's key.
        hook: String,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote, the oldest first.
        lines: Vec<String>,
    },
}

fn outcome(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was ended by signal {signal}");
    }
    status.code().map_or_else(|| "failed".into(), |code| format!("exited with status {code}"))
}

/// Runs `commands` one after the other with `sh -c` in `directory`, until one fails.
///
/// A command inherits the environment, without git's own variables that name a repository, and with `variables`. It
/// has no input. Once it has ended, what it wrote has been reported. Dropping the future kills the running command
/// and every process that it started.
pub async fn run_hook(
    hook: &str,
    commands: &[String],
    directory: &Path,
    variables: &IndexMap<String, String>,
    events: &Events,
) -> Result<(), HookError> {
    if cfg!(not(unix)) {
        return Err(HookError::Unsupported { hook: hook.into() });
    }
    for command in commands {
        events.emit(Event::RunningHook { hook: hook.into(), command: command.clone() });
        let started = Instant::now();
        let running = Running::start(command, directory, variables).map_err(|source| HookError::Start {
            hook: hook.into(),
            command: command.clone(),
            directory: directory.to_owned(),
            source,
        })?;
        let output = Output { hook, events, lines: Mutex::default() };
        let status = running.wait(&output).await.map_err(|source| HookError::Wait {
            hook: hook.into(),
            command: command.clone(),
            source,
        })?;
        if !status.success() {
            let (hook, command, lines) = (hook.into(), command.clone(), output.into_lines());
            return Err(HookError::Failed { hook, command, status, lines });
        }
        events.emit(Event::RanHook { hook: hook.into(), elapsed: started.elapsed() });
    }
    Ok(())
}

/// A command that runs. Its group is killed when this is dropped.
struct Running {
    // Dropped first: while the command is not reaped, no other process can have its id.
    group: Leash,
    child: Child,
}

impl Running {
    fn start(command: &str, directory: &Path, variables: &IndexMap<String, String>) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(directory);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for variable in REPOSITORY_VARIABLES {
            shell.env_remove(variable);
        }
        let mark = Mark::unique();
        shell.envs(variables).env(Mark::VARIABLE, mark.to_string()).kill_on_drop(true);
        #[cfg(unix)]
        shell.process_group(0);
        let child = shell.spawn()?;
        Ok(Self { group: Leash::of_group(child.id(), mark), child })
    }

    /// Reports the output until the command has ended, and returns how it did.
    async fn wait(mut self, output: &Output<'_>) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut stdout_rest, mut stderr_rest) = (Vec::new(), Vec::new());
        let status = {
            let read = async {
                tokio::join!(output.read(stdout, &mut stdout_rest), output.read(stderr, &mut stderr_rest));
            };
            tokio::pin!(read);
            let ended = tokio::select! {
                status = self.child.wait() => Some(status),
                () = &mut read => None,
            };
            let is_read = ended.is_none();
            let status = match ended {
                Some(status) => status,
                None => self.child.wait().await,
            };
            // From here on, the id may belong to a stranger.
            self.group.release();
            if !is_read {
                let _ = tokio::time::timeout(DRAIN, read).await;
            }
            status
        };
        output.report_rest(&stdout_rest);
        output.report_rest(&stderr_rest);
        status
    }
}

/// What a command writes, on its way to the events.
struct Output<'a> {
    hook: &'a str,
    events: &'a Events,
    lines: Mutex<VecDeque<String>>,
}

impl Output<'_> {
    /// Reports every line of `pipe`; what follows the last one is in `rest`, even if this future is dropped.
    async fn read(&self, pipe: Option<impl AsyncRead + Unpin>, rest: &mut Vec<u8>) {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = vec![0; 8 * 1024];
        // A pipe that cannot be read has nothing more to report.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            self.take(&chunk[..length], rest);
        }
    }

    /// Reports every line of `piece`, which follows `rest`; what follows the last one is in `rest` then.
    fn take(&self, piece: &[u8], rest: &mut Vec<u8>) {
        for byte in piece {
            if *byte == b'\n' || rest.len() == LONGEST_LINE {
                self.report(rest);
                rest.clear();
            }
            if *byte != b'\n' {
                rest.push(*byte);
            }
        }
    }

    fn report(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.clone());
        if lines.len() > LAST_LINES {
            lines.pop_front();
        }
        drop(lines);
        self.events.emit(Event::HookOutput { hook: self.hook.into(), line });
    }

    /// Reports a last line that does not end.
    fn report_rest(&self, rest: &[u8]) {
        if !rest.is_empty() {
            self.report(rest);
        }
    }

    fn into_lines(self) -> Vec<String> {
        self.lines.into_inner().unwrap_or_else(PoisonError::into_inner).into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    /// Runs a hook in a new directory, and returns its events besides.
    async fn run(commands: &[&str]) -> (Result<(), HookError>, Vec<Event>) {
        run_with(commands, &[]).await
    }

    async fn run_with(commands: &[&str], variables: &[(&str, &str)]) -> (Result<(), HookError>, Vec<Event>) {
        let directory = tempfile::tempdir().unwrap();
        let commands: Vec<_> = commands.iter().map(ToString::to_string).collect();
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let receiver = Arc::clone(&seen);
        let events = Events::new(move |event| receiver.lock().unwrap().push(event));
        let result = run_hook("post_up", &commands, directory.path(), &variables, &events).await;
        let seen = seen.lock().unwrap().clone();
        (result, seen)
    }

    fn lines(events: &[Event]) -> Vec<&str> {
        let output = events.iter().filter_map(|event| match event {
            Event::HookOutput { line, .. } => Some(line.as_str()),
            _ => None,
        });
        output.collect()
    }

    #[tokio::test]
    async fn commands_run_in_order_and_each_is_reported() {
        let (result, events) = run(&["echo one > file; echo wrote", "cat file"]).await;
        result.unwrap();
        let words: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::RunningHook { hook, command } => format!("{hook}: {command}"),
                Event::HookOutput { hook, line } => format!("{hook}> {line}"),
                Event::RanHook { hook, .. } => format!("{hook}."),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            words,
            [
                "post_up: echo one > file; echo wrote",
                "post_up> wrote",
                "post_up.",
                "post_up: cat file",
                "post_up> one",
                "post_up.",
            ]
        );
    }

    #[tokio::test]
    async fn both_streams_are_read_to_their_last_byte() {
        let (result, events) = run(&["printf 'a\\r\\n\\nb\\377\\n'; printf 'c' >&2"]).await;
        result.unwrap();
        let mut lines = lines(&events);
        lines.sort_unstable();
        assert_eq!(lines, ["", "a", "b\u{fffd}", "c"]);
    }

    #[tokio::test]
    async fn much_output_is_neither_lost_nor_held_back() {
        let (result, events) = run(&["i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"]).await;
        result.unwrap();
        let lines = lines(&events);
        assert_eq!((lines.len(), lines.last()), (20000, Some(&"line 19999")));
    }

    #[tokio::test]
    async fn a_line_without_end_is_reported_in_parts() {
        let (result, events) = run(&["head -c 150000 /dev/zero | tr '\\0' x"]).await;
        result.unwrap();
        let lengths: Vec<_> = lines(&events).iter().map(|line| line.len()).collect();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 150_000 - 2 * LONGEST_LINE]);
    }

    #[tokio::test]
    async fn a_failure_names_hook_command_status_and_last_lines() {
        let (result, events) = run(&["seq 100; exit 3", "echo never"]).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "command `seq 100; exit 3` of hook `post_up` exited with status 3");
        let HookError::Failed { lines, .. } = error else { panic!("{error}") };
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "81", "100"));
        assert!(!events.iter().any(|event| matches!(event, Event::RanHook { .. })));
        assert!(!self::lines(&events).contains(&"never"));
    }

    #[tokio::test]
    async fn a_signal_is_named() {
        let (result, _) = run(&["kill -9 $$"]).await;
        let error = result.unwrap_err().to_string();
        assert_eq!(error, "command `kill -9 $$` of hook `post_up` was ended by signal 9");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let (commands, variables) = (["true".to_owned()], IndexMap::new());
        let directory = Path::new("/nonexistent/worktree");
        let result = run_hook("post_up", &commands, directory, &variables, &Events::ignored()).await;
        let error = result.unwrap_err().to_string();
        assert_eq!(error, "cannot start command `true` of hook `post_up` in `/nonexistent/worktree`");
    }

    #[tokio::test]
    async fn variables_are_added_to_the_environment() {
        let (result, events) =
            run_with(&["echo $GREETING ${PATH:+path} $((0))"], &[("GREETING", "hi")]).await;
        result.unwrap();
        assert_eq!(lines(&events), ["hi path 0"]);
    }

    /// Does nothing by itself: the next test runs it in a process whose environment names another repository.
    #[tokio::test]
    async fn a_child_prints_the_variables_of_git() {
        if std::env::var_os("HOOK_INSIDE_GIT").is_some() {
            let (result, events) = run(&["env | grep ^GIT_ | sort"]).await;
            result.unwrap();
            println!("seen: {:?}", lines(&events));
        }
    }

    #[test]
    fn variables_that_name_another_repository_are_removed() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "hook::tests::a_child_prints_the_variables_of_git"]);
        command.env("HOOK_INSIDE_GIT", "1").env("GIT_AUTHOR_NAME", "kept");
        for variable in REPOSITORY_VARIABLES {
            command.env(variable, "/elsewhere");
        }
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(output.contains("GIT_AUTHOR_NAME=kept"), "{output}");
        assert!(!output.contains("/elsewhere"), "{output}");
    }

    #[tokio::test]
    async fn a_command_has_no_input() {
        let (result, events) = run(&["cat; echo end"]).await;
        result.unwrap();
        assert_eq!(lines(&events), ["end"]);
    }

    #[tokio::test]
    async fn a_process_left_behind_is_not_waited_for() {
        let started = Instant::now();
        let (result, events) = run(&["sleep 60 & echo $!; printf unended"]).await;
        result.unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
        let lines = lines(&events);
        assert_eq!(lines[1], "unended");
        let left = rustix::process::Pid::from_raw(lines[0].parse().unwrap()).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn dropping_the_run_ends_every_process_of_the_command() {
        end_by_dropping("(trap '' TERM INT HUP; sleep 600) & sleep 600").await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn dropping_the_run_ends_what_left_its_group_and_its_parent_too() {
        end_by_dropping("setsid sleep 600 & (setsid sleep 600 &); sleep 600").await;
        end_by_dropping("env -i setsid sleep 600 & sleep 600").await;
    }

    /// Drops a run of `command` and returns once each of its processes is gone.
    async fn end_by_dropping(command: &str) {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        // Each process holds the pipe open for writing; its reader meets the end once all of them are gone.
        let command = format!("mkfifo fifo; echo made; exec 3>fifo; {command}");
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let events = Events::new(move |event| drop(sender.send(event)));
        let (commands, variables) = ([command], IndexMap::new());
        let reader = {
            let run = run_hook("post_up", &commands, directory.path(), &variables, &events);
            tokio::pin!(run);
            let reader = async {
                while !matches!(receiver.recv().await, Some(Event::HookOutput { .. })) {}
                // Opening waits until the command has opened its side.
                tokio::task::spawn_blocking(|| std::fs::File::open(fifo).unwrap()).await.unwrap()
            };
            tokio::select! {
                result = &mut run => panic!("{result:?}"),
                reader = reader => reader,
            }
        };
        let (end, ended) = tokio::sync::oneshot::channel();
        // Nobody waits for this thread, in case a process is left.
        std::thread::spawn(move || end.send(io::read_to_string(reader)));
        let text = tokio::time::timeout(Duration::from_secs(30), ended).await;
        assert_eq!(text.expect("every process is gone").unwrap().unwrap(), "");
    }

    #[tokio::test]
    async fn a_command_is_shown_without_its_control_characters() {
        let (result, _) = run(&["exit 1 # \u{1b}[2K\nrm"]).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains("`exit 1 # \\u{1b}[2K\\nrm`"), "{error}");
    }
}
