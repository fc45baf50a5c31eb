//! Reads `.env` files and the files under `env_file`, as Compose does.
//!
//! Single quotes keep their text, double quotes know escapes and variables, a text without quotes knows variables and
//! ends at ` #`. A variable is looked up outside the file first, then among the lines above. Messages show names only.

use indexmap::IndexMap;

use super::interpolate::{interpolate_text, mention};
use super::node::{Diagnostic, Place};

/// How many bytes a file may have, and how many all of its values together once variables are filled in.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// The variables of a file, and what was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dotenv {
    /// The variables in their order, each once, with the last value.
    ///
    /// `None` stands for a name without `=`, which takes its value from the surroundings if it has one there.
    pub variables: Vec<(String, Option<String>)>,
    /// The variables that values name and nobody has set, each where it is named first.
    pub unset: Vec<Diagnostic>,
    /// The first value without a name, which `env_file` may have, and the variables of a process may not.
    pub nameless: Option<Diagnostic>,
}

/// Returns the variables of `text`, as [`read_dotenv`] does, alone.
pub fn parse_dotenv(
    file: &str,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
    let Dotenv { variables, nameless, .. } = read_dotenv(file, text, lookup)?;
    nameless.map_or(Ok(variables), Err)
}

/// Reads the variables of `text`; `lookup` looks one up outside of it.
pub fn read_dotenv(
    file: &str,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Dotenv, Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (variables, unset) = (IndexMap::new(), IndexMap::new());
    let mut reader = Reader { file, text, rest: text, lookup, variables, unset, nameless: None, size: 0 };
    if text.len() > SIZE_LIMIT {
        return Err(reader.error(text, too_long()));
    }
    while reader.skip_to_statement() {
        reader.statement()?;
    }
    let unset = reader.unset.into_values().collect();
    Ok(Dotenv { variables: reader.variables.into_iter().collect(), unset, nameless: reader.nameless })
}

/// Returns the variables of `text` whose values stand for themselves: the format `raw` of `env_file`.
///
/// `None` stands for a name without `=`, as in [`parse_dotenv`].
pub fn parse_raw(file: &str, text: &str) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables: IndexMap<String, Option<String>> = IndexMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), None),
        };
        let error = |message: String| {
            let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
            Diagnostic { place: Place { file: file.into(), line, column: 1 }, message }
        };
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '\0') {
            return Err(error("a variable name is expected here, without a space".to_owned()));
        }
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(error(nul(name)));
        }
        variables.insert(name.to_owned(), value);
    }
    Ok(variables.into_iter().collect())
}

struct Reader<'text> {
    file: &'text str,
    text: &'text str,
    rest: &'text str,
    lookup: &'text dyn Fn(&str) -> Option<String>,
    variables: IndexMap<String, Option<String>>,
    /// What is said about each variable that is not set.
    unset: IndexMap<String, Diagnostic>,
    /// What is said about the first value without a name.
    nameless: Option<Diagnostic>,
    /// How many bytes the values have so far.
    size: usize,
}

impl<'text> Reader<'text> {
    /// Skips blank lines and comments; returns whether anything follows.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn statement(&mut self) -> Result<(), Diagnostic> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            self.rest = rest.trim_start();
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let key = self.name(&self.rest[..end])?;
        let behind = &self.rest[end..];
        if key.is_empty() && self.nameless.is_none() {
            self.nameless = Some(self.error(self.rest, "a variable name is missing here"));
        }
        let Some(value) = behind.strip_prefix(['=', ':']) else {
            self.variables.insert(key.to_owned(), None);
            self.rest = behind;
            return Ok(());
        };
        self.rest = value.trim_start_matches(is_blank);
        let begin = self.rest;
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(key, quote)?,
            _ => self.unquoted(key)?,
        };
        if value.contains('\0') {
            return Err(self.error(begin, nul(key)));
        }
        self.variables.insert(key.to_owned(), Some(value));
        Ok(())
    }

    fn name(&self, written: &'text str) -> Result<&'text str, Diagnostic> {
        let name = written.trim_end();
        let bad = |character: char| !(character.is_alphanumeric() || "_.-[]".contains(character));
        match name.find(bad) {
            None => Ok(name),
            Some(index) if name[index..].starts_with(char::is_whitespace) => {
                Err(self.error(self.rest, "a variable name cannot contain a space"))
            }
            Some(index) => Err(self.error(&self.rest[index..], "a variable name cannot contain this")),
        }
    }

    fn unquoted(&mut self, key: &str) -> Result<String, Diagnostic> {
        let begin = self.rest;
        let end = begin.find('\n').unwrap_or(begin.len());
        self.rest = &begin[end..];
        let line = &begin[..end];
        let value = line.split_once(" #").map_or(line, |(value, _)| value);
        self.fill(key, value.trim_end(), begin)
    }

    /// Reads a quoted text, which may span lines; what follows the closing quote is the next statement.
    fn quoted(&mut self, key: &str, quote: char) -> Result<String, Diagnostic> {
        let begin = self.rest;
        let mut value = String::new();
        let mut characters = begin.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            if character == quote {
                self.rest = &begin[index + 1..];
                return if quote == '"' { self.fill(key, &unescape(&value), begin) } else { Ok(value) };
            }
            if character != '\\' {
                value.push(character);
                continue;
            }
            match characters.next() {
                Some((_, escaped)) if escaped == quote => value.push(quote),
                Some((_, escaped)) => value.extend(['\\', escaped]),
                None => value.push('\\'),
            }
        }
        Err(self.error(begin, format!("the quote that begins the value of `{key}` is not closed")))
    }

    fn fill(&mut self, key: &str, value: &str, begin: &'text str) -> Result<String, Diagnostic> {
        let lookup = |name: &str| (self.lookup)(name).or_else(|| self.variables.get(name).cloned().flatten());
        match interpolate_text(value, &lookup) {
            Ok(interpolated) => {
                self.size = self.size.saturating_add(interpolated.text.len());
                if self.size > SIZE_LIMIT {
                    return Err(self.error(begin, too_long()));
                }
                for name in interpolated.unset {
                    let message = format!(
                        "in the value of `{key}`: variable `{name}` is not set; an empty text stands in for it"
                    );
                    let warning = self.error(&begin[mention(begin, &name)..], message);
                    self.unset.entry(name).or_insert(warning);
                }
                Ok(interpolated.text)
            }
            Err(message) => Err(self.error(begin, format!("in the value of `{key}`: {message}"))),
        }
    }

    /// Returns an error at the place where `rest`, an end of the text, begins.
    fn error(&self, rest: &str, message: impl Into<String>) -> Diagnostic {
        let before = &self.text[..self.text.len() - rest.len()];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Diagnostic {
            place: Place {
                file: self.file.into(),
                line: number(before.matches('\n').count()),
                column: number(before[line_start..].chars().count()),
            },
            message: message.into(),
        }
    }
}

fn nul(name: &str) -> String {
    format!("the value of `{name}` holds a NUL byte, which no variable of a process can hold")
}

fn too_long() -> String {
    format!("the file and its values have more than {} MiB", SIZE_LIMIT / 1024 / 1024)
}

/// Returns `text` with its escapes replaced; `\$` becomes `$$`, which the interpolation turns into a dollar sign.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (replacement, used) = escape(after);
        out.push_str(&replacement);
        rest = &after[used..];
    }
    out.push_str(rest);
    out
}

/// Returns what the escape stands for that begins behind a backslash, and how many bytes belong to it.
fn escape(after: &str) -> (String, usize) {
    let replacement = match after.bytes().next() {
        Some(b'a') => "\u{7}",
        Some(b'b') => "\u{8}",
        Some(b'f') => "\u{c}",
        Some(b'n') => "\n",
        Some(b'r') => "\r",
        Some(b't') => "\t",
        Some(b'v') => "\u{b}",
        Some(b'\\') => "\\",
        Some(b'"') => "\"",
        Some(b'$') => "$$",
        Some(b'0') => {
            // Three octal digits behind the zero, of a value below 128: a lone byte above is no text.
            let octal = after.get(1..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
            let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
            return match byte.filter(u8::is_ascii) {
                Some(byte) => (char::from(byte).to_string(), 4),
                None => ("\\".to_owned(), 0),
            };
        }
        _ => return ("\\".to_owned(), 0),
    };
    (replacement.to_owned(), 1)
}

/// Returns whether `character` is white space that does not end a line.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{a0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let lookup = |name: &str| (name == "FOO").then(|| "first".to_owned());
        match parse_dotenv(".env", text, &lookup) {
            Ok(variables) => {
                let variables: Vec<_> = variables
                    .iter()
                    .map(|(key, value)| match value {
                        Some(value) => format!("{key}={value:?}"),
                        None => key.clone(),
                    })
                    .collect();
                variables.join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    fn reads_as(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(&read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn statements_may_be_written_in_several_ways() {
        reads_as(&[
            ("X=1\nY=2", r#"X="1" Y="2""#),
            ("  X = 1 \nY= 2", r#"X="1" Y="2""#),
            ("export X=1", r#"X="1""#),
            ("export\tX=1", r#"X="1""#),
            ("exportX=1", r#"exportX="1""#),
            ("X: a=b", r#"X="a=b""#),
            ("X=1:B", r#"X="1:B""#),
            ("X==b", r#"X="=b""#),
            ("1X=a\nX.Y=b\nX-Y[0]=c", r#"1X="a" X.Y="b" X-Y[0]="c""#),
            ("\u{feff}X=a\r\nY=\"b\"\r\n", r#"X="a" Y="b""#),
            ("X=1\nX=2", r#"X="2""#),
            ("", ""),
        ]);
    }

    #[test]
    fn a_name_alone_inherits_and_an_empty_value_is_a_value() {
        reads_as(&[
            ("X\nY=1", r#"X Y="1""#),
            ("export X", "X"),
            ("X=\nY=1", r#"X="" Y="1""#),
            ("X=", r#"X="""#),
            ("X=''", r#"X="""#),
        ]);
    }

    #[test]
    fn comments_begin_at_a_line_or_behind_a_space() {
        reads_as(&[
            ("# c\n  # d\n\nX=1", r#"X="1""#),
            ("X=a#b", r#"X="a#b""#),
            ("X=a #b", r#"X="a""#),
            ("X= #b", r##"X="#b""##),
            ("X=\"a#b\" # c", r#"X="a#b""#),
            ("X='a' # c\nY=1", r#"X="a" Y="1""#),
        ]);
    }

    #[test]
    fn quotes_keep_lines_and_escapes_as_compose_does() {
        reads_as(&[
            (r"X='a $FOO \n'", r#"X="a $FOO \\n""#),
            (r"X='a\'b'", r#"X="a'b""#),
            (r#"X="a\nb\tc\\d\"e""#, r#"X="a\nb\tc\\d\"e""#),
            (r#"X="\$FOO \${FOO} \x \! \0101""#, r#"X="$FOO ${FOO} \\x \\! A""#),
            ("X=\"l1\nl2\"", r#"X="l1\nl2""#),
            ("X='l1\nl2'", r#"X="l1\nl2""#),
            (r#"X="a\\\"b""#, r#"X="a\\\"b""#),
            ("X=a'b'c \"d\"", r#"X="a'b'c \"d\"""#),
            (r"X=a\nb", r#"X="a\\nb""#),
        ]);
    }

    #[test]
    fn variables_come_from_outside_and_from_lines_above() {
        reads_as(&[
            ("X=a $FOO ${M:-d} $$ $1", r#"X="a first d $ $1""#),
            ("X=\"a $FOO\"", r#"X="a first""#),
            ("M=1\nY=$M", r#"M="1" Y="1""#),
            ("FOO=other\nY=$FOO", r#"FOO="other" Y="first""#),
            (r"X=a\$FOO", r#"X="a\\first""#),
            ("X=\"${M:-'a'}\"", r#"X="'a'""#),
        ]);
    }

    #[test]
    fn values_that_double_again_and_again_are_an_error() {
        let lines: Vec<_> = (1..60).map(|n| format!("A{n}=$A{}$A{}\n", n - 1, n - 1)).collect();
        let error = read(&format!("A0=x\n{}", lines.concat()));
        assert!(error.ends_with("the file and its values have more than 4 MiB"), "{error}");
        assert!(read(&"# x\n".repeat(2_000_000)).contains("more than 4 MiB"));
    }

    #[test]
    fn raw_values_stand_for_themselves() {
        let read = parse_raw("a.env", "# c\nA='x' # $B\n  B=\n\nC\nA=\"y\"\n").unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            read,
            [("A".to_owned(), text("\"y\"")), ("B".to_owned(), text("")), ("C".to_owned(), None)]
        );
        let nul = parse_raw("a.env", "A=1\nB=hush\0\n").unwrap_err().to_string();
        assert_eq!(
            nul,
            "a.env:2:1: the value of `B` holds a NUL byte, which no variable of a process can hold"
        );
        assert!(parse_raw("a.env", "# \0\nA=1\nB\0=1\n").unwrap_err().to_string().starts_with("a.env:3:1"));
        let error = parse_raw("a.env", "A=1\nB C=hush\n").unwrap_err().to_string();
        assert_eq!(error, "a.env:2:1: a variable name is expected here, without a space");
    }

    #[test]
    fn errors_have_a_place_and_show_no_value() {
        let errors: Vec<_> = [
            "Y=1\nX=\"hush",
            "X Y=hush",
            "=hush",
            "X=\"hush\" 'hush'",
            "A=1\nX=${M",
            "X=hush ${M?say so}",
            "\"hush\"=1",
            "# \0\nX=1\nY=hush\0",
            "X='hush\0'",
            r#"X="hush\0000""#,
        ]
        .map(read)
        .into();
        insta::assert_snapshot!(errors.join("\n"), @"
        .env:2:3: the quote that begins the value of `X` is not closed
        .env:1:1: a variable name cannot contain a space
        .env:1:1: a variable name is missing here
        .env:1:10: a variable name cannot contain this
        .env:2:3: in the value of `X`: `${M` is not closed by `}`
        .env:1:3: in the value of `X`: required variable `M` is not set: say so
        .env:1:1: a variable name cannot contain this
        .env:3:3: the value of `Y` holds a NUL byte, which no variable of a process can hold
        .env:1:3: the value of `X` holds a NUL byte, which no variable of a process can hold
        .env:1:3: the value of `X` holds a NUL byte, which no variable of a process can hold
        ");
    }

    #[test]
    fn variables_that_nobody_set_are_pointed_at_once_and_a_name_may_be_left_out() {
        let text = "A=1\nB=$A ${X} $X\nC=\"${X} ${Y:-$Z}\"\n=n\n";
        let read = read_dotenv(".env", text, &|_| None).unwrap();
        let unset: Vec<String> = read.unset.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(unset.join("\n"), @"
        .env:2:6: in the value of `B`: variable `X` is not set; an empty text stands in for it
        .env:3:14: in the value of `C`: variable `Z` is not set; an empty text stands in for it
        ");
        assert_eq!(read.variables[3], (String::new(), Some("n".to_owned())));
        assert_eq!(read.nameless.unwrap().to_string(), ".env:4:1: a variable name is missing here");
    }
}
