//! Images that new containers need and the Engine lacks, and those that are pulled although it has them.

use std::collections::BTreeSet;
use std::iter;

use super::service::Fates;
use super::{BuildPolicy, Draft, ReconcileError, ReconcileOptions, build, is_built};
use crate::build::ImageBuild;
use crate::observed::{ObservedImage, ObservedState};
use crate::plan::{Operation, Plan, Step};
use crate::project::Project;
use crate::service::{PullPolicy, Service};

/// Plans a pull for every image that is pulled by its policy although the Engine has it.
pub(super) fn plan_refreshed(
    plan: &mut Plan,
    desired: &Project,
    observed: &ObservedState,
    options: &ReconcileOptions,
) {
    let mut seen: Vec<(&str, Option<&str>)> = Vec::new();
    for service in desired.services.values().filter(|service| !is_built(desired, &service.image)) {
        let key = (service.image.as_str(), service.platform.as_deref());
        let Some(cause) = cause_of_refresh(service, observed.images.get(&service.image), options) else {
            continue;
        };
        if !seen.contains(&key) {
            seen.push(key);
            plan.push(Step {
                operation: Operation::PullImage {
                    image: service.image.clone(),
                    platform: service.platform.clone(),
                },
                cause: cause.into(),
                after: Vec::new(),
                awaits: Vec::new(),
            });
        }
    }
}

/// Returns why the image of a service is pulled although the Engine has it, if it is.
fn cause_of_refresh(
    service: &Service,
    image: Option<&ObservedImage>,
    options: &ReconcileOptions,
) -> Option<&'static str> {
    match options.pull.or(service.pull_policy)? {
        PullPolicy::Always => Some("its pull policy is `always`"),
        // What a digest names never changes. As in Compose, an image of unknown age is too old.
        PullPolicy::Every(time) if !service.image.contains('@') => {
            let time = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            let is_fresh = image?.tagged.is_some_and(|tagged| tagged.saturating_add(time) > options.now);
            (!is_fresh).then_some("it was pulled longer ago than its pull policy allows")
        }
        _ => None,
    }
}

/// Plans a pull or a build for every image that a new container needs and the Engine lacks.
pub(super) fn plan_missing(draft: &mut Draft<'_>, fates: &Fates<'_>) -> Result<(), ReconcileError> {
    let mut to_build: BTreeSet<String> = BTreeSet::new();
    for (name, containers) in fates {
        if !containers.iter().any(|container| container.fate.makes_container()) {
            continue;
        }
        let service = &draft.desired.services[name];
        let never = |policy| policy == Some(PullPolicy::Never);
        let own = (&*service.image, &service.platform, never(draft.options.pull.or(service.pull_policy)));
        // As in Compose, the policy of a service is that of its own image.
        let mounted = service.mounted_images().map(|image| (image, &None, never(draft.options.pull)));
        for (image, platform, is_never_pulled) in iter::once(own).chain(mounted) {
            if draft.observed.images.contains_key(image) || draft.pulls.contains_key(image) {
                continue;
            }
            let (service, image) = (name.clone(), image.to_owned());
            if is_built(draft.desired, &image) {
                if draft.options.build == BuildPolicy::Never {
                    return Err(ReconcileError::ImageNotBuilt { service, image });
                }
                to_build.insert(image);
                continue;
            }
            if is_never_pulled {
                return Err(ReconcileError::ImageMissing { service, image });
            }
            let pull = Operation::PullImage { image: image.clone(), platform: platform.clone() };
            let step = draft.push(pull, "the Engine does not have it", Vec::new(), Vec::new());
            draft.pulls.insert(image, step);
        }
    }
    plan_missing_builds(draft, &to_build)
}

/// Plans the builds of `images`, and of those that the Engine lacks and they are made from.
fn plan_missing_builds(draft: &mut Draft<'_>, images: &BTreeSet<String>) -> Result<(), ReconcileError> {
    let builds = build::builds(draft.desired)?;
    let observed = &draft.observed.images;
    let is_asked = |build: &ImageBuild| build.images.iter().any(|image| images.contains(image));
    let is_missing = |build: &ImageBuild| build.images.iter().any(|image| !observed.contains_key(image));
    let wanted =
        build::Wanted { cause: "the Engine does not have it", itself: &is_asked, as_base: &is_missing };
    let steps = build::plan_builds(&mut draft.plan, &builds, &wanted, &draft.options.worktree);
    draft.pulls.extend(steps);
    Ok(())
}
