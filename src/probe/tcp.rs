//! Does a TCP port accept a connection?

use crate::jobs::names;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long one attempt may take. On this machine it takes microseconds, unless the server's backlog is full.
const ATTEMPT: Duration = Duration::from_secs(1);

/// What is said when nobody listens.
pub const REFUSED: &str = "connection refused";

/// Where a host is. `localhost` means both families, whatever /etc/hosts says.
pub fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if host == "localhost" {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let found = names::addresses(host, port).map_err(|e| format!("cannot resolve `{host}`: {e}"))?;
    if found.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(found) }
}

/// The addresses of a host that is this machine, told without a look-up: connecting there hardly ever blocks.
pub fn local(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    (host == "localhost" || loopback).then(|| addresses(host, port).ok()).flatten()
}

/// One attempt at each address in turn: the one that accepts, or the first failure in words when none does.
pub fn connect(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut first = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, ATTEMPT) {
            Ok(_) => return Ok(*address),
            Err(error) => drop(first.get_or_insert(explain(&error))),
        }
    }
    Err(first.unwrap_or_else(|| "no address".to_owned()))
}

/// Whether a server answers the beginning of an HTTP/2 connection (RFC 9113, 3.4) with what must follow it, a frame of
/// settings.
pub fn speaks_http2(address: SocketAddr) -> bool {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const NO_SETTINGS: &[u8] = &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
    const SETTINGS: u8 = 4;
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ATTEMPT)?;
        stream.set_read_timeout(Some(ATTEMPT))?;
        stream.write_all(&[PREFACE, NO_SETTINGS].concat())?;
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head)
    };
    // Length, type, flags, and the number of the stream: that of the connection itself.
    ask().is_ok_and(|head| head[0] == 0 && head[3] == SETTINGS && head[5..] == [0; 4])
}

/// An I/O error as people say it.
pub fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
