//! Does a TCP port accept a connection?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one attempt may take. On this machine it takes microseconds, unless the server's backlog is full.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Where a host is. `localhost` means both families, whatever /etc/hosts says.
pub fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if host == "localhost" {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let found: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|e| format!("cannot resolve `{host}`: {e}"))?.collect();
    if found.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(found) }
}

/// The addresses of a host that is this machine, told without a look-up: connecting there hardly ever blocks.
pub fn local(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    (host == "localhost" || loopback).then(|| addresses(host, port).ok()).flatten()
}

/// One attempt at each address in turn; the first failure in words when none accepts.
pub fn connect(addresses: &[SocketAddr]) -> Result<(), String> {
    let mut first = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, ATTEMPT) {
            Ok(_) => return Ok(()),
            Err(error) => drop(first.get_or_insert(explain(&error))),
        }
    }
    Err(first.unwrap_or_else(|| "no address".to_owned()))
}

/// An I/O error as people say it.
pub fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
