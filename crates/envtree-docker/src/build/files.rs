//! Sends the files of a build to BuildKit as it asks for them: first what there is, then what it lacks of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use futures::StreamExt;
use futures::stream::BoxStream;
use indexmap::IndexMap;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::context::{Entry, Filter, Kind, followed, walk};
use super::pattern::Patterns;

/// Files are sent in pieces of this size.
const PIECE: usize = 64 * 1024;
/// How many packets may wait for the connection.
const WAITING: usize = 64;
/// The kinds of files, as Go's `os.FileMode` has them.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const SET_USER: u32 = 1 << 23;
const SET_GROUP: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// Files that a build may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// What lies in a folder.
    Folder(PathBuf),
    /// One file that exists here only.
    Text {
        /// Its name.
        name: String,
        /// What is in it.
        text: String,
    },
}

/// The files of one build, by the names under which BuildKit asks for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) sources: Arc<IndexMap<String, Source>>,
    /// Why a source could not be read; BuildKit's own words do not tell.
    pub(super) failure: Arc<Mutex<Option<String>>>,
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = BoxStream<'static, Result<Packet, Status>>;
    type TarStreamStream = BoxStream<'static, Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = Wanted::read(request.metadata());
        let source = self.sources.get(&wanted.name).cloned();
        let source =
            source.ok_or_else(|| Status::not_found(format!("no access allowed to dir {:?}", wanted.name)))?;
        let (packets, sent) = mpsc::channel(WAITING);
        let sender = Arc::new(Sender { source, packets, files: Mutex::default() });
        tokio::spawn(sender.clone().answer(request.into_inner()));
        let failure = self.failure.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = sender.tell(&wanted) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                let _ = sender.packets.blocking_send(Err(Status::unknown(error)));
            }
        });
        Ok(Response::new(packets_of(sent)))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are sent one by one"))
    }
}

fn packets_of(
    receiver: mpsc::Receiver<Result<Packet, Status>>,
) -> BoxStream<'static, Result<Packet, Status>> {
    futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
        .boxed()
}

/// What BuildKit asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Wanted {
    name: String,
    include: Vec<String>,
    exclude: Vec<String>,
    follow: Vec<String>,
}

impl Wanted {
    fn read(metadata: &MetadataMap) -> Self {
        let values = |key: &str| {
            let is_encoded = metadata.get(format!("{key}-encoded")).is_some_and(|value| value == "1");
            let values = metadata.get_all(key).iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            texts.map(|text| if is_encoded { decode(&text) } else { text }).collect::<Vec<_>>()
        };
        Self {
            name: values("dir-name").pop().unwrap_or_default(),
            include: values("include-patterns"),
            exclude: values("exclude-patterns"),
            follow: values("followpaths"),
        }
    }

    fn filter(&self, root: &Path) -> Result<Filter, String> {
        let mut include = self.include.clone();
        include.extend(followed(root, &self.follow));
        let parse = |patterns: &[String]| Patterns::parse(patterns).map_err(|error| error.to_string());
        Ok(Filter { include: parse(&include)?, exclude: parse(&self.exclude)? })
    }
}

/// Decodes the form in which headers carry more than ASCII: `%41`, and `+` for a blank.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits =
            tail.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends one source over one call.
struct Sender {
    source: Source,
    packets: mpsc::Sender<Result<Packet, Status>>,
    /// The files that BuildKit was told of, by the number of their packet.
    files: Mutex<HashMap<u32, String>>,
}

impl Sender {
    /// Tells of every wanted entry. It blocks, for it reads folders.
    fn tell(&self, wanted: &Wanted) -> Result<(), String> {
        let mut next = 0;
        let mut tell = |entry: Entry| {
            if matches!(entry.kind, Kind::File { .. }) {
                self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(next, entry.path.clone());
            }
            next += 1;
            self.packets.blocking_send(Ok(packet(PacketType::PacketStat, Some(stat(entry))))).is_ok()
        };
        match &self.source {
            Source::Folder(root) => {
                let filter = wanted.filter(root)?;
                walk(root, &filter, &mut tell).map_err(|error| format!("{error}: {}", error.source))?;
            }
            Source::Text { name, text } => {
                let kind = Kind::File { size: text.len() as u64 };
                tell(Entry { path: name.clone(), kind, mode: 0o644, modified: UNIX_EPOCH });
            }
        }
        // An empty packet ends the list; nobody may be there to hear it.
        let _ = self.packets.blocking_send(Ok(packet(PacketType::PacketStat, None)));
        Ok(())
    }

    /// Answers the requests for files until BuildKit has all that it wants.
    async fn answer(self: Arc<Self>, mut requests: Streaming<Packet>) {
        while let Ok(Some(request)) = requests.message().await {
            match PacketType::try_from(request.r#type) {
                Ok(PacketType::PacketReq) => {
                    let sender = self.clone();
                    let sent = tokio::task::spawn_blocking(move || sender.send(request.id)).await;
                    if !matches!(sent, Ok(true)) {
                        return;
                    }
                }
                Ok(PacketType::PacketFin) => {
                    let _ = self.packets.send(Ok(packet(PacketType::PacketFin, None))).await;
                    return;
                }
                _ => return,
            }
        }
    }

    /// Sends the content of a file; returns whether somebody still hears it.
    fn send(&self, id: u32) -> bool {
        let path = self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let content: Box<dyn Read> = match (&self.source, path) {
            (Source::Text { text, .. }, Some(_)) => Box::new(text.as_bytes()),
            (Source::Folder(root), Some(path)) => match File::open(root.join(path)) {
                Ok(file) => Box::new(file),
                // It was removed since: empty, as Docker has it. What may not be read is an error.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Box::new(std::io::empty()),
                Err(error) => return self.fail(&error),
            },
            (_, None) => return false,
        };
        self.send_content(id, content)
    }

    fn send_content(&self, id: u32, mut content: impl Read) -> bool {
        loop {
            let mut data = vec![0; PIECE];
            let length = match content.read(&mut data) {
                Ok(length) => length,
                Err(error) => return self.fail(&error),
            };
            data.truncate(length);
            // A packet without data ends the file.
            let data = Packet { id, data, ..packet(PacketType::PacketData, None) };
            if self.packets.blocking_send(Ok(data)).is_err() {
                return false;
            }
            if length == 0 {
                return true;
            }
        }
    }

    fn fail(&self, error: &std::io::Error) -> bool {
        let _ = self.packets.blocking_send(Err(Status::unknown(error.to_string())));
        false
    }
}

fn packet(kind: PacketType, stat: Option<Stat>) -> Packet {
    Packet { r#type: kind.into(), stat, ..Packet::default() }
}

/// Describes an entry as BuildKit does: owned by root, whoever owns it here.
fn stat(entry: Entry) -> Stat {
    let mut mode = entry.mode & 0o777;
    for (bit, flag) in [(0o4000, SET_USER), (0o2000, SET_GROUP), (0o1000, STICKY)] {
        if entry.mode & bit != 0 {
            mode |= flag;
        }
    }
    let (kind, size, linkname) = match entry.kind {
        Kind::File { size } => (0, i64::try_from(size).unwrap_or(i64::MAX), String::new()),
        Kind::Folder => (FOLDER, 0, String::new()),
        Kind::Link { target } => (LINK, i64::try_from(target.len()).unwrap_or_default(), target),
    };
    let modified = entry.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mod_time = i64::try_from(modified.as_nanos()).unwrap_or_default();
    Stat { path: entry.path, mode: mode | kind, size, mod_time, linkname, ..Stat::default() }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_request_is_read_from_headers_encoded_or_not() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", "context".parse().unwrap());
        metadata.append("exclude-patterns", "%C3%A4+b".parse().unwrap());
        metadata.append("exclude-patterns", "a%2Fb".parse().unwrap());
        metadata.insert("exclude-patterns-encoded", "1".parse().unwrap());
        metadata.append("followpaths", "a%2Fb".parse().unwrap());
        let wanted = Wanted::read(&metadata);
        assert_eq!(wanted.name, "context");
        assert_eq!(wanted.exclude, ["ä b", "a/b"]);
        assert_eq!(wanted.follow, ["a%2Fb"]);
    }

    #[test]
    fn entries_are_described_in_gos_words() {
        let entry = |kind, mode| Entry { path: "a/b".into(), kind, mode, modified: SystemTime::UNIX_EPOCH };
        let file = stat(entry(Kind::File { size: 7 }, 0o4755));
        assert_eq!((file.mode, file.size, file.uid, file.gid), (0o755 | 1 << 23, 7, 0, 0));
        assert_eq!(stat(entry(Kind::Folder, 0o1777)).mode, 0o777 | 1 << 31 | 1 << 20);
        let link = stat(entry(Kind::Link { target: "../x".into() }, 0o777));
        assert_eq!((link.mode, link.linkname.as_str()), (0o777 | 1 << 27, "../x"));
    }
}
