//! Which certificate a client gets, by the server name (SNI) that it asks for.

use std::sync::Arc;

use hashbrown::HashMap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct ServerNames {
    /// For clients that name none of the others, or nothing.
    default: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what comes behind `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl ServerNames {
    pub(super) fn new(default: Arc<CertifiedKey>) -> Self {
        Self { default, exact: HashMap::new(), wildcard: HashMap::new() }
    }

    /// Gives this certificate to clients that ask for this name (`example.org`, `*.example.org`). Of two certificates
    /// with one name the first counts.
    pub(super) fn add(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_insert_with(|| Arc::clone(key)),
            None => self.exact.entry(name).or_insert_with(|| Arc::clone(key)),
        };
    }

    /// A wildcard stands for one label.
    pub(super) fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return &self.default };
        let by_parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(&name).or_else(by_parent).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ServerNames {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}
