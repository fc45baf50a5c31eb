//! `config` of a large Compose file with includes and extended services.

use std::fmt::Write as _;

use crate::Fault;
use crate::common::Sandbox;
use crate::program::timed;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How many files are included.
const INCLUDED: usize = 6;
/// How many services each of them has.
const SERVICES: usize = 10;
/// How often each program is run in a round: a run is short, and so its time is noisy.
const RUNS: usize = 5;

/// What every service extends.
const BASE: &str = "\
services:
  base:
    image: busybox:1
    restart: unless-stopped
    environment: { LOG_LEVEL: '${LOG_LEVEL:-info}', REGION: '${REGION:-here}' }
    labels: [team=shop, 'tier=${TIER:-back}']
    healthcheck: { test: [CMD, 'true'], interval: 5s, timeout: 1s, retries: 3 }
    volumes: ['./shared:/shared:ro']
";

/// Measures loading and isolating 60 services of six included files, each of which extends a service of another file.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let mut files = vec![("compose.yaml".to_owned(), String::from("include:\n"))];
    files.push(("common/base.yaml".to_owned(), BASE.to_owned()));
    for number in 0..INCLUDED {
        writeln!(files[0].1, "  - part-{number}/compose.yaml")?;
        files.push((format!("part-{number}/compose.yaml"), part(number)?));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sandbox = Sandbox::with_files(&files);
    let [mut own, mut compose] = [Samples::default(), Samples::default()];
    for _ in 0..rounds * RUNS {
        own.push(timed(sandbox.envtree().args(["config", "fix"]))?);
        compose.push(timed(sandbox.command("docker").args(["compose", "config"]))?);
    }
    Ok(vec![Row {
        name: "`config`, 60 services",
        unit: Unit::Seconds,
        own,
        rival: Some(("`docker compose config`", compose)),
        expected: Expected::Ratio(0.2),
    }])
}

fn part(number: usize) -> Result<String, Fault> {
    let mut text = String::from("services:\n");
    for service in 0..SERVICES {
        let name = format!("service-{number}-{service}");
        writeln!(text, "  {name}:\n    extends: {{ file: ../common/base.yaml, service: base }}")?;
        writeln!(text, "    environment: [NAME={name}, 'TOKEN=${{TOKEN:-none}}']")?;
        // A sandbox has fifty ports.
        if service % 2 == 0 {
            writeln!(text, "    ports: ['{}']", 8000 + service)?;
        }
        writeln!(text, "    volumes: ['./data:/data', 'volume-{number}:/var/lib/data']")?;
        if service > 0 {
            writeln!(text, "    depends_on: [service-{number}-{}]", service - 1)?;
        }
    }
    writeln!(text, "volumes:\n  volume-{number}: {{}}")?;
    Ok(text)
}
