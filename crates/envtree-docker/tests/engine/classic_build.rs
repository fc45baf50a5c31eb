//! Builds by the classic builder, and what both builders take of a context.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use envtree_core::build::{Build, SshForward};
use envtree_docker::BuildError;
use indexmap::IndexMap;

use crate::build::{build, built, cause, folder};
use crate::stage::Stage;

/// The ways in which an image is built here.
async fn stages() -> [Stage; 2] {
    let (kit, mut classic) = (Stage::new().await, Stage::new().await);
    classic.docker = classic.docker.clone().with_classic_builder(true);
    [kit, classic]
}

#[tokio::test]
async fn the_classic_builder_makes_the_same_image() {
    let root = folder(&[
        (
            "docker/web.Dockerfile",
            "FROM busybox:1\nARG A\nCOPY . /web\nRUN cd /web && ls -A && [ $A = x ] && [ $(stat -c %u:%a run) = 0:755 ]\n",
        ),
        ("web/.dockerignore", "none\n"),
        ("web/none", "x"),
        ("web/run", "x"),
    ]);
    fs::set_permissions(root.path().join("web/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run", root.path().join("web/link")).unwrap();
    for stage in stages().await {
        let mut build = build(
            &stage,
            &root.path().join("web"),
            Build {
                dockerfile: Some("../docker/web.Dockerfile".into()),
                args: IndexMap::from([("A".into(), Some("x".into()))]),
                no_cache: true,
                ..Build::default()
            },
        );
        build.images.push(stage.name("second"));
        let told = built(&stage, build).await.unwrap();
        let listed: Vec<&String> = told.iter().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(listed, ["| .dockerignore", "| link", "| run"]);
        assert_eq!(stage.observe().await.built[0].names.len(), 2);
    }
}

#[tokio::test]
async fn the_classic_builder_says_what_failed_and_what_it_cannot_do() {
    let [_, stage] = stages().await;
    let context = folder(&[("Dockerfile", "FROM busybox:1\nRUN echo one; exit 7\n")]);
    let error = built(&stage, build(&stage, context.path(), Build::default())).await.unwrap_err();
    let BuildError::Step { step, line, output, source, .. } = cause(&error) else { panic!("{error:?}") };
    assert!(step.ends_with("] RUN echo one; exit 7"), "{step}");
    assert_eq!(*line, Some(2));
    assert_eq!((output.as_slice(), source.message.as_str()), (&["one".to_owned()][..], "exit code: 7"));
    let ssh = vec![SshForward { id: "default".into(), path: None }];
    let error =
        built(&stage, build(&stage, context.path(), Build { ssh, ..Build::default() })).await.unwrap_err();
    assert!(matches!(cause(&error), BuildError::NeedsBuildKit { key: "ssh", .. }), "{error:?}");
}

/// Serves an archive to whoever asks, as long as the test runs; returns where.
fn served(archive: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut request).unwrap_or(0) > 2 {}
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                archive.len()
            );
            let body = if request.starts_with("HEAD") { &[][..] } else { &archive };
            // Whoever asked may have gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    format!("http://{address}/context.tar")
}

#[tokio::test]
async fn a_context_is_fetched_from_a_url() {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in
        [("Dockerfile", "FROM busybox:1\nCOPY greeting /\nRUN cat /greeting\n"), ("greeting", "file hello\n")]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let url = served(archive.into_inner().unwrap());
    for stage in stages().await {
        let definition = Build { no_cache: true, ..Build::default() };
        let told = built(&stage, build(&stage, Path::new(&url), definition)).await.unwrap();
        assert!(told.iter().any(|line| line == "| file hello"), "{told:#?}");
    }
}

/// What stands in a `.dockerignore`. Where a pattern behind `!` has a wildcard for a folder, the `docker` program does
/// not look into folders that are left out, and `BuildKit` does; so does envtree with either builder.
const IGNORED: [&str; 10] = [
    "*.md\n!README.md\n",
    "**/*.md\n!docs\n",
    "docs/**\n!docs/a/keep.md\n",
    "*\n!src/*.rs\n",
    "/docs\n./src/../README.md\n",
    "**\n!README.md\n!Dockerfile\n",
    "d?cs\n[rR]*\n",
    "src/bin\n!src/bin/deep\n",
    "**deep\n# README.md\n  src/lib.rs  \n",
    "docs/*/keep.md\n!docs/a\n\\*\n",
];

#[tokio::test]
async fn what_is_left_out_is_what_docker_leaves_out() {
    let files = [
        "README.md",
        "Readme",
        "docs/x.md",
        "docs/a/keep.md",
        "docs/b/keep.md",
        "src/lib.rs",
        "src/bin/deep/x.rs",
    ];
    let context = folder(&files.map(|name| (name, "")));
    let [kit, classic] = stages().await;
    let mut others = Vec::new();
    for (number, ignored) in IGNORED.iter().enumerate() {
        fs::write(context.path().join(".dockerignore"), ignored).unwrap();
        // The number keeps an earlier result from being taken for this one's.
        let dockerfile = format!(
            "FROM busybox:1\nCOPY . /c\nRUN cd /c; : {number}; find . -type f | sort | sed 's/^/file /'\n"
        );
        fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        let docker = Command::new("docker")
            .args(["build", "--no-cache", "--force-rm", "--label"])
            .arg(format!("com.docker.compose.project={}", classic.project))
            .arg(context.path())
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap();
        let expected = String::from_utf8_lossy(&docker.stdout).into_owned();
        let expected: Vec<&str> = expected.lines().filter(|line| line.starts_with("file ")).collect();
        for stage in [&kit, &classic] {
            let definition = Build { no_cache: true, ..Build::default() };
            let told = built(stage, build(stage, context.path(), definition)).await.unwrap();
            let lines = told.iter().filter_map(|line| line.strip_prefix("| "));
            // Podman tells its steps as if they were output.
            let found: Vec<&str> = lines.filter(|line| line.starts_with("file ")).collect();
            if found != expected {
                others.push(format!("{ignored:?}: {found:?} instead of {expected:?}"));
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}
