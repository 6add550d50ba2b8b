//! A set over three PostgreSQL servers on loopback: many processes, rotations while it serves, kills, and a server that is away.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use dukpt::MemoryStore;
use p2pe_crypto::{Pan, Policy, Purpose};
use support::{id, keys, merchant, names, pan, policy};
use throwaway_postgres::{Server, Settings};
use vault::{RateLimit, ShardedVault, StoreError, VaultError, open_stores};

type Set = ShardedVault<MemoryStore>;

/// The URLs of a child's databases, one a line.
const DATABASES: &str = "VAULT_SET";

fn start() -> Vec<Server> {
    let settings = Settings { loopback: true, ..Settings::default() };
    let starting: Vec<_> = (0..3)
        .map(|_| {
            let settings = settings.clone();
            thread::spawn(move || Server::start(&settings).unwrap())
        })
        .collect();
    starting.into_iter().map(|server| server.join().unwrap()).collect()
}

fn shared() -> &'static [Server] {
    static SHARED: OnceLock<Vec<Server>> = OnceLock::new();
    SHARED.get_or_init(start)
}

/// Names of new databases, one on each server.
fn new_databases(servers: &[Server]) -> Vec<String> {
    let name = |url: String| url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    servers.iter().map(|server| name(server.new_database().unwrap())).collect()
}

fn urls(servers: &[Server], databases: &[String], deadline: u32) -> Vec<String> {
    let url = |(server, name): (&Server, &String)| format!("{}&deadline={deadline}", server.loopback_url(name));
    servers.iter().zip(databases).map(url).collect()
}

fn made(urls: &[String]) -> Set {
    let set = ShardedVault::init(open_stores(urls).unwrap(), keys(1, 2), names(), id("routing"));
    set.unwrap().with_rate_limit(RateLimit(u32::MAX))
}

fn opened(urls: &[String]) -> Set {
    ShardedVault::open(open_stores(urls).unwrap(), keys(1, 2)).unwrap().with_rate_limit(RateLimit(u32::MAX))
}

/// How many rows each server has.
fn rows(servers: &[Server], databases: &[String]) -> Vec<u64> {
    let count = |(server, name): (&Server, &String)| server.sql(name, "SELECT count(*) FROM tokens").unwrap();
    servers.iter().zip(databases).map(|pair| count(pair).parse().unwrap()).collect()
}

fn verified(set: &Set, rows: u64) {
    let found = set.verify().unwrap();
    assert!(found.rows == rows && found.problems.is_empty() && found.orphans.is_empty(), "{found:?}");
}

/// Whether a card number of the tests stands in the files of a server. No token of these tests looks like one.
fn clear_number(server: &Server, database: &str) -> bool {
    server.sql(database, "CHECKPOINT").unwrap();
    let number = server.sql(database, "SELECT oid FROM pg_database WHERE datname = current_database()").unwrap();
    let folders = [server.data().join("base").join(number), server.data().join("pg_wal")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let log = server.data().parent().unwrap().join("log");
    // The server renames its old logs.
    let bytes = files.chain([log]).filter(|path| path.is_file()).map(|path| fs::read(path).unwrap_or_default());
    let clear = |window: &[u8]| window.starts_with(b"49999") && window.iter().all(u8::is_ascii_digit);
    bytes.into_iter().any(|bytes| bytes.windows(16).any(clear))
}

fn child(test: &str, urls: &[String]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DATABASES, urls.join("\n"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The set of this process, if it is a child.
fn of_child() -> Option<Set> {
    let urls = env::var(DATABASES).ok()?;
    Some(opened(&urls.lines().map(Into::into).collect::<Vec<_>>()))
}

/// Number and token of each line `token NUMBER TOKEN`; the last one may be cut.
fn said(lines: impl Iterator<Item = String>) -> Vec<(u64, String)> {
    let words = |line: String| match line.split(' ').collect::<Vec<_>>()[..] {
        ["token", number, token] if token.len() == 37 => Some((number.parse().unwrap(), token.to_owned())),
        _ => None,
    };
    lines.filter_map(words).collect()
}

fn lines_of(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// Processes ask for the same cards, one by one, in batches and by name, while each kind of key gets a successor.
#[test]
fn many_processes_while_keys_rotate() {
    const CARDS: u64 = 60;
    if let Some(set) = of_child() {
        let (shop, mut out) = (policy("shop"), std::io::stdout());
        for number in 0..CARDS {
            let token = match number % 3 {
                0 => set.tokenize(&shop, &pan(number), None).unwrap(),
                1 => set.tokenize(&shop, &pan(number), Some(&format!("order {number}"))).unwrap(),
                _ => {
                    let pans: Vec<Pan> = (0..=number).rev().take(6).map(pan).collect();
                    let tokens = set.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap();
                    tokens.into_iter().next().unwrap().unwrap()
                }
            };
            let back = set.detokenize("till", &shop, Purpose::Payment, &token).unwrap();
            assert_eq!(back.pan.expose(), pan(number).expose());
            writeln!(out, "\ntoken {number} {token}").unwrap();
        }
        return;
    }
    let databases = new_databases(shared());
    let urls = urls(shared(), &databases, 30);
    let set = made(&urls);
    // So that there is something to move.
    let early: Vec<Pan> = (1000..1100).map(pan).collect();
    set.tokenize_batch(&policy("shop"), &early.iter().collect::<Vec<_>>()).unwrap();
    let mut children: Vec<Child> = (0..3).map(|_| child("many_processes_while_keys_rotate", &urls)).collect();
    let readers: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let lines = lines_of(child);
            thread::spawn(move || said(lines))
        })
        .collect();
    let mut turns = 0;
    while turns == 0 || children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        let second = |name: &str| id(&format!("{name}{}", if turns % 2 == 0 { "-2" } else { "" }));
        set.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
        set.rotate_wrapping_key(&second("wrapping"), |_, _| ()).unwrap();
        set.rotate_fingerprint_key(&second("fingerprints"), |_, _| ()).unwrap();
        turns += 1;
    }
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    let all: Vec<BTreeMap<u64, String>> =
        readers.into_iter().map(|reader| reader.join().unwrap().into_iter().collect()).collect();
    assert!(all.iter().all(|tokens| tokens.len() as u64 == CARDS && *tokens == all[0]));
    verified(&set, 100 + CARDS);
    let each = rows(shared(), &databases);
    assert!(each.iter().all(|rows| *rows > 20) && each.iter().sum::<u64>() == 100 + CARDS, "{each:?}");
    let stats = set.stats().unwrap();
    for (stats, rows) in stats.iter().zip(&each) {
        assert_eq!((stats.keys.len(), stats.keys[0].rows), (1, *rows), "nothing is left on an old key");
        assert_eq!((stats.fingerprint_keys.len(), stats.fingerprint_keys[0].1), (1, *rows));
    }
    assert_eq!(stats.iter().map(|stats| stats.audit).sum::<u64>(), 3 * CARDS);
    assert!(!shared().iter().zip(&databases).any(|(server, name)| clear_number(server, name)));
}

/// Killed while it stores named requests: each name has one card and one token, whichever of its two shards it had reached.
#[test]
fn killed_at_random_points() {
    let once = policy("shop").single_use().unwrap();
    let ask = |set: &Set, card, name| set.tokenize(&once, &pan(card), Some(&format!("order {name}")));
    if let Some(set) = of_child() {
        let mut out = std::io::stdout();
        let first = set.stats().unwrap().iter().map(|stats| stats.requests).sum::<u64>() * 10;
        writeln!(out, "\nready").unwrap();
        for number in first.. {
            writeln!(out, "\ntoken {number} {}", ask(&set, number, number).unwrap()).unwrap();
        }
    }
    let databases = new_databases(shared());
    let urls = urls(shared(), &databases, 30);
    let (set, mut random) = (made(&urls), 12_u64);
    for kill in 0..8 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = child("killed_at_random_points", &urls);
        let mut lines = lines_of(&mut child);
        lines.find(|line| line == "ready").expect("it begins");
        let reader = thread::spawn(move || said(lines));
        thread::sleep(Duration::from_micros((random >> 40) % 100_000));
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
        let said = reader.join().unwrap();
        let next = said.last().map(|(number, _)| number + 1);
        for (number, token) in said.iter().rev().take(10) {
            assert_eq!(&ask(&set, *number, *number).unwrap(), token, "kill {kill}");
            for other in 1..4 {
                let refused = ask(&set, number + 5000 * other, *number);
                assert!(matches!(refused, Err(VaultError::RequestReused)), "kill {kill}");
            }
        }
        // The one that it was at: bound or not, stored or not, the same request gets one token.
        for number in next.into_iter().flat_map(|next| next..next + 2) {
            let token = ask(&set, number, number).unwrap();
            assert_eq!(ask(&set, number, number).unwrap(), token);
            assert_eq!(set.tokens_of(&merchant("shop"), &pan(number)).unwrap(), [token], "kill {kill}");
        }
    }
    let total = rows(shared(), &databases).iter().sum();
    assert!(total > 16);
    verified(&set, total);
    assert!(!shared().iter().zip(&databases).any(|(server, name)| clear_number(server, name)));
}

fn away<T>(result: &Result<T, VaultError>) -> bool {
    matches!(result, Err(VaultError::Store(StoreError::Unavailable(_))))
}

/// While a server is away, its cards and tokens have that error, and all others are served; by a process that begins now, too.
#[test]
fn a_server_is_away() {
    let servers = start();
    let databases = new_databases(&servers);
    let urls = urls(&servers, &databases, 1);
    let (set, shop) = (made(&urls), policy("shop"));
    let pans: Vec<Pan> = (0..30).map(pan).collect();
    let all: Vec<&Pan> = pans.iter().collect();
    let tokens: Vec<String> = set.tokenize_batch(&shop, &all).unwrap().into_iter().map(Result::unwrap).collect();
    assert!(set.tokenize_batch(&policy("gone"), &all).unwrap().iter().all(Result::is_ok));
    let on_second = |token: &String| {
        let sql = format!("SELECT count(*) FROM tokens WHERE token = '{token}'");
        servers[1].sql(&databases[1], &sql).unwrap() == "1"
    };
    let lost: Vec<bool> = tokens.iter().map(on_second).collect();
    let (one_lost, one_left) = (lost.iter().position(|l| *l).unwrap(), lost.iter().position(|l| !l).unwrap());
    servers[1].crash().unwrap();
    let begun = opened(&urls);
    for set in [&set, &begun] {
        for at in 0..pans.len() {
            if !lost[at] {
                assert_eq!(set.tokenize(&shop, &pans[at], None).unwrap(), tokens[at]);
                assert!(set.detokenize("till", &shop, Purpose::Payment, &tokens[at]).is_ok());
            }
        }
        assert!(away(&set.tokenize(&shop, &pans[one_lost], None)));
        assert!(away(&set.detokenize("till", &shop, Purpose::Payment, &tokens[one_lost])));
        // Each card of a batch has its own answer.
        for (at, answer) in set.tokenize_batch(&shop, &all).unwrap().iter().enumerate() {
            assert!(if lost[at] { away(answer) } else { answer.as_ref().is_ok_and(|token| *token == tokens[at]) });
        }
        assert!(away(&set.stats()) && away(&set.shred(&merchant("gone"))));
    }
    // A name is bound in a shard that is there, and its card's shard is not: as if it had been killed between the two.
    let claims = |at: usize| servers[at].sql(&databases[at], "SELECT count(*) FROM claims").unwrap();
    let name = (0..20).map(|i| format!("order {i}")).find(|name| {
        assert!(away(&set.tokenize(&shop, &pans[one_lost], Some(name))));
        (claims(0), claims(2)) != ("0".into(), "0".into())
    });
    let name = name.unwrap();
    drop(set);
    let other = begun.tokenize(&shop, &pans[one_left], Some(&name));
    assert!(matches!(other, Err(VaultError::RequestReused)), "{other:?}");
    servers[1].start_again().unwrap();
    // What was stopped at that server goes on.
    assert!(begun.shred(&merchant("gone")).unwrap() > 0);
    let mut answers = begun.tokenize_batch(&shop, &all).unwrap();
    assert!(answers.drain(..).zip(&tokens).all(|(answer, token)| answer.unwrap() == *token), "it serves again");
    assert_eq!(begun.tokenize(&shop, &pans[one_lost], Some(&name)).unwrap(), tokens[one_lost]);
    let other = begun.tokenize(&shop, &pans[one_left], Some(&name));
    assert!(matches!(other, Err(VaultError::RequestReused)), "{other:?}");
    verified(&begun, 30);
}

/// The callers' limit holds over all processes and servers.
#[test]
fn rate_limit_of_many_processes() {
    let shop: Policy = policy("shop");
    let limited = |set: Set| set.with_rate_limit(RateLimit(30));
    if let Some(set) = of_child() {
        let (set, pans) = (limited(set), (0..30).map(pan).collect::<Vec<_>>());
        let tokens = set.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap();
        for (number, token) in tokens.into_iter().map(Result::unwrap).enumerate().cycle().take(60) {
            match set.detokenize("till", &shop, Purpose::Payment, &token) {
                Ok(_) => println!("\ntoken {number} {token}"),
                Err(error) => assert!(matches!(error, VaultError::RateLimited), "{error}"),
            }
        }
        return;
    }
    let databases = new_databases(shared());
    let urls = urls(shared(), &databases, 30);
    drop(made(&urls));
    let children: Vec<Child> = (0..3).map(|_| child("rate_limit_of_many_processes", &urls)).collect();
    let granted = children.into_iter().map(|mut child| {
        let granted = said(lines_of(&mut child)).len();
        assert!(child.wait().unwrap().success());
        granted
    });
    assert_eq!(granted.sum::<usize>(), 30);
}
