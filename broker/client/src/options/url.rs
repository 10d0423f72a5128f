//! `-L` and `--proxy`: a server in one word.

/// What a URL says. Nothing in it is percent-decoded: `%` and `:` in a password are what they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// What follows the first slash after the host, which topics may begin with.
    pub(crate) path: Option<String>,
}

/// Takes a URL apart. IPv6 addresses stand in brackets.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("it has no scheme, as mqtt:// is one".to_owned());
    };
    let (server, path) = match rest.split_once('/') {
        Some((server, path)) => (server, Some(path.to_owned())),
        None => (rest, None),
    };
    let (user, place) = match server.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, server),
    };
    let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
        Some(Ok((name, password))) => (Some(name.to_owned()), Some(password.to_owned())),
        Some(Err(name)) => (Some(name.to_owned()), None),
        None => (None, None),
    };
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, port.strip_prefix(':')),
        Some(None) => return Err("the bracket of its address is not closed".to_owned()),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port @ 1..) => Some(port),
            _ => return Err(format!("its port {port:?} is no number from 1 to 65535")),
        },
    };
    Ok(Url { scheme: scheme.to_ascii_lowercase(), username, password, host: host.to_owned(), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = parse("MQTT://me:p:w%40@broker:1884/a/b").expect("a URL");
        assert_eq!((&*url.scheme, &*url.host, url.port), ("mqtt", "broker", Some(1884)));
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("me"), Some("p:w%40")));
        assert_eq!(url.path.as_deref(), Some("a/b"));
        let url = parse("mqtts://me@[::1]/").expect("a URL");
        assert_eq!((&*url.host, url.port, url.path.as_deref()), ("::1", None, Some("")));
        assert_eq!((url.username.as_deref(), url.password), (Some("me"), None));
        assert_eq!(parse("mqtt://[fe80::1]:7/x").map(|url| url.port), Ok(Some(7)));
        assert_eq!(parse("mqtt://host").map(|url| url.path), Ok(None));
    }

    #[test]
    fn a_wrong_url_is_refused_with_a_reason() {
        for (text, words) in [
            ("broker/a", "no scheme"),
            ("mqtt:///a", "names no host"),
            ("mqtt://h:0/a", "\"0\" is no number"),
            ("mqtt://h:99999/a", "\"99999\" is no number"),
            ("mqtt://[::1/a", "not closed"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
