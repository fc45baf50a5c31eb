//! The commands of a repository: when they run, and that they need consent.

use std::fs;

use crate::common::Sandbox;
use crate::stage::{IDLE, answer, commit, containers, done, refused, sandbox_with, worktree};

const HOOKS: &str = "\
hooks:
  post_create: echo create >>\"$WORKTREE_MAIN_PATH/../ran\"
  post_up: echo up >>\"$WORKTREE_MAIN_PATH/../ran\"
  pre_remove: echo remove >>\"$WORKTREE_MAIN_PATH/../ran\"
";

fn with_hooks(settings: &str) -> Sandbox {
    sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", settings)])
}

/// Returns what the hooks wrote, in one line.
fn ran(sandbox: &Sandbox) -> String {
    let text = fs::read_to_string(crate::stage::beside(sandbox, "ran")).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn hooks_that_nobody_trusts_are_skipped_and_named() {
    let sandbox = with_hooks(HOOKS);
    let up = done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "");
    insta::assert_snapshot!(up.stderr, @"
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix ([time])
    warning: hook `post_create` was skipped: its commands are not trusted yet; `envtree trust` shows and accepts them
    app is ready ([time])
    warning: hook `post_up` was skipped: its commands are not trusted yet; `envtree trust` shows and accepts them
    ");
    let hooks = answer(&sandbox, &["status", "fix"])["environment"]["hooks"].clone();
    insta::assert_snapshot!(hooks, @r#"[{"hook":"post_create","outcome":"skipped-untrusted"},{"hook":"post_up","outcome":"skipped-untrusted"},{"hook":"pre_remove","outcome":"skipped-untrusted"}]"#);
}

#[test]
fn trust_shows_the_commands_and_accepts_nothing_without_consent() {
    let sandbox = with_hooks(HOOKS);
    let shown = sandbox.run(&["trust"]);
    insta::assert_snapshot!(shown, @r#"
    exit status 1
    --- stderr
    This repository wants to run:
      hooks.post_create (/root----------------/sandbox-xxxxxxxx/envtree.yaml)
        echo create >>"$WORKTREE_MAIN_PATH/../ran"
      hooks.post_up (/root----------------/sandbox-xxxxxxxx/envtree.yaml)
        echo up >>"$WORKTREE_MAIN_PATH/../ran"
      hooks.pre_remove (/root----------------/sandbox-xxxxxxxx/envtree.yaml)
        echo remove >>"$WORKTREE_MAIN_PATH/../ran"
    error: cannot ask without a terminal
    hint: `envtree trust --yes` accepts what is shown
    note: nothing was accepted
    "#);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn trusted_hooks_run_once_at_every_up_and_before_rm() {
    let sandbox = with_hooks(HOOKS);
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create up");
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create up up");
    done(&sandbox, &["down", "fix"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create up up up");
    done(&sandbox, &["rm", "fix"]);
    assert_eq!(ran(&sandbox), "create up up up remove");
}

#[test]
fn a_hook_that_was_skipped_runs_once_it_is_trusted() {
    let sandbox = with_hooks(HOOKS);
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create up");
}

#[test]
fn a_change_on_a_branch_asks_again_and_the_old_text_stays_trusted() {
    let sandbox = with_hooks(HOOKS);
    done(&sandbox, &["trust", "--yes"]);
    sandbox.git(&["switch", "--quiet", "--create", "evil"]);
    sandbox.write("envtree.yaml", &HOOKS.replace("echo up", "echo evil"));
    commit(&sandbox, "Change a hook");
    sandbox.git(&["switch", "--quiet", "main"]);
    let up = done(&sandbox, &["up", "evil"]);
    assert_eq!(ran(&sandbox), "create");
    assert!(up.stderr.contains("hook `post_up` was skipped"), "{up}");
    done(&sandbox, &["up", "good"]);
    assert_eq!(ran(&sandbox), "create create up");
    done(&sandbox, &["-C", worktree(&sandbox, "evil").to_str().unwrap(), "trust", "--yes"]);
    done(&sandbox, &["up", "evil"]);
    assert_eq!(ran(&sandbox), "create create up evil");
}

#[test]
fn a_failing_post_create_stops_up_shows_its_output_and_runs_again() {
    let hook = "hooks:\n  post_create:\n    - echo create >>\"$WORKTREE_MAIN_PATH/../ran\"\n    - echo no such package >&2; test -e fixed\n";
    let sandbox = with_hooks(hook);
    done(&sandbox, &["trust", "--yes"]);
    let failed = refused(&sandbox, 5, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create");
    insta::assert_snapshot!(failed, @r#"
    exit status 5
    --- stderr
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix ([time])
    running post_create: echo create >>"$WORKTREE_MAIN_PATH/../ran"
    ran post_create ([time])
    running post_create: echo no such package >&2; test -e fixed
    post_create | no such package
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: command `echo no such package >&2; test -e fixed` of hook `post_create` exited with status 1
      output: no such package
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    note: created and kept: network `sandbox-xxxxxxxx-fix_default`, container `sandbox-xxxxxxxx-fix-app-1`
    note: started: container `sandbox-xxxxxxxx-fix-app-1`
    "#);
    let failure = answer(&sandbox, &["status", "fix"])["environment"]["last_failure"].clone();
    insta::assert_snapshot!(failure["message"], @r#""command `echo no such package >&2; test -e fixed` of hook `post_create` exited with status 1""#);
    fs::write(worktree(&sandbox, "fix").join("fixed"), "").unwrap();
    done(&sandbox, &["up", "fix"]);
    assert_eq!(ran(&sandbox), "create create");
    assert!(answer(&sandbox, &["status", "fix"])["environment"]["last_failure"].is_null());
}

#[test]
fn a_failing_pre_remove_keeps_everything_unless_forced() {
    let sandbox = with_hooks("hooks:\n  pre_remove: echo cannot export; exit 7\n");
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "fix"]);
    let failed = refused(&sandbox, 5, &["rm", "fix"]);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
    assert!(worktree(&sandbox, "fix").exists());
    insta::assert_snapshot!(failed, @"
    exit status 5
    --- stderr
    running pre_remove: echo cannot export; exit 7
    pre_remove | cannot export
    error: command `echo cannot export; exit 7` of hook `pre_remove` exited with status 7
      output: cannot export
    hint: mend it and run `envtree rm fix` again; it continues from here
    ");
    done(&sandbox, &["rm", "--force", "fix"]);
    assert!(!worktree(&sandbox, "fix").exists());
}

#[test]
fn hooks_know_where_they_are() {
    let script = "echo $WORKTREE_BRANCH $ENVTREE_ENVIRONMENT >seen; test \"$PWD\" = \"$WORKTREE_PATH\" && test -e \"$WORKTREE_MAIN_PATH/.git\"";
    let sandbox = with_hooks(&format!("hooks:\n  post_up: {script}\n"));
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "feature/x"]);
    let seen = fs::read_to_string(worktree(&sandbox, "feature-x").join("seen")).unwrap();
    assert_eq!(seen, "feature/x feature-x\n");
}

#[test]
fn a_hook_inside_an_environment_cannot_grant_trust() {
    let envtree = env!("CARGO_BIN_EXE_envtree");
    let sandbox = with_hooks(&format!("hooks:\n  post_up: '! {envtree} trust --yes'\n"));
    done(&sandbox, &["trust", "--yes"]);
    let up = done(&sandbox, &["up", "fix", "--verbose"]);
    assert!(up.stderr.contains("nothing inside an environment can grant trust"), "{up}");
}
