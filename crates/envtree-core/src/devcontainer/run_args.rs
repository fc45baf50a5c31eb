//! Reads `runArgs`, flags of `docker run`, into the settings of a service.
//!
//! Flags are written as `--flag=value`, `--flag value` or `-fvalue`. One for which the Engine's API has no equal, or that
//! would take from envtree what it does itself, is an error with its place. A later flag counts more, or adds to lists.

use indexmap::IndexMap;

use super::fields::hint;
use super::mount::switch;
use super::property::Placed;
use crate::compose_file::node::{Diagnostic, Place};
use crate::name::{NetworkName, VolumeName};
use crate::project::{Network, Volume};
use crate::service::{Attachment, Service};
use flags::{FLAGS, Kind, SHORT};

mod flags;
mod values;

/// What flags say beside the settings of the service itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Further {
    /// The volumes that are mounted by their names, under the Engine's own names for them.
    pub volumes: IndexMap<VolumeName, Volume>,
    /// Networks that the service joins, and that are there already.
    pub networks: IndexMap<NetworkName, Network>,
    /// Names of the service on the environment's own network; those on a network that a flag names are in the service.
    pub aliases: Vec<String>,
    /// The file with a profile of seccomp, as it is written: [`crate::service::RuntimeOptions::seccomp`] is to hold its
    /// text.
    pub seccomp: Option<Placed<String>>,
}

/// What the flags are applied to.
struct Target<'a> {
    service: &'a mut Service,
    further: Further,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// The flag that is being read.
    place: Place,
}

/// Applies flags of `docker run` to a service; `lookup` knows the host's variables, for `--env NAME`.
///
/// The service is changed even if there are errors, and is then of no use.
pub fn apply_run_args(
    arguments: &[Placed<String>],
    service: &mut Service,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Further, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let place = arguments.first().map_or_else(|| Place::of_whole("runArgs"), |first| first.place.clone());
    let mut target = Target { service, further: Further::default(), lookup, place };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        target.place = argument.place.clone();
        let mut values = Values { next: rest.clone(), taken: 0 };
        if let Err(fault) = apply(&argument.value, &mut values, &mut target) {
            let message = format!("`runArgs`: {fault}");
            faults.push(Diagnostic { place: argument.place.clone(), message });
        }
        for _ in 0..values.taken {
            rest.next();
        }
    }
    target.settle_aliases();
    if faults.is_empty() { Ok(target.further) } else { Err(faults) }
}

impl Target<'_> {
    /// Gives the names that flags ask for to the network that they name, if they name one.
    fn settle_aliases(&mut self) {
        let mut own =
            self.service.networks.iter_mut().filter(|(key, _)| self.further.networks.contains_key(*key));
        if let Some((_, attachment)) = own.next() {
            attachment.aliases.append(&mut self.further.aliases);
        }
    }

    fn join(&mut self, name: &str, attachment: Attachment) -> Result<(), String> {
        let key = NetworkName::new(name).map_err(|error| error.to_string())?;
        let network = Network { name: Some(name.to_owned()), external: true, ..Network::default() };
        self.further.networks.insert(key.clone(), network);
        self.service.networks.insert(key, attachment);
        Ok(())
    }
}

/// The arguments that a flag may take as its values.
struct Values<'a> {
    next: std::slice::Iter<'a, Placed<String>>,
    taken: usize,
}

impl<'a> Values<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let value = self.next.next()?;
        self.taken += 1;
        Some(&value.value)
    }
}

fn apply(argument: &str, values: &mut Values<'_>, target: &mut Target<'_>) -> Result<(), String> {
    if let Some(long) = argument.strip_prefix("--").filter(|long| !long.is_empty()) {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        return apply_flag(&format!("--{name}"), known(name), value, values, target);
    }
    match argument.strip_prefix('-') {
        Some(letters) if !matches!(letters, "" | "-") => apply_letters(letters, values, target),
        _ => Err(format!("`{argument}` is no flag")),
    }
}

/// Applies flags of one letter: switches may stand together, and behind a flag with a value stands the value.
fn apply_letters(letters: &str, values: &mut Values<'_>, target: &mut Target<'_>) -> Result<(), String> {
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let name = SHORT.iter().find_map(|(short, name)| (*short == letter).then_some(*name));
        let kind = name.and_then(known);
        let takes_value = match kind {
            Some(Kind::Value(_)) => true,
            Some(Kind::Refused { takes_value, .. }) => takes_value,
            _ => rest.starts_with('='),
        };
        let value = if takes_value && !rest.is_empty() {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            rest = "";
            Some(value)
        } else {
            None
        };
        apply_flag(&format!("-{letter}"), kind, value, values, target)?;
    }
    Ok(())
}

fn known(name: &str) -> Option<Kind> {
    FLAGS.iter().find_map(|(known, kind)| (*known == name).then_some(*kind))
}

fn apply_flag(
    name: &str,
    kind: Option<Kind>,
    value: Option<&str>,
    values: &mut Values<'_>,
    target: &mut Target<'_>,
) -> Result<(), String> {
    match kind {
        Some(Kind::Switch(set)) => {
            set(target, switch(name, value)?);
            Ok(())
        }
        Some(Kind::Value(set)) => {
            let value = value.or_else(|| values.take()).ok_or_else(|| format!("`{name}` needs a value"))?;
            set(target, value).map_err(|fault| format!("`{name}`: {fault}"))
        }
        Some(Kind::Refused { takes_value, why }) => {
            if takes_value && value.is_none() {
                values.take();
            }
            Err(format!("`{name}`: {why}"))
        }
        None => {
            // What follows is most likely its value, of which nothing needs to be said as well.
            let is_value = |next: &Placed<String>| !next.value.starts_with('-');
            if value.is_none() && values.next.clone().next().is_some_and(is_value) {
                values.take();
            }
            let flags: Vec<String> = FLAGS.iter().map(|(flag, _)| format!("--{flag}")).collect();
            let near = hint(name, &flags.iter().map(String::as_str).collect::<Vec<_>>());
            Err(format!("the Engine has nothing like the flag `{name}`{near}"))
        }
    }
}

#[cfg(test)]
mod tests;
