//! URLs of a server, wherever in a text they stand.
//!
//! What replaces login and database is of letters, digits and `_`: it needs no encoding, whatever surrounds the URL.

use super::server::{Family, Part, Server};

/// A text whose URLs of the server point at the environment's own databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointed {
    pub(super) text: String,
    /// What of the text is no such URL.
    pub(super) rest: String,
}

/// Returns a text with every URL of the server pointed at the environment's own; nothing if there is none.
pub(super) fn pointed(text: &str, server: &Server<'_>) -> Option<Pointed> {
    let mut pointed = Pointed { text: String::new(), rest: String::new() };
    let (mut from, mut found) = (0, false);
    while let Some(colon) = text[from..].find("://").map(|at| from + at) {
        let (start, body) = (scheme_start(text, from, colon), colon + "://".len());
        let end = end_of_url(text, body);
        pointed.text.push_str(&text[from..start]);
        pointed.rest.push_str(&text[from..start]);
        let is_cut = !text[end..].starts_with(is_outside) && end < text.len();
        let own = own_url(&text[start..colon], &text[body..end], is_cut, server);
        if let Some(own) = own {
            pointed.text.push_str(&own);
            pointed.rest.push(' ');
            (from, found) = (end, true);
        } else {
            pointed.text.push_str(&text[start..body]);
            pointed.rest.push_str(&text[start..body]);
            from = body;
        }
    }
    pointed.text.push_str(&text[from..]);
    pointed.rest.push_str(&text[from..]);
    found.then_some(pointed)
}

/// Returns where the scheme begins that ends at `end`.
fn scheme_start(text: &str, from: usize, end: usize) -> usize {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-._:".contains(c);
    end - text[from..end].bytes().rev().take_while(|byte| is_scheme(char::from(*byte))).count()
}

/// Returns where the URL ends whose part after the scheme begins at `from`: before a blank, a quote or the next URL.
fn end_of_url(text: &str, from: usize) -> usize {
    let end = text[from..].find(is_outside).map_or(text.len(), |at| from + at);
    text[from..end].find("://").map_or(end, |at| scheme_start(text, from, from + at))
}

/// Returns whether a character is part of no URL.
fn is_outside(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`<>\\^".contains(c)
}

/// Returns what a scheme stands for, with drivers and wrappers around it: `jdbc:postgresql`, `mysql+pymysql`.
fn family(scheme: &str) -> Option<Family> {
    // What stands before a scheme in a shell's `${URL:-postgres://…}` may look like a part of it.
    let mut words =
        scheme.split([':', '+']).map(|word| word.trim_start_matches(['-', '.', '_']).to_lowercase());
    words.find_map(|word| match word.as_str() {
        "postgres" | "postgresql" | "postgis" | "pgsql" | "psql" | "pg" | "pdo-pgsql" | "pdo_pgsql"
        | "pgx" | "pgx4" | "pgx5" | "timescale" | "timescaledb" | "timescalegis" => Some(Family::Postgres),
        "mysql" | "mysql2" | "mariadb" | "mysqli" | "pdo-mysql" | "pdo_mysql" | "mysqlx" | "mysqlgis"
        | "mysql-connector" | "trilogy" => Some(Family::MySql),
        "ecto" => Some(Family::Any),
        _ => None,
    })
}

/// Returns a URL of the server with login and database replaced; nothing for any other, and where a part is not
/// understood. `is_cut` tells that another URL follows at once.
fn own_url(scheme: &str, body: &str, is_cut: bool, server: &Server<'_>) -> Option<String> {
    if !server.is_of(family(scheme)?) {
        return None;
    }
    let end = body.find(['/', '?', '#']).unwrap_or(body.len());
    let (authority, tail) = body.split_at(end);
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let Split { address, path, query, rest } = Split::of(address, tail)?;
    let query = Query::of(query, server)?;
    if is_cut && !query.ends_otherwise && !body.ends_with([',', ';', '|']) {
        return None;
    }
    let inner = address.strip_prefix("tcp(").and_then(|inner| inner.strip_suffix(')')).unwrap_or(address);
    let is_own = if inner.is_empty() { query.names_host } else { server.is_address(inner) };
    if !is_own {
        return None;
    }
    // A driver of Java that takes a login before the host has one there; others want it in the query, or elsewhere.
    let is_jdbc = scheme.to_ascii_lowercase().split(':').any(|word| word == "jdbc");
    let is_elsewhere = is_jdbc || (query.has_user && query.has_password);
    let login = if login.is_some() || !is_elsewhere {
        format!("{}:{}@", server.account.user, server.account.password)
    } else {
        String::new()
    };
    let database = server.database_for(path);
    Some(format!("{scheme}://{login}{address}/{database}{}{rest}", query.text))
}

/// What follows the login of a URL.
struct Split<'a> {
    address: &'a str,
    /// The path without its slash.
    path: &'a str,
    /// The query with its question mark.
    query: &'a str,
    /// What is no part of the query any more.
    rest: &'a str,
}

impl<'a> Split<'a> {
    /// Takes apart what stands before and after the first `/`, `?` or `#`; nothing if a part is not understood.
    fn of(before: &'a str, tail: &'a str) -> Option<Self> {
        let is_address = |c: char| c.is_ascii_alphanumeric() || "._-:,()".contains(c);
        let mut end = before.find(|c| !is_address(c)).unwrap_or(before.len());
        if tail.is_empty() {
            let address = before[..end].trim_end_matches(',');
            // A bracket that the URL does not open belongs to what surrounds it.
            let inner = if address.contains('(') { address } else { address.trim_end_matches(')') };
            end = inner.len();
        }
        let (address, beyond) = before.split_at(end);
        if !beyond.is_empty() {
            let ends = tail.is_empty() && is_end(beyond);
            return ends.then_some(Self { address, path: "", query: "", rest: beyond });
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.~%-".contains(c);
        let inside = tail.strip_prefix('/').unwrap_or(tail);
        let (path, rest) = inside.split_at(inside.find(|c| !is_name(c)).unwrap_or(inside.len()));
        if !rest.starts_with('?') {
            return is_end(rest).then_some(Self { address, path, query: "", rest });
        }
        let (query, rest) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
        Some(Self { address, path, query, rest })
    }
}

/// Returns whether what follows a URL is no part of it.
fn is_end(rest: &str) -> bool {
    rest.chars().next().is_none_or(|next| "#&;,|)}]".contains(next))
}

/// The query of a URL.
struct Query {
    /// The query, with its question mark, login and database replaced.
    text: String,
    has_user: bool,
    has_password: bool,
    /// Whether it names the server as the host.
    names_host: bool,
    /// Whether there is one, and its end says nothing of login and database.
    ends_otherwise: bool,
}

impl Query {
    /// Returns nothing if it is not certain where a value of a login ends.
    fn of(query: &str, server: &Server<'_>) -> Option<Self> {
        let mut own = Self {
            text: String::new(),
            has_user: false,
            has_password: false,
            names_host: false,
            ends_otherwise: false,
        };
        if query.is_empty() {
            return Some(own);
        }
        for (index, pair) in query.trim_start_matches('?').split('&').enumerate() {
            own.text.push(if index == 0 { '?' } else { '&' });
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            own.ends_otherwise = false;
            let part = match key {
                "user" | "username" => Part::User,
                "password" => Part::Password,
                "dbname" | "database" => Part::Database,
                _ => {
                    own.ends_otherwise = true;
                    own.names_host |= key == "host" && server.is_address(value);
                    own.text.push_str(pair);
                    continue;
                }
            };
            if value.contains([';', '|', ')', '}', ']']) {
                return None;
            }
            own.has_user |= part == Part::User;
            own.has_password |= part == Part::Password;
            own.text.push_str(key);
            own.text.push('=');
            own.text.push_str(server.own(part, value));
        }
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::database::server::tests::table;
    use crate::known_image::KnownImage;

    fn of(known: KnownImage, texts: &[&str]) -> String {
        table(known, texts, |text, server| Some(pointed(text, server)?.text))
    }

    #[test]
    fn every_scheme_of_postgres_is_understood() {
        let texts = [
            "postgres://app:x@db:5432/shop?sslmode=disable",
            "postgresql://app:x@db/shop_test",
            "POSTGRES://app:x@DB/shop#f",
            "postgis://db/shop",
            "psql://db",
            "pgsql://app@db:5432/",
            "ecto://app:secret@db/shop_dev?ssl=true&pool_size=10",
            "postgresql+psycopg2://app:p%40ss@store:5432/shop",
            "db+postgresql://app:x@db/shop",
            "r2dbc:postgresql://app:x@db:5432/shop?schema=a",
            "r2dbc:pool:postgresql://db/shop",
            "jdbc:postgresql://db:5432/shop",
            "jdbc:postgresql://db/shop?user=app&password=secret&ssl=false",
            "postgres://db/shop?user=app&password=secret",
            "postgres://db/shop?user=app",
            "postgres://app:x@/shop?host=db",
            "postgresql+psycopg2://app:x@/shop?host=db:5432&port=1",
            "postgres://app:a:b@c@db/shop",
            "postgres://app:x@db:5432,store:5433/shop?target_session_attrs=read-write",
        ];
        assert_snapshot!(of(KnownImage::Postgres, &texts), @"
        postgres://dev_fix_login:s3cret@db:5432/dev_fix_login?sslmode=disable
        postgresql://dev_fix_login:s3cret@db/test_fix_login
        POSTGRES://dev_fix_login:s3cret@DB/dev_fix_login#f
        postgis://dev_fix_login:s3cret@db/dev_fix_login
        psql://dev_fix_login:s3cret@db/dev_fix_login
        pgsql://dev_fix_login:s3cret@db:5432/dev_fix_login
        ecto://dev_fix_login:s3cret@db/dev_fix_login?ssl=true&pool_size=10
        postgresql+psycopg2://dev_fix_login:s3cret@store:5432/dev_fix_login
        db+postgresql://dev_fix_login:s3cret@db/dev_fix_login
        r2dbc:postgresql://dev_fix_login:s3cret@db:5432/dev_fix_login?schema=a
        r2dbc:pool:postgresql://dev_fix_login:s3cret@db/dev_fix_login
        jdbc:postgresql://db:5432/dev_fix_login
        jdbc:postgresql://db/dev_fix_login?user=dev_fix_login&password=s3cret&ssl=false
        postgres://db/dev_fix_login?user=dev_fix_login&password=s3cret
        postgres://dev_fix_login:s3cret@db/dev_fix_login?user=dev_fix_login
        postgres://dev_fix_login:s3cret@/dev_fix_login?host=db
        postgresql+psycopg2://dev_fix_login:s3cret@/dev_fix_login?host=db:5432&port=1
        postgres://dev_fix_login:s3cret@db/dev_fix_login
        postgres://dev_fix_login:s3cret@db:5432,store:5433/dev_fix_login?target_session_attrs=read-write
        ");
    }

    #[test]
    fn every_scheme_of_mysql_is_understood() {
        let texts = [
            "mysql://root:x@db/shop",
            "mysql2://root@db/shop",
            "mariadb://root:x@db/shop",
            "mysqli://root:x@db/shop?charset=utf8",
            "pdo-mysql://root:x@db/shop",
            "pdo_mysql://root:x@db/shop",
            "mysql+pymysql://root:x@db/shop?charset=utf8mb4",
            "mariadb+mariadbconnector://root:x@db/shop",
            "trilogy://root:x@db/shop",
            "ecto://root:x@db/shop",
            "r2dbc:mysql://root:x@db/shop",
            "jdbc:mysql://root:x@db/shop",
            "jdbc:mysql://db:3306/shop?user=root&password=x&useSSL=false",
            "jdbc:mysql:replication://db,store/shop?user=root&password=x",
            "jdbc:mariadb://db/shop",
            "mysql://root:x@tcp(db:3306)/shop?multiStatements=true",
            "postgres://root:x@db/shop",
        ];
        assert_snapshot!(of(KnownImage::MariaDb, &texts), @"
        mysql://dev_fix_login:s3cret@db/dev_fix_login
        mysql2://dev_fix_login:s3cret@db/dev_fix_login
        mariadb://dev_fix_login:s3cret@db/dev_fix_login
        mysqli://dev_fix_login:s3cret@db/dev_fix_login?charset=utf8
        pdo-mysql://dev_fix_login:s3cret@db/dev_fix_login
        pdo_mysql://dev_fix_login:s3cret@db/dev_fix_login
        mysql+pymysql://dev_fix_login:s3cret@db/dev_fix_login?charset=utf8mb4
        mariadb+mariadbconnector://dev_fix_login:s3cret@db/dev_fix_login
        trilogy://dev_fix_login:s3cret@db/dev_fix_login
        ecto://dev_fix_login:s3cret@db/dev_fix_login
        r2dbc:mysql://dev_fix_login:s3cret@db/dev_fix_login
        jdbc:mysql://dev_fix_login:s3cret@db/dev_fix_login
        jdbc:mysql://db:3306/dev_fix_login?user=dev_fix_login&password=s3cret&useSSL=false
        jdbc:mysql:replication://db,store/dev_fix_login?user=dev_fix_login&password=s3cret
        jdbc:mariadb://db/dev_fix_login
        mysql://dev_fix_login:s3cret@tcp(db:3306)/dev_fix_login?multiStatements=true
        - postgres://root:x@db/shop
        ");
    }

    #[test]
    fn urls_are_found_wherever_they_stand() {
        let texts = [
            "postgres://a:b@db/x,postgres://a:b@db/x_test",
            "postgres://a:b@db,postgres://a:b@store:5432",
            "postgres://a:b@db/x postgres://a:b@elsewhere/x http://db/",
            r#"{"url":"postgres://a:b@db/x","other":1}"#,
            "exec psql 'postgres://a:b@db/x' -c 'select 1'",
            "export U=${U:-postgres://a:b@db/x}; run",
            "run $(cat postgres://a:b@db)",
            "--url=postgres://$USER:$PASSWORD@db/x&",
            "postgres://a:b@db/x?next=http://c/d",
            "psql postgres://a:b@db/x;psql -h db",
        ];
        assert_snapshot!(of(KnownImage::Postgres, &texts), @r#"
        postgres://dev_fix_login:s3cret@db/dev_fix_login,postgres://dev_fix_login:s3cret@db/test_fix_login
        postgres://dev_fix_login:s3cret@db/dev_fix_login,postgres://dev_fix_login:s3cret@store:5432/dev_fix_login
        postgres://dev_fix_login:s3cret@db/dev_fix_login postgres://a:b@elsewhere/x http://db/
        {"url":"postgres://dev_fix_login:s3cret@db/dev_fix_login","other":1}
        exec psql 'postgres://dev_fix_login:s3cret@db/dev_fix_login' -c 'select 1'
        export U=${U:-postgres://dev_fix_login:s3cret@db/dev_fix_login}; run
        run $(cat postgres://dev_fix_login:s3cret@db/dev_fix_login)
        --url=postgres://dev_fix_login:s3cret@db/dev_fix_login&
        postgres://dev_fix_login:s3cret@db/dev_fix_login?next=http://c/d
        psql postgres://dev_fix_login:s3cret@db/dev_fix_login;psql -h db
        "#);
    }

    #[test]
    fn what_is_no_url_of_the_server_stays() {
        let texts = [
            "postgres://elsewhere/shop",
            "postgres://app:x@db,elsewhere/shop",
            "mysql://app:x@db/shop",
            "http://db/shop",
            "other://app:x@db/shop",
            "db",
            "db://",
            "://db",
            "postgres://",
            "postgres://db.example.org/shop",
            "postgres://db:5432:1/shop",
            // Not certain where password, port or path end.
            "postgres://db:a/b@elsewhere/shop",
            "postgres://app:a/b@db/shop",
            "postgres://app:x@db:$PORT/shop",
            "postgres://app:x@db/$NAME",
            "postgres://app:x@db/shop/more",
            "postgres://db/shop?password=a)b",
            "postgres://db@elsewhere/shop",
            "postgres://app:x@[::1]/db",
            "postgres://db/postgres://",
            "postgres://db?user=postgres://",
        ];
        let kept = texts.map(|text| format!("- {text}")).join("\n");
        assert_eq!(of(KnownImage::Postgres, &texts), kept);
    }
}
