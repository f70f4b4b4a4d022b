//! What starts, and what does not.

use std::time::Duration;

use chaos_core::model::{Lab as Declaration, Program, Ready};
use chaos_lab::{BringUpError, Lab, LabError};

use crate::harness::{command, host, programs, shell, up};

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
