//! The address pools of a network: `ipam.config`.

use crate::compose_file::node::{Diagnostic, Node, Value};

use super::{deep, unlike};

/// How many pools of two files may be held against each other.
const PAIR_LIMIT: usize = 10_000;

/// Returns the pools of both files, those with the same subnet merged.
///
/// As in Compose 2.26, every pool of the later file is held against each of the earlier one: where it is not that of
/// the earlier file's last pools and stands already, it takes their place.
pub(super) fn merge_pools(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Diagnostic> {
    let (earlier, later) = match (base.value, over.value) {
        (Value::List(earlier), Value::List(later)) => (earlier, later),
        (value, later) => {
            return Err(unlike(&Node { value, ..base }, &Node { value: later, ..over }, path));
        }
    };
    if earlier.len().saturating_mul(later.len()) > PAIR_LIMIT {
        let place = base.place;
        return Err(Diagnostic { place, message: format!("`{}` has too many entries", path.join(".")) });
    }
    let mut pools: Vec<Node> = Vec::new();
    for mut pool in earlier {
        for other in &later {
            let is_there = pools.iter().any(|known| same_subnet(known, other));
            if !same_subnet(&pool, other) && !is_there {
                pools.push(other.clone());
                continue;
            }
            pool = deep(pool, other.clone(), path)?;
            match pools.iter_mut().find(|known| same_subnet(known, &pool)) {
                Some(known) => *known = pool.clone(),
                None => pools.push(pool.clone()),
            }
        }
    }
    Ok(Node { place: base.place, tag: None, value: Value::List(pools) })
}

fn same_subnet(one: &Node, other: &Node) -> bool {
    match (one.entry("subnet"), other.entry("subnet")) {
        (Some(one), Some(other)) => one.node.says_the_same(&other.node),
        (None, None) => true,
        _ => false,
    }
}
