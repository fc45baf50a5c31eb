//! Images that are built: each environment has its own, whatever the file calls them.
//!
//! Two worktrees that build `image: shop/web:dev` would otherwise overwrite each other's. An image is named as Compose
//! names one without `image`: `<project>-<service>`. Services that run it by the file's name, or by one of the `tags` of
//! its build, run the environment's own.

use indexmap::IndexMap;

use super::{Identity, label_owner};
use crate::build::Build;
use crate::label;
use crate::name::{ProjectName, ServiceName};
use crate::project::Project;
use crate::reference::Reference;
use crate::service::{MountSource, PullPolicy, Service};

/// Returns the images that the services of `project` run and mount in the environment of that project name.
pub fn own_images(project: &Project, name: &ProjectName) -> Vec<String> {
    let built = built_images(project, name);
    let mounted = project.services.values().flat_map(Service::mounted_images);
    let mounted = mounted.map(|image| own(&built, image));
    service_images(project, name, &built).into_values().chain(mounted).collect()
}

/// Returns the image that each service runs.
fn service_images(
    project: &Project,
    name: &ProjectName,
    built: &IndexMap<String, String>,
) -> IndexMap<ServiceName, String> {
    let image = |(key, service): (&ServiceName, &Service)| {
        let is_built = service.build.is_some();
        let image = if is_built { own_image(name, key) } else { own(built, &service.image) };
        (key.clone(), image)
    };
    project.services.iter().map(image).collect()
}

/// Returns the environment's own image of that name, or the name itself where none is built.
fn own(built: &IndexMap<String, String>, image: &str) -> String {
    built.get(&spelled_out(image)).map_or_else(|| image.to_owned(), Clone::clone)
}

fn own_image(name: &ProjectName, service: &ServiceName) -> String {
    format!("{name}-{service}").to_lowercase()
}

/// Returns the environment's own image for every name by which the file knows one that is built.
fn built_images(project: &Project, name: &ProjectName) -> IndexMap<String, String> {
    let mut built: IndexMap<String, String> = IndexMap::new();
    for (key, service) in project.services.iter().filter(|(_, service)| service.build.is_some()) {
        built.entry(spelled_out(&service.image)).or_insert_with(|| own_image(name, key));
    }
    // A name that a service gives its image goes before the same one among another's tags.
    for (key, service) in &project.services {
        for tag in service.build.iter().flat_map(|build| &build.tags) {
            built.entry(spelled_out(tag)).or_insert_with(|| own_image(name, key));
        }
    }
    built
}

/// Returns a reference with nothing left implicit: `app` and `docker.io/library/app:latest` are one image.
fn spelled_out(image: &str) -> String {
    Reference::parse(image).map_or_else(|_| image.to_owned(), |reference| reference.to_string())
}

/// Gives every built image its own name and labels.
pub(super) fn isolate_images(project: &mut Project, identity: &Identity, warnings: &mut Vec<String>) {
    let own_names = built_images(project, &identity.project);
    let images = service_images(project, &identity.project, &own_names);
    for (name, service) in &mut project.services {
        for mount in &mut service.mounts {
            if let MountSource::Image { image, .. } = &mut mount.source {
                *image = own(&own_names, image);
            }
        }
        let declared = std::mem::replace(&mut service.image, images[name].clone());
        let Some(build) = &mut service.build else {
            continue;
        };
        if matches!(
            service.pull_policy,
            Some(PullPolicy::Always | PullPolicy::Missing | PullPolicy::Every(_))
        ) {
            warnings.push(format!(
                "service `{name}`: `{declared}` is built and never pulled, because it has a `build`"
            ));
        }
        if !declared.is_empty() {
            build.labels.insert(label::IMAGE.into(), declared);
        }
        drop_tags(name, build, warnings);
        for context in build.additional_contexts.values_mut() {
            if let Some(image) = context.strip_prefix("service:").and_then(|service| images.get(service)) {
                *context = format!("docker-image://{image}");
            }
        }
        label_owner(&mut build.labels, identity);
    }
}

/// Leaves out names that only one environment can have.
fn drop_tags(name: &ServiceName, build: &mut Build, warnings: &mut Vec<String>) {
    if !build.tags.is_empty() {
        let tags = std::mem::take(&mut build.tags).join("`, `");
        warnings.push(format!(
            "service `{name}`: the image does not get the tags `{tags}`, for no two environments can have them"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assignments, identity, raw_postgres_redis, service};
    use super::*;
    use crate::isolate::{Isolated, isolate};

    fn built(image: &str, build: Build) -> Service {
        Service { build: Some(build), ..service(image, 80) }
    }

    fn project(services: &[(&str, Service)]) -> Project {
        let named =
            services.iter().map(|(name, service)| (ServiceName::new(*name).unwrap(), service.clone()));
        Project { services: named.collect(), ..raw_postgres_redis() }
    }

    fn isolated(services: &[(&str, Service)]) -> Isolated {
        let project = project(services);
        isolate(&project, &identity(), &assignments(&project))
    }

    #[test]
    fn a_built_image_is_the_environments_own_for_all_who_run_it() {
        let Isolated { project, warnings } = isolated(&[
            ("web", built("shop/web:dev", Build::default())),
            ("worker", service("shop/web:dev", 81)),
            ("plain", built("", Build::default())),
            ("db", service("postgres:17", 5432)),
        ]);
        let images: Vec<&str> = project.services.values().map(|service| service.image.as_str()).collect();
        assert_eq!(
            images,
            ["shop-fix-login-web", "shop-fix-login-web", "shop-fix-login-plain", "postgres:17"]
        );
        let build = project.services["web"].build.as_ref().unwrap();
        assert_eq!(build.labels[label::IMAGE], "shop/web:dev");
        assert_eq!(build.labels[label::COMPOSE_PROJECT], "shop-fix-login");
        assert!(build.labels.contains_key(label::REPOSITORY));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_tag_of_a_build_leads_to_the_environments_own_image() {
        let tagged = |tag: &str| Build { tags: vec![tag.to_owned()], ..Build::default() };
        let Isolated { project, .. } =
            isolated(&[("user", service("shop/tagged:1", 80)), ("base", built("", tagged("shop/tagged:1")))]);
        assert_eq!(project.services["user"].image, "shop-fix-login-base");
        let Isolated { project, .. } = isolated(&[
            ("other", built("", tagged("shop/named"))),
            ("named", built("shop/named", Build::default())),
            ("second", service("shop/named", 81)),
        ]);
        assert_eq!(project.services["second"].image, "shop-fix-login-named");
    }

    #[test]
    fn a_name_leads_to_a_build_however_it_is_written() {
        let mounted = MountSource::Image { image: "app:latest".into(), subpath: None };
        let mut user = service("docker.io/library/app:latest", 80);
        user.mounts.push(crate::service::Mount::new("/app", mounted));
        let tags = vec!["docker.io/shop/api".to_owned()];
        let Isolated { project, .. } = isolated(&[
            ("user", user),
            ("app", built("app", Build { tags, ..Build::default() })),
            ("api", service("shop/api:latest", 81)),
            ("other", service("shop/api:1", 82)),
        ]);
        let images: Vec<&str> = project.services.values().map(|service| service.image.as_str()).collect();
        assert_eq!(images, ["shop-fix-login-app", "shop-fix-login-app", "shop-fix-login-app", "shop/api:1"]);
        assert_eq!(project.services["user"].mounted_images().collect::<Vec<_>>(), ["shop-fix-login-app"]);
    }

    #[test]
    fn names_that_collide_are_left_out_and_said() {
        let build = Build { tags: vec!["shop/web:latest".into()], ..Build::default() };
        let web = Service { pull_policy: Some(PullPolicy::Always), ..built("shop/web", build) };
        let Isolated { project, warnings } = isolated(&[("web", web)]);
        assert!(project.services["web"].build.as_ref().unwrap().tags.is_empty());
        insta::assert_snapshot!(warnings.join("\n"), @"
        service `web`: `shop/web` is built and never pulled, because it has a `build`
        service `web`: the image does not get the tags `shop/web:latest`, for no two environments can have them
        ");
    }

    #[test]
    fn a_context_of_a_service_is_its_image() {
        let contexts = IndexMap::from([("base".to_owned(), "service:base".to_owned())]);
        let web = built("", Build { additional_contexts: contexts, ..Build::default() });
        let Isolated { project, .. } = isolated(&[("web", web), ("base", built("", Build::default()))]);
        let build = project.services["web"].build.as_ref().unwrap();
        assert_eq!(build.additional_contexts["base"], "docker-image://shop-fix-login-base");
    }
}
