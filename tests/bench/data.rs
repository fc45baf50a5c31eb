//! Environments that begin with data: branches beside what people do without them, each until the first query answers.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Fault;
use crate::common::Sandbox;
use crate::compose::{ComposeProject, POSTGRES_AND_REDIS, repository};
use crate::program::{output_of, timed};
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// What `pgbench` calls the scale of about a gigabyte, and of three.
const GIGABYTE: u32 = 68;
const THREE: u32 = 3 * GIGABYTE;

/// How often what takes a minute is measured at most.
const FEW: usize = 3;

/// What is asked first: a table of few rows.
const FIRST: &str = "SELECT count(*) FROM pgbench_branches";

/// What touches one page of the largest table: Postgres opens its files to write, and a file is copied whole before that.
const TOUCH: &str = "SELECT aid FROM pgbench_accounts LIMIT 1";

/// What every way to the same data took.
#[derive(Default)]
struct Ways {
    branch: Samples,
    restore: Samples,
    copy: Samples,
    template: Samples,
    /// The bytes of a fresh branch, and those that are seen in it.
    own: Samples,
    seen: Samples,
    /// The first query that touches the largest table, and the same again.
    touch: Samples,
    again: Samples,
}

/// Measures environments of one gigabyte in all ways, and of three as branches.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let (small, large) = (Seeded::new(GIGABYTE)?, Seeded::new(THREE)?);
    let (mut ways, mut of_three) = (Ways::default(), Samples::default());
    for round in 0..rounds.min(FEW) {
        let task = format!("task-{round}");
        of_three.push(large.branch(&task)?);
        large.remove(&task)?;
        small.measure(&task, &mut ways)?;
    }
    let row = |name, own: &Samples, rival: &str, figures, most: Option<f64>| Row {
        name,
        unit: Unit::Seconds,
        own: own.clone(),
        rival: Some((rival_name(rival), figures)),
        expected: most.map_or(Expected::Nothing, Expected::Ratio),
    };
    let up = "`up` with 1 GB, first query";
    let mut rows = vec![
        row(up, &ways.branch, "restore", ways.restore, Some(0.05)),
        row(up, &ways.branch, "copy", ways.copy, Some(0.5)),
        row(up, &ways.branch, "template", ways.template, Some(0.5)),
        row("`up` with 3 GB, first query", &of_three, "small", ways.branch.clone(), Some(1.1)),
        row("first touch of a table of 0.9 GB", &ways.touch, "again", ways.again, None),
        Row {
            name: "a fresh branch of 1 GB",
            unit: Unit::Bytes,
            own: ways.own,
            rival: Some(("the data in it", ways.seen)),
            expected: Expected::Ratio(0.02),
        },
    ];
    rows.push(prepared(rounds)?);
    Ok(rows)
}

fn rival_name(rival: &str) -> &'static str {
    match rival {
        "restore" => "`docker compose up --wait`, `pg_restore -j2`",
        "copy" => "`cp -a` of the volume, `docker compose up --wait`",
        "template" => "`CREATE DATABASE … TEMPLATE` on a server that runs",
        "small" => "`up` with 1 GB",
        _ => "the same again",
    }
}

/// Waits until all is on the disk that was written before: it must not be on its way there while another way is measured.
fn settle() {
    rustix::fs::sync();
}

/// Measures `up` of two empty servers whose base is there.
fn prepared(rounds: usize) -> Result<Row, Fault> {
    let sandbox = Sandbox::with_files(&[
        ("compose.yaml", POSTGRES_AND_REDIS),
        ("envtree.yaml", "data: { prepare: true }\n"),
    ]);
    timed(&mut sandbox.envtree_with(&["data", "seed"]))?;
    let plain = repository(POSTGRES_AND_REDIS);
    let [mut own, mut compose] = [Samples::default(), Samples::default()];
    for round in 0..rounds {
        let task = format!("task-{round}");
        own.push(timed(&mut sandbox.envtree_with(&["up", &task]))?);
        timed(&mut sandbox.envtree_with(&["rm", "--yes", &task]))?;
        let project = ComposeProject::new(&plain, &task);
        compose.push(timed(&mut project.up())?);
        project.remove()?;
    }
    Ok(Row {
        name: "`up` of empty servers, their base there",
        unit: Unit::Seconds,
        own,
        rival: Some(("`docker compose up --wait`", compose)),
        expected: Expected::Ratio(0.2),
    })
}

/// A repository whose seed fills a Postgres, with the base there, and a dump of it.
struct Seeded {
    sandbox: Sandbox,
    /// The same services, without a seed.
    plain: Sandbox,
    dump: PathBuf,
}

impl Seeded {
    fn new(scale: u32) -> Result<Self, Fault> {
        let settings =
            format!("data: {{ seed: {{ run: pgbench -U app -qi -s {scale} app, service: postgres }} }}\n");
        let sandbox =
            Sandbox::with_files(&[("compose.yaml", POSTGRES_AND_REDIS), ("envtree.yaml", &settings)]);
        timed(&mut sandbox.envtree_with(&["trust", "--yes"]))?;
        timed(&mut sandbox.envtree_with(&["data", "seed"]))?;
        let plain = repository(POSTGRES_AND_REDIS);
        let dump = plain.repository().with_file_name("bench.dump");
        let seeded = Self { sandbox, plain, dump };
        if scale == GIGABYTE {
            seeded.write_dump()?;
        }
        Ok(seeded)
    }

    /// Writes the dump that is restored beside.
    fn write_dump(&self) -> Result<(), Fault> {
        timed(&mut self.sandbox.envtree_with(&["up", "dump"]))?;
        let server = self.server("dump");
        timed(&mut self.exec(&server, &["pg_dump", "-U", "app", "-Fc", "-f", "/tmp/bench.dump", "app"]))?;
        self.copied(&format!("{server}:/tmp/bench.dump"), &self.dump.to_string_lossy())?;
        self.remove("dump")
    }

    fn measure(&self, task: &str, ways: &mut Ways) -> Result<(), Fault> {
        ways.branch.push(self.branch(task)?);
        let (own, seen) = self.sizes(task)?;
        ways.own.push(own);
        ways.seen.push(seen);
        let server = self.server(task);
        ways.touch.push(self.query(&server, TOUCH)?);
        ways.again.push(self.query(&server, TOUCH)?);
        ways.template.push(self.template(&server)?);
        ways.restore.push(self.restore(task)?);
        ways.copy.push(self.copy(task)?);
        self.remove(task)
    }

    /// Returns how long a branch takes.
    fn branch(&self, task: &str) -> Result<f64, Fault> {
        settle();
        let up = timed(&mut self.sandbox.envtree_with(&["up", task]))?;
        Ok(up + self.query(&self.server(task), FIRST)?)
    }

    fn remove(&self, task: &str) -> Result<(), Fault> {
        timed(&mut self.sandbox.envtree_with(&["rm", "--force", "--yes", task])).map(|_| ())
    }

    /// Returns how long an empty server takes into which a dump is restored.
    fn restore(&self, task: &str) -> Result<f64, Fault> {
        settle();
        let project = ComposeProject::new(&self.plain, &format!("{task}-restore"));
        let up = timed(&mut project.up())?;
        let server = project.container("postgres");
        // A bind mount would have it there at once.
        self.copied(&self.dump.to_string_lossy(), &format!("{server}:/tmp/bench.dump"))?;
        let words = ["pg_restore", "-U", "app", "-j2", "-d", "app", "/tmp/bench.dump"];
        let restore = timed(&mut self.exec(&server, &words))?;
        let query = self.query(&server, FIRST)?;
        project.remove()?;
        Ok(up + restore + query)
    }

    /// Returns how long a server takes on a copy of the base's volume.
    fn copy(&self, task: &str) -> Result<f64, Fault> {
        settle();
        let project = ComposeProject::new(&self.plain, &format!("{task}-copy"));
        let from = self.volume_of_base()?;
        let to = project.volume("postgres-data");
        timed(&mut project.create_volume("postgres-data"))?;
        let mounts = [format!("{from}:/from:ro"), format!("{to}:/to")];
        let mut copy = self.sandbox.command("docker");
        copy.args(["run", "--rm", "--volume", &mounts[0], "--volume", &mounts[1]]);
        copy.args(["--entrypoint", "cp", "postgres:17", "-a", "/from/.", "/to/"]);
        let copied = timed(&mut copy)?;
        let up = timed(&mut project.up())?;
        let query = self.query(&project.container("postgres"), FIRST)?;
        project.remove()?;
        Ok(copied + up + query)
    }

    /// Returns how long a server that runs takes for a database like the one that it has.
    fn template(&self, server: &str) -> Result<f64, Fault> {
        settle();
        let words = ["psql", "-U", "app", "-d", "postgres", "-qc", "CREATE DATABASE copied TEMPLATE app"];
        let made = timed(&mut self.exec(server, &words))?;
        let words = ["psql", "-U", "app", "-d", "copied", "-qtAc", FIRST];
        Ok(made + timed(&mut self.exec(server, &words))?)
    }

    /// Returns the bytes of a branch's own, and those that are seen in it.
    fn sizes(&self, task: &str) -> Result<(f64, f64), Fault> {
        let status = output_of(&mut self.sandbox.envtree_with(&["status", task, "--json"]))?;
        let status: Value = serde_json::from_str(&status)?;
        let volumes = status["environment"]["volumes"].as_array().ok_or("no volumes")?;
        let data = volumes.iter().find(|volume| volume["key"] == "postgres-data").ok_or("no data volume")?;
        let bytes = |key: &str| data["branch"][key].as_f64().ok_or("the Engine tells no sizes");
        Ok((bytes("own")?, bytes("logical_at_most")?))
    }

    fn volume_of_base(&self) -> Result<String, Fault> {
        let mut list = self.sandbox.command("docker");
        list.args(["volume", "ls", "--quiet", "--filter", "label=dev.envtree.base", "--filter"]);
        let own = self.sandbox.repository().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let volumes = output_of(list.arg(format!("name=^{own}-[0-9a-f]+_base-.*_postgres_")))?;
        Ok(volumes.lines().next().ok_or("no volume of the base")?.to_owned())
    }

    fn server(&self, task: &str) -> String {
        let own = self.sandbox.repository().file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("{own}-{task}-postgres-1")
    }

    fn query(&self, server: &str, query: &str) -> Result<f64, Fault> {
        timed(&mut self.exec(server, &["psql", "-U", "app", "-qtAc", query]))
    }

    fn exec(&self, server: &str, words: &[&str]) -> Command {
        let mut command = self.sandbox.command("docker");
        command.args(["exec", server]).args(words);
        command
    }

    fn copied(&self, from: &str, to: &str) -> Result<(), Fault> {
        timed(self.sandbox.command("docker").args(["cp", "--quiet", from, to])).map(|_| ())
    }
}
