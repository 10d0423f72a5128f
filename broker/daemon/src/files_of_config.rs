//! What the configuration names, read as the broker will read it: so that what `primer config check` calls "ok" is
//! served.

use std::{collections::BTreeSet, fs, path::Path};

use primer_broker::transport::{
    Tls,
    tls::{ALPN_HTTP, ALPN_MQTT},
};
use primer_config::Settings;
use rustix::fs::{Access, access};

use crate::serve;

/// All that is wrong with them, a line each.
pub(crate) fn faults(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for listener in settings.broker.listeners.iter().filter(|listener| seen.insert(&listener.name)) {
        let alpn = if listener.websocket.is_some() { ALPN_HTTP } else { ALPN_MQTT };
        if let Some(Err(error)) = listener.tls.as_ref().map(|tls| Tls::load(tls, alpn)) {
            faults.push(format!("listener {}: {error}", listener.name));
        }
    }
    if let Err(error) = serve::guard(&settings.access) {
        faults.push(format!("{error:#}"));
    }
    let data = settings.broker.data.as_ref();
    faults.extend(data.and_then(|data| fault_of_directory(&data.directory)));
    faults
}

/// Why messages cannot be kept there.
fn fault_of_directory(directory: &Path) -> Option<String> {
    let shown = directory.display();
    match fs::metadata(directory) {
        Ok(there) if !there.is_dir() => return Some(format!("the data directory {shown}: it is a file")),
        Ok(_) => {}
        Err(_) => {
            // It is made at the start, in what is there of its path.
            let above = directory.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
            let above = above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let may = above.is_dir() && access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok();
            return (!may).then(|| format!("the data directory {shown}: it cannot be made in {}", above.display()));
        }
    }
    let may = access(directory, Access::WRITE_OK | Access::READ_OK | Access::EXEC_OK).is_ok();
    (!may).then(|| format!("the data directory {shown}: this user may not read and write there"))
}
