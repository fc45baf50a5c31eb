//! Texts of keys and values that say how a server is reached: libpq's with blanks between, and those with semicolons of
//! ADO.NET, ODBC, PDO and DBI.
//!
//! A text is taken apart to its last character, or not understood at all.

use std::fmt::Write;
use std::ops::Range;

use super::server::{Family, Part, Server};

/// One key, and where in the text its value stands, quotes included.
struct Pair {
    key: String,
    value: String,
    raw: Range<usize>,
}

/// What a key means.
enum Meaning {
    Host,
    Part(Part),
}

/// What stands between two pairs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Blank,
    Semicolon,
}

/// Returns a text of keys and values that names the server, with login and database replaced; nothing for any other.
///
/// What it does not name is added, except where the driver takes the login in another way.
pub(super) fn pointed(text: &str, server: &Server<'_>) -> Option<String> {
    let (prefix, body) = match driver(text) {
        Some((family, length)) if server.is_of(family) => text.split_at(length),
        Some(_) => return None,
        None => ("", text),
    };
    let forms = [(Separator::Semicolon, semicolons(body)), (Separator::Blank, blanks(body))];
    forms.into_iter().find_map(|(separator, pairs)| {
        let missing = prefix.is_empty().then_some(separator);
        Some(format!("{prefix}{}", own(body, &pairs?, missing, server)?))
    })
}

/// Returns what the driver that a text begins with is for, and how long its name is: `pgsql:`, `dbi:mysql:`.
fn driver(text: &str) -> Option<(Family, usize)> {
    let drivers = [
        ("pgsql:", Family::Postgres),
        ("mysql:", Family::MySql),
        ("dbi:pg:", Family::Postgres),
        ("dbi:mysql:", Family::MySql),
        ("dbi:mariadb:", Family::MySql),
    ];
    drivers.into_iter().find_map(|(name, family)| {
        let is_it = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        is_it.then_some((family, name.len()))
    })
}

fn own(text: &str, pairs: &[Pair], missing: Option<Separator>, server: &Server<'_>) -> Option<String> {
    let mut hosts = pairs
        .iter()
        .filter(|pair| matches!(pair.meaning(), Some(Meaning::Host)))
        .map(|pair| &pair.value)
        .peekable();
    let is_own = hosts.peek().is_some() && hosts.all(|host| server.is_address(host));
    let parts: Vec<(Part, &Pair)> = pairs.iter().filter_map(|pair| Some((pair.part()?, pair))).collect();
    if !is_own || parts.is_empty() {
        return None;
    }
    let (mut own, mut from) = (String::new(), 0);
    for (part, pair) in &parts {
        own.push_str(&text[from..pair.raw.start]);
        own.push_str(server.own(*part, &pair.value));
        from = pair.raw.end;
    }
    own.push_str(&text[from..]);
    for part in Part::ALL.into_iter().filter(|part| !parts.iter().any(|(has, _)| has == part)) {
        let value = server.own(part, "");
        match (missing, part) {
            (Some(Separator::Blank), Part::Database) => write!(own, " dbname={value}"),
            (Some(Separator::Blank), _) => write!(own, " {}={value}", part.as_str()),
            (Some(Separator::Semicolon), _) => {
                let key = match part {
                    Part::User => "Username",
                    Part::Password => "Password",
                    Part::Database => "Database",
                };
                let between = if own.trim_end().ends_with(';') { "" } else { ";" };
                write!(own, "{between}{key}={value}")
            }
            (None, _) => Ok(()),
        }
        .expect("writing to a string does not fail");
    }
    Some(own)
}

impl Pair {
    fn meaning(&self) -> Option<Meaning> {
        let key: String = self.key.chars().filter(|c| !matches!(c, ' ' | '_')).collect();
        Some(match key.to_ascii_lowercase().as_str() {
            "host" | "hostname" | "server" | "servername" | "datasource" | "address" | "addr"
            | "networkaddress" => Meaning::Host,
            "user" | "username" | "userid" | "uid" => Meaning::Part(Part::User),
            "password" | "passwd" | "pwd" | "psw" => Meaning::Part(Part::Password),
            "database" | "dbname" | "db" | "initialcatalog" => Meaning::Part(Part::Database),
            _ => return None,
        })
    }

    fn part(&self) -> Option<Part> {
        match self.meaning() {
            Some(Meaning::Part(part)) => Some(part),
            _ => None,
        }
    }
}

/// A text that is read from its beginning.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Passes what `is_passed`, and returns it.
    fn pass(&mut self, is_passed: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let passed = &rest[..rest.find(|c| !is_passed(c)).unwrap_or(rest.len())];
        self.at += passed.len();
        passed
    }

    /// Passes the name of a key and the `=` after it.
    fn key(&mut self, with_blanks: bool) -> Option<String> {
        let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || (with_blanks && c == ' ');
        let key = self.pass(is_key).trim().to_owned();
        self.pass(char::is_whitespace);
        (!key.is_empty() && self.next() == Some('=')).then_some(key)
    }

    /// Passes a value whose quote was passed; the quote twice stands for itself.
    fn doubled(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        loop {
            let next = self.next()?;
            if next == quote && self.peek() == Some(quote) {
                self.next();
            } else if next == quote {
                return Some(value);
            }
            value.push(next);
        }
    }

    /// Passes a value of libpq; a backslash lets the next character stand for itself.
    fn escaped(&mut self) -> Option<String> {
        let is_quoted = self.peek() == Some('\'');
        if is_quoted {
            self.next();
        }
        let mut value = String::new();
        loop {
            match self.peek() {
                Some('\'') if is_quoted => {
                    self.next();
                    return Some(value);
                }
                None if is_quoted => return None,
                None => return Some(value),
                Some(next) if !is_quoted && next.is_whitespace() => return Some(value),
                Some('\\') => {
                    self.next();
                    value.extend(Some(self.next()?));
                }
                Some(next) => {
                    self.next();
                    value.push(next);
                }
            }
        }
    }
}

/// Takes a text of libpq apart: `host=db password='it\'s'`.
fn blanks(text: &str) -> Option<Vec<Pair>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut pairs = Vec::new();
    loop {
        scanner.pass(char::is_whitespace);
        if scanner.peek().is_none() {
            return Some(pairs);
        }
        let key = scanner.key(false)?;
        scanner.pass(char::is_whitespace);
        let start = scanner.at;
        let value = scanner.escaped()?;
        pairs.push(Pair { key, value, raw: start..scanner.at });
    }
}

/// Takes a text with semicolons apart: `Host=db;User Id=app;Password='a;b'`.
fn semicolons(text: &str) -> Option<Vec<Pair>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut pairs = Vec::new();
    loop {
        scanner.pass(|c| c == ';' || c.is_whitespace());
        if scanner.peek().is_none() {
            return Some(pairs);
        }
        let key = scanner.key(true)?;
        scanner.pass(char::is_whitespace);
        let start = scanner.at;
        let closing = match scanner.peek() {
            Some(quote @ ('"' | '\'')) => Some(quote),
            Some('{') => Some('}'),
            // As part of the key, `==` stands for one.
            Some('=') => return None,
            _ => None,
        };
        let value = if let Some(closing) = closing {
            scanner.next();
            scanner.doubled(closing)?
        } else {
            scanner.pass(|c| c != ';').trim_end().to_owned()
        };
        let end = if closing.is_some() { scanner.at } else { start + value.len() };
        pairs.push(Pair { key, value, raw: start..end });
        scanner.pass(char::is_whitespace);
        if scanner.peek().is_some_and(|next| next != ';') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::database::server::tests::table;
    use crate::known_image::KnownImage;

    #[test]
    fn keys_and_values_of_postgres_are_understood() {
        let texts = [
            "host=db port=5432 user=app password=secret dbname=shop sslmode=disable",
            r"host = 'db' user='a\'b' password = 'x y' dbname=shop_test",
            "dbname=shop host=db,store",
            "Host=db;Port=5432;Username=app;Password=secret;Database=shop",
            r#"Server=db:5432; User Id=app; Pwd="a;""b" ; Initial Catalog='shop test';"#,
            "Data Source=db;Database=shop;",
            "Driver={PostgreSQL Unicode};Server=db;Uid=app;Pwd={a;}}b};Database=shop",
            "pgsql:host=db;port=5432;dbname=shop",
            "pgsql:host=db port=5432 dbname=shop user=app password=x",
            "dbi:Pg:dbname=shop;host=db",
        ];
        assert_snapshot!(table(KnownImage::Postgres, &texts, pointed), @"
        host=db port=5432 user=dev_fix_login password=s3cret dbname=dev_fix_login sslmode=disable
        host = 'db' user=dev_fix_login password = s3cret dbname=test_fix_login
        dbname=dev_fix_login host=db,store user=dev_fix_login password=s3cret
        Host=db;Port=5432;Username=dev_fix_login;Password=s3cret;Database=dev_fix_login
        Server=db:5432; User Id=dev_fix_login; Pwd=s3cret ; Initial Catalog=dev_fix_login;
        Data Source=db;Database=dev_fix_login;Username=dev_fix_login;Password=s3cret
        Driver={PostgreSQL Unicode};Server=db;Uid=dev_fix_login;Pwd=s3cret;Database=dev_fix_login
        pgsql:host=db;port=5432;dbname=dev_fix_login
        pgsql:host=db port=5432 dbname=dev_fix_login user=dev_fix_login password=s3cret
        dbi:Pg:dbname=dev_fix_login;host=db
        ");
    }

    #[test]
    fn keys_and_values_of_mysql_are_understood() {
        let texts = [
            "Server=db;Port=3306;User Id=root;Pwd=x;Database=shop",
            "mysql:host=db;port=3306;dbname=shop_test;charset=utf8mb4",
            "DBI:mysql:database=shop;host=db",
            "pgsql:host=db;dbname=shop",
        ];
        assert_snapshot!(table(KnownImage::MySql, &texts, pointed), @"
        Server=db;Port=3306;User Id=dev_fix_login;Pwd=s3cret;Database=dev_fix_login
        mysql:host=db;port=3306;dbname=test_fix_login;charset=utf8mb4
        DBI:mysql:database=dev_fix_login;host=db
        - pgsql:host=db;dbname=shop
        ");
    }

    #[test]
    fn what_is_no_text_of_keys_and_values_of_the_server_stays() {
        let texts = [
            "host=db",
            "host=db port=5432 connect_timeout=5",
            "Server=db;Timeout=5",
            "host=elsewhere user=app password=x dbname=db",
            "host=db,elsewhere user=app",
            "Host=elsewhere;Database=db",
            "mysql:host=db;dbname=shop",
            "host=db user='open",
            r"host=db user=a\",
            r#"Host=db;Password="open"#,
            r#"Host=db;Password="a"b;Database=c"#,
            "Host=db;Pass==word=x;Database=c",
            "psql host=db user=app",
            "user=app",
            "",
            "=",
            "db",
        ];
        let kept = texts.map(|text| format!("- {text}")).join("\n");
        assert_eq!(table(KnownImage::Postgres, &texts, pointed), kept);
    }
}
