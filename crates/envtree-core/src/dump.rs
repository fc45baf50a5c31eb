//! Dumps of servers: what they are by their first bytes, and the tool of the server that reads one, in its own container.

pub mod remote;

use indexmap::IndexMap;

use crate::known_image::{Credentials, KnownImage};

/// How many bytes tell what a dump is.
pub const HEAD: usize = 512;

/// What a dump is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// Statements of SQL, as `pg_dump`, `mysqldump` and `mariadb-dump` write them.
    Statements,
    /// An archive of `pg_dump`, in its own format or as tar.
    PostgresArchive,
    /// A folder of `pg_dump --format=directory`.
    PostgresFolder,
    /// An archive of `mongodump --archive`.
    MongoArchive,
    /// A folder of `mongodump`.
    MongoFolder,
}

/// How a dump is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// A tool of a server, which runs in the server's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The program and its arguments. It reads its standard input or writes its standard output, unless it reads a folder.
    pub command: Vec<String>,
    /// Variables for it: passwords stand in no argument.
    pub environment: IndexMap<String, String>,
}

impl Compression {
    /// Returns how a file is compressed that begins with `head`.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl Dump {
    /// Returns what a file is that begins with `head`, once nothing compresses it.
    pub fn of_file(head: &[u8]) -> Self {
        let is_tar = head.get(257..262) == Some(b"ustar") && head.starts_with(b"toc.dat\0");
        if head.starts_with(b"PGDMP") || is_tar {
            Self::PostgresArchive
        } else if head.starts_with(&[0x6d, 0xe2, 0x99, 0x81]) {
            Self::MongoArchive
        } else {
            Self::Statements
        }
    }

    /// Returns what a folder is that has files of these paths; nothing if it is no dump.
    pub fn of_folder<'a>(mut paths: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        if paths.clone().any(|path| path == "toc.dat") {
            return Some(Self::PostgresFolder);
        }
        let is_bson =
            |path: &str| path.trim_end_matches(".gz").rsplit_once('.').is_some_and(|(_, end)| end == "bson");
        paths.any(is_bson).then_some(Self::MongoFolder)
    }

    /// Returns whether it is a folder.
    pub fn is_folder(self) -> bool {
        matches!(self, Self::PostgresFolder | Self::MongoFolder)
    }

    /// Returns what people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statements => "statements of SQL",
            Self::PostgresArchive => "an archive of `pg_dump`",
            Self::PostgresFolder => "a folder of `pg_dump`",
            Self::MongoArchive => "an archive of `mongodump`",
            Self::MongoFolder => "a folder of `mongodump`",
        }
    }

    /// Returns the tool with which a server reads it; `folder` is where the container has it if it is a folder. Nothing if
    /// such a server reads no such dump.
    ///
    /// Owners and privileges are those of the server's own user: the roles of elsewhere are not here.
    pub fn reader(self, server: KnownImage, login: &Credentials, folder: &str) -> Option<Tool> {
        let database = login.database.as_deref();
        let words: Vec<&str> = match (server, self) {
            (KnownImage::Postgres, Self::Statements) => {
                vec!["psql", "--quiet", "--no-psqlrc", "--output=/dev/null", "--set=ON_ERROR_STOP=1"]
            }
            (KnownImage::Postgres, Self::PostgresArchive | Self::PostgresFolder) => {
                // Scripts that initialise the server may have made some of it.
                let mut words = vec!["pg_restore", "--exit-on-error", "--clean", "--if-exists"];
                words.extend(["--no-owner", "--no-privileges"]);
                words.extend(database.iter().flat_map(|database| ["--dbname", database]));
                words.extend(if self.is_folder() { vec!["--jobs=2", folder] } else { Vec::new() });
                words
            }
            (KnownImage::MySql, Self::Statements) => vec!["mysql", "--batch"],
            (KnownImage::MariaDb, Self::Statements) => vec!["mariadb", "--batch"],
            (KnownImage::MongoDb, Self::MongoArchive) => vec!["mongorestore", "--quiet", "--archive"],
            (KnownImage::MongoDb, Self::MongoFolder) => vec!["mongorestore", "--quiet", folder],
            _ => return None,
        };
        Some(logged_in(server, login, owned(&words)))
    }

    /// Returns what the tool of [`writer`] writes for a server; nothing if there is none.
    pub fn of(server: KnownImage) -> Option<Self> {
        match server {
            KnownImage::Postgres => Some(Self::PostgresArchive),
            KnownImage::MySql | KnownImage::MariaDb => Some(Self::Statements),
            KnownImage::MongoDb => Some(Self::MongoArchive),
            _ => None,
        }
    }
}

/// Returns the tool that writes what a server holds, and its options, without where that is.
fn writing(server: KnownImage) -> Option<&'static [&'static str]> {
    Some(match server {
        KnownImage::Postgres => {
            &["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--compress=0"]
        }
        KnownImage::MySql => {
            &["mysqldump", "--single-transaction", "--routines", "--events", "--no-tablespaces"]
        }
        KnownImage::MariaDb => &["mariadb-dump", "--single-transaction", "--routines", "--events"],
        KnownImage::MongoDb => &["mongodump", "--quiet", "--archive"],
        _ => return None,
    })
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Returns the tool that writes all of a server's database as a dump, [`Dump::of`] its kind.
pub fn writer(server: KnownImage, login: &Credentials) -> Option<Tool> {
    let mut words = owned(writing(server)?);
    // These take the database as their last word, and no option for it.
    let mut login = login.clone();
    let database = match server {
        KnownImage::MySql | KnownImage::MariaDb => login.database.take(),
        _ => None,
    };
    let is_whole = database.is_none() && matches!(server, KnownImage::MySql | KnownImage::MariaDb);
    words.extend(is_whole.then(|| "--all-databases".to_owned()));
    let mut tool = logged_in(server, &login, words);
    tool.command.extend(database);
    Some(tool)
}

/// Returns the query for the databases of a server but those of its own; nothing for one that takes no queries.
pub fn databases(server: KnownImage) -> Option<&'static str> {
    match server {
        KnownImage::Postgres => Some("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1;\n"),
        KnownImage::MySql | KnownImage::MariaDb => Some(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN \
            ('mysql', 'sys', 'performance_schema', 'information_schema') ORDER BY 1;\n",
        ),
        _ => None,
    }
}

/// Returns the tool that answers queries with lines of nothing but their rows; nothing if there is none.
pub fn asker(server: KnownImage, login: &Credentials) -> Option<Tool> {
    let words: &[&str] = match server {
        KnownImage::Postgres => {
            &["psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        }
        KnownImage::MySql => &["mysql", "--batch", "--skip-column-names"],
        KnownImage::MariaDb => &["mariadb", "--batch", "--skip-column-names"],
        _ => return None,
    };
    Some(logged_in(server, login, owned(words)))
}

/// Returns a tool with what it needs to log in: passwords stand in no argument.
fn logged_in(server: KnownImage, login: &Credentials, mut command: Vec<String>) -> Tool {
    let mut environment = IndexMap::new();
    let (user, password, database) = (&login.user, &login.password, &login.database);
    let mut set = |name: &str, value: &Option<String>| {
        environment.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
    };
    match server {
        KnownImage::Postgres => {
            set("PGUSER", user);
            set("PGPASSWORD", password);
            set("PGDATABASE", database);
        }
        KnownImage::MySql | KnownImage::MariaDb => {
            set("MYSQL_PWD", password);
            command.extend(user.iter().map(|user| format!("--user={user}")));
            command.extend(database.iter().map(|database| format!("--database={database}")));
        }
        _ if user.is_some() => {
            set("MONGO_USER", user);
            set("MONGO_PASSWORD", password);
            // The tool takes a password from its arguments or from a file: a shell makes one.
            command.splice(..0, owned(&["sh", "-c", MONGO_LOGIN, "sh"]));
        }
        _ => {}
    }
    Tool { command, environment }
}

/// Runs its arguments with the login that variables hold.
const MONGO_LOGIN: &str = "umask 077 && printf 'password: \"%s\"\\n' \"$MONGO_PASSWORD\" >/tmp/.envtree-login && \
    exec \"$@\" --username=\"$MONGO_USER\" --authenticationDatabase=admin --config=/tmp/.envtree-login";

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn login() -> Credentials {
        let text = |text: &str| Some(text.to_owned());
        Credentials { user: text("app"), password: text("s3cret"), database: text("shop") }
    }

    #[test]
    fn a_dump_is_known_by_its_first_bytes() {
        let mut tar = vec![0; HEAD];
        tar[..7].copy_from_slice(b"toc.dat");
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Dump::of_file(b"PGDMP\x01"), Dump::PostgresArchive);
        assert_eq!(Dump::of_file(&tar), Dump::PostgresArchive);
        assert_eq!(Dump::of_file(&[0x6d, 0xe2, 0x99, 0x81, 0]), Dump::MongoArchive);
        assert_eq!(Dump::of_file(b"--\n-- PostgreSQL database dump\n"), Dump::Statements);
        assert_eq!(Dump::of_file(b""), Dump::Statements);
        let folder = |paths: &[&str]| Dump::of_folder(paths.iter().copied());
        assert_eq!(folder(&["3921.dat.gz", "toc.dat"]), Some(Dump::PostgresFolder));
        assert_eq!(folder(&["shop/users.bson.gz"]), Some(Dump::MongoFolder));
        assert_eq!(folder(&["a.sql"]), None);
        assert_eq!(Compression::of(&[0x1f, 0x8b, 8]), Compression::Gzip);
        assert_eq!(Compression::of(&[0x28, 0xb5, 0x2f, 0xfd]), Compression::Zstd);
        assert_eq!(Compression::of(b"-- "), Compression::None);
    }

    #[test]
    fn each_server_reads_its_own_dumps_with_passwords_in_no_argument() {
        let servers = [
            KnownImage::Postgres,
            KnownImage::MySql,
            KnownImage::MariaDb,
            KnownImage::MongoDb,
            KnownImage::Redis,
        ];
        let dumps = [
            Dump::Statements,
            Dump::PostgresArchive,
            Dump::PostgresFolder,
            Dump::MongoArchive,
            Dump::MongoFolder,
        ];
        let mut read = String::new();
        for server in servers {
            for dump in dumps {
                let Some(Tool { command, environment }) = dump.reader(server, &login(), "/tmp/dump") else {
                    continue;
                };
                assert!(!command.iter().any(|word| word.contains("s3cret")), "{command:?}");
                let variables: Vec<&str> = environment.keys().map(String::as_str).collect();
                let command: Vec<&String> = command.iter().filter(|word| *word != MONGO_LOGIN).collect();
                let _ = writeln!(read, "{}: {command:?} {variables:?}", dump.as_str());
            }
            if let Some(Tool { command, environment }) = writer(server, &login()) {
                assert!(!command.iter().any(|word| word.contains("s3cret")), "{command:?}");
                let command: Vec<&String> = command.iter().filter(|word| *word != MONGO_LOGIN).collect();
                let _ = writeln!(read, "out: {command:?} {:?}", environment.keys());
                assert!(Dump::of(server).unwrap().reader(server, &login(), "").is_some());
            }
        }
        insta::assert_snapshot!(read, @r#"
        statements of SQL: ["psql", "--quiet", "--no-psqlrc", "--output=/dev/null", "--set=ON_ERROR_STOP=1"] ["PGUSER", "PGPASSWORD", "PGDATABASE"]
        an archive of `pg_dump`: ["pg_restore", "--exit-on-error", "--clean", "--if-exists", "--no-owner", "--no-privileges", "--dbname", "shop"] ["PGUSER", "PGPASSWORD", "PGDATABASE"]
        a folder of `pg_dump`: ["pg_restore", "--exit-on-error", "--clean", "--if-exists", "--no-owner", "--no-privileges", "--dbname", "shop", "--jobs=2", "/tmp/dump"] ["PGUSER", "PGPASSWORD", "PGDATABASE"]
        out: ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--compress=0"] ["PGUSER", "PGPASSWORD", "PGDATABASE"]
        statements of SQL: ["mysql", "--batch", "--user=app", "--database=shop"] ["MYSQL_PWD"]
        out: ["mysqldump", "--single-transaction", "--routines", "--events", "--no-tablespaces", "--user=app", "shop"] ["MYSQL_PWD"]
        statements of SQL: ["mariadb", "--batch", "--user=app", "--database=shop"] ["MYSQL_PWD"]
        out: ["mariadb-dump", "--single-transaction", "--routines", "--events", "--user=app", "shop"] ["MYSQL_PWD"]
        an archive of `mongodump`: ["sh", "-c", "sh", "mongorestore", "--quiet", "--archive"] ["MONGO_USER", "MONGO_PASSWORD"]
        a folder of `mongodump`: ["sh", "-c", "sh", "mongorestore", "--quiet", "/tmp/dump"] ["MONGO_USER", "MONGO_PASSWORD"]
        out: ["sh", "-c", "sh", "mongodump", "--quiet", "--archive"] ["MONGO_USER", "MONGO_PASSWORD"]
        "#);
    }
}
