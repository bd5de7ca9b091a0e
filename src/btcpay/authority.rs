//! Which certificate BTCPay may show, where `[btcpay] ca_file` names its own: an authority's, or the very one that it shows.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// What reqwest would offer by itself.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS that trusts the certificates of this file and no others: not the system's authorities either.
///
/// Errors: what is wrong with the file, in words.
pub(super) fn tls(ca_file: &Path) -> Result<ClientConfig, String> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(ca_file)
        .and_then(Iterator::collect)
        .map_err(|err| format!("{} cannot be read as PEM certificates: {err}", ca_file.display()))?;
    if certificates.is_empty() {
        return Err(format!(
            "{} holds no certificate; it has to begin with -----BEGIN CERTIFICATE-----",
            ca_file.display()
        ));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|err| format!("{} holds a certificate that cannot be used: {err}", ca_file.display()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let by_authority = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let by_authority = by_authority.map_err(|err| err.to_string())?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|err| err.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { certificates, by_authority }))
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

/// Takes what an authority of the file signed, and the file's certificates themselves.
#[derive(Debug)]
struct Named {
    certificates: Vec<CertificateDer<'static>>,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let judged = self.by_authority.verify_server_cert(shown, between, name, ocsp, now);
        // OpenSSL makes a self-signed certificate an authority's by default, which no server may show by the rules. Here it
        // is named itself, bit by bit: only its name is left to look at.
        if matches!(&judged, Err(TlsError::InvalidCertificate(CertificateError::Other(_))))
            && self.certificates.iter().any(|named| named == shown)
        {
            verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.by_authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.by_authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// Why a certificate was refused, and what to do; `None` if the error is about something else.
pub(super) fn refused(err: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(err);
    while let Some(err) = cause {
        // An io::Error's source is its inner error's, which itself would be left out.
        let inner = err.downcast_ref::<std::io::Error>().and_then(|err| err.get_ref());
        let tls = inner.and_then(|inner| inner.downcast_ref::<TlsError>()).or_else(|| err.downcast_ref());
        if let Some(TlsError::InvalidCertificate(why)) = tls {
            return Some(in_words(why));
        }
        cause = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| err.source());
    }
    None
}

fn in_words(why: &CertificateError) -> String {
    let own = "if it is one of your own, name it, or its authority's, in btcpay.ca_file";
    match why {
        CertificateError::UnknownIssuer => format!("no authority that this machine knows signed it; {own}"),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!("it is self-signed, as OpenSSL makes one by default; {own}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name; write btcpay.url with a name that the certificate has".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired; renew it".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; compare the clocks".into()
        }
        other => format!("{other}; {own}"),
    }
}
