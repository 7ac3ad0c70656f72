//! Public keys as PEM (RFC 7468) into JWKs: just enough of DER for the keys of these files.

use serde_json::{Value, json};

use crate::vectors::support::{from_base64, to_base64url};

/// The public key in a PEM: a SubjectPublicKeyInfo (RFC 5280, section 4.1), an RSAPublicKey (RFC
/// 8017, appendix A.1.1), or the one of a certificate. Curves are named also where we know no key
/// of theirs.
pub(crate) fn public_jwk(pem: &str) -> Option<Value> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let der = from_base64(body);
    match label {
        "PUBLIC KEY" => public_key_info(&der),
        "RSA PUBLIC KEY" => rsa_key(&der),
        "CERTIFICATE" => certificate(&der),
        _ => None,
    }
}

/// The key in a SubjectPublicKeyInfo.
pub(crate) fn public_key_info(der: &[u8]) -> Option<Value> {
    let (algorithm, rest) = expect(expect(der, SEQUENCE)?.0, SEQUENCE)?;
    let (kind, parameters) = expect(algorithm, OBJECT_IDENTIFIER)?;
    // The first byte says how many bits of the last one are none.
    let (0, key) = expect(rest, BIT_STRING)?.0.split_first()? else { return None };
    match kind {
        RSA | RSA_PSS => rsa_key(key),
        EC => {
            let (4, point) = key.split_first()? else { return None };
            let (x, y) = point.split_at(point.len() / 2);
            Some(json!({"kty": "EC", "crv": curve(parameters)?, "x": to_base64url(x), "y": to_base64url(y)}))
        }
        ED25519 => Some(json!({"kty": "OKP", "crv": "Ed25519", "x": to_base64url(key)})),
        ED448 => Some(json!({"kty": "OKP", "crv": "Ed448", "x": to_base64url(key)})),
        _ => None,
    }
}

fn rsa_key(der: &[u8]) -> Option<Value> {
    let (modulus, rest) = expect(expect(der, SEQUENCE)?.0, INTEGER)?;
    let (exponent, _) = expect(rest, INTEGER)?;
    let unsigned = |number: &[u8]| to_base64url(number.strip_prefix(&[0]).unwrap_or(number));
    Some(json!({"kty": "RSA", "n": unsigned(modulus), "e": unsigned(exponent)}))
}

fn certificate(der: &[u8]) -> Option<Value> {
    let mut fields = expect(expect(der, SEQUENCE)?.0, SEQUENCE)?.0;
    if let Some((_, rest)) = expect(fields, VERSION) {
        fields = rest;
    }
    // The serial number, the algorithm, the issuer, the validity and the subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = expect(fields, tag)?.1;
    }
    public_key_info(fields)
}

/// The curve by its name, or by the prime of its field where its parameters are written out.
fn curve(parameters: &[u8]) -> Option<&'static str> {
    if let Some((name, _)) = expect(parameters, OBJECT_IDENTIFIER) {
        return CURVES.iter().find(|(known, _)| *known == name).map(|(_, curve)| *curve);
    }
    parameters.windows(P256_PRIME.len()).any(|part| part == P256_PRIME).then_some("P-256")
}

/// The content of a value of this type, and what is behind it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    if *first == tag { rest.split_at_checked(length) } else { None }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const ED25519: &[u8] = b"\x2b\x65\x70";
const ED448: &[u8] = b"\x2b\x65\x71";
const CURVES: &[(&[u8], &str)] = &[
    (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", "P-256"),
    (b"\x2b\x81\x04\x00\x22", "P-384"),
    (b"\x2b\x81\x04\x00\x23", "P-521"),
    (b"\x2b\x81\x04\x00\x0a", "secp256k1"),
];
const P256_PRIME: &[u8] =
    b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
