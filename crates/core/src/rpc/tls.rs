//! Certificates and keys, from files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::printable::printable;

/// The files with which a server or a client secures its connections, all in PEM format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// This side's certificate, with the intermediate ones up to the authority.
    pub cert: Option<PathBuf>,
    /// The key of this side's certificate.
    pub key: Option<PathBuf>,
    /// The certificates of the trusted authorities.
    pub ca: Option<PathBuf>,
}

/// Why files cannot secure anything.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{option} {}: {source}", printable(&path.to_string_lossy()))]
    Unreadable {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{option} {}: has no {wanted} in PEM format", printable(&path.to_string_lossy()))]
    Content {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// One of two files that belong together.
    #[error("{given} needs {missing}, too")]
    Half {
        /// The option that is there.
        given: &'static str,
        /// The option that is missing.
        missing: &'static str,
    },
}

impl TlsFiles {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == TlsFiles::default()
    }

    /// The configuration of a server. With an authority, clients may show certificates, and are refused if theirs comes
    /// from another one. None if there is no certificate.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or holds something else.
    pub fn server(&self) -> Result<Option<ServerTlsConfig>, TlsError> {
        let Some(identity) = self.identity()? else {
            return match self.ca {
                Some(_) => Err(TlsError::Half { given: "--tls-ca", missing: "--tls-cert" }),
                None => Ok(None),
            };
        };
        let config = ServerTlsConfig::new().identity(identity).timeout(super::CONNECT_TIMEOUT * 2);
        Ok(Some(match self.authority()? {
            Some(authority) => config.client_ca_root(authority).client_auth_optional(true),
            None => config,
        }))
    }

    /// The configuration of a client that trusts a server only if its certificate comes from the authority. None if
    /// there are no files.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or holds something else.
    pub fn client(&self) -> Result<Option<ClientTlsConfig>, TlsError> {
        if self.is_empty() {
            return Ok(None);
        }
        let identity = self.identity()?;
        let authority = self.authority()?.ok_or(TlsError::Half { given: "--tls-cert", missing: "--tls-ca" })?;
        let config = ClientTlsConfig::new().ca_certificate(authority).timeout(super::CONNECT_TIMEOUT);
        Ok(Some(match identity {
            Some(identity) => config.identity(identity),
            None => config,
        }))
    }

    fn identity(&self) -> Result<Option<Identity>, TlsError> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let cert = read("--tls-cert", cert, "certificate", "-----BEGIN CERTIFICATE-----")?;
                let key = read("--tls-key", key, "private key", "PRIVATE KEY-----")?;
                Ok(Some(Identity::from_pem(cert, key)))
            }
            (Some(_), None) => Err(TlsError::Half { given: "--tls-cert", missing: "--tls-key" }),
            (None, Some(_)) => Err(TlsError::Half { given: "--tls-key", missing: "--tls-cert" }),
            (None, None) => Ok(None),
        }
    }

    fn authority(&self) -> Result<Option<Certificate>, TlsError> {
        let read = |path| read("--tls-ca", path, "certificate", "-----BEGIN CERTIFICATE-----");
        Ok(self.ca.as_deref().map(read).transpose()?.map(Certificate::from_pem))
    }
}

/// Reads a file that should hold this.
fn read(option: &'static str, path: &Path, wanted: &'static str, mark: &str) -> Result<String, TlsError> {
    let path = || path.to_owned();
    let text = fs::read(path()).map_err(|source| TlsError::Unreadable { option, path: path(), source })?;
    let text = String::from_utf8(text).ok().filter(|text| text.contains(mark));
    text.ok_or_else(|| TlsError::Content { option, path: path(), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_belong_together_are_asked_for_together() {
        let path = || Some(PathBuf::from("x.pem"));
        let files = |cert, key, ca| TlsFiles { cert, key, ca };
        let told = |files: TlsFiles| {
            (files.server().err().map(|error| error.to_string()), files.client().err().map(|error| error.to_string()))
        };
        assert_eq!(told(files(None, None, None)), (None, None));
        let both = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
        assert_eq!(told(files(path(), None, None)), both("--tls-cert needs --tls-key, too"));
        assert_eq!(told(files(None, path(), None)), both("--tls-key needs --tls-cert, too"));
        assert_eq!(told(files(None, None, path())).0.as_deref(), Some("--tls-ca needs --tls-cert, too"));
        assert!(told(files(path(), path(), None)).0.expect("no such file").starts_with("--tls-cert x.pem: "));
    }

    #[test]
    fn a_file_that_is_not_a_certificate_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cert.pem");
        fs::write(&path, "hello").expect("a file");
        let files = TlsFiles { cert: Some(path.clone()), key: Some(path), ca: None };
        let error = files.server().expect_err("no certificate").to_string();
        assert!(error.starts_with("--tls-cert ") && error.ends_with("cert.pem: has no certificate in PEM format"));
    }
}
