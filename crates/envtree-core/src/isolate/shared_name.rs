//! Names and addresses on external networks, where other environments answer too.
//!
//! Two environments whose services bear one name on one network would each reach now its own, now the other's. Where
//! all services of the environment that are on the network meet on a network of its own as well, names there suffice,
//! and those on the external one are left out. Engines let a host name lead to its container on every network, and so
//! one that the file fixes is made the environment's own wherever the service joins an external network.

use indexmap::IndexMap;

use super::Identity;
use crate::name::{NetworkName, ServiceName};
use crate::project::Project;
use crate::service::Service;

/// How long the label of a host name may be (RFC 1035, section 2.3.4).
const LABEL: usize = 63;

/// What a service has to do with external networks.
struct Joined<'a> {
    /// The last one that it joins.
    key: &'a NetworkName,
    /// Whether others of the environment meet it on one of them alone, so that it keeps its names there.
    is_needed: bool,
}

/// Takes names off external networks where they are not needed, and says where they stay.
pub(super) fn isolate_shared_names(project: &mut Project, identity: &Identity, warnings: &mut Vec<String>) {
    let external: Vec<NetworkName> =
        project.networks.iter().filter(|(_, network)| network.external).map(|(key, _)| key.clone()).collect();
    let mut joined: IndexMap<ServiceName, Joined<'_>> = IndexMap::new();
    for key in &external {
        let members: Vec<ServiceName> = project
            .services
            .iter()
            .filter(|(_, service)| service.networks.contains_key(key))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &members {
            let is_needed = is_needed(project, name, &members);
            let Some(service) = project.services.get_mut(name) else { continue };
            warnings.extend(warning_of_address(name, service, key));
            if is_needed {
                warnings.push(warning_of_names(name, service, key));
            } else {
                take_names(name, service, key, warnings);
            }
            let before = joined.get(name).is_some_and(|joined| joined.is_needed);
            joined.insert(name.clone(), Joined { key, is_needed: is_needed || before });
        }
    }
    for (name, joined) in joined {
        let Some(service) = project.services.get_mut(&name) else { continue };
        warnings.extend(take_host_name(&name, service, &joined, &external, identity));
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

/// An address of a network that envtree does not make cannot be moved.
fn warning_of_address(name: &ServiceName, service: &Service, key: &NetworkName) -> Option<String> {
    let joins = service.networks.get(key)?;
    let address = joins.ipv4_address.as_ref().or(joins.ipv6_address.as_ref())?;
    Some(format!(
        "service `{name}` keeps its address {address} on the external network `{key}`, which a second environment cannot have"
    ))
}

fn warning_of_names(name: &ServiceName, service: &Service, key: &NetworkName) -> String {
    let mut names = vec![format!("`{name}`")];
    let further = service.networks.get(key).into_iter().flat_map(|joins| &joins.aliases);
    for further in further.map(|name| format!("`{name}`")) {
        if !names.contains(&further) {
            names.push(further);
        }
    }
    let bears = if names.len() > 1 { format!("the names {}", names.join(", ")) } else { "its name".into() };
    format!(
        "service `{name}` bears {bears} on the external network `{key}`, where other environments may too"
    )
}

fn take_names(name: &ServiceName, service: &mut Service, key: &NetworkName, warnings: &mut Vec<String>) {
    let container = service.container_name.clone().unwrap_or_default();
    let Some(attachment) = service.networks.get_mut(key) else { return };
    attachment.nameless = true;
    for alias in &attachment.aliases {
        warnings.push(format!(
            "service `{name}`: the alias `{alias}` on the external network `{key}` is left out, for other environments may have it; `{container}` is the environment's own"
        ));
    }
}

/// Makes the host name the environment's own; the one that the file fixes lives on as an alias on other networks than
/// the `external` ones.
fn take_host_name(
    name: &ServiceName,
    service: &mut Service,
    joined: &Joined<'_>,
    external: &[NetworkName],
    identity: &Identity,
) -> Option<String> {
    let fixed = service.hostname.take()?;
    let own = own_host_name(&fixed, identity.environment.as_str());
    let is_bare = fixed == name.as_str();
    let mut is_alias = is_bare;
    for (key, joins) in &mut service.networks {
        if external.contains(key) {
            is_alias |= !joins.nameless && joins.aliases.contains(&fixed);
        } else if !is_bare && !joins.aliases.contains(&fixed) {
            joins.aliases.push(fixed.clone());
        }
    }
    service.hostname = Some(own.clone());
    let key = joined.key;
    let instead = if joined.is_needed && !is_alias {
        format!("; what meets it on an external network alone reaches it as `{name}`, no longer as `{fixed}`")
    } else {
        String::new()
    };
    Some(format!(
        "service `{name}` has the host name `{own}` instead of `{fixed}`, which other environments may have on the external network `{key}`{instead}"
    ))
}

/// Returns `fixed` with `environment`, which is shorter than a label, at the end of its first label.
fn own_host_name(fixed: &str, environment: &str) -> String {
    let (label, domain) = fixed.split_at(fixed.find('.').unwrap_or(fixed.len()));
    let kept: String = label.chars().take(LABEL.saturating_sub(1 + environment.len())).collect();
    format!("{}-{environment}{domain}", kept.trim_end_matches('-'))
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
    fn a_fixed_host_name_is_the_environments_own_where_others_may_have_it() {
        let mut raw = raw_postgres_redis();
        let key = NetworkName::new("proxy").unwrap();
        raw.networks.insert(key.clone(), Network { external: true, ..Network::default() });
        let further = NetworkName::new("mesh").unwrap();
        raw.networks.insert(further.clone(), Network { external: true, ..Network::default() });
        for name in ["postgres", "redis"] {
            raw.services[name].hostname = Some(format!("{name}.internal"));
        }
        raw.services["postgres"]
            .networks
            .extend([(key, Attachment::default()), (further, Attachment::default())]);
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        let service = &isolated.project.services["postgres"];
        assert_eq!(service.hostname.as_deref(), Some("postgres-fix-login.internal"));
        assert_eq!(service.networks["default"].aliases, ["postgres.internal"]);
        assert!(service.networks["proxy"].aliases.is_empty());
        assert_eq!(isolated.project.services["redis"].hostname.as_deref(), Some("redis.internal"));
        assert_eq!(
            isolated.warnings,
            [
                "service `postgres` has the host name `postgres-fix-login.internal` instead of `postgres.internal`, which other environments may have on the external network `mesh`"
            ]
        );
    }

    #[test]
    fn an_own_host_name_is_no_longer_than_a_label() {
        assert_eq!(own_host_name("db", "fix-login"), "db-fix-login");
        let own = own_host_name(&format!("{}.example.com", "a".repeat(63)), &"e".repeat(45));
        assert_eq!(own, format!("{}-{}.example.com", "a".repeat(17), "e".repeat(45)));
    }

    #[test]
    fn an_address_on_an_external_network_is_warned_about() {
        let mut raw = raw_postgres_redis();
        let key = NetworkName::new("proxy").unwrap();
        raw.networks.insert(key.clone(), Network { external: true, ..Network::default() });
        let fixed = Attachment { ipv4_address: Some("172.20.0.9".into()), ..Attachment::default() };
        raw.services["redis"].networks.insert(key, fixed);
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        assert_eq!(
            isolated.warnings,
            [
                "service `redis` keeps its address 172.20.0.9 on the external network `proxy`, which a second environment cannot have"
            ]
        );
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
            "service `postgres` bears the names `postgres`, `db.internal` on the external network `proxy`, where other environments may too"
        );
    }

    #[test]
    fn a_fixed_host_name_is_the_environments_own_on_an_external_network_that_is_the_only_one() {
        let mut raw = raw_postgres_redis();
        let key = NetworkName::new("proxy").unwrap();
        raw.networks.insert(key.clone(), Network { external: true, ..Network::default() });
        for (name, hostname) in [("postgres", "cache.internal"), ("redis", "redis")] {
            let service = &mut raw.services[name];
            service.networks = IndexMap::from([(key.clone(), Attachment::default())]);
            service.hostname = Some(hostname.into());
        }
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        let service = &isolated.project.services["postgres"];
        assert_eq!(service.hostname.as_deref(), Some("cache-fix-login.internal"));
        let joins = &service.networks["proxy"];
        assert!(joins.aliases.is_empty() && !joins.nameless, "{joins:?}");
        insta::assert_snapshot!(isolated.warnings.join("\n"), @"
        service `postgres` bears its name on the external network `proxy`, where other environments may too
        service `redis` bears its name on the external network `proxy`, where other environments may too
        service `postgres` has the host name `cache-fix-login.internal` instead of `cache.internal`, which other environments may have on the external network `proxy`; what meets it on an external network alone reaches it as `postgres`, no longer as `cache.internal`
        service `redis` has the host name `redis-fix-login` instead of `redis`, which other environments may have on the external network `proxy`
        ");
    }
}
