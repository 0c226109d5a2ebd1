//! Who listens on which TCP port, and locks on port numbers.
//!
//! The kernel is asked over netlink (sock_diag(7)), which walks the listening sockets only. /proc/net/tcp
//! walks the table of all connections, which takes milliseconds on a large machine; it is the fall-back where
//! netlink may not be used.

use super::kernel;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, UnixAddr, bind, recv, sendto,
    socket,
};
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
    let ask = |family| ask_kernel(family).ok();
    match (ask(nix::libc::AF_INET), ask(nix::libc::AF_INET6)) {
        (Some(mut v4), Some(v6)) => {
            v4.extend(v6);
            v4
        }
        _ => read_proc(),
    }
}

/// Whether somebody listens at one of these addresses of this machine, also by listening at all of them. None where the
/// kernel cannot be asked.
///
/// A look-up of each in its table costs a fifth of connecting in vain; and whoever has just begun to listen gets no
/// connection that says nothing.
pub fn listens(addresses: &[SocketAddr]) -> Option<bool> {
    thread_local! {
        static ASKED: Option<OwnedFd> = diagnosis().ok();
    }
    ASKED.with(|fd| look_up(fd.as_ref()?, addresses).ok())
}

/// SOCK_DIAG_BY_FAMILY for one socket each, as the kernel finds it for a connection that comes in (sock_diag(7)).
fn look_up(fd: &OwnedFd, addresses: &[SocketAddr]) -> nix::Result<bool> {
    let mut requests = Vec::new();
    for address in addresses {
        let mut id = [0; SOCKET_ID];
        id[..2].copy_from_slice(&address.port().to_be_bytes());
        // Whoever connects to no address at all comes to the loopback (ip(7)).
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => id[4..8].copy_from_slice(&Ipv4Addr::LOCALHOST.octets()),
            IpAddr::V4(ip) => id[4..8].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) if ip.is_unspecified() => id[4..20].copy_from_slice(&Ipv6Addr::LOCALHOST.octets()),
            IpAddr::V6(ip) => id[4..20].copy_from_slice(&ip.octets()),
        }
        // By the loopback interface, which is number 1: who is bound to it is meant, too.
        id[36..40].copy_from_slice(&1u32.to_ne_bytes());
        // INET_DIAG_NOCOOKIE: whichever it is.
        id[40..].fill(0xff);
        requests.extend(request(NLM_F_REQUEST, family_of(*address), id));
    }
    sendto(fd.as_raw_fd(), &requests, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    // Each has its answer, and none may be left for the next question.
    let answers: Vec<nix::Result<bool>> = addresses.iter().map(|_| receive_look_up(fd)).collect();
    answers.into_iter().try_fold(false, |any, answer| Ok(any || answer?))
}

fn receive_look_up(fd: &OwnedFd) -> nix::Result<bool> {
    let mut buffer = [0; 1024];
    let length = loop {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other?,
        }
    };
    let answer = &buffer[..length];
    match (half(answer, 4), word(answer, NETLINK_HEADER).map(u32::cast_signed)) {
        (Some(SOCK_DIAG_BY_FAMILY), _) => Ok(true),
        (Some(NLMSG_ERROR), Some(code)) if code == -nix::libc::ENOENT => Ok(false),
        _ => Err(nix::errno::Errno::EPROTO),
    }
}

fn family_of(address: SocketAddr) -> i32 {
    if address.is_ipv4() { nix::libc::AF_INET } else { nix::libc::AF_INET6 }
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NETLINK_HEADER: usize = 16;
/// struct inet_diag_sockid: two ports and two addresses in network order, an interface, a cookie.
const SOCKET_ID: usize = 48;

fn diagnosis() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)
}

fn request(flags: u16, family: i32, id: [u8; SOCKET_ID]) -> Vec<u8> {
    const REQUEST: usize = 8 + SOCKET_ID;
    let mut message = Vec::with_capacity(NETLINK_HEADER + REQUEST);
    // struct nlmsghdr: length, type, flags, sequence, port.
    message.extend(u32::try_from(NETLINK_HEADER + REQUEST).unwrap_or(0).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    // struct inet_diag_req_v2: family, IPPROTO_TCP, no extensions, padding, a bit for TCP_LISTEN, the socket.
    message.extend([u8::try_from(family).unwrap_or(0), 6, 0, 0]);
    message.extend((1u32 << 10).to_ne_bytes());
    message.extend(id);
    message
}

/// All TCP sockets in the state LISTEN.
fn ask_kernel(family: i32) -> nix::Result<Vec<Listener>> {
    let fd = diagnosis()?;
    let message = request(NLM_F_REQUEST | NLM_F_DUMP, family, [0; SOCKET_ID]);
    sendto(fd.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 32 << 10];
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if read_answers(&buffer[..length], &mut found)? {
            return Ok(found);
        }
    }
}

/// Reads the messages of one datagram; true when the last one was among them.
fn read_answers(mut bytes: &[u8], into: &mut Vec<Listener>) -> nix::Result<bool> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = usize::try_from(length).unwrap_or(0);
        if length < 16 || length > bytes.len() {
            return Err(nix::errno::Errno::EPROTO);
        }
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(nix::errno::Errno::EPROTO),
            _ => into.extend(parse_answer(&bytes[16..length])),
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    Ok(false)
}

/// struct inet_diag_msg: four bytes (the first is the family), the socket's id (ports and addresses in network
/// order), five words of which the last two are the user and the inode.
fn parse_answer(bytes: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    let ip = match i32::from(*bytes.first()?) {
        nix::libc::AF_INET => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
        _ => IpAddr::V6(Ipv6Addr::from(address)),
    };
    Some(Listener {
        address: SocketAddr::new(ip, port),
        uid: word(bytes, 64)?,
        inode: u64::from(word(bytes, 68)?),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The same from /proc/net/tcp and tcp6 (proc_pid_net(5)).
fn read_proc() -> Vec<Listener> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| kernel::text(path).ok())
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
        .map(|i| u32::from_str_radix(address.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
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
    bind_name(&format!("{PORT_LOCK}{port}"))
}

/// As [`lock_port`] where somebody else holds that name, whom it keeps from nothing: under a name that nobody can guess
/// and hold in advance. Whether another process of ours has one is for the caller to see.
pub fn lock_port_beside(port: u16) -> Option<OwnedFd> {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), port);
    bind_name(&format!("{PORT_LOCK}{port}.{random:016x}"))
}

/// With which the names of locks begin.
const PORT_LOCK: &str = "bgjobs-port-";

/// The locks on ports that anybody holds in this network namespace, each with the inode of its socket.
pub fn port_locks() -> Vec<(u16, u64)> {
    let text = kernel::read("/proc/net/unix").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(parse_port_lock).collect()
}

/// A line of /proc/net/unix (proc_pid_net(5)); the inode is the seventh field, and `@` stands for the NUL of an abstract
/// name.
fn parse_port_lock(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(6);
    let inode = fields.next()?.parse().ok()?;
    let number = fields.next()?.strip_prefix('@')?.strip_prefix(PORT_LOCK)?;
    let end = number.find('.').unwrap_or(number.len());
    Some((number[..end].parse().ok()?, inode))
}

fn bind_name(name: &str) -> Option<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    let name = UnixAddr::new_abstract(name.as_bytes()).ok()?;
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
    kernel::text("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(32768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netlink_and_proc_agree_on_a_new_listener() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(server) = TcpListener::bind(host) else { continue };
            let address = server.local_addr().expect("bound");
            let in_proc = read_proc().into_iter().find(|l| l.address == address).expect("in /proc");
            let family = if address.is_ipv4() { nix::libc::AF_INET } else { nix::libc::AF_INET6 };
            assert!(ask_kernel(family).expect("netlink").contains(&in_proc), "{in_proc:?}");
        }
    }

    #[test]
    fn a_look_up_finds_who_listens_at_an_address_or_at_all_of_them() {
        let at = |address: &str, port| SocketAddr::new(address.parse().expect("an address"), port);
        let ask = |address: &str, port| listens(&[at(address, port)]);
        for (bound, asked, found) in [
            ("127.0.0.1:0", "127.0.0.1", true),
            ("127.0.0.1:0", "127.0.0.2", false),
            ("127.0.0.1:0", "0.0.0.0", true),
            ("0.0.0.0:0", "127.0.0.1", true),
            ("[::1]:0", "::1", true),
            ("[::1]:0", "::", true),
            ("[::1]:0", "127.0.0.1", false),
            ("[::]:0", "::1", true),
            // As long as the machine lets one socket serve both families, which is the default.
            ("[::]:0", "127.0.0.1", true),
        ] {
            let Ok(server) = TcpListener::bind(bound) else { continue };
            let port = server.local_addr().expect("bound").port();
            assert_eq!(ask(asked, port), Some(found), "{bound} {asked}");
            assert_eq!(
                listens(&[at("127.0.0.9", 1), at(asked, port)]),
                Some(found),
                "{bound}, the second one"
            );
            drop(server);
            assert_eq!(ask(asked, port), Some(false), "{bound} {asked}, closed");
        }
        // One that hears only what comes by the loopback interface. (Before Linux 5.7 that takes a capability.)
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = server.local_addr().expect("bound").port();
        let interface = std::ffi::OsString::from("lo");
        if nix::sys::socket::setsockopt(&server, nix::sys::socket::sockopt::BindToDevice, &interface).is_ok()
        {
            assert_eq!(ask("127.0.0.1", port), Some(true));
        }
    }

    #[test]
    fn a_cut_answer_is_an_error_or_nothing_but_no_panic() {
        let mut found = Vec::new();
        for length in 0..20 {
            let mut bytes = vec![0u8; length];
            if length >= 4 {
                bytes[..4].copy_from_slice(&200u32.to_ne_bytes());
            }
            let _ = read_answers(&bytes, &mut found);
            assert_eq!(parse_answer(&bytes), None);
        }
        assert!(found.is_empty());
    }

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
        for line in
            [connected, "", "0: \u{fffd}\u{fffd}\u{fffd}:1 x 0A", "x y z 0A", "0: 1:1 0:0 0A 0:0 0:0 0 0 0 1"]
        {
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

    #[test]
    fn locks_on_ports_are_listed_with_their_inodes() {
        let held = [lock_port(2).expect("free"), lock_port_beside(2).expect("free")];
        let inode = |fd: &OwnedFd| nix::sys::stat::fstat(fd).expect("open").st_ino;
        let listed = port_locks();
        assert!(held.iter().all(|fd| listed.contains(&(2, inode(fd)))), "{listed:?}");
        for line in [
            "",
            "Num RefCount Protocol Flags Type St Inode Path",
            "a: 2 0 0 2 1 77 @bgjobs-port-",
            "a: 2 0 0 2 1 77",
        ] {
            assert_eq!(parse_port_lock(line), None, "{line:?}");
        }
    }

    #[test]
    fn no_answer_and_no_line_makes_the_reader_of_sockets_panic_or_spin() {
        let line = "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0";
        // A message of the kernel: its length, its type, its number, then a socket.
        let mut message = vec![88, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 10, 0, 0];
        message.resize(88, 1);
        crate::fuzz::for_a_while("socket", |random| {
            let mut changed = line.as_bytes().to_vec();
            random.mutate(&mut changed);
            let _ = parse_listener(&String::from_utf8_lossy(&changed));
            let mut answer = message.repeat(random.below(4));
            random.mutate(&mut answer);
            let mut found = Vec::new();
            let _ = (read_answers(&answer, &mut found), parse_answer(&random.bytes(100)));
            assert!(found.len() <= answer.len() / 16, "{found:?}");
        });
    }
}
