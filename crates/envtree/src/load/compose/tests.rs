use super::*;
use crate::load::load_settings;
use crate::repository::test_repository::TestRepository;

mod default_files;
mod unset;

/// What is asked for besides what the files say.
#[derive(Default)]
struct Asked<'a> {
    here: &'a str,
    named: &'a [&'a str],
    profiles: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    input: &'static str,
    one_off: Option<&'a OneOffFile>,
}

fn load_from(files: &Files, asked: &Asked<'_>) -> Result<Wanted, LoadError> {
    let named = asked.named.iter().map(|path| match *path {
        "-" => PathBuf::from(path),
        path => normal(&files.top().join(path)),
    });
    let named: Vec<PathBuf> = named.collect();
    let input = asked.input;
    let profiles: Vec<String> = asked.profiles.iter().map(ToString::to_string).collect();
    let set = asked.environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    load_compose(&ComposeRequest {
        files,
        settings: &load_settings(files)?,
        here: &files.top().join(asked.here),
        named: &named,
        input: &Input::new(move || Box::new(input.as_bytes())),
        profiles: &profiles,
        environment: &set.collect(),
        own: &IndexMap::from([
            ("ENVTREE_PASSWORD".to_owned(), "secret".to_owned()),
            ("OWN".to_owned(), "own".to_owned()),
        ]),
        name: ProjectName::new("shop-x").unwrap(),
        one_off: asked.one_off,
    })
}

fn present(shop: &TestRepository) -> Files {
    Files::Present { repository: Box::new(shop.open()), top: shop.path.clone(), directory: shop.path.clone() }
}

/// Returns `service=image` of every service, or the error.
fn load(shop: &TestRepository, asked: &Asked<'_>) -> String {
    match load_from(&present(shop), asked) {
        Ok(wanted) => images(&wanted),
        Err(error) => format!("error: {error}").replace(&format!("{}/", shop.path.display()), ""),
    }
}

fn images(wanted: &Wanted) -> String {
    let services = wanted.project.services.iter();
    services.map(|(name, service)| format!("{name}={}", service.image)).collect::<Vec<_>>().join(" ")
}

fn service(name: &str, image: &str) -> String {
    format!("services: {{ {name}: {{ image: \"{image}\" }} }}\n")
}

#[test]
fn files_stand_in_for_dotenv_where_the_process_names_them() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", &service("db", "${A:-none}"));
    shop.write(".env", "A=dot\n");
    shop.write("one.env", "A=one\n");
    let with = |environment| load(&shop, &Asked { environment, ..Asked::default() });
    assert_eq!(with(&[("COMPOSE_ENV_FILES", "one.env")]), "db=one");
    assert_eq!(with(&[("COMPOSE_DISABLE_ENV_FILE", "true")]), "db=none");
    assert_eq!(with(&[("COMPOSE_DISABLE_ENV_FILE", "0")]), "db=dot");
    let missing = with(&[("COMPOSE_ENV_FILES", "two.env")]);
    assert!(missing.starts_with("error: COMPOSE_ENV_FILES names"), "{missing}");
}

#[test]
fn values_of_an_included_project_stay_out_of_messages() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", "include: [sub/compose.yaml]\n");
    shop.write("sub/compose.yaml", "services: { db: { image: x, healthcheck: { retries: \"$SECRET\" } } }\n");
    shop.write("sub/.env", "SECRET=hunter2hunter2\n");
    let error = load(&shop, &Asked::default());
    assert!(error.contains("sub/compose.yaml:1:") && error.contains("${SECRET}"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let shop = TestRepository::new();
    let file = std::fs::File::create(shop.path.join("compose.yaml")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = load_from(&present(&shop), &Asked::default()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "it has more than 16 MiB");
}

#[test]
fn files_are_named_by_the_option_then_the_process_then_dotenv_then_the_settings() {
    let shop = TestRepository::new();
    for name in ["compose", "option", "process", "dotenv", "settings"] {
        shop.write(&format!("{name}.yaml"), &service(name, "x"));
    }
    shop.write("envtree.yaml", "compose: { files: [settings.yaml] }\n");
    assert_eq!(load(&shop, &Asked::default()), "settings=x");
    shop.write(".env", "COMPOSE_FILE=dotenv.yaml;compose.yaml\nCOMPOSE_PATH_SEPARATOR=;\n");
    assert_eq!(load(&shop, &Asked::default()), "dotenv=x compose=x");
    let process = [("COMPOSE_FILE", "process.yaml:option.yaml"), ("COMPOSE_PATH_SEPARATOR", ":")];
    let process = Asked { environment: &process, ..Asked::default() };
    assert_eq!(load(&shop, &process), "process=x option=x");
    assert_eq!(load(&shop, &Asked { named: &["option.yaml"], ..process }), "option=x");
}

#[test]
fn a_named_file_that_is_not_there_is_an_error_that_says_who_names_it() {
    let shop = TestRepository::new();
    let missing = |asked| load(&shop, &asked);
    let named = Asked { named: &["x.yaml"], ..Asked::default() };
    assert!(missing(named).starts_with("error: --file names"));
    let process = Asked { environment: &[("COMPOSE_FILE", "x.yaml")], ..Asked::default() };
    assert!(missing(process).starts_with("error: COMPOSE_FILE names"));
    shop.write("envtree.yaml", "compose: { files: [x.yaml] }\n");
    assert!(missing(Asked::default()).starts_with("error: `compose.files` in envtree.yaml names"));
}

#[test]
fn an_unknown_template_is_named_with_its_place() {
    let shop = TestRepository::new();
    shop.write("envtree.yaml", "compose:\n  template: mongo\n");
    let error = "error: envtree.yaml:2:13: there is no template `mongo`, but `postgres-redis`, `postgres`, ";
    assert!(load(&shop, &Asked::default()).starts_with(error));
    shop.write("envtree.yaml", "compose:\n  template: postgres\n");
    assert!(!load(&shop, &Asked::default()).contains("redis"));
}

#[test]
fn the_own_variables_win_over_the_process_and_that_over_dotenv() {
    let shop = TestRepository::new();
    shop.write(".env", "OWN=dot\nPROCESS=dot\nDOT=${PROCESS}-dot\n");
    shop.write("compose.yaml", &service("db", "${OWN}/${PROCESS}/${DOT}:${NONE:-1}"));
    let process = [("OWN", "process"), ("PROCESS", "process")];
    let asked = Asked { environment: &process, ..Asked::default() };
    assert_eq!(load(&shop, &asked), "db=own/process/process-dot:1");
}

#[test]
fn dotenv_beside_the_first_file_adds_to_that_of_the_top() {
    let shop = TestRepository::new();
    shop.write(".env", "COMPOSE_FILE=docker/compose.yaml\nA=top\n");
    shop.write("docker/.env", "A=docker\nB=docker\n");
    shop.write("docker/compose.yaml", &service("db", "${A}/${B}"));
    assert_eq!(load(&shop, &Asked::default()), "db=top/docker");
    let named = Asked { named: &["docker/compose.yaml"], ..Asked::default() };
    assert_eq!(load(&shop, &named), "db=docker/docker");
}

#[test]
fn a_folder_called_dotenv_is_of_no_interest() {
    let shop = TestRepository::new();
    shop.write(".env/bin/python", "");
    shop.write("compose.yaml", &service("db", "x"));
    assert_eq!(load(&shop, &Asked::default()), "db=x");
}

#[test]
fn relative_paths_count_from_the_folder_of_the_first_file() {
    let shop = TestRepository::new();
    shop.write(
        "docker/compose.yaml",
        "services: { db: { image: x, volumes: [\"./data:/d\"], env_file: a.env } }\n",
    );
    shop.write("docker/a.env", "A=1\n");
    shop.write("other.yaml", &service("web", "x"));
    let asked = Asked { named: &["docker/compose.yaml", "other.yaml"], ..Asked::default() };
    let wanted = load_from(&present(&shop), &asked).unwrap();
    let db = &wanted.project.services["db"];
    assert_eq!(db.environment["A"], "1");
    let path = format!("{:?}", db.mounts[0].source);
    assert!(path.contains(&shop.path.join("docker/data").display().to_string()), "{path}");
    assert_eq!(wanted.compose_files, [shop.path.join("docker/compose.yaml"), shop.path.join("other.yaml")]);
}

#[test]
fn a_missing_env_file_is_an_error_with_its_place_unless_it_is_optional() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", "services:\n  db:\n    image: x\n    env_file: a.env\n");
    let error = load(&shop, &Asked::default());
    assert!(error.starts_with("error: compose.yaml:4:15: ") && error.contains("a.env"), "{error}");
    let optional = "services:\n  db:\n    image: x\n    env_file: [{ path: a.env, required: false }]\n";
    shop.write("compose.yaml", optional);
    assert_eq!(load(&shop, &Asked::default()), "db=x");
}

#[test]
fn profiles_of_the_option_stand_in_for_those_of_the_process_and_the_settings_add_to_them() {
    let shop = TestRepository::new();
    let of = |name: &str| format!("  {name}: {{ image: x, profiles: [{name}] }}\n");
    let services = ["option", "settings", "process", "off"].map(of).concat();
    shop.write("compose.yaml", &format!("services:\n  always: {{ image: x }}\n{services}"));
    shop.write("envtree.yaml", "compose: { profiles: [settings] }\n");
    let process = [("COMPOSE_PROFILES", "process, ,")];
    let asked = Asked { profiles: &["option"], environment: &process, ..Asked::default() };
    assert_eq!(load(&shop, &asked), "always=x option=x settings=x");
    let asked = Asked { profiles: &[], ..asked };
    assert_eq!(load(&shop, &asked), "always=x settings=x process=x");
    shop.write(".env", "COMPOSE_PROFILES=off\n");
    assert_eq!(load(&shop, &Asked::default()), "always=x settings=x off=x");
}

#[test]
fn a_worktree_to_be_is_read_out_of_its_commit() {
    let shop = TestRepository::new();
    shop.write(".gitignore", ".env\n");
    shop.write(".worktreeinclude", ".env\n");
    shop.write("compose.yaml", &service("db", "${TAG}"));
    shop.commit("Compose");
    shop.write("compose.yaml", "not: [committed");
    shop.write(".env", "TAG=brought\n");
    let repository = shop.open();
    let commit = repository.resolve_commit("main").unwrap();
    let top = shop.beside("new");
    let files =
        Files::Commit { repository: Box::new(repository), commit, name: "main".into(), top: top.clone() };
    let wanted = load_from(&files, &Asked::default()).unwrap();
    assert_eq!(images(&wanted), "db=brought");
    assert_eq!(wanted.compose_files, [top.join("compose.yaml")]);
}

#[test]
fn a_platform_for_all_is_that_of_services_without_one() {
    let shop = TestRepository::new();
    shop.write(
        "compose.yaml",
        "services: { own: { image: a, platform: linux/arm64 }, none: { image: a } }\n",
    );
    let platforms = |environment: &[(&str, &str)]| {
        let asked = Asked { environment, ..Asked::default() };
        let wanted = load_from(&present(&shop), &asked).unwrap();
        let services = wanted.project.services.into_values();
        services.map(|service| service.platform.unwrap_or_default()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(platforms(&[]), "linux/arm64 ");
    assert_eq!(platforms(&[("DOCKER_DEFAULT_PLATFORM", "linux/amd64")]), "linux/arm64 linux/amd64");
    shop.write(".env", "DOCKER_DEFAULT_PLATFORM=linux/386\n");
    assert_eq!(platforms(&[]), "linux/arm64 linux/386");
}

#[test]
fn the_variables_are_those_beside_the_file_unless_env_at_the_top_names_it() {
    let shop = TestRepository::new();
    let file = service("db", "x$T$U");
    shop.write("sub/c.yaml", &file);
    shop.write(".env", "T=top\nU=top\n");
    let process = Asked { environment: &[("COMPOSE_FILE", "sub/c.yaml")], ..Asked::default() };
    assert_eq!(load(&shop, &process), "db=x");
    shop.write("sub/.env", "T=sub\n");
    assert_eq!(load(&shop, &process), "db=xsub");
    assert_eq!(load(&shop, &Asked { named: &["sub/c.yaml"], ..Asked::default() }), "db=xsub");
    shop.write("sub/compose.yaml", &file);
    assert_eq!(load(&shop, &Asked { here: "sub", ..Asked::default() }), "db=xsub");
    shop.write(".env", "T=top\nU=top\nCOMPOSE_FILE=sub/c.yaml\n");
    assert_eq!(load(&shop, &Asked::default()), "db=xtoptop");
}

#[test]
fn what_is_no_text_in_the_value_of_a_variable_is_warned_about() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", "services: { web: { image: x, env_file: web.env } }\n");
    std::fs::write(shop.path.join(".env"), b"# fianc\xe9\nTAG=1\n").unwrap();
    std::fs::write(shop.path.join("web.env"), b"A=1\nB=fianc\xe9\n").unwrap();
    let wanted = load_from(&present(&shop), &Asked::default()).unwrap();
    assert_eq!(
        wanted.warnings,
        [
            "web.env:2:8: the byte 0xe9 is not UTF-8, in which the file must be; save it as UTF-8; here, \u{fffd} stands in for it"
        ]
    );
    assert_eq!(wanted.project.services["web"].environment["B"].as_str(), "fianc\u{fffd}");
}

#[test]
fn the_standard_input_stands_in_for_a_file() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", &service("db", "x"));
    shop.write("sub/more.yaml", &service("more", "${A}"));
    shop.write(".env", "A=top\n");
    shop.write("sub/.env", "A=sub\n");
    let input = "services: { web: { image: \"$A\", volumes: [./v:/v] } }\n";
    let asked = |named, here| Asked { here, named, input, ..Asked::default() };
    assert_eq!(load(&shop, &asked(&["-"], "")), "web=top");
    assert_eq!(load(&shop, &asked(&["-"], "sub")), "web=sub");
    assert_eq!(load(&shop, &asked(&["-", "sub/more.yaml"], "")), "web=sub more=sub");
    let by_variable = Asked { environment: &[("COMPOSE_FILE", "-:compose.yaml")], input, ..Asked::default() };
    assert_eq!(load(&shop, &by_variable), "web=top db=x");
    let wanted = load_from(&present(&shop), &by_variable).unwrap();
    assert_eq!(wanted.compose_files, [PathBuf::from("-"), shop.path.join("compose.yaml")]);
    let broken = Asked { input: "services:\n  web: [\n", ..asked(&["-"], "") };
    assert_eq!(load(&shop, &broken), "error: <stdin>:2:8: service `web`: this `[` is not closed");
}

#[test]
fn a_folder_where_a_file_is_meant_is_told_as_one() {
    let shop = TestRepository::new();
    shop.write("d/x", "");
    shop.write("other.yaml", &service("other", "x"));
    let said = |text: &str| {
        shop.write("compose.yaml", text);
        load(&shop, &Asked::default())
    };
    let errors = [
        "services: { web: { image: x, env_file: d } }",
        "services: { web: { image: x, env_file: [{ path: d, required: false }] } }",
        "services: { web: { image: x, label_file: d } }",
        "services: { web: { extends: { file: d, service: x } } }",
        "include: [d]",
        "include: [{ path: other.yaml, env_file: d }]",
    ]
    .map(said);
    insta::assert_snapshot!(errors.join("\n"), @"
    error: compose.yaml:1:40: service `web`: `env_file`: `d` is a folder; a file is expected
    error: compose.yaml:1:41: service `web`: `env_file`: `d` is a folder; a file is expected
    error: compose.yaml:1:42: service `web`: `label_file`: `d` is a folder; a file is expected
    error: compose.yaml:1:37: service `web`: `extends.file`: `d` is a folder; a file is expected
    error: compose.yaml:1:11: `include`: `d` is a folder; a file is expected
    error: compose.yaml:1:41: `include.env_file`: `d` is a folder; a file is expected
    ");
    let named = Asked { named: &["d"], ..Asked::default() };
    assert_eq!(load(&shop, &named), "error: --file names `d`, which is a folder; a file is expected");
}

#[test]
fn what_is_wrong_with_an_option_of_a_command_names_the_option() {
    let shop = TestRepository::new();
    shop.write("compose.yaml", &service("web", "a"));
    let file = |volume: &str| OneOffFile {
        service: "web".into(),
        text: format!(
            r#"{{"services": {{"web": {{"volumes": [{}"{volume}"], "environment": [{}"=x"]}}}}}}"#,
            "\n ", "\n "
        ),
        origins: ["", "`--volume V`", "`--env =…`"].map(str::to_owned).to_vec(),
    };
    let said = |volume: &str| {
        let asked = Asked { one_off: Some(&file(volume)), ..Asked::default() };
        match load_from(&present(&shop), &asked) {
            Ok(wanted) => wanted.warnings.join("\n"),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(
        [said("none:/x"), said("/x")],
        [
            "`--volume V`: service `web`: `volumes[0]`: volume `none` is not declared under `volumes`",
            "`--env =…`: service `web`: `environment`: a variable without a name; the Engine will not start the service"
        ]
    );
}

#[test]
fn the_login_of_a_server_is_read_from_its_secrets() {
    let shop = TestRepository::new();
    let compose = |secret: &str| {
        format!(
            "services:\n  db:\n    image: postgres:17\n    secrets: [p]\n    environment:\n      POSTGRES_PASSWORD_FILE: {secret}\nsecrets: {{ p: {{ file: ./p.txt }} }}\n"
        )
    };
    shop.write("p.txt", "hunter2\n");
    shop.write("compose.yaml", &compose("/run/secrets/p"));
    shop.commit("A secret");
    let repository = shop.open();
    let commit = Files::Commit {
        commit: repository.resolve_commit("main").unwrap(),
        repository: Box::new(repository),
        name: "main".into(),
        top: shop.beside("new"),
    };
    for files in [present(&shop), commit] {
        let wanted = load_from(&files, &Asked::default()).unwrap();
        assert_eq!(wanted.project.services["db"].settings()["POSTGRES_PASSWORD"], "hunter2");
        assert_eq!(wanted.warnings, [""; 0]);
    }
    shop.write("compose.yaml", &compose("/vault/p"));
    let wanted = load_from(&present(&shop), &Asked::default()).unwrap();
    insta::assert_snapshot!(wanted.warnings.join("\n"), @"compose.yaml:6:7: service `db`: `POSTGRES_PASSWORD_FILE` names `/vault/p`, which is no secret, config or mounted file that can be read: the service's URL lacks what it says");
}
