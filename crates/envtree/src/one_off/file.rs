//! The options of `run` as a Compose file, each on a line of its own, so that what is wrong can name the option.

use serde_json::json;

use super::RunOptions;
use crate::load::OneOffFile;

/// A line of the file, and what it comes from.
struct Line {
    text: String,
    origin: String,
}

/// Returns what the options change in the service.
pub(super) fn file_of(options: &RunOptions) -> OneOffFile {
    let scalar = |key: &str, option: &str, value: Option<&String>| {
        value.map(|value| {
            let text = format!("{}: {}", json!(key), json!(value));
            vec![Line { text, origin: format!("`{option} {value}`") }]
        })
    };
    let entries = [
        scalar("entrypoint", "--entrypoint", options.entrypoint.as_ref()),
        list("command", &options.command, |_| "the command".to_owned()).or_else(|| no_command(options)),
        list("environment", &options.environment, |variable| format!("`--env {}`", without_value(variable))),
        list("volumes", &options.volumes, |volume| format!("`--volume {volume}`")),
        scalar("user", "--user", options.user.as_ref()),
        scalar("working_dir", "--workdir", options.working_dir.as_ref()),
    ];
    let mut lines = vec![Line {
        text: format!(r#"{{"services": {{{}: {{"#, json!(options.service)),
        origin: String::new(),
    }];
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        if index > 0
            && let Some(before) = lines.last_mut()
        {
            before.text.push(',');
        }
        lines.extend(entry);
    }
    lines.push(Line { text: "}}}".to_owned(), origin: String::new() });
    let (texts, origins): (Vec<String>, Vec<String>) =
        lines.into_iter().map(|line| (line.text, line.origin)).unzip();
    // Nothing in it is to be filled in.
    let text = texts.join("\n ").replace('$', "$$");
    OneOffFile { service: options.service.clone(), text, origins }
}

/// Returns the entry of a list with an item a line; nothing if there are no items.
fn list(key: &str, items: &[String], origin: impl Fn(&str) -> String) -> Option<Vec<Line>> {
    let last = items.len().checked_sub(1)?;
    let line = |(index, item): (usize, &String)| {
        let begin = if index == 0 { format!("{}: [", json!(key)) } else { String::new() };
        let end = if index == last { "]" } else { "," };
        Line { text: format!("{begin}{}{end}", json!(item)), origin: origin(item) }
    };
    Some(items.iter().enumerate().map(line).collect())
}

/// As with `docker run`, another entrypoint has other arguments.
fn no_command(options: &RunOptions) -> Option<Vec<Line>> {
    let origin = format!("`--entrypoint {}`", options.entrypoint.as_ref()?);
    Some(vec![Line { text: r#""command": []"#.to_owned(), origin }])
}

/// Returns a variable as messages show it, for its value may be a secret.
fn without_value(variable: &str) -> String {
    variable.split_once('=').map_or_else(|| variable.to_owned(), |(name, _)| format!("{name}=…"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envtree_core::reconcile::BuildPolicy;
    use serde_json::{Value, json};

    use super::*;

    fn options() -> RunOptions {
        RunOptions {
            task: "x".into(),
            service: "web".into(),
            command: Vec::new(),
            entrypoint: None,
            environment: Vec::new(),
            volumes: Vec::new(),
            publish: Vec::new(),
            user: None,
            working_dir: None,
            name: None,
            service_ports: false,
            use_aliases: false,
            no_deps: false,
            keep: false,
            detach: false,
            tty: false,
            build: BuildPolicy::Missing,
            pull: None,
            timeout: Duration::ZERO,
        }
    }

    #[test]
    fn options_are_a_file_in_which_nothing_is_filled_in() {
        let service = |options: &RunOptions| {
            let file: Value = serde_json::from_str(&file_of(options).text).unwrap();
            file["services"]["web"].clone()
        };
        assert_eq!(service(&options()), json!({}));
        let command = vec!["echo".to_owned(), "$HOME".to_owned()];
        let changed = RunOptions { command, environment: vec!["A=1".into()], ..options() };
        assert_eq!(service(&changed), json!({"command": ["echo", "$$HOME"], "environment": ["A=1"]}));
        let entrypoint = RunOptions { entrypoint: Some("sh -c".into()), ..options() };
        assert_eq!(service(&entrypoint), json!({"command": [], "entrypoint": "sh -c"}));
    }

    #[test]
    fn each_line_knows_its_option() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let changed = RunOptions {
            command: texts(&["sh", "-c"]),
            environment: texts(&["A", "B=secret"]),
            volumes: texts(&["bad"]),
            user: Some("me".into()),
            ..options()
        };
        let file = file_of(&changed);
        let lines = file.text.lines().zip(&file.origins).map(|(text, origin)| format!("{text} <{origin}>"));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        {"services": {"web": { <>
         "command": ["sh", <the command>
         "-c"], <the command>
         "environment": ["A", <`--env A`>
         "B=secret"], <`--env B=…`>
         "volumes": ["bad"], <`--volume bad`>
         "user": "me" <`--user me`>
         }}} <>
        "#);
        assert_eq!(file.text.lines().count(), file.origins.len());
    }
}
