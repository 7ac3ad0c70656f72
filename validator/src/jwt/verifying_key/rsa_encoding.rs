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
