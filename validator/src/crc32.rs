//! CRC-32 as in ISO 3309 and gzip (RFC 1952, section 8), nibble by nibble: 64 bytes of table, and
//! only a credential that no record matched is ever checked with it.

/// The CRC-32 of these bytes.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        crc = step(step(crc));
    }
    !crc
}

/// Four bits of the register, by table.
fn step(crc: u32) -> u32 {
    // The index is masked to 0..16, so the table always has it.
    let entry = TABLE.get((crc & 0xf) as usize).copied().unwrap_or_default();
    (crc >> 4) ^ entry
}

/// `TABLE[i]` is the register after shifting the four bits `i` through the reversed polynomial.
const TABLE: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_an_independent_implementation(bytes: std::vec::Vec<u8>) {
            prop_assert_eq!(super::crc32(&bytes), crc32fast::hash(&bytes));
        }
    }
}
