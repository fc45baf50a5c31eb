//! Variables that say host, user, password and database of a server each for itself: `DB_HOST`, `DB_USER`, `PGPASSWORD`.

use indexmap::IndexMap;

use super::server::{Part, Server};

/// What a variable's name ends with that says where a server is.
const HOSTS: [&str; 7] = ["HOST", "HOSTNAME", "URL_HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT"];

/// What a variable's name ends with that says all at once, but for what a driver wants apart.
const URLS: [&str; 6] = ["URL", "URI", "DSN", "JDBC_URL", "CONNECTION_STRING", "CONNECTIONSTRING"];

/// Words of names of variables that are about SQL databases.
const DATABASES: [&str; 8] = ["DB", "DATABASE", "PG", "POSTGRES", "SQL", "MARIA", "DATASOURCE", "JDBC"];

impl Part {
    /// Returns what the name of a variable that says this part ends with.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::User => &["USER", "USERNAME", "USER_NAME", "USERID", "USER_ID", "UID", "LOGIN", "ROLE"],
            Self::Password => &["PASSWORD", "PASSWD", "PASS", "PWD", "PW"],
            Self::Database => {
                &["DATABASE", "DB", "DBNAME", "DB_NAME", "DATABASE_NAME", "URL_DATABASE", "NAME"]
            }
        }
    }
}

/// Points the variables at the environment's own whose fellow says that the server is the host.
///
/// `pointed` are variables that hold a URL or the like of the server. Without both user and password, nothing changes:
/// where the rest of a login comes from is not known.
pub(super) fn point(variables: &mut IndexMap<String, String>, pointed: &[String], server: &Server<'_>) {
    for prefix in prefixes(variables, pointed, server) {
        let of = |part: Part| {
            let names = variables.keys().filter(|name| says(name, &prefix, part));
            names.filter(|name| !pointed.contains(name)).cloned().collect::<Vec<_>>()
        };
        let (users, passwords, databases) = (of(Part::User), of(Part::Password), of(Part::Database));
        if users.is_empty() || passwords.is_empty() {
            continue;
        }
        let all = [(Part::User, users), (Part::Password, passwords), (Part::Database, databases)];
        for (part, names) in all {
            for name in names {
                let value = &mut variables[&name];
                *value = server.own(part, value).to_owned();
            }
        }
    }
}

/// Returns what stands before the ending of each variable that leads to the server.
///
/// One that says the login itself has no fellows: `APP_DSN` says nothing of what `APP_USER` is.
fn prefixes(variables: &IndexMap<String, String>, pointed: &[String], server: &Server<'_>) -> Vec<String> {
    let mut prefixes = Vec::new();
    for (name, value) in variables {
        let endings: &[&str] = if server.is_address(value) {
            &HOSTS
        } else if pointed.contains(name) && !value.contains(&server.account.password) {
            &URLS
        } else {
            &[]
        };
        let name = name.to_ascii_uppercase();
        let stripped = endings.iter().filter_map(|ending| name.strip_suffix(ending));
        // Without a prefix, only `HOST` is certainly meant for `USER` and `PASSWORD`.
        prefixes.extend(stripped.filter(|prefix| !prefix.is_empty() || name == "HOST").map(str::to_owned));
    }
    prefixes
}

/// Returns whether a variable says a part of what the variables with that prefix are about.
fn says(name: &str, prefix: &str, part: Part) -> bool {
    let name = name.to_ascii_uppercase();
    // Without a prefix, a name is that of anything.
    let is_known = |rest: &str| part.endings().contains(&rest) && !(prefix.is_empty() && rest == "NAME");
    name.strip_prefix(prefix).is_some_and(is_known)
}

/// Returns what of the server's own login a variable says, as far as it is about databases or stands beside one that
/// leads to the server.
pub(super) fn own_login(
    variables: &IndexMap<String, String>,
    pointed: &[String],
    server: &Server<'_>,
) -> Vec<(String, Part)> {
    let prefixes = prefixes(variables, pointed, server);
    let part = |name: &str, value: &str| {
        let beside =
            Part::ALL.into_iter().find(|part| prefixes.iter().any(|prefix| says(name, prefix, *part)));
        let part = beside.or_else(|| named(name))?;
        server.logins_say(part).any(|own| own == value).then_some(part)
    };
    let variables = variables.iter().filter(|(name, _)| !pointed.contains(name));
    variables.filter_map(|(name, value)| Some((name.clone(), part(name, value)?))).collect()
}

/// Returns what a variable says of a database, by its name alone.
fn named(name: &str) -> Option<Part> {
    let name = name.to_ascii_uppercase();
    let is_host = HOSTS.iter().any(|ending| name.ends_with(ending));
    if is_host || !DATABASES.iter().any(|word| name.contains(word)) {
        return None;
    }
    // `USERNAME` ends with `NAME` too.
    let longest = |part: &Part| {
        let endings = part.endings().iter().filter(|ending| name.ends_with(**ending));
        endings.map(|ending| ending.len()).max()
    };
    Part::ALL.into_iter().filter(|part| longest(part).is_some()).max_by_key(longest)
}
