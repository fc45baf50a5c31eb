//! A shared server as the values of one service may name it.

use super::Account;
use crate::known_image::{Credentials, KnownImage};

/// A shared server: what it is called, what logs in to it, and what shall.
#[derive(Debug, Clone)]
pub(super) struct Server<'a> {
    /// The names under which the service reaches it.
    pub(super) hosts: Vec<String>,
    /// What the environment has there of its own.
    pub(super) account: &'a Account,
    /// What logs in by the server's own definition.
    pub(super) logins: &'a [Credentials],
}

/// What a protocol's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Postgres,
    MySql,
    /// Whatever the program is configured for.
    Any,
}

impl Server<'_> {
    /// Returns whether `text` is a name of the server.
    pub(super) fn is_host(&self, text: &str) -> bool {
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(text))
    }

    /// Returns whether `text` is `host[:port]`, or several of them with commas between, and the server all of them.
    pub(super) fn is_address(&self, text: &str) -> bool {
        text.split(',').all(|address| {
            let (host, port) = address.split_once(':').unwrap_or((address, "0"));
            self.is_host(host) && is_number(port)
        })
    }

    /// Returns whether the server is one of the family.
    pub(super) fn is_of(&self, family: Family) -> bool {
        match family {
            Family::Postgres => self.account.known == KnownImage::Postgres,
            Family::MySql => self.account.known != KnownImage::Postgres,
            Family::Any => true,
        }
    }

    /// Returns the database that stands for the one called `named`: the one for tests if its name says so.
    pub(super) fn database_for(&self, named: &str) -> &str {
        let Account { database, test_database, .. } = self.account;
        let is_test =
            named != database && named.split(['_', '-']).any(|word| word.eq_ignore_ascii_case("test"));
        if is_test { test_database } else { database }
    }

    /// Returns what the server's own logins say of a part, but for empty texts.
    pub(super) fn logins_say(&self, part: Part) -> impl Iterator<Item = &str> {
        let said = self.logins.iter().filter_map(move |login| match part {
            Part::User => login.user.as_deref(),
            Part::Password => login.password.as_deref(),
            Part::Database => login.database.as_deref(),
        });
        said.filter(|value| !value.is_empty())
    }

    /// Returns what stands for a part of a login that says `named`.
    pub(super) fn own(&self, part: Part, named: &str) -> &str {
        match part {
            Part::User => &self.account.user,
            Part::Password => &self.account.password,
            Part::Database => self.database_for(named),
        }
    }
}

/// A part of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    User,
    Password,
    Database,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::User, Self::Password, Self::Database];

    /// Returns the part for messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Password => "password",
            Self::Database => "database",
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::database::tests::account;

    /// Returns what `pointed` makes of each text for a server called `db` and `store`, a line each.
    pub(in crate::database) fn table(
        known: KnownImage,
        texts: &[&str],
        pointed: impl Fn(&str, &Server<'_>) -> Option<String>,
    ) -> String {
        let (account, logins) = (account(known), [superuser()]);
        let hosts = vec!["db".to_owned(), "store".to_owned()];
        let server = Server { hosts, account: &account, logins: &logins };
        let line = |text: &&str| {
            let own = pointed(text, &server);
            // What was pointed once stays.
            if let Some(own) = &own {
                assert_eq!(pointed(own, &server).as_ref(), Some(own), "{text}");
            }
            own.unwrap_or_else(|| format!("- {text}"))
        };
        texts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn superuser() -> Credentials {
        Credentials {
            user: Some("app".into()),
            password: Some("secret".into()),
            database: Some("shop".into()),
        }
    }

    #[test]
    fn a_database_is_for_tests_if_its_name_says_so() {
        let environment = crate::name::EnvironmentId::new("a-test").unwrap();
        let account = Account::new(KnownImage::Postgres, &environment, "s3cret");
        let server = Server { hosts: Vec::new(), account: &account, logins: &[] };
        for (named, own) in [
            ("shop", "dev_a_test"),
            ("", "dev_a_test"),
            ("contest", "dev_a_test"),
            ("shop-test", "test_a_test"),
            ("TEST_shop", "test_a_test"),
            ("test_a_test", "test_a_test"),
            // The environment's own for development is no other because of the environment's name.
            ("dev_a_test", "dev_a_test"),
        ] {
            assert_eq!(server.database_for(named), own, "{named}");
        }
    }
}
