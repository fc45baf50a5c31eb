//! Tells processes that only keep a container running, as `sleep infinity` does in the service of a dev container.
//!
//! Such a process serves nothing: what a published port leads to is started by hand, and nobody can wait for it.

/// Programs that wait for a person, or pass on what they are given.
const INTERACTIVE: [&str; 7] = ["sh", "ash", "bash", "dash", "zsh", "fish", "cat"];

/// Words of a shell that do nothing by themselves, or only hold loops together.
const SILENT: [&str; 10] = ["true", ":", "do", "done", "while", "until", "false", "exec", "wait", "trap"];

/// Returns whether the words of a process, its entrypoint's first, end in one that does nothing but last.
pub(super) fn is_idle(process: &[String]) -> bool {
    let words: Vec<&str> = process.iter().map(String::as_str).collect();
    match words.as_slice() {
        [.., shell, flag, line] if is_shell(shell) && flag.starts_with('-') && flag.ends_with('c') => {
            ends_idle(line)
        }
        [.., shell, flag] if is_shell(shell) && flag.starts_with('-') => true,
        words => lasts(words),
    }
}

/// Returns whether the last word, or the last few, are a command that only lasts.
fn lasts(words: &[&str]) -> bool {
    match words {
        [.., program] if INTERACTIVE.contains(&name(program)) => true,
        [.., program, time] if name(program) == "sleep" => is_time(time),
        [.., program, flag, "/dev/null"] if name(program) == "tail" => flag.starts_with('-'),
        _ => false,
    }
}

/// Returns whether a line of a shell does nothing but last, once what `&&` waits for has ended.
fn ends_idle(line: &str) -> bool {
    let commands = line.replace("||", ";");
    let last_steps =
        commands.split([';', '\n']).map(|command| command.rsplit("&&").next().unwrap_or(command));
    let mut last_steps = last_steps
        .map(|step| step.split_whitespace().filter(|word| !SILENT.contains(word)).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .peekable();
    let is_plain = !line.replace("&&", "").replace("||", "").contains(['&', '|', '(', '`', '"', '\'']);
    is_plain && last_steps.peek().is_some() && last_steps.all(|words| lasts(&words))
}

fn is_shell(program: &str) -> bool {
    INTERACTIVE.contains(&name(program)) && name(program) != "cat"
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn is_time(word: &str) -> bool {
    word == "inf" || word == "infinity" || word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_idle_of(words: &[&str]) -> bool {
        is_idle(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_only_lasts_is_idle() {
        for words in [
            &["sleep", "infinity"][..],
            &["/bin/sleep", "1d"],
            &["tini", "--", "tail", "-f", "/dev/null"],
            &["docker-entrypoint.sh", "sleep", "inf"],
            &["/bin/bash"],
            &["bash", "-l"],
            &["docker-entrypoint.sh", "sh"],
            &["cat"],
            &["sh", "-c", "exec sleep inf"],
            &["/bin/sh", "-c", "while true; do sleep 1000; done"],
            &["/bin/sh", "-c", "while sleep 1000; do :; done"],
            &["bash", "-ec", "npm install && tail -F /dev/null"],
            &["bash", "-lc", "npm install &&\n sleep infinity\n"],
        ] {
            assert!(is_idle_of(words), "{words:?}");
        }
    }

    #[test]
    fn what_may_serve_is_not_idle() {
        for words in [
            &[][..],
            &["node", "server.js"],
            &["bash", "start.sh"],
            &["sh", "-c", "npm start"],
            &["sh", "-c", "npm start & sleep infinity"],
            &["sh", "-c", "nc -lk -p 81 | cat"],
            &["sh", "-c", "sleep 5; npm start"],
            &["sh", "-c", "while true; do nc -l -p 80; sleep 1; done"],
            &["sh", "-c", "npm start || sleep infinity"],
            &["sh", "-c", "cd web && npm start; sleep infinity"],
            &["sh", "-c", ""],
            &["sh", "-c", "echo 'sleep infinity'"],
            &["python", "-m", "http.server", "80"],
            &["tail", "-f", "/var/log/nginx/access.log"],
            &["sleep", "--help"],
            &[""],
        ] {
            assert!(!is_idle_of(words), "{words:?}");
        }
    }
}
