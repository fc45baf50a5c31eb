//! Names on external networks, where other environments answer too.
//!
//! Two environments whose services bear one name on one network would each reach now its own, now the other's. Where
//! all services of the environment that are on the network meet on a network of its own as well, names there suffice,
//! and those on the external one are left out.

use crate::name::{NetworkName, ServiceName};
use crate::project::Project;

/// Takes names off external networks where they are not needed, and says where they stay.
pub(super) fn isolate_shared_names(project: &mut Project, warnings: &mut Vec<String>) {
    let external: Vec<NetworkName> =
        project.networks.iter().filter(|(_, network)| network.external).map(|(key, _)| key.clone()).collect();
    for key in &external {
        let members: Vec<ServiceName> = project
            .services
            .iter()
            .filter(|(_, service)| service.networks.contains_key(key))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &members {
            if is_needed(project, name, &members) {
                warnings.push(format!(
                    "service `{name}` bears its name on the external network `{key}`, where other environments may too"
                ));
            } else {
                take_names(project, key, name, warnings);
            }
        }
    }
}

/// Returns whether a service is on no network of the environment's own, or not on one with each of `members`.
fn is_needed(project: &Project, name: &ServiceName, members: &[ServiceName]) -> bool {
    let own = |service: &ServiceName| {
        let networks = project.services[service].networks.keys();
        networks
            .filter(|key| !project.networks.get(*key).is_some_and(|network| network.external))
            .collect::<Vec<_>>()
    };
    let mine = own(name);
    mine.is_empty() || members.iter().any(|member| !own(member).iter().any(|key| mine.contains(key)))
}

fn take_names(project: &mut Project, key: &NetworkName, name: &ServiceName, warnings: &mut Vec<String>) {
    let Some(service) = project.services.get_mut(name) else { return };
    let container = service.container_name.clone().unwrap_or_default();
    let Some(attachment) = service.networks.get_mut(key) else { return };
    attachment.nameless = true;
    for alias in &attachment.aliases {
        warnings.push(format!(
            "service `{name}`: the alias `{alias}` on the external network `{key}` is left out, for other environments may have it; `{container}` is the environment's own"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assignments, identity, raw_postgres_redis};
    use super::super::{Isolated, isolate};
    use super::*;
    use crate::project::Network;
    use crate::service::Attachment;

    /// Returns the template whose services are on `both` networks, or on the external one alone.
    fn isolated(both: &[&str], alone: &[&str]) -> Isolated {
        let mut raw = raw_postgres_redis();
        let (key, default) = (NetworkName::new("proxy").unwrap(), NetworkName::new("default").unwrap());
        raw.networks.insert(key.clone(), Network { external: true, ..Network::default() });
        let joins = Attachment { aliases: vec!["db.internal".into()], ..Attachment::default() };
        for name in both.iter().chain(alone) {
            raw.services[*name].networks.insert(key.clone(), joins.clone());
        }
        for name in alone {
            raw.services[*name].networks.shift_remove(&default);
        }
        isolate(&raw, &identity(), &assignments(&raw))
    }

    #[test]
    fn a_service_that_others_reach_elsewhere_has_no_name_on_an_external_network() {
        let isolated = isolated(&["postgres"], &[]);
        let joins = &isolated.project.services["postgres"].networks["proxy"];
        assert!(joins.nameless, "{joins:?}");
        assert_eq!(
            isolated.warnings,
            [
                "service `postgres`: the alias `db.internal` on the external network `proxy` is left out, for other environments may have it; `shop-fix-login-postgres-1` is the environment's own"
            ]
        );
        assert!(!isolated.project.services["postgres"].networks["default"].nameless);
    }

    #[test]
    fn services_that_meet_on_an_external_network_alone_keep_their_names_there() {
        let isolated = isolated(&["postgres"], &["redis"]);
        for name in ["postgres", "redis"] {
            assert!(!isolated.project.services[name].networks["proxy"].nameless);
        }
        assert_eq!(isolated.warnings.len(), 2, "{:?}", isolated.warnings);
        assert_eq!(
            isolated.warnings[0],
            "service `postgres` bears its name on the external network `proxy`, where other environments may too"
        );
    }
}
