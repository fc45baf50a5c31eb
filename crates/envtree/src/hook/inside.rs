//! Runs the commands of a hook in a container that runs, and reports what they write line by line.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Instant;

use envtree_docker::exec::ExecOptions;
use envtree_docker::output::OutputStream;
use envtree_docker::{Docker, DockerError};
use futures::TryStreamExt;
use indexmap::IndexMap;

use super::{HookError, Output};
use crate::error::Error;
use crate::event::{Event, Events};

/// Where the commands run.
pub(crate) struct Inside<'a> {
    pub(crate) docker: &'a Docker,
    pub(crate) container: &'a str,
    /// What they find in their environment besides the variables of the container.
    pub(crate) variables: &'a IndexMap<String, String>,
}

impl Inside<'_> {
    /// Runs `commands` one after the other with `sh -c`, until one fails.
    ///
    /// Nothing ends a command once it has begun but the end of its container.
    pub(crate) async fn run(&self, hook: &str, commands: &[String], events: &Events) -> Result<(), Error> {
        for command in commands {
            events.emit(Event::RunningHook { hook: hook.into(), command: command.clone() });
            let started = Instant::now();
            let output = Output { hook, events, lines: Mutex::default() };
            let code = self.execute(command, &output).await?;
            if code != 0 {
                let (hook, command, lines) = (hook.into(), command.clone(), output.into_lines());
                return Err(HookError::Failed { hook, command, status: status(code), lines }.into());
            }
            events.emit(Event::RanHook { hook: hook.into(), elapsed: started.elapsed() });
        }
        Ok(())
    }

    async fn execute(&self, command: &str, output: &Output<'_>) -> Result<i64, DockerError> {
        let options = ExecOptions {
            cmd: ["sh", "-c", command].map(str::to_owned).into(),
            env: self.variables.clone(),
            ..ExecOptions::default()
        };
        let mut session = self.docker.exec_session(self.container, &options).await?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some((stream, piece)) = session.output.try_next().await? {
            let rest = if stream == OutputStream::Stdout { &mut stdout } else { &mut stderr };
            output.take(&piece, rest);
        }
        output.report_rest(&stdout);
        output.report_rest(&stderr);
        session.control.exit_code().await
    }
}

/// Returns the status of a process that exited with `code`, as the system encodes it.
fn status(code: i64) -> ExitStatus {
    ExitStatus::from_raw((i32::try_from(code).unwrap_or(1) & 0xff) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_as_the_container_gave_it() {
        for code in [0, 1, 126, 127, 137, 255] {
            assert_eq!(status(code).code().map(i64::from), Some(code));
        }
    }
}
