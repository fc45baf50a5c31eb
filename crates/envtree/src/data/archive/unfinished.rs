//! Imports that were begun and are not complete: the state tells how far they came.

use std::collections::BTreeMap;

use envtree_core::branch::base::{Base, project_name};
use envtree_core::name::ProjectName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frame::Sum;
use crate::error::Error;
use crate::session::Session;
use crate::state::State;
use crate::state::hexadecimal;

/// An import that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnfinishedImport {
    /// The id of the repository.
    pub(crate) repository: String,
    /// What comes of it.
    pub(crate) base: Base,
    /// What tells the archive from every other one.
    pub(crate) archive: String,
    /// When the Engine made the volumes, by name; empty where it does not tell.
    #[serde(default)]
    pub(crate) created: BTreeMap<String, String>,
    /// How many chunks are in.
    #[serde(default)]
    pub(crate) chunks: u64,
    /// What tells these chunks from others.
    #[serde(default)]
    pub(crate) chain: String,
}

impl UnfinishedImport {
    /// Returns the Compose project of the base.
    pub(crate) fn project(&self) -> ProjectName {
        project_name(&self.base.repository, &self.base.key)
    }
}

/// Returns what tells some chunks from others, after one more of them.
pub(super) fn chained(chain: &str, sum: &Sum) -> String {
    hexadecimal(&Sha256::new().chain_update(chain).chain_update(sum).finalize())
}

impl State {
    /// Returns the imports of a repository that are not complete.
    pub(crate) fn imports_of<'a>(
        &'a self,
        repository: &'a str,
    ) -> impl Iterator<Item = &'a UnfinishedImport> {
        self.imports.iter().filter(move |import| import.repository == repository)
    }
}

impl Session {
    /// Notes how far an import came.
    pub(super) async fn note_import(&self, import: UnfinishedImport) -> Result<(), Error> {
        self.update_state(move |state| {
            state.note_use(&import.base.repository, &import.base.key);
            state.imports.retain(|other| !is_same(other, &import.repository, &import.base.key));
            state.imports.push(import);
            Ok(())
        })
        .await
    }

    /// Forgets an import: it is complete, or its volumes are gone.
    pub(in crate::data) async fn forget_import(&self, repository: &str, key: &str) -> Result<(), Error> {
        let (repository, key) = (repository.to_owned(), key.to_owned());
        self.update_state(move |state| {
            state.imports.retain(|import| !is_same(import, &repository, &key));
            Ok(())
        })
        .await
    }

    /// Returns the imports of the repository that are not complete.
    pub(in crate::data) fn unfinished_imports(
        &self,
        repository: &str,
    ) -> Result<Vec<UnfinishedImport>, Error> {
        Ok(self.read_state()?.imports_of(repository).cloned().collect())
    }
}

fn is_same(import: &UnfinishedImport, repository: &str, key: &str) -> bool {
    import.repository == repository && import.base.key == key
}
