//! Combs: multiples of a point that never changes, so that multiplying it is additions alone.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A group, and how a comb of it is laid out.
///
/// All scalars here come from signatures and messages, which are public: nothing is in constant time.
pub(super) trait Group {
    /// A point in the form that sums are made in.
    type Point: Copy;
    /// A point in the form that is kept in tables, and added with the least work.
    type Entry: Copy;

    /// Bits of a window. One more is about a tenth fewer additions, and nearly twice the table.
    const WINDOW: u32;
    /// Bits of the longest scalar.
    const SCALAR_BITS: u32;

    /// `point + point`
    fn double(point: &Self::Point) -> Self::Point;
    /// `sum += other`, where both are sums.
    fn add_point(sum: &mut Self::Point, other: &Self::Point);
    /// `sum += entry`
    fn add(sum: &mut Self::Point, entry: &Self::Entry);
    /// `sum -= entry`
    fn subtract(sum: &mut Self::Point, entry: &Self::Entry);
    /// Appends the points as entries.
    fn append_entries(entries: &mut Vec<Self::Entry>, points: &[Self::Point]);
}

/// For every window `i` of a scalar, a row with the multiples `1..=2^(WINDOW-1)` of `2^(WINDOW*i)`
/// times the point. Digits are signed, which halves the rows.
pub(super) struct Comb<G: Group> {
    rows: Box<[G::Entry]>,
}

impl<G: Group> Comb<G> {
    /// The comb of a point.
    pub(super) fn new(point: G::Point) -> Comb<G> {
        let mut rows = Vec::with_capacity(Self::ENTRIES);
        let mut row = Vec::with_capacity(Self::ROW);
        let mut base = point;
        for index in 0..Self::ROWS {
            let length = if index < Self::FULL_ROWS { Self::ROW } else { Self::LAST_ROW };
            row.clear();
            let mut multiple = base;
            row.push(multiple);
            for _ in 1..length {
                G::add_point(&mut multiple, &base);
                row.push(multiple);
            }
            // One row after the other: their common inversion is cheap enough, and the points in
            // the making need no memory as large as the table.
            G::append_entries(&mut rows, &row);
            // The last multiple of a full row is half of what the next row is made of.
            base = G::double(&multiple);
        }
        Comb { rows: rows.into_boxed_slice() }
    }

    /// Adds `scalar` times the point, the scalar given in little-endian bytes of at most
    /// `SCALAR_BITS` bits.
    ///
    /// `None` when the scalar has more bits than that, and then the sum is of no use.
    pub(super) fn add_multiple(&self, sum: &mut G::Point, scalar: &[u8]) -> Option<()> {
        let mut bits = Bits::new(scalar);
        let mut carry = 0;
        for row in self.rows.chunks(Self::ROW) {
            let value = bits.take(G::WINDOW).checked_add(carry)?;
            // A digit above the half is negative: what is missing to BASE, and one more of the next.
            let negative = value > Self::HALF;
            carry = u32::from(negative);
            let digit = if negative { Self::BASE.checked_sub(value)? } else { value };
            let Some(before) = digit.checked_sub(1) else { continue };
            let entry = row.get(usize::try_from(before).ok()?)?;
            if negative { G::subtract(sum, entry) } else { G::add(sum, entry) }
        }
        (carry == 0 && bits.is_empty()).then_some(())
    }

    /// What the table takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.rows)
    }

    /// What a window counts to, and half of it: the largest digit.
    const BASE: u32 = 1 << G::WINDOW;
    const HALF: u32 = Self::BASE / 2;
    /// Entries of a full row.
    const ROW: usize = Self::HALF as usize;
    const FULL_ROWS: u32 = G::SCALAR_BITS / G::WINDOW;
    /// The last row covers the bits that are left, and the carry of the row before.
    const LAST_ROW: usize = 1 << (G::SCALAR_BITS % G::WINDOW);
    const ROWS: u32 = Self::FULL_ROWS + 1;
    const ENTRIES: usize = Self::ROW * (Self::FULL_ROWS as usize) + Self::LAST_ROW;
}

/// The bits of a number in little-endian bytes, from the lowest.
struct Bits<'a> {
    bytes: core::slice::Iter<'a, u8>,
    pending: u32,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes: bytes.iter(), pending: 0, count: 0 }
    }

    /// The next bits, at most 24; zeros after the end.
    fn take(&mut self, count: u32) -> u32 {
        while self.count < count {
            let byte = self.bytes.next().copied().unwrap_or(0);
            self.pending |= u32::from(byte).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(8);
        }
        let bits = self.pending & 1u32.wrapping_shl(count).wrapping_sub(1);
        self.pending = self.pending.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
        bits
    }

    /// Whether only zeros are left.
    fn is_empty(&self) -> bool {
        self.pending == 0 && self.bytes.as_slice().iter().all(|byte| *byte == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The integers modulo a prime, where everything can be computed twice.
    struct Integers<const WINDOW: u32, const BITS: u32>;

    const MODULUS: u128 = (1 << 61) - 1;

    impl<const W: u32, const BITS: u32> Group for Integers<W, BITS> {
        type Point = u128;
        type Entry = u64;
        const WINDOW: u32 = W;
        const SCALAR_BITS: u32 = BITS;

        fn double(point: &u128) -> u128 {
            point * 2 % MODULUS
        }
        fn add_point(sum: &mut u128, other: &u128) {
            *sum = (*sum + other) % MODULUS;
        }
        fn add(sum: &mut u128, entry: &u64) {
            *sum = (*sum + u128::from(*entry)) % MODULUS;
        }
        fn subtract(sum: &mut u128, entry: &u64) {
            *sum = (*sum + MODULUS - u128::from(*entry)) % MODULUS;
        }
        fn append_entries(entries: &mut Vec<u64>, points: &[u128]) {
            entries.extend(points.iter().map(|point| *point as u64));
        }
    }

    fn multiple<const W: u32, const BITS: u32>(point: u64, scalar: u64) -> Option<u128> {
        let comb = Comb::<Integers<W, BITS>>::new(u128::from(point) % MODULUS);
        assert_eq!(comb.bytes(), Comb::<Integers<W, BITS>>::ENTRIES * 8);
        let mut sum = 0;
        comb.add_multiple(&mut sum, &scalar.to_le_bytes()).map(|()| sum)
    }

    proptest! {
        #[test]
        fn a_comb_multiplies(point: u64, scalar: u64) {
            let expected = Some((u128::from(point) % MODULUS) * u128::from(scalar) % MODULUS);
            prop_assert_eq!(multiple::<2, 64>(point, scalar), expected);
            prop_assert_eq!(multiple::<7, 64>(point, scalar), expected);
            prop_assert_eq!(multiple::<8, 64>(point, scalar), expected);
            prop_assert_eq!(multiple::<9, 64>(point, scalar), expected);
            let shorter = scalar >> 2;
            let expected = Some((u128::from(point) % MODULUS) * u128::from(shorter) % MODULUS);
            prop_assert_eq!(multiple::<7, 62>(point, shorter), expected);
        }
    }

    #[test]
    fn digits_at_their_ends_carry() {
        for scalar in [0, 1, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x8080_8080_8080_8080, 0x7fff_ffff_ffff_ffff, u64::MAX] {
            assert_eq!(multiple::<8, 64>(3, scalar), Some(3 * u128::from(scalar) % MODULUS), "{scalar:x}");
            assert_eq!(multiple::<9, 64>(3, scalar), Some(3 * u128::from(scalar) % MODULUS), "{scalar:x}");
        }
    }

    /// As on P-384: the last row is a full one, and the carry of the row before makes its digit the largest.
    #[test]
    fn the_last_row_takes_a_carry_at_its_end() {
        for scalar in [u64::MAX, u64::MAX - 1, u64::MAX << 6, u64::MAX << 7, u64::MAX << 55, u64::MAX << 56] {
            let (seven, eight) = (scalar & (u64::MAX >> 2), scalar & (u64::MAX >> 1));
            assert_eq!(multiple::<7, 62>(3, seven), Some(3 * u128::from(seven) % MODULUS), "{seven:x}");
            assert_eq!(multiple::<8, 63>(3, eight), Some(3 * u128::from(eight) % MODULUS), "{eight:x}");
        }
    }

    #[test]
    fn a_scalar_beyond_the_comb_is_refused() {
        assert_eq!(multiple::<8, 16>(3, 0xffff), Some(3 * 0xffff));
        assert_eq!(multiple::<8, 16>(3, 0x1_0000), Some(3 * 0x1_0000), "the last digit holds the carry");
        for scalar in [0x1_8101, 0x2_0000, 1 << 63] {
            assert_eq!(multiple::<8, 16>(3, scalar), None, "{scalar:x}");
        }
    }
}
