//! ROCA (CVE-2017-15361): moduli of a library whose primes can be found.

/// Whether the modulus, big-endian, has the fingerprint of that library.
///
/// Its primes are powers of 65537 modulo a product of many small primes, and so is their product:
/// modulo each small prime, the modulus is a power of 65537. Of other moduli, fewer than one in a
/// hundred million look like that.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    SMALL_PRIMES.iter().all(|prime| is_power(remainder(modulus, *prime), *prime))
}

/// Whether some power of 65537 leaves this remainder.
fn is_power(remainder: u32, prime: u32) -> bool {
    let multiply = |power: u32| power.checked_mul(GENERATOR)?.checked_rem(prime);
    core::iter::successors(Some(1), |power| multiply(*power).filter(|next| *next != 1)).any(|power| power == remainder)
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |high, byte| (high << 8 | u32::from(*byte)).checked_rem(prime).unwrap_or_default())
}

const GENERATOR: u32 = 65_537;

/// The odd primes up to 167: the library's product for its smallest keys, which the products for
/// all larger ones contain.
const SMALL_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_remainder_is_that_of_the_whole_number(number: [u8; 16], prime in proptest::sample::select(&SMALL_PRIMES[..])) {
            let expected = u128::from_be_bytes(number) % u128::from(prime);
            prop_assert_eq!(u128::from(remainder(&number, prime)), expected);
        }
    }
}
