//! Turns the text of a YAML document into a tree of [`Node`]s.
//!
//! Scalars are read as Compose reads them (YAML 1.2 with merge keys and octal numbers such as `0440`), with one
//! difference: a number keeps its text, so `VERSION: 1.10` is not shortened. Error messages never show a value,
//! because a value can be a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_yaml::granit_parser::{
    Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options,
};

use super::fault::Fault;
use super::node::{Diagnostic, Entry, MergeTag, Node, Place, Value};
use super::scalar::plain_value;
use super::syntax_error::{conflict, explain};
use super::timestamp::time_text;
use merge_key::{duplicate, merge_into, reset_twin};
use size::{Built, NODE_WEIGHT, Size};
use tag::{is_local, is_non_specific, merge_tag, names, tagged_value};

mod merge_key;
mod size;
mod tag;

/// How deep lists and mappings may be nested, aliases included.
const DEPTH_LIMIT: usize = 100;
/// How many bytes all aliases together may stand for.
const EXPANSION_LIMIT: usize = 16 * 1024 * 1024;
/// How many bytes a text may have.
const TEXT_LIMIT: usize = 4 * 1024 * 1024;
/// How many nodes a text may have, besides those that aliases stand for.
const NODE_LIMIT: usize = 150_000;
/// How many documents a text may have.
const DOCUMENT_LIMIT: usize = 100;

/// Returns the only document of `text`; `file` is named in its places.
///
/// An empty document is [`Value::Null`]. Duplicate keys, a second document and aliases that stand for too much are
/// errors.
pub fn parse(file: &str, text: &str) -> Result<Node, Diagnostic> {
    let mut documents = documents(file, text, false)?.into_iter();
    let first = documents.next().unwrap_or_else(|| Node {
        place: Place { file: Arc::from(file), line: 1, column: 1 },
        tag: None,
        value: Value::Null,
    });
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(second.diagnostic("a second document begins here; a file holds only one")),
    }
}

/// Returns every document of a Compose file; a text of nothing but comments has none.
///
/// As in Compose, every key is a text, and a date without quotes is written out as a time.
pub fn parse_documents(file: &str, text: &str) -> Result<Vec<Node>, Diagnostic> {
    documents(file, text, true)
}

fn documents(file: &str, text: &str, is_compose: bool) -> Result<Vec<Node>, Diagnostic> {
    // Without its byte order mark, because the parser would count the mark as a column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = options! { emit_comments: false, emit_unresolved_aliases: true, emit_anchor_events: true };
    let mut builder = Builder {
        file: Arc::from(file),
        events: Parser::new_from_str_with_options(text, options),
        anchors: BTreeMap::new(),
        names: BTreeMap::new(),
        expanded: 0,
        nodes: 0,
        text,
        is_compose,
    };
    if text.len() > TEXT_LIMIT {
        let limit = TEXT_LIMIT / 1024 / 1024;
        let fault = builder.error(Marker::default(), format!("the file has more than {limit} MiB"));
        return Err(fault.diagnostic());
    }
    builder.documents().map_err(Fault::diagnostic)
}

const UNKNOWN_ANCHOR: &str = "no anchor of this name stands before this alias";

/// What stands before the `:` of a mapping.
enum Key {
    /// The unquoted `<<`.
    Merge,
    Text(String),
}

struct Builder<'text> {
    file: Arc<str>,
    events: Parser<'text, StrInput<'text>>,
    /// Finished nodes by anchor; a node that is not finished is missing, so no alias can contain itself.
    anchors: BTreeMap<usize, Built>,
    /// The last anchor of every name. As in Compose, a document knows those of the documents before it.
    names: BTreeMap<String, usize>,
    expanded: usize,
    nodes: usize,
    text: &'text str,
    /// Whether the text is a Compose file.
    is_compose: bool,
}

impl<'text> Builder<'text> {
    fn documents(&mut self) -> Result<Vec<Node>, Fault> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(documents),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if documents.len() < DOCUMENT_LIMIT => {}
                Event::DocumentStart(..) => {
                    let message = format!("the file has more than {DOCUMENT_LIMIT} documents");
                    return Err(self.error(span.start, message));
                }
                event => documents.push(self.node(event, span, 0)?.node),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), Fault> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Anchor(anchor, name), _))) => {
                    self.names.insert(name.into_owned(), anchor);
                }
                Some(Ok((Event::UnresolvedAlias(name), span))) => {
                    let anchor = self.names.get(name.as_ref()).copied();
                    let anchor = anchor.ok_or_else(|| self.error(span.start, UNKNOWN_ANCHOR))?;
                    return Ok((Event::Alias(anchor), span));
                }
                Some(Ok(next)) => return Ok(next),
                Some(Err(error)) => return Err(self.syntax_error(&error)),
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Built, Fault> {
        if depth > DEPTH_LIMIT {
            return Err(self.error(span.start, format!("nested deeper than {DEPTH_LIMIT} levels")));
        }
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            let message = format!("the file has more than {NODE_LIMIT} values");
            return Err(Fault::of_file(self.place(span.start), message));
        }
        let (anchor, built) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let merge_tag = self.collection_tag(tag.as_deref(), "seq", span)?;
                (anchor, self.list(merge_tag, span, depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                let merge_tag = self.collection_tag(tag.as_deref(), "map", span)?;
                (anchor, self.mapping(merge_tag, span, depth)?)
            }
            _ => return Err(self.error(span.start, "a value is missing here")),
        };
        if anchor != 0 {
            self.expand(&built, span)?;
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Built, Fault> {
        let Some(built) = self.anchors.get(&anchor) else {
            return Err(self.error(span.start, "this alias is part of what it stands for"));
        };
        let built = built.clone();
        self.expand(&built, span)?;
        if depth + built.depth > DEPTH_LIMIT {
            return Err(
                self.error(span.start, format!("nested deeper than {DEPTH_LIMIT} levels by this alias"))
            );
        }
        Ok(built)
    }

    /// Counts a node that is kept once more, for an anchor or in place of an alias.
    fn expand(&mut self, built: &Built, span: Span) -> Result<(), Fault> {
        self.expanded = self.expanded.saturating_add(built.weight);
        if self.expanded <= EXPANSION_LIMIT {
            return Ok(());
        }
        let limit = EXPANSION_LIMIT / 1024 / 1024;
        let message = format!("the aliases up to here stand for more than {limit} MiB");
        Err(Fault::of_file(self.place(span.start), message))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Built, Fault> {
        let untagged = || match style {
            ScalarStyle::Plain => match time_text(text).filter(|_| self.is_compose) {
                Some(time) => Value::Text(time),
                None => plain_value(text),
            },
            _ => Value::Text(text.to_owned()),
        };
        let (merge_tag, value) = match tag {
            None => (None, untagged()),
            // For Compose, the bare `!` says nothing.
            Some(tag) if is_non_specific(tag) && self.is_compose => (None, untagged()),
            Some(tag) if is_non_specific(tag) => (None, Value::Text(text.to_owned())),
            Some(tag) if is_local(tag) && !self.is_compose => (merge_tag(tag), untagged()),
            Some(tag) => (merge_tag(tag), self.tagged_value(text, tag, span)?),
        };
        Ok(Built { node: self.at(span, merge_tag, value), weight: NODE_WEIGHT + text.len(), depth: 1 })
    }

    fn tagged_value(&self, text: &str, tag: &Tag, span: Span) -> Result<Value, Fault> {
        match tagged_value(text, tag, self.is_compose) {
            Ok(value) => value.ok_or_else(|| self.unknown_tag(tag, span)),
            Err(message) => Err(self.error(span.start, message)),
        }
    }

    fn collection_tag(&self, tag: Option<&Tag>, kind: &str, span: Span) -> Result<Option<MergeTag>, Fault> {
        match tag {
            None => Ok(None),
            Some(tag) if is_non_specific(tag) || tag.is_yaml_core_schema_tag(kind) => Ok(None),
            Some(tag) if self.is_compose || is_local(tag) => Ok(merge_tag(tag)),
            Some(tag) => Err(self.unknown_tag(tag, span)),
        }
    }

    fn list(&mut self, tag: Option<MergeTag>, span: Span, depth: usize) -> Result<Built, Fault> {
        let mut items = Vec::new();
        let mut size = Size::default();
        loop {
            let (event, item_span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let built = self.node(event, item_span, depth + 1);
            let built = built.map_err(|fault| fault.within_item(items.len()))?;
            size.add(&built);
            items.push(built.node);
        }
        Ok(size.built(self.at(span, tag, Value::List(items))))
    }

    fn mapping(&mut self, tag: Option<MergeTag>, span: Span, depth: usize) -> Result<Built, Fault> {
        let mut entries: IndexMap<String, Entry> = IndexMap::new();
        let mut merged: Option<(Place, Node)> = None;
        let mut size = Size::default();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_place = self.place(key_span.start);
            let key = self.key(event, key_span, depth + 1)?;
            let built = self.value(depth + 1).map_err(|fault| match &key {
                Key::Merge => fault.within("<<"),
                Key::Text(key) => fault.within(key),
            })?;
            size.add(&built);
            match key {
                Key::Merge => {
                    if let Some((first, _)) = &merged {
                        return Err(duplicate(key_place, "<<", first).into());
                    }
                    merged = Some((key_place, built.node));
                }
                Key::Text(key) => {
                    size.add_key(&key);
                    let node = built.node;
                    let entry = Entry { key_place, node };
                    let Some(first) = entries.get_mut(&key) else {
                        entries.insert(key, entry);
                        continue;
                    };
                    *first = reset_twin(first, &entry)
                        .ok_or_else(|| duplicate(entry.key_place, &key, &first.key_place))?;
                }
            }
        }
        if let Some((key_place, node)) = merged {
            merge_into(&mut entries, &key_place, node)?;
        }
        Ok(size.built(self.at(span, tag, Value::Map(entries))))
    }

    fn value(&mut self, depth: usize) -> Result<Built, Fault> {
        let (event, span) = self.next()?;
        self.node(event, span, depth)
    }

    fn key(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Key, Fault> {
        let mut written = None;
        if let Event::Scalar(text, style, _, tag) = &event {
            let plain = *style == ScalarStyle::Plain;
            if text == "<<" && tag.as_deref().map_or(plain, |tag| self.is_merge(tag, plain)) {
                return Ok(Key::Merge);
            }
            written = Some(text.to_string());
        }
        let node = self.node(event, span, depth)?.node;
        if node.tag.is_some() {
            return Err(
                self.error(span.start, "`!reset` and `!override` stand before a value, not before a key")
            );
        }
        let text = match (node.value, written) {
            (Value::Text(text), Some(written))
                if text != written && time_text(&written).as_ref() == Some(&text) =>
            {
                return Err(self.error(span.start, "a key is a text, but this is a date; put it in quotes"));
            }
            (Value::Text(text), _) => text,
            (Value::Number(_) | Value::Bool(_), Some(written)) if !self.is_compose => written,
            (value @ (Value::Number(_) | Value::Bool(_)), _) => {
                let message = format!(
                    "a key is a text, but this is {}; put it in quotes, or if it begins a text such as `80:80`, leave \
                     out the space behind the `:`",
                    value.kind()
                );
                return Err(self.error(span.start, message));
            }
            (value, _) => {
                let message = format!("a key is a text, but this is {}", value.kind());
                return Err(self.error(span.start, message));
            }
        };
        if text.contains(char::is_control) {
            return Err(self.error(span.start, "a key is one line without control characters"));
        }
        Ok(Key::Text(text))
    }

    /// Returns whether a `<<` with this tag brings in other mappings.
    fn is_merge(&self, tag: &Tag, plain: bool) -> bool {
        let is_merge = names(tag, "tag:yaml.org,2002:merge");
        if self.is_compose { is_merge || plain && is_non_specific(tag) } else { is_merge && plain }
    }

    fn at(&self, span: Span, tag: Option<MergeTag>, value: Value) -> Node {
        Node { place: self.place(span.start), tag, value }
    }

    fn place(&self, marker: Marker) -> Place {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Place {
            file: self.file.clone(),
            line: number(marker.line().max(1)),
            column: number(marker.col().saturating_add(1)),
        }
    }

    fn line(&self, line: usize) -> Place {
        Place { file: self.file.clone(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 }
    }

    fn error(&self, marker: Marker, message: impl Into<String>) -> Fault {
        Fault::at(self.place(marker), message)
    }

    fn syntax_error(&self, error: &ScanError) -> Fault {
        match conflict(self.text) {
            Some(line) => Fault::of_file(self.line(line), "a merge conflict begins here; resolve it first"),
            None => self.error(*error.marker(), explain(error)),
        }
    }

    fn unknown_tag(&self, tag: &Tag, span: Span) -> Fault {
        let name = format!("{}{}", tag.original_handle(), tag.suffix());
        let name = name.escape_debug();
        self.error(span.tag_start.unwrap_or(span.start), format!("the tag `{name}` does not fit here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders a tree in one line: `~`, `b:`, `n:` and `t:` scalars, `@line:column` for keys.
    fn render(node: &Node) -> String {
        let tag = match node.tag {
            Some(MergeTag::Reset) => "!reset ",
            Some(MergeTag::Override) => "!override ",
            None => "",
        };
        let value = match &node.value {
            Value::Null => "~".to_owned(),
            Value::Bool(boolean) => format!("b:{boolean}"),
            Value::Number(text) => format!("n:{text}"),
            Value::Text(text) => format!("t:{text:?}"),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(render).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, entry)| format!("{key}: {}", render(&entry.node))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        };
        format!("{tag}{value}")
    }

    fn tree(text: &str) -> String {
        match parse("compose.yaml", text) {
            Ok(node) => render(&node),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_empty_document_is_nothing() {
        assert_eq!(tree(""), "~");
        assert_eq!(tree("# a comment\n"), "~");
        assert_eq!(tree("---\n"), "~");
        assert_eq!(tree("\u{feff}a: 1"), "{a: n:1}");
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let node = parse("c.yaml", "services:\n  web:\n    image: \"x\"\n").unwrap();
        let services = node.entry("services").unwrap();
        let web = services.node.entry("web").unwrap();
        let image = web.node.entry("image").unwrap();
        assert_eq!(web.key_place.to_string(), "c.yaml:2:3");
        assert_eq!(image.key_place.to_string(), "c.yaml:3:5");
        assert_eq!(image.node.place.to_string(), "c.yaml:3:12");
    }

    #[test]
    fn numbers_keep_their_text() {
        assert_eq!(
            tree("[1.10, 0440, 0x1F, 1_000, 1e3, +5, -.5, 0o17, 5., 0899]"),
            "[n:1.10, n:0440, n:0x1F, n:1_000, n:1e3, n:+5, n:-.5, n:0o17, n:5., n:0899]"
        );
    }

    #[test]
    fn what_only_resembles_a_number_is_a_text() {
        assert_eq!(
            tree("[22:22, 1:30:00, 2024-01-01, .nan, -.inf, 1.2.3, 0xZZ, 12ab, _1, '5', 1e, -a, .]"),
            r#"[t:"22:22", t:"1:30:00", t:"2024-01-01", t:".nan", t:"-.inf", t:"1.2.3", t:"0xZZ", t:"12ab", t:"_1", t:"5", t:"1e", t:"-a", t:"."]"#
        );
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!(
            tree("[true, False, yes, on, 'true', y]"),
            r#"[b:true, b:false, t:"yes", t:"on", t:"true", t:"y"]"#
        );
    }

    #[test]
    fn merge_keys_give_way_to_written_keys_and_earlier_mappings() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n";
        assert_eq!(tree(text), "{a: {x: n:1, y: n:1}, b: {y: n:2, z: n:2}, c: {x: n:3, y: n:1, z: n:2}}");
        assert_eq!(tree("a: {'<<': 1}"), "{a: {<<: n:1}}");
    }

    #[test]
    fn keys_that_are_no_texts_become_texts() {
        assert_eq!(tree("8080: a\ntrue: b\n1.0: c\n"), r#"{8080: t:"a", true: t:"b", 1.0: t:"c"}"#);
        assert_eq!(tree("? [a]\n: b\n"), "compose.yaml:1:3: a key is a text, but this is a list");
        assert_eq!(tree("\"a\\nb\": c\n"), "compose.yaml:1:1: a key is one line without control characters");
        assert_eq!(tree("~: b\n"), "compose.yaml:1:1: a key is a text, but this is nothing");
    }

    #[test]
    fn keys_of_a_compose_file_are_texts() {
        let error = parse_documents("c.yaml", "a:\n  1: b\n").unwrap_err().to_string();
        assert!(
            error.starts_with("c.yaml:2:3: `a`: a key is a text, but this is a number; put it in quotes"),
            "{error}"
        );
        assert!(parse_documents("c.yaml", "a: {'1': b, 1x: c}\n").is_ok());
        let error = parse_documents("c.yaml", "2024-01-02: b\n").unwrap_err().to_string();
        assert_eq!(error, "c.yaml:1:1: a key is a text, but this is a date; put it in quotes");
    }

    #[test]
    fn a_date_of_a_compose_file_is_a_time() {
        let documents = parse_documents("c.yaml", "[2024-01-02, '2024-01-02', 2024-13-02]").unwrap();
        assert_eq!(
            render(&documents[0]),
            r#"[t:"2024-01-02 00:00:00 +0000 UTC", t:"2024-01-02", t:"2024-13-02"]"#
        );
    }

    fn documents_of(text: &str) -> String {
        match parse_documents("c.yaml", text) {
            Ok(documents) => documents.iter().map(render).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_alias_of_a_compose_file_knows_the_documents_before_its_own() {
        assert_eq!(
            documents_of("a: &a 1\nb: &b 2\n---\na: &a 3\nb: *b\nc: *a\n---\n- *a\n"),
            "{a: n:1, b: n:2} {a: n:3, b: n:2, c: n:3} [n:3]"
        );
        assert_eq!(
            documents_of("a: 1\n---\nb: *a\n"),
            "c.yaml:3:4: `b`: no anchor of this name stands before this alias"
        );
    }

    #[test]
    fn tags_of_a_compose_file_are_read_as_compose_reads_them() {
        assert_eq!(
            documents_of("[!!binary aGk=, !!timestamp '2024-01-02', !x 010, !!x null, !override 1, ! 010]"),
            r#"[t:"hi", t:"2024-01-02 00:00:00 +0000 UTC", t:"010", t:"null", !override t:"1", n:010]"#
        );
        assert_eq!(documents_of("[!!set {a}, !!str [b], !!omap {c: d}]"), r#"[{a: ~}, [t:"b"], {c: t:"d"}]"#);
        assert_eq!(documents_of("[!!float 1, !!float 1.5, !!int 1]"), "[n:1.0, n:1.5, n:1]");
        assert_eq!(documents_of("!!int 1.5"), "c.yaml:1:7: this is no value for `!!int`");
        assert_eq!(documents_of("!!binary '%'"), "c.yaml:1:10: this is no value for `!!binary`");
        assert_eq!(documents_of("!!timestamp x"), "c.yaml:1:13: this is no value for `!!timestamp`");
        assert_eq!(
            documents_of("x: &x {y: 1}\na: {! <<: *x}\nb: {!!merge '<<': *x}\nc: {! '<<': *x}"),
            "{x: {y: n:1}, a: {y: n:1}, b: {y: n:1}, c: {<<: {y: n:1}}}"
        );
        assert_eq!(documents_of("{!!binary aGk=: 1, !x 2: 3}"), "{hi: n:1, 2: n:3}");
    }

    #[test]
    fn merge_tags_are_kept_and_tags_of_others_passed_over() {
        assert_eq!(
            tree("a: !reset null\nb: !override [1]\nc: !reset {}\nd: !!str 1\n"),
            r#"{a: !reset ~, b: !override [n:1], c: !reset {}, d: t:"1"}"#
        );
        assert_eq!(tree("a: !secret 1\nb: !list [x]\n"), r#"{a: n:1, b: [t:"x"]}"#);
        assert_eq!(tree("a: !!set {x: 1}\n"), "compose.yaml:1:4: `a`: the tag `!!set` does not fit here");
        assert_eq!(tree("a: !!int hush\n"), "compose.yaml:1:10: `a`: this is no value for `!!int`");
    }

    #[test]
    fn a_duplicate_key_names_the_first_one() {
        assert_eq!(
            tree("a: 1\nb: 2\na: 3\n"),
            "compose.yaml:3:1: the key `a` is already in line 1 of this mapping"
        );
        assert_eq!(
            tree("x: &x {}\ny:\n  <<: *x\n  <<: *x\n"),
            "compose.yaml:4:3: `y`: `<<` is already in line 3; name both in one list: `<<: [*a, *b]`"
        );
    }

    #[test]
    fn reset_means_earlier_files_alone() {
        assert_eq!(tree("a: [1]\na: !reset []\n"), "{a: !override [n:1]}");
        assert_eq!(
            tree("x: &x {a: 1}\ny: {<<: *x, a: !reset null}\n"),
            "{x: {a: n:1}, y: {a: !override n:1}}"
        );
    }

    #[test]
    fn a_second_document_is_an_error() {
        assert_eq!(
            tree("a: 1\n---\nb: 2\n"),
            "compose.yaml:3:1: a second document begins here; a file holds only one"
        );
    }

    #[test]
    fn aliases_are_bounded() {
        let sequence = |level: usize, items: &str| format!("a{level}: &a{level} [{items}]\n");
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        let mut chain = "a0: &a0 []\n".to_owned();
        for level in 1..200 {
            let below = level - 1;
            let aliases = vec![format!("*a{below}"); 10].join(", ");
            bomb.push_str(&sequence(level, &aliases));
            chain.push_str(&sequence(level, &format!("*a{below}")));
        }
        assert_eq!(tree(&bomb), "compose.yaml:6:10: the aliases up to here stand for more than 16 MiB");
        assert_eq!(
            tree(&chain),
            "compose.yaml:100:12: `a99[0]`: nested deeper than 100 levels by this alias"
        );
        assert_eq!(
            tree("a: &a [*a]\n"),
            "compose.yaml:1:8: `a[0]`: this alias is part of what it stands for"
        );
        assert_eq!(tree("a: *b\n"), "compose.yaml:1:4: `a`: no anchor of this name stands before this alias");
    }

    #[test]
    fn the_size_of_a_file_is_bounded() {
        let error = |text: &str| tree(text).split_once(": ").unwrap().1.to_owned();
        assert_eq!(error(&"# x\n".repeat(2_000_000)), "the file has more than 4 MiB");
        assert_eq!(error(&format!("[{}]", "1,".repeat(400_000))), "the file has more than 150000 values");
        assert_eq!(error(&"---\na: 1\n".repeat(200)), "the file has more than 100 documents");
        let anchors: Vec<_> = (0..90).map(|number| format!("&a{number} [")).collect();
        let text = format!("{}{}{}", anchors.concat(), "1,".repeat(20_000), "]".repeat(90));
        assert_eq!(error(&text), "the aliases up to here stand for more than 16 MiB");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        assert_eq!(
            tree(&("[".repeat(102) + &"]".repeat(102))),
            "compose.yaml:1:102: `[0][0][0][0][0][0][0][0].…`: nested deeper than 100 levels"
        );
        assert_eq!(tree(&"[".repeat(100_000)), "compose.yaml:1:256: nested too deeply");
    }

    #[test]
    fn what_is_wrong_is_said_of_a_service_and_a_key() {
        let mistakes = [
            "services:\n  web:\n    ports:\n      - 80: 80\n",
            "services:\n  web:\n    environment:\n      A: \"x\n",
            "services:\n  web:\n    image: a\n    image: b\n",
            "services:\n  web:\n    command: [a, b\n",
            "services:\n  web:\n    build:\n      context: .\n     args: {}\n",
            "services:\n  web:\n    image: *a\n",
            "services:\n  web:\n\timage: a\n",
            "services:\n  web:\n    command: [a, b\n    image: x\n",
            "services:\n  web:\n    command: *\n",
            "services:\n  web:\n    command: \"a\\d\"\n",
            "services:\n<<<<<<< HEAD\n  web: {image: a}\n=======\n  web: {image: b}\n>>>>>>> x\n",
            "networks:\n  back: {ipam: {config: [{subnet: @a}]}}\n",
            "a: {b: {c: {d: [[{<<: *x}]]}}}\n",
        ];
        let said = mistakes.map(|text| parse_documents("c.yaml", text).unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n"), @r"
        c.yaml:4:9: service `web`: `ports[0]`: a key is a text, but this is a number; put it in quotes, or if it begins a text such as `80:80`, leave out the space behind the `:`
        c.yaml:5:1: service `web`: `environment.A`: a quote of the lines above is not closed, or its text goes on without indentation
        c.yaml:4:5: service `web`: the key `image` is already in line 3 of this mapping
        c.yaml:3:14: service `web`: `command`: this `[` is not closed
        c.yaml:5:6: service `web`: a key or `- ` of the lines above is expected here; is the indentation right?
        c.yaml:3:12: service `web`: `image`: no anchor of this name stands before this alias
        c.yaml:3:2: service `web`: a tab stands where YAML takes only spaces
        c.yaml:4:10: service `web`: `command`: a `:` cannot stand here; is a bracket or a quote of the lines above not closed?
        c.yaml:3:14: service `web`: `command`: a text that begins with `*` or `&` needs quotes
        c.yaml:3:14: service `web`: `command`: double quotes do not know this escape; `\\` writes a backslash, and single quotes know no escapes
        c.yaml:2:1: a merge conflict begins here; resolve it first
        c.yaml:2:35: network `back`: `ipam.config`: a text that begins with `@` needs quotes
        c.yaml:1:23: `a.b.c.d[0][0].<<`: no anchor of this name stands before this alias
        ");
    }

    #[test]
    fn a_long_way_to_a_mistake_is_cut_short() {
        let key = "k".repeat(50);
        let text = format!("{key}:\n {key}:\n  {key}: [*a]\n");
        let error = parse("c.yaml", &text).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("c.yaml:3:56: `{key}.{key}.…`: no anchor of this name stands before this alias")
        );
    }

    #[test]
    fn syntax_errors_are_one_readable_line() {
        let errors: Vec<_> = [
            "a:\n\tb: 1\n",
            "a:\n    b: 1\n  c: 2\n",
            "a: 'x\n",
            "a: [1, 2\n",
            "a: b: c\n",
            "a: 1\nb\n",
            "a: @x\n",
            "a: \"b\u{1}c\"\n",
            "a: 'b\u{7f}'\n",
            "a: |\n  b\u{85}\u{2}\n",
            "- a\nb: 1\n",
        ]
        .map(tree)
        .into();
        insta::assert_snapshot!(errors.join("\n"), @r"
        compose.yaml:2:2: `a`: a tab stands where YAML takes only spaces
        compose.yaml:3:3: a key or `- ` of the lines above is expected here; is the indentation right?
        compose.yaml:2:1: `a`: a quote of the lines above is not closed, or its text goes on without indentation
        compose.yaml:1:4: `a`: this `[` is not closed
        compose.yaml:1:5: a `:` cannot stand here; a text that contains `: ` needs quotes, a nested mapping its own line
        compose.yaml:2:1: a `:` is expected after this key
        compose.yaml:1:4: `a`: a text that begins with `@` needs quotes
        compose.yaml:1:6: `a`: a control character cannot stand in YAML; in double quotes, `\u0001` writes it
        compose.yaml:1:6: `a`: a control character cannot stand in YAML; in double quotes, `\u007F` writes it
        compose.yaml:2:3: `a`: a control character cannot stand in YAML; in double quotes, `\u0002` writes it
        compose.yaml:2:1: a key or `- ` of the lines above is expected here; is the indentation right?
        ");
    }
}
