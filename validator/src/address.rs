//! Address ranges: where a key may be used from.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A range of client addresses in CIDR notation (RFC 4632, RFC 4291): `10.0.0.0/8`, `2001:db8::/32`,
/// or a single address.
///
/// An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address, in ranges and in
/// requests alike; apart from that the families never match each other.
///
/// ```
/// use keystile_validator::AddressRange;
/// let range: AddressRange = "10.0.0.0/8".parse()?;
/// assert!(range.contains("10.1.2.3".parse()?));
/// assert!(range.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!range.contains("11.0.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    network: IpAddr,
    prefix_len: u8,
}

impl AddressRange {
    /// The range of all addresses that share the first `prefix_len` bits with `network`.
    ///
    /// # Errors
    /// [`AddressRangeError`] when the prefix is longer than the address, or when bits behind it are
    /// set: `10.1.2.3/8` is more likely a slip than a range.
    pub fn new(network: IpAddr, prefix_len: u8) -> Result<AddressRange, AddressRangeError> {
        let (network, prefix_len) = match network.to_canonical() {
            // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; a shorter prefix would leave the mapped block.
            canonical if canonical.is_ipv4() && network.is_ipv6() => {
                (canonical, prefix_len.checked_sub(96).ok_or(AddressRangeError::PrefixTooShort)?)
            }
            canonical => (canonical, prefix_len),
        };
        let longest = if network.is_ipv4() { 32 } else { 128 };
        if prefix_len > longest {
            return Err(AddressRangeError::PrefixTooLong { longest });
        }
        let start = masked(network, prefix_len);
        if start != network {
            return Err(AddressRangeError::HostBitsSet { start, prefix_len });
        }
        Ok(AddressRange { network, prefix_len })
    }

    /// The first address of the range.
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// How many leading bits all addresses of the range share: 0 to 32 or 0 to 128.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether the range holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix_len) == self.network
    }
}

/// The address with all bits behind the prefix cleared.
fn masked(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let host_bits = 32_u32.saturating_sub(u32::from(prefix_len));
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let host_bits = 128_u32.saturating_sub(u32::from(prefix_len));
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<AddressRange, AddressRangeError> {
        let (network, prefix_len) = match text.split_once('/') {
            Some((network, prefix_len)) => (network, Some(prefix_len)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| AddressRangeError::NotAnAddress)?;
        let prefix_len = match prefix_len {
            None if network.is_ipv4() => 32,
            None => 128,
            // `u8::from_str` would also take `+8` and `08`.
            Some(digits)
                if !digits.is_empty()
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0')) =>
            {
                digits.parse().map_err(|_| AddressRangeError::PrefixTooLong {
                    longest: if network.is_ipv4() { 32 } else { 128 },
                })?
            }
            Some(_) => return Err(AddressRangeError::NotAnAddress),
        };
        AddressRange::new(network, prefix_len)
    }
}

/// Why a text is not an address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressRangeError {
    /// Not an IP address, or not a number after the slash.
    NotAnAddress,
    /// The prefix is longer than the address.
    PrefixTooLong {
        /// The longest prefix of this family.
        longest: u8,
    },
    /// An IPv4-mapped IPv6 range with a prefix below 96: it would hold both families.
    PrefixTooShort,
    /// Bits behind the prefix are set.
    HostBitsSet {
        /// The range that was probably meant starts here.
        start: IpAddr,
        /// And has this prefix length.
        prefix_len: u8,
    },
}

impl fmt::Display for AddressRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressRangeError::NotAnAddress => {
                f.write_str("not an address range · give an address or CIDR range, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
            }
            AddressRangeError::PrefixTooLong { longest } => {
                write!(f, "the prefix length is too long · give at most /{longest} for this family")
            }
            AddressRangeError::PrefixTooShort => {
                f.write_str("an IPv4-mapped range shorter than /96 would hold both families · give the IPv4 range itself, such as 10.0.0.0/8")
            }
            AddressRangeError::HostBitsSet { start, prefix_len } => {
                write!(f, "the address has bits behind its prefix · did you mean {start}/{prefix_len}?")
            }
        }
    }
}

impl core::error::Error for AddressRangeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_read_and_write() {
        for (text, canonical) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(range(text).to_string(), canonical);
        }
        for bad in [
            "",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/256",
            "::ffff:0:0/95",
            "10.0.0.1/8",
            "010.0.0.0/8",
            "10.0.0.0 /8",
        ] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
        assert_eq!(
            "10.1.2.3/8".parse::<AddressRange>().unwrap_err().to_string(),
            "the address has bits behind its prefix · did you mean 10.0.0.0/8?"
        );
    }

    #[test]
    fn families_stay_apart() {
        assert!(!range("::/0").contains("10.0.0.1".parse().unwrap()));
        assert!(!range("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(range("0.0.0.0/0").contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!range("::/0").contains("::ffff:10.0.0.1".parse().unwrap()));
    }

    proptest! {
        /// The law: an address is in a range exactly when it shares the first bits.
        #[test]
        fn contains_compares_the_first_bits(network: u32, address: u32, prefix_len in 0_u8..=32) {
            let start = masked(IpAddr::V4(Ipv4Addr::from_bits(network)), prefix_len);
            let range = AddressRange::new(start, prefix_len).unwrap();
            let shared = (network ^ address).leading_zeros() >= u32::from(prefix_len);
            prop_assert_eq!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(address))), shared);
        }
    }
}
