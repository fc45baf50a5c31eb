//! The standard input as a Compose file: `--file -`.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::LoadError;
use super::encoding::decode;
use super::files::{SIZE_LIMIT, too_large};

/// How messages show it.
const DISPLAY: &str = "<stdin>";

/// Opens the standard input, or what stands in for it.
type Open = dyn Fn() -> Box<dyn Read> + Send + Sync;

/// The standard input: read when a Compose file is wanted of it, and once, whoever asks for it again.
#[derive(Clone)]
pub struct Input {
    open: Arc<Open>,
    read: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Input {
    /// Returns the input that `open` opens.
    pub fn new(open: impl Fn() -> Box<dyn Read> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open), read: Arc::default() }
    }

    /// Returns an input that holds nothing.
    pub fn empty() -> Self {
        Self::new(|| Box::new(io::empty()))
    }

    /// Returns its text, and how messages show it.
    pub(super) fn text(&self) -> Result<(String, String), LoadError> {
        let bytes =
            self.bytes().map_err(|source| LoadError::Read { path: Path::new(DISPLAY).to_owned(), source })?;
        Ok((decode(DISPLAY, bytes)?, DISPLAY.to_owned()))
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*read {
            return Ok(bytes.clone());
        }
        let mut bytes = Vec::new();
        (self.open)().take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(too_large());
        }
        Ok(read.insert(bytes).clone())
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Input")
    }
}

/// Returns whether a path on the command line or in `COMPOSE_FILE` means the standard input.
pub(crate) fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_once_and_not_without_end() {
        let once = Arc::new(Mutex::new(Some(&b"services: {}"[..])));
        let input = Input::new(move || Box::new(once.lock().unwrap().take().expect("it is opened once")));
        for _ in 0..2 {
            assert_eq!(input.text().unwrap().0, "services: {}");
        }
        let error = Input::new(|| Box::new(io::repeat(b' '))).text().unwrap_err();
        assert_eq!(error.to_string(), "cannot read `<stdin>`");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it has more than 16 MiB");
    }
}
