//! Servers that run elsewhere, by their URL, and the tool of a server of the same kind that reads one.

use indexmap::IndexMap;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Tool, owned, writing};
use crate::known_image::KnownImage;

/// The name by which containers reach the machine that the Engine serves.
pub const GATEWAY: &str = "host.docker.internal";

/// A server that runs elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteServer {
    url: Url,
    kind: Kind,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    MySql,
    MongoDb,
}

/// Why a URL names no server that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteFault {
    /// It is no URL.
    #[error("it is no URL: {0}")]
    NoUrl(String),
    /// Its scheme is of no server whose data is written as a dump.
    #[error(
        "`{0}` is none of the schemes `postgres`, `postgresql`, `mysql`, `mariadb`, `mongodb`, `mongodb+srv`"
    )]
    Scheme(String),
    /// It names no host.
    #[error("it names no host")]
    NoHost,
    /// It names no database, and a server of this kind writes all of them, its own included.
    #[error("it names no database: expected one after the host, as in `mysql://user@host/shop`")]
    NoDatabase,
    /// It has a parameter that the tool has no option for.
    #[error("parameter `{0}` is not known: expected `ssl-mode=DISABLED`, `REQUIRED` or `VERIFY_IDENTITY`")]
    Parameter(String),
}

impl RemoteServer {
    /// Reads a URL: `postgres://` and `postgresql://` as libpq does, `mysql://`, `mariadb://`, `mongodb://`,
    /// `mongodb+srv://`.
    pub fn parse(text: &str) -> Result<Self, RemoteFault> {
        let url = Url::parse(text).map_err(|error| RemoteFault::NoUrl(error.to_string()))?;
        let kind = match url.scheme() {
            "postgres" | "postgresql" => Kind::Postgres,
            "mysql" | "mariadb" => Kind::MySql,
            "mongodb" | "mongodb+srv" => Kind::MongoDb,
            other => return Err(RemoteFault::Scheme(other.to_owned())),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(RemoteFault::NoHost);
        }
        let server = Self { url, kind };
        if kind == Kind::MySql {
            server.database().ok_or(RemoteFault::NoDatabase)?;
            server.ssl_mode()?;
        }
        Ok(server)
    }

    /// Returns its database, if the URL names one.
    pub fn database(&self) -> Option<String> {
        let path = self.url.path().trim_start_matches('/');
        Some(decoded(path)).filter(|name| !name.is_empty())
    }

    /// Returns what it is called where nobody says otherwise: its database, or its host.
    pub fn name(&self) -> String {
        self.database().unwrap_or_else(|| self.host().to_owned())
    }

    /// Returns whether it runs on the machine where the URL is read.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_matches(['[', ']']);
        let address: Option<std::net::IpAddr> = host.parse().ok();
        host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|it| it.is_loopback())
    }

    /// Returns it as a container reaches it that has a network of its own.
    #[must_use]
    pub fn from_container(&self) -> Self {
        let mut remote = self.clone();
        if self.is_loopback() {
            remote.url.set_host(Some(GATEWAY)).expect("it is the name of a host");
        }
        remote
    }

    /// Returns whether a server of the kind can be read by the tools of a known image.
    pub fn is_read_by(&self, server: KnownImage) -> bool {
        match self.kind {
            Kind::Postgres => server == KnownImage::Postgres,
            Kind::MySql => matches!(server, KnownImage::MySql | KnownImage::MariaDb),
            Kind::MongoDb => server == KnownImage::MongoDb,
        }
    }

    /// Returns the tool of a known image that writes the server's database as a dump, [`super::Dump::of`] its kind; nothing
    /// if it has none. `given` holds the password if the URL has none.
    pub fn writer(&self, server: KnownImage, given: Option<&str>) -> Option<Tool> {
        if !self.is_read_by(server) {
            return None;
        }
        let (bare, own) = self.without_password();
        let password = own.or_else(|| given.map(str::to_owned));
        let mut command = owned(writing(server)?);
        let mut environment = IndexMap::new();
        match self.kind {
            Kind::Postgres => {
                environment.extend(password.map(|password| ("PGPASSWORD".to_owned(), password)));
                command.push(format!("--dbname={bare}"));
            }
            Kind::MySql => {
                environment.extend(password.map(|password| ("MYSQL_PWD".to_owned(), password)));
                command.extend(self.mysql_options(server));
            }
            Kind::MongoDb => {
                let mut bare = bare;
                if let Some(password) = &password {
                    let encoded = percent_encoding::NON_ALPHANUMERIC;
                    let encoded = percent_encoding::utf8_percent_encode(password, encoded).to_string();
                    bare.set_password(Some(&encoded)).expect("a URL with a host may have one");
                }
                environment.insert("MONGO_URI".to_owned(), bare.to_string());
                command.splice(..0, owned(&["sh", "-c", MONGO_URI, "sh"]));
            }
        }
        Some(Tool { command, environment })
    }

    /// Returns the URL without its password, and that.
    fn without_password(&self) -> (Url, Option<String>) {
        let mut bare = self.url.clone();
        let mut password = self.url.password().map(decoded);
        bare.set_password(None).expect("a URL with a host may have none");
        // libpq reads it from the query too.
        if self.kind == Kind::Postgres && bare.query().is_some() {
            let (own, rest): (Vec<_>, Vec<_>) =
                self.url.query_pairs().into_owned().partition(|(name, _)| name == "password");
            if let Some((_, value)) = own.into_iter().next() {
                bare.query_pairs_mut().clear().extend_pairs(rest);
                password = Some(value);
            }
        }
        (bare, password)
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn mysql_options(&self, server: KnownImage) -> Vec<String> {
        let mut options =
            vec![format!("--host={}", self.host().trim_matches(['[', ']'])), "--protocol=tcp".into()];
        options.extend(self.url.port().map(|port| format!("--port={port}")));
        let user = decoded(self.url.username());
        options.extend(Some(user).filter(|user| !user.is_empty()).map(|user| format!("--user={user}")));
        let mode = self.ssl_mode().ok().flatten();
        options.extend(mode.map(|mode| match (server, mode) {
            (KnownImage::MariaDb, SslMode::Disabled) => "--skip-ssl".to_owned(),
            (KnownImage::MariaDb, SslMode::Required) => "--ssl".to_owned(),
            (KnownImage::MariaDb, SslMode::VerifyIdentity) => "--ssl-verify-server-cert".to_owned(),
            (_, SslMode::Disabled) => "--ssl-mode=DISABLED".to_owned(),
            (_, SslMode::Required) => "--ssl-mode=REQUIRED".to_owned(),
            (_, SslMode::VerifyIdentity) => "--ssl-mode=VERIFY_IDENTITY".to_owned(),
        }));
        options.extend(self.database());
        options
    }

    fn ssl_mode(&self) -> Result<Option<SslMode>, RemoteFault> {
        let mut mode = None;
        for (name, value) in self.url.query_pairs() {
            let known = match value.to_ascii_uppercase().replace('-', "_").as_str() {
                "DISABLED" | "DISABLE" => Some(SslMode::Disabled),
                "REQUIRED" | "REQUIRE" => Some(SslMode::Required),
                "VERIFY_IDENTITY" | "VERIFY_FULL" => Some(SslMode::VerifyIdentity),
                _ => None,
            };
            let is_mode = ["ssl-mode", "sslmode", "ssl_mode"].contains(&name.to_ascii_lowercase().as_str());
            match known {
                Some(known) if is_mode => mode = Some(known),
                _ => return Err(RemoteFault::Parameter(format!("{name}={value}"))),
            }
        }
        Ok(mode)
    }
}

/// As people may see it: without the password.
impl std::fmt::Display for RemoteServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&without_password(self.url.as_str()))
    }
}

impl std::fmt::Debug for RemoteServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RemoteServer({self})")
    }
}

/// Returns a text as people may see it: if it is a URL, without its password and what its query holds.
pub fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if text.contains("://") => {
            if url.password().is_some() {
                url.set_password(Some("***")).expect("it had one");
            }
            if url.query().is_some() {
                url.set_query(Some("***"));
            }
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslMode {
    Disabled,
    Required,
    VerifyIdentity,
}

/// Runs its arguments with the URL that a variable holds, in no argument.
const MONGO_URI: &str = "umask 077 && printf 'uri: \"%s\"\\n' \"$MONGO_URI\" >/tmp/.envtree-login && \
    exec \"$@\" --config=/tmp/.envtree-login";

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn parsed(text: &str) -> RemoteServer {
        RemoteServer::parse(text).unwrap()
    }

    #[test]
    fn a_url_names_a_server_and_its_database() {
        let remote = parsed("postgresql://me:s%40crt@db.example.org:6432/shop?sslmode=require");
        assert_eq!((remote.name().as_str(), remote.is_loopback()), ("shop", false));
        assert_eq!(remote.to_string(), "postgresql://me:***@db.example.org:6432/shop?***");
        assert_eq!(format!("{remote:?}"), "RemoteServer(postgresql://me:***@db.example.org:6432/shop?***)");
        assert!(remote.is_read_by(KnownImage::Postgres) && !remote.is_read_by(KnownImage::MySql));
        assert_eq!(parsed("postgres://db").name(), "db");
        for local in ["postgres://localhost/x", "postgres://127.0.0.1:1/x", "postgres://[::1]/x"] {
            let remote = parsed(local);
            assert!(remote.is_loopback(), "{local}");
            assert!(remote.from_container().to_string().contains("//host.docker.internal"), "{local}");
        }
        let faults = [
            "shop",
            "redis://localhost",
            "postgres:///shop",
            "mysql://db",
            "mysql://db/shop?charset=utf8",
            "mysql://db/shop?ssl-mode=maybe",
        ];
        let faults = faults.map(|text| RemoteServer::parse(text).unwrap_err().to_string()).join("\n");
        insta::assert_snapshot!(faults, @"
        it is no URL: relative URL without a base
        `redis` is none of the schemes `postgres`, `postgresql`, `mysql`, `mariadb`, `mongodb`, `mongodb+srv`
        it names no host
        it names no database: expected one after the host, as in `mysql://user@host/shop`
        parameter `charset=utf8` is not known: expected `ssl-mode=DISABLED`, `REQUIRED` or `VERIFY_IDENTITY`
        parameter `ssl-mode=maybe` is not known: expected `ssl-mode=DISABLED`, `REQUIRED` or `VERIFY_IDENTITY`
        ");
    }

    #[test]
    fn each_kind_of_server_is_read_with_the_password_in_no_argument() {
        let urls = [
            ("postgres://me:s%40crt@db:6432/shop?sslmode=require", KnownImage::Postgres),
            ("postgres://me@db/shop", KnownImage::Postgres),
            ("postgres://db/shop?user=me&password=s%40crt", KnownImage::Postgres),
            ("mysql://me:s%40crt@db/shop?sslMode=DISABLED", KnownImage::MySql),
            ("mariadb://me:s%40crt@[::1]:3307/sh%20op?ssl-mode=disabled", KnownImage::MariaDb),
            ("mongodb+srv://me:s%40crt@db/shop?retryWrites=true", KnownImage::MongoDb),
        ];
        let mut tools = String::new();
        for (url, server) in urls {
            let Tool { command, environment } = parsed(url).writer(server, Some("given")).unwrap();
            assert!(
                !command.iter().any(|word| word.contains("crt") || word.contains("given")),
                "{command:?}"
            );
            let command: Vec<&String> = command.iter().filter(|word| *word != MONGO_URI).collect();
            let _ = writeln!(tools, "{command:?} {environment:?}");
        }
        insta::assert_snapshot!(tools, @r#"
        ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--compress=0", "--dbname=postgres://me@db:6432/shop?sslmode=require"] {"PGPASSWORD": "s@crt"}
        ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--compress=0", "--dbname=postgres://me@db/shop"] {"PGPASSWORD": "given"}
        ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--compress=0", "--dbname=postgres://db/shop?user=me"] {"PGPASSWORD": "s@crt"}
        ["mysqldump", "--single-transaction", "--routines", "--events", "--no-tablespaces", "--host=db", "--protocol=tcp", "--user=me", "--ssl-mode=DISABLED", "shop"] {"MYSQL_PWD": "s@crt"}
        ["mariadb-dump", "--single-transaction", "--routines", "--events", "--host=::1", "--protocol=tcp", "--port=3307", "--user=me", "--skip-ssl", "sh op"] {"MYSQL_PWD": "s@crt"}
        ["sh", "-c", "sh", "mongodump", "--quiet", "--archive"] {"MONGO_URI": "mongodb+srv://me:s%40crt@db/shop?retryWrites=true"}
        "#);
        assert_eq!(parsed("postgres://db/shop").writer(KnownImage::Redis, None), None);
    }

    #[test]
    fn what_is_no_url_is_shown_as_it_is() {
        for text in ["shop", "a:b", "/tmp/x y", "C:\\dumps"] {
            assert_eq!(without_password(text), text);
        }
        assert_eq!(without_password("mysql://a:b@c/d"), "mysql://a:***@c/d");
    }
}
