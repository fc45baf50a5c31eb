//! Where in a Dockerfile a build failed: a newer BuildKit hangs it on its answer, for others the step is looked up.

use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::pb::{Range, SourceInfo};
use envtree_core::build::{Build, is_remote};
use prost::Message;
use serde_json::Value;
use tonic::Status;

use super::solve::dockerfile_of;

/// A place in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) file: String,
    /// The first line, from 1.
    pub(super) line: u32,
}

/// BuildKit's own form of a place.
#[derive(Clone, PartialEq, Message)]
struct Source {
    #[prost(message, optional, tag = "1")]
    info: Option<SourceInfo>,
    #[prost(message, repeated, tag = "2")]
    ranges: Vec<Range>,
}

/// Returns the place that an answer names.
pub(super) fn location(status: &Status) -> Option<Location> {
    let details = rpc::Status::decode(status.details()).ok()?.details;
    let sources = details.iter().filter(|detail| detail.type_url.contains("errdefs.Source"));
    // The place in the Dockerfile comes after those that led there.
    sources.rev().find_map(|detail| of_json(&detail.value).or_else(|| of_message(&detail.value)))
}

fn of_json(value: &[u8]) -> Option<Location> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let line = value.pointer("/ranges/0/start/line")?.as_u64()?;
    let file = value.pointer("/info/filename")?.as_str()?;
    Some(Location { file: file.to_owned(), line: u32::try_from(line).ok()? })
}

fn of_message(value: &[u8]) -> Option<Location> {
    let source = Source::decode(value).ok()?;
    let line = source.ranges.first()?.start?.line;
    Some(Location { file: source.info?.filename, line: u32::try_from(line).ok()? })
}

/// Returns the place of a step such as `[2/5] RUN npm ci`, if one instruction alone of the Dockerfile reads so.
pub(super) fn in_dockerfile(definition: &Build, step: &str) -> Option<Location> {
    let (text, file) = match &definition.dockerfile_inline {
        Some(text) => (text.clone(), "dockerfile_inline".to_owned()),
        None if is_remote(&definition.context) => return None,
        None => {
            let path = dockerfile_of(definition);
            (std::fs::read_to_string(&path).ok()?, path.file_name()?.to_string_lossy().into_owned())
        }
    };
    let (_, wanted) = step.split_once("] ")?;
    let wanted = words(wanted);
    let mut lines = instructions(&text).into_iter().filter(|(_, instruction)| words(instruction) == wanted);
    match (lines.next(), lines.next()) {
        (Some((line, _)), None) => Some(Location { file, line }),
        _ => None,
    }
}

/// Returns the instructions of a Dockerfile, continued lines joined, each with the number of its first line.
fn instructions(text: &str) -> Vec<(u32, String)> {
    let mut instructions: Vec<(u32, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || trimmed.is_empty() {
            continue;
        }
        let (part, goes_on) = trimmed.strip_suffix('\\').map_or((trimmed, false), |part| (part, true));
        match instructions.last_mut().filter(|_| is_open) {
            Some((_, instruction)) => *instruction = format!("{instruction} {part}"),
            None => instructions.push((number, part.to_owned())),
        }
        is_open = goes_on;
    }
    instructions
}

/// Returns an instruction for comparison: the builder writes its name large and its blanks as it likes.
fn words(instruction: &str) -> Vec<String> {
    let mut words: Vec<String> = instruction.split_whitespace().map(str::to_owned).collect();
    if let Some(name) = words.first_mut() {
        name.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Any;
    use bollard_buildkit_proto::pb::Position;
    use tonic::Code;

    use super::*;

    fn status(value: Vec<u8>) -> Status {
        let type_url = "github.com/moby/buildkit/errdefs.Source+json".to_owned();
        let details = rpc::Status { details: vec![Any { type_url, value }], ..rpc::Status::default() };
        Status::with_details(Code::Unknown, "failed", details.encode_to_vec().into())
    }

    #[test]
    fn a_step_is_looked_up_where_it_stands_once() {
        let text = "FROM x AS a\n# comment\nrun one && \\\n  # why\n    two\nRUN again\nRUN again\n";
        let definition = Build { dockerfile_inline: Some(text.to_owned()), ..Build::default() };
        let line = |step: &str| in_dockerfile(&definition, step).map(|location| location.line);
        assert_eq!(line("[a 2/4] RUN one &&     two"), Some(3));
        assert_eq!(line("[a 3/4] RUN again"), None);
        assert_eq!(line("exporting to image"), None);
    }

    #[test]
    fn both_forms_of_a_place_are_read() {
        let expected = Some(Location { file: "Dockerfile".into(), line: 4 });
        let json = r#"{"info":{"filename":"Dockerfile","data":"RlJPTQ=="},"ranges":[{"start":{"line":4},"end":{"line":5}}]}"#;
        assert_eq!(location(&status(json.into())), expected);
        let source = Source {
            info: Some(SourceInfo { filename: "Dockerfile".into(), ..SourceInfo::default() }),
            ranges: vec![Range { start: Some(Position { line: 4, character: 0 }), end: None }],
        };
        assert_eq!(location(&status(source.encode_to_vec())), expected);
        assert_eq!(location(&Status::unknown("failed")), None);
    }
}
