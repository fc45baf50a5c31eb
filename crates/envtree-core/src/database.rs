//! Databases of an environment's own on a server that environments share: their names, the statements that make and
//! drop them, and the values that point at them.
//!
//! Statements reach the server as the input of its own client in its own container. They hold a password, which is
//! therefore in no argument of a process; and the server is told to log none of them.

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use crate::config_hash::hex;
use crate::known_image::{Credentials, KnownImage};
use crate::name::{EnvironmentId, ServiceName};
use crate::service::Service;

pub use point::point;

mod go;
mod key_value;
mod mention;
mod point;
mod separate;
mod server;
mod url;

/// The longest name of a user that every server takes.
const LONGEST_USER: usize = 32;

/// What an environment has of its own on a shared server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which server it is.
    pub known: KnownImage,
    /// The role.
    pub user: String,
    /// Its password, of letters and digits.
    pub password: String,
    /// The database for development.
    pub database: String,
    /// The database for tests.
    pub test_database: String,
}

impl Account {
    /// Returns the account of an environment on a server of that image.
    pub fn new(known: KnownImage, environment: &EnvironmentId, password: &str) -> Self {
        let (database, test_database) =
            (format!("dev_{}", plain(environment)), format!("test_{}", plain(environment)));
        Self { known, user: user(&database), password: password.to_owned(), database, test_database }
    }

    /// Returns how to log in to the database for development.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            user: Some(self.user.clone()),
            password: Some(self.password.clone()),
            database: Some(self.database.clone()),
        }
    }

    /// Returns how to log in to the database for tests.
    pub fn test_credentials(&self) -> Credentials {
        Credentials { database: Some(self.test_database.clone()), ..self.credentials() }
    }

    /// Returns the statements that make role and databases; run again, they change nothing but a changed password.
    pub fn making(&self) -> String {
        let Self { user, password, .. } = self;
        let databases = [&self.database, &self.test_database];
        let each = |statements: fn(&str, &str) -> String| {
            databases.iter().map(|database| statements(database, user)).collect::<String>()
        };
        if self.known == KnownImage::Postgres {
            format!(
                "SET log_min_error_statement = panic;\nSET log_statement = none;\nSET log_min_duration_statement = -1;\n\
                 SELECT 'CREATE ROLE \"{user}\"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') \\gexec\n\
                 ALTER ROLE \"{user}\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}';\n{}\\q\n",
                each(postgres_database),
            )
        } else {
            format!(
                "CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';\n\
                 ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';\n{}\\q\n",
                each(mysql_database),
            )
        }
    }
}

fn postgres_database(database: &str, user: &str) -> String {
    // Whoever may connect to a database by default is everybody.
    format!(
        "SELECT 'CREATE DATABASE \"{database}\" OWNER \"{user}\"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec\n\
         REVOKE ALL ON DATABASE \"{database}\" FROM PUBLIC;\n"
    )
}

fn mysql_database(database: &str, user: &str) -> String {
    // An underscore in a grant stands for any character.
    let pattern = database.replace('_', "\\_");
    format!(
        "CREATE DATABASE IF NOT EXISTS `{database}`;\nGRANT ALL PRIVILEGES ON `{pattern}`.* TO '{user}'@'%';\n"
    )
}

/// Returns the statements that end an environment's connections, and drop its role and all databases that it owns.
pub fn dropping(known: KnownImage, environment: &EnvironmentId) -> String {
    let Account { user, database, test_database, .. } = Account::new(known, environment, "");
    if known == KnownImage::Postgres {
        let owned = format!("datdba = (SELECT oid FROM pg_roles WHERE rolname = '{user}')");
        format!(
            "SELECT 'ALTER ROLE \"{user}\" NOLOGIN' FROM pg_roles WHERE rolname = '{user}' \\gexec\n\
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}' OR datname IN (SELECT datname FROM pg_database WHERE {owned});\n\
             SELECT format('DROP DATABASE IF EXISTS %I', datname) FROM pg_database WHERE {owned} \\gexec\n\
             SELECT 'DROP OWNED BY \"{user}\"' FROM pg_roles WHERE rolname = '{user}' \\gexec\n\
             DROP ROLE IF EXISTS \"{user}\";\n\\q\n"
        )
    } else {
        format!(
            "DROP USER IF EXISTS '{user}'@'%';\nDROP DATABASE IF EXISTS `{database}`;\nDROP DATABASE IF EXISTS `{test_database}`;\n\\q\n"
        )
    }
}

/// Returns the command, in the server's container, that reads statements as the server's own superuser.
///
/// Its credentials are those that the container has in its environment, and never leave it.
pub fn client(known: KnownImage) -> Vec<String> {
    let script = if known == KnownImage::Postgres {
        "exec psql -U \"${POSTGRES_USER:-postgres}\" -d postgres --no-psqlrc --no-password --quiet --tuples-only --output=/dev/null -v ON_ERROR_STOP=1"
    } else {
        "file=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}\n\
         MYSQL_PWD=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}\n\
         [ -z \"$file\" ] || MYSQL_PWD=$(cat \"$file\")\n\
         export MYSQL_PWD\n\
         client=$(command -v mariadb || command -v mysql)\n\
         exec \"$client\" --protocol=socket --user=root --batch"
    };
    ["sh", "-c", script].map(str::to_owned).into()
}

/// Returns an id as part of a name that needs no quotes. No id has a `_`, so that no two become one.
fn plain(environment: &EnvironmentId) -> String {
    environment.replace('-', "_")
}

fn user(database: &str) -> String {
    if database.len() <= LONGEST_USER {
        return database.to_owned();
    }
    let digits = &hex(&Sha256::digest(database))[..8];
    format!("{}_{digits}", &database[..LONGEST_USER - 9])
}

/// Returns the accounts of an environment on the servers that it shares but for its databases.
pub fn accounts(
    shared: &IndexMap<ServiceName, Service>,
    is_isolated: impl Fn(&str) -> bool,
    environment: &EnvironmentId,
    password: &str,
) -> IndexMap<ServiceName, Account> {
    let isolated = shared.iter().filter(|(name, _)| is_isolated(name));
    isolated
        .filter_map(|(name, service)| {
            Some((name.clone(), Account::new(KnownImage::of(service)?, environment, password)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn account(known: KnownImage) -> Account {
        Account::new(known, &EnvironmentId::new("fix-login").unwrap(), "s3cret")
    }

    #[test]
    fn the_longest_id_makes_a_name_that_every_server_takes() {
        let name = |id: &str| Account::new(KnownImage::MySql, &EnvironmentId::new(id).unwrap(), "").user;
        let (one, two) = ("a".repeat(39) + "b", "a".repeat(39) + "c");
        assert_eq!(name(&one).len(), LONGEST_USER);
        assert_ne!(name(&one), name(&two));
        assert_eq!(name("fix-login"), "dev_fix_login");
    }

    #[test]
    fn a_grant_names_one_database_alone() {
        let making = account(KnownImage::MySql).making();
        assert!(making.contains(r"ON `dev\_fix\_login`.* TO 'dev_fix_login'@'%'"), "{making}");
    }
}
