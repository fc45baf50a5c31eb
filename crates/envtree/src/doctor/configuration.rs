//! The files that say what is wanted: the machine's, the repository's, and the Compose files.

use envtree_core::settings::Settings;
use envtree_core::settings::machine::MachineSettings;

use super::Known;
use super::check::{About, Check, Group};
use super::git::record_of_task;
use crate::environment::{Definition, placeholder};
use crate::error::Error;
use crate::load::{LoadError, SETTINGS_FILE, load_machine_settings, load_settings};
use crate::session::{Session, SessionOptions, machine_settings_path};
use crate::state::State;
use crate::state::record::EnvironmentRecord;
use crate::template;
use crate::words::counted;

const MEND: &str = "mend what is named there; `envtree config` shows what comes of it";

const fn about(name: &'static str) -> About {
    About(Group::Configuration, name)
}

/// Reads the machine's configuration, of which everything has its default where it cannot be read; returns also the file as
/// people are told of it.
pub(super) fn machine(options: &SessionOptions, checks: &mut Vec<Check>) -> (MachineSettings, String) {
    let (path, is_named) = machine_settings_path(&options.environment);
    let Some(path) = path else {
        checks.push(about("machine").ok("none, since `HOME` is not set: everything has its default"));
        return (MachineSettings::default(), "~/.config/envtree/config.yaml".to_owned());
    };
    let file = format!("`{}`", path.display());
    let is_there = path.symlink_metadata().is_ok();
    let settings = match load_machine_settings(Some(path), is_named) {
        Ok(settings) => {
            checks.push(about("machine").ok(if is_there {
                file.clone()
            } else {
                format!("{file} does not exist: everything has its default")
            }));
            settings
        }
        Err(error) => {
            checks.push(about("machine").fault(error, MEND));
            MachineSettings::default()
        }
    };
    (settings, file.trim_matches('`').to_owned())
}

/// Judges the files of the repository, as the worktree around the person has them.
pub(super) fn judge(known: &Known, checks: &mut Vec<Check>) {
    let Some(session) = &known.session else { return };
    let files = session.home_files();
    let path = files.top().join(SETTINGS_FILE);
    match load_settings(&files) {
        Ok(_) => {
            let is_there = files.read(&path).is_ok_and(|text| text.is_some());
            let shown = files.display(&path);
            checks.push(about("repository").ok(if is_there {
                format!("`{shown}`")
            } else {
                format!("no `{SETTINGS_FILE}`: everything has its default")
            }));
        }
        Err(error) => {
            checks.push(about("repository").fault(error, MEND));
            // Which Compose files are meant stands in that file.
            return;
        }
    }
    let record = record(session, &known.state);
    let defined = session.define_to_show(&record, &files, &placeholder(), None);
    checks.push(compose(defined, |path| files.display(path)));
}

/// Returns the record of the environment around the person, or of one that could be made.
fn record(session: &Session, state: &State) -> EnvironmentRecord {
    let files = session.home_files();
    let own = session.own_records(state).find(|record| record.worktree == files.top()).cloned();
    own.unwrap_or_else(|| EnvironmentRecord {
        worktree: files.top().to_owned(),
        ..record_of_task(session, state)
    })
}

fn compose(defined: Result<Definition, Error>, shown: impl Fn(&std::path::Path) -> String) -> Check {
    let about = about("compose");
    let Definition { settings, wanted, .. } = match defined {
        Ok(definition) => definition,
        Err(error) => return about.fault(error, MEND),
    };
    if let Err(error) = LoadError::unless_empty(wanted.refused) {
        return about.fault(error, "take it out of the file: no Engine can do it");
    }
    let files: Vec<String> = wanted.compose_files.iter().map(|file| format!("`{}`", shown(file))).collect();
    let files = if files.is_empty() { template_words(&settings) } else { files.join(", ") };
    let services = counted(wanted.project.services.len(), "service");
    let warnings = match wanted.warnings.len() {
        0 => String::new(),
        count => format!("; `envtree config` shows {}", counted(count, "warning")),
    };
    about.ok(format!("{files}: {services}{warnings}"))
}

fn template_words(settings: &Settings) -> String {
    let name = settings.compose.template.as_deref().unwrap_or(template::DEFAULT);
    format!("no Compose file, hence template `{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{known, masked, told};
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::options;

    #[test]
    fn the_files_of_a_repository_are_told_and_what_is_wrong_in_them() {
        let judged = |files: &[(&str, &str)]| {
            let shop = TestRepository::new();
            for (path, text) in files {
                shop.write(path, text);
            }
            let mut checks = Vec::new();
            judge(&known(&shop), &mut checks);
            masked(&told(&checks), &shop)
        };
        let app = "services:\n  app:\n    image: busybox:1\n";
        let all = [
            judged(&[]),
            judged(&[("envtree.yaml", "compose: { template: postgres }\n")]),
            judged(&[
                ("compose.yaml", app),
                ("compose.override.yaml", "services: { app: { blkio_config: {} } }\n"),
            ]),
            judged(&[("compose.yaml", &app.replace("image", "imagine"))]),
            judged(&[("compose.yaml", &format!("{app}    provider: {{ type: x }}\n"))]),
            judged(&[("envtree.yaml", "hook: x\n")]),
            judged(&[("envtree.yaml", "compose: { files: [other.yaml] }\n")]),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        ok   configuration repository: no `envtree.yaml`: everything has its default
        ok   configuration compose: no Compose file, hence template `postgres-redis`: 2 services
        ok   configuration repository: `envtree.yaml`
        ok   configuration compose: no Compose file, hence template `postgres`: 1 service
        ok   configuration repository: no `envtree.yaml`: everything has its default
        ok   configuration compose: `compose.yaml`, `compose.override.yaml`: 1 service
        ok   configuration repository: no `envtree.yaml`: everything has its default
        fail configuration compose: compose.yaml:3:5: service `app`: `imagine` is not a known key; did you mean `image`?
        compose.yaml:3:5: service `app`: `image` and `build` are missing: one of them is needed
             => mend what is named there; `envtree config` shows what comes of it
        ok   configuration repository: no `envtree.yaml`: everything has its default
        fail configuration compose: compose.yaml:4:5: service `app`: `provider` is not supported: envtree runs containers only
             => mend what is named there; `envtree config` shows what comes of it
        fail configuration repository: envtree.yaml:1:1: unknown key `hook`; did you mean `hooks`?
             => mend what is named there; `envtree config` shows what comes of it
        ok   configuration repository: `envtree.yaml`
        fail configuration compose: `compose.files` in envtree.yaml names `/src/shop/other.yaml`, where there is no file
             => mend what is named there; `envtree config` shows what comes of it
        ");
    }

    #[test]
    fn the_machines_file_is_told_and_what_is_wrong_in_it() {
        let shop = TestRepository::new();
        let path = shop.beside("home/.config/envtree/config.yaml");
        let look = || {
            let mut checks = Vec::new();
            let (settings, file) = machine(&options(&shop, &shop.path), &mut checks);
            assert_eq!(file, path.display().to_string());
            (settings, masked(&told(&checks), &shop))
        };
        let (settings, absent) = look();
        assert_eq!(settings, MachineSettings::default());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "ports: { range: 30000-30009 }\n").unwrap();
        let (settings, present) = look();
        assert_eq!(settings.port_range, 30000..=30009);
        std::fs::write(&path, "ports:\n  range: 3\n").unwrap();
        let (settings, broken) = look();
        assert_eq!(settings, MachineSettings::default());
        insta::assert_snapshot!([absent, present, broken].join("\n"), @"
        ok   configuration machine: `/src/home/.config/envtree/config.yaml` does not exist: everything has its default
        ok   configuration machine: `/src/home/.config/envtree/config.yaml`
        fail configuration machine: /src/home/.config/envtree/config.yaml:2:10: expected a range of ports such as `20000-29999`
             => mend what is named there; `envtree config` shows what comes of it
        ");
    }
}
