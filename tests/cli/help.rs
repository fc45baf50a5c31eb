//! The help of every command.

use crate::common::Sandbox;

const COMMANDS: [&str; 19] = [
    "up",
    "down",
    "stop",
    "start",
    "restart",
    "rm",
    "ls",
    "status",
    "exec",
    "run",
    "logs",
    "env",
    "config",
    "data",
    "prune",
    "doctor",
    "init",
    "trust",
    "completions",
];

#[test]
fn the_short_help_lists_every_command() {
    insta::assert_snapshot!(Sandbox::new().run(&["-h"]), @"
    exit status 0
    --- stdout
    A git worktree with a complete runtime of its own: containers, volumes, ports and variables

    Usage: envtree [OPTIONS] <COMMAND>

    Commands:
      up           Make a worktree and its environment, or bring one up again
      down         Stop and remove containers and networks
      stop         Stop containers, without removing them
      start        Start stopped containers
      restart      Stop containers and start them again
      rm           Remove environments with their data, worktrees and merged branches
      ls           List the environments of this repository
      status       Show one environment in full
      exec         Run a command in an environment
      run          Run one command in a new container of a service
      logs         Print what services write
      env          Print the variables of an environment
      config       Print the Compose project that `up` would apply, as YAML
      data         Show and drop the seeded data that environments begin with
      prune        Find and remove what no longer belongs to anything in this repository
      doctor       Check all that environments depend on, and say what to do about what is wrong
      init         Write a commented envtree.yaml at the top of the repository
      trust        Show and accept the commands that this repository wants to run
      completions  Print a script that completes commands, tasks and services in a shell

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Global options:
      -C <DIR>              Run as if started in DIR
          --file <FILE>     Read this Compose file instead of the configured ones, `-` for the standard
                            input; may be given several times
          --profile <NAME>  Turn on a profile of the Compose files; may be given several times
          --json            Write the answer as versioned JSON
      -q, --quiet           Write neither progress nor warnings
      -v, --verbose         Write a line for every step
          --color <WHEN>    Colour the output [default: auto] [possible values: auto, always, never]
      -y, --yes             Answer every question with yes
    ");
}

#[test]
fn every_command_has_help_on_standard_output() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let ran = sandbox.run(&[command, "--help"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{command}");
        assert!(ran.stdout.contains(&format!("Usage: envtree {command}")), "{}", ran.stdout);
        let widest = ran.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{command} has a line of {widest:?} characters");
    }
}

#[test]
fn the_long_help_names_variables_and_exit_statuses() {
    let help = Sandbox::new().run(&["--help"]).stdout;
    assert!(help.contains("COMPOSE_FILE") && help.contains("Exit status: 0 done"), "{help}");
}

#[test]
fn without_a_command_there_is_help_and_a_failure() {
    let ran = Sandbox::new().run(&[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: envtree"), "{}", ran.stderr);
}

#[test]
fn the_version_is_a_line() {
    let version = concat!("envtree ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Sandbox::new().run(&["--version"]).stdout, version);
}
