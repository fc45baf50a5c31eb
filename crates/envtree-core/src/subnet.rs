//! IPv4 subnets: parsing, overlap, and the choice of a free one out of a pool.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network in CIDR notation, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    address: u32,
    prefix: u8,
}

/// A text that is not an IPv4 network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an IPv4 network such as `10.214.0.0/16`")]
pub struct SubnetError {
    /// The rejected text.
    pub text: String,
}

impl Subnet {
    /// Returns the network of `prefix` bits that contains `address`; `None` if `prefix` exceeds 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self { address: u32::from(address) & mask(prefix), prefix })
    }

    /// Returns the number of leading bits that all its addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the first address, which names the network.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(self.address)
    }

    /// Returns whether `address` belongs to the network.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.address
    }

    /// Returns whether the two networks share an address.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.address & shorter == other.address & shorter
    }

    /// Returns the last address that a host may have.
    pub fn last_host(self) -> Ipv4Addr {
        let size = 1u64 << (32 - self.prefix);
        let offset = u32::try_from(size.saturating_sub(2)).unwrap_or(u32::MAX - 1);
        Ipv4Addr::from(self.address.saturating_add(offset))
    }

    /// Returns the address as far from the start of this network as `address` is from the start of `from`.
    ///
    /// `None` if `address` is not in `from`, or if that place lies behind the last host address of this network.
    pub fn transplant(self, address: Ipv4Addr, from: Self) -> Option<Ipv4Addr> {
        let offset = u32::from(address).checked_sub(from.address).filter(|_| from.contains(address))?;
        let size = 1u64 << (32 - self.prefix);
        (u64::from(offset) + 1 < size).then(|| Ipv4Addr::from(self.address + offset))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// Returns the lowest network of `prefix` bits in `pool` that overlaps none of `taken`.
///
/// `None` if there is none left, or if `prefix` is shorter than the pool's own.
pub fn choose(pool: Subnet, prefix: u8, taken: &[Subnet]) -> Option<Subnet> {
    if prefix < pool.prefix || prefix > 32 {
        return None;
    }
    let step = 1u64 << (32 - prefix);
    let count = 1u64 << (prefix - pool.prefix);
    (0..count)
        .map(|index| Subnet {
            address: u32::try_from(u64::from(pool.address) + index * step)
                .expect("the pool ends within 32 bits"),
            prefix,
        })
        .find(|candidate| !taken.iter().any(|other| candidate.overlaps(*other)))
}

/// Returns how many networks of `prefix` bits are in `pool`, and how many of these overlap none of `taken`.
///
/// Both are 0 if `prefix` is shorter than the pool's own.
pub fn count(pool: Subnet, prefix: u8, taken: &[Subnet]) -> (u64, u64) {
    if prefix < pool.prefix || prefix > 32 {
        return (0, 0);
    }
    let all = 1u64 << (prefix - pool.prefix);
    let place = |address: u64| (address - u64::from(pool.address)) >> (32 - prefix);
    let last = |subnet: Subnet| u64::from(subnet.address) + (1u64 << (32 - subnet.prefix)) - 1;
    // The places that each of them occupies, from its first to its last.
    let mut occupied: Vec<(u64, u64)> = taken
        .iter()
        .filter(|other| other.overlaps(pool))
        .map(|other| {
            let first = u64::from(other.address.max(pool.address));
            (place(first), place(last(*other).min(last(pool))))
        })
        .collect();
    occupied.sort_unstable();
    let (mut free, mut next) = (all, 0);
    for (first, last) in occupied {
        free -= (last + 1).saturating_sub(first.max(next));
        next = next.max(last + 1);
    }
    (all, free)
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let error = || SubnetError { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address = address.parse().map_err(|_| error())?;
        let prefix = prefix.parse().map_err(|_| error())?;
        Self::new(address, prefix).ok_or_else(error)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_free_network_is_chosen() {
        let taken = [subnet("10.0.0.0/26"), subnet("10.0.0.128/25")];
        assert_eq!(choose(subnet("10.0.0.0/16"), 26, &taken), Some(subnet("10.0.0.64/26")));
    }

    #[test]
    fn free_networks_are_counted_once_whatever_overlaps_them() {
        let count = |pool: &str, prefix, taken: &[&str]| {
            let taken: Vec<_> = taken.iter().map(|text| subnet(text)).collect();
            super::count(subnet(pool), prefix, &taken)
        };
        assert_eq!(count("10.0.0.0/16", 26, &[]), (1024, 1024));
        let taken = ["10.0.0.0/26", "10.0.0.10/32", "10.0.0.0/25", "10.0.1.0/24", "192.168.0.0/16"];
        assert_eq!(count("10.0.0.0/16", 26, &taken), (1024, 1024 - 2 - 4));
        assert_eq!(count("10.0.0.0/16", 26, &["10.0.0.0/8", "10.0.3.0/24"]), (1024, 0));
        assert_eq!(count("255.255.255.0/24", 25, &["255.255.255.255/32"]), (2, 1));
        assert_eq!(count("0.0.0.0/0", 0, &[]), (1, 1));
        assert_eq!(count("10.0.0.0/24", 16, &[]), (0, 0));
    }

    #[test]
    fn as_many_networks_are_chosen_as_are_counted() {
        let pool = subnet("10.0.0.0/24");
        let mut taken = vec![subnet("10.0.0.64/27"), subnet("10.0.0.80/28"), subnet("10.0.0.4/30")];
        let (_, mut free) = super::count(pool, 28, &taken);
        while let Some(chosen) = choose(pool, 28, &taken) {
            taken.push(chosen);
            free -= 1;
            assert_eq!(super::count(pool, 28, &taken).1, free);
        }
        assert_eq!(free, 0);
    }

    #[test]
    fn an_exhausted_pool_yields_nothing() {
        assert_eq!(choose(subnet("10.0.0.0/24"), 26, &[subnet("10.0.0.0/8")]), None);
        assert_eq!(choose(subnet("10.0.0.0/24"), 16, &[]), None);
    }

    #[test]
    fn a_pool_at_the_end_of_the_address_space_works() {
        let taken = [subnet("255.255.255.0/25")];
        assert_eq!(choose(subnet("255.255.255.0/24"), 25, &taken), Some(subnet("255.255.255.128/25")));
        assert_eq!(choose(subnet("0.0.0.0/0"), 0, &[]), Some(subnet("0.0.0.0/0")));
    }

    #[test]
    fn overlap_is_symmetric_and_sees_containment() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.1.2.0/24")));
        assert!(subnet("10.1.2.0/24").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("10.1.2.0/24").overlaps(subnet("10.1.3.0/24")));
    }

    #[test]
    fn a_fixed_address_keeps_its_place_in_another_network() {
        let own = subnet("10.214.3.64/26");
        let moved = own.transplant(Ipv4Addr::new(172, 20, 0, 10), subnet("172.20.0.0/16"));
        assert_eq!(moved, Some(Ipv4Addr::new(10, 214, 3, 74)));
        assert_eq!(own.transplant(Ipv4Addr::new(172, 20, 1, 0), subnet("172.20.0.0/16")), None);
        assert_eq!(own.transplant(Ipv4Addr::new(10, 0, 0, 1), subnet("172.20.0.0/16")), None);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::1/64", "x/8", ""] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
