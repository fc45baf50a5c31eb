//! The patterns of `.dockerignore`, by the rules of Docker.
//!
//! A pattern speaks of paths below the context. It also covers what lies in a folder that it covers, and the last
//! pattern that covers a path decides. `*` and `?` stop at slashes, `**` does not, and `!` takes back.

/// A list of patterns; a path is covered or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
}

/// Which patterns covered a folder, for what lies in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Covered(Vec<bool>);

/// A pattern that Docker does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern")]
pub(crate) struct BadPattern(pub(crate) String);

#[derive(Debug, Clone)]
struct Pattern {
    takes_back: bool,
    /// The pattern without its `!`, cleaned.
    text: String,
    tokens: Vec<Token>,
    /// Whether it is `**` and a text without wildcards, which then ends the path wherever it begins.
    is_suffix: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character, no slash.
    Any,
    /// `*`: any number of characters, no slash.
    Star,
    /// `**` within: any number of folders.
    Folders,
    /// `**` at the end: anything.
    Rest,
    /// `[…]`.
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Reads the lines of a `.dockerignore` as patterns.
pub(crate) fn parse_lines(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().filter(|line| !line.starts_with('#')).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<String> {
    let line = line.trim();
    let (bang, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if line.is_empty() {
        return None;
    }
    if pattern.is_empty() {
        return Some(bang.to_owned());
    }
    let cleaned = clean(pattern);
    let relative = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
    Some(format!("{bang}{relative}"))
}

/// Returns a path without empty parts, `.` and, where something precedes it, `..`.
pub(crate) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

impl Patterns {
    /// Reads patterns, one each, in which a leading `!` takes back.
    pub(crate) fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Self, BadPattern> {
        let texts = patterns.iter().map(|text| text.as_ref().trim()).filter(|text| !text.is_empty());
        let patterns = texts.map(Pattern::parse).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Returns whether there is no pattern at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether `path` is covered; `folder` is what this returned for the folder that it lies in.
    pub(crate) fn covers(&self, path: &str, folder: &Covered) -> (bool, Covered) {
        let mut is_covered = false;
        let mut by = vec![false; self.patterns.len()];
        for (position, pattern) in self.patterns.iter().enumerate() {
            // Docker looks at a pattern only where it could change the answer, and remembers only what it looked at.
            let inherits = folder.0.get(position).copied().unwrap_or_default();
            if inherits || pattern.takes_back == is_covered && pattern.matches(path) {
                by[position] = true;
                is_covered = !pattern.takes_back;
            }
        }
        (is_covered, Covered(by))
    }

    /// Returns whether something in the covered `folder` may be taken back.
    pub(crate) fn may_take_back_below(&self, folder: &str) -> bool {
        self.may_speak_of(folder, true)
    }

    /// Returns whether something in `folder`, which is not covered itself, may be.
    pub(crate) fn may_cover_below(&self, folder: &str) -> bool {
        self.may_speak_of(folder, false)
    }

    /// Where a pattern of that kind has a wildcard, any folder may hold something of it.
    fn may_speak_of(&self, folder: &str, takes_back: bool) -> bool {
        let mut relevant = self.patterns.iter().filter(|pattern| pattern.takes_back == takes_back).peekable();
        let below = format!("{folder}/");
        relevant.any(|pattern| {
            let stem = pattern.text.strip_suffix("/**").unwrap_or(&pattern.text);
            let stem = stem.strip_suffix("/*").unwrap_or(stem);
            stem.contains(['*', '[', ']', '?', '^', '\\']) || format!("{stem}/").starts_with(&below)
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern(text.to_owned());
        let cleaned = clean(text);
        let (takes_back, pattern) = match cleaned.strip_prefix('!') {
            Some("") => return Err(bad()),
            Some(rest) => (true, rest),
            None => (false, cleaned.as_str()),
        };
        let tokens = tokens(pattern).ok_or_else(bad)?;
        let is_literal = |tokens: &[Token]| tokens.iter().all(|token| matches!(token, Token::Char(_)));
        let is_suffix = pattern.starts_with("**")
            && !pattern.starts_with("**/")
            && !pattern.contains('\\')
            && tokens.get(1..).is_some_and(is_literal);
        Ok(Self { takes_back, text: pattern.to_owned(), tokens, is_suffix })
    }

    fn matches(&self, path: &str) -> bool {
        if self.is_suffix {
            return path.ends_with(self.text.trim_start_matches("**"));
        }
        let path: Vec<char> = path.chars().collect();
        matches(&self.tokens, &path)
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        tokens.push(match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() { Token::Folders } else { Token::Rest }
            }
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Char(chars.next()?),
            '[' => class(&mut chars)?,
            char => Token::Char(char),
        });
    }
    Some(tokens)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    let one = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next()? {
        '\\' => chars.next(),
        '-' => None,
        char => Some(char),
    };
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Token::Class { is_negated, ranges });
        }
        if chars.peek() == Some(&']') {
            return None;
        }
        let first = one(chars)?;
        let last = if chars.next_if_eq(&'-').is_some() { one(chars)? } else { first };
        ranges.push((first, last));
    }
}

/// Returns whether `tokens` describe all of `path`. What is known not to match is not tried again, so that patterns
/// of many stars take no longer than the path is long.
fn matches(tokens: &[Token], path: &[char]) -> bool {
    // `reachable[i]`: the tokens so far describe the first `i` characters.
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    for token in tokens {
        let mut next = vec![false; path.len() + 1];
        match token {
            Token::Star => spread(&reachable, &mut next, |position| path[position] != '/'),
            Token::Rest => spread(&reachable, &mut next, |_| true),
            Token::Folders => {
                let first = reachable.iter().position(|reached| *reached);
                for position in 0..=path.len() {
                    let after_slash = position > 0
                        && path[position - 1] == '/'
                        && first.is_some_and(|first| first < position);
                    next[position] = reachable[position] || after_slash;
                }
            }
            single => {
                for position in 0..path.len() {
                    next[position + 1] = reachable[position] && single.is(path[position]);
                }
            }
        }
        reachable = next;
    }
    reachable[path.len()]
}

fn spread(reachable: &[bool], next: &mut [bool], passes: impl Fn(usize) -> bool) {
    for position in 0..reachable.len() {
        next[position] = reachable[position] || position > 0 && next[position - 1] && passes(position - 1);
    }
}

impl Token {
    fn is(&self, char: char) -> bool {
        match self {
            Self::Char(own) => *own == char,
            Self::Any => char != '/',
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&char)) != *is_negated
            }
            Self::Star | Self::Folders | Self::Rest => {
                unreachable!("they stand for any number of characters")
            }
        }
    }
}

#[cfg(test)]
mod definition;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a path is covered, its folders asked first as in a walk.
    fn covers(patterns: &[&str], path: &str) -> bool {
        let patterns = Patterns::parse(patterns).unwrap();
        let mut covered = (false, Covered::default());
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            covered = patterns.covers(&path[..end], &covered.1);
        }
        covered.0
    }

    #[test]
    fn wildcards_stop_at_slashes_and_two_stars_do_not() {
        for (pattern, path, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "logs/a.log", false),
            ("*/*.log", "logs/a.log", true),
            ("**/*.log", "a.log", true),
            ("**/*.log", "a/b/c.log", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("dir/**", "dir/x/y", true),
            ("dir/**", "dir", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "ab", false),
            ("**", "x/y", true),
            ("**foo", "xfoo", true),
            ("**/foo", "xfoo", false),
            ("**foo*", "xfoo1", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a.b", "axb", false),
            ("a+", "aa", false),
        ] {
            assert_eq!(covers(&[pattern], path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_folder_covers_what_lies_in_it_and_the_last_pattern_decides() {
        assert!(covers(&["node_modules"], "node_modules/a/index.js"));
        assert!(!covers(&["node_modules"], "web/node_modules/a"));
        assert!(!covers(&["docs", "!docs/README.md"], "docs/README.md"));
        assert!(covers(&["docs", "!docs/README.md"], "docs/other.md"));
        assert!(covers(&["docs", "!docs/README.md", "docs/*.md"], "docs/README.md"));
        assert!(!covers(&["*", "!src"], "src/main.rs"));
        assert!(covers(&["*", "!src"], "target/debug"));
    }

    #[test]
    fn lines_are_cleaned_as_docker_does() {
        let text = "\u{feff}# comment\n\n  /target/  \n! ./keep\n//a/../b\n # no comment\n!\n.\n/\n";
        assert_eq!(parse_lines(text), ["target", "!keep", "b", "# no comment", "!", ".", "/"]);
    }

    #[test]
    fn what_is_no_pattern_is_rejected() {
        for pattern in ["!", "[", "[]", "[a", "[a-]", "a\\"] {
            assert_eq!(Patterns::parse(&[pattern]).unwrap_err(), BadPattern(pattern.to_owned()));
        }
    }

    #[test]
    fn a_covered_folder_is_entered_only_for_what_may_be_taken_back() {
        let patterns = Patterns::parse(&["*", "!src/bin"]).unwrap();
        assert!(patterns.may_take_back_below("src"));
        assert!(!patterns.may_take_back_below("target"));
        assert!(Patterns::parse(&["a", "!**/keep"]).unwrap().may_take_back_below("a"));
        let included = Patterns::parse(&["web/src", "x*"]).unwrap();
        assert!(included.may_cover_below("anything"));
        assert!(!Patterns::parse(&["web/src"]).unwrap().may_cover_below("api"));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = "a*".repeat(60);
        assert!(!covers(&[&format!("{pattern}b")], &"a".repeat(2_000)));
    }
}
