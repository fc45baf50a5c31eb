//! The values of build arguments, which BuildKit puts into the names of steps, and which may be secrets.

use indexmap::IndexMap;

/// The least length of a value that is hidden, in characters: shorter ones stand everywhere by chance.
const SHORTEST: usize = 4;

/// Values and the names that are shown in their place, the longest value first.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Takes the arguments that have a value long enough.
    pub(super) fn new(args: &IndexMap<String, Option<String>>) -> Self {
        let long = |value: &&String| value.chars().count() >= SHORTEST;
        let values =
            args.iter().filter_map(|(name, value)| Some((value.as_ref().filter(long)?.clone(), name)));
        let mut values: Vec<_> = values.map(|(value, name)| (value, format!("${name}"))).collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// Returns `text` with `$NAME` in the place of every value, as the Dockerfile has it.
    pub(super) fn hide(&self, mut text: String) -> String {
        for (value, name) in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value, name);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_give_way_to_names() {
        let args = [("TOKEN", "hunter22"), ("BOTH", "hunter22-hunter22"), ("ONE", "1"), ("EMPTY", "")];
        let mut args: IndexMap<_, _> =
            args.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        args.insert("OUTSIDE".to_owned(), None);
        let hidden = Arguments::new(&args).hide("RUN login hunter22 hunter22-hunter22 1".to_owned());
        assert_eq!(hidden, "RUN login $TOKEN $BOTH 1");
    }
}
