//! Decides which bases nobody misses: those that nothing lies on or begins with, and that nothing used for long.

use std::cmp::Reverse;
use std::time::Duration;

use super::base::Base;
use crate::compose_file::lower::parse_duration;

/// How long a base is kept that nothing uses, unless somebody says otherwise.
pub const KEPT: Duration = Duration::from_hours(14 * 24);

/// What a time must be for which bases are kept.
pub const AGE: &str = "a time with a unit, such as `14d` or `36h`";

/// Parses a time for which bases are kept: numbers with the units `w d h m s ms us ns`, one after another; `0` needs no
/// unit.
pub fn parse_age(text: &str) -> Option<Duration> {
    parse_duration(text)
}

/// A base or snapshot, and what is known of its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use<'a> {
    /// What is used.
    pub base: &'a Base,
    /// Whether a branch lies on it, or an environment begins with it.
    pub is_held: bool,
    /// When it was last used, in seconds since 1970.
    pub last: i64,
}

/// Returns the bases that nobody used after `before`, in seconds since 1970, and that nothing uses now but others that are
/// returned too; what lies on another stands before it.
///
/// Snapshots stay, and what they lie on: nobody could make them again.
pub fn prunable<'a>(uses: &[Use<'a>], before: i64) -> Vec<&'a Base> {
    let is_old = |one: &&Use<'_>| !one.is_held && one.base.snapshot.is_none() && one.last <= before;
    let mut going: Vec<&Base> = uses.iter().filter(is_old).map(|one| one.base).collect();
    loop {
        let stays = |base: &Base| going.iter().all(|other| other.key != base.key);
        let held: Vec<&str> =
            uses.iter().filter(|one| stays(one.base)).flat_map(|one| one.base.grounds()).collect();
        let free: Vec<&Base> =
            going.iter().filter(|base| !held.contains(&base.key.as_str())).copied().collect();
        if free.len() == going.len() {
            break;
        }
        going = free;
    }
    going.sort_by_key(|base| (Reverse(base.layers().count()), Reverse(base.made)));
    going
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::branch::Layer;
    use crate::branch::base::{BaseVolume, Snapshot};
    use crate::plan::Owner;

    const NOW: i64 = 1_000_000;

    /// Returns a base that lies on `below`, a chain with the nearest first.
    fn base(key: &str, below: &[&str]) -> Base {
        let volume = BaseVolume {
            service: "db".into(),
            target: "/data".into(),
            layer: Layer::of_volume(key, "/v"),
            below: below.iter().map(|key| Layer::of_volume(key, "/v")).collect(),
            on: below.first().map(|key| (*key).to_owned()),
            owner: Owner { uid: 0, gid: 0, mode: 0o700 },
        };
        Base {
            key: key.into(),
            repository: "shop".into(),
            is_seeded: true,
            made: NOW,
            volumes: vec![volume],
            others: Vec::new(),
            snapshot: None,
            lineage: None,
            copy_of: None,
            is_raw: false,
        }
    }

    fn snapshot(key: &str, below: &[&str]) -> Base {
        let snapshot = Snapshot { name: key.into(), task: "a".into(), branch: None, commit: None };
        Base { snapshot: Some(snapshot), ..base(key, below) }
    }

    fn unused(base: &Base, last: i64) -> Use<'_> {
        Use { base, is_held: false, last }
    }

    fn keys<'a>(bases: &[&'a Base]) -> Vec<&'a str> {
        bases.iter().map(|base| base.key.as_str()).collect()
    }

    #[test]
    fn a_base_goes_once_nothing_used_it_for_so_long() {
        let one = base("one", &[]);
        assert!(prunable(&[unused(&one, NOW - 9)], NOW - 10).is_empty());
        assert_eq!(keys(&prunable(&[unused(&one, NOW - 10)], NOW - 10)), ["one"]);
        // A clock that was wrong throws nothing away.
        assert!(prunable(&[unused(&one, NOW + 5)], NOW).is_empty());
    }

    #[test]
    fn what_is_used_stays_however_long_ago_that_began() {
        let one = base("one", &[]);
        assert!(prunable(&[Use { is_held: true, ..unused(&one, 0) }], NOW).is_empty());
    }

    #[test]
    fn snapshots_stay_and_what_they_lie_on() {
        let (ground, kept, copy) = (base("ground", &[]), snapshot("kept", &["ground"]), base("copy", &[]));
        let copy = Base { copy_of: Some("kept".into()), ..copy };
        let uses = [unused(&ground, 0), unused(&kept, 0), unused(&copy, 0)];
        assert_eq!(keys(&prunable(&uses, NOW)), ["copy"]);
    }

    #[test]
    fn what_lies_on_another_goes_with_it_or_keeps_it() {
        let (low, middle, high) =
            (base("low", &[]), base("middle", &["low"]), base("high", &["middle", "low"]));
        let uses = |last| [unused(&low, 0), unused(&middle, 0), unused(&high, last)];
        assert_eq!(keys(&prunable(&uses(0), NOW - 1)), ["high", "middle", "low"]);
        assert!(prunable(&uses(NOW), NOW - 1).is_empty());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_age("14d"), Some(KEPT));
        assert_eq!(parse_age("1d12h"), parse_age("36h"));
        assert_eq!(parse_age("0"), Some(Duration::ZERO));
        for nonsense in ["", "14", "-1d", "d", "14 days", "1y", "99999999999999999999d", "1d-2h"] {
            assert_eq!(parse_age(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn nothing_goes_that_something_else_stands_on(
            drawn in prop::collection::vec((0..4_u8, 0..4_u8, 0..4_u8, any::<prop::sample::Index>()), 1..8),
        ) {
            let mut bases: Vec<Base> = Vec::new();
            for (_, _, kind, ground) in &drawn {
                let ground = bases.get(ground.index(bases.len() + 1));
                let below: Vec<&str> =
                    ground.iter().flat_map(|ground| ground.layers()).map(|layer| layer.volume.as_str()).collect();
                let key = format!("base{}", bases.len());
                bases.push(if *kind == 0 { snapshot(&key, &below) } else { base(&key, &below) });
            }
            let use_of = |(base, (held, new, ..)): (_, &(u8, u8, _, _))| {
                Use { base, is_held: *held == 0, last: if *new == 0 { NOW } else { 0 } }
            };
            let uses: Vec<Use<'_>> = bases.iter().zip(&drawn).map(use_of).collect();
            let going = keys(&prunable(&uses, NOW - 1));
            for one in &uses {
                let goes = going.contains(&one.base.key.as_str());
                prop_assert!(!goes || (!one.is_held && one.last < NOW && one.base.snapshot.is_none()));
                prop_assert!(goes || one.base.grounds().all(|ground| !going.contains(&ground)));
                // What lies on another goes before it.
                let place = |key: &str| going.iter().position(|other| *other == key);
                let own = place(&one.base.key);
                prop_assert!(!goes || one.base.grounds().all(|ground| place(ground).is_none_or(|at| Some(at) > own)));
            }
        }
    }
}
