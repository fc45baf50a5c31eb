//! What nodes cost that aliases repeat.

use crate::compose_file::node::Node;

/// What a node counts for, besides its texts.
pub(super) const NODE_WEIGHT: usize = 64;

/// A node and what it costs to repeat it.
#[derive(Clone)]
pub(super) struct Built {
    pub(super) node: Node,
    pub(super) weight: usize,
    pub(super) depth: usize,
}

/// What a collection costs to repeat, while it is read.
#[derive(Default)]
pub(super) struct Size {
    weight: usize,
    depth: usize,
}

impl Size {
    pub(super) fn add_key(&mut self, key: &str) {
        self.weight = self.weight.saturating_add(key.len());
    }

    pub(super) fn add(&mut self, child: &Built) {
        self.weight = self.weight.saturating_add(child.weight);
        self.depth = self.depth.max(child.depth);
    }

    pub(super) fn built(self, node: Node) -> Built {
        Built { node, weight: self.weight.saturating_add(NODE_WEIGHT), depth: self.depth + 1 }
    }
}
