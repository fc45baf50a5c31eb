//! The failures of a plan's steps in words for people, and where to look for what was wrong.

use envtree_core::compose_file::lower::Places;
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

    /// Returns where the files ask for what the Engine is too old for.
    fn place_of_wish(&self, error: &TooOld) -> Option<String> {
        let (_, places) = self.files?;
        let place = match &error.asked {
            Asked::Mount { target } => places.mount(&error.owner, target),
            Asked::Key(key) => places.key(&error.owner, key),
        };
        place.map(|place| format!("{place}: service "))
    }
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
            let mut failure = Failure { taken, registry, ..Failure::of(&error) };
            if let DockerError::Build(error) = &error {
                failure.build = BuildFault::of(error);
                failure.log = output_of(error);
                let place = told.place_of_build(error.image()).unwrap_or_default();
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
