//! Texts that name a server together with its own login, in a form that is not understood.
//!
//! The name of a service is often that of a user, a database or a program too. So a user or database counts only where
//! the text says that it is one.

use super::server::{Part, Server};

/// Words that say what follows them.
const USERS: [&str; 4] = ["user", "uid", "login", "role"];
const PASSWORDS: [&str; 4] = ["pass", "pwd", "psw", "secret"];
const DATABASES: [&str; 4] = ["database", "dbname", "db_name", "catalog"];

/// Programs that ask a server whether it answers, whoever asks.
const CHECKS: [&str; 3] = ["pg_isready", "mysqladmin", "mariadb-admin"];

/// A word of a text: letters, digits, `_`, `.` and `-`.
struct Word<'a> {
    text: &'a str,
    /// What stands between it and the word before.
    before: &'a str,
}

/// Returns what of the server's own login a text names beside the server.
pub(super) fn mentioned(text: &str, server: &Server<'_>) -> Option<Part> {
    let words = words(text);
    let is_host = |word: &Word<'_>| {
        server.is_host(word.text) || word.text.strip_prefix("-h").is_some_and(|host| server.is_host(host))
    };
    if !words.iter().any(is_host) {
        return None;
    }
    let is_there = |password: &str| {
        !password.chars().all(is_in_word) && text.contains(password)
            || words.iter().any(|word| word.text.strip_prefix("-p").unwrap_or(word.text) == password)
    };
    if server.logins_say(Part::Password).any(|password| is_distinct(password, server) && is_there(password)) {
        return Some(Part::Password);
    }
    Part::ALL.into_iter().find(|part| {
        server.logins_say(*part).any(|value| {
            (0..words.len()).any(|at| {
                says(&words, at, *part, value) || stands_by_host(&words, at, *part, value, &is_host)
            })
        })
    })
}

/// Returns what of the server's own login a line of a shell, or a program with its arguments, names beside the server.
pub(super) fn mentioned_in_command(line: &str, server: &Server<'_>) -> Option<Part> {
    let commands = line.split([';', '&', '|', '\n']);
    let mut others =
        commands.filter(|command| !words(command).iter().any(|word| CHECKS.contains(&word.text)));
    others.find_map(|command| mentioned(command, server))
}

/// Returns whether a password is no word of another meaning, such as `postgres` or `password`.
fn is_distinct(password: &str, server: &Server<'_>) -> bool {
    let is_other = |part| server.logins_say(part).any(|other| other == password);
    let is_word = ["postgres", "postgresql", "mysql", "mariadb", "root", "password", "pass", "passwd", "pwd"]
        .contains(&password);
    !is_other(Part::User) && !is_other(Part::Database) && !is_word && !server.is_host(password)
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-".contains(c)
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut end = 0;
    while let Some(start) = text[end..].find(is_in_word).map(|at| end + at) {
        let length = text[start..].find(|c| !is_in_word(c)).unwrap_or(text.len() - start);
        words.push(Word { text: &text[start..start + length], before: &text[end..start] });
        end = start + length;
    }
    words
}

/// Returns whether the word before says that this one is the part: `user=app`, `"dbname": "app"`, `-U app`, `-Uapp`.
fn says(words: &[Word<'_>], at: usize, part: Part, value: &str) -> bool {
    let (flags, names) = match part {
        Part::User => (["-U", "-u"], USERS),
        Part::Password => (["-p", "-P"], PASSWORDS),
        Part::Database => (["-d", "-D"], DATABASES),
    };
    let word = &words[at];
    if flags.iter().any(|flag| word.text.strip_prefix(flag) == Some(value)) {
        return true;
    }
    let Some(key) = at.checked_sub(1).map(|before| words[before].text) else { return false };
    let is_assigned = word.before.chars().all(|c| c.is_whitespace() || "\"'=:\\".contains(c));
    let lower = key.to_ascii_lowercase();
    word.text == value
        && is_assigned
        && (flags.contains(&key) || names.iter().any(|name| lower.contains(name)))
}

/// Returns whether the word is the part by its place beside the host: `app@db`, `app:secret@db`, `db:5432/app`.
fn stands_by_host(
    words: &[Word<'_>],
    at: usize,
    part: Part,
    value: &str,
    is_host: &impl Fn(&Word<'_>) -> bool,
) -> bool {
    let word = &words[at];
    let after = |by: usize| words.get(at + by);
    let before = |by: usize| at.checked_sub(by).and_then(|at| words.get(at));
    let is_number = |word: &Word<'_>| word.text.bytes().all(|byte| byte.is_ascii_digit());
    let is_host_at = |next: Option<&Word<'_>>, between: &str| {
        next.is_some_and(|next| next.before == between && is_host(next))
    };
    word.text == value
        && match part {
            Part::User => {
                is_host_at(after(1), "@")
                    || (after(1).is_some_and(|next| next.before.starts_with(':'))
                        && (1..words.len() - at)
                            .take(8)
                            .any(|by| is_host_at(after(by), "@") || is_host_at(after(by), "@tcp(")))
            }
            Part::Password => is_host_at(after(1), "@") && word.before == ":",
            Part::Database => {
                word.before == "/"
                    && before(1).is_some_and(|previous| {
                        is_host(previous)
                            || (is_number(previous)
                                && previous.before == ":"
                                && before(2).is_some_and(is_host))
                    })
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::server::tests::table;
    use crate::known_image::KnownImage;

    /// Returns what each text names of the login of `app`, `secret`, `shop`.
    fn of(texts: &[&str], mentioned: impl Fn(&str, &Server<'_>) -> Option<Part>) -> String {
        // Told again, a part is none.
        let told = |text: &str, server: &Server<'_>| {
            let part = if ["user", "password", "database"].contains(&text) {
                Part::ALL.into_iter().find(|part| part.as_str() == text)
            } else {
                mentioned(text, server)
            };
            part.map(|part| part.as_str().to_owned())
        };
        table(KnownImage::Postgres, texts, told)
    }

    #[test]
    fn a_login_beside_the_host_is_noticed_in_any_form() {
        let texts = [
            "other://app:x@db/x",
            "app@db",
            "db:5432/shop",
            r#"{"host":"db","user":"app"}"#,
            "{adapter: pg, host: db, database: shop}",
            "db|secret",
            r#"postgres://x:p"secret@db/x"#,
            "jdbc:tds:db:5432;USERNAME=app",
        ];
        insta::assert_snapshot!(of(&texts, mentioned), @"
        user
        user
        database
        user
        database
        password
        password
        user
        ");
        let commands = [
            "psql -h db -U app",
            "psql -hdb -Uapp",
            "sh -c PGPASSWORD=secret psql --host=db",
            "psql --host db --dbname shop",
            "sleep 1; pg_dump -h db -d shop > /x",
            "mysql -h db -psecret",
        ];
        insta::assert_snapshot!(of(&commands, mentioned_in_command), @"
        user
        user
        password
        database
        database
        password
        ");
    }

    #[test]
    fn names_that_mean_something_else_are_no_login() {
        let texts = [
            "db",
            "app",
            "secret",
            "localhost,db,app,shop",
            "db:5432",
            "db app",
            "app=db",
            "db=shop",
            "user=other host=db",
            "http://db:8080/",
            "postgres://elsewhere:secret@x",
            "db.example.org secret",
        ];
        let kept = texts.map(|text| format!("- {text}")).join("\n");
        assert_eq!(of(&texts, mentioned), kept);
        let commands = [
            "wait-for-it db:5432",
            "wait-for-it db:5432 -- app serve",
            "wait-for-it db:5432 && login app",
            "until pg_isready -h db -U app; do sleep 1; done; exec shop",
            "/app/bin/app --db db",
            "app -u app",
        ];
        let kept = commands.map(|text| format!("- {text}")).join("\n");
        assert_eq!(of(&commands, mentioned_in_command), kept);
    }
}
