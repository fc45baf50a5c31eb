//! Reads files that a person may have set up as anything.

use std::io;
use std::path::Path;

/// Reads a file. A pipe or a socket, which may never come to its end, is refused; a link to a file is none of them.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return std::fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file, but a pipe, a socket or a device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_file_is_read_and_a_pipe_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert_eq!(read(&path("link")).unwrap(), b"text");
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("pipe", path("way")).unwrap();
        for name in ["pipe", "way"] {
            let error = read(&path(name)).unwrap_err();
            assert_eq!(error.to_string(), "it is no file, but a pipe, a socket or a device");
        }
        assert_eq!(read(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
