//! A repository of its own for each test, cut off from the person's settings, and what a run of envtree wrote.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The variables that pass from the test's environment into the sandbox: how to reach the Engine.
const PASSED: [&str; 7] = [
    "PATH",
    "TMPDIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
];

/// Long enough for whatever is awaited, on a machine that others keep busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// How many host ports a sandbox has for itself.
const PORTS: usize = 50;

/// A git repository with one commit in a temporary directory; dropping it removes every environment made in it.
pub(crate) struct Sandbox {
    root: TempDir,
    name: String,
    brought_up: AtomicBool,
    /// The lock on the sandbox's own part of ports and addresses.
    _part: File,
}

impl Sandbox {
    /// Makes the repository, on branch `main`.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("envtree-").rand_bytes(8).tempdir().unwrap();
        let random = root.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let name = random.replace("envtree-", "sandbox-");
        let (part, lock) = take_part();
        let sandbox = Self { root, name, brought_up: AtomicBool::new(false), _part: lock };
        fs::create_dir_all(sandbox.home()).unwrap();
        fs::write(sandbox.config(), machine_configuration(part)).unwrap();
        fs::create_dir(sandbox.repository()).unwrap();
        // After a commit, git would still tidy up in the background: a process that nothing here left behind.
        let settings = "[user]\n\tname = Test\n\temail = test@example.invalid\n\
            [init]\n\tdefaultBranch = main\n[maintenance]\n\tauto = false\n";
        fs::write(sandbox.root.path().join("gitconfig"), settings).unwrap();
        sandbox.git(&["init", "--quiet"]);
        sandbox.write("README.md", "A sandbox.\n");
        sandbox.git(&["add", "."]);
        sandbox.git(&["commit", "--quiet", "--message", "Begin"]);
        sandbox
    }

    /// Makes the repository with these files in a second commit.
    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let sandbox = Self::new();
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox.git(&["add", "--all"]);
        sandbox.git(&["commit", "--quiet", "--message", "Add files"]);
        sandbox
    }

    /// Returns the main worktree.
    pub(crate) fn repository(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    fn config(&self) -> PathBuf {
        self.root.path().join("config.yaml")
    }

    /// Writes a file of the main worktree, and the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs git in the main worktree, and returns what it printed without the last line's end.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.command("git").args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Returns a program to be run in the main worktree, with the sandbox's variables alone and no terminal.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.repository()).stdin(Stdio::null()).env_clear();
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // Credentials and contexts of the Engine stand below a home that the sandbox hides.
        let docker = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        if let Some(docker) = docker.or_else(|| Some(std::env::home_dir()?.join(".docker"))) {
            command.env("DOCKER_CONFIG", docker);
        }
        command
            .env("ENVTREE_CONFIG", self.config())
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.home().join("config"))
            .env("XDG_STATE_HOME", self.home().join("state"))
            .env("GIT_CONFIG_GLOBAL", self.root.path().join("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("COLUMNS", "100");
        command
    }

    /// Returns envtree, to be run in the main worktree.
    pub(crate) fn envtree(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_envtree"))
    }

    /// Returns envtree with its arguments, to be run in the main worktree; what it brings up is removed in the end.
    pub(crate) fn envtree_with(&self, arguments: &[&str]) -> Command {
        if ["up", "import"].iter().any(|verb| arguments.contains(verb)) && !arguments.contains(&"--help") {
            self.brought_up.store(true, Ordering::Relaxed);
        }
        let mut command = self.envtree();
        command.args(arguments);
        command
    }

    /// Runs envtree in the main worktree.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(&self.envtree_with(arguments).output().unwrap())
    }

    /// Returns what a program wrote, redacted.
    pub(crate) fn ran(&self, output: &Output) -> Ran {
        let text = |bytes| self.redact(&String::from_utf8_lossy(bytes));
        Ran { stdout: text(&output.stdout), stderr: text(&output.stderr), status: output.status.code() }
    }

    /// Replaces what differs from run to run by as many other characters, so that columns stay aligned.
    ///
    /// Times and subnets alone change their width: no column stands behind them.
    pub(crate) fn redact(&self, text: &str) -> String {
        let random = self.name.trim_start_matches("sandbox-");
        let text = text.replace(random, &"x".repeat(random.len()));
        let root = self.root.path().to_str().unwrap();
        let short = |root: &str| format!("/{:-<width$}", "root", width = root.len() - 1);
        let folder = root.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let masked = format!("{folder}{}", "x".repeat(root.len() - folder.len()));
        redact_subnets(&redact_numbers(&text.replace(root, &short(root)).replace(&masked, &short(root))))
    }

    /// Removes every environment through envtree, then whatever is left by its label; returns what went wrong.
    fn clean_up(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let listed = self.envtree().args(["ls", "--json"]).output().unwrap();
        let listing: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        for environment in listing["environments"].as_array().into_iter().flatten() {
            let task = environment["task"].as_str().unwrap_or_default();
            let removed = self.envtree().args(["rm", "--force", "--yes", task]).output().unwrap();
            if !removed.status.success() {
                let stderr = String::from_utf8_lossy(&removed.stderr);
                faults.push(format!("envtree rm --force {task} failed: {stderr}"));
            }
        }
        if !listing["environments"].is_array() {
            let stderr = String::from_utf8_lossy(&listed.stderr);
            faults.push(format!("envtree ls failed: {stderr}"));
        }
        if !self.left("volume").is_empty() {
            // The data that environments began with belongs to the repository, and stays.
            faults.extend(self.drop_snapshots());
            let dropped = self.envtree().args(["data", "drop", "--unused"]).output().unwrap();
            if !dropped.status.success() {
                let stderr = String::from_utf8_lossy(&dropped.stderr);
                faults.push(format!("envtree data drop --unused failed: {stderr}"));
            }
        }
        for kind in ["container", "network", "volume"] {
            let left = self.left(kind);
            if !left.is_empty() {
                faults.push(format!("envtree left these {kind}s behind: {}", left.join(" ")));
                let force: &[&str] = match kind {
                    "container" => &["--force", "--volumes"],
                    "volume" => &["--force"],
                    _ => &[],
                };
                let removed = Command::new("docker").args([kind, "rm"]).args(force).args(&left).output();
                if !removed.is_ok_and(|output| output.status.success()) {
                    faults.push(format!("and these {kind}s cannot be removed"));
                }
            }
        }
        faults
    }

    /// Removes the snapshots, of which the later ones may lie on the earlier; returns what went wrong.
    fn drop_snapshots(&self) -> Option<String> {
        let listed = self.envtree().args(["data", "list", "--json"]).output().unwrap();
        let listing: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let bases = listing["bases"].as_array().into_iter().flatten().rev();
        let snapshots = bases.filter(|base| !base["snapshot"].is_null());
        let names = snapshots.filter_map(|base| base["name"].as_str());
        names.into_iter().find_map(|name| {
            let dropped = self.envtree().args(["data", "drop", name]).output().unwrap();
            let stderr = String::from_utf8_lossy(&dropped.stderr).into_owned();
            (!dropped.status.success()).then(|| format!("envtree data drop {name} failed: {stderr}"))
        })
    }

    /// Returns the ids of the Engine's objects that bear the sandbox's name.
    fn left(&self, kind: &str) -> Vec<String> {
        let label = format!("label={}={}", envtree_core::label::REPOSITORY_NAME, self.name);
        let all: &[&str] = if kind == "container" { &["--all"] } else { &[] };
        let listed =
            Command::new("docker").args([kind, "ls", "--quiet", "--filter", &label]).args(all).output();
        let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        listed.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !*self.brought_up.get_mut() {
            return;
        }
        let faults = self.clean_up().join("\n");
        // A second panic would hide the first, which says more.
        if std::thread::panicking() {
            eprintln!("{faults}");
        } else {
            assert!(faults.is_empty(), "{faults}");
        }
    }
}

/// Takes a part of the ports and addresses that no other sandbox has, in this process or another.
///
/// Sandboxes share an Engine but no state, so environments of two could otherwise reserve the same port at once.
fn take_part() -> (usize, File) {
    let directory = std::env::temp_dir().join("envtree-sandboxes");
    fs::create_dir_all(&directory).unwrap();
    let take = |part: usize| {
        let file = File::create(directory.join(part.to_string())).unwrap();
        file.try_lock().is_ok().then_some((part, file))
    };
    (0..10_000 / PORTS).find_map(take).expect("fewer sandboxes run at once")
}

/// Bases outlive their environments: only what is about data makes any.
pub(crate) const UNPREPARED: &str = "data: { prepare: false }\n";

/// Returns the machine's configuration, cut down to a part of the ports and addresses.
fn machine_configuration(part: usize) -> String {
    let machine = std::env::var_os("ENVTREE_CONFIG").map(|path| fs::read_to_string(path).unwrap());
    let first = 20_000 + part * PORTS;
    format!(
        "{}ports: {{ range: {first}-{} }}\nnetwork: {{ pool: 10.{}.{}.0/20 }}\n{UNPREPARED}",
        machine.map(|text| text.trim_start_matches("{}").to_owned()).unwrap_or_default(),
        first + PORTS - 1,
        200 + part / 16,
        part % 16 * 16,
    )
}

/// Waits until `check` holds; fails after `deadline`.
#[track_caller]
pub(crate) fn eventually(mut check: impl FnMut() -> bool, deadline: Duration) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < deadline, "it did not come about within {deadline:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What a program wrote and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Its answer.
    pub(crate) stdout: String,
    /// Everything else.
    pub(crate) stderr: String,
    /// Its exit status; absent if a signal ended it.
    pub(crate) status: Option<i32>,
}

impl fmt::Display for Ran {
    /// Writes all of it for one snapshot.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => writeln!(formatter, "exit status {status}")?,
            None => writeln!(formatter, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(formatter, "--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Masks subnets, which depend on the sandbox's part of the addresses, without keeping their width.
fn redact_subnets(text: &str) -> String {
    let mut parts = text.split(" (10.");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(" (subnet");
        masked.push_str(part.find(')').map_or(part, |end| &part[end..]));
    }
    masked
}

/// Masks reserved ports, hashes and times.
fn redact_numbers(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = |c: char| c.is_ascii_alphanumeric();
        let length =
            if in_word(first) { rest.find(|c| !in_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, after) = rest.split_at(length);
        rest = after;
        let is_port = word.len() == 5 && word.starts_with('2') && word.bytes().all(|b| b.is_ascii_digit());
        let is_hash = word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        match word {
            _ if is_port => masked.push_str("2####"),
            _ if is_hash => masked.push_str(&"#".repeat(word.len())),
            "ms" | "s" => mask_time(&mut masked),
            _ => masked.push_str(word),
        }
    }
    masked
}

/// Replaces the number that `text` ends with; the unit goes too, for it depends on the machine's load.
fn mask_time(text: &mut String) {
    let number = text.trim_end_matches(' ').trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_time = text.ends_with(' ') && number.len() + 1 < text.len();
    if is_time {
        text.truncate(number.len());
        text.push_str("[time]");
    } else {
        text.push('s');
    }
}

mod tests {
    use super::*;

    #[test]
    fn redacted_columns_stay_aligned() {
        let text = "db     127.0.0.1:20017  sha256:0123456789abcdef\nredis  127.0.0.1:20018\n";
        insta::assert_snapshot!(redact_numbers(text), @"
        db     127.0.0.1:2####  sha256:################
        redis  127.0.0.1:2####
        ");
    }

    #[test]
    fn times_are_masked_with_their_unit() {
        let masked = redact_numbers("ready in 1.4 s (12 ms), it's 3 services\n");
        assert_eq!(masked, "ready in [time] ([time]), it's 3 services\n");
    }

    #[test]
    fn the_sandbox_is_a_repository_whose_paths_are_masked() {
        let sandbox = Sandbox::new();
        let top = sandbox.git(&["rev-parse", "--show-toplevel"]);
        let masked = sandbox.redact(&top);
        assert_eq!(masked.len(), top.len());
        assert!(masked.ends_with("/sandbox-xxxxxxxx"), "{masked}");
        assert!(masked.starts_with("/root-"), "{masked}");
    }
}
