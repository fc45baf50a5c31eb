//! The failures of a plan's steps in words for people, and where to look for what was wrong.

use envtree_core::compose_file::lower::Places;
use envtree_core::compose_file::node::Place;
use envtree_core::project::Project;
use envtree_docker::version::{Asked, TooOld};
use envtree_docker::{BuildError, DockerError, ImageError};

use crate::apply::FailureCause;
use crate::error::{BuildFault, Failure};
use crate::state::record::EnvironmentRecord;
use crate::taken::refused_port;

/// What a failure is told by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The environment.
    pub(crate) record: &'a EnvironmentRecord,
    /// Its isolated project, and where the files say what.
    pub(crate) files: Option<(&'a Project, &'a Places)>,
}

impl Told<'_> {
    /// Returns whose image it is, and where the files say how it is built.
    fn place_of_build(&self, image: &str) -> Option<String> {
        let (project, places) = self.files?;
        let (name, _) =
            project.services.iter().find(|(_, service)| service.build.is_some() && service.image == image)?;
        let place = places.key(name.as_str(), "build").map(|place| format!("{place}: ")).unwrap_or_default();
        Some(format!("{place}service `{name}`: "))
    }

    /// Returns whose container the Engine did not make or start, and where the files say what it refused.
    fn place_of_container(&self, error: &DockerError) -> Option<String> {
        let (DockerError::CreateContainer { container, source }
        | DockerError::StartContainer { container, source }
        | DockerError::PutFiles { container, source }
        | DockerError::ConnectNetwork { container, source, .. }) = error
        else {
            return None;
        };
        let (project, places) = self.files?;
        let mut services = project.services.iter().chain(&project.shared);
        let (name, _) =
            services.find(|(_, service)| service.container_names().any(|name| name == container))?;
        let key = refused_keys(&source.message).iter().find_map(|key| Some((*key, places.key(name, key)?)));
        // A name behind which no line stands is that of an option, which says nothing of the service.
        let place = key.map(|(_, place)| place).or(places.service(name).filter(|place| place.line > 0));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        let key = key.map(|(key, _)| format!("`{key}`: ")).unwrap_or_default();
        Some(format!("{place}service `{name}`: {key}"))
    }

    /// Returns where the files ask for what the Engine is too old for.
    fn place_of_wish(&self, error: &TooOld) -> Option<String> {
        let (_, places) = self.files?;
        place_of_wish(places, error).map(|(kind, place)| format!("{place}: {kind} "))
    }
}

/// Returns the keys, the likeliest first, that the Engine's words for a container that it refuses clearly mean.
fn refused_keys(message: &str) -> &'static [&'static str] {
    const WORDS: [(&str, &[&str]); 16] = [
        ("invalid runtime name", &["runtime"]),
        ("could not select device driver", &["gpus", "deploy"]),
        ("gathering device information", &["devices"]),
        ("error looking up logging plugin", &["logging"]),
        ("log-opt", &["logging"]),
        ("log opt", &["logging"]),
        ("sysctl", &["sysctls"]),
        ("requested cpus are not available", &["cpuset"]),
        ("cpuset", &["cpuset"]),
        ("unable to find user", &["user"]),
        ("unable to find group", &["group_add", "user"]),
        ("storage-opt", &["storage_opt"]),
        ("working directory", &["working_dir"]),
        ("unknown capability", &["cap_add", "cap_drop"]),
        ("capability not supported", &["cap_add", "cap_drop"]),
        ("executable file not found", &["entrypoint", "command"]),
    ];
    let message = message.to_lowercase();
    WORDS.iter().find(|(words, _)| message.contains(words)).map_or(&[], |(_, keys)| *keys)
}

/// Returns where files ask for what the Engine is too old for, and whether a `service` or a `network` does.
pub(crate) fn place_of_wish<'a>(places: &'a Places, error: &TooOld) -> Option<(&'static str, &'a Place)> {
    let of_service = match &error.asked {
        Asked::Mount { target } => places.mount(&error.owner, target),
        Asked::Key(key) => places.key(&error.owner, key),
    };
    let of_network = match &error.asked {
        Asked::Key(key) => places.declared("networks", &error.owner, &[key]),
        Asked::Mount { .. } => None,
    };
    of_service.map(|place| ("service", place)).or(of_network.map(|place| ("network", place)))
}

/// Returns the failure of one step of a plan for people.
pub(crate) fn step_failure<G>(
    failure: FailureCause<DockerError, G>,
    told: &Told<'_>,
    of_gate: &impl Fn(G) -> Option<Failure>,
) -> Option<Failure> {
    match failure {
        FailureCause::Gate(cause) => of_gate(cause),
        FailureCause::Engine(error) => {
            let taken = match &error {
                DockerError::PortInUse { container, port, .. } => refused_port(told.record, container, *port),
                _ => None,
            };
            let registry = match &error {
                DockerError::Image(ImageError::RegistryDenied { registry, .. }) => Some(registry.clone()),
                _ => None,
            };
            let unstoppable = match &error {
                DockerError::HookFailed { container, key: "pre_stop", .. } => Some(container.clone()),
                _ => None,
            };
            let mut failure = Failure { taken, registry, unstoppable, ..Failure::of(&error) };
            if let DockerError::Build(error) = &error {
                failure.build = BuildFault::of(error);
                failure.log = output_of(error);
                let place = told.place_of_build(error.image()).unwrap_or_default();
                failure.causes[0].insert_str(0, &place);
            }
            if let Some(place) = told.place_of_container(&error) {
                failure.causes[0].insert_str(0, &place);
            }
            if let DockerError::TooOld(error) = &error {
                failure.causes[0].insert_str(0, &told.place_of_wish(error).unwrap_or_default());
            }
            Some(failure)
        }
    }
}

/// Returns the last lines of the step of a build that failed.
fn output_of(error: &BuildError) -> Vec<String> {
    let BuildError::Step { output, .. } = error else {
        return Vec::new();
    };
    let end = output.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    output[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use envtree_core::compose_file::parse::parse;
    use envtree_core::name::{ProjectName, ServiceName};
    use envtree_core::service::Service;
    use envtree_docker::EngineFailure;

    use super::*;
    use crate::repository::test_repository::TestRepository;
    use crate::session::Session;
    use crate::session::test_session::{main_record, options};

    #[test]
    fn a_refused_container_is_told_with_its_service_and_the_key_that_is_meant() {
        let text = "services:\n  web:\n    image: a\n    runtime: nope\n    command: x\n";
        let places = Places::of(&parse("compose.yaml", text).unwrap());
        let mut project = Project::new(ProjectName::new("shop").unwrap());
        let web = Service { container_name: Some("shop-web-1".into()), ..Service::default() };
        project.services.insert(ServiceName::new("web").unwrap(), web);
        let shop = TestRepository::new();
        let record = main_record(&Session::open(options(&shop, &shop.path)).unwrap());
        let told = Told { record: &record, files: Some((&project, &places)) };
        let said = |container: &str, message: &str| {
            let source = EngineFailure { status: Some(400), message: message.to_owned() };
            let cause =
                FailureCause::Engine(DockerError::StartContainer { container: container.into(), source });
            step_failure::<()>(cause, &told, &|()| None).unwrap().causes.join(": ")
        };
        insta::assert_snapshot!(
            [
                said("shop-web-1", "unknown or invalid runtime name: nope"),
                said("shop-web-1", "exec: \"x\": executable file not found in $PATH"),
                said("shop-web-1", "unable to find user me: no matching entries"),
                said("other", "no space left on device"),
            ]
            .join("\n"),
            @r#"
        compose.yaml:4:5: service `web`: `runtime`: cannot start container `shop-web-1`: unknown or invalid runtime name: nope
        compose.yaml:5:5: service `web`: `command`: cannot start container `shop-web-1`: exec: "x": executable file not found in $PATH
        compose.yaml:2:3: service `web`: cannot start container `shop-web-1`: unable to find user me: no matching entries
        cannot start container `other`: no space left on device
        "#
        );
    }
}
