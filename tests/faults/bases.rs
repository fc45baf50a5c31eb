//! Harm at the requests of what makes data of other data, and of what takes it away: a base on its nearest ancestor, a
//! copy of a base, imports, and `prune`. None that is torn is ever branched, and nothing is left.

use std::fs;

use crate::common::Ran;
use crate::engine::docker;
use crate::every_request::Range;
use crate::leftovers::engine_objects;
use crate::proxy::Harm;

const REDIS: &str = "\
services:
  redis:
    image: redis:8
    ports: ['6379']
    stop_signal: SIGTERM
";

/// A seed of which no two runs make the same.
const ORIGIN: &str = "\
data:
  mode: MODE
  seed: docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli set origin $(date +%s%N)
";

/// A seed that adds all of its inputs each time.
const INCREMENTAL: &str = "\
data:
  seed:
    incremental: true
    run: for file in m/*; do docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli rpush files \"$file\" || exit; done
  inputs: [m]
";

/// One request of so many meets a kind of harm: what makes a base from nothing meets it at every request elsewhere.
const EVERY: usize = 6;

/// The same for a command that asks the Engine for more than a hundred things, and waits for servers in between.
const EVERY_OF_MANY: usize = 13;

struct Stage {
    range: Range,
    /// What the Engine has between two rounds.
    plain: Vec<String>,
}

impl Stage {
    /// Brings up an environment that the rounds do not touch.
    fn new(settings: &str) -> Self {
        let files = [("compose.yaml", REDIS), ("envtree.yaml", settings), ("m/1", "")];
        let range = Range::new(&files);
        let ran = range.sandbox.run(&["trust", "--yes"]);
        range.mend(&["up", "ground"], &ran);
        let plain = engine_objects(&range.sandbox);
        Self { range, plain }
    }

    fn redis(&self, task: &str, words: &[&str]) -> String {
        let repository = self.range.sandbox.repository();
        let server = format!("{}-{task}-redis-1", repository.file_name().unwrap().to_str().unwrap());
        docker(&[&["exec", &server, "redis-cli"], words].concat())
    }

    /// Does harm at the `first` request of a command and every sixth one after it; `mend` is what follows each time.
    fn survive(&mut self, command: &[&str], harm: Harm, first: usize, mend: impl Fn(&Self, &Ran)) {
        let mut number = first;
        loop {
            let (is_met, ran) = self.range.harm(0, command, number, harm);
            mend(self, &ran);
            let objects = engine_objects(&self.range.sandbox);
            assert_eq!(objects, self.plain, "after\n{ran}");
            if !is_met {
                break;
            }
            number += EVERY;
        }
        println!("{harm:?} at {command:?}: {}", self.range.report);
        assert!(self.range.report.harmed >= 3, "{}", self.range.report);
    }

    /// Removes the environment of a round, and the base that nothing else uses.
    fn clear(&self, after: &Ran) {
        self.range.mend(&["rm", "fix", "--yes"], after);
        self.range.mend(&["data", "drop", "--unused"], after);
    }

    /// Removes what the rounds did not touch.
    fn end(self) {
        let ran = self.range.sandbox.run(&["rm", "ground", "--yes"]);
        self.range.mend(&["data", "drop", "--unused"], &ran);
        self.range.is_clean(&ran);
    }
}

fn survive_increments(harm: Harm, first: usize) {
    let mut stage = Stage::new(INCREMENTAL);
    stage.range.sandbox.write("m/2", "");
    stage.range.sandbox.git(&["add", "."]);
    stage.range.sandbox.git(&["commit", "--quiet", "--message", "Add an input"]);
    stage.survive(&["up", "fix"], harm, first, |stage, after| {
        stage.range.mend(&["up", "fix"], after);
        let files = stage.redis("fix", &["lrange", "files", "0", "-1"]);
        assert_eq!(files, "m/1\nm/1\nm/2", "after\n{after}");
        stage.clear(after);
        assert_eq!(stage.redis("ground", &["lrange", "files", "0", "-1"]), "m/1", "after\n{after}");
    });
    stage.end();
}

fn survive_copies(harm: Harm, first: usize) {
    let mut stage = Stage::new(&ORIGIN.replace("MODE", "copy"));
    let origin = stage.redis("ground", &["get", "origin"]);
    stage.survive(&["up", "fix"], harm, first, |stage, after| {
        stage.range.mend(&["up", "fix"], after);
        assert_eq!(stage.redis("fix", &["get", "origin"]), origin, "after\n{after}");
        stage.clear(after);
    });
    stage.end();
}

fn survive_imports(harm: Harm, first: usize) {
    let mut stage = Stage::new(&ORIGIN.replace("MODE", "auto"));
    let origin = stage.redis("ground", &["get", "origin"]);
    let archive = stage.range.sandbox.repository().with_file_name("base.tar.zst");
    let archive = archive.to_str().unwrap();
    let ran = stage.range.sandbox.run(&["status", "ground"]);
    let listed = stage.range.mend(&["data", "list"], &ran);
    let base = listed["bases"][0]["name"].as_str().unwrap();
    stage.range.mend(&["data", "export", base, archive], &ran);
    stage.range.mend(&["rm", "ground", "--yes"], &ran);
    stage.range.mend(&["data", "drop", "--unused"], &ran);
    stage.plain = engine_objects(&stage.range.sandbox);
    assert!(stage.plain.is_empty());
    stage.survive(&["data", "import", archive], harm, first, |stage, after| {
        stage.range.mend(&["data", "import", archive], after);
        stage.range.mend(&["up", "fix"], after);
        assert_eq!(stage.redis("fix", &["get", "origin"]), origin, "after\n{after}");
        stage.clear(after);
    });
}

fn survive_prunes(harm: Harm, first: usize) {
    let mut stage = Stage::new(&ORIGIN.replace("MODE", "auto"));
    let prune = ["prune", "--unused-for", "0s", "--yes"];
    let ran = stage.range.sandbox.run(&["rm", "ground", "--yes"]);
    stage.plain = engine_objects(&stage.range.sandbox);
    stage.survive(&prune, harm, first, |stage, after| {
        // What was cut off is no base any more, or one as before.
        stage.range.mend(&["up", "fix"], after);
        assert!(!stage.redis("fix", &["get", "origin"]).is_empty(), "after\n{after}");
        stage.range.mend(&["rm", "fix", "--yes"], after);
        stage.range.mend(&prune, after);
        assert!(engine_objects(&stage.range.sandbox).is_empty(), "after\n{after}");
        stage.range.mend(&["data", "seed"], after);
    });
    stage.range.mend(&prune, &ran);
    stage.range.is_clean(&ran);
}

#[test]
fn a_connection_that_ends_while_a_base_is_made_on_another() {
    survive_increments(Harm::CutAfter, 1);
}

#[test]
fn an_engine_that_fails_while_a_base_is_made_on_another() {
    survive_increments(Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_base_is_made_on_another() {
    survive_increments(Harm::KillAfter, 3);
}

#[test]
fn a_connection_that_ends_while_a_base_is_copied() {
    survive_copies(Harm::CutBefore, 1);
}

#[test]
fn an_engine_that_fails_while_a_base_is_copied() {
    survive_copies(Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_base_is_copied() {
    survive_copies(Harm::KillAfter, 3);
}

#[test]
fn a_connection_that_ends_while_a_base_is_imported() {
    survive_imports(Harm::CutAfter, 1);
}

#[test]
fn an_engine_that_fails_while_a_base_is_imported() {
    survive_imports(Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_base_is_imported() {
    survive_imports(Harm::KillAfter, 3);
}

#[test]
fn an_engine_that_fails_while_bases_are_pruned() {
    survive_prunes(Harm::Refuse, 1);
}

#[test]
fn a_kill_while_bases_are_pruned() {
    survive_prunes(Harm::KillAfter, 2);
}

const POSTGRES: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret }
    stop_signal: SIGINT
";

const VERIFIED: &str = "\
data:
  sanitize: { files: [mask.sql], service: db }
  verify: { query: \"SELECT mail FROM users WHERE mail <> 'nobody'\", service: db }
";

#[test]
fn harm_while_a_dump_is_imported() {
    let files = [
        ("compose.yaml", POSTGRES),
        ("envtree.yaml", VERIFIED),
        ("mask.sql", "UPDATE users SET mail = 'nobody';\n"),
    ];
    let mut range = Range::new(&files);
    range.sandbox.run(&["trust", "--yes"]);
    let dump = range.sandbox.repository().with_file_name("real.sql");
    fs::write(&dump, "CREATE TABLE users (mail text);\nINSERT INTO users VALUES ('anna'), ('bert');\n")
        .unwrap();
    let import = ["data", "import", "--name", "real", "--from", dump.to_str().unwrap()];
    let mut number = 1;
    for harm in [Harm::KillAfter, Harm::Refuse, Harm::CutAfter].into_iter().cycle() {
        let (is_met, ran) = range.harm(0, &import, number, harm);
        let listed = range.mend(&["data", "list"], &ran);
        let is_there = listed["bases"].as_array().unwrap().iter().any(|base| base["name"] == "real");
        assert!(is_there || ran.status != Some(0), "{ran}");
        if !is_there {
            range.mend(&import, &ran);
        }
        let up = range.mend(&["up", "fix", "--data-from", "real"], &ran);
        let server = format!("{}-db-1", up["environment"]["project"].as_str().unwrap());
        let query = ["exec", &server, "psql", "-U", "app", "-qtAc", "SELECT mail FROM users"];
        assert_eq!(docker(&query), "nobody\nnobody", "after\n{ran}");
        range.mend(&["rm", "fix", "--yes"], &ran);
        range.mend(&["data", "drop", "real"], &ran);
        range.mend(&["data", "drop", "--unused"], &ran);
        range.is_clean(&ran);
        if !is_met {
            break;
        }
        number += EVERY_OF_MANY;
    }
    println!("harm while a dump is imported: {}", range.report);
    assert!(range.report.harmed >= 5, "{}", range.report);
}
