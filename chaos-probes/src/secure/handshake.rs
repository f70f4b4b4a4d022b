//! Whose certificates are believed, the handshake, and why it fails, in words.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use chaos_core::{model::probe::Trust, probe::Observation, trouble::Trouble};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_cert::der::Decode as _;

use super::Stream;
use crate::{
    endpoint::Host,
    failure::{Failure, cannot},
};

/// What a client believes and whom it asks for.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    protocols: Vec<Vec<u8>>,
}

impl Tls {
    /// Prepares handshakes with a server of this name; `protocol` is what is spoken afterwards (RFC 7301), if anything.
    pub(crate) fn open(trust: &Trust, host: &Host, protocol: Option<&str>) -> Result<Tls, Trouble> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(trust)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().map_err(
            |error| cannot(format!("no certificate can be checked: {error}"), "check the trusted file"),
        )?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) | Host::Absolute(name) => ServerName::try_from(name.clone()).map_err(|_| {
                cannot(
                    format!("`{name}` is not a name that a certificate can have"),
                    "write a host name or an address",
                )
            })?,
        };
        let protocols = protocol.map(|p| p.as_bytes().to_vec()).into_iter().collect();
        Ok(Tls { provider, verifier, name, protocols })
    }

    /// Makes a handshake; when the server's certificate ends and how long it took is noted.
    pub(crate) async fn secure(&self, stream: TcpStream, seen: &mut Observation) -> Result<Stream, Failure> {
        let start = Instant::now();
        let (made, left) = self.handshake(stream).await;
        seen.value = left;
        let stream = made?;
        seen.tls = Some(start.elapsed());
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Makes a handshake; also returns how long the server's certificate is still valid, in seconds, if one was seen.
    async fn handshake(&self, stream: TcpStream) -> (Result<TlsStream<TcpStream>, Failure>, Option<f64>) {
        let verifier = Arc::new(Witness { inner: self.verifier.clone(), ends: Mutex::default() });
        let config =
            ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions();
        let mut config = match config {
            Ok(config) => {
                config.dangerous().with_custom_certificate_verifier(verifier.clone()).with_no_client_auth()
            }
            Err(error) => return (Err(Failure::NotRun(error.to_string().into())), None),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        // Each connection shows its certificate, and none is quicker because of one before it.
        config.resumption = Resumption::disabled();
        let connected = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream).await;
        let ends = *verifier.ends.lock().unwrap_or_else(PoisonError::into_inner);
        (connected.map_err(|error| explain(&error)), ends.map(left))
    }
}

/// Returns the seconds until an instant, negative where it has passed.
fn left(ends: SystemTime) -> f64 {
    match ends.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    }
}

/// The largest file of certificates that is read, in bytes; those of all public authorities together take a quarter of it.
const MOST_TRUST: u64 = 1 << 20;

fn roots(trust: &Trust) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(cannot(
                    "this machine trusts no certificate authority",
                    "install `ca-certificates`, or name an authority: `trust file \"ca.pem\"`",
                ));
            }
        }
        Trust::File(path) => {
            let unusable = |why: String| {
                cannot(
                    format!("the trusted certificates in `{path}` cannot be used: {why}"),
                    "name a PEM file with at least one certificate of an authority",
                )
            };
            // A file of somebody else's scenario must not keep the runner waiting, nor fill its memory.
            let text = chaos_core::ordinary::read(path.value.as_ref(), MOST_TRUST);
            let text = text.map_err(|error| unusable(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("there is none".into()));
            }
        }
    }
    Ok(roots)
}

/// Checks certificates as usual, and notes when the server's own ends, be it accepted or not.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    ends: Mutex<Option<SystemTime>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends(end_entity);
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn ends(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let since: Duration = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Says why a handshake failed, in words that do not vary from one to the next.
fn explain(error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return Failure::from_io(error).under("tls");
    };
    Failure::failed(match error {
        Error::InvalidCertificate(why) => format!("tls: {}", certificate(why)),
        Error::AlertReceived(alert) => format!("tls: the server refused: {alert:?}"),
        Error::InvalidMessage(_) => "tls: the server does not speak TLS".to_owned(),
        Error::PeerIncompatible(_) => "tls: no version or cipher in common".to_owned(),
        Error::NoApplicationProtocol => "tls: no application protocol in common".to_owned(),
        other => format!("tls: {other}"),
    })
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate not valid yet".into()
        }
        CertificateError::UnknownIssuer => "certificate from an unknown issuer".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "certificate for another name".into()
        }
        CertificateError::Revoked => "certificate revoked".into(),
        CertificateError::BadSignature => "certificate with a bad signature".into(),
        CertificateError::BadEncoding => "malformed certificate".into(),
        other => format!("certificate not accepted: {other}"),
    }
}
