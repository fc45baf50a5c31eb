//! Builds: which images are made, and in what order.

use indexmap::IndexMap;

use super::{ReconcileError, ReconcileOptions};
use crate::build::{Build, ImageBuild, is_folder, is_remote};
use crate::isolate::is_within;
use crate::label;
use crate::name::ServiceName;
use crate::plan::{Await, Operation, Plan, Step, StepId};
use crate::project::Project;
use crate::service::{PullPolicy, Service};

/// When images are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildPolicy {
    /// When the Engine does not have them.
    #[default]
    Missing,
    /// Whenever the environment is brought up.
    Always,
    /// Never: a missing image is an error.
    Never,
}

/// Returns every build of an isolated project: one for all services whose images are built alike.
pub(super) fn builds(desired: &Project) -> Result<Vec<ImageBuild>, ReconcileError> {
    let mut builds: Vec<ImageBuild> = Vec::new();
    for (name, service) in desired.built() {
        let Some(definition) = &service.build else {
            continue;
        };
        let platform = platform(name, service, definition)?;
        let (image, definition) = (service.image.clone(), definition.clone());
        let alike = |build: &&mut ImageBuild| build.definition == definition && build.platform == platform;
        match builds.iter_mut().find(alike) {
            Some(build) if build.images.contains(&image) => build.services.push(name.clone()),
            Some(build) => {
                build.images.push(image);
                build.services.push(name.clone());
            }
            None => builds.push(ImageBuild {
                images: vec![image],
                services: vec![name.clone()],
                definition,
                platform,
            }),
        }
    }
    for build in &mut builds {
        let service = build.services[0].to_string();
        build.definition.labels.insert(label::COMPOSE_SERVICE.into(), service);
    }
    Ok(builds)
}

/// Returns the one platform that is built, for containers run on one: of several, the service's, else the builder's
/// choice.
fn platform(
    name: &ServiceName,
    service: &Service,
    definition: &Build,
) -> Result<Option<String>, ReconcileError> {
    match (&service.platform, definition.platforms.as_slice()) {
        (None, [only]) => Ok(Some(only.clone())),
        (None, _) => Ok(None),
        (Some(wanted), built) if built.is_empty() || built.contains(wanted) => Ok(Some(wanted.clone())),
        (Some(wanted), built) => Err(ReconcileError::PlatformNotBuilt {
            service: name.clone(),
            platform: wanted.clone(),
            platforms: built.to_vec(),
        }),
    }
}

/// Which builds are wanted, and why.
pub(super) struct Wanted<'a> {
    pub(super) cause: &'a str,
    /// For its own sake.
    pub(super) itself: &'a dyn Fn(&ImageBuild) -> bool,
    /// Because a wanted one is made from it.
    pub(super) as_base: &'a dyn Fn(&ImageBuild) -> bool,
}

/// Plans the wanted ones of `builds`, each after those whose images it is made from.
///
/// Returns the step that makes each image.
pub(super) fn plan_builds(
    plan: &mut Plan,
    builds: &[ImageBuild],
    wanted: &Wanted<'_>,
    worktree: &str,
) -> IndexMap<String, StepId> {
    let mut planning = Planning { plan, builds, wanted, worktree, begun: Vec::new(), steps: IndexMap::new() };
    for (position, build) in builds.iter().enumerate() {
        if (wanted.itself)(build) {
            planning.build(position);
        }
    }
    planning.steps
}

struct Planning<'a> {
    plan: &'a mut Plan,
    builds: &'a [ImageBuild],
    wanted: &'a Wanted<'a>,
    worktree: &'a str,
    begun: Vec<usize>,
    steps: IndexMap<String, StepId>,
}

impl Planning<'_> {
    fn build(&mut self, position: usize) {
        // Of builds that need each other in a circle, the first that is met goes without, and fails.
        if self.begun.contains(&position) {
            return;
        }
        self.begun.push(position);
        let build = &self.builds[position];
        let images = build
            .definition
            .additional_contexts
            .values()
            .filter_map(|text| text.strip_prefix("docker-image://"));
        let mut after = Vec::new();
        for image in images {
            let base = self.builds.iter().position(|other| other.images.iter().any(|own| own == image));
            if let Some(base) = base.filter(|base| (self.wanted.as_base)(&self.builds[*base])) {
                self.build(base);
            }
            after.extend(self.steps.get(image));
        }
        let step = self.plan.push(Step {
            operation: Operation::BuildImage(Box::new(build.clone())),
            cause: self.wanted.cause.to_owned(),
            after,
            awaits: if reads_worktree(&build.definition, self.worktree) {
                vec![Await::Checkout]
            } else {
                Vec::new()
            },
        });
        self.steps.extend(build.images.iter().map(|image| (image.clone(), step)));
    }
}

fn reads_worktree(definition: &Build, worktree: &str) -> bool {
    let folders = definition.additional_contexts.values().filter(|context| is_folder(context));
    let context = Some(&definition.context).filter(|context| !is_remote(context));
    let dockerfile = definition.dockerfile.as_ref().filter(|path| path.starts_with('/'));
    context
        .into_iter()
        .chain(folders)
        .chain(dockerfile)
        .any(|path| is_within(path, worktree) || is_within(worktree, path))
}

/// Returns whether an image is built although the Engine may have it.
pub(super) fn is_forced(project: &Project, build: &ImageBuild, options: &ReconcileOptions) -> bool {
    let asks = || {
        let mut services = project.built().filter(|(name, _)| build.services.contains(name));
        services.any(|(_, service)| service.pull_policy == Some(PullPolicy::Build))
    };
    match options.build {
        BuildPolicy::Always => true,
        BuildPolicy::Missing => asks(),
        BuildPolicy::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis, service};
    use crate::observed::ObservedState;
    use crate::reconcile::tests::options;
    use crate::reconcile::{plan_images, reconcile};
    use crate::simulate::SimulatedEngine;
    use crate::teardown::{RemovalOptions, plan_removal};

    fn context(folder: &str) -> Build {
        Build { context: folder.into(), ..Build::default() }
    }

    fn project(services: &[(&str, Option<Build>)]) -> Project {
        let named = services.iter().map(|(name, build)| {
            let image = if build.is_some() { "" } else { "redis:8" };
            (ServiceName::new(*name).unwrap(), Service { build: build.clone(), ..service(image, 80) })
        });
        let raw = Project { services: named.collect(), ..raw_postgres_redis() };
        isolate(&raw, &identity(), &assignments(&raw)).project
    }

    fn images(plan: &Plan) -> String {
        let steps = plan
            .steps
            .iter()
            .filter(|step| matches!(step.operation, Operation::BuildImage(_) | Operation::PullImage { .. }));
        let line = |step: &Step| {
            let waits = if step.awaits.is_empty() { "" } else { ", after the checkout" };
            format!("{} [{}]{waits}\n", step.operation, step.cause)
        };
        steps.map(line).collect()
    }

    #[test]
    fn a_missing_image_is_built_once_and_then_left_alone() {
        let project = project(&[("web", Some(context("/w/fix-login/web"))), ("cache", None)]);
        let mut engine = SimulatedEngine::default();
        let plan = reconcile(&project, &engine.state, &options()).unwrap();
        insta::assert_snapshot!(images(&plan), @"
        pull image redis:8 [the Engine does not have it]
        build image shop-fix-login-web [the Engine does not have it], after the checkout
        ");
        engine.apply(&plan).unwrap();
        assert!(reconcile(&project, &engine.state, &options()).unwrap().is_empty());
        assert!(plan_images(&project, &ObservedState::default(), &options()).unwrap().is_empty());
    }

    #[test]
    fn services_that_are_built_alike_share_one_build() {
        let build = context("/srv/app");
        let other = Build { target: Some("dev".into()), ..build.clone() };
        let project = project(&[("a", Some(build.clone())), ("b", Some(build)), ("c", Some(other))]);
        let plan = reconcile(&project, &ObservedState::default(), &options()).unwrap();
        insta::assert_snapshot!(images(&plan), @"
        build image shop-fix-login-a (also shop-fix-login-b) [the Engine does not have it]
        build image shop-fix-login-c [the Engine does not have it]
        ");
    }

    #[test]
    fn an_image_is_built_after_those_that_it_is_made_from() {
        let contexts = IndexMap::from([("base".to_owned(), "service:base".to_owned())]);
        let web = Build { additional_contexts: contexts, ..context("/srv/web") };
        let project = project(&[("web", Some(web)), ("base", Some(context("/srv/base")))]);
        let plan = reconcile(&project, &ObservedState::default(), &options()).unwrap();
        insta::assert_snapshot!(images(&plan), @"
        build image shop-fix-login-base [the Engine does not have it]
        build image shop-fix-login-web [the Engine does not have it]
        ");
        assert_eq!(plan.steps[1].after, [StepId(0)]);
    }

    #[test]
    fn builds_are_forced_by_the_person_and_by_the_file() {
        let mut project = project(&[("web", Some(context("/srv/web"))), ("api", Some(context("/srv/api")))]);
        let always = ReconcileOptions { build: BuildPolicy::Always, ..options() };
        insta::assert_snapshot!(images(&plan_images(&project, &ObservedState::default(), &always).unwrap()), @"
        build image shop-fix-login-web [it is built anew]
        build image shop-fix-login-api [it is built anew]
        ");
        project.services["api"].pull_policy = Some(PullPolicy::Build);
        let plan = plan_images(&project, &ObservedState::default(), &options()).unwrap();
        assert_eq!(images(&plan), "build image shop-fix-login-api [it is built anew]\n");
        let never = ReconcileOptions { build: BuildPolicy::Never, ..options() };
        assert!(plan_images(&project, &ObservedState::default(), &never).unwrap().is_empty());
        assert!(matches!(
            reconcile(&project, &ObservedState::default(), &never),
            Err(ReconcileError::ImageNotBuilt { image, .. }) if image == "shop-fix-login-web"
        ));
    }

    #[test]
    fn one_platform_is_built_and_it_must_be_one_of_the_files() {
        let build =
            Build { platforms: vec!["linux/amd64".into(), "linux/arm64".into()], ..context("/srv/web") };
        let mut project = project(&[("web", Some(build))]);
        assert_eq!(builds(&project).unwrap()[0].platform, None);
        project.services["web"].platform = Some("linux/arm64".into());
        assert_eq!(builds(&project).unwrap()[0].platform.as_deref(), Some("linux/arm64"));
        project.services["web"].platform = Some("linux/s390x".into());
        assert!(matches!(builds(&project), Err(ReconcileError::PlatformNotBuilt { .. })));
    }

    #[test]
    fn a_removal_takes_the_built_images_once_nothing_runs_them() {
        let project = project(&[("web", Some(context("/srv/web"))), ("cache", None)]);
        let mut engine = SimulatedEngine::default();
        engine.apply(&reconcile(&project, &engine.state, &options()).unwrap()).unwrap();
        let removal =
            RemovalOptions { repository: options().repository, images: true, ..RemovalOptions::default() };
        let plan = plan_removal(&engine.state, &project.name, &removal);
        engine.apply(&plan).unwrap();
        assert!(engine.state.built.is_empty());
        assert_eq!(engine.state.images.keys().collect::<Vec<_>>(), ["redis:8"]);
    }
}
