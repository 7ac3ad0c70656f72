//! What the store's own tokens are like.

use std::ops::RangeInclusive;

use crate::settings::SetSettingsError;
use crate::signing_keys::SigningAlgorithm;
use crate::text::is_line;

/// What the lifetime of access tokens can be set to: one minute to one day, in seconds.
pub const ACCESS_TOKEN_LIFETIME_BOUNDS: RangeInclusive<u64> = 60..=86_400;
/// The lifetime of access tokens when nobody says otherwise: 30 minutes, in seconds.
pub const DEFAULT_ACCESS_TOKEN_LIFETIME: u64 = 1_800;
/// How long before it signs a new key can be published: up to 7 days, in seconds.
pub const PUBLISH_LEAD_BOUNDS: RangeInclusive<u64> = 0..=7 * 86_400;
/// How long before it signs a new key is published when nobody says otherwise: two times the 10 minutes
/// for which verifiers keep a key set, in seconds.
pub const DEFAULT_PUBLISH_LEAD: u64 = 1_200;
/// Longest issuer or audience, in bytes.
pub const MAX_ISSUER_LEN: usize = 256;

/// What the store's own tokens are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Who the tokens say has signed them: an `https://` URL, an `http://` URL of this machine, or a
    /// URN. `None`: a URN that comes from the id of the store.
    pub issuer: Option<String>,
    /// Whom the tokens are for; `None`: the issuer itself.
    pub audience: Option<String>,
    /// How long an access token is valid, in seconds.
    pub access_token_lifetime: u64,
    /// What new signing keys sign with.
    pub signing_algorithm: SigningAlgorithm,
    /// How long before it signs a new key is published, in seconds.
    pub publish_lead: u64,
}

impl Default for TokenSettings {
    fn default() -> TokenSettings {
        TokenSettings {
            issuer: None,
            audience: None,
            access_token_lifetime: DEFAULT_ACCESS_TOKEN_LIFETIME,
            signing_algorithm: SigningAlgorithm::default(),
            publish_lead: DEFAULT_PUBLISH_LEAD,
        }
    }
}

pub(crate) fn check(settings: &TokenSettings) -> Result<(), SetSettingsError> {
    if !settings.issuer.as_deref().is_none_or(is_issuer) {
        return Err(SetSettingsError::Issuer);
    }
    if !settings.audience.as_deref().is_none_or(|audience| is_line(audience, MAX_ISSUER_LEN)) {
        return Err(SetSettingsError::Audience);
    }
    let seconds = settings.access_token_lifetime;
    if !ACCESS_TOKEN_LIFETIME_BOUNDS.contains(&seconds) {
        return Err(SetSettingsError::AccessTokenLifetime { seconds });
    }
    let seconds = settings.publish_lead;
    if !PUBLISH_LEAD_BOUNDS.contains(&seconds) {
        return Err(SetSettingsError::PublishLead { seconds });
    }
    Ok(())
}

/// Whether this can be the name of an issuer: a URL without query or fragment (RFC 8414, section 2),
/// or a URN. Verifiers compare it byte by byte.
fn is_issuer(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\'));
    if text.len() > MAX_ISSUER_LEN || !is_plain {
        return false;
    }
    let host = |rest: &str| rest.split('/').next().map(str::to_owned).unwrap_or_default();
    if let Some(rest) = text.strip_prefix("https://") {
        let host = host(rest);
        return !host.is_empty() && !host.contains('@');
    }
    if let Some(rest) = text.strip_prefix("http://") {
        let host = host(rest);
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        return matches!(name.map_or(host.as_str(), |(name, _)| name), "localhost" | "127.0.0.1" | "[::1]");
    }
    text.strip_prefix("urn:").is_some_and(|rest| rest.len() > 2 && rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_urls_or_urns() {
        for good in [
            "https://auth.example.com",
            "https://auth.example.com/tenant/1",
            "https://auth.example.com:8443",
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:3000/x",
            "urn:uuid:0192f8e0-a1b2-7c3d-8e4f-5a6b7c8d9e0f",
        ] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in [
            "",
            "auth.example.com",
            "http://auth.example.com",
            "http://localhost.example.com",
            "http://localhost@example.com",
            "https://",
            "https:///path",
            "https://user@example.com",
            "https://a b",
            "https://a?x",
            "https://a#x",
            "https://ä.example",
            "urn:",
            "javascript:alert(1)",
            &format!("https://{}", "a".repeat(MAX_ISSUER_LEN)),
        ] {
            assert!(!is_issuer(bad), "{bad}");
        }
    }

    #[test]
    fn settings_have_bounds() {
        let default = TokenSettings::default();
        check(&default).unwrap();
        for lifetime in [60, 3_600, 86_400] {
            check(&TokenSettings { access_token_lifetime: lifetime, ..default.clone() }).unwrap();
        }
        for lifetime in [0, 59, 86_401, u64::MAX] {
            assert!(check(&TokenSettings { access_token_lifetime: lifetime, ..default.clone() }).is_err());
        }
        for lead in [0, 7 * 86_400] {
            check(&TokenSettings { publish_lead: lead, ..default.clone() }).unwrap();
        }
        assert!(check(&TokenSettings { publish_lead: 7 * 86_400 + 1, ..default.clone() }).is_err());
        assert!(check(&TokenSettings { audience: Some("a\nb".into()), ..default.clone() }).is_err());
        assert!(check(&TokenSettings { issuer: Some("x".into()), ..default }).is_err());
    }
}
