//! Key formats and the credentials that are read by them.

use keystile_validator::jwt::TokenState;
use keystile_validator::{
    Checksum, Code, Digest, Environment, FormatMatch, KeyFormat, KeyId, KeyRecord, Record, Separator, check,
};

use crate::everywhere::judge_everywhere;
use crate::fixtures::request;

/// A format in the first line (`hx _ 30 crc32 live test`), and a credential behind it. A credential
/// of the format is exactly what its parts assemble to, and lists show the start of it and no more;
/// the verdict says what the format says; and a digest proves, whatever the credential looks like.
///
/// # Panics
/// When that does not hold.
pub fn credential(data: &[u8]) {
    let (line, credential) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    if let Some(format) = std::str::from_utf8(line).ok().and_then(read_format) {
        assert_format(&format, credential);
    }
    assert_digest_proves(credential);
}

fn read_format(line: &str) -> Option<KeyFormat> {
    let mut words = line.split(' ');
    let (prefix, separator) = (words.next()?, words.next()?);
    let [separator] = *separator.as_bytes() else { return None };
    let body_len = words.next()?.parse().ok()?;
    let checksum = match words.next()? {
        "none" => Checksum::None,
        "crc32" => Checksum::Crc32,
        _ => return None,
    };
    let environments = words.map(Environment::new).collect::<Result<_, _>>().ok()?;
    KeyFormat::new(prefix, Separator::from_byte(separator)?, environments, body_len, checksum).ok()
}

fn assert_format(format: &KeyFormat, credential: &[u8]) {
    let read = format.read(credential);
    let text = std::str::from_utf8(credential);
    let display = text.ok().and_then(|text| format.display(text));
    assert_eq!(display.is_some(), read != FormatMatch::NoMatch);
    if let (Some(display), Ok(text)) = (display, text) {
        let shown = display.strip_suffix('…').expect("a display form ends in an ellipsis");
        let (head, tail) = text.rsplit_once(char::from(format.separator().as_byte())).unwrap();
        let (body, checksum) = tail.split_at(format.body_len());
        assert!(text.starts_with(shown) && shown.len() == head.len() + 1 + 4);
        assert_eq!(checksum.len(), format.checksum().len());
        let environment = head.strip_prefix(format.prefix()).and_then(|rest| rest.strip_prefix('_')).unwrap();
        let assembled = format.assemble(&Environment::new(environment).unwrap(), body).unwrap();
        assert_eq!(assembled == text, read == FormatMatch::Match);
        assert_eq!(format.read(assembled.as_bytes()), FormatMatch::Match);
    }
    let expected = match read {
        _ if credential.is_empty() => Code::MissingCredential,
        FormatMatch::NoMatch => Code::Malformed,
        FormatMatch::WrongChecksum | FormatMatch::Match => Code::UnknownKey,
    };
    let code = check(credential, None, &request(), std::slice::from_ref(format)).code();
    // Without issuers, what is a token is of none that is known.
    assert!(code == Some(expected) || keystile_validator::jwt::UnverifiedJwt::parse(credential).is_ok());
}

fn assert_digest_proves(credential: &[u8]) {
    let digest = Digest::of(credential);
    let mut record = KeyRecord::new(KeyId::from_bytes([7; 16]), digest, Environment::new("live").unwrap());
    let mut state = TokenState::with_cache(keystile_validator::jwt::TokenCache::new(0, 0));
    let mut judge = |record: &KeyRecord| judge_everywhere(credential, Some(Record::Key(record)), &mut state);
    let may = !credential.is_empty() && credential.len() <= keystile_validator::MAX_CREDENTIAL_LEN;
    assert_eq!(judge(&record).is_allow(), may);
    let mut other = *digest.as_bytes();
    other[credential.len() % Digest::LEN] ^= 1 << (credential.len() % 8);
    record.digest = Digest::from_bytes(other);
    assert!(!judge(&record).is_allow());
}
