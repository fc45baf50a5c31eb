//! The data that a new environment begins with in place of what the repository's seed makes.

use envtree_core::branch::DataVolume;
use envtree_core::branch::base::Base;
use envtree_core::observed::ObservedState;

use super::{DataError, is_begun, volumes_of};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::repository_id;
use crate::state::record::EnvironmentRecord;
use crate::up::UpOptions;

impl Session {
    /// Returns the base or snapshot that `up` was told to begin with. Of a task's environment, a snapshot is taken, unless
    /// the environment began with one before.
    pub(crate) async fn data_source(&self, options: &UpOptions) -> Result<Option<Base>, Error> {
        let Some(name) = options.data_from.as_deref() else {
            return Ok(None);
        };
        let repository = repository_id(self.repository.common_dir());
        if let Some(snapshot) = self.snapshot_called(&repository, name).await? {
            return Ok(Some(snapshot));
        }
        let state = self.read_state()?;
        let of_task = |task: &str| self.own_records(&state).find(|record| record.task == task);
        let Some(source) = of_task(name) else {
            return match self.base_called(&repository, name).await {
                Err(Error::Data(DataError::UnknownBase { name, known })) => {
                    Err(DataError::UnknownSource { name, known }.into())
                }
                base => base.map(Some),
            };
        };
        let own = options.task.as_deref().and_then(of_task);
        if own.is_some_and(|own| own.project == source.project) {
            return Err(DataError::OwnData { task: name.to_owned() }.into());
        }
        if let Some(key) = own.and_then(|own| own.data_from.as_deref())
            && let Some(base) = self.find_base(&repository, key).await?
            && base.snapshot.as_ref().is_some_and(|snapshot| snapshot.task == name)
        {
            return Ok(Some(base));
        }
        if let Some(base) = self.still_to_begin(source).await? {
            return Ok(Some(base));
        }
        if options.dry_run {
            return Err(DataError::SnapshotWanted { task: name.to_owned() }.into());
        }
        let taken = Box::pin(self.take_snapshot(Some(name), None)).await?;
        self.find_base(&repository, &taken.key).await
    }

    /// Returns the snapshot or base that an environment has not begun on yet: its data is just that.
    async fn still_to_begin(&self, source: &EnvironmentRecord) -> Result<Option<Base>, Error> {
        if source.data_from.is_none() || !source.worktree.is_dir() {
            return Ok(None);
        }
        let environment = self.environment(source, &self.known_secret(source)?)?;
        let (observed, _) = self.observe_and_adopt(source, &environment.definition).await?;
        self.unbegun(source, &environment, &observed).await
    }

    /// Notes that the data of an environment begins with `base`; refused where it has begun with something else.
    pub(crate) async fn begin_with(
        &self,
        record: &mut EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        base: &Base,
    ) -> Result<(), Error> {
        refuse_begun(record, environment, observed, base)?;
        record.data_from = Some(base.key.clone());
        let key = base.key.clone();
        self.update_record(&record.project, move |record| record.data_from = Some(key)).await?;
        Ok(())
    }
}

/// Refuses to let data begin with `base` that is there and began with something else.
pub(crate) fn refuse_begun(
    record: &EnvironmentRecord,
    environment: &Environment,
    observed: &ObservedState,
    base: &Base,
) -> Result<(), DataError> {
    if record.data_from.as_deref() == Some(&base.key) {
        return Ok(());
    }
    let is_of_base = |data: &&DataVolume| base.ground(&data.service, &data.target).is_some();
    let volumes = volumes_of(environment, observed);
    match volumes.iter().filter(is_of_base).find(|data| is_begun(data, observed)) {
        None => Ok(()),
        Some(data) => {
            Err(DataError::AlreadyThere { volume: data.name().to_owned(), base: base.name().to_owned() })
        }
    }
}
