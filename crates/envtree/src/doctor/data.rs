//! Data that branches: what branches consist of and why, what was not finished, and what nobody misses.

use std::time::Duration;

use envtree_core::settings::BranchMode;

use super::Known;
use super::check::{About, Check, Group};
use super::typed::{envtree, named};
use crate::data::engine_key;
use crate::load::load_settings;
use crate::prune::{Prunable, PrunableKind};
use crate::session::Session;
use crate::state::identity::repository_id;
use crate::words::{bytes, counted};

/// How long the Engine may take to measure what would be freed: the number of what goes is told anyway.
const MEASURING: Duration = Duration::from_secs(3);

const fn about(name: &'static str) -> About {
    About(Group::Data, name)
}

/// Judges the data of the repository, and what branches consist of on this Engine.
pub(super) async fn judge(known: &Known, checks: &mut Vec<Check>) {
    checks.push(mode(wanted(known), &tried(known), &known.machine_file));
    let Some(session) = &known.session else { return };
    checks.extend(unfinished(known, session));
    if known.engine.is_some() && known.is_state_read {
        let found = tokio::time::timeout(MEASURING * 5, Box::pin(session.would_prune(MEASURING))).await;
        match found {
            Ok(Ok(found)) => checks.push(unmissed(&found)),
            Ok(Err(error)) => {
                checks
                    .push(about("unused").fault(error, "`envtree prune --dry-run` says what is in the way"));
            }
            Err(_) => checks.push(about("unused").warn(
                "the Engine takes too long to tell what nobody uses",
                "`envtree prune --dry-run` waits for it",
            )),
        }
    }
}

/// Returns what the configuration says of branches, the machine's before the repository's.
fn wanted(known: &Known) -> BranchMode {
    let of_repository = || {
        let settings = load_settings(&known.session.as_ref()?.home_files()).ok()?;
        Some(settings.data.mode)
    };
    match known.settings.data_mode {
        BranchMode::Auto => of_repository().unwrap_or(BranchMode::Auto),
        mode => mode,
    }
}

/// What was found out of the Engine before.
enum Tried {
    /// Nothing, or no Engine answers.
    Unknown,
    /// It mounts overlays.
    Mounts,
    /// It mounts none, for this reason.
    MountsNone(String),
}

fn tried(known: &Known) -> Tried {
    let engine = known.engine.as_ref().map(|engine| engine_key(&engine.facts));
    match engine.and_then(|engine| known.state.overlays.get(&engine)) {
        None => Tried::Unknown,
        Some(None) => Tried::Mounts,
        Some(Some(reason)) => Tried::MountsNone(reason.clone()),
    }
}

/// Judges what branches consist of.
fn mode(wanted: BranchMode, tried: &Tried, machine_file: &str) -> Check {
    let about = about("mode");
    match (wanted, tried) {
        (BranchMode::Copy, _) => about.ok("copies, since `data.mode` is `copy`"),
        (BranchMode::Overlay, Tried::MountsNone(reason)) => about.fail(
            format!("`data.mode` is `overlay`, and the Engine mounts no overlays for volumes: {reason}"),
            format!("`data: {{ mode: auto }}` in `{machine_file}` and in `envtree.yaml` makes copies"),
        ),
        (BranchMode::Overlay, _) => about.ok("overlays, since `data.mode` is `overlay`"),
        (BranchMode::Auto, Tried::Unknown) => {
            about.ok("overlays where the Engine mounts them, else copies; not tried yet, which the first base does")
        }
        (BranchMode::Auto, Tried::Mounts) => about.ok("overlays, which the Engine was found to mount"),
        (BranchMode::Auto, Tried::MountsNone(reason)) => about.warn(
            format!("copies, which take the time and the space of the data: the Engine mounts no overlays for volumes: {reason}"),
            format!("`docker context use NAME` chooses another Engine, or `data: {{ mode: copy }}` in `{machine_file}` says that copies are meant"),
        ),
    }
}

/// Judges what interrupted commands left of data in the making.
fn unfinished(known: &Known, session: &Session) -> Vec<Check> {
    let common_dir = session.repository.common_dir();
    let repository = repository_id(common_dir);
    let mut checks = Vec::new();
    let unmade: Vec<&String> = known
        .state
        .unmade
        .iter()
        .filter(|data| data.repository == repository && !known.is_busy(&data.project))
        .map(|data| &data.project)
        .collect();
    if !unmade.is_empty() {
        checks.push(about("unmade").warn(
            format!("what an interrupted command began is there still: {}", named(unmade)),
            format!("`{}` removes it", envtree(known.here(), common_dir, &["data", "list"])),
        ));
    }
    let imports: Vec<&str> = known
        .state
        .imports_of(&repository)
        .filter(|import| !known.is_busy(&import.project()))
        .map(|import| import.base.name())
        .collect();
    if let Some(first) = imports.first() {
        checks.push(about("imports").warn(
            format!(
                "{} not complete: {}",
                if imports.len() == 1 { "an import is" } else { "imports are" },
                named(&imports)
            ),
            format!(
                "type the same `envtree data import` again, which goes on where it was, or `{}`",
                envtree(known.here(), common_dir, &["data", "drop", first])
            ),
        ));
    }
    checks
}

/// Judges what `prune` would remove; environments are told of elsewhere, and imports too.
fn unmissed(found: &[Prunable]) -> Check {
    let about = about("unused");
    let is_data = |one: &&Prunable| matches!(one.kind, PrunableKind::Base | PrunableKind::Torn);
    let found: Vec<&Prunable> = found.iter().filter(is_data).collect();
    if found.is_empty() {
        return about.ok("nothing that `envtree prune` would remove");
    }
    let size: u64 = found.iter().filter_map(|one| one.size).sum();
    let at_least = if found.iter().all(|one| one.size.is_some()) { "" } else { "at least " };
    let freed =
        if size > 0 { format!(", which would free {at_least}{}", bytes(size)) } else { String::new() };
    about.warn(
        format!("nobody uses {}{freed}", counted(found.len(), "base")),
        "`envtree prune --dry-run` shows them, `envtree prune` removes them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::UnmadeData;
    use crate::doctor::tests::{engine, facts, known, told};
    use crate::repository::test_repository::TestRepository;

    #[test]
    fn what_branches_consist_of_is_told_with_the_reason() {
        let of = |wanted, tried| mode(wanted, &tried, "/c.yaml");
        let none = || Tried::MountsNone("invalid argument".to_owned());
        insta::assert_snapshot!(told(&[
            of(BranchMode::Auto, Tried::Unknown),
            of(BranchMode::Auto, Tried::Mounts),
            of(BranchMode::Auto, none()),
            of(BranchMode::Copy, none()),
            of(BranchMode::Overlay, Tried::Unknown),
            of(BranchMode::Overlay, none()),
        ]), @"
        ok   data mode: overlays where the Engine mounts them, else copies; not tried yet, which the first base does
        ok   data mode: overlays, which the Engine was found to mount
        warn data mode: copies, which take the time and the space of the data: the Engine mounts no overlays for volumes: invalid argument
             -> `docker context use NAME` chooses another Engine, or `data: { mode: copy }` in `/c.yaml` says that copies are meant
        ok   data mode: copies, since `data.mode` is `copy`
        ok   data mode: overlays, since `data.mode` is `overlay`
        fail data mode: `data.mode` is `overlay`, and the Engine mounts no overlays for volumes: invalid argument
             -> `data: { mode: auto }` in `/c.yaml` and in `envtree.yaml` makes copies
        ");
    }

    #[test]
    fn what_was_found_out_of_another_engine_does_not_count() {
        let shop = TestRepository::new();
        let mut known = known(&shop);
        known.state.overlays.insert(engine_key(&facts("Podman")), Some("no".to_owned()));
        assert!(matches!(tried(&known), Tried::Unknown), "no Engine answers");
        known.engine = Some(engine("Docker Engine"));
        assert!(matches!(tried(&known), Tried::Unknown));
        known.engine = Some(engine("Podman"));
        assert!(matches!(tried(&known), Tried::MountsNone(reason) if reason == "no"));
    }

    #[test]
    fn the_word_of_the_machine_comes_before_that_of_the_repository() {
        let shop = TestRepository::new();
        shop.write("envtree.yaml", "data: { mode: copy }\n");
        let mut known = known(&shop);
        assert_eq!(wanted(&known), BranchMode::Copy);
        known.settings.data_mode = BranchMode::Overlay;
        assert_eq!(wanted(&known), BranchMode::Overlay);
        known.session = None;
        known.settings.data_mode = BranchMode::Auto;
        assert_eq!(wanted(&known), BranchMode::Auto);
    }

    #[test]
    fn data_in_the_making_is_told_unless_somebody_is_at_it() {
        let shop = TestRepository::new();
        let mut known = known(&shop);
        let own = repository_id(shop.open().common_dir());
        for (repository, project) in
            [(own.as_str(), "shop_base-1"), ("other", "blog_base-2"), (&own, "shop_base-3")]
        {
            let (repository, project) = (repository.to_owned(), project.to_owned());
            known.state.unmade.push(UnmadeData { repository, project });
        }
        known.held.push(("shop_base-3".to_owned(), None));
        let checks = unfinished(&known, known.session.as_ref().unwrap());
        insta::assert_snapshot!(told(&checks), @"
        warn data unmade: what an interrupted command began is there still: `shop_base-1`
             -> `envtree data list` removes it
        ");
    }

    #[test]
    fn what_nobody_uses_is_counted_and_measured() {
        let one = |kind, size| Prunable {
            kind,
            name: "x".to_owned(),
            services: Vec::new(),
            last_used: None,
            size,
            done: None,
        };
        let base = |size| one(PrunableKind::Base, size);
        insta::assert_snapshot!(told(&[
            unmissed(&[one(PrunableKind::Environment, None)]),
            unmissed(&[base(Some(1_000_000)), base(Some(500_000))]),
            unmissed(&[base(Some(1_000_000)), one(PrunableKind::Torn, None)]),
            unmissed(&[base(None)]),
        ]), @"
        ok   data unused: nothing that `envtree prune` would remove
        warn data unused: nobody uses 2 bases, which would free 1.5 MB
             -> `envtree prune --dry-run` shows them, `envtree prune` removes them
        warn data unused: nobody uses 2 bases, which would free at least 1.0 MB
             -> `envtree prune --dry-run` shows them, `envtree prune` removes them
        warn data unused: nobody uses 1 base
             -> `envtree prune --dry-run` shows them, `envtree prune` removes them
        ");
    }
}
