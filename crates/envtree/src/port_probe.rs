//! Finds out whether a host port is free, and who holds it.
//!
//! An answer is true for the moment only: between it and the use of the port, anyone may take it.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::path::Path;

use envtree_core::service::Protocol;

/// The state of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of its program, of 15 bytes at most, without control characters.
    pub name: String,
    /// The id of the container that it runs in, if its control group has the name of one.
    pub container: Option<String>,
}

impl Holder {
    /// Returns whether the process works in `folder` or below; one that does not tell counts as if it did.
    pub(crate) fn works_in(&self, folder: &Path) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).map_or(true, |at| at.starts_with(folder))
    }
}

/// Returns whether `port` can be bound on 127.0.0.1, on 0.0.0.0, on `::1` and on `::`.
///
/// A port that anybody holds on any address of the machine is therefore not free, even where another address would do:
/// `localhost` may lead there. A machine without IPv6 counts as free there. A port that this user may not bind is not free. An SCTP port counts as
/// free, for nothing here can bind it.
pub fn is_free(port: u16, protocol: Protocol) -> bool {
    let bind = |address: IpAddr| match protocol {
        // The standard library sets `SO_REUSEADDR` on listeners: a connection that was closed a moment ago does not
        // count, but another listener does. Some systems let a wildcard and an address coexist, so each is tried.
        Protocol::Tcp => TcpListener::bind((address, port)).map(drop),
        Protocol::Udp => UdpSocket::bind((address, port)).map(drop),
        Protocol::Sctp => Ok(()),
    };
    let is_free_or_absent = |address: Ipv6Addr| !bind(address.into()).is_err_and(|error| is_held(&error));
    bind(Ipv4Addr::LOCALHOST.into()).is_ok()
        && bind(Ipv4Addr::UNSPECIFIED.into()).is_ok()
        && is_free_or_absent(Ipv6Addr::LOCALHOST)
        && is_free_or_absent(Ipv6Addr::UNSPECIFIED)
}

fn is_held(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
}

/// Returns a process that holds `port`, a listening one first.
///
/// `None` if there is none, if it belongs to another user (the Engine's proxy usually does), or if the system is not
/// Linux. Of processes that share a socket, such as a server and its workers, the one with the lowest id is returned.
pub fn holder(port: u16, protocol: Protocol) -> Option<Holder> {
    sockets(port, protocol).iter().find_map(|socket| process_with(socket.inode))
}

/// Returns the sockets bound to `port`, listening ones first.
fn sockets(port: u16, protocol: Protocol) -> Vec<Socket> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Sctp => return Vec::new(),
    };
    let mut sockets: Vec<_> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| parse_sockets(&table, port))
        .collect();
    sockets.sort_by_key(|socket| !socket.is_listening);
    sockets
}

/// Returns the user whose process holds `port`, a listening one first, by name where the user has one; for holders of
/// which no more can be told. `None` where the system is not Linux.
pub fn user(port: u16, protocol: Protocol) -> Option<String> {
    let user = sockets(port, protocol).first()?.user;
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(user_name(&users, user).unwrap_or_else(|| user.to_string()))
}

fn user_name(users: &str, wanted: u32) -> Option<String> {
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = users.find(|user| user.get(2).and_then(|id| id.parse().ok()) == Some(wanted))?;
    Some(user[0].replace(char::is_control, "?"))
}

struct Socket {
    inode: u64,
    user: u32,
    is_listening: bool,
}

/// Returns the sockets bound to `port` of a table such as `/proc/net/tcp`, those without a process left out.
fn parse_sockets(table: &str, port: u16) -> Vec<Socket> {
    let parse = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
        let user = fields.get(7)?.parse().ok()?;
        let is_listening = *fields.get(3)? == LISTENING;
        (u16::from_str_radix(local, 16) == Ok(port)).then_some(Socket { inode, user, is_listening })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

fn process_with(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let pid = pids.into_iter().find(|pid| holds(*pid, Path::new(&wanted)))?;
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim_end().replace(char::is_control, "?");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    Some(Holder { pid, name, container: container_id(&groups) })
}

/// Returns the id of a container out of the control groups of a process: Engines name the group by the 64 digits.
fn container_id(groups: &str) -> Option<String> {
    let mut words = groups.split(|c: char| !c.is_ascii_alphanumeric());
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The innermost group comes last.
    words.rfind(is_id).map(str::to_owned)
}

fn holds(pid: u32, socket: &Path) -> bool {
    // The files of another user's process cannot be read.
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == socket))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn listener(address: &str) -> (TcpListener, u16) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn a_port_is_free_again_once_its_listener_is_gone() {
        let (listener, port) = listener("127.0.0.1");
        assert!(!is_free(port, Protocol::Tcp));
        drop(listener);
        assert!(is_free(port, Protocol::Tcp));
    }

    #[test]
    fn a_listener_on_any_address_of_the_machine_is_seen() {
        for address in ["0.0.0.0", "127.0.0.2", "::1", "::"] {
            let Ok(listener) = TcpListener::bind((address, 0)) else {
                assert!(address.contains(':'), "only IPv6 may be missing");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(!is_free(port, Protocol::Tcp), "{address}");
        }
    }

    #[test]
    fn a_connection_that_was_just_closed_does_not_hold_its_port() {
        let (listener, port) = listener("127.0.0.1");
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        let (accepted, _) = listener.accept().unwrap();
        drop(accepted);
        drop(listener);
        drop(client);
        assert!(is_free(port, Protocol::Tcp));
    }

    #[test]
    fn the_protocols_have_ports_of_their_own() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(!is_free(port, Protocol::Udp));
        assert!(is_free(port, Protocol::Sctp));
        assert_eq!(holder(port, Protocol::Sctp), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_listens_is_named() {
        let (_listener, port) = listener("127.0.0.1");
        let found = holder(port, Protocol::Tcp).unwrap();
        assert_eq!(found.pid, std::process::id());
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(found.name, name.trim_end());

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(holder(port, Protocol::Udp).unwrap().pid, std::process::id());
    }

    #[test]
    fn the_container_of_a_process_is_the_innermost_of_its_control_groups() {
        let [outer, inner] = ["0123456789abcdef", "fedcba9876543210"].map(|digits| digits.repeat(4));
        let nested = format!("1:cpu:/docker/{outer}/docker/{inner}\n");
        let slice = format!("0::/system.slice/docker-{inner}.scope\n");
        for groups in [nested, slice] {
            assert_eq!(container_id(&groups).as_ref(), Some(&inner));
        }
        assert_eq!(container_id("0::/user.slice/user-1000.slice/session-2.scope\n"), None);
    }

    #[test]
    fn a_free_port_has_no_holder() {
        let (listener, port) = listener("127.0.0.1");
        drop(listener);
        assert_eq!(holder(port, Protocol::Tcp), None);
    }

    #[test]
    fn only_sockets_of_the_port_that_belong_to_a_process_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:4E20 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
   2: 0100007F:4E20 0100007F:9C41 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   3: 0100007F:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 100 0 0 10 0
   4: damaged
";
        let sockets = parse_sockets(table, 20000);
        let read: Vec<_> =
            sockets.iter().map(|socket| (socket.inode, socket.user, socket.is_listening)).collect();
        assert_eq!(read, [(4711, 1000, true), (4712, 1000, false)]);
    }

    #[test]
    fn a_user_is_named_as_the_system_names_it() {
        let users = "root:x:0:0::/root:/bin/sh\ndamaged\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(user_name(users, 1000).as_deref(), Some("me"));
        assert_eq!(user_name(users, 2), None);
    }
}
