//! Tells what was done from the texts of a plan's steps: `create network shop-x_default (10.0.0.0/24)`.

use std::fmt::Write as _;

use envtree_core::branch::is_part;

use crate::text;

/// A plan's verb, its past participle, and the words that introduce what it was done to.
const VERBS: [(&str, &str, &str); 9] = [
    ("pull", "pulled", "pulled and kept"),
    ("build", "built", "built and kept"),
    ("create", "created", "created and kept"),
    ("connect", "connected", "connected"),
    ("disconnect", "disconnected", "disconnected"),
    ("start", "started", "started"),
    ("unpause", "unpaused", "unpaused"),
    ("stop", "stopped", "stopped"),
    ("remove", "removed", "removed"),
];

/// Returns a step as something done: `stopped container shop-x-db-1`.
pub(crate) fn told(step: &str) -> String {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    match VERBS.iter().find(|(name, ..)| *name == verb) {
        Some((_, done, _)) => format!("{done} {rest}"),
        None => step.to_owned(),
    }
}

/// Returns a line for each sort of step, in the order of [`VERBS`]: ``removed: container `a`, network `b` ``.
pub(crate) fn notes(steps: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    for (verb, _, label) in VERBS {
        let objects: Vec<_> = objects(steps, verb).map(quoted).collect();
        if !objects.is_empty() {
            notes.push(format!("{label}: {}", objects.join(", ")));
        }
    }
    notes
}

/// Returns a line for steps whose outcome nobody waited for.
pub(crate) fn asked(steps: &[String]) -> Option<String> {
    let asked = steps.iter().map(|step| match step.split_once(' ') {
        Some((verb, object)) => format!("{verb} {}", quoted(object)),
        None => step.clone(),
    });
    let asked = asked.collect::<Vec<_>>().join(", ");
    (!asked.is_empty()).then(|| format!("asked for, and perhaps done meanwhile: {asked}"))
}

/// Counts what was removed: `2 containers, 1 network`; nothing is `nothing on the Engine`.
pub(crate) fn removed(steps: &[String]) -> String {
    let mut text = String::new();
    for noun in ["container", "network", "volume", "database", "image"] {
        let whole = objects(steps, "remove").filter(|object| !is_part(object));
        let count = whole.filter(|object| object.starts_with(noun)).count();
        if count > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{}", text::counted(count, noun));
        }
    }
    if text.is_empty() { "nothing on the Engine".to_owned() } else { text }
}

/// Returns the volumes and databases that were removed, each as `volume shop-x_data`.
pub(crate) fn removed_data(steps: &[String]) -> impl Iterator<Item = &str> {
    objects(steps, "remove")
        .filter(|object| !is_part(object))
        .filter(|object| ["volume ", "database "].iter().any(|kind| object.starts_with(kind)))
}

/// Returns what steps of this verb were done to.
fn objects<'a>(steps: &'a [String], verb: &'static str) -> impl Iterator<Item = &'a str> {
    steps.iter().filter_map(move |step| step.strip_prefix(verb)?.strip_prefix(' '))
}

/// Puts the names of an object in backticks, and leaves out details in brackets.
fn quoted(object: &str) -> String {
    let object = object.split_once(" (").map_or(object, |(object, _)| object);
    let words = object.split(' ').enumerate();
    // A kind, its name, and with `connect`: to network, its name.
    let quoted =
        words.map(|(place, word)| if place % 3 == 1 { format!("`{word}`") } else { word.to_owned() });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<String> {
        [
            "create network shop-x_default (10.0.0.0/24)",
            "stop container shop-x-db-1",
            "remove container shop-x-db-1",
            "create container shop-x-db-1",
            "connect container shop-x-db-1 to network shared",
            "remove network shop-x_old",
            "remove volume shop-x_data",
            "remove volume shop-x_more",
            "remove container shop-x_more.keeper",
            "remove volume shop-x_more.upper",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn a_step_is_told_in_the_past() {
        assert_eq!(told("stop container shop-x-db-1"), "stopped container shop-x-db-1");
        assert_eq!(told("unpause container a"), "unpaused container a");
        assert_eq!(told("disconnect container a from network b"), "disconnected container a from network b");
        assert_eq!(told("dance"), "dance");
    }

    #[test]
    fn what_was_made_and_what_was_removed_have_lines_of_their_own() {
        insta::assert_snapshot!(notes(&steps()).join("\n"), @"
        created and kept: network `shop-x_default`, container `shop-x-db-1`
        connected: container `shop-x-db-1` to network `shared`
        stopped: container `shop-x-db-1`
        removed: container `shop-x-db-1`, network `shop-x_old`, volume `shop-x_data`, volume `shop-x_more`, container `shop-x_more.keeper`, volume `shop-x_more.upper`
        ");
        assert!(notes(&[]).is_empty());
    }

    #[test]
    fn removed_objects_are_counted_by_their_kind() {
        assert_eq!(removed(&steps()), "1 container, 1 network, 2 volumes");
        assert_eq!(removed(&[]), "nothing on the Engine");
        assert_eq!(removed_data(&steps()).collect::<Vec<_>>(), ["volume shop-x_data", "volume shop-x_more"]);
    }
}
