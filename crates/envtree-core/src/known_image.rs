//! Images whose protocol, port and credentials are public knowledge.

use std::fmt::Write;

use indexmap::IndexMap;

use crate::label;
use crate::service::Service;

/// A family of images that speak one protocol and take their credentials from the same variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownImage {
    /// PostgreSQL and its kin: PostGIS, pgvector, TimescaleDB.
    Postgres,
    /// MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
    /// Redis and what speaks its protocol: Valkey, KeyDB, Dragonfly.
    Redis,
    /// RabbitMQ.
    RabbitMq,
    /// NATS.
    Nats,
    /// MongoDB.
    MongoDb,
}

/// How to log in to a service, as far as its definition says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database or virtual host.
    pub database: Option<String>,
}

impl KnownImage {
    /// Recognises an image by the last part of its repository: `ghcr.io/x/postgres:17` is a Postgres.
    pub fn recognise(image: &str) -> Option<Self> {
        let repository = image.split('@').next().unwrap_or(image);
        let last = repository.rsplit('/').next().unwrap_or(repository);
        match last.split(':').next().unwrap_or(last) {
            "postgres" | "postgresql" | "postgis" | "pgvector" | "timescaledb" | "timescaledb-ha" => {
                Some(Self::Postgres)
            }
            "mysql" | "mysql-server" => Some(Self::MySql),
            "mariadb" => Some(Self::MariaDb),
            "redis" | "redis-stack" | "redis-stack-server" | "valkey" | "keydb" | "dragonfly" => {
                Some(Self::Redis)
            }
            "rabbitmq" => Some(Self::RabbitMq),
            "nats" => Some(Self::Nats),
            "mongo" | "mongodb" => Some(Self::MongoDb),
            _ => None,
        }
    }

    /// Recognises the image of a service; one that is built by what the file calls it.
    pub fn of(service: &Service) -> Option<Self> {
        let declared = service.build.as_ref().and_then(|build| build.labels.get(label::IMAGE));
        Self::recognise(declared.unwrap_or(&service.image))
    }

    /// Recognises the server that a service runs: its image's, unless an entrypoint or a command takes its place.
    pub fn run_by(service: &Service) -> Option<Self> {
        let known = Self::of(service)?;
        let first = |words: &Option<Vec<String>>| words.as_ref().and_then(|words| words.first()).cloned();
        let is_server = match (first(&service.entrypoint), first(&service.command)) {
            (Some(program), _) => known.is_server(&program),
            // The entrypoints of these images hand options to the server, Redis' also the path of its settings.
            (None, Some(word)) => {
                word.starts_with('-')
                    || known.is_server(&word)
                    || (known == Self::Redis && word.strip_suffix(".conf").is_some())
            }
            (None, None) => true,
        };
        is_server.then_some(known)
    }

    /// Recognises the server that others reach at a service. One that runs something else on a known image, such as a
    /// `psql` script, is none, unless it publishes the server's port, is checked, or its shell starts the server.
    pub fn served_by(service: &Service) -> Option<Self> {
        let known = Self::of(service)?;
        let is_published = service.ports.iter().any(|port| port.target == known.port());
        let words: Vec<&String> = service.entrypoint.iter().chain(&service.command).flatten().collect();
        let lines = words.iter().filter(|word| word.contains(char::is_whitespace));
        let commands = lines.flat_map(|line| line.split([';', '&', '|', '\n']));
        let mut programs = commands.filter_map(|command| {
            command.split_whitespace().find(|word| *word != "exec" && !word.contains('='))
        });
        // The entrypoint of the image itself runs what follows.
        let is_handed_on = words
            .windows(2)
            .any(|pair| pair[0].ends_with("docker-entrypoint.sh") && known.is_server(pair[1]));
        let serves = Self::run_by(service).is_some()
            || is_published
            || service.health_check.is_some()
            || is_handed_on
            || programs.any(|program| known.is_server(program));
        serves.then_some(known)
    }

    /// Returns whether `program`, a name or a path, is a server of the family.
    fn is_server(self, program: &str) -> bool {
        let names: &[&str] = match self {
            Self::Postgres => &["postgres"],
            Self::MySql | Self::MariaDb => &["mysqld", "mysqld_safe", "mariadbd", "mariadbd-safe"],
            Self::Redis => {
                &["redis-server", "redis-stack-server", "valkey-server", "keydb-server", "dragonfly"]
            }
            Self::RabbitMq => &["rabbitmq-server"],
            Self::Nats => &["nats-server"],
            Self::MongoDb => &["mongod"],
        };
        names.contains(&program.rsplit('/').next().unwrap_or(program))
    }

    /// Returns the port that the protocol is spoken on inside the container.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::MySql | Self::MariaDb => 3306,
            Self::Redis => 6379,
            Self::RabbitMq => 5672,
            Self::Nats => 4222,
            Self::MongoDb => 27017,
        }
    }

    /// Returns the folders below which the images of the family keep data; none where it is not worth a branch.
    pub fn data_directories(self) -> &'static [&'static str] {
        match self {
            // Since version 18 the volume is the folder above `data`.
            Self::Postgres => &["/var/lib/postgresql", "/home/postgres/pgdata", "/bitnami/postgresql"],
            Self::MySql => &["/var/lib/mysql", "/bitnami/mysql"],
            Self::MariaDb => &["/var/lib/mysql", "/bitnami/mariadb"],
            Self::Redis => &["/data", "/bitnami/redis", "/bitnami/valkey"],
            Self::MongoDb => &["/data/db", "/data/configdb", "/bitnami/mongodb"],
            Self::RabbitMq | Self::Nats => &[],
        }
    }

    /// Returns the scheme of a URL of the service.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql | Self::MariaDb => "mysql",
            Self::Redis => "redis",
            Self::RabbitMq => "amqp",
            Self::Nats => "nats",
            Self::MongoDb => "mongodb",
        }
    }

    /// Returns whether `DATABASE_URL` may mean it.
    pub fn is_sql(self) -> bool {
        matches!(self, Self::Postgres | Self::MySql | Self::MariaDb)
    }

    /// Returns a command of the image that succeeds once its server answers, where there is one without credentials.
    pub fn check(self) -> Option<Vec<String>> {
        let words: &[&str] = match self {
            // Over TCP, because the server that fills a new data directory listens on its socket alone.
            Self::Postgres => &["pg_isready", "--host=127.0.0.1"],
            // A server that wants a password says so, and succeeds.
            Self::Redis => &["redis-cli", "ping"],
            _ => return None,
        };
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Reads the credentials that the service was given, by the rules that its image documents.
    ///
    /// `command` matters for Redis alone, whose password is an argument.
    pub fn credentials(self, environment: &IndexMap<String, String>, command: &[String]) -> Credentials {
        let value = |names: &[&str]| names.iter().find_map(|name| environment.get(*name)).cloned();
        match self {
            Self::Postgres => {
                let user = value(&["POSTGRES_USER"]).unwrap_or_else(|| "postgres".into());
                let database = value(&["POSTGRES_DB"]).unwrap_or_else(|| user.clone());
                Credentials {
                    user: Some(user),
                    password: value(&["POSTGRES_PASSWORD"]),
                    database: Some(database),
                }
            }
            Self::MySql | Self::MariaDb => mysql_credentials(&value),
            Self::Redis => Credentials {
                password: redis_password(command).or(value(&["REDIS_PASSWORD"])),
                ..Credentials::default()
            },
            Self::RabbitMq => Credentials {
                user: value(&["RABBITMQ_DEFAULT_USER"]).or(Some("guest".into())),
                password: value(&["RABBITMQ_DEFAULT_PASS"]).or(Some("guest".into())),
                database: value(&["RABBITMQ_DEFAULT_VHOST"]).filter(|vhost| vhost != "/"),
            },
            Self::Nats => Credentials::default(),
            Self::MongoDb => Credentials {
                user: value(&["MONGO_INITDB_ROOT_USERNAME"]),
                password: value(&["MONGO_INITDB_ROOT_PASSWORD"]),
                database: value(&["MONGO_INITDB_DATABASE"]),
            },
        }
    }

    /// Reads the credentials of the user who may do everything, or those of [`Self::credentials`] where the service was
    /// given no others.
    pub fn administrator(self, environment: &IndexMap<String, String>, command: &[String]) -> Credentials {
        let login = self.credentials(environment, command);
        let is_set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        if !matches!(self, Self::MySql | Self::MariaDb) {
            return login;
        }
        let password = ["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"].into_iter().find_map(is_set);
        let mut empty = ["MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD"].into_iter();
        if password.is_none() && empty.find_map(is_set).is_none() {
            return login;
        }
        Credentials { user: Some("root".into()), password: password.cloned(), ..login }
    }

    /// Returns the URL of the service at `host` and `port`.
    pub fn url(self, host: &str, port: u16, credentials: &Credentials) -> String {
        let login = match (&credentials.user, &credentials.password) {
            (None, None) => String::new(),
            (user, None) => format!("{}@", encode(user.as_deref().unwrap_or_default())),
            (user, Some(password)) => {
                format!("{}:{}@", encode(user.as_deref().unwrap_or_default()), encode(password))
            }
        };
        let path =
            credentials.database.as_deref().map(|name| format!("/{}", encode(name))).unwrap_or_default();
        // The root user of MongoDB lives in the database `admin`, whichever one the URL opens.
        let query = match (self, &credentials.user) {
            (Self::MongoDb, Some(_)) if path.is_empty() => "/?authSource=admin",
            (Self::MongoDb, Some(_)) => "?authSource=admin",
            _ => "",
        };
        format!("{}://{login}{host}:{port}{path}{query}", self.scheme())
    }
}

fn mysql_credentials(value: &impl Fn(&[&str]) -> Option<String>) -> Credentials {
    let database = value(&["MARIADB_DATABASE", "MYSQL_DATABASE"]);
    match value(&["MARIADB_USER", "MYSQL_USER"]) {
        Some(user) => Credentials {
            user: Some(user),
            password: value(&["MARIADB_PASSWORD", "MYSQL_PASSWORD"]),
            database,
        },
        None => Credentials {
            user: Some("root".into()),
            password: value(&["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"]),
            database,
        },
    }
}

fn redis_password(command: &[String]) -> Option<String> {
    // `sh -c "redis-server --requirepass x"` has all words in one argument.
    let words: Vec<&str> = command.iter().flat_map(|argument| argument.split_whitespace()).collect();
    let position = words.iter().position(|word| *word == "--requirepass")?;
    words.get(position + 1).map(|word| (*word).to_owned()).filter(|word| !word.is_empty())
}

/// Percent-encodes what RFC 3986 does not leave unreserved.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn an_image_is_recognised_wherever_it_comes_from() {
        for image in ["postgres", "postgres:17", "localhost:5000/x/pgvector:pg17", "postgis/postgis@sha256:0"]
        {
            assert_eq!(KnownImage::recognise(image), Some(KnownImage::Postgres), "{image}");
        }
        assert_eq!(KnownImage::recognise("postgres-exporter"), None);
    }

    #[test]
    fn a_server_runs_where_nothing_else_takes_its_place() {
        let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let of = |image: &str, entrypoint, command| {
            KnownImage::run_by(&Service { image: image.into(), entrypoint, command, ..Service::default() })
        };
        let postgres = |command| of("postgres:17", None, words(command)).is_some();
        assert_eq!(of("postgres:17", None, None), Some(KnownImage::Postgres));
        assert!(postgres("postgres -c fsync=off") && postgres("-c fsync=off"));
        assert!(!postgres("psql -h db -U postgres") && !postgres("sleep inf"));
        let redis = |command| of("redis:8", None, words(command)).is_some();
        assert!(redis("/usr/local/bin/redis-server --port 1") && redis("/etc/redis/redis.conf"));
        assert!(!redis("redis-cli ping"));
        assert_eq!(of("postgres:17", words("/wait.sh"), words("postgres")), None);
        assert!(of("redis:8", words("redis-server --save 60"), None).is_some());
        assert_eq!(of("busybox:1", None, None), None);
    }

    #[test]
    fn whoever_may_do_everything_is_the_root_of_mysql_where_that_is_known() {
        let of = |pairs: &[(&str, &str)]| {
            let login = KnownImage::MySql.administrator(&environment(pairs), &[]);
            format!("{:?} {:?} {:?}", login.user, login.password, login.database)
        };
        let app = [("MYSQL_USER", "app"), ("MYSQL_PASSWORD", "a"), ("MYSQL_DATABASE", "shop")];
        let with = |more: &[(&'static str, &'static str)]| of(&[&app, more].concat());
        assert_eq!(with(&[("MYSQL_ROOT_PASSWORD", "r")]), r#"Some("root") Some("r") Some("shop")"#);
        assert_eq!(with(&[("MYSQL_ALLOW_EMPTY_PASSWORD", "yes")]), r#"Some("root") None Some("shop")"#);
        assert_eq!(with(&[("MYSQL_RANDOM_ROOT_PASSWORD", "1")]), r#"Some("app") Some("a") Some("shop")"#);
        let postgres = KnownImage::Postgres.administrator(&environment(&[("POSTGRES_USER", "app")]), &[]);
        assert_eq!(postgres.user.as_deref(), Some("app"));
    }

    #[test]
    fn a_job_on_the_image_of_a_server_serves_nobody() {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let of = |image: &str, command: &[&str]| {
            let command = words(command);
            KnownImage::served_by(&Service { image: image.into(), command, ..Service::default() }).is_some()
        };
        assert!(of("postgres:17", &["-c", "fsync=off"]));
        assert!(!of("postgres:17", &["psql", "-h", "db", "-U", "postgres"]));
        assert!(!of(
            "postgres:17",
            &["sh", "-c", "until pg_isready -h postgres; do sleep 1; done; psql -h postgres"]
        ));
        assert!(of("redis:8", &["sh", "-c", "exec redis-server --requirepass $PW"]));
        assert!(of("postgres:17", &["sh", "-c", "prepare && TZ=UTC postgres"]));
        let postgres = |entrypoint: &[&str]| Service {
            image: "postgres:17".into(),
            entrypoint: words(entrypoint),
            ..Service::default()
        };
        let is_served = |service: &Service| KnownImage::served_by(service).is_some();
        assert!(is_served(&postgres(&["docker-entrypoint.sh", "postgres"])));
        let mut wrapped = postgres(&["/wrapper"]);
        assert!(!is_served(&wrapped));
        wrapped.ports = crate::compose_file::lower::parse_port("5432").unwrap();
        assert!(is_served(&wrapped));
    }

    #[test]
    fn a_url_carries_encoded_credentials() {
        let postgres = KnownImage::Postgres;
        let credentials = postgres
            .credentials(&environment(&[("POSTGRES_USER", "app"), ("POSTGRES_PASSWORD", "a/b:c")]), &[]);
        assert_eq!(
            postgres.url("127.0.0.1", 20000, &credentials),
            "postgres://app:a%2Fb%3Ac@127.0.0.1:20000/app"
        );
    }

    #[test]
    fn a_redis_password_is_read_from_the_command() {
        let command = ["redis-server".into(), "--requirepass".into(), "s".into()];
        let credentials = KnownImage::Redis.credentials(&IndexMap::new(), &command);
        assert_eq!(KnownImage::Redis.url("h", 1, &credentials), "redis://:s@h:1");
        let none = KnownImage::Redis.credentials(&IndexMap::new(), &[]);
        assert_eq!(KnownImage::Redis.url("h", 1, &none), "redis://h:1");
    }

    #[test]
    fn the_default_virtual_host_of_rabbitmq_is_left_out() {
        let rabbit = KnownImage::RabbitMq;
        let credentials = rabbit.credentials(&environment(&[("RABBITMQ_DEFAULT_VHOST", "/")]), &[]);
        assert_eq!(rabbit.url("h", 1, &credentials), "amqp://guest:guest@h:1");
    }

    #[test]
    fn a_root_user_of_mongodb_is_looked_up_in_admin() {
        let mongo = KnownImage::MongoDb;
        let root = environment(&[("MONGO_INITDB_ROOT_USERNAME", "u"), ("MONGO_INITDB_ROOT_PASSWORD", "p")]);
        assert_eq!(mongo.url("h", 1, &mongo.credentials(&root, &[])), "mongodb://u:p@h:1/?authSource=admin");
    }
}
