//! Who listens on which TCP port (/proc/net/tcp, proc_pid_net(5)), and locks on port numbers.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

/// A listening TCP socket of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub uid: u32,
    pub inode: u64,
}

/// All listening TCP sockets, IPv4 and IPv6.
pub fn listeners() -> Vec<Listener> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(parse_listener).collect::<Vec<_>>())
        .collect()
}

fn parse_listener(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Addresses are printed as native-endian 32-bit words.
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .map(|i| u32::from_str_radix(&address[i * 8..i * 8 + 8], 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [v4] => IpAddr::V4(Ipv4Addr::from(*v4)),
        [_, _, _, _] => {
            let mut bytes = [0u8; 16];
            bytes.copy_from_slice(&words.concat());
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(Listener {
        address: SocketAddr::new(ip, port),
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Holds a port number against other runs on this machine until dropped (or until the process is gone,
/// however it ended): an abstract Unix socket, which lives exactly as long as its descriptor and is one
/// per network namespace, as ports are (unix(7)). None when somebody else holds it.
pub fn lock_port(port: u16) -> Option<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    let name = UnixAddr::new_abstract(format!("bgjobs-port-{port}").as_bytes()).ok()?;
    bind(fd.as_raw_fd(), &name).ok()?;
    Some(fd)
}

/// Whether a server could bind this port now, on every address of both families.
pub fn bindable(port: u16) -> bool {
    let v4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    // A machine without IPv6 has nothing to collide with there.
    let v6_taken = matches!(
        TcpListener::bind((Ipv6Addr::LOCALHOST, port)),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse
    );
    v4.is_ok() && !v6_taken
}

/// The first port that the kernel may give to an outgoing connection (ip(7), ip_local_port_range).
pub fn ephemeral_start() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(32768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_listening_sockets_of_both_families() {
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0";
        let v6 = "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0";
        let v4 = parse_listener(v4).expect("v4");
        assert_eq!((v4.address.to_string(), v4.uid, v4.inode), ("127.0.0.1:8080".to_owned(), 1000, 4711));
        assert_eq!(parse_listener(v6).expect("v6").address.to_string(), "[::1]:80");
    }

    #[test]
    fn connected_sockets_and_garbage_are_no_listeners() {
        let connected = "   0: 0100007F:1F90 0100007F:0001 01 0:0 00:0 0 0 0 1";
        for line in [connected, "", "x y z 0A", "0: 1:1 0:0 0A 0:0 0:0 0 0 0 1"] {
            assert_eq!(parse_listener(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_locked_port_cannot_be_locked_again_until_it_is_let_go() {
        let held = lock_port(1).expect("free");
        assert!(lock_port(1).is_none());
        drop(held);
        assert!(lock_port(1).is_some());
    }
}
