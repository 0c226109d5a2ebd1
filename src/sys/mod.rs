//! System calls, thin and without policy. The only folder with `unsafe`; it imports nothing of ours.
//!
//! ```text
//! clock    monotonic time that stands still while the run is stopped (Ctrl-Z)
//! clone    ways to start a child that libc does not offer
//! fd       descriptors: close-on-exec for what was inherited, bounded writes
//! fork     the guard's fork of the host, the spawner's fork of a job
//! heap     how the allocator gets its memory
//! hole     holes in files
//! ipc      shared memory that does not end with its processes
//! kernel   files of /proc and /sys
//! link     messages between guard and host
//! local    Unix sockets that have a path, and who is at the other end
//! names    users, groups and hosts
//! namespace  a fork behind walls: PID, network and user namespaces
//! open     open a file past links that others have planted
//! page     the memory that guard and host share
//! pidfd    a process that cannot be confused with its successor
//! proc     what /proc says of processes
//! pty      pseudo terminals
//! sched    when a thread gets its turn
//! signal   masks, dispositions, signalfd, names
//! socket   who listens on which TCP port; port locks
//! stream   much output in few system calls
//! testing  switches for the project's own tests
//! tree     remove a tree of files
//! tty      terminal modes
//! vault    memory for secrets, and for where logs are
//! wait     peek at and reap children
//! watch    one inotify instance
//! ```
#![allow(unsafe_code)]

pub mod clock;
mod clone;
pub mod fd;
pub mod fork;
pub mod heap;
pub mod hole;
pub mod ipc;
pub mod kernel;
pub mod link;
pub mod local;
pub mod names;
pub mod namespace;
pub mod open;
pub mod page;
pub mod pidfd;
pub mod proc;
pub mod pty;
pub mod sched;
pub mod signal;
pub mod socket;
pub mod stream;
pub mod testing;
pub mod tree;
pub mod tty;
pub mod vault;
pub mod wait;
pub mod watch;
