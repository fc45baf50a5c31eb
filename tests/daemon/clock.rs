//! A clock that jumped: records from the future and from long ago are shown, and everything works on.

use std::fs;

use serde_json::{Value, json};

use crate::stage::{answer, beside, done, idle, worktree};

#[test]
fn records_of_any_time_are_shown_brought_up_and_removed() {
    let sandbox = idle();
    let file = beside(&sandbox, "home/state/envtree/environments.json");
    for (created, age) in [
        ("2099-01-01T00:00:00Z", "now"),
        ("1970-01-01T00:00:00Z", " d"),
        ("-009999-01-02T01:59:59Z", " d"),
        ("9999-12-30T22:00:00Z", "now"),
    ] {
        done(&sandbox, &["up", "fix"]);
        let mut state: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let record = &mut state["environments"][0];
        record["created"] = created.into();
        record["last_failure"] = json!({ "at": created, "what": "up", "message": "no" });
        fs::write(&file, state.to_string()).unwrap();
        let listed = done(&sandbox, &["ls"]);
        assert_eq!(listed.stderr, "", "{created}");
        let line = listed.stdout.lines().nth(1).unwrap();
        assert!(line.contains(age) && !line.contains('-'), "{created}: {listed}");
        let shown = done(&sandbox, &["status", "fix"]).stdout;
        let ages: Vec<_> = shown.lines().filter(|line| line.contains("age") || line.contains("no")).collect();
        assert!(ages.iter().any(|line| line.contains(age)), "{created}: {shown}");
        assert_eq!(answer(&sandbox, &["status", "fix"])["environment"]["created"], created);
        assert!(answer(&sandbox, &["up", "fix"])["environment"]["last_failure"].is_null());
        done(&sandbox, &["rm", "fix"]);
        assert!(!worktree(&sandbox, "fix").exists());
    }
}
