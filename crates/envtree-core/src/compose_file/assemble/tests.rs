use std::collections::BTreeMap;

use super::*;
use crate::compose_file::testing::json;

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<String, String>);

impl Files for Memory {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn variables(&self, path: &str, _: &Lookup<'_>) -> Result<Option<IndexMap<String, String>>, String> {
        let pairs = self.0.get(path).map(|text| text.lines().filter_map(|line| line.split_once('=')));
        Ok(pairs.map(|pairs| pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    fn is_folder(&self, path: &str) -> Result<bool, String> {
        Ok(self.0.keys().any(|file| file.starts_with(&format!("{path}/"))))
    }

    fn display(&self, path: &str) -> String {
        path.trim_start_matches("/w/").to_owned()
    }

    fn filled(&self, _: &str, _: &str) {}
}

/// Returns what the files, of which the first is given, are together.
fn together(files: &[(&str, &str)]) -> String {
    let memory = Memory(files.iter().map(|(name, text)| (format!("/w/{name}"), text.to_string())).collect());
    let (name, text) = files[0];
    let source = Source { path: format!("/w/{name}"), display: name.to_owned(), text: text.to_owned() };
    match assemble(&[source], "/w", &|_| None, &memory) {
        Ok(assembled) => json(&assembled.node).to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_project_of_too_many_files_is_an_error() {
    // Each file includes the next one twice.
    let name = |number: usize| format!("{number}.yaml");
    let texts: Vec<(String, String)> = (0..20)
        .map(|number| (name(number), format!("include: [{}, {}]\n", name(number + 1), name(number + 1))))
        .chain([(name(20), "services: {}\n".to_owned())])
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(
        together(&files).ends_with("the project is made of more than 1000 files"),
        "{}",
        together(&files)
    );
}

#[test]
fn a_file_that_lies_elsewhere_is_refused() {
    assert_eq!(
        together(&[("compose.yaml", "include: ['https://example.org/shop.git']\n")]),
        "compose.yaml:1:11: `https://example.org/shop.git` lies elsewhere; only files of this machine are read"
    );
}

#[test]
fn no_message_holds_control_characters() {
    let text = "services: {a: {extends: \"b\\u0085c\"}}\n";
    assert_eq!(
        together(&[("compose.yaml", text)]),
        "compose.yaml:1:25: service `a`: `extends`: service `b c` is not declared under `services` of compose.yaml"
    );
    assert_eq!(
        together(&[("compose.yaml", "include: [\"a\\u0007\"]\n")]),
        "compose.yaml:1:11: `include`: there is no file `a `"
    );
}

#[test]
fn a_long_chain_of_included_files_is_an_error() {
    let texts: Vec<(String, String)> = (0..100)
        .map(|number| (format!("{number}.yaml"), format!("include: [{}.yaml]\n", number + 1)))
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(together(&files), "50.yaml:1:11: more than 50 files include each other");
}

#[test]
fn services_that_extend_a_huge_one_are_bounded() {
    let values = "x,".repeat(10_000);
    let services: Vec<_> = (0..100).map(|number| format!("  s{number}: {{extends: base}}\n")).collect();
    let services = services.concat();
    let text = format!("services:\n  base: {{image: x, command: [{values}]}}\n{services}");
    let error = together(&[("compose.yaml", &text)]);
    assert!(error.ends_with("services that extend others have more than 300000 values"), "{error}");
}

#[test]
fn a_long_chain_of_extended_services_is_an_error() {
    let services: Vec<_> =
        (0..300).map(|number| format!("  s{number}: {{extends: s{}}}\n", number + 1)).collect();
    let text = format!("services:\n{}  s300: {{image: x}}\n", services.concat());
    let error = together(&[("compose.yaml", &text)]);
    assert_eq!(error, "compose.yaml:102:19: service `s100`: more than 100 services extend each other");
}

#[test]
fn tags_of_an_extending_service_mean_what_it_extends_and_earlier_files() {
    let base = "services: {base: {image: a, ports: [1], expose: [2]}, web: {extends: base}}\n";
    let over = "services: {base: {image: b, ports: [3]}, web: {extends: base, ports: !reset [], expose: !override [4]}}\n";
    assert_eq!(
        together(&[("compose.yaml", &format!("{base}---\n{over}"))]),
        r#"{"services":{"base":{"image":"b","ports":[1,3],"expose":[2]},"web":{"image":"b","expose":[4]}}}"#
    );
}

#[test]
fn tags_of_an_extended_file_mean_what_its_services_extend() {
    let main = "services: {a: {extends: {file: s.yaml, service: b}}}\n";
    let middle =
        "services: {b: {extends: {file: t.yaml, service: c}, ports: !reset [], expose: !override [2]}}\n";
    let last = "services: {c: {image: x, ports: ['1:1'], expose: [1]}}\n";
    assert_eq!(
        together(&[("compose.yaml", main), ("s.yaml", middle), ("t.yaml", last)]),
        r#"{"services":{"a":{"image":"x","expose":[2]}}}"#
    );
}

#[test]
fn tags_mean_a_service_of_the_same_name_in_every_file_on_the_way() {
    let main = "services: {a: {extends: {file: s.yaml, service: b}}, b: {image: y, command: !reset null}}\n";
    let other =
        "services: {a: {ports: !override [3]}, b: {extends: c, ports: [2]}, c: {image: x, command: c}}\n";
    assert_eq!(
        together(&[("compose.yaml", main), ("s.yaml", other)]),
        r#"{"services":{"a":{"image":"x"},"b":{"image":"y"}}}"#
    );
}

#[test]
fn extends_itself_and_what_is_included_can_be_reset() {
    let main = "services: {a: {extends: b, image: x}, b: {image: y, command: z}}\n---\nservices: {a: {extends: !reset null}}\n";
    assert_eq!(
        together(&[("compose.yaml", main)]),
        r#"{"services":{"a":{"image":"x","command":"z"},"b":{"image":"y","command":"z"}}}"#
    );
    let main = "include: [i.yaml]\nservices: {a: {image: x}}\nnetworks: {n: !reset null}\n";
    let included = "networks: {n: {driver: bridge}}\n";
    assert_eq!(
        together(&[("compose.yaml", main), ("i.yaml", included)]),
        r#"{"services":{"a":{"image":"x"}},"networks":{"n":{"driver":"bridge"}}}"#
    );
}

#[test]
fn paths_of_included_and_extended_files_become_absolute() {
    let main = "include: [a/b.yaml]\nservices: {web: {extends: {file: c/d.yaml, service: x}, volumes: ['./w:/w']}}\n";
    let included = "services: {db: {build: {args: {A: 1}, ssh: {a: ../a, default: null}}, env_file: [x.env, {path: y.env}], volumes: ['./v:/v', 'n:/n']}}\nsecrets: {s: {file: s.txt}}\nvolumes: {n: {driver: local, driver_opts: {o: bind, device: ./n}}}\n";
    let extended = "services: {x: {build: {context: ., ssh: [default, k=./k, h=~/k]}, volumes: [{type: bind, source: ../v, target: /v}, '~/h:/h']}}\n";
    assert_eq!(
        together(&[("compose.yaml", main), ("a/b.yaml", included), ("c/d.yaml", extended)]),
        r#"{"services":{"web":{"build":{"context":"/w/c","ssh":{"default":null,"k":"/w/c/k","h":"~/k"}},"volumes":[{"type":"bind","source":"/w/v","target":"/v"},"~/h:/h","./w:/w"]},"db":{"build":{"args":{"A":1},"ssh":{"a":"/w/a","default":null},"context":"/w/a"},"env_file":["/w/a/x.env",{"path":"/w/a/y.env"}],"volumes":["/w/a/v:/v","n:/n"]}},"volumes":{"n":{"driver":"local","driver_opts":{"o":"bind","device":"/w/a/n"}}},"secrets":{"s":{"file":"/w/a/s.txt"}}}"#
    );
}

#[test]
fn a_project_directory_of_the_home_is_one_for_services_alone() {
    let main = "include: [{path: a.yaml, project_directory: ~/q}]\n";
    let included =
        "include: [i/b.yaml]\nservices: {a: {extends: {file: c/d.yaml, service: x}, env_file: e.env}}\n";
    let nested = "services: {b: {image: b, volumes: ['./v:/v']}}\n";
    let extended = "services: {x: {build: .}}\n";
    assert_eq!(
        together(&[
            ("compose.yaml", main),
            ("a.yaml", included),
            ("~/q/i/b.yaml", nested),
            ("~/q/c/d.yaml", extended)
        ]),
        r#"{"services":{"a":{"build":{"context":"~/q/c"},"env_file":"~/q/e.env"},"b":{"image":"b","volumes":["~/q/i/v:/v"]}}}"#
    );
}

#[test]
fn the_paths_of_an_included_project_count_from_above_a_folder_that_is_not_there() {
    let of = |directory: &str| {
        let main = format!("include: [{{path: a/c.yaml, project_directory: {directory}}}]\n");
        together(&[("compose.yaml", &main), ("a/c.yaml", "services: {web: {build: src}}\n")])
    };
    assert!(of("a").contains(r#""context":"/w/a/src""#), "{}", of("a"));
    assert!(of("a/none").contains(r#""context":"/w/a/src""#), "{}", of("a/none"));
    assert!(of("a/c.yaml").contains(r#""context":"/w/a/src""#), "{}", of("a/c.yaml"));
    assert!(of("none").contains(r#""context":"/w/src""#), "{}", of("none"));
    assert!(of("''").contains(r#""context":"/w/a/src""#), "{}", of("''"));
}

#[test]
fn doubles_are_refused_in_each_file_where_compose_refuses_them() {
    let of = |service: &str| together(&[("compose.yaml", &format!("services: {{web: {{{service}}}}}\n"))]);
    assert_eq!(
        of("group_add: [a, b, a]"),
        "compose.yaml:1:36: service `web`: `group_add` lists `a` twice; each item may stand in it once"
    );
    assert!(of("group_add: [1, '1']").starts_with('{'));
    assert!(of("cap_add: [A, A]").starts_with('{'));
    assert!(
        of("deploy: {resources: {reservations: {devices: [{device_ids: ['0', '0']}]}}}").contains("twice")
    );
    assert!(of("build: {ssh: [default, default]}").contains("`build.ssh` lists `default` twice"));
    let in_both = "services: {web: {external_links: [m]}}\n---\nservices: {web: {external_links: [k, m]}}\n";
    assert_eq!(
        together(&[("compose.yaml", in_both)]),
        "compose.yaml:3:38: service `web`: `external_links` lists `m` twice, first at compose.yaml:1:35; each item may stand in it once"
    );
    let overridden = "services: {web: {networks: [n, n]}}\n---\nservices: {web: {networks: !override [n]}}\n";
    assert!(together(&[("compose.yaml", overridden)]).contains("`networks` lists `n` twice"));
}

#[test]
fn a_clash_along_extends_names_the_service_and_the_key() {
    let base = "services: {x: {image: x, ports: ['80'], environment: {A: [1]}}}\n";
    let of = |service: &str| {
        let main = format!("services: {{web: {{extends: {{file: d/b.yaml, service: x}}, {service}}}}}\n");
        together(&[("compose.yaml", &main), ("d/b.yaml", base)])
    };
    assert_eq!(
        of("ports: {a: 1}"),
        "compose.yaml:1:64: service `web`: `ports` must be a list as in line 1 of d/b.yaml, not a mapping"
    );
    assert_eq!(
        of("environment: x"),
        "compose.yaml:1:70: service `web`: `environment` must be a mapping as in line 1 of d/b.yaml, not a text"
    );
    assert_eq!(
        together(&[
            ("compose.yaml", "services: {web: {extends: {file: d, service: x}}}\n"),
            ("d/b.yaml", base)
        ]),
        "compose.yaml:1:34: service `web`: `extends.file`: `d` is a folder; a file is expected"
    );
    assert_eq!(
        together(&[("compose.yaml", "include: [{path: d/b.yaml, env_file: [e]}]\n"), ("d/b.yaml", base)]),
        "compose.yaml:1:39: `include.env_file`: there is no file `e`"
    );
}
