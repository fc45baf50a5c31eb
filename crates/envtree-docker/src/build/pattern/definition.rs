//! Patterns beside what Docker's documentation says of them, written down as it stands there.

use proptest::prelude::*;

use super::{Covered, Patterns, parse_lines};

/// Returns whether a pattern of parts between slashes names a path: `**` stands for any number of folders, and at the
/// end for all that lies below.
fn names(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) | (["**"], [_, ..]) => true,
        (["**", rest @ ..], _) if !rest.is_empty() => {
            (0..=path.len()).any(|skipped| names(rest, &path[skipped..]))
        }
        ([first, rest @ ..], [part, below @ ..]) => {
            let (first, part): (Vec<char>, Vec<char>) = (first.chars().collect(), part.chars().collect());
            names_part(&first, &part) && names(rest, below)
        }
        _ => false,
    }
}

/// Returns whether a pattern without slashes names a part of a path.
fn names_part(pattern: &[char], part: &[char]) -> bool {
    match (pattern, part) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=part.len()).any(|length| names_part(rest, &part[length..])),
        (['?', rest @ ..], [_, below @ ..]) => names_part(rest, below),
        ([letter, rest @ ..], [other, below @ ..]) => letter == other && names_part(rest, below),
        _ => false,
    }
}

/// Returns whether a pattern names the path or a folder that it lies in.
fn names_or_holds(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    (1..=path.len()).any(|length| names(&pattern, &path[..length]))
}

/// Returns whether lines of a `.dockerignore` cover a path, its folders asked first as in a walk.
fn covers(lines: &str, path: &str) -> bool {
    let patterns = Patterns::parse(&parse_lines(lines)).unwrap();
    let mut covered = (false, Covered::default());
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        covered = patterns.covers(&path[..end], &covered.1);
    }
    covered.0
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.]{0,2}[ab]", 1..4).prop_map(|parts| parts.join("/"))
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => "[ab*?]{0,1}[ab?]", 1 => Just("*".to_owned()), 1 => Just("**".to_owned())];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_pattern_covers_what_it_names_and_what_lies_in_it(pattern in pattern(), path in path()) {
        prop_assert_eq!(covers(&pattern, &path), names_or_holds(&pattern, &path));
    }

    #[test]
    fn slashes_around_a_pattern_say_nothing(pattern in pattern(), path in path()) {
        prop_assert_eq!(covers(&format!("  /{pattern}/ \n"), &path), covers(&pattern, &path));
    }

    /// From the first line that takes back on, lines name the file itself here: of folders that are named then, Docker
    /// remembers only what changed its answer, and its documentation says nothing of it.
    #[test]
    fn the_last_line_that_names_a_file_decides(
        lines in prop::collection::vec((any::<bool>(), pattern()), 1..5),
        path in path(),
    ) {
        let mut is_taken_back = false;
        let lines: Vec<(bool, &str)> = lines
            .iter()
            .map(|(takes_back, pattern)| {
                is_taken_back |= takes_back;
                (*takes_back, if is_taken_back { &*path } else { pattern })
            })
            .collect();
        let last = lines.iter().rfind(|(_, pattern)| names_or_holds(pattern, &path));
        let text: Vec<String> = lines
            .iter()
            .map(|(takes_back, pattern)| format!("{}{pattern}\n", if *takes_back { "!" } else { "" }))
            .collect();
        prop_assert_eq!(covers(&text.concat(), &path), last.is_some_and(|(takes_back, _)| !takes_back));
    }
}
