//! Objects of the Engine that envtree made for environments that are in no record any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use envtree_core::label;
use envtree_core::observed::ObservedState;
use indexmap::IndexMap;

use super::Known;
use super::check::{About, Check, Group};
use super::typed::{envtree, named};
use crate::rebuild::lost_records;
use crate::state::State;
use crate::state::record::EnvironmentRecord;
use crate::words::counted;

const fn about(name: &'static str) -> About {
    About(Group::Leftovers, name)
}

/// Judges what the Engine has of environments that no record names, and of repositories that are gone.
pub(super) fn judge(known: &Known, checks: &mut Vec<Check>) {
    let Some(engine) = &known.engine else { return };
    let observed = &engine.observed;
    let before = checks.len();
    let is_there = |path: &Path| path.try_exists().ok();
    let lost: Vec<Left> = left(&known.state, observed, is_there)
        .into_iter()
        .filter(|left| !known.is_busy(&left.record.project))
        .collect();
    checks.extend(lost.iter().filter_map(|left| without_record(left, known.here())));
    checks.extend(gone(observed, &known.state, is_there));
    if checks.len() > before {
        return;
    }
    let others = lost.len();
    checks.push(about("objects").ok(match others {
        0 => "everything that envtree made belongs to an environment or to data of a repository".to_owned(),
        _ => format!(
            "{} in no record of this state, whose worktrees are there: of other users, or of another `ENVTREE_STATE_DIR`",
            counted(others, "environment")
        ),
    }));
}

/// An environment that labels know and the state does not.
struct Left {
    record: EnvironmentRecord,
    /// How many containers, networks and volumes there are of it, in words.
    objects: String,
    is_worktree_there: bool,
}

/// Returns the environments in no record whose repositories are there; what cannot be looked at is somebody else's.
fn left(state: &State, observed: &ObservedState, is_there: impl Fn(&Path) -> Option<bool>) -> Vec<Left> {
    let lost = lost_records(state, observed).into_iter();
    lost.filter(|record| is_there(&record.repository.common_dir) == Some(true))
        .filter_map(|record| {
            let is_worktree_there = is_there(&record.worktree)?;
            let objects = objects(observed, |labels| record.owns(labels));
            Some(Left { record, objects, is_worktree_there })
        })
        .collect()
}

/// Counts the objects whose labels are wanted: `2 containers, 1 network`.
fn objects(observed: &ObservedState, is_wanted: impl Fn(&IndexMap<String, String>) -> bool) -> String {
    let ObservedState { containers, keepers, networks, volumes, uppers, .. } = observed;
    let containers = containers.iter().chain(keepers).filter(|one| is_wanted(&one.labels)).count();
    let networks = networks.iter().filter(|one| is_wanted(&one.labels)).count();
    let volumes = volumes.iter().chain(uppers).filter(|one| is_wanted(&one.labels)).count();
    let counts = [(containers, "container"), (networks, "network"), (volumes, "volume")];
    let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun));
    words.collect::<Vec<_>>().join(", ")
}

/// Judges an environment in no record; nothing of one that another state may know.
fn without_record(left: &Left, here: Option<&Path>) -> Option<Check> {
    let Left { record, objects, is_worktree_there } = left;
    let common_dir = record.repository.common_dir.as_path();
    let typed = |words: &[&str]| envtree(here, common_dir, words);
    let project = &record.project;
    if !is_worktree_there {
        return Some(about("objects").warn(
            format!("{objects} of `{project}`, which is in no record and whose worktree is gone"),
            format!("`{}` removes them, with their data", typed(&["rm", &record.task])),
        ));
    }
    (here == Some(common_dir)).then(|| {
        about("objects").warn(
            format!("{objects} of `{project}`, which is in no record; its worktree is there"),
            format!(
                "`{}` rebuilds the record, `{}` removes them with the worktree",
                typed(&["status", &record.task]),
                typed(&["rm", &record.task])
            ),
        )
    })
}

/// Judges what there is of repositories that are gone, environments and data; those that the state knows are told of there.
fn gone(observed: &ObservedState, state: &State, is_there: impl Fn(&Path) -> Option<bool>) -> Vec<Check> {
    let ObservedState { containers, keepers, networks, volumes, uppers, .. } = observed;
    let labels = containers.iter().chain(keepers).map(|container| &container.labels);
    let labels = labels.chain(networks.iter().map(|network| &network.labels));
    let labels = labels.chain(volumes.iter().chain(uppers).map(|volume| &volume.labels));
    let mut repositories: BTreeMap<String, (PathBuf, BTreeSet<String>)> = BTreeMap::new();
    for labels in labels {
        if let (Some(id), Some(common_dir)) = (labels.get(label::REPOSITORY), labels.get(label::COMMON_DIR)) {
            let known =
                repositories.entry(id.clone()).or_insert_with(|| (common_dir.into(), BTreeSet::new()));
            known.1.extend(labels.get(label::COMPOSE_PROJECT).cloned());
        }
    }
    repositories.retain(|id, (common_dir, _)| {
        state.of_repository(id).next().is_none() && is_there(common_dir) == Some(false)
    });
    let judged = repositories.iter().map(|(id, (common_dir, projects))| {
        let objects =
            objects(observed, |labels| labels.get(label::REPOSITORY).is_some_and(|other| other == id));
        about("repositories").warn(
            format!("{objects} of {}: the repository is gone, `{}`", named(projects), common_dir.display()),
            format!("unless that folder is only away: {}", sweep(id)),
        )
    });
    judged.collect()
}

/// Returns what removes all objects of a repository of which there is nothing else.
fn sweep(id: &str) -> String {
    let label = format!("--filter label={}={id}", label::REPOSITORY);
    format!(
        "`docker ps -aq {label} | xargs -r docker rm -fv; docker network ls -q {label} | xargs -r docker network rm; \
         docker volume ls -q {label} | xargs -r docker volume rm`"
    )
}

#[cfg(test)]
mod tests {
    use envtree_core::observed::{ObservedNetwork, ObservedVolume};

    use super::*;
    use crate::doctor::tests::told;
    use crate::state::identity::repository_id;
    use crate::state::record::tests::record;

    fn labels(common_dir: &str, task: Option<&str>) -> IndexMap<String, String> {
        let project = format!(
            "{}-{}",
            common_dir.trim_end_matches("/.git").trim_start_matches("/src/"),
            task.unwrap_or("1_base-2")
        );
        let id = repository_id(Path::new(common_dir));
        let mut labels: IndexMap<String, String> = [
            (label::REPOSITORY, id.as_str()),
            (label::REPOSITORY_NAME, "x"),
            (label::COMMON_DIR, common_dir),
            (label::COMPOSE_PROJECT, &project),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if let Some(task) = task {
            let worktree = format!("{common_dir}.worktrees/{task}");
            let more = [(label::TASK, task), (label::ENVIRONMENT, task), (label::WORKTREE, &worktree)];
            labels.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        labels
    }

    fn volume(labels: IndexMap<String, String>) -> ObservedVolume {
        let (name, driver) = (String::new(), String::new());
        ObservedVolume { name, driver, created: String::new(), mountpoint: String::new(), labels }
    }

    fn network(labels: IndexMap<String, String>) -> ObservedNetwork {
        ObservedNetwork { id: String::new(), name: String::new(), subnets: Vec::new(), labels }
    }

    #[test]
    fn what_is_in_no_record_is_told_with_what_removes_it() {
        let (shop, blog, old) = ("/src/shop/.git", "/src/blog/.git", "/src/old/.git");
        let observed = ObservedState {
            volumes: [
                labels(shop, Some("known")),
                labels(shop, Some("gone")),
                labels(shop, Some("there")),
                labels(blog, Some("gone")),
                labels(blog, Some("there")),
                labels("/other/.git", Some("x")),
                labels(shop, None),
                labels(old, None),
            ]
            .map(volume)
            .into(),
            networks: [labels(shop, Some("gone")), labels(old, Some("a"))].map(network).into(),
            ..ObservedState::default()
        };
        let state = State { environments: vec![record(shop, "shop", "known", "known")], ..State::default() };
        let is_there = |path: &Path| {
            (!path.starts_with("/other")).then(|| !path.ends_with("gone") && !path.starts_with("/src/old"))
        };
        let found = left(&state, &observed, is_there);
        let mut checks: Vec<Check> =
            found.iter().filter_map(|left| without_record(left, Some(Path::new(shop)))).collect();
        checks.extend(gone(&observed, &state, is_there));
        insta::assert_snapshot!(told(&checks), @"
        warn leftovers objects: 1 volume of `blog-gone`, which is in no record and whose worktree is gone
             -> `envtree -C /src/blog rm gone` removes them, with their data
        warn leftovers objects: 1 network, 1 volume of `shop-gone`, which is in no record and whose worktree is gone
             -> `envtree rm gone` removes them, with their data
        warn leftovers objects: 1 volume of `shop-there`, which is in no record; its worktree is there
             -> `envtree status there` rebuilds the record, `envtree rm there` removes them with the worktree
        warn leftovers repositories: 1 network, 1 volume of `old-1_base-2`, `old-a`: the repository is gone, `/src/old/.git`
             -> unless that folder is only away: `docker ps -aq --filter label=dev.envtree.repository=493cada552ec | xargs -r docker rm -fv; docker network ls -q --filter label=dev.envtree.repository=493cada552ec | xargs -r docker network rm; docker volume ls -q --filter label=dev.envtree.repository=493cada552ec | xargs -r docker volume rm`
        ");
        assert_eq!(found.len(), 4);
    }
}
