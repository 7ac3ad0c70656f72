//! A small HTTP server on a loopback address.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server that is up until it is dropped.
pub(crate) struct LoopbackServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl LoopbackServer {
    /// Answers each request with the status and the JSON that `answer` gives for its path.
    pub(crate) fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> io::Result<LoopbackServer> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let server = thread::spawn({
            let stopped = Arc::clone(&stopped);
            move || {
                for caller in listener.incoming() {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    // A caller that goes away has only itself to blame.
                    let _ = caller.and_then(|caller| respond(caller, &answer));
                }
            }
        });
        Ok(LoopbackServer { address, stopped, server: Some(server) })
    }

    /// The URL of this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the server, which waits for a caller.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            // One that panicked has said so.
            let _ = server.join();
        }
    }
}

fn respond(mut caller: TcpStream, answer: &dyn Fn(&str) -> (u16, String)) -> io::Result<()> {
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
    let request = String::from_utf8_lossy(&request);
    let (status, body) = answer(request.split(' ').nth(1).unwrap_or_default());
    let head = "Content-Type: application/json\r\nCache-Control: max-age=600\r\nConnection: close\r\n";
    write!(caller, "HTTP/1.1 {status} Answer\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

const MAX_REQUEST_LEN: usize = 16_384;
