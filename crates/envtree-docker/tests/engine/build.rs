//! Builds, checked from within: a step of the Dockerfile fails where something is not as it should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use envtree_core::build::{Build, BuildSecret, ImageBuild, SecretOrigin, SecretText, SshForward};
use envtree_core::engine::{BuildProgress, Engine, Progress, StepState};
use envtree_core::plan::Operation;
use envtree_core::service::AsWritten;
use envtree_docker::{BuildError, DockerError};
use indexmap::IndexMap;
use tempfile::TempDir;

use crate::stage::Stage;

/// Returns a folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

pub(crate) fn build(stage: &Stage, context: &Path, definition: Build) -> ImageBuild {
    let context = context.to_str().unwrap().to_owned();
    let definition = Build { context, labels: stage.labels(), ..definition };
    ImageBuild { images: vec![stage.name("app")], definition, ..ImageBuild::default() }
}

/// Builds, and returns the steps and lines that were told of.
pub(crate) async fn built(stage: &Stage, build: ImageBuild) -> Result<Vec<String>, DockerError> {
    let told = Mutex::new(Vec::new());
    let operation = Operation::BuildImage(Box::new(build));
    let hear = |progress| {
        if let Progress::Build(progress) = progress {
            told.lock().unwrap().push(match progress {
                BuildProgress::Step { name, state: StepState::Running(Some(_)), .. } => {
                    format!("works {name}")
                }
                BuildProgress::Step { name, state, .. } => format!("{name}: {state:?}"),
                BuildProgress::Output { line, .. } => format!("| {line}"),
                BuildProgress::Remark(remark) => format!("! {remark}"),
            });
        }
    };
    stage.docker.perform(&operation, &hear).await?;
    Ok(told.into_inner().unwrap())
}

pub(crate) fn cause(error: &DockerError) -> &BuildError {
    match error {
        DockerError::Build(error) => error,
        other => panic!("not a failed build: {other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_built_with_arguments_target_labels_and_names() {
    let stage = Stage::new().await;
    // The name keeps the result of an earlier run from being taken for this one's.
    let dockerfile = format!(
        "FROM busybox:1 AS dev\nARG A=none\nRUN test \"$A\" = 'x y' && echo {} has $A\nFROM dev AS other\nRUN false\n",
        stage.name("app")
    );
    let context = folder(&[("Dockerfile", &dockerfile)]);
    let mut build = build(
        &stage,
        context.path(),
        Build {
            args: IndexMap::from([("A".into(), Some("x y".into())), ("HTTP".into(), None)]),
            target: Some("dev".into()),
            ..Build::default()
        },
    );
    build.images.push(stage.name("second"));
    let told = built(&stage, build.clone()).await.unwrap();
    assert!(told.contains(&format!("| {} has x y", stage.name("app"))), "{told:#?}");
    assert!(
        told.iter().any(|line| line.starts_with("[dev 2/2] RUN") && line.contains(": Done(")),
        "{told:#?}"
    );
    let images = stage.observe().await.built;
    assert_eq!(images.len(), 1);
    assert_eq!(
        images[0].names,
        [format!("{}:latest", stage.name("app")), format!("{}:latest", stage.name("second"))]
    );
    let again = built(&stage, build).await.unwrap();
    assert!(
        again.iter().any(|line| line.starts_with("[dev 2/2] RUN") && line.ends_with(": Cached")),
        "{again:#?}"
    );
    assert_eq!(stage.observe().await.built[0].id, images[0].id);
}

#[tokio::test]
async fn files_keep_their_modes_and_links_and_belong_to_root() {
    let stage = Stage::new().await;
    let dockerfile = "\
FROM busybox:1
COPY . /app
RUN cd /app && [ $(stat -c %u:%g:%a run.sh) = 0:0:755 ] && [ $(stat -c %a data/secret) = 600 ] \\
 && [ $(readlink link) = data ] && [ $(cat link/secret) = hush ] && [ -d empty ] && [ $(cat 'ä b') = umlaut ]
RUN cd /app && [ ! -e node_modules ] && [ ! -e data/x.log ] && [ -e keep/y.log ] && [ ! -e Dockerfile ]
";
    let context = folder(&[
        ("Dockerfile", dockerfile),
        (".dockerignore", "# not these\nnode_modules\n**/*.log\n!keep/*.log\nDockerfile\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("data/secret", "hush"),
        ("data/x.log", ""),
        ("keep/y.log", ""),
        ("node_modules/a/index.js", ""),
        ("ä b", "umlaut"),
    ]);
    let path = |name: &str| context.path().join(name);
    fs::set_permissions(path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path("data/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("data", path("link")).unwrap();
    fs::create_dir(path("empty")).unwrap();
    std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    built(&stage, build(&stage, context.path(), Build::default())).await.unwrap();
    // Only what changed is sent again, and it is what the next build sees.
    fs::write(path("data/secret"), "told").unwrap();
    let changed = built(&stage, build(&stage, context.path(), Build::default())).await.unwrap_err();
    assert!(matches!(cause(&changed), BuildError::Step { .. }), "{changed:?}");
}

#[tokio::test]
async fn a_failed_step_is_named_with_its_line_and_its_last_output() {
    let stage = Stage::new().await;
    let context = folder(&[("Dockerfile", "FROM busybox:1\n\nRUN echo one && \\\n    echo two && exit 7\n")]);
    let error = built(&stage, build(&stage, context.path(), Build::default())).await.unwrap_err();
    let BuildError::Step { image, step, dockerfile, line, output, source } = cause(&error) else {
        panic!("{error:?}");
    };
    assert_eq!(*image, stage.name("app"));
    assert!(step.starts_with("[2/2] RUN echo one"), "{step}");
    assert_eq!((dockerfile.as_deref(), *line), (Some("Dockerfile"), Some(3)));
    assert_eq!(output, &["one", "two"]);
    assert_eq!(source.message, "exit code: 7");
    assert!(stage.observe().await.built.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_dockerfile_is_said() {
    let stage = Stage::new().await;
    let context = folder(&[("Dockerfile", "FROM busybox:1\nNOTHING x\n")]);
    let error = built(&stage, build(&stage, context.path(), Build::default())).await.unwrap_err();
    let BuildError::Engine { source, .. } = cause(&error) else { panic!("{error:?}") };
    assert!(source.message.contains("unknown instruction: NOTHING"), "{source}");
    fs::remove_file(context.path().join("Dockerfile")).unwrap();
    let error = built(&stage, build(&stage, context.path(), Build::default())).await.unwrap_err();
    assert!(matches!(cause(&error), BuildError::DockerfileMissing { .. }), "{error:?}");
    let missing = context.path().join("none");
    let error = built(&stage, build(&stage, &missing, Build::default())).await.unwrap_err();
    assert!(matches!(cause(&error), BuildError::ContextMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_secret_reaches_its_step_and_nothing_else() {
    let stage = Stage::new().await;
    let dockerfile = "\
FROM busybox:1
RUN --mount=type=secret,id=token sha256sum /run/secrets/token | grep ^f52fbd32b2b3b86f
RUN --mount=type=secret,id=file,target=/key sha256sum /key | grep ^fb8c2e2b85ca81eb
RUN [ ! -s /run/secrets/token ] && [ ! -s /key ]
";
    let context = folder(&[("Dockerfile", dockerfile)]);
    let outside = folder(&[("key", "hunter3")]);
    let secret = |source: &str, target: Option<&str>, origin| BuildSecret {
        source: source.into(),
        target: target.map(str::to_owned),
        uid: None,
        gid: None,
        mode: None,
        origin,
        as_written: AsWritten::default(),
    };
    let file = outside.path().join("key").to_str().unwrap().to_owned();
    let secrets = vec![
        secret("token", None, SecretOrigin::Variable("T".into(), Some(SecretText::new("hunter2")))),
        secret("the_file", Some("file"), SecretOrigin::File(file)),
    ];
    let build = build(&stage, context.path(), Build { secrets, ..Build::default() });
    let told = built(&stage, build.clone()).await.unwrap();
    assert!(!told.iter().any(|line| line.contains("hunter")), "{told:#?}");
    let history =
        Command::new("docker").args(["history", "--no-trunc", &stage.name("app")]).output().unwrap();
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    assert!(history.contains("sha256sum /key") && !history.contains("hunter"), "{history}");
    let saved = Command::new("docker").args(["save", &stage.name("app")]).output().unwrap();
    assert!(saved.stdout.len() > 1_000_000);
    assert!(!saved.stdout.windows(6).any(|window| window == b"hunter"));

    fs::remove_file(outside.path().join("key")).unwrap();
    let error = built(&stage, build).await.unwrap_err();
    assert!(matches!(cause(&error), BuildError::Secret { secret, .. } if secret == "file"), "{error:?}");
}

#[tokio::test]
async fn a_dockerfile_may_lie_elsewhere_or_in_the_compose_file() {
    let stage = Stage::new().await;
    let root = folder(&[
        ("docker/web.Dockerfile", "FROM busybox:1\nCOPY file /\nRUN [ ! -e /none ]\n"),
        ("docker/web.Dockerfile.dockerignore", "none\n"),
        ("web/file", "x"),
        ("web/none", "x"),
    ]);
    let elsewhere = Build { dockerfile: Some("../docker/web.Dockerfile".into()), ..Build::default() };
    built(&stage, build(&stage, &root.path().join("web"), elsewhere)).await.unwrap();
    let inline = "FROM busybox:1\nCOPY . /web\nRUN [ -e /web/none ] && [ ! -e /web/Dockerfile ]\n";
    let inline = Build { dockerfile_inline: Some(inline.into()), ..Build::default() };
    built(&stage, build(&stage, &root.path().join("web"), inline)).await.unwrap();
}

#[tokio::test]
async fn only_what_the_dockerfile_copies_is_sent() {
    let stage = Stage::new().await;
    let context = folder(&[
        (
            "Dockerfile",
            "FROM busybox:1\nCOPY link/file package*.json /\nRUN [ -e /file ] && [ -e /package-lock.json ]\n",
        ),
        ("real/file", "x"),
        ("package.json", "{}"),
        ("package-lock.json", "{}"),
    ]);
    symlink("real", context.path().join("link")).unwrap();
    // Nobody reads it, so nobody misses it; and root alone could read it anyway.
    let large = fs::File::create(context.path().join("large")).unwrap();
    large.set_len(64 << 30).unwrap();
    built(&stage, build(&stage, context.path(), Build::default())).await.unwrap();
}

#[tokio::test]
async fn an_agent_signs_for_a_step_and_keys_get_one_of_their_own() {
    let stage = Stage::new().await;
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("id").to_str().unwrap().to_owned();
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status().unwrap();
    assert!(made.success());
    // The agent is asked for its keys in its own words, for the image has no ssh: a length, and what is wanted.
    let dockerfile = "\
FROM 127.0.0.1:5000/library/redis:8
RUN --mount=type=ssh perl -MIO::Socket::UNIX -e '$a = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die $!; \\
 print $a \"\\0\\0\\0\\1\\13\"; $a->flush; sysread $a, $keys, 999; exit $keys !~ /ssh-ed25519/'
";
    let context = folder(&[("Dockerfile", dockerfile)]);
    let forward = SshForward { id: "default".into(), path: Some(key.clone()) };
    let with = |ssh: Vec<SshForward>| build(&stage, context.path(), Build { ssh, ..Build::default() });
    let told = built(&stage, with(vec![forward])).await;
    assert!(told.is_ok(), "{told:?}");
    let missing = SshForward { id: "default".into(), path: Some(format!("{key}.none")) };
    let error = built(&stage, with(vec![missing])).await.unwrap_err();
    assert!(matches!(cause(&error), BuildError::Agent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_ends() {
    let stage = Stage::new().await;
    let marker = stage.name("marker");
    let context = folder(&[("Dockerfile", &format!("FROM busybox:1\nRUN : {marker}; sleep 120\n"))]);
    let operation = Operation::BuildImage(Box::new(build(&stage, context.path(), Build::default())));
    let (begun, has_begun) = tokio::sync::watch::channel(false);
    let hear = |progress| {
        if let Progress::Build(BuildProgress::Step { name, .. }) = progress
            && name.contains("sleep 120")
        {
            begun.send_replace(true);
        }
    };
    let mut has_begun = has_begun.clone();
    tokio::select! {
        result = stage.docker.perform(&operation, &hear) => panic!("it ended: {result:?}"),
        _ = has_begun.wait_for(|begun| *begun) => {}
    }
    crate::stage::soon(async {
        while is_running(&marker) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Returns whether a process has `marker` among its arguments.
fn is_running(marker: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(marker))
}
