//! Mounts as `docker run --mount` takes them: `type=bind,source=/a,target=/b,readonly`.

use std::str::FromStr;

use indexmap::IndexMap;

use super::path::cleaned;
use super::quantity::parse_bytes;
use crate::name::VolumeName;
use crate::nearest::nearest;
use crate::project::Volume;
use crate::service::{BindOptions, IdleSettings, Mount, MountSource, VolumeOptions};

const KEYS: [&str; 21] = [
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "consistency",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "bind-create-src",
    "volume-subpath",
    "volume-nocopy",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "image-subpath",
    "tmpfs-size",
    "tmpfs-mode",
];
const TYPES: [&str; 4] = ["bind", "volume", "tmpfs", "image"];
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const RECURSIONS: [&str; 4] = ["enabled", "disabled", "writable", "readonly"];

/// A mount, and the text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedMount {
    /// The text that `docker run --mount` takes.
    pub text: String,
    /// The mount.
    pub mount: Mount,
    /// How the volume is made, if the mount names one: under the Engine's own name for it.
    pub volume: Option<Volume>,
}

impl ParsedMount {
    /// Returns the volume's name and how it is made.
    pub fn named_volume(&self) -> Option<(&VolumeName, &Volume)> {
        match (&self.mount.source, &self.volume) {
            (MountSource::Volume { volume: Some(name), .. }, Some(volume)) => Some((name, volume)),
            _ => None,
        }
    }
}

impl FromStr for ParsedMount {
    type Err = String;

    /// Reads fields by commas; a field with a comma stands in double quotes. The error says what is wrong.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = Words::default();
        for field in fields(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field.as_str(), None),
            };
            words.take(key.trim().to_ascii_lowercase().as_str(), value)?;
        }
        words.mount(text)
    }
}

/// Returns the text for a mount of these parts.
pub(super) fn mount_text(kind: &str, source: Option<&str>, target: &str) -> String {
    let field = |key: &str, value: &str| {
        let field = format!("{key}={value}");
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    let source = source.map(|source| field("source", source));
    let fields = [Some(field("type", kind)), source, Some(field("target", target))];
    fields.into_iter().flatten().collect::<Vec<_>>().join(",")
}

/// Splits a text by the commas that do not stand in quotes.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if field.contains('"') {
                return Err(format!("the quotes of `{field}` must stand around all of it"));
            }
            (field.to_owned(), after)
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(fields),
            None => return Err("a comma is missing behind a closing quote".to_owned()),
        }
    }
}

/// Returns a field whose opening quote was read, and what stands behind its closing one.
fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}

/// What the fields of a mount say.
#[derive(Default)]
struct Words {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    consistency: Option<String>,
    bind: BindOptions,
    volume: VolumeOptions,
    driver: Option<String>,
    driver_opts: IndexMap<String, String>,
    image_subpath: Option<String>,
    tmpfs_size: Option<i64>,
    tmpfs_mode: Option<u32>,
    /// The first key that only one type of mount has, and that type.
    special: Option<(String, &'static str)>,
}

impl Words {
    fn take(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        for kind in ["bind", "volume", "tmpfs", "image"] {
            if self.special.is_none() && key.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-')) {
                self.special = Some((key.to_owned(), kind));
            }
        }
        match key {
            "readonly" | "ro" => self.read_only = switch(key, value)?,
            "bind-nonrecursive" => {
                let is_on = switch(key, value)?;
                self.bind.recursive = is_on.then(|| "disabled".to_owned());
            }
            "bind-create-src" => self.bind.create_host_path = Some(switch(key, value)?),
            "volume-nocopy" => self.volume.nocopy = switch(key, value)?,
            _ => {
                let value = value.filter(|value| !value.is_empty());
                self.take_value(key, value)?;
            }
        }
        Ok(())
    }

    fn take_value(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        if !KEYS.contains(&key) {
            let hint = nearest(key, KEYS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("unknown key `{key}` of a mount{hint}"));
        }
        let value = value.ok_or_else(|| format!("`{key}` needs a value"))?;
        let text = || Some(value.to_owned());
        match key {
            "type" => self.kind = Some(word(key, &value.to_ascii_lowercase(), &TYPES)?),
            "source" | "src" => self.source = text(),
            "target" | "dst" | "destination" => self.target = text(),
            "consistency" => self.consistency = text(),
            "bind-propagation" => self.bind.propagation = Some(word(key, value, &PROPAGATIONS)?),
            "bind-recursive" => self.bind.recursive = Some(word(key, value, &RECURSIONS)?),
            "volume-subpath" => self.volume.subpath = text(),
            "image-subpath" => self.image_subpath = text(),
            "volume-driver" => self.driver = text(),
            "volume-label" => {
                let (name, label) = value.split_once('=').unwrap_or((value, ""));
                self.volume.labels.insert(name.to_owned(), label.to_owned());
            }
            "volume-opt" => {
                let (name, option) = value.split_once('=').unwrap_or((value, ""));
                self.driver_opts.insert(name.to_owned(), option.to_owned());
            }
            "tmpfs-size" => {
                let size = parse_bytes(value).ok_or("`tmpfs-size`: expected a size such as `64m`")?;
                self.tmpfs_size = Some(size);
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8);
                self.tmpfs_mode = Some(mode.map_err(|_| "`tmpfs-mode`: expected a mode such as `1777`")?);
            }
            _ => unreachable!("switches were taken before"),
        }
        Ok(())
    }

    fn mount(self, text: &str) -> Result<ParsedMount, String> {
        let kind = self.kind.as_deref().unwrap_or("volume");
        if let Some((key, other)) = self.special.as_ref().filter(|(_, other)| *other != kind) {
            return Err(format!("`{key}` belongs to a mount of type `{other}`, not `{kind}`"));
        }
        let target = self.target.as_deref().ok_or("`target` is missing: the path in the container")?;
        let target = cleaned(target)
            .ok_or_else(|| format!("`target`: expected an absolute path in the container, not `{target}`"))?;
        let mut named = None;
        let source = match (kind, self.source) {
            ("bind", source) => bind(source, self.bind)?,
            ("tmpfs", Some(_)) => return Err("`source` belongs to no mount of type `tmpfs`".to_owned()),
            ("tmpfs", None) => MountSource::Tmpfs { size: self.tmpfs_size, mode: self.tmpfs_mode },
            ("image", source) => {
                let image = source.ok_or("`source` is missing: the image that is mounted")?;
                MountSource::Image { image, subpath: self.image_subpath }
            }
            (_, None) => MountSource::Volume { volume: None, options: self.volume },
            (_, Some(name)) => {
                let volume = VolumeName::new(name.clone()).map_err(|error| error.to_string())?;
                let mut options = self.volume;
                named = Some(Volume {
                    name: Some(name),
                    driver: self.driver,
                    driver_opts: self.driver_opts,
                    labels: std::mem::take(&mut options.labels),
                    ..Volume::default()
                });
                MountSource::Volume { volume: Some(volume), options }
            }
        };
        let idle = IdleSettings { consistency: self.consistency, ..IdleSettings::default() };
        let mount = Mount { read_only: self.read_only, idle, ..Mount::new(target, source) };
        Ok(ParsedMount { text: text.to_owned(), mount, volume: named })
    }
}

fn bind(source: Option<String>, options: BindOptions) -> Result<MountSource, String> {
    let path = source.ok_or("`source` is missing: the path on the host")?;
    // A mount of this form makes no folder where its source is missing.
    let create_host_path = options.create_host_path.or(Some(false));
    Ok(MountSource::Bind { path: host_path(&path)?, options: BindOptions { create_host_path, ..options } })
}

/// Returns a path of the host that is absolute, or one of Windows as it is.
pub(super) fn host_path(path: &str) -> Result<String, String> {
    let is_of_windows =
        path.starts_with(r"\\") || path.get(1..3).is_some_and(|rest| rest == ":\\" || rest == ":/");
    if is_of_windows {
        return Ok(path.to_owned());
    }
    cleaned(path).ok_or_else(|| {
        format!("`{path}` is no absolute path on the host; `${{localWorkspaceFolder}}` begins one")
    })
}

/// Returns what a switch says: without a value it is on.
pub(super) fn switch(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some(other) => Err(format!("`{key}`: expected `true` or `false`, not `{other}`")),
    }
}

fn word(key: &str, value: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&value) {
        return Ok(value.to_owned());
    }
    let hint = nearest(value, known.iter().copied());
    let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("`{key}`: expected one of `{}`, not `{value}`{hint}", known.join("`, `")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<ParsedMount>() {
            Ok(parsed) => {
                let mount = &parsed.mount;
                let mode = if mount.read_only { " ro" } else { "" };
                format!("{:?} -> {}{mode}", mount.source, mount.target)
            }
            Err(fault) => fault,
        }
    }

    #[test]
    fn a_bind_mount_makes_no_folder_on_the_host() {
        let parsed: ParsedMount = "source=/src/a,target=/b/,type=bind,consistency=cached".parse().unwrap();
        assert_eq!(parsed.mount.target, "/b");
        let MountSource::Bind { path, options } = &parsed.mount.source else { panic!("{parsed:?}") };
        assert_eq!((path.as_str(), options.makes_path()), ("/src/a", false));
        assert_eq!(parsed.mount.idle.consistency.as_deref(), Some("cached"));
        assert_eq!(parsed.named_volume(), None);
    }

    #[test]
    fn every_way_to_write_read_only_counts() {
        let read_only = |flag: &str| {
            let text = format!("type=bind,src=/a,dst=/b{flag}");
            text.parse::<ParsedMount>().unwrap().mount.read_only
        };
        for on in [",readonly", ",ro", ",readonly=true", ",ro=1"] {
            assert!(read_only(on), "{on}");
        }
        for off in ["", ",readonly=false", ",ro=0"] {
            assert!(!read_only(off), "{off}");
        }
    }

    #[test]
    fn a_volume_keeps_its_name_and_its_driver() {
        let text = "source=cache,target=/c,volume-driver=local,volume-opt=type=nfs,\"volume-opt=o=a,b\",volume-label=x=y";
        let parsed: ParsedMount = text.parse().unwrap();
        let (name, volume) = parsed.named_volume().unwrap();
        assert_eq!((name.as_str(), volume.name.as_deref()), ("cache", Some("cache")));
        assert_eq!(volume.driver_opts["o"], "a,b");
        assert_eq!(volume.labels["x"], "y");
        assert_eq!(parsed.text, text);
    }

    #[test]
    fn memory_has_a_size_and_a_mode() {
        let shown = shown("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770");
        assert_eq!(shown, format!("Tmpfs {{ size: Some({}), mode: Some({}) }} -> /t", 64 << 20, 0o1770));
    }

    #[test]
    fn quotes_keep_commas() {
        let text = mount_text("bind", Some("/src/a,b\"c"), "/d");
        assert_eq!(text, "type=bind,\"source=/src/a,b\"\"c\",target=/d");
        let MountSource::Bind { path, .. } = text.parse::<ParsedMount>().unwrap().mount.source else {
            panic!()
        };
        assert_eq!(path, "/src/a,b\"c");
    }

    #[test]
    fn what_is_no_mount_is_told() {
        for (text, fault) in [
            ("type=bind,source=/a", "`target` is missing: the path in the container"),
            ("type=bind,target=/a", "`source` is missing: the path on the host"),
            (
                "type=bnd,target=/a",
                "`type`: expected one of `bind`, `volume`, `tmpfs`, `image`, not `bnd`; did you mean `bind`?",
            ),
            ("type=bind,sources=/a,target=/b", "unknown key `sources` of a mount; did you mean `source`?"),
            (
                "type=bind,source=../a,target=/b",
                "`../a` is no absolute path on the host; `${localWorkspaceFolder}` begins one",
            ),
            ("source=a,target=b", "`target`: expected an absolute path in the container, not `b`"),
            ("type=tmpfs,source=/a,target=/b", "`source` belongs to no mount of type `tmpfs`"),
            (
                "type=bind,source=/a,target=/b,volume-nocopy",
                "`volume-nocopy` belongs to a mount of type `volume`, not `bind`",
            ),
            ("\"target=/b", "a quote is not closed"),
            ("target=/b,source", "`source` needs a value"),
            ("target=/b,readonly=maybe", "`readonly`: expected `true` or `false`, not `maybe`"),
            ("", "unknown key `` of a mount"),
        ] {
            assert_eq!(shown(text), fault, "{text}");
        }
    }

    #[test]
    fn a_path_of_windows_stays_as_it_is() {
        assert_eq!(host_path(r"C:\src").as_deref(), Ok(r"C:\src"));
        assert_eq!(host_path(r"\\wsl.localhost\Debian\src").as_deref(), Ok(r"\\wsl.localhost\Debian\src"));
    }
}
