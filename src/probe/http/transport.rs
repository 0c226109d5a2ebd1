//! How a connection is made: names of this machine, Unix sockets, and a note of when the server has accepted.

use super::flight::{Flight, Leg};
use crate::jobs::names;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// Resolves names; `localhost` is both families.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The connector needs none.
    pub none: bool,
    pub only: Option<SocketAddr>,
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let loopback = host.eq_ignore_ascii_case("localhost")
            || host.len() > 10 && host.to_ascii_lowercase().ends_with(".localhost");
        if !loopback && !self.none && self.only.is_none() {
            names::prepare();
            return DefaultResolver::default().resolve(uri, config, timeout);
        }
        let mut addresses = self.empty();
        if let Some(only) = self.only {
            addresses.push(only);
            return Ok(addresses);
        }
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            addresses.push(SocketAddr::new(ip, port));
        }
        Ok(addresses)
    }
}

/// Notes that the server has accepted the connection: what is said to it comes after that.
#[derive(Debug)]
pub(super) struct Accepted(pub(super) Arc<Flight>);

impl<In: Transport> Connector<In> for Accepted {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.0.reaches(Leg::Accepted);
        Ok(chained)
    }
}

/// Connects to a Unix socket.
#[derive(Debug)]
pub(super) struct UnixConnector(pub(super) PathBuf);

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = Either<In, UnixTransport>;

    fn connect(&self, details: &ConnectionDetails, _: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let stream = UnixStream::connect(&self.0)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(UnixTransport { stream, buffers })))
    }
}

#[derive(Debug)]
pub(super) struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        use std::io::Write;
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false // Never used twice.
    }
}
