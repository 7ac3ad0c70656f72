//! Ed25519 (RFC 8032, section 5.1), as JWS has it (RFC 8037, section 3.1).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{AddAssign as _, Neg as _, SubAssign as _};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use sha2::{Digest as _, Sha512};

use super::comb::{Comb, Group};
use super::{BadSignature, KeyError};

/// A public key, and what verifies with it.
///
/// Which signatures are good is the strict rule, whether prepared or not: the equation without the
/// cofactor, `S` below the order, the encodings of `A` and `R` canonical, and neither of them a
/// point of small order. Points with a component of small order are not refused for that.
pub(super) struct Ed25519Key {
    key: ed25519_dalek::VerifyingKey,
    combs: Option<Combs>,
}

struct Combs {
    base: Arc<Comb<Edwards>>,
    /// Of the negative of the key's point.
    key: Comb<Edwards>,
}

impl Ed25519Key {
    /// A key from the encoding of its point.
    pub(super) fn new(x: &[u8]) -> Result<Ed25519Key, KeyError> {
        let bytes = <&[u8; LEN]>::try_from(x).map_err(|_| KeyError::Ed25519Length { length: x.len() })?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        // Decoding reduces what it reads; only the canonical encoding comes out as it went in.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Ed25519Key { key, combs: None })
    }

    /// Builds the table of the key, and the one of the base point unless it is there.
    pub(super) fn prepare(&mut self, base: &mut Option<Arc<Comb<Edwards>>>) {
        if self.combs.is_none() {
            let base = base.get_or_insert_with(|| Arc::new(Comb::new(ED25519_BASEPOINT_POINT)));
            let key = Comb::new(self.key.to_edwards().neg());
            self.combs = Some(Combs { base: Arc::clone(base), key });
        }
    }

    /// Bytes of the key's own table.
    pub(super) fn table_bytes(&self) -> usize {
        self.combs.as_ref().map_or(0, |combs| combs.key.bytes())
    }

    /// Verifies `R ‖ S`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let Some(combs) = &self.combs else {
            let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
            return self.key.verify_strict(message, &signature).map_err(|_| BadSignature);
        };
        let (r, s) = signature.split_first_chunk::<LEN>().ok_or(BadSignature)?;
        let s = <[u8; LEN]>::try_from(s).map_err(|_| BadSignature)?;
        let s: Scalar = Option::from(Scalar::from_canonical_bytes(s)).ok_or(BadSignature)?;
        let hash = Sha512::new().chain_update(r).chain_update(self.key.as_bytes()).chain_update(message).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());

        let mut sum = EdwardsPoint::identity();
        combs.base.add_multiple(&mut sum, s.as_bytes()).ok_or(BadSignature)?;
        combs.key.add_multiple(&mut sum, k.as_bytes()).ok_or(BadSignature)?;
        // What comes out of `compress` is canonical, so an `R` that equals it is canonical and is
        // this point; its order can be told from the sum, and `R` need not be decoded.
        if sum.compress() == CompressedEdwardsY(*r) && !sum.is_small_order() { Ok(()) } else { Err(BadSignature) }
    }
}

/// The points of the curve, by the group operations of its crate.
pub(super) struct Edwards;

impl Group for Edwards {
    type Point = EdwardsPoint;
    type Entry = EdwardsPoint;
    /// 64 additions a signature, tables of 625 KiB.
    const WINDOW: u32 = 8;
    const SCALAR_BITS: u32 = 253;

    fn double(point: &EdwardsPoint) -> EdwardsPoint {
        let mut twice = *point;
        twice.add_assign(point);
        twice
    }

    fn add_point(sum: &mut EdwardsPoint, other: &EdwardsPoint) {
        sum.add_assign(other);
    }

    fn add(sum: &mut EdwardsPoint, entry: &EdwardsPoint) {
        sum.add_assign(entry);
    }

    fn subtract(sum: &mut EdwardsPoint, entry: &EdwardsPoint) {
        sum.sub_assign(entry);
    }

    fn append_entries(entries: &mut Vec<EdwardsPoint>, points: &[EdwardsPoint]) {
        entries.extend_from_slice(points);
    }
}

/// Bytes of a key, of `R`, and of `S`.
const LEN: usize = 32;
