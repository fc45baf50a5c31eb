//! The same Compose files through `docker compose config` and `envtree config --raw`: both give the same model, or
//! both refuse.
//!
//! `fixtures/` holds small projects, one intent each. `ENVTREE_ORACLE_CORPUS` names a folder of other projects to look
//! at, `ENVTREE_ORACLE_ONLY` a part of the names of those that are looked at.

// `cfg(test)` tells clippy that all of it is test code.
#[cfg(test)]
#[expect(dead_code, reason = "it serves tests of the Engine, too")]
#[path = "../common.rs"]
mod common;
#[cfg(test)]
#[cfg(feature = "daemon")]
mod create;
#[cfg(test)]
mod difference;
#[cfg(test)]
mod normalize;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod project;
#[cfg(test)]
mod writing;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;
    use std::thread;

    use serde_json::json;

    use super::difference::differences;
    use super::normalize::normalize_envtree;
    use super::programs::{Answer, compose, envtree};
    use super::project::{Project, projects};

    /// How many projects are looked at side by side: most of the time a program waits for files.
    const SIDE_BY_SIDE: usize = 4;

    #[test]
    fn every_project_gives_the_model_of_compose() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/fixtures");
        let folder = std::env::var_os("ENVTREE_ORACLE_CORPUS").map_or(fixtures, PathBuf::from);
        assert_agreement(&folder.canonicalize().expect("the corpus is a folder"));
    }

    #[test]
    fn models_that_differ_are_told_apart() {
        let mut changed = json!({"services": {"web": {"image": "a", "ports": [{"target": 80}]}}});
        let before = changed.clone();
        changed["services"]["web"]["ports"][0]["target"] = json!(81);
        changed["services"]["web"]["tty"] = json!(true);
        assert_eq!(
            differences(&before, &changed),
            [
                "services.web.ports[0].target: Compose 80, envtree 81",
                "services.web.tty: Compose nothing, envtree true"
            ]
        );
        assert_eq!(differences(&before, &before), Vec::<String>::new());
    }

    /// Fails with every difference between the programs on the projects below `folder`.
    #[track_caller]
    fn assert_agreement(folder: &Path) {
        let only = std::env::var("ENVTREE_ORACLE_ONLY").unwrap_or_default();
        let mut projects = projects(folder);
        projects.retain(|project| project.name.contains(&only));
        assert!(!projects.is_empty(), "there is no project in {}", folder.display());
        let (number, rest) = (projects.len(), Mutex::new(projects));
        let complaints = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..SIDE_BY_SIDE {
                scope.spawn(|| {
                    loop {
                        let Some(project) = rest.lock().unwrap().pop() else { break };
                        let faults = faults(&project);
                        if !faults.is_empty() {
                            complaints.lock().unwrap().push((project.name, faults));
                        }
                    }
                });
            }
        });
        let mut complaints = complaints.into_inner().unwrap();
        complaints.sort();
        let count = format!("{} of {number} projects agree", number - complaints.len());
        println!("{count}");
        let told = complaints.iter().map(|(name, faults)| format!("{name}\n  {}\n", faults.join("\n  ")));
        assert!(complaints.is_empty(), "{count}\n{}", told.collect::<String>());
    }

    /// Returns what is wrong with what envtree makes of a project.
    fn faults(project: &Project) -> Vec<String> {
        let sandbox = project.sandbox();
        let ours = envtree(&sandbox, project);
        let theirs = match &project.expected {
            // Compose is older than what this is about.
            Some(model) => Answer::Model(normalize_envtree(model.clone())),
            None => compose(&sandbox, project),
        };
        match (&theirs, &ours) {
            (Answer::Model(theirs), Answer::Model(ours)) => differences(theirs, ours),
            (Answer::Refusal(_), Answer::Refusal(said)) => {
                let lines = |text: &str| text.trim_end().replace('\n', "\n    ");
                match &project.refusal {
                    Some(expected) if expected.trim_end() == said.trim_end() => Vec::new(),
                    Some(expected) => vec![format!(
                        "refused with\n    {}\n  rather than\n    {}",
                        lines(said),
                        lines(expected)
                    )],
                    // What is said about other people's projects is not known beforehand.
                    None if std::env::var_os("ENVTREE_ORACLE_CORPUS").is_some() => Vec::new(),
                    None => {
                        vec![format!("refused, as by Compose, but `refusal` is missing\n    {}", lines(said))]
                    }
                }
            }
            (Answer::Model(_), Answer::Refusal(said)) => {
                vec![format!("envtree alone refuses: {}", said.trim_end())]
            }
            (Answer::Refusal(said), Answer::Model(_)) => {
                vec![format!("Compose alone refuses: {}", said.trim_end())]
            }
        }
    }
}
