//! What helps those who type: help, versions, completions.

use primer_harness::ran;

#[test]
fn each_client_has_a_help_with_examples() {
    for (tool, words) in [
        ("pub", &["-t, --topic <TOPIC>", "--will-retain", "vmstat", "Exit codes"][..]),
        ("sub", &["-F, --format <FORMAT>", "--retained-only", "strftime", "27 the time of -W is over"]),
        ("rr", &["-e, --response-topic <TOPIC>", "primer rr -t"]),
    ] {
        let help = ran::run(&[tool, "--help"], b"");
        for word in words {
            assert!(help.text().contains(word), "no {word:?}: {}", help.stdout);
        }
        assert!(ran::run(&[tool, "--version"], b"").text().starts_with(&format!("primer {tool} version ")));
        assert_eq!(ran::run(&["help", tool], b"").text().lines().next(), help.stdout.lines().next());
        assert!(ran::run(&["--help"], b"").text().contains(&format!("  {tool} ")));
    }
}

#[test]
fn shells_complete_all_commands_and_the_options_of_the_clients() {
    for (shell, words) in [
        ("bash", &["--retained-only", "--will-topic", "serve"][..]),
        ("zsh", &["--retained-only", "--will-topic", "serve"]),
        ("fish", &["retained-only", "will-topic", "serve"]),
    ] {
        let script = ran::run(&["completions", shell], b"");
        for word in words {
            assert!(script.text().contains(word), "{shell} has no {word}");
        }
    }
    ran::run(&["completions", "cmd"], b"").failed(2, &["'cmd'", "bash"]);
}
