//! `envtree trust`: show and accept the commands that a repository wants to run.

use std::env;
use std::fmt::Write as _;
use std::io::{IsTerminal, stderr, stdin};

use envtree::init::TrustRequest;

use crate::command_error::CommandError;
use crate::env_vars::ENVTREE_ENVIRONMENT;
use crate::output::TrustOutput;
use crate::run::Context;
use crate::text;

/// Show and accept the commands that this repository wants to run
///
/// Hooks and seeds are other people's commands: envtree runs exactly the texts that were accepted here, and asks again
/// when one of them changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Shows the commands, and accepts them if the person says so.
pub(crate) async fn run(_: &Args, context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    // A program inside an environment runs the very commands that are to be judged.
    if env::var_os(ENVTREE_ENVIRONMENT).is_some() {
        return Err(CommandError::input("nothing inside an environment can grant trust")
            .hint(format!("run `envtree trust` in a shell of your own, without `{ENVTREE_ENVIRONMENT}`")));
    }
    let session = context.session()?;
    let requests = session.trust_requests()?;
    let new: Vec<_> = requests.iter().filter(|request| !request.trusted).cloned().collect();
    if new.is_empty() {
        let known = text::counted(requests.len(), "command");
        ui.note(&format!("nothing to accept ({known} accepted before)"));
    } else {
        show(context, &new);
        let can_ask = stdin().is_terminal() && stderr().is_terminal();
        if !ui.says_yes() && !can_ask {
            return Err(CommandError::input("cannot ask without a terminal")
                .hint("`envtree trust --yes` accepts what is shown")
                .note("nothing was accepted"));
        }
        if !ui.ask("Run these commands from now on?") {
            return Err(CommandError::input("nothing was accepted"));
        }
        session.accept_trust(&new).await?;
        ui.note(&format!("accepted {}", text::counted(new.len(), "command")));
    }
    // The commands were shown beside the question; JSON alone has something to answer.
    ui.answer(&TrustOutput::from(requests.as_slice()), String::new)
}

fn show(context: &Context, requests: &[TrustRequest]) {
    // The question needs its subject: it is shown even where quiet is wanted.
    context.ui.insist(listed(requests).trim_end());
}

fn listed(requests: &[TrustRequest]) -> String {
    let mut text = String::from("This repository wants to run:\n");
    for request in requests {
        let _ = writeln!(text, "  {} ({})", request.key, text::path(&request.file));
        for command in &request.commands {
            let _ = writeln!(text, "    {command}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_shown_with_its_place() {
        let request = TrustRequest {
            key: "hooks.post_create".to_owned(),
            file: "/home/shop/envtree.yaml".into(),
            commands: vec!["npm ci".to_owned()],
            trusted: false,
            sha256: String::new(),
        };
        insta::assert_snapshot!(listed(&[request]), @"
        This repository wants to run:
          hooks.post_create (/home/shop/envtree.yaml)
            npm ci
        ");
    }
}
