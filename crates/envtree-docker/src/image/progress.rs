//! How far a pull has come, over all layers.

use bollard::models::CreateImageInfo;
use envtree_core::engine::PullProgress;
use indexmap::IndexMap;

/// The layers of a pull, as its answers describe them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: IndexMap<String, Layer>,
    is_complete: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    bytes: u64,
    bytes_done: u64,
    is_done: bool,
}

impl Layers {
    /// Takes in one answer and returns whether it said something about a layer.
    pub(super) fn hear(&mut self, answer: &CreateImageInfo) -> bool {
        let status = answer.status.as_deref().unwrap_or_default();
        if status.starts_with("Status: ") {
            self.is_complete = true;
        }
        let Some(id) = &answer.id else {
            return false;
        };
        // The first line bears the tag where the others bear a layer.
        if status.starts_with("Pulling from") {
            return false;
        }
        let detail = answer.progress_detail.clone().unwrap_or_default();
        let layer = self.layers.entry(id.clone()).or_default();
        layer.hear(status, detail.current, detail.total);
        true
    }

    /// Returns the sums over all layers.
    pub(super) fn progress(&self) -> PullProgress {
        let mut progress = PullProgress::default();
        for layer in self.layers.values() {
            progress.layers += 1;
            progress.layers_done += u64::from(layer.is_done);
            progress.bytes += layer.bytes;
            progress.bytes_done += layer.bytes_done;
        }
        progress
    }

    /// Returns whether nothing is missing: the Engine said so, or every layer did.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete || self.layers.values().all(|layer| layer.is_done)
    }
}

impl Layer {
    fn hear(&mut self, status: &str, current: Option<i64>, total: Option<i64>) {
        let count = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        match status {
            "Downloading" => {
                // A registry that does not tell the size leaves the total out, or gives a negative one.
                self.bytes_done = count(current).unwrap_or(self.bytes_done);
                self.bytes = count(total).unwrap_or(self.bytes).max(self.bytes_done);
            }
            "Download complete" | "Verifying Checksum" => self.bytes_done = self.bytes,
            "Pull complete" | "Already exists" => {
                self.bytes_done = self.bytes;
                self.is_done = true;
            }
            // The numbers of an extraction count unpacked bytes, or seconds.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hear(answers: &[serde_json::Value]) -> Layers {
        let mut layers = Layers::default();
        for answer in answers {
            layers.hear(&serde_json::from_value(answer.clone()).unwrap());
        }
        layers
    }

    #[test]
    fn bytes_and_layers_are_summed() {
        let layers = hear(&[
            json!({"status": "Pulling from library/postgres", "id": "17"}),
            json!({"status": "Already exists", "progressDetail": {}, "id": "aaa"}),
            json!({"status": "Pulling fs layer", "progressDetail": {}, "id": "bbb"}),
            json!({"status": "Pulling fs layer", "progressDetail": {}, "id": "ccc"}),
            json!({"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "id": "bbb"}),
            json!({"status": "Downloading", "progressDetail": {"current": 50, "total": 50}, "id": "ccc"}),
            json!({"status": "Download complete", "progressDetail": {}, "id": "ccc"}),
            json!({"status": "Extracting", "progressDetail": {"current": 7, "total": 500}, "id": "ccc"}),
            json!({"status": "Pull complete", "progressDetail": {}, "id": "ccc"}),
        ]);
        let expected =
            PullProgress { layers: 3, layers_done: 2, bytes: 150, bytes_done: 60, awaits_helper: false };
        assert_eq!(layers.progress(), expected);
        assert!(!layers.is_complete());
    }

    #[test]
    fn the_last_line_completes_a_pull() {
        let layers = hear(&[
            json!({"status": "Pulling fs layer", "id": "aaa"}),
            json!({"status": "Status: Downloaded newer image for postgres:17"}),
        ]);
        assert!(layers.is_complete());
    }
}
