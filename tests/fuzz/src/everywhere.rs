//! One credential, judged by every way in.

use keystile_validator::jwt::TokenState;
use keystile_validator::wire::{
    Item, Message, check_message, decode_verdict, encode_formats, encode_record, encode_token_record,
};
use keystile_validator::{Record, Verdict, check_batch};

use crate::fixtures::{formats, request};

/// The verdict on a credential, after seeing that owned types and a message give the same one.
pub(crate) fn judge_everywhere(credential: &[u8], record: Option<Record<'_>>, state: &mut TokenState) -> Verdict {
    let (request, formats) = (request(), formats());
    let owned = check_batch(&[(credential, record)], &request, &formats, state).remove(0);

    let mut form = Vec::new();
    match record {
        None => {}
        Some(Record::Key(record)) => encode_record(record, &mut form).unwrap(),
        Some(Record::Token(record)) => encode_token_record(record, &mut form).unwrap(),
    }
    assert_eq!(judge_with_record(credential, &form, state), owned, "a message is judged as its parts are");
    owned
}

/// The verdict on a credential and a record in its binary form, in a message; none is empty.
pub(crate) fn judge_with_record(credential: &[u8], record: &[u8], state: &mut TokenState) -> Verdict {
    let (request, mut formats_form) = (request(), Vec::new());
    encode_formats(&formats(), &mut formats_form).unwrap();
    let item = Item { credential, record: Some(record) };
    let message = Message { request: &request, formats: &formats_form, items: &[item] };
    let mut bytes = vec![0; credential.len() + record.len() + ROOM];
    let len = message.write_to(&mut bytes).expect("a message of one item");
    let mut answer = vec![0; LONGEST_VERDICT];
    let len = check_message(&bytes[..len], state, &mut answer).expect("a message that we wrote");
    let (verdict, rest) = decode_verdict(&answer[..len]).expect("an answer that we wrote");
    assert!(rest.is_empty());
    verdict
}

/// Header, request, formats and item table of a message.
const ROOM: usize = 512;
/// What the length field of a verdict can say.
const LONGEST_VERDICT: usize = 65_536;
