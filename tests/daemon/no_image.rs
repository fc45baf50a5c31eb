//! Images that cannot be had: what `up` says of each, and what is left until the next `up` or `rm`.

use crate::common::Sandbox;
use crate::leftovers::leftovers;
use crate::stage::{done, refused, sandbox_with};

/// Checks what is left of environment `fix` when there is no image for it: no container, and nothing unknown to `rm`.
#[track_caller]
pub(crate) fn assert_left(sandbox: &Sandbox) {
    let expected = [
        "network sandbox-xxxxxxxx-fix_default",
        "worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix",
        "branch fix",
        "folder /root----------------/sandbox-xxxxxxxx.worktrees/fix",
        "entry /root----------------/sandbox-xxxxxxxx/.git/worktrees/fix",
        "lock \"sandbox-xxxxxxxx-fix.lock\"",
        "record of \"sandbox-xxxxxxxx-fix\"",
    ];
    let left = leftovers(sandbox);
    assert_eq!(left.iter().map(|line| sandbox.redact(line)).collect::<Vec<_>>(), expected);
}

/// Returns what `up` says of an image that cannot be had, without the worktree's line, which comes at any time.
///
/// The next `up` fails likewise and makes no more; `rm` leaves nothing.
#[track_caller]
pub(crate) fn failure_of(image: &str, more: &str) -> String {
    let compose = format!("services:\n  app:\n    image: {image}\n    command: sleep inf\n{more}");
    let sandbox = sandbox_with(&[("compose.yaml", &compose)]);
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert_left(&sandbox);
    let again = refused(&sandbox, 5, &["up", "fix", "-q"]);
    assert_eq!(again.stdout, "");
    assert_left(&sandbox);
    done(&sandbox, &["rm", "fix"]);
    assert_eq!(leftovers(&sandbox), [""; 0]);
    let lines = ran.stderr.lines().filter(|line| !line.starts_with("created "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_registry_that_cannot_be_reached_is_told() {
    insta::assert_snapshot!(failure_of("127.0.0.1:1/nobody/nothing:1", ""), @r#"
    pulling 127.0.0.1:1/nobody/nothing:1
    failed pulling 127.0.0.1:1/nobody/nothing:1
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: the Engine cannot reach registry `127.0.0.1:1` for image `127.0.0.1:1/nobody/nothing:1`
      caused by: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    note: created and kept: network `sandbox-xxxxxxxx-fix_default`
    "#);
}

#[test]
fn an_image_of_another_platform_is_told() {
    let failure = failure_of("busybox:1", "    platform: linux/s390x\n");
    // What the Engine says itself depends on its version, on its platform, and on whether it had another image.
    let own = |line: &&str| line.starts_with("  caused by: ") && !line.contains("the Engine has");
    let lines = failure[failure.find("error: ").unwrap()..].lines().filter(|line| !own(line));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: the Engine has no image `busybox:1` for platform `linux/s390x`; `docker manifest inspect busybox:1` shows those that its registry has
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    note: created and kept: network `sandbox-xxxxxxxx-fix_default`
    ");
}
