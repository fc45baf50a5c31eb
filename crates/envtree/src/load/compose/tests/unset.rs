//! Variables that are not set, and files that only the main worktree has.

use super::*;

/// A repository whose main worktree alone has `.env` and `api.env`, and a linked worktree of it.
fn shop_with_ignored_files() -> (TestRepository, Files) {
    let shop = TestRepository::new();
    shop.write(".gitignore", "*.env\n");
    shop.commit("Ignore");
    shop.write(".env", "LIMIT=1g\n");
    shop.write("api.env", "A=1\n");
    let top = shop.beside("linked");
    shop.git(&["worktree", "add", "--quiet", "--detach", top.to_str().unwrap()]);
    let files = Files::Present { repository: Box::new(shop.open()), top: top.clone(), directory: top };
    (shop, files)
}

/// Returns why the files are refused, by whatever command or where their environment is made.
fn refusal(files: &Files) -> String {
    let error = match load_from(files, &Asked::default()) {
        Ok(wanted) => LoadError::unless_empty(wanted.refused).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    error.replace(&format!("{}/", files.top().display()), "")
}

#[test]
fn an_error_about_an_empty_value_names_the_variable_that_left_it_empty() {
    let shop = TestRepository::new();
    let service = |keys: &str| {
        shop.write("compose.yaml", &format!("services:\n  web: {{ {keys} }}\n"));
        refusal(&present(&shop))
    };
    let errors = [
        "image: a, mem_limit: '${LIMIT}'",
        "image: a, ports: ['80', '8080:${PORT}']",
        "image: '${IMAGE}'",
        "image: a, cpus: '${A}${B}'",
        "image: a, volumes: [{ type: bind, source: a, target: $TO }]",
        "image: a, depends_on: ['${DB}']",
        "image: a, extends: { file: $FILE, service: a }",
        "image: a, mem_limit: '${LIMIT:-}', environment: { B: $LIMIT }",
    ]
    .map(service);
    insta::assert_snapshot!(errors.join("\n"), @"
    compose.yaml:2:31: service `web`: `mem_limit` must be a size such as `64m`, not ``; `LIMIT` is not set: set it in `.env` or in the environment
    compose.yaml:2:34: service `web`: `ports[1]` must be `[[address:]published:]target[/protocol]`, not `8080:`; `PORT` is not set: set it in `.env` or in the environment
    compose.yaml:2:17: service `web`: `image` is empty, and there is no `build`; `IMAGE` is not set: set it in `.env` or in the environment
    compose.yaml:2:26: service `web`: `cpus` must be a number such as `0.5`, not ``; `A` is not set: set it in `.env` or in the environment; `B` is not set: set it in `.env` or in the environment
    compose.yaml:2:63: service `web`: `volumes[0].target` is empty; `TO` is not set: set it in `.env` or in the environment
    compose.yaml:2:33: service `web`: `depends_on`: service `` is not declared under `services`; `DB` is not set: set it in `.env` or in the environment
    compose.yaml:2:37: service `web`: `extends.file`: `` is a folder; a file is expected; `FILE` is not set: set it in `.env` or in the environment
    compose.yaml:2:31: service `web`: `mem_limit` must be a size such as `64m`, not ``
    ");
}

#[test]
fn what_the_main_worktree_alone_has_is_pointed_at() {
    let (shop, files) = shop_with_ignored_files();
    let compose = |text: &str| std::fs::write(files.top().join("compose.yaml"), text).unwrap();
    compose("services: { web: { image: a, mem_limit: $LIMIT, env_file: [api.env, other.env] } }");
    let wrong = refusal(&files);
    compose("services: { web: { image: a, mem_limit: '${LIMIT:?set it}' } }");
    let required = refusal(&files);
    compose("services: { web: { image: 'a$LIMIT$OTHER' } }");
    let warnings = load_from(&files, &Asked::default()).unwrap().warnings;
    shop.write("compose.yaml", "services: { web: { image: a, env_file: other.env } }");
    let main = refusal(&present(&shop)).replace(&format!("{}/", shop.path.display()), "");
    insta::assert_snapshot!([wrong, required, warnings.join("\n"), main].join("\n"), @"
    compose.yaml:1:41: service `web`: `mem_limit` must be a size such as `64m`, not ``; `LIMIT` is not set; `.env` of the main worktree sets it, which git ignores: copy it from there, or name it in `.worktreeinclude`, which brings it into new worktrees
    compose.yaml:1:60: service `web`: `env_file`: there is no file `api.env`; the main worktree has it, and git ignores it: copy it from there, or name it in `.worktreeinclude`, which brings it into new worktrees
    compose.yaml:1:69: service `web`: `env_file`: there is no file `other.env`
    compose.yaml:1:42: service `web`: `mem_limit`: required variable `LIMIT` is not set: set it; `.env` of the main worktree sets it, which git ignores: copy it from there, or name it in `.worktreeinclude`, which brings it into new worktrees
    compose.yaml:1:29: variable `LIMIT` is not set; an empty text stands in for it; `.env` of the main worktree sets it, which git ignores: copy it from there, or name it in `.worktreeinclude`, which brings it into new worktrees
    compose.yaml:1:35: variable `OTHER` is not set; an empty text stands in for it
    compose.yaml:1:40: service `web`: `env_file`: there is no file `other.env`
    ");
}

#[test]
fn a_worktree_to_be_lacks_what_is_not_named() {
    let (shop, _) = shop_with_ignored_files();
    shop.write("compose.yaml", "services: { web: { image: a, env_file: api.env } }");
    shop.commit("Compose");
    let repository = shop.open();
    let commit = repository.resolve_commit("main").unwrap();
    let top = shop.beside("new");
    let files = Files::Commit { repository: Box::new(repository), commit, name: "main".into(), top };
    insta::assert_snapshot!(refusal(&files), @"main:compose.yaml:1:40: service `web`: `env_file`: there is no file `api.env`; the main worktree has it, and git ignores it: name it in `.worktreeinclude`, which brings it into new worktrees");
    shop.write(".worktreeinclude", "api.env\n");
    assert_eq!(images(&load_from(&files, &Asked::default()).unwrap()), "web=a");
}
