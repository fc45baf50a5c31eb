//! `envtree data export` and `envtree data import`: data in a file, for another machine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::ValueHint;
use envtree::data::{
    ArchiveSource, ArchiveTarget, DumpOptions, DumpSource, ExportOptions, ExportedData, ImportedData,
    LiveServer,
};
use envtree_core::dump::remote::{RemoteServer, without_password};

use crate::command_error::{CommandError, Kind};
use crate::completion;
use crate::output::{DumpOutput, ExportOutput, ImportOutput};
use crate::run::Context;
use crate::text;

/// Write a base or snapshot into a file that another machine imports
///
/// The file is a tar archive, compressed by zstd, with digests of all that it holds. It has the name of FILE with `.part`
/// behind it until it is complete; an export that was cut off goes on where it was.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Snapshot, by name, or base, by at least six digits
    #[arg(add = completion::bases())]
    name: String,
    /// Where it goes, `-` for the standard output [default: NAME.tar.zst]
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Write real data though nothing made it harmless, or nobody verified that
    #[arg(long)]
    unsanitized: bool,
}

/// Make a base or snapshot of a file that another machine exported, or of a dump of real data
///
/// A base is what the next `envtree up` begins with where all that it depends on is the same, as in another clone of the
/// same commit. A snapshot is given to `envtree up --data-from` and `envtree data restore`. An import that was cut off goes
/// on where it was.
///
/// With `--from`, a server on fresh volumes reads a dump with its own tool, or what that tool writes of a server that runs;
/// `data.sanitize` makes it harmless, what is left is written into fresh volumes again, and `data.verify` must have nothing to
/// report. The outcome is kept as a snapshot. Where anything fails, nothing of the data is left.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The archive, `-` for the standard input
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// What the snapshot is called here [default: as where it was taken, or the name of the dump]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Read a dump: statements of SQL, an archive of `pg_dump` or `mongodump`, also compressed, the folder of one, or the
    /// URL of a server (`postgres://`, `mysql://`, `mariadb://`, `mongodb://`)
    ///
    /// A password that the URL does not have is taken from `PGPASSWORD` or `MYSQL_PWD`.
    #[arg(long, value_name = "PATH|URL", value_hint = ValueHint::AnyPath)]
    from: Option<OsString>,
    /// Service that reads the dump [default: the only one that can]
    #[arg(long, value_name = "SERVICE", requires = "from")]
    service: Option<String>,
    /// Keep the data though no `data.verify` says that it is harmless
    #[arg(long, requires = "from")]
    unsanitized: bool,
    /// Task whose worktree says how [default: the worktree you stand in]
    #[arg(long, value_name = "TASK", requires = "from", add = completion::tasks())]
    task: Option<String>,
}

impl ExportArgs {
    /// Returns the command that continues after an interruption.
    pub(super) fn again(&self) -> Option<String> {
        let file = self.file.as_deref().map(|file| format!(" {}", text::shell_quoted(&text::path(file))));
        let force = if self.force { " --force" } else { "" };
        let unsanitized = if self.unsanitized { " --unsanitized" } else { "" };
        let again = format!(
            "envtree data export{force}{unsanitized} {}{}",
            text::shell_quoted(&self.name),
            file.unwrap_or_default()
        );
        Some(again).filter(|_| !is_standard(self.file.as_deref()))
    }
}

impl ImportArgs {
    /// Returns the command that continues after an interruption; a dump is read from its beginning.
    pub(super) fn again(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        let name = self.name.as_deref().map(|name| format!(" --name {}", text::shell_quoted(name)));
        let file = text::shell_quoted(&text::path(file));
        Some(format!("envtree data import {file}{}", name.unwrap_or_default()))
    }
}

/// Writes an archive.
pub(super) async fn export(args: &ExportArgs, context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    let to_stdout = is_standard(args.file.as_deref());
    if to_stdout && ui.wants_json() {
        return Err(CommandError::new(
            Kind::Usage,
            "the archive and an answer as JSON cannot both go to the standard output",
        )
        .hint("name a file, or leave out `--json`"));
    }
    if to_stdout && io::stdout().is_terminal() {
        return Err(CommandError::new(Kind::Usage, "a terminal cannot show an archive")
            .hint("name a file, or lead the standard output into a file or another program"));
    }
    let target = match &args.file {
        _ if to_stdout => ArchiveTarget::Stream(Box::new(io::stdout())),
        Some(file) => ArchiveTarget::File(file.clone()),
        None => ArchiveTarget::File(PathBuf::from(format!("{}.tar.zst", args.name))),
    };
    let options =
        ExportOptions { force: args.force, unsanitized: args.unsanitized, ..ExportOptions::default() };
    let exported = context.session()?.export_data(&args.name, target, options).await?;
    if to_stdout {
        ui.note(told_export(&exported).trim_end());
        return Ok(());
    }
    ui.answer(&ExportOutput::from(&exported), || told_export(&exported))
}

/// Reads an archive.
pub(super) async fn import(args: &ImportArgs, context: &Context) -> Result<(), CommandError> {
    if let Some(from) = &args.from {
        return Box::pin(import_dump(args, from, context)).await;
    }
    let source = match &args.file {
        Some(file) if !is_standard(Some(file)) => {
            ArchiveSource::open(file.clone()).map_err(envtree::error::Error::from)?
        }
        _ => ArchiveSource {
            shown: "standard input".to_owned(),
            reader: Box::new(io::stdin()),
            is_stream: true,
        },
    };
    let imported = context.session()?.import_data(source, args.name.as_deref()).await?;
    context.ui.answer(&ImportOutput::from(&imported), || told_import(&imported))
}

async fn import_dump(args: &ImportArgs, from: &OsStr, context: &Context) -> Result<(), CommandError> {
    let options = DumpOptions {
        source: source(from)?,
        service: args.service.clone(),
        name: args.name.clone(),
        unsanitized: args.unsanitized,
    };
    let imported = context.session()?.import_dump(args.task.as_deref(), &options).await?;
    if !imported.is_verified {
        context.ui.note(&format!(
            "nothing has verified that `{}` is harmless: `envtree data export` wants `--unsanitized` for it too",
            imported.name
        ));
    }
    let (name, service, elapsed) = (&imported.name, &imported.service, text::elapsed(imported.elapsed));
    let told = || format!("imported {name}: {service}, {elapsed}\n");
    context.ui.answer(&DumpOutput::from(&imported), told)
}

/// Reads what `--from` says: the URL of a server, or a path.
fn source(from: &OsStr) -> Result<DumpSource, CommandError> {
    let Some(url) = from.to_str().filter(|text| text.contains("://")) else {
        return Ok(DumpSource::Path(PathBuf::from(from)));
    };
    let remote = RemoteServer::parse(url).map_err(|fault| {
        CommandError::new(Kind::Usage, format!("cannot import from `{}`: {fault}", without_password(url)))
    })?;
    let variable = if url.starts_with("postgres") { "PGPASSWORD" } else { "MYSQL_PWD" };
    let password = env::var(variable).ok().filter(|_| !url.starts_with("mongodb"));
    Ok(DumpSource::Server(LiveServer { remote, password }))
}

fn is_standard(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}

fn told_export(exported: &ExportedData) -> String {
    let ExportedData { name, path, services, bytes, size, kept, elapsed, .. } = exported;
    let into = path.as_deref().map(|path| format!(" into {}", text::path(path))).unwrap_or_default();
    let kept = if *kept > 0 { ", going on where it was" } else { "" };
    let (services, bytes, size) = (services.join(", "), text::bytes(*bytes), text::bytes(*size));
    format!(
        "exported {name}{into}: {services}, {bytes} of data in {size}, {}{kept}\n",
        text::elapsed(*elapsed)
    )
}

fn told_import(imported: &ImportedData) -> String {
    let ImportedData { name, services, was_there, bytes, kept, elapsed, .. } = imported;
    let services = services.join(", ");
    if *was_there {
        return format!("{name} is there already: {services}\n");
    }
    let kept = if *kept > 0 { ", going on where it was" } else { "" };
    let bytes = text::bytes(bytes.unwrap_or_default());
    format!("imported {name}: {services}, {bytes} of data, {}{kept}\n", text::elapsed(*elapsed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_moved_is_told_in_one_line() {
        let exported = ExportedData {
            name: "a-1".into(),
            path: Some("a-1.tar.zst".into()),
            services: vec!["db".into(), "redis".into()],
            bytes: 48_000_000,
            size: 6_000_000,
            chunks: 2,
            kept: 0,
            elapsed: Duration::from_millis(1_200),
        };
        let imported = ImportedData {
            name: "a-1".into(),
            services: vec!["db".into()],
            was_there: false,
            bytes: Some(48_000_000),
            chunks: 2,
            kept: 1,
            elapsed: Duration::from_millis(900),
        };
        let there = ImportedData { was_there: true, bytes: None, ..imported.clone() };
        let told = [told_export(&exported), told_import(&imported), told_import(&there)].concat();
        insta::assert_snapshot!(told, @"
        exported a-1 into a-1.tar.zst: db, redis, 48.0 MB of data in 6.0 MB, 1.2 s
        imported a-1: db, 48.0 MB of data, 900 ms, going on where it was
        a-1 is there already: db
        ");
    }

    #[test]
    fn what_continues_names_the_same_files() {
        let args = |file: Option<&str>| ExportArgs {
            name: "a-1".into(),
            file: file.map(PathBuf::from),
            force: true,
            unsanitized: false,
        };
        assert_eq!(args(Some("x y")).again().unwrap(), "envtree data export --force a-1 'x y'");
        assert_eq!(args(Some("-")).again(), None);
        let import = |file: Option<&str>| ImportArgs {
            file: file.map(PathBuf::from),
            name: Some("b".into()),
            from: file.is_none().then(|| "a.sql".into()),
            service: None,
            unsanitized: false,
            task: None,
        };
        assert_eq!(import(Some("a.tar.zst")).again().unwrap(), "envtree data import a.tar.zst --name b");
        assert_eq!(import(None).again(), None);
    }
}
