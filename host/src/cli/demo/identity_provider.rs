//! An identity provider for the story: it signs tokens as Clerk does, and publishes its keys over
//! HTTP on a loopback address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::failure::{Exit, Failure, PAIR};
use crate::signing_keys::{KeyMaterial, thumbprint};
use crate::{Secret, SigningAlgorithm};

/// A provider that is up until it is dropped.
pub(super) struct IdentityProvider {
    key: KeyMaterial,
    kid: String,
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl IdentityProvider {
    /// The `iss` of its tokens.
    pub(super) const ISSUER: &str = "https://clerk.example.com";

    /// Makes a key, and serves its public half.
    pub(super) fn start() -> Result<IdentityProvider, Failure> {
        let key = KeyMaterial::generate(SigningAlgorithm::Rs256).map_err(|_| failed("no RSA key could be made"))?;
        let public_key = key.public_key().ok().flatten().ok_or_else(|| failed("no RSA key could be made"))?;
        let kid = thumbprint(&public_key);
        let mut jwk: Value = serde_json::from_str(&public_key).unwrap_or_default();
        jwk["kid"] = kid.as_str().into();
        jwk["alg"] = "RS256".into();
        jwk["use"] = "sig".into();
        let body = json!({ "keys": [jwk] }).to_string();
        let listening = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = listening.map_err(|error| failed(&format!("no loopback port: {error}")))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let server = thread::spawn({
            let stopped = Arc::clone(&stopped);
            move || {
                for caller in listener.incoming() {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    // A caller that goes away has only itself to blame.
                    let _ = caller.and_then(|caller| answer(caller, &body));
                }
            }
        });
        Ok(IdentityProvider { key, kid, address, stopped, server: Some(server) })
    }

    /// Where its keys are.
    pub(super) fn jwks_url(&self) -> String {
        format!("http://{}/.well-known/jwks.json", self.address)
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<Secret, Failure> {
        self.key.sign_claims(Some("JWT"), &self.kid, claims).map_err(|_| failed("a token could not be signed"))
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the server, which waits for a caller.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            // It runs nothing that can panic.
            let _ = server.join();
        }
    }
}

/// Answers one request, whatever it asks for.
fn answer(mut caller: TcpStream, body: &str) -> std::io::Result<()> {
    caller.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = Vec::new();
    let mut bytes = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") && request.len() < MAX_REQUEST_LEN {
        let read = caller.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..read]);
    }
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=600\r\nConnection: close\r\n";
    write!(caller, "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn failed(what: &str) -> Failure {
    Failure::new(Exit::CannotSay, "system", format!("{what}{PAIR}the demo cannot show this part; run it again"))
}

const MAX_REQUEST_LEN: usize = 16_384;
