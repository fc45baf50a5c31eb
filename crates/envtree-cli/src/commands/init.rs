//! `envtree init`: a commented `envtree.yaml`.

use clap::builder::PossibleValuesParser;
use envtree::init::template_names;

use crate::command_error::CommandError;
use crate::output::InitOutput;
use crate::run::Context;
use crate::text;

/// Write a commented envtree.yaml at the top of the repository
///
/// Every key is optional, and so is the file. An existing one is never overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compose file to use where the repository has none
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(template_names()))]
    template: Option<String>,
}

/// Writes the file.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let path = text::path(&context.session()?.init(args.template.as_deref())?);
    context.ui.answer(&InitOutput::new(path.clone()), || format!("wrote {path}\n"))
}
