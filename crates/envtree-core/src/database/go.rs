//! The names that Go's driver of MySQL has for a data source: `user:password@tcp(db:3306)/name?parseTime=true`.

use super::server::{Family, Server};

/// The protocol, as far as the address that it is spoken at.
const PROTOCOL: &str = "tcp(";

/// Returns a name of the server's data source with login and database replaced; nothing for any other text.
pub(super) fn pointed(text: &str, server: &Server<'_>) -> Option<String> {
    if !server.is_of(Family::MySql) {
        return None;
    }
    // The driver looks for the last `/`, and for the last `@` before it.
    let slash = text.find('?').map_or(text, |at| &text[..at]).rfind('/')?;
    let (before, name) = (&text[..slash], &text[slash + 1..]);
    let protocol = before.rfind(PROTOCOL)?;
    let (login, address) = before.split_at(protocol);
    let is_login = login.is_empty() || login.ends_with('@');
    let is_own = server.is_address(address.strip_prefix(PROTOCOL)?.strip_suffix(')')?);
    let (name, parameters) = name.split_at(name.find('?').unwrap_or(name.len()));
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.~%-".contains(c));
    if !is_login || !is_own || !is_name || login.contains("://") || login.contains(char::is_whitespace) {
        return None;
    }
    let account = server.account;
    let database = server.database_for(name);
    Some(format!("{}:{}@{address}/{database}{parameters}", account.user, account.password))
}

/// Returns a line with each such name in it replaced, and what of it is none; nothing if it has none.
///
/// A name stands between blanks or quotes, or after the `=` of an option or a variable.
pub(super) fn pointed_in_line(line: &str, server: &Server<'_>) -> Option<(String, String)> {
    let (mut text, mut rest, mut found) = (String::new(), String::new(), false);
    for piece in line.split_inclusive(|c: char| c.is_whitespace() || "\"'".contains(c)) {
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || "\"'".contains(c));
        let is_option = |key: &str| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        let value = word.split_once('=').filter(|(key, _)| is_option(key)).map_or(word, |(_, value)| value);
        let key = &word[..word.len() - value.len()];
        let own = pointed(value, server);
        found |= own.is_some();
        rest.push_str(key);
        rest.push_str(own.as_ref().map_or(value, |_| ""));
        text.push_str(key);
        text.push_str(own.as_deref().unwrap_or(value));
        text.push_str(&piece[word.len()..]);
        rest.push_str(&piece[word.len()..]);
    }
    found.then_some((text, rest))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::database::server::tests::table;
    use crate::known_image::KnownImage;

    #[test]
    fn names_of_a_data_source_are_understood() {
        let texts = [
            "root:x@tcp(db:3306)/shop?parseTime=true",
            "root:p@ss/w:d@tcp(db)/shop_test",
            "root@tcp(db:3306)/",
            "tcp(store)/shop",
            "root:x@tcp(elsewhere:3306)/db",
            "root:x@unix(/run/db)/shop",
            "root:x y@tcp(db)/shop",
            "x root:x@tcp(db)/shop",
            "root:x@tcp(db)",
        ];
        assert_snapshot!(table(KnownImage::MySql, &texts, pointed), @"
        dev_fix_login:s3cret@tcp(db:3306)/dev_fix_login?parseTime=true
        dev_fix_login:s3cret@tcp(db)/test_fix_login
        dev_fix_login:s3cret@tcp(db:3306)/dev_fix_login
        dev_fix_login:s3cret@tcp(store)/dev_fix_login
        - root:x@tcp(elsewhere:3306)/db
        - root:x@unix(/run/db)/shop
        - root:x y@tcp(db)/shop
        - x root:x@tcp(db)/shop
        - root:x@tcp(db)
        ");
        let line = |text: &str, server: &Server<'_>| Some(pointed_in_line(text, server)?.0);
        let texts = [
            "migrate --dsn=root:x@tcp(db:3306)/shop up",
            "DSN='root:x@tcp(db:3306)/shop' exec  run",
            "run tcp(elsewhere)/shop",
        ];
        assert_snapshot!(table(KnownImage::MySql, &texts, line), @"
        migrate --dsn=dev_fix_login:s3cret@tcp(db:3306)/dev_fix_login up
        DSN='dev_fix_login:s3cret@tcp(db:3306)/dev_fix_login' exec  run
        - run tcp(elsewhere)/shop
        ");
        assert_eq!(table(KnownImage::Postgres, &texts[..1], line), format!("- {}", texts[0]));
    }
}
