//! Finds the known word that a mistyped one most likely stands for.

/// How many letters a shortened word has at least.
const SHORTENED: usize = 3;

/// Returns the word of `known` that `word` is most likely a slip of; the first one where several are as near.
///
/// `None` if the nearest word differs in more than a third of its letters, and no word begins with `word`: such a guess
/// would confuse. Inserted, left-out, replaced and swapped letters count one each; upper and lower case are the same.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let mut best: Option<(usize, &'a str)> = None;
    let mut shortened = None;
    for candidate in known {
        let spelled = letters(candidate);
        let longer = word.len().max(spelled.len());
        let allowed = longer.div_ceil(3);
        if word.len() >= SHORTENED && spelled.starts_with(&word) {
            shortened = shortened.or(Some(candidate));
        }
        // A difference in length alone costs as many edits, so hopeless candidates are not compared.
        if longer == 0 || word.len().abs_diff(spelled.len()) > allowed {
            continue;
        }
        let distance = distance(&word, &spelled);
        let useful = distance <= allowed && distance < longer;
        if useful && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate).or(shortened)
}

fn letters(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).collect()
}

/// Returns how many edits lead from `left` to `right` (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &from) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &to) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && from == right[column - 1] && left[row - 1] == to {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["worktrees", "base", "compose", "apps", "env", "hooks"];

    #[test]
    fn a_slip_finds_its_word() {
        for (word, meant) in [
            ("worktree", "worktrees"),
            ("wroktrees", "worktrees"),
            ("Compose", "compose"),
            ("hook", "hooks"),
            ("app", "apps"),
            ("evn", "env"),
            ("work", "worktrees"),
        ] {
            assert_eq!(nearest(word, KEYS), Some(meant), "{word}");
        }
    }

    #[test]
    fn a_far_word_finds_nothing() {
        for word in ["", "x", "services", "volumes", "xyz"] {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
        assert_eq!(nearest("a", ["b", ""]), None);
    }

    #[test]
    fn edits_are_counted() {
        let count = |left: &str, right: &str| distance(&letters(left), &letters(right));
        assert_eq!(count("ab", "ba"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("same", "same"), 0);
    }
}
