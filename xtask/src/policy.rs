//! The project's policy: every list that a check reads, in one place.

/// The only place packages may come from.
pub(crate) const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Licences that a dependency may be used under, by their SPDX identifiers.
pub(crate) const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that must not be dependencies, directly or indirectly, with the reason.
pub(crate) const BANNED: &[(&str, &str)] = &[
    ("agnostic-mdns", "mdns-sd is the mDNS library"),
    ("astro-dnssd", "mdns-sd is the mDNS library"),
    ("libmdns", "mdns-sd is the mDNS library"),
    ("mdns", "mdns-sd is the mDNS library"),
    ("searchlight", "mdns-sd is the mDNS library"),
    ("simple-mdns", "mdns-sd is the mDNS library"),
    ("zeroconf", "mdns-sd is the mDNS library"),
    ("actix-broker", "the router is the broker"),
    ("actix-telepathy", "meshzero itself connects actors"),
    ("bastion", "actix is the actor library"),
    ("coerce", "actix is the actor library"),
    ("kameo", "actix is the actor library"),
    ("ractor", "actix is the actor library"),
    ("riker", "actix is the actor library"),
    ("xactor", "actix is the actor library"),
    ("xtra", "actix is the actor library"),
    ("async-std", "tokio is the runtime"),
    ("smol", "tokio is the runtime"),
    ("native-tls", "it links a system library"),
    ("openssl-sys", "it links a system library"),
    ("serde_yaml", "it is not maintained"),
];

/// Packages of which two versions at once would mean two mailboxes, two runtimes or two wire formats.
pub(crate) const SINGLE: &[&str] =
    &["actix", "actix-rt", "bytes", "mdns-sd", "rmp-serde", "serde", "socket2", "tokio"];

/// The crate that users depend on, and the most crates that it may bring, itself included.
pub(crate) const LIBRARY: (&str, usize) = ("meshzero", 89);

/// The floors of the stair from the ground up. A crate may depend only on floors below its own.
pub(crate) const FLOORS: &[&[&str]] = &[
    &["meshzero-proto"],
    &["meshzero-actors", "meshzero-interleavings"],
    &["meshzero"],
    &["meshzero-cli", "meshzero-python", "meshzero-simulation", "weather"],
];

/// Members beside the stair: no floor may ship them, and they may not depend on a floor.
pub(crate) const BESIDE: &[&str] = &["meshzero-testing", "xtask"];

/// The crates that are published, each after those that it depends on.
pub(crate) const PUBLISHED: &[&str] = &["meshzero-proto", "meshzero-actors", "meshzero", "meshzero-cli"];

/// Dependencies that a crate must not have, directly or indirectly: the crate, the packages, and the reason.
pub(crate) const FOREIGN: &[(&str, &[&str], &str)] = &[(
    "meshzero-proto",
    &["actix", "actix-rt", "arc-swap", "if-addrs", "mdns-sd", "mio", "socket2", "tokio"],
    "the protocol is pure: bytes and `now` in, bytes and events out",
)];

/// Words that must not occur in the code of a folder, tests excepted: the folder, its exceptions, the words, and the reason.
pub(crate) struct Wording {
    pub(crate) folder: &'static str,
    /// Files or folders below it that may use the words.
    pub(crate) except: &'static [&'static str],
    pub(crate) words: &'static [&'static str],
    pub(crate) reason: &'static str,
}

/// The rules of the floors that manifests cannot express, because the standard library needs no dependency.
pub(crate) const WORDINGS: &[Wording] = &[
    Wording {
        folder: "proto/src",
        except: &[],
        words: &[
            "Instant::now",
            "SystemTime",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
        ],
        reason: "the protocol has no clock, no sockets and no threads: they belong to its caller",
    },
    Wording {
        folder: "actors/src",
        except: &["actors/src/discovery/mdns.rs", "actors/src/discovery/mdns/"],
        words: &["mdns_sd"],
        reason: "only the mdns module may use the mDNS library",
    },
    Wording {
        folder: "src",
        except: &[],
        words: &["mdns_sd", "socket2", "TcpListener", "TcpStream", "UdpSocket"],
        reason: "sockets belong to meshzero-actors",
    },
];

/// The floors inside a crate, from the ground up.
pub(crate) struct FolderFloors {
    /// The folder of the crate's root.
    pub(crate) source: &'static str,
    /// Every module directly below the root, a folder or a file. It may import from floors below its own only.
    pub(crate) floors: &'static [&'static [&'static str]],
}

/// The crates whose folders have an order.
pub(crate) const FOLDERS: &[FolderFloors] = &[
    FolderFloors {
        source: "proto/src",
        floors: &[
            &["buffer", "id", "limits", "name", "rounded", "shortened", "trace"],
            &["codec"],
            &["zmtp"],
            &["wire"],
            &["stream"],
            &["call"],
            &["news"],
            &["discovery"],
            &["diagnosis"],
            &["networkzero"],
        ],
    },
    FolderFloors {
        source: "actors/src",
        floors: &[
            &["runtime"],
            &["telemetry"],
            &["net"],
            &["config"],
            &["message"],
            &["link"],
            &["discovery"],
            &["server"],
            &["context"],
            &["diagnosis"],
            &["client"],
            &["node"],
            &["networkzero"],
        ],
    },
    FolderFloors {
        source: "src",
        floors: &[
            &["block_on", "diagnosis", "error", "prometheus", "trace", "watch"],
            &["request", "service", "subscribe", "value"],
            &["advertise", "recipient"],
            &["service_ref"],
            &["discover"],
            &["mesh"],
            &["join", "networkzero"],
            &["zero"],
        ],
    },
    FolderFloors {
        source: "apps/cli/src",
        floors: &[
            &["child_programs", "detached", "encoding", "parse", "render", "schema", "signals"],
            &["message", "not_found"],
            &["failure", "template"],
            &["output", "stdin", "target"],
            &["global_args"],
            &["session"],
            &["bench", "demo"],
            &["commands"],
            &["args"],
        ],
    },
];

/// The most lines of a Rust or Python file, without a module of tests at its end.
pub(crate) const LONGEST_FILE: usize = 500;

/// The most lines of a file of tests.
pub(crate) const LONGEST_TESTS: usize = 700;

/// Words that a doc comment should not begin with: a noun phrase or a verb names its subject sooner.
pub(crate) const QUESTION_WORDS: &[&str] = &["How", "What", "Where", "Whether", "Who", "Whom", "Whose"];

/// The percentage of a crate's doc comments that may begin so nevertheless.
pub(crate) const QUESTIONS_PERCENT: usize = 1;

/// Phrases that are not plain technical English, in lower case, each with its replacement.
pub(crate) const BANNED_PHRASES: &[(&str, &str)] = &[
    ("anew", "write \"again\" or \"restarted\""),
    ("as many as may", "name the limit"),
    ("for ever", "write \"forever\" or \"without a limit\""),
];
