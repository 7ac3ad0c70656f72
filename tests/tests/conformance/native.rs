//! Through the Rust API.

use super::*;

#[test]
fn natively() {
    let vectors = vectors();
    let mut states: BTreeMap<_, _> =
        vectors.issuers.keys().map(|issuers| (issuers.as_str(), vectors.state(issuers))).collect();
    let mut judge_all = |remember: bool| -> Vec<_> {
        let judge = |case: &Case| {
            let state = states.get_mut(case.issuers.as_str()).unwrap();
            if !remember {
                state.cache.clear();
            }
            let formats = &vectors.formats[&case.formats];
            without_message(&check_batch(&[case.item()], &case.request, formats, state)[0])
        };
        vectors.cases.iter().map(judge).collect()
    };
    assert_all_equal("native", &vectors.cases, &judge_all(false));
    assert_all_equal("native, for the cache", &vectors.cases, &judge_all(true));
    assert_all_equal("native, from the cache", &vectors.cases, &judge_all(true));
    assert!(!states["all"].cache.is_empty());

    // And by the function for keys.
    let none = &vectors.issuers["none"];
    assert!(none.is_empty());
    let is_for_keys = |case: &&Case| case.issuers == "none" && !matches!(case.record, Some(CredentialRecord::Token(_)));
    for case in vectors.cases.iter().filter(is_for_keys) {
        let record = match &case.record {
            Some(CredentialRecord::Key(record)) => Some(&**record),
            _ => None,
        };
        let verdict = check(&case.credential, record, &case.request, &vectors.formats[&case.formats]);
        assert_eq!(without_message(&verdict), case.verdict, "{}", case.name);
    }
}

#[test]
fn natively_in_batches() {
    let vectors = vectors();
    // A batch has one request, one set of formats and one of issuers: the cases that share them go together.
    let mut groups: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in &vectors.cases {
        groups.entry(format!("{} {} {:?}", case.formats, case.issuers, case.request)).or_default().push(case);
    }
    assert!(groups.values().any(|group| group.len() > 100));
    let mut states: BTreeMap<_, _> =
        vectors.issuers.keys().map(|issuers| (issuers.as_str(), vectors.state(issuers))).collect();
    for group in groups.values() {
        let items: Vec<_> = group.iter().map(|case| case.item()).collect();
        let formats = &vectors.formats[&group[0].formats];
        let state = states.get_mut(group[0].issuers.as_str()).unwrap();
        for time in ["first", "again"] {
            let verdicts = check_batch(&items, &group[0].request, formats, state);
            for (case, verdict) in group.iter().zip(&verdicts) {
                assert_eq!(without_message(verdict), case.verdict, "{time}: {}", case.name);
            }
        }
    }
}
