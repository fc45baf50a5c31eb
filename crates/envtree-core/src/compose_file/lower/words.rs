//! Splits a command line into words as Compose does: quotes and backslashes, no variables, no pipes.

/// A command line in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The words.
    pub(super) words: Vec<String>,
    /// The operator, such as `|` or `>`, at which Compose stops reading.
    pub(super) cut_at: Option<char>,
}

#[derive(Debug, Default)]
struct Splitter {
    words: Vec<String>,
    word: String,
    /// Whether a word has begun, be it empty.
    begun: bool,
    quote: Option<char>,
}

/// Returns the words of `line`, or nothing if a quote is left open or a parenthesis stands outside of quotes.
pub(super) fn split_words(line: &str) -> Option<Words> {
    let mut splitter = Splitter::default();
    let mut characters = line.chars();
    let mut cut_at = None;
    while let Some(character) = characters.next() {
        match (splitter.quote, character) {
            (quote, '\\') if quote != Some('\'') => splitter.push(characters.next()?),
            (Some(quote), _) if character == quote => splitter.close(character),
            (None, '\'' | '"') => {
                splitter.quote = Some(character);
                splitter.begun = true;
            }
            (None, '`') => {
                splitter.quote = Some('`');
                splitter.push(character);
            }
            (None, '(') if splitter.word.ends_with('$') => {
                splitter.quote = Some(')');
                splitter.push(character);
            }
            (None, '(') => return None,
            (None, ';' | '&' | '|' | '<' | '>') => {
                splitter.drop_descriptor(character);
                cut_at = Some(character);
                break;
            }
            (None, _) if character.is_ascii_whitespace() => splitter.end(),
            _ => splitter.push(character),
        }
    }
    if splitter.quote.is_some() {
        return None;
    }
    splitter.end();
    Some(Words { words: splitter.words, cut_at })
}

impl Splitter {
    fn push(&mut self, character: char) {
        self.word.push(character);
        self.begun = true;
    }

    /// Ends a quote. What encloses a command substitution stays part of the word.
    fn close(&mut self, character: char) {
        self.quote = None;
        if matches!(character, '`' | ')') {
            self.push(character);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.begun) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    /// Drops the `2` of `2>`.
    fn drop_descriptor(&mut self, operator: char) {
        if operator == '>' && self.word.starts_with(|first: char| first.is_ascii_digit()) {
            self.word.clear();
            self.begun = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split_words(line).unwrap().words
    }

    #[test]
    fn quotes_and_backslashes_hold_words_together() {
        assert_eq!(words(r#"sh -c "echo \"a\" 'b'""#), ["sh", "-c", r#"echo "a" 'b'"#]);
        assert_eq!(words(r"a\ b 'c\d' ''"), ["a b", r"c\d", ""]);
        assert_eq!(words("  a\n# b"), ["a", "#", "b"]);
        assert_eq!(words("x$(y z) `p q`"), ["x$(y z)", "`p q`"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn an_operator_ends_the_line() {
        let split = split_words("a b && c").unwrap();
        assert_eq!((split.words.len(), split.cut_at), (2, Some('&')));
        assert_eq!(words("a 2>&1"), ["a"]);
        assert_eq!(words("a '&&' b"), ["a", "&&", "b"]);
    }

    #[test]
    fn an_open_quote_or_a_bare_parenthesis_is_no_line() {
        for line in ["a \"b", "a 'b", "a (b)", "a \\"] {
            assert_eq!(split_words(line), None, "{line}");
        }
    }
}
