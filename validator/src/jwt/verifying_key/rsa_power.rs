//! Powers modulo an RSA modulus: the primitive RSAVP1 (RFC 8017, section 5.2.2).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U2048, U3072, U4096, Uint};

/// A modulus and a public exponent, prepared.
///
/// Numbers of a fixed size instead of one chosen at run time, and an exponent that is public and
/// nearly always 65537: half the work of a power for any exponent, in constant time.
pub(super) enum Power {
    Bits2048(Box<Montgomery<{ U2048::LIMBS }>>),
    Bits3072(Box<Montgomery<{ U3072::LIMBS }>>),
    Bits4096(Box<Montgomery<{ U4096::LIMBS }>>),
}

impl Power {
    /// Of an odd modulus, big-endian, and an odd exponent from 3. `None` when the modulus has more
    /// than 4096 bits.
    pub(super) fn new(modulus: &[u8], exponent: u32) -> Option<Power> {
        if modulus.len() <= U2048::BYTES {
            Montgomery::new(modulus, exponent).map(Box::new).map(Power::Bits2048)
        } else if modulus.len() <= U3072::BYTES {
            Montgomery::new(modulus, exponent).map(Box::new).map(Power::Bits3072)
        } else {
            Montgomery::new(modulus, exponent).map(Box::new).map(Power::Bits4096)
        }
    }

    /// The power of a number below the modulus, both big-endian and of the same length. `None` when
    /// it is not below.
    pub(super) fn of(&self, number: &[u8]) -> Option<Vec<u8>> {
        match self {
            Power::Bits2048(modulus) => modulus.power(number),
            Power::Bits3072(modulus) => modulus.power(number),
            Power::Bits4096(modulus) => modulus.power(number),
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Power::Bits2048(modulus) => size_of_val(&**modulus),
            Power::Bits3072(modulus) => size_of_val(&**modulus),
            Power::Bits4096(modulus) => size_of_val(&**modulus),
        }
    }
}

pub(super) struct Montgomery<const LIMBS: usize> {
    params: FixedMontyParams<LIMBS>,
    exponent: u32,
}

impl<const LIMBS: usize> Montgomery<LIMBS> {
    fn new(modulus: &[u8], exponent: u32) -> Option<Montgomery<LIMBS>> {
        let modulus: Odd<Uint<LIMBS>> = Odd::new(number(modulus)?).into_option()?;
        Some(Montgomery { params: FixedMontyParams::new_vartime(modulus), exponent })
    }

    fn power(&self, base: &[u8]) -> Option<Vec<u8>> {
        let length = base.len();
        let base = number(base)?;
        if base >= *self.params.modulus().as_ref() {
            return None;
        }
        // The exponent is odd: all its bits but the lowest, by squaring and multiplying.
        let form = FixedMontyForm::new(&base, &self.params);
        let mut power = form;
        let mut mask = 1u32.checked_shl(self.exponent.checked_ilog2()?)? >> 1;
        let mut squarings = 0u32;
        while mask > 1 {
            squarings = squarings.saturating_add(1);
            if self.exponent & mask != 0 {
                power = power.square_repeat_vartime(squarings).mul(&form);
                squarings = 0;
            }
            mask >>= 1;
        }
        power = power.square_repeat_vartime(squarings.saturating_add(1));
        // The lowest bit. The base as it came instead of its Montgomery form, and the product is the
        // power as it is instead of its Montgomery form.
        let base = FixedMontyForm::from_montgomery(base, &self.params);
        let power = power.mul(&base).to_montgomery().to_be_bytes();
        let bytes: &[u8] = power.as_ref();
        Some(bytes.get(bytes.len().checked_sub(length)?..)?.to_vec())
    }
}

/// A number from big-endian bytes. `None` when it is too long.
fn number<const LIMBS: usize>(bytes: &[u8]) -> Option<Uint<LIMBS>> {
    let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
    (bits <= Uint::<LIMBS>::BITS).then(|| Uint::from_be_slice_truncated(bytes, bits))
}
