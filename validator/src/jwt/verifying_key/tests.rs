//! Which keys there are, and what each of them verifies. The signatures themselves are tested
//! against published vectors, in `tests/primitives.rs`.

use std::format;
use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

use curve25519_dalek::constants::EIGHT_TORSION;
use p256::elliptic_curve::point::AffineCoordinates as _;

use super::*;

#[test]
fn a_point_has_coordinates_of_the_exact_length_and_is_on_its_curve() {
    let generator = p256::AffinePoint::GENERATOR;
    let (x, y) = (generator.x(), generator.y());
    assert!(VerifyingKey::p256(&x, &y).is_ok());

    let wrong = |length| KeyError::CoordinateLength { curve: "P-256", length, expected: 32 };
    assert_eq!(VerifyingKey::p256(&x[1..], &y).unwrap_err(), wrong(31));
    assert_eq!(VerifyingKey::p256(&x, &[&[0], &y[..]].concat()).unwrap_err(), wrong(33));
    assert_eq!(VerifyingKey::p256(&[], &y).unwrap_err(), wrong(0));
    let off = KeyError::NotOnCurve { curve: "P-256" };
    assert_eq!(VerifyingKey::p256(&y, &x).unwrap_err(), off);
    assert_eq!(VerifyingKey::p256(&[0; 32], &[0; 32]).unwrap_err(), off, "the neutral element");
    assert_eq!(VerifyingKey::p256(&[0xff; 32], &y).unwrap_err(), off, "not below the field's prime");

    let generator = p384::AffinePoint::GENERATOR;
    let (x, y) = (generator.x(), generator.y());
    assert!(VerifyingKey::p384(&x, &y).is_ok());
    assert_eq!(VerifyingKey::p384(&y, &x).unwrap_err(), KeyError::NotOnCurve { curve: "P-384" });
    assert_eq!(
        VerifyingKey::p384(&x[..32], &y[..32]).unwrap_err(),
        KeyError::CoordinateLength { curve: "P-384", length: 32, expected: 48 }
    );
}

#[test]
fn an_ed25519_key_is_canonical_and_of_full_order() {
    let good = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED;
    assert!(VerifyingKey::ed25519(good.as_bytes()).is_ok());
    for length in [0, 31, 33, 64] {
        let error = VerifyingKey::ed25519(&vec![1; length]).unwrap_err();
        assert_eq!(error, KeyError::Ed25519Length { length });
    }
    for point in EIGHT_TORSION {
        let error = VerifyingKey::ed25519(point.compress().as_bytes()).unwrap_err();
        assert_eq!(error, KeyError::SmallOrder);
    }
    // y = p + 3 and y = 3 are one point; only the second is written as it should be.
    let mut three = [0; 32];
    three[0] = 3;
    assert!(VerifyingKey::ed25519(&three).is_ok());
    let mut large = [0xff; 32];
    (large[0], large[31]) = (0xf0, 0x7f);
    assert_eq!(VerifyingKey::ed25519(&large).unwrap_err(), KeyError::NotAPoint);
    // x = 0 has no sign.
    let mut signed = [0; 32];
    (signed[0], signed[31]) = (1, 0x80);
    assert_eq!(VerifyingKey::ed25519(&signed).unwrap_err(), KeyError::NotAPoint);
    // No point has y = 2.
    let mut none = [0; 32];
    none[0] = 2;
    assert_eq!(VerifyingKey::ed25519(&none).unwrap_err(), KeyError::NotAPoint);
}

/// A modulus of these bits that is no product of anything: only its form is looked at.
fn modulus(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xa5; bits.div_ceil(8)];
    modulus[0] = 0xff >> (modulus.len() * 8 - bits);
    *modulus.last_mut().unwrap() |= 1;
    modulus
}

fn rsa(n: &[u8], e: &[u8]) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::rsa(n, e, SmallExponent::Refuse)
}

#[test]
fn a_modulus_has_2048_to_8192_bits() {
    for bits in [MIN_RSA_MODULUS_BITS, 2049, 2055, 3072, 4096, 4104, MAX_RSA_MODULUS_BITS] {
        assert!(rsa(&modulus(bits), E).is_ok(), "{bits}");
    }
    for bits in [8, 1024, MIN_RSA_MODULUS_BITS - 1, MAX_RSA_MODULUS_BITS + 1, 16384] {
        assert_eq!(rsa(&modulus(bits), E).unwrap_err(), KeyError::ModulusSize { bits });
    }
    let mut even = modulus(2048);
    *even.last_mut().unwrap() = 0xa4;
    assert_eq!(rsa(&even, E).unwrap_err(), KeyError::EvenModulus);
}

/// PayPal's key set has moduli with the sign byte of ASN.1 before them.
#[test]
fn one_sign_byte_before_a_modulus_is_let_through() {
    let n = modulus(2048);
    assert!(rsa(&[&[0], &n[..]].concat(), E).is_ok());
    assert_eq!(rsa(&[&[0, 0], &n[..]].concat(), E).unwrap_err(), KeyError::LeadingZero);
    assert_eq!(rsa(&[&[0], &modulus(2055)[..]].concat(), E).unwrap_err(), KeyError::LeadingZero, "no sign needed");
    assert_eq!(rsa(&[], E).unwrap_err(), KeyError::LeadingZero);
    assert_eq!(rsa(&[0], E).unwrap_err(), KeyError::LeadingZero);
    assert_eq!(rsa(&n, &[0, 1, 0, 1]).unwrap_err(), KeyError::LeadingZero);
}

#[test]
fn an_exponent_is_odd_and_from_65537_to_32_bits() {
    let n = modulus(2048);
    for good in [&[1, 0, 1][..], &[1, 0, 3], &[0xff, 0xff, 0xff, 0xff]] {
        assert!(rsa(&n, good).is_ok(), "{good:?}");
    }
    for bad in [&[][..], &[1], &[2], &[3], &[17], &[0xff, 0xff], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1]] {
        assert_eq!(rsa(&n, bad).unwrap_err(), KeyError::Exponent, "{bad:?}");
    }
    assert!(VerifyingKey::rsa(&n, &[3], SmallExponent::AllowThree).is_ok());
    for bad in [1, 2, 5, 17] {
        let error = VerifyingKey::rsa(&n, &[bad], SmallExponent::AllowThree).unwrap_err();
        assert_eq!(error, KeyError::Exponent, "{bad}");
    }
}

#[test]
fn a_roca_modulus_is_refused() {
    // A power of 65537 has the fingerprint by its nature: 65537^128, of 2049 bits.
    let mut power = vec![1u8];
    for _ in 0..128 {
        // Times 65537: the number, and the number two bytes higher.
        let mut product = [&power[..], &[0, 0]].concat();
        let mut carry = 0;
        for (at, byte) in power.iter().rev().enumerate() {
            let place = product.len() - 1 - at;
            let sum = u16::from(product[place]) + u16::from(*byte) + carry;
            product[place] = sum as u8;
            carry = sum >> 8;
        }
        for byte in product[..2].iter_mut().rev() {
            let sum = u16::from(*byte) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        power = product.into_iter().skip_while(|byte| *byte == 0).collect();
    }
    assert_eq!(rsa(&power, E).unwrap_err(), KeyError::WeakModulus);
    // The next odd number is not a power modulo all of the primes.
    *power.last_mut().unwrap() = power.last().unwrap().wrapping_add(2);
    assert!(rsa(&power, E).is_ok());
}

#[test]
fn a_secret_is_as_long_as_the_hash() {
    for length in [0, 1, MIN_HMAC_SECRET_LEN - 1] {
        assert_eq!(VerifyingKey::hmac(&vec![7; length]).unwrap_err(), KeyError::SecretTooShort { length });
    }
    let length = MAX_HMAC_SECRET_LEN + 1;
    assert_eq!(VerifyingKey::hmac(&vec![7; length]).unwrap_err(), KeyError::SecretTooLong { length });
    for (length, supported) in [(32, 1), (47, 1), (48, 2), (63, 2), (64, 3), (MAX_HMAC_SECRET_LEN, 3)] {
        let key = VerifyingKey::hmac(&vec![7; length]).unwrap();
        let all = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
        assert_eq!(all.map(|algorithm| key.supports(algorithm)), [supported > 0, supported > 1, supported > 2]);
    }
}

/// CVE-2015-9235 and its kin: a public key as text, taken for a secret.
#[test]
fn a_public_key_as_text_is_no_secret() {
    for text in [
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n",
        "\n  -----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEA\n-----END RSA PUBLIC KEY-----",
        "subject=CN\n-----BEGIN CERTIFICATE-----\nMIIB",
        "-----BEGIN EC PRIVATE KEY-----",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
        " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI",
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        r#" {"keys": [{"crv": "Ed25519", "kty": "OKP", "x": "AAAA"}]}"#,
    ] {
        assert_eq!(VerifyingKey::hmac(text.as_bytes()).unwrap_err(), KeyError::SecretIsKeyText, "{text}");
    }
    assert!(VerifyingKey::hmac(b"-----BEGINNING of a passphrase that is one").is_ok());
    assert!(VerifyingKey::hmac(b"{ a passphrase that has a brace before it").is_ok());
}

/// One key of every kind.
fn keys() -> Vec<(VerifyingKey, &'static [Algorithm])> {
    let p256 = p256::AffinePoint::GENERATOR;
    let p384 = p384::AffinePoint::GENERATOR;
    let ed25519 = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED;
    vec![
        (VerifyingKey::p256(&p256.x(), &p256.y()).unwrap(), &[Algorithm::Es256]),
        (VerifyingKey::p384(&p384.x(), &p384.y()).unwrap(), &[Algorithm::Es384]),
        (VerifyingKey::ed25519(ed25519.as_bytes()).unwrap(), &[Algorithm::EdDsa, Algorithm::Ed25519]),
        (
            rsa(&modulus(2048), E).unwrap(),
            &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
        ),
        (VerifyingKey::hmac(SECRET).unwrap(), &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]),
    ]
}

#[test]
fn a_key_supports_the_algorithms_of_its_kind_and_no_others() {
    let mut bases = BaseTables::default();
    for (mut key, supported) in keys() {
        for _ in 0..2 {
            for algorithm in Algorithm::ALL {
                assert_eq!(key.supports(*algorithm), supported.contains(algorithm), "{key:?} {algorithm}");
                for length in [0, 1, 32, 48, 63, 64, 65, 96, 255, 256, 257, 512] {
                    for byte in [0, 1, 0xff] {
                        let forged = vec![byte; length];
                        let answer = key.verify(*algorithm, b"message", &forged);
                        assert_eq!(answer, Err(BadSignature), "{key:?} {algorithm} {length} × {byte}");
                    }
                }
            }
            key.prepare(&mut bases);
        }
    }
}

#[test]
fn preparing_is_bounded_shared_and_done_once() {
    let mut bases = BaseTables::default();
    assert_eq!(bases.table_bytes(), 0);
    for (mut key, _) in keys() {
        assert_eq!(key.table_bytes(), 0, "{key:?}");
        key.prepare(&mut bases);
        let (own, shared) = (key.table_bytes(), bases.table_bytes());
        assert!((256..=MAX_TABLE_BYTES).contains(&own), "{key:?}: {own} bytes");
        key.prepare(&mut bases);
        assert_eq!((key.table_bytes(), bases.table_bytes()), (own, shared), "{key:?}");
    }
    let before = bases.table_bytes();
    assert!(before > 0 && before <= 3 * MAX_TABLE_BYTES, "one for each of three curves: {before} bytes");
    for (mut key, _) in keys() {
        key.prepare(&mut bases);
    }
    assert_eq!(bases.table_bytes(), before, "the second keys share them");
}

#[test]
fn nothing_secret_is_shown() {
    let shown: Vec<_> = keys().iter().map(|(key, _)| format!("{key:?}")).collect();
    assert_eq!(
        shown,
        [
            "VerifyingKey(P-256)",
            "VerifyingKey(P-384)",
            "VerifyingKey(Ed25519)",
            "VerifyingKey(RSA)",
            "VerifyingKey(HMAC)"
        ]
    );
    let mut key = VerifyingKey::hmac(SECRET).unwrap();
    key.prepare(&mut BaseTables::default());
    assert_eq!(format!("{key:?}"), "VerifyingKey(HMAC)");
    assert_eq!(format!("{:?}", BaseTables::default()), "BaseTables(0 bytes)");

    let text = [b"-----BEGIN PRIVATE KEY-----\n", SECRET].concat();
    for error in [VerifyingKey::hmac(&SECRET[..31]).unwrap_err(), VerifyingKey::hmac(&text).unwrap_err()] {
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("correct horse"), "{shown}");
    }
}

#[test]
fn errors_say_what_happened_and_what_to_do() {
    for error in [
        KeyError::CoordinateLength { curve: "P-256", length: 31, expected: 32 },
        KeyError::NotOnCurve { curve: "P-384" },
        KeyError::Ed25519Length { length: 33 },
        KeyError::NotAPoint,
        KeyError::SmallOrder,
        KeyError::LeadingZero,
        KeyError::ModulusSize { bits: 1024 },
        KeyError::EvenModulus,
        KeyError::Exponent,
        KeyError::WeakModulus,
        KeyError::SecretTooShort { length: 31 },
        KeyError::SecretTooLong { length: 1025 },
        KeyError::SecretIsKeyText,
    ] {
        assert_eq!(error.to_string().matches(" · ").count(), 1, "{error}");
    }
    assert_eq!(
        KeyError::ModulusSize { bits: 1024 }.to_string(),
        "an RSA modulus of 1024 bits · use a key of 2048 to 8192 bits"
    );
    assert_eq!(
        KeyError::SecretTooShort { length: 31 }.to_string(),
        "a secret of 31 bytes · use at least 32, and as many as the hash has"
    );
    assert!(BadSignature.to_string().contains(" · "));
}

const E: &[u8] = &[1, 0, 1];
const SECRET: &[u8] = b"correct horse battery staple, and sixty-four bytes need some more words";
