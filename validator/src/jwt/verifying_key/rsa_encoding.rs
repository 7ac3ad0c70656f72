//! What a signature of RSA says when its power is taken: EMSA-PKCS1-v1_5 and EMSA-PSS (RFC 8017,
//! section 9).

use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash with its `DigestInfo`.
pub(super) trait Hash: Digest {
    /// The DER of `DigestInfo` up to the hash (RFC 8017, section 9.2, note 1).
    const DIGEST_INFO: &'static [u8; 19];
}

impl Hash for Sha256 {
    const DIGEST_INFO: &'static [u8; 19] =
        b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
}

impl Hash for Sha384 {
    const DIGEST_INFO: &'static [u8; 19] =
        b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
}

impl Hash for Sha512 {
    const DIGEST_INFO: &'static [u8; 19] =
        b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";
}

/// Whether this is the one encoding of the message (section 9.2): `00 01 ff … ff 00 DigestInfo hash`.
/// Every byte is compared, none is parsed.
pub(super) fn is_pkcs1<H: Hash>(message: &[u8], encoded: &[u8]) -> bool {
    encoded
        .strip_suffix(&H::digest(message)[..])
        .and_then(|rest| rest.strip_suffix(H::DIGEST_INFO))
        .and_then(|rest| rest.strip_suffix(&[0]))
        .and_then(|rest| rest.strip_prefix(&[0, 1]))
        .is_some_and(|padding| padding.len() >= MIN_PADDING && padding.iter().all(|byte| *byte == 0xff))
}

/// Whether this is an encoding of the message (section 9.1.2) with a salt as long as the hash and
/// MGF1 with the same hash, for a modulus of these bits.
pub(super) fn is_pss<H: Hash>(message: &[u8], encoded: &[u8], modulus_bits: usize) -> bool {
    pss::<H>(message, encoded, modulus_bits).is_some()
}

fn pss<H: Hash>(message: &[u8], encoded: &[u8], modulus_bits: usize) -> Option<()> {
    let bits = modulus_bits.checked_sub(1)?;
    let length = bits.div_ceil(8);
    // The encoding is a byte shorter than a modulus that has one bit in its highest byte.
    let (before, encoded) = encoded.split_at_checked(encoded.len().checked_sub(length)?)?;
    // Steps 3 to 6.
    let hash_length = <H as Digest>::output_size();
    let (rest, &[trailer]) = encoded.split_last_chunk()?;
    let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(hash_length)?)?;
    let unused = u32::try_from(length.checked_mul(8)?.checked_sub(bits)?).ok()?;
    let used = 0xffu8.checked_shr(unused)?;
    if before.iter().any(|byte| *byte != 0) || trailer != 0xbc || masked.first()? & !used != 0 {
        return None;
    }
    // Steps 7 to 9.
    let mut block = masked.to_vec();
    unmask::<H>(&mut block, hash);
    *block.first_mut()? &= used;
    // Steps 10 and 11.
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(hash_length)?)?;
    let (&one, zeros) = padding.split_last()?;
    if one != 1 || zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    // Steps 12 to 14.
    let expected = H::new().chain_update([0; 8]).chain_update(H::digest(message)).chain_update(salt).finalize();
    (expected[..] == *hash).then_some(())
}

/// MGF1 (appendix B.2.1), XORed into the block.
fn unmask<H: Hash>(block: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0u32..).zip(block.chunks_mut(<H as Digest>::output_size())) {
        let mask = H::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// Fewest bytes of padding (section 9.2, step 3).
const MIN_PADDING: usize = 8;

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;
    use std::vec;

    use super::*;

    const MESSAGE: &[u8] = b"message";

    /// The encoding of the message for a modulus of 2048 bits.
    fn pkcs1<H: Hash>(padding: &[u8]) -> Vec<u8> {
        [&[0, 1], padding, &[0], &H::DIGEST_INFO[..], &H::digest(MESSAGE)].concat()
    }

    fn pkcs1_has_one_form<H: Hash>() {
        let full = vec![0xff; 256 - 3 - 19 - <H as Digest>::output_size()];
        let good = pkcs1::<H>(&full);
        assert!(is_pkcs1::<H>(MESSAGE, &good));
        assert!(!is_pkcs1::<H>(b"another", &good));
        // Each bit counts: also those of the padding, where forgeries were hidden.
        for bit in 0..good.len() * 8 {
            let mut other = good.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_pkcs1::<H>(MESSAGE, &other), "{bit}");
        }
        for (length, accepted) in [(0, false), (MIN_PADDING - 1, false), (MIN_PADDING, true)] {
            assert_eq!(is_pkcs1::<H>(MESSAGE, &pkcs1::<H>(&full[..length])), accepted, "{length}");
        }
        // As Bleichenbacher had it: the hash further left, and something behind it.
        let early = [&pkcs1::<H>(&full[..MIN_PADDING])[..], &full[MIN_PADDING..]].concat();
        assert!(early.len() == good.len() && !is_pkcs1::<H>(MESSAGE, &early));
        assert!(!is_pkcs1::<H>(MESSAGE, &good[1..]) && !is_pkcs1::<H>(MESSAGE, b""));
    }

    #[test]
    fn pkcs1_has_one_form_for_each_hash() {
        pkcs1_has_one_form::<Sha256>();
        pkcs1_has_one_form::<Sha384>();
        pkcs1_has_one_form::<Sha512>();
    }

    /// What stands in an encoding beside salt and hash, for a modulus of some bits.
    struct Parts {
        bits: usize,
        /// What is added to the byte before an encoding that is shorter than its modulus.
        before: u8,
        salt: usize,
        one: u8,
        /// Which byte of the zeros is none.
        padding: Option<usize>,
        /// A bit above those that the encoding has.
        unused: u8,
        trailer: u8,
    }

    const GOOD: Parts = Parts { bits: 2048, before: 0, salt: 32, one: 1, padding: None, unused: 0, trailer: 0xbc };

    /// RFC 8017, section 9.1.1, with a fault or none. The hash is right, whatever the other parts are.
    fn encode(parts: &Parts) -> Vec<u8> {
        let bits = parts.bits - 1;
        let length = bits.div_ceil(8);
        let salt = vec![7; parts.salt];
        let hash =
            Sha256::new().chain_update([0; 8]).chain_update(Sha256::digest(MESSAGE)).chain_update(&salt).finalize();
        let mut block = vec![0; length - 32 - 1 - parts.salt - 1];
        if let Some(at) = parts.padding {
            block[at] = 1;
        }
        block.push(parts.one);
        block.extend_from_slice(&salt);
        unmask::<Sha256>(&mut block, &hash);
        block[0] &= 0xff >> (length * 8 - bits);
        block[0] |= parts.unused;
        let before = vec![parts.before; parts.bits.div_ceil(8) - length];
        [&before[..], &block, &hash, &[parts.trailer]].concat()
    }

    fn is_accepted(parts: &Parts) -> bool {
        is_pss::<Sha256>(MESSAGE, &encode(parts), parts.bits)
    }

    #[test]
    fn each_part_of_a_pss_encoding_is_checked() {
        for bits in [2047, 2048, 2049, 2050, 2056] {
            assert!(is_accepted(&Parts { bits, ..GOOD }), "{bits}");
            assert!(!is_pss::<Sha256>(b"another", &encode(&Parts { bits, ..GOOD }), bits));
            for salt in [0, 20, 31, 33] {
                assert!(!is_accepted(&Parts { bits, salt, ..GOOD }), "a salt of {salt} bytes");
            }
            for one in [0, 2, 3, 0x81] {
                assert!(!is_accepted(&Parts { bits, one, ..GOOD }), "{one} before the salt");
            }
            for at in [1, 2, 100, 189] {
                assert!(!is_accepted(&Parts { bits, padding: Some(at), ..GOOD }), "no zero at {at}");
            }
            for trailer in [0, 0xcc, 0xbd] {
                assert!(!is_accepted(&Parts { bits, trailer, ..GOOD }), "{trailer:x} at the end");
            }
        }
        assert!(!is_accepted(&Parts { unused: 0x80, ..GOOD }));
        assert!(!is_accepted(&Parts { bits: 2047, unused: 0x40, ..GOOD }));
        // The encoding is a byte shorter than this modulus.
        for before in [1, 0x80, 0xff] {
            assert!(!is_accepted(&Parts { bits: 2049, before, ..GOOD }));
        }
    }

    #[test]
    fn each_bit_of_a_pss_encoding_counts() {
        let good = encode(&GOOD);
        for bit in 0..good.len() * 8 {
            let mut other = good.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_pss::<Sha256>(MESSAGE, &other, 2048), "{bit}");
        }
        for length in 0..good.len() {
            assert!(!is_pss::<Sha256>(MESSAGE, &good[..length], 2048), "{length}");
        }
    }
}
