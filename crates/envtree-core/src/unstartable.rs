//! What of a service no Engine of its kind makes a container for, as far as the files alone tell.

use std::net::IpAddr;

use crate::name::ServiceName;
use crate::project::Project;
use crate::service::Service;

/// What `ulimits` can be about: the kernel's limits, in lower case (getrlimit(2)).
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// The address that stands for that of the host.
const HOST_GATEWAY: &str = "host-gateway";
/// The least memory in bytes that Docker gives a container.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// Something that keeps a service from being started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service `{service}`: `{key}`: {fault}")]
pub struct Unstartable {
    /// The service.
    pub service: ServiceName,
    /// The key that says so.
    pub key: &'static str,
    /// Where in the container it is mounted, if it is a mount.
    pub target: Option<String>,
    /// What is wrong, and what was expected.
    pub fault: String,
}

/// Returns what keeps services from being started on an Engine whose containers are of the operating system `os`.
pub fn unstartable(project: &Project, os: &str, is_podman: bool) -> Vec<Unstartable> {
    if os != "linux" {
        return Vec::new();
    }
    let services = project.services.iter();
    services.flat_map(|(name, service)| faults(name, service, is_podman)).collect()
}

fn faults(name: &ServiceName, service: &Service, is_podman: bool) -> Vec<Unstartable> {
    let mut faults = Vec::new();
    let mut add = |key, target: Option<&str>, fault: String| {
        faults.push(Unstartable { service: name.clone(), key, target: target.map(str::to_owned), fault });
    };
    for line in &service.runtime.extra_hosts {
        let (host, address) = line.split_once(':').unwrap_or((line, ""));
        if address != HOST_GATEWAY && address.trim().parse::<IpAddr>().is_err() {
            add(
                "extra_hosts",
                None,
                format!("`{address}`, for `{host}`, is neither an IP address nor `{HOST_GATEWAY}`"),
            );
        }
    }
    for limit in service.runtime.ulimits.keys() {
        if !ULIMITS.contains(&limit.to_lowercase().as_str()) {
            add("ulimits", None, format!("`{limit}` is none of {}", ULIMITS.join(", ")));
        }
    }
    let memory = service.runtime.limits.mem_limit.filter(|bytes| (1..LEAST_MEMORY).contains(bytes));
    if let Some(bytes) = memory.filter(|_| !is_podman) {
        add(
            "mem_limit",
            None,
            format!("{bytes} bytes are too few; the Engine gives a container 6m at least"),
        );
    }
    for mount in service.mounts.iter().filter(|mount| !mount.target.starts_with('/')) {
        let fault = format!("the target of a mount must be an absolute path, not `{}`", mount.target);
        add("volumes", Some(&mount.target), fault);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ProjectName;
    use crate::service::{Mount, MountSource, Ulimit};

    #[test]
    fn what_no_engine_starts_is_found_at_once() {
        let mut web = Service::default();
        let hosts = ["a:10.0.0.1", "b:::1", "c:host-gateway", "d:nowhere", "e:"];
        web.runtime.extra_hosts = hosts.map(str::to_owned).to_vec();
        let limit = Ulimit { soft: 1, hard: 1 };
        web.runtime.ulimits = [("nofile".to_owned(), limit), ("nofiles".to_owned(), limit)].into();
        web.runtime.limits.mem_limit = Some(LEAST_MEMORY - 1);
        web.mounts = ["/d", "d:/d"].map(|target| Mount::new(target, MountSource::volume(None))).to_vec();
        let mut project = Project::new(ProjectName::new("shop").unwrap());
        project.services.insert(ServiceName::new("web").unwrap(), web);
        let said = |project: &Project, os, is_podman| {
            let faults = unstartable(project, os, is_podman);
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        insta::assert_snapshot!(said(&project, "linux", false).join("\n"), @"
        service `web`: `extra_hosts`: `nowhere`, for `d`, is neither an IP address nor `host-gateway`
        service `web`: `extra_hosts`: ``, for `e`, is neither an IP address nor `host-gateway`
        service `web`: `ulimits`: `nofiles` is none of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack
        service `web`: `mem_limit`: 6291455 bytes are too few; the Engine gives a container 6m at least
        service `web`: `volumes`: the target of a mount must be an absolute path, not `d:/d`
        ");
        assert_eq!(said(&project, "linux", true).len(), 4);
        assert_eq!(said(&project, "windows", false), [""; 0]);
        project.services["web"].runtime.limits.mem_limit = Some(LEAST_MEMORY);
        assert_eq!(said(&project, "linux", false).len(), 4);
    }
}
