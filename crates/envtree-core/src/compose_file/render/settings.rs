//! A mapping under construction, and how single values are written.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::service::AsWritten;

/// A mapping under construction; what is absent, empty or off is not written.
#[derive(Default)]
pub(super) struct Settings(Map<String, Value>);

impl Settings {
    /// Sets `key` in any case.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(super) fn some<T: Into<Value>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    pub(super) fn on(&mut self, key: &str, value: bool) {
        if value {
            self.set(key, true);
        }
    }

    pub(super) fn list<T: Clone + Into<Value>>(&mut self, key: &str, items: &[T]) {
        if !items.is_empty() {
            self.set(key, items.to_vec());
        }
    }

    /// Sets `key` to a mapping that holds something.
    pub(super) fn inner(&mut self, key: &str, settings: Self) {
        if !settings.is_empty() {
            self.set(key, settings);
        }
    }

    pub(super) fn mapping<K: ToString, V>(
        &mut self,
        key: &str,
        entries: &IndexMap<K, V>,
        value: impl Fn(&V) -> Value,
    ) {
        let entries: Map<_, _> = entries.iter().map(|(key, entry)| (key.to_string(), value(entry))).collect();
        if !entries.is_empty() {
            self.set(key, entries);
        }
    }

    /// Sets `key` to a mapping whose values depend on their keys.
    pub(super) fn named<K: ToString, V>(
        &mut self,
        key: &str,
        entries: &IndexMap<K, V>,
        value: impl Fn(&str, &V) -> Value,
    ) {
        let entry = |(key, entry): (&K, &V)| (key.to_string(), value(&key.to_string(), entry));
        let entries: Map<_, _> = entries.iter().map(entry).collect();
        if !entries.is_empty() {
            self.set(key, entries);
        }
    }

    /// Sets the Engine's name of what stands under `key`: the file's, else the key where it is external, else `own`.
    pub(super) fn name(&mut self, name: Option<&str>, external: bool, key: &str, own: &str) {
        let name = name.unwrap_or(if external { key } else { own });
        self.some("name", Some(name).filter(|name| !name.is_empty()));
    }

    /// Sets the keys that are shown as they are written; nothing stands for what is not shown.
    pub(super) fn as_written(&mut self, keys: &AsWritten) {
        for (key, value) in keys.iter() {
            if value.is_null() {
                self.0.remove(key);
            } else {
                self.set(key, value.clone());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Settings> for Value {
    fn from(settings: Settings) -> Self {
        Self::Object(settings.0)
    }
}

#[expect(clippy::ptr_arg, reason = "`Settings::mapping` hands its entries on as they are")]
pub(super) fn text(value: &String) -> Value {
    Value::String(value.clone())
}

/// Writes a size as Compose does: in bytes, as a text.
pub(super) fn bytes(bytes: i64) -> String {
    bytes.to_string()
}

/// Writes a time as Go does: `1h2m3.5s`, or below a second in a unit of its own.
pub(in crate::compose_file) fn duration(time: Duration) -> String {
    let (seconds, nanoseconds) = (time.as_secs(), time.subsec_nanos());
    if seconds == 0 && nanoseconds > 0 {
        let (unit, digits, suffix) = match nanoseconds {
            1_000_000.. => (1_000_000, 6, "ms"),
            1_000.. => (1_000, 3, "µs"),
            _ => (1, 0, "ns"),
        };
        return format!("{}{}{suffix}", nanoseconds / unit, fraction(nanoseconds % unit, digits));
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut written = String::new();
    if hours > 0 {
        written = format!("{hours}h{minutes}m");
    } else if minutes > 0 {
        written = format!("{minutes}m");
    }
    format!("{written}{}{}s", seconds % 60, fraction(nanoseconds, 9))
}

/// Writes what stands behind the point, of which there are so many digits.
fn fraction(part: u32, digits: usize) -> String {
    if part == 0 {
        return String::new();
    }
    format!(".{part:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (nanoseconds, written) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (120_000_000_000, "2m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_000_000_001, "1h1m1.000000001s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), written);
        }
    }
}
