//! The containers of a service that has several: what sets each apart from the first.

use std::borrow::Cow;
use std::sync::Arc;

use indexmap::IndexMap;

use super::Service;

/// What sets a further container of an isolated service apart from the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub container_name: String,
    /// The host port of each entry of the service's `ports`.
    pub published: Vec<Option<u16>>,
    /// Labels that stand in place of the first one's.
    pub labels: IndexMap<String, String>,
}

impl Service {
    /// Returns how many containers the file asks for.
    pub fn replicas(&self) -> u32 {
        let deployed = self.deploy.as_ref().and_then(|deploy| deploy.replicas);
        self.scale.or(deployed).unwrap_or(1)
    }

    /// Asks for `count` containers, whatever the file says.
    pub fn set_replicas(&mut self, count: u32) {
        self.scale = Some(count);
        if let Some(deploy) = &mut self.deploy {
            deploy.replicas = deploy.replicas.and(Some(count));
        }
    }

    /// Returns the number and the definition of each container of an isolated service, the first one first.
    pub fn containers(&self) -> impl Iterator<Item = (u32, Cow<'_, Self>)> {
        let first = (self.replicas() > 0).then_some(Cow::Borrowed(self));
        let further = self.further.iter().map(|replica| Cow::Owned(self.as_replica(replica)));
        (1..).zip(first.into_iter().chain(further))
    }

    /// Returns the names of the containers of an isolated service, that of the first one first.
    pub fn container_names(&self) -> impl Iterator<Item = &str> {
        let first = self.container_name.as_deref().filter(|_| self.replicas() > 0);
        first.into_iter().chain(self.further.iter().map(|replica| replica.container_name.as_str()))
    }

    fn as_replica(&self, replica: &Replica) -> Self {
        let mut own = Self { further: Arc::default(), ..self.clone() };
        own.container_name = Some(replica.container_name.clone());
        for (port, published) in own.ports.iter_mut().zip(&replica.published) {
            port.published = *published;
        }
        own.labels.extend(replica.labels.clone());
        own
    }
}
