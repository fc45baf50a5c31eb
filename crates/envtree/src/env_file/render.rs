//! Writes variables so that dotenv libraries, Compose and shells read the same values back.

use indexmap::IndexMap;

/// Returns one `NAME=value` a line, for dotenv libraries and Compose.
///
/// A value of letters, digits and `_-./:@%+,=?` stands as it is, so that readers without quoting get it right
/// too. Any other is in single quotes or, where those cannot hold it, in double quotes with escapes. A name that
/// is not a [valid one](is_name) is left out.
pub fn render_dotenv(variables: &IndexMap<String, String>) -> String {
    let valid = variables.iter().filter(|(name, _)| is_name(name));
    valid.map(|(name, value)| format!("{name}={}\n", quote(value))).collect::<Vec<_>>().concat()
}

/// Returns one `export NAME='value'` a line, for `eval` in any POSIX shell. A name that is not a
/// [valid one](is_name) is left out, because the shell would run it.
pub fn render_shell(variables: &IndexMap<String, String>) -> String {
    let valid = variables.iter().filter(|(name, _)| is_name(name));
    let line =
        |(name, value): (&String, &String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
    valid.map(line).collect::<Vec<_>>().concat()
}

/// Returns whether every reader takes `name` for a variable: letters, digits and `_`, no digit first.
pub fn is_name(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn quote(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=?".contains(&byte);
    if value.bytes().all(is_plain) {
        return value.to_owned();
    }
    // Compose takes a backslash before the closing quote for an escape.
    if !value.contains(['\'', '\n', '\r']) && !value.ends_with('\\') {
        return format!("'{value}'");
    }
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            // A shell that sources the file would run what stands between backticks; Compose knows the octal escape.
            '`' => quoted.push_str("\\0140"),
            '"' | '\\' | '$' => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(values: &[&str]) -> IndexMap<String, String> {
        let named = values.iter().enumerate();
        named.map(|(index, value)| (format!("V{index}"), (*value).to_owned())).collect()
    }

    const VALUES: [&str; 13] = [
        "postgres://app:p%40ss@127.0.0.1:20014/app?x=1",
        "",
        "two words # no comment",
        "$HOME and ${HOME}",
        "`id`",
        r#"say "hi""#,
        "it's $5",
        "line one\nline \"two\"",
        r"C:\temp\new",
        r"ends with \",
        "größe",
        r"\\server\share",
        "it's `id` and $(id)",
    ];

    #[test]
    fn values_are_quoted_as_little_as_is_safe() {
        insta::assert_snapshot!(render_dotenv(&variables(&VALUES)), @r#"
        V0=postgres://app:p%40ss@127.0.0.1:20014/app?x=1
        V1=
        V2='two words # no comment'
        V3='$HOME and ${HOME}'
        V4='`id`'
        V5='say "hi"'
        V6="it's \$5"
        V7="line one\nline \"two\""
        V8='C:\temp\new'
        V9="ends with \\"
        V10='größe'
        V11='\\server\share'
        V12="it's \0140id\0140 and \$(id)"
        "#);
    }

    #[test]
    fn a_shell_reads_every_value_back() {
        let values = [&VALUES[..], &["tail\n", "\t "]].concat();
        let script = render_shell(&variables(&values));
        for (index, value) in values.iter().enumerate() {
            let script = format!("{script}printf '%s|' \"$V{index}\"");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{value}|"));
        }
    }

    #[test]
    fn compose_reads_every_value_back() {
        let written = render_dotenv(&variables(&VALUES));
        let read = envtree_core::compose_file::dotenv::parse_dotenv(".env", &written, &|_| None).unwrap();
        let read: Vec<_> = read.iter().map(|(_, value)| value.as_deref().unwrap_or_default()).collect();
        assert_eq!(read, VALUES);
    }

    #[test]
    fn what_is_not_a_name_is_left_out() {
        let mut variables = IndexMap::new();
        for name in ["A", "1A", "A B", "A;id", "", "_x9", "A-B"] {
            variables.insert(name.to_owned(), "1".to_owned());
        }
        assert_eq!(render_dotenv(&variables), "A=1\n_x9=1\n");
        assert_eq!(render_shell(&variables), "export A='1'\nexport _x9='1'\n");
    }
}
