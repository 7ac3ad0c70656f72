//! ECDSA (FIPS 186-5, section 6.4) on P-256 and P-384, as JWS has it (RFC 7518, section 3.4).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::{AddAssign as _, Mul as _, SubAssign as _};

use p256::NistP256;
use p256::elliptic_curve::ff::PrimeField as _;
use p256::elliptic_curve::group::{Curve as _, Group as _};
use p256::elliptic_curve::ops::{Invert as _, Reduce as _};
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytes, NonZeroScalar, ProjectivePoint, Scalar};
use p384::NistP384;
use sha2::{Digest as _, Sha256, Sha384};

use super::comb::{Comb, Group};
use super::{BadSignature, KeyError};

/// A curve that tokens are signed on, and the crate that verifies for it.
pub(super) trait Curve: CurveArithmetic {
    /// Its name, as `crv` of a JWK has it.
    const NAME: &'static str;
    /// Bits of a window of the comb.
    const WINDOW: u32;
    /// Bits of the order of the base point.
    const SCALAR_BITS: u32;
    /// The crate's verifying key.
    type Key;

    /// The key of a point on the curve.
    fn key(point: AffinePoint<Self>) -> Option<Self::Key>;
    /// The crate's own verification, of `r ‖ s`.
    fn verify(key: &Self::Key, message: &[u8], signature: &[u8]) -> Result<(), BadSignature>;
    /// The hash that goes with the curve; both have the same length.
    fn hash(message: &[u8]) -> FieldBytes<Self>;
}

impl Curve for NistP256 {
    const NAME: &'static str = "P-256";
    /// 66 additions a signature, tables of 288 KiB.
    const WINDOW: u32 = 8;
    const SCALAR_BITS: u32 = 256;
    type Key = p256::ecdsa::VerifyingKey;

    fn key(point: AffinePoint<Self>) -> Option<Self::Key> {
        p256::ecdsa::VerifyingKey::from_affine(point).ok()
    }

    fn verify(key: &Self::Key, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        use p256::ecdsa::signature::Verifier as _;
        let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn hash(message: &[u8]) -> FieldBytes<Self> {
        Sha256::digest(message)
    }
}

impl Curve for NistP384 {
    const NAME: &'static str = "P-384";
    /// 110 additions a signature, tables of 358 KiB.
    const WINDOW: u32 = 7;
    const SCALAR_BITS: u32 = 384;
    type Key = p384::ecdsa::VerifyingKey;

    fn key(point: AffinePoint<Self>) -> Option<Self::Key> {
        p384::ecdsa::VerifyingKey::from_affine(point).ok()
    }

    fn verify(key: &Self::Key, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        use p384::ecdsa::signature::Verifier as _;
        let signature = p384::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn hash(message: &[u8]) -> FieldBytes<Self> {
        Sha384::digest(message)
    }
}

/// A public key on a curve.
pub(super) struct EcdsaKey<C: Curve> {
    key: C::Key,
    point: AffinePoint<C>,
    combs: Option<Combs<C>>,
}

struct Combs<C: Curve> {
    base: Arc<Comb<Weierstrass<C>>>,
    key: Comb<Weierstrass<C>>,
}

impl<C: Curve> EcdsaKey<C> {
    /// A key from its coordinates, each as long as the field (RFC 7518, section 6.2.1.2).
    pub(super) fn new(x: &[u8], y: &[u8]) -> Result<EcdsaKey<C>, KeyError> {
        let (Ok(x_bytes), Ok(y_bytes)) = (FieldBytes::<C>::try_from(x), FieldBytes::<C>::try_from(y)) else {
            let expected = FieldBytes::<C>::default().len();
            let length = if x.len() == expected { y.len() } else { x.len() };
            return Err(KeyError::CoordinateLength { curve: C::NAME, length, expected });
        };
        let point = AffinePoint::<C>::from_coordinates(&x_bytes, &y_bytes);
        let point = Option::from(point).ok_or(KeyError::NotOnCurve { curve: C::NAME })?;
        // The curve has no point of small order, and the neutral element has no coordinates.
        let key = C::key(point).ok_or(KeyError::NotOnCurve { curve: C::NAME })?;
        Ok(EcdsaKey { key, point, combs: None })
    }

    /// Builds the table of the key, and the one of the base point unless it is there.
    pub(super) fn prepare(&mut self, base: &mut Option<Arc<Comb<Weierstrass<C>>>>) {
        if self.combs.is_none() {
            let base = base.get_or_insert_with(|| Arc::new(Comb::new(ProjectivePoint::<C>::generator())));
            let key = Comb::new(ProjectivePoint::<C>::from(self.point));
            self.combs = Some(Combs { base: Arc::clone(base), key });
        }
    }

    /// Bytes of the key's own table.
    pub(super) fn table_bytes(&self) -> usize {
        self.combs.as_ref().map_or(0, |combs| combs.key.bytes())
    }

    /// Verifies `r ‖ s`, each of the field's length and from 1 to the order minus 1.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.combs {
            None => C::verify(&self.key, message, signature),
            Some(combs) => combs.verify(message, signature),
        }
    }
}

impl<C: Curve> Combs<C> {
    /// FIPS 186-5, section 6.4.2, with `u·G + v·Q` by the two combs.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let half = FieldBytes::<C>::default().len();
        let (r, s) = signature.split_at_checked(half).ok_or(BadSignature)?;
        let (r, s) = (scalar::<C>(r)?, scalar::<C>(s)?);
        let inverse: Scalar<C> = *s.invert_vartime();
        let hash = Scalar::<C>::reduce(&C::hash(message));
        let u = little_endian::<C>(hash.mul(&inverse));
        let v = little_endian::<C>((*r).mul(&inverse));

        let mut sum = ProjectivePoint::<C>::identity();
        self.base.add_multiple(&mut sum, &u).ok_or(BadSignature)?;
        self.key.add_multiple(&mut sum, &v).ok_or(BadSignature)?;
        // The neutral element has x = 0 here, and r is not 0.
        let x = Scalar::<C>::reduce(&sum.to_affine().x());
        if x == *r { Ok(()) } else { Err(BadSignature) }
    }
}

/// A scalar from 1 to the order minus 1, in exactly as many bytes as the field has.
fn scalar<C: Curve>(bytes: &[u8]) -> Result<NonZeroScalar<C>, BadSignature> {
    let bytes = FieldBytes::<C>::try_from(bytes).map_err(|_| BadSignature)?;
    Option::from(NonZeroScalar::<C>::from_repr(bytes)).ok_or(BadSignature)
}

fn little_endian<C: Curve>(scalar: Scalar<C>) -> FieldBytes<C> {
    let mut bytes = scalar.to_repr();
    bytes.reverse();
    bytes
}

/// The points of a curve, by the group operations of its crate.
pub(super) struct Weierstrass<C>(PhantomData<C>);

impl<C: Curve> Group for Weierstrass<C> {
    type Point = ProjectivePoint<C>;
    type Entry = AffinePoint<C>;
    const WINDOW: u32 = C::WINDOW;
    const SCALAR_BITS: u32 = C::SCALAR_BITS;

    fn double(point: &Self::Point) -> Self::Point {
        p256::elliptic_curve::group::Group::double(point)
    }

    fn add_point(sum: &mut Self::Point, other: &Self::Point) {
        sum.add_assign(other);
    }

    fn add(sum: &mut Self::Point, entry: &Self::Entry) {
        sum.add_assign(entry);
    }

    fn subtract(sum: &mut Self::Point, entry: &Self::Entry) {
        sum.sub_assign(entry);
    }

    fn append_entries(entries: &mut Vec<Self::Entry>, points: &[Self::Point]) {
        let start = entries.len();
        entries.resize(start.saturating_add(points.len()), AffinePoint::<C>::default());
        if let Some(places) = entries.get_mut(start..) {
            ProjectivePoint::<C>::batch_normalize(points, places);
        }
    }
}
