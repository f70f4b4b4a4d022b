//! Labs on the real kernel: brought up, used, broken, and gone.
//!
//! They take root; `rootless.rs` does the same as an ordinary user.

mod harness {
    use std::io::{Read as _, Write as _};
    use std::net::{IpAddr, SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use chaos_core::model::{Host, Lab as Declaration, Program, Ready};
    use chaos_lab::{Lab, Namespace, Programs};

    pub(crate) fn programs() -> Programs {
        Programs::of(env!("CARGO_BIN_EXE_chaos-lab"))
    }

    pub(crate) fn http(work: Duration, capacity: Option<u32>) -> Program {
        Program::Http { port: 8080, work, capacity, status: 200 }
    }

    pub(crate) fn gateway(timeout: Duration, retries: u32) -> Program {
        Program::Gateway { port: 80, upstream: "api".into(), upstream_port: 8080, timeout, retries }
    }

    pub(crate) fn command(line: &str, ready: Ready) -> Program {
        Program::Command { argv: line.split(' ').map(str::to_owned).collect(), ready }
    }

    pub(crate) fn shell(script: &str, ready: Ready) -> Program {
        Program::Command { argv: ["sh", "-c", script].map(str::to_owned).into(), ready }
    }

    pub(crate) fn host(name: &str, copies: Option<u32>, programs: Vec<Program>) -> Host {
        Host { name: name.into(), copies, programs: programs.into_iter().map(Into::into).collect() }
    }

    pub(crate) async fn up(hosts: Vec<Host>) -> Lab {
        Lab::up(&Declaration { hosts, ..Declaration::default() }, &programs())
            .await
            .expect("the lab comes up")
    }

    /// The six hosts of the quickstart.
    pub(crate) fn six() -> Vec<Host> {
        vec![
            host("client", None, vec![]),
            host("gw", None, vec![gateway(Duration::from_millis(200), 1)]),
            host("api", Some(3), vec![http(Duration::ZERO, Some(50))]),
            host("dns", None, vec![Program::Dns]),
        ]
    }

    #[derive(Debug)]
    pub(crate) struct Answer {
        pub(crate) status: u16,
        pub(crate) head: String,
        pub(crate) body: String,
        pub(crate) took: Duration,
    }

    impl Answer {
        pub(crate) fn header(&self, name: &str) -> Option<&str> {
            self.head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
        }
    }

    /// Asks over one new connection from inside a namespace.
    pub(crate) fn get(from: &Namespace, server: IpAddr, port: u16, path: &str) -> std::io::Result<Answer> {
        let address = SocketAddr::new(server, port);
        let started = Instant::now();
        let mut stream = from.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)))??;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status =
            head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned(), took: started.elapsed() })
    }

    /// Waits until `done`, for a bounded time.
    pub(crate) fn eventually(within: Duration, mut done: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < within {
            if done() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        done()
    }

    /// The processes whose pid namespace is not this process's own and whose first process was `holder`.
    pub(crate) fn family(holder: u32) -> Vec<u32> {
        let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
            .expect("/proc is there")
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok())
            .filter_map(|pid| {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                let parent = status.lines().find_map(|l| l.strip_prefix("PPid:\t"))?.parse().ok()?;
                Some((pid, parent))
            })
            .collect();
        let mut family = vec![holder];
        let mut next = 0;
        while next < family.len() {
            let parent = family[next];
            family.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        family
    }
}

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use chaos_core::environment::Environment as _;
use chaos_core::model::{Lab as Declaration, Program, Ready};
use chaos_core::place::{Object, ObjectKind};
use chaos_lab::{BringUpError, Lab, LabEnvironment, LabError, LabEvent, Namespace};
use harness::{command, eventually, get, host, http, programs, shell, six, up};

#[tokio::test(flavor = "multi_thread")]
async fn six_hosts_talk_by_name_and_address() {
    let started = Instant::now();
    let lab = up(six()).await;
    eprintln!("six hosts up in {:?}", started.elapsed());
    let client = &lab.host("client").unwrap().namespace;
    assert_eq!(lab.hosts().len(), 6);
    assert_eq!(lab.resolve("api").len(), 6);
    assert_eq!(lab.resolve("api-2.lab"), lab.host("api-2").unwrap().addresses);
    for address in lab.resolve("api") {
        assert_eq!(get(client, *address, 8080, "/").unwrap().status, 200, "{address}");
    }
    let gateway = lab.resolve("gw")[0];
    let served: BTreeSet<String> = (0..9)
        .map(|_| get(client, gateway, 80, "/").unwrap().header("x-served-by").unwrap().to_owned())
        .collect();
    assert_eq!(served.into_iter().collect::<Vec<_>>(), ["api-1", "api-2", "api-3"], "round robin over all");
    for program in lab.programs() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid)).unwrap();
        let rss = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        eprintln!("{} {} {rss}", program.host, program.what);
    }
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_of_a_host_is_its_own() {
    let lab = up(vec![host("a-name-beyond-fifteen-characters", Some(2), vec![])]).await;
    let first = &lab.hosts()[0];
    let links =
        first.namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let names: BTreeSet<&str> =
        links.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    // Some kernels put tunnel devices into every namespace; what matters is what the lab adds.
    assert!(names.contains("lo") && names.contains(first.interface), "{names:?}");
    let switch = lab.switch().run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    for host in lab.hosts() {
        assert!(switch.contains(&format!("{}:", host.switch_interface)), "{switch}");
    }
    let mine = std::fs::read_to_string("/proc/net/dev").unwrap();
    assert!(!mine.contains(&first.switch_interface), "nothing of the lab shows outside: {mine}");
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn real_programs_see_the_lab() {
    let look = "hostname; cat /etc/hosts /etc/resolv.conf; getent ahosts api; echo > /run/mine; sleep 1000";
    let lab = up(vec![
        host("client", None, vec![shell(look, Ready::After(Duration::from_millis(300)))]),
        host("api", Some(2), vec![]),
    ])
    .await;
    let output = lab.output("client", 0).await.unwrap();
    assert!(output.starts_with("client\n"), "{output}");
    assert!(output.contains("10.77.0.3 api-2 api-2.lab") && output.contains("search lab"), "{output}");
    let resolved = output.lines().filter(|l| l.contains("STREAM") && l.starts_with("10.77.0.")).count();
    assert_eq!(resolved, 2, "the C library finds both copies: {output}");
    assert!(!std::path::Path::new("/run/mine").exists());
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_its_own_session_and_no_descriptor_of_the_lab() {
    let look = "ls /proc/self/fd | wc -l; cut -d' ' -f1,6 /proc/self/stat; echo $$; sleep 1000";
    let lab =
        up(vec![host("client", None, vec![shell(look, Ready::After(Duration::from_millis(300)))])]).await;
    let output = lab.output("client", 0).await.unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "4", "in, out, error, and the folder that ls reads: {output}");
    let session = lines[1].split(' ').nth(1).unwrap();
    assert_eq!(session, lines[2], "the program leads its session: {output}");
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_library_asks_the_labs_dns() {
    let look = "getent ahosts api; getent hosts api-1.lab; getent hosts nobody || echo none; sleep 1000";
    let lab = up(vec![
        host("dns", None, vec![Program::Dns]),
        host("client", None, vec![shell(look, Ready::After(Duration::from_millis(300)))]),
        host("api", Some(2), vec![]),
    ])
    .await;
    let client = lab.output("client", 0);
    let output = client.await.unwrap();
    assert!(output.contains("10.77.0.3") && output.contains("10.77.0.4"), "{output}");
    assert!(output.trim_end().ends_with("none"), "{output}");
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_is_named() {
    let fail = async |program: Program| {
        let mut programs = programs();
        programs.ready_within = Duration::from_millis(400);
        let hosts = vec![host("db", None, vec![program])];
        match Lab::up(&Declaration { hosts, ..Declaration::default() }, &programs).await {
            Err(LabError::BringUp(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let missing = fail(command("no-such-program-here --port 1", Ready::Tcp(1))).await;
    assert!(matches!(&missing, BringUpError::Start { host, .. } if host == "db"), "{missing}");
    let died = fail(shell("echo cannot read the config >&2; exit 3", Ready::Tcp(6379))).await.to_string();
    assert!(
        died.contains("host `db`") && died.contains("exit status: 3") && died.contains("cannot read"),
        "{died}"
    );
    let silent = fail(shell("echo still thinking; sleep 1000", Ready::Tcp(6379))).await.to_string();
    assert!(silent.contains("port 6379") && silent.contains("still thinking"), "{silent}");
    let status =
        fail(Program::Http { port: 80, work: Duration::ZERO, capacity: None, status: 9 }).await.to_string();
    assert!(status.contains("status 9"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    // The first opens the port of the second without saying so.
    let squatter = "exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 8080); sleep 1000'";
    let hosts =
        vec![host("api", None, vec![shell(squatter, Ready::After(Duration::from_millis(1))), http_late()])];
    let error =
        Lab::up(&Declaration { hosts, ..Declaration::default() }, &programs()).await.unwrap_err().to_string();
    assert!(
        error.contains("port 8080") && error.contains("host `api`") && error.contains("another program"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_answers_on_makes_nobody_ready() {
    let listen = "IO::Socket::INET->new(Listen => 1, LocalPort => 8080)";
    let settled = Ready::After(Duration::from_millis(1));
    let first = format!("exec perl -MIO::Socket::INET -e 'my $s = {listen}; sleep 1000'");
    // It takes its time before it finds out; until then the port is answered on, by the first.
    let second = format!(
        "sleep 0.5; exec perl -MIO::Socket::INET -e 'my $s = {listen} or die qq(no luck: $!); sleep 1000'"
    );
    let hosts =
        vec![host("api", None, vec![shell(&first, settled.clone()), shell(&second, Ready::Tcp(8080))])];
    let error =
        Lab::up(&Declaration { hosts, ..Declaration::default() }, &programs()).await.unwrap_err().to_string();
    assert!(
        error.contains("ended before the lab was up") && error.contains("no luck: Address already"),
        "{error}"
    );
    // One that never finds out is not ready either, and it is said who is in its way.
    let mut impatient = programs();
    impatient.ready_within = Duration::from_secs(2);
    let hosts = vec![host("api", None, vec![shell(&first, settled), shell("sleep 1000", Ready::Tcp(8080))])];
    let error =
        Lab::up(&Declaration { hosts, ..Declaration::default() }, &impatient).await.unwrap_err().to_string();
    assert!(error.contains("tcp port 8080 is taken by") && error.contains("perl"), "{error}");
}

/// The built-in server, started late enough for another program to be first.
fn http_late() -> Program {
    let exe = env!("CARGO_BIN_EXE_chaos-lab");
    let script = format!("sleep 0.5; exec {exe} serve http '{{\"host\":\"api\",\"port\":8080}}'");
    shell(&script, Ready::After(Duration::from_secs(5)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_dies_is_news_and_can_be_restarted() {
    let lab =
        up(vec![host("client", None, vec![]), host("api", Some(2), vec![http(Duration::ZERO, None)])]).await;
    let mut events = lab.events();
    let victim = lab.programs().into_iter().find(|p| p.host == "api-2").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim.pid as i32), nix::sys::signal::SIGKILL).unwrap();
    let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
    match event {
        LabEvent::ProgramDied(death) => {
            assert_eq!((death.host.as_str(), death.program, death.requested), ("api-2", 0, false));
            assert!(death.status.contains("SIGKILL") && death.what.contains("http port 8080"), "{death:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lab.programs().len(), 1);
    let client = &lab.host("client").unwrap().namespace;
    let address = lab.resolve("api-2")[0];
    assert!(get(client, address, 8080, "/").is_err());

    let again = lab.restart("api-2", 0).await.unwrap();
    assert_ne!(again.pid, victim.pid);
    assert_eq!(get(client, address, 8080, "/").unwrap().header("x-served-by"), Some("api-2"));
    assert_eq!(lab.programs().len(), 2);
    let error = lab.signal("api-2", 7, 9).await.unwrap_err();
    assert!(matches!(error, LabError::BringUp(BringUpError::Unknown { program: 7, .. })));
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_capacity_and_obeys_its_paths() {
    let lab = up(vec![
        host("client", None, vec![]),
        host("api", None, vec![http(Duration::from_millis(200), Some(2))]),
    ])
    .await;
    let client = lab.host("client").unwrap().namespace.clone();
    let api = lab.resolve("api")[0];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(get(&client, api, 8080, "/").unwrap().status, 200));
        }
    });
    assert!(
        started.elapsed() >= Duration::from_millis(600),
        "two at a time, three turns: {:?}",
        started.elapsed()
    );
    assert_eq!(get(&client, api, 8080, "/status/503").unwrap().status, 503);
    let slow = get(&client, api, 8080, "/slow/500").unwrap();
    assert!(slow.took >= Duration::from_millis(500) && slow.body == "api\n", "{slow:?}");
    drop(client);
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_retries_and_says_why_it_gives_up() {
    let lab = up(vec![
        host("client", None, vec![]),
        host("gw", None, vec![harness::gateway(Duration::from_millis(300), 1)]),
        host("api", Some(2), vec![http(Duration::ZERO, None)]),
    ])
    .await;
    let client = &lab.host("client").unwrap().namespace;
    let gateway = lab.resolve("gw")[0];
    let ask = |path: &str| get(client, gateway, 80, path).unwrap();

    let plain = ask("/");
    assert_eq!((plain.status, plain.header("x-retries")), (200, Some("0")));
    let failing = ask("/status/503");
    assert_eq!((failing.status, failing.header("x-retries")), (503, Some("1")));
    assert!(failing.header("x-served-by").unwrap().starts_with("api-"));
    let slow = ask("/slow/2000");
    assert_eq!(
        (slow.status, slow.header("x-retries"), slow.header("x-served-by")),
        (504, Some("1"), Some("gw"))
    );
    assert!(slow.took >= Duration::from_millis(600) && slow.took < Duration::from_secs(2), "{slow:?}");

    // One upstream gone: every answer still comes, from the other one.
    lab.signal("api-1", 0, libc::SIGKILL).await.unwrap();
    for _ in 0..6 {
        let answer = ask("/");
        assert_eq!((answer.status, answer.header("x-served-by")), (200, Some("api-2")), "{answer:?}");
    }
    lab.signal("api-2", 0, libc::SIGKILL).await.unwrap();
    assert!(eventually(Duration::from_secs(5), || ask("/").status == 502));
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_dns_answers_503_and_recovers() {
    let lab = up(six()).await;
    let client = &lab.host("client").unwrap().namespace;
    let gateway = lab.resolve("gw")[0];
    assert_eq!(get(client, gateway, 80, "/").unwrap().status, 200);
    lab.signal("dns", 0, libc::SIGKILL).await.unwrap();
    assert!(eventually(Duration::from_secs(5), || get(client, gateway, 80, "/").unwrap().status == 503));
    lab.restart("dns", 0).await.unwrap();
    assert_eq!(get(client, gateway, 80, "/").unwrap().status, 200);
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn going_down_leaves_nothing_and_says_who_holds_on() {
    let lab = up(six()).await;
    let (holder, family) = (lab.pid(), harness::family(lab.pid()));
    assert!(family.len() >= 6, "{family:?}");
    lab.down().await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{holder}")).exists());
    assert!(family.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));

    let lab = up(vec![host("kept", None, vec![])]).await;
    let kept: Namespace = lab.hosts()[0].namespace.clone();
    let error = lab.down().await.unwrap_err().to_string();
    assert!(error.contains("this process"), "{error}");
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_first_process_takes_everything_down() {
    let lab = up(six()).await;
    let mut events = lab.events();
    let family = harness::family(lab.pid());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(lab.pid() as i32), nix::sys::signal::SIGKILL).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), async {
        while events.recv().await.unwrap() != LabEvent::Ended {}
    });
    ended.await.unwrap();
    // The first process itself stays as a zombie until this process has waited for it.
    let rest = &family[1..];
    assert!(eventually(Duration::from_secs(2), || rest.iter().all(|p| !alive(*p))), "{family:?}");
    assert!(matches!(lab.output("gw", 0).await, Err(LabError::Ended(_))));
    lab.down().await.unwrap();
}

fn alive(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_on_the_host_and_ends_with_the_lab() {
    let lab =
        up(vec![host("client", None, vec![]), host("api", None, vec![http(Duration::ZERO, None)])]).await;
    let record = serde_json::from_str(&serde_json::to_string(lab.record()).unwrap()).unwrap();
    let script = "test $(hostname) = client && grep -q ' api$\\| api ' /etc/hosts && grep -q eth0 /proc/net/dev && ls /proc/1/exe";
    let mut look = std::process::Command::new("sh");
    look.args(["-c", script]).stdout(std::process::Stdio::null());
    let status = chaos_lab::shell::run(&record, "client.lab", look).unwrap();
    assert!(status.success(), "{status}");
    let stranger = chaos_lab::shell::run(&record, "clint", std::process::Command::new("true")).unwrap_err();
    assert!(stranger.to_string().contains("`client`, `api`"), "{stranger}");

    let long = std::thread::spawn(move || {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("1000");
        chaos_lab::shell::run(&record, "api", sleep).unwrap()
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!long.is_finished());
    lab.down().await.unwrap();
    assert!(!long.join().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_is_the_world_of_a_run() {
    let environment = LabEnvironment::new(Declaration { hosts: six(), ..Declaration::default() }, programs());
    let object = |name: &str| Object { kind: ObjectKind::Host, name: name.to_owned(), addresses: vec![] };
    environment.down().await.unwrap();
    assert!(environment.place(&object("client")).await.is_err(), "nothing is there before it is up");

    let steps = std::sync::Mutex::new(Vec::new());
    environment.up(&|step| steps.lock().unwrap().push(step.to_owned())).await.unwrap();
    assert!(steps.lock().unwrap().iter().any(|s| s.contains("hosts of the lab are up")), "{steps:?}");
    let client = environment.place(&object("client")).await.unwrap();
    assert_eq!(client.object.addresses.len(), 2);
    assert_eq!((client.interface.as_deref(), client.names.prefer_servers), (Some("eth0"), true));
    assert_eq!(client.names.hosts["api.lab"].len(), 6);
    let namespace = Namespace::open(&client.namespace.as_ref().unwrap().path).unwrap();
    assert_eq!(get(&namespace, client.names.hosts["gw"][0], 80, "/").unwrap().status, 200);
    let stranger = environment.place(&object("apo")).await.unwrap_err();
    assert!(stranger.message.contains("apo"), "{stranger}");

    let (broken, ()) = tokio::join!(environment.broken(), async {
        let pid = std::fs::read_dir("/proc").unwrap().flatten().find_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            let same = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino()
                == namespace_of_api(&environment);
            same.then_some(pid)
        });
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.unwrap()), nix::sys::signal::SIGKILL).unwrap();
    });
    assert!(broken.contains("api-1") && broken.contains("SIGKILL"), "{broken}");
    drop(namespace);
    // A place that is still kept holds nothing up.
    environment.down().await.unwrap();
    environment.down().await.unwrap();
    drop(client);
}

fn namespace_of_api(environment: &LabEnvironment) -> u64 {
    environment
        .with_lab(|lab| lab.host("api-1").and_then(|h| h.namespace.inode().ok()))
        .flatten()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_hosts_come_up() {
    let started = Instant::now();
    let lab =
        up(vec![host("client", None, vec![]), host("api", Some(199), vec![http(Duration::ZERO, None)])])
            .await;
    let took = started.elapsed();
    let client = &lab.host("client").unwrap().namespace;
    let last = lab.host("api-199").unwrap();
    assert_eq!(get(client, last.addresses[1], 8080, "/").unwrap().header("x-served-by"), Some("api-199"));
    let going = Instant::now();
    lab.down().await.unwrap();
    eprintln!("200 hosts up in {took:?}, down in {:?}", going.elapsed());
    assert!(took < Duration::from_secs(60), "{took:?}");
}
