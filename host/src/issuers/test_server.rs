//! A small HTTP server on a loopback address, for tests: it answers as it is told, also badly.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::issuer::JwksUrl;

/// An answer.
pub(crate) struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
    how: How,
    delay: Duration,
}

enum How {
    /// Head and body, and the end.
    Whole,
    /// The head, and then nothing, without an end.
    Hang,
    /// The body so many times, without saying so before.
    Repeat(usize),
    /// The head, and then a byte now and then, without an end.
    Drip,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..Answer::status(200) }
    }

    pub(crate) fn status(status: u16) -> Answer {
        Answer::raw(format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n").as_bytes())
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Answer {
        Answer::status(status).header("Location", to)
    }

    /// These bytes and nothing else.
    pub(crate) fn raw(bytes: &[u8]) -> Answer {
        Answer { head: bytes.to_vec(), body: Vec::new(), how: How::Whole, delay: Duration::ZERO }
    }

    pub(crate) fn nothing() -> Answer {
        Answer::raw(b"")
    }

    /// A head that never ends.
    pub(crate) fn drip_head() -> Answer {
        Answer { how: How::Drip, ..Answer::raw(b"HTTP/1.1 200 Said\r\nX-Long: ") }
    }

    /// A body that never ends.
    pub(crate) fn drip_body() -> Answer {
        Answer { how: How::Drip, ..Answer::raw(b"HTTP/1.1 200 Said\r\n\r\n") }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Answer {
        self.head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self
    }

    /// The connection stays open, and nothing more comes.
    pub(crate) fn hang(self) -> Answer {
        Answer { how: How::Hang, ..self }
    }

    /// So many times these bytes, without a length.
    pub(crate) fn chunks(self, bytes: Vec<u8>, times: usize) -> Answer {
        Answer { body: bytes, how: How::Repeat(times), ..self }
    }

    /// Waits before it answers.
    pub(crate) fn after(self, delay: Duration) -> Answer {
        Answer { delay, ..self }
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    requests: Mutex<Vec<String>>,
    sent: AtomicUsize,
    stopped: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

impl Server {
    /// A server that answers each path as the function says.
    pub(crate) fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        Server::start(Box::new(answer), None)
    }

    /// The same with TLS and [`TLS_CERTIFICATE`].
    pub(crate) fn with_tls(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        let certificate = CertificateDer::from_pem_slice(TLS_CERTIFICATE.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(TLS_KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Server::start(Box::new(answer), Some(Arc::new(config)))
    }

    fn start(answer: Box<dyn Fn(&str) -> Answer + Send + Sync>, tls: Option<Arc<ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (requests, sent, stopped) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { answer, requests, sent, stopped, tls });
        let of_thread = Arc::clone(&shared);
        let listening = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_thread.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                // A client that goes away early is what many tests are about.
                thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Server { address, scheme, shared, listening: Some(listening) }
    }

    pub(crate) fn url(&self, path: &str) -> JwksUrl {
        format!("{}://{}{path}", self.scheme, self.address).parse().unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes of bodies the clients have let it send.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match &shared.tls {
        None => answer(&mut stream, shared),
        Some(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            answer(&mut StreamOwned::new(connection, stream), shared)
        }
    }
}

fn answer(stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let answer = (shared.answer)(request.split(' ').nth(1).unwrap_or_default());
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    thread::sleep(answer.delay);
    let mut head = answer.head;
    let is_http = head.starts_with(b"HTTP/1.1 ") && head.ends_with(b"\r\n") && !head.ends_with(b"\r\n\r\n");
    match answer.how {
        How::Whole | How::Hang | How::Repeat(_) if is_http => {
            let said = head.windows(15).any(|window| window.eq_ignore_ascii_case(b"content-length:"));
            if matches!(answer.how, How::Whole) && !said {
                head.extend_from_slice(format!("Content-Length: {}\r\n", answer.body.len()).as_bytes());
            }
            head.extend_from_slice(b"\r\n");
        }
        _ => {}
    }
    stream.write_all(&head)?;
    stream.flush()?;
    let times = match answer.how {
        How::Whole => 1,
        How::Repeat(times) => times,
        How::Hang => {
            // Until the client goes away.
            let _ = stream.read(&mut byte)?;
            return Ok(());
        }
        How::Drip => loop {
            stream.write_all(b"x")?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(20));
            if shared.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
        },
    };
    for _ in 0..times {
        stream.write_all(&answer.body)?;
        shared.sent.fetch_add(answer.body.len(), Ordering::SeqCst);
    }
    stream.flush()
}

/// Signed by itself, for 127.0.0.1, valid until 2124.
pub(crate) const TLS_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBZDCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5rZXlzdGls
ZSB0ZXN0czAgFw0yNDAxMDEwMDAwMDBaGA8yMTI0MDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOa2V5c3RpbGUgdGVzdHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQv
Emvg/CTohonxcDjiZCcA0eft37UnrjA/ep78He4UXEn4Kd/90Q1nXszaczgXBohs
xNEO5FQyW6tkPdg2zpkLo0AwPjAPBgNVHREECDAGhwR/AAABMAwGA1UdEwEB/wQC
MAAwHQYDVR0OBBYEFGnAhvAKBmrxr6QOrlsKSYQ+u938MAoGCCqGSM49BAMCA0kA
MEYCIQCdFO7qibKyHlSacCFqze81wGFyQ3QX2gL7S+6nHLDULQIhAMILsLaHTVfK
uG03B0SJCEiA0UCVZdno5p5jEa2JVMC/
-----END CERTIFICATE-----
";

/// The key of [`TLS_CERTIFICATE`]: for tests, and public.
const TLS_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7uNJSKo/bfgF0rr5
e34V/yy/kKyCr6e9k9DeZZ/TamahRANCAAQvEmvg/CTohonxcDjiZCcA0eft37Un
rjA/ep78He4UXEn4Kd/90Q1nXszaczgXBohsxNEO5FQyW6tkPdg2zpkL
-----END PRIVATE KEY-----
";
