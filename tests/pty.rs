//! A real pseudo-terminal with envtree on it: what it shows, what is typed, and which modes it is left in.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::common::{SOON, Sandbox, eventually};

impl Sandbox {
    /// Returns a program that runs envtree with these arguments, such as `setsid` or `nohup`.
    pub(crate) fn through(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let envtree = self.envtree_with(arguments);
        let mut command = self.command(wrapper[0]);
        command.args(&wrapper[1..]).arg(envtree.get_program()).args(envtree.get_args());
        command
    }
}

/// What Ctrl-C sends.
pub(crate) const INTERRUPT: &str = "\u{3}";

/// envtree at a terminal of its own, which sends its signals to nobody else.
pub(crate) struct Terminal {
    keys: File,
    near: Option<OwnedFd>,
    original: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// envtree itself.
    pub(crate) child: Child,
}

impl Terminal {
    /// Runs envtree with these arguments at a terminal that is `columns` wide.
    pub(crate) fn new(sandbox: &Sandbox, columns: u16, arguments: &[&str]) -> Self {
        Self::with(sandbox, columns, arguments, &[])
    }

    /// Runs envtree with these arguments and variables besides.
    pub(crate) fn with(
        sandbox: &Sandbox,
        columns: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = sandbox.through(&["setsid", "--ctty"], arguments);
        command.env_remove("COLUMNS").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.envs(variables.iter().copied());
        Self::of(command, columns)
    }

    fn of(mut command: Command, columns: u16) -> Self {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&far, size).unwrap();
        let name = ptsname(&far, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let near = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        let end = || near.try_clone().unwrap();
        let original = tcgetattr(&near).unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        // Its copies of the terminal would keep it open for ever.
        drop(command);
        let keys = File::from(far);
        let mut screen = keys.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that nobody holds any more cannot be read.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        Self { keys, near: Some(near), original, shown, reader, child }
    }

    /// Returns everything that was shown so far, escape sequences included.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until `text` was shown.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        eventually(|| self.shown().contains(text), SOON);
    }

    /// Types `keys`.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Puts the terminal into the modes that it began with, as a shell does.
    pub(crate) fn reset(&self) {
        tcsetattr(self.near.as_ref().unwrap(), OptionalActions::Now, &self.original).unwrap();
    }

    /// Returns the modes that the terminal is in.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(self.near.as_ref().unwrap()).unwrap()
    }

    /// Waits for the end, checks that the terminal is as it was, and returns the exit status and what was shown.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let modes = self.modes();
        assert_eq!(modes.local_modes, self.original.local_modes, "{}", self.shown());
        assert_eq!(modes.input_modes, self.original.input_modes, "{}", self.shown());
        assert_eq!(modes.output_modes, self.original.output_modes, "{}", self.shown());
        self.reset();
        drop(self.near.take());
        eventually(|| self.reader.is_finished(), SOON);
        (status.code(), self.shown())
    }
}
