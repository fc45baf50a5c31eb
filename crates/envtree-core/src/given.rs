//! Settings of known servers that stand in files: `POSTGRES_PASSWORD_FILE` and its like, as the images read them.

use indexmap::IndexMap;

use crate::build::SecretText;
use crate::known_image::KnownImage;
use crate::service::{MountSource, Origin, Service};

/// A variable whose file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The variable, such as `POSTGRES_PASSWORD_FILE`.
    pub variable: String,
    /// The path in the container that it names.
    pub path: String,
}

/// Fills [`Service::given`] of a service that is a known server; returns what could not be read and matters.
///
/// `read` returns the text of a file of the host, if it can be read. As in the images, line breaks at its end do not count,
/// and nothing counts that the service is given as a variable too.
pub fn read_given(service: &mut Service, read: impl Fn(&str) -> Option<String>) -> Vec<Unread> {
    let Some(known) = KnownImage::served_by(service) else {
        return Vec::new();
    };
    let mut unread = Vec::new();
    for name in names(known) {
        let variable = format!("{name}_FILE");
        let is_set = |name: &str| service.environment.get(name).is_some_and(|value| !value.is_empty());
        if is_set(name) || !is_set(&variable) {
            continue;
        }
        let path = service.environment[&variable].clone();
        match content(service, &path, &read) {
            Some(text) => {
                let text = SecretText::new(text.trim_end_matches('\n'));
                service.given.insert((*name).to_owned(), text);
            }
            // Of a user's own password, the root user's is not asked.
            None if name.ends_with("_ROOT_PASSWORD") && known.is_sql() && has_user(service) => {}
            None => unread.push(Unread { variable, path }),
        }
    }
    unread
}

impl Service {
    /// Returns the variables that its image reads, those in files included.
    pub fn settings(&self) -> IndexMap<String, String> {
        let given = self.given.iter().map(|(name, text)| (name.clone(), text.reveal().to_owned()));
        self.environment.clone().into_iter().chain(given).collect()
    }
}

/// Returns the variables that the images of a family read from files too.
fn names(known: KnownImage) -> &'static [&'static str] {
    match known {
        KnownImage::Postgres => &["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"],
        KnownImage::MySql | KnownImage::MariaDb => &[
            "MARIADB_USER",
            "MYSQL_USER",
            "MARIADB_PASSWORD",
            "MYSQL_PASSWORD",
            "MARIADB_DATABASE",
            "MYSQL_DATABASE",
            "MARIADB_ROOT_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
        ],
        KnownImage::Redis => &["REDIS_PASSWORD"],
        KnownImage::MongoDb => &["MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"],
        KnownImage::RabbitMq | KnownImage::Nats => &[],
    }
}

fn has_user(service: &Service) -> bool {
    let settings = service.settings();
    ["MARIADB_USER", "MYSQL_USER"].iter().any(|name| settings.contains_key(*name))
}

/// Returns the text of the file that a service has at `path`: a secret, a config, or a file that it mounts there.
fn content(service: &Service, path: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut grants = service.secrets.iter().chain(&service.configs);
    if let Some(grant) = grants.find(|grant| grant.path == path) {
        return match &grant.origin {
            Origin::File(file) => read(file),
            Origin::Text(text) => Some(text.reveal().to_owned()),
            Origin::Unavailable(_) => None,
        };
    }
    let mount = service.mounts.iter().find(|mount| mount.target == path)?;
    match &mount.source {
        MountSource::Bind { path, .. } => read(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{AsWritten, Grant, Mount};

    fn grant(path: &str, origin: Origin) -> Grant {
        let (source, path) = ("p".to_owned(), path.to_owned());
        Grant {
            source,
            target: None,
            path,
            uid: None,
            gid: None,
            mode: None,
            origin,
            as_written: AsWritten::default(),
        }
    }

    fn server(image: &str, variables: &[(&str, &str)]) -> Service {
        let environment = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Service { image: image.to_owned(), environment: environment.collect(), ..Service::default() }
    }

    fn url(known: KnownImage, service: &Service) -> String {
        known.url("h", 1, &known.credentials(&service.settings(), &[]))
    }

    #[test]
    fn a_login_is_read_from_secrets_configs_and_mounted_files() {
        let variables = [
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/p"),
            ("POSTGRES_USER_FILE", "/user"),
            ("POSTGRES_DB_FILE", "/database"),
        ];
        let mut service = server("postgres:17", &variables);
        service.secrets.push(grant("/run/secrets/p", Origin::File("/w/p.txt".into())));
        service.configs.push(grant("/user", Origin::Text(SecretText::new("app"))));
        service.mounts.push(Mount::new("/database", MountSource::bind("/w/database")));
        let read = |path: &str| Some(if path == "/w/p.txt" { "hunter2\n\n" } else { "shop" }.to_owned());
        assert_eq!(read_given(&mut service, read), []);
        assert_eq!(url(KnownImage::Postgres, &service), "postgres://app:hunter2@h:1/shop");
        let shown = format!("{service:?}{}", serde_json::to_string(&service).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_file_that_only_the_container_has_is_named() {
        let mut service = server("postgres:17", &[("POSTGRES_PASSWORD_FILE", "/vault/p")]);
        let unread = Unread { variable: "POSTGRES_PASSWORD_FILE".into(), path: "/vault/p".into() };
        assert_eq!(read_given(&mut service, |_| None), std::slice::from_ref(&unread));
        service.secrets.push(grant("/vault/p", Origin::File("/w/missing".into())));
        assert_eq!(read_given(&mut service, |_| None), [unread]);
        assert_eq!(url(KnownImage::Postgres, &service), "postgres://postgres@h:1/postgres");
        // It is no server.
        service.image = "busybox".into();
        assert_eq!(read_given(&mut service, |_| None), []);
    }

    #[test]
    fn a_variable_wins_and_the_password_of_root_matters_to_root_alone() {
        let variables = [
            ("MYSQL_USER", "app"),
            ("MYSQL_PASSWORD", "plain"),
            ("MYSQL_PASSWORD_FILE", "/nowhere"),
            ("MYSQL_ROOT_PASSWORD_FILE", "/nowhere"),
        ];
        let mut service = server("mysql:9", &variables);
        assert_eq!(read_given(&mut service, |_| None), []);
        assert_eq!(url(KnownImage::MySql, &service), "mysql://app:plain@h:1");
        service.environment.shift_remove("MYSQL_USER");
        let unread = read_given(&mut service, |_| None);
        assert_eq!(unread[0].variable, "MYSQL_ROOT_PASSWORD_FILE");
    }
}
