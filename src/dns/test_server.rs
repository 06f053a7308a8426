//! A tiny name server on loopback for the tests of this room.
//!
//! It knows a handful of names under `example.org`, some of which misbehave:
//! `broken` fails, `silent` never answers, `refused` refuses, `forged` sends
//! wrong packets first, `big` needs TCP, `cut` needs it and has none, `news` is an alias
//! nobody follows and `sixless` is denied when asked for AAAA.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;

use domain::base::iana::Rcode;
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Cname, Mx, Ptr};

use crate::dns::wire::to_wire_name;

/// A running server; its threads end with the test process or at the first packet without a question.
pub struct TestServer {
    address: SocketAddr,
}

impl TestServer {
    /// Starts the server on free ports: UDP and TCP with the same number.
    pub fn start() -> Self {
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("a free port");
        let address = udp.local_addr().expect("a bound socket has an address");
        thread::spawn(move || serve_udp(&udp));
        thread::spawn(move || serve_tcp(&tcp));
        TestServer { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            let _ = socket.send_to(b"end", self.address);
        }
    }
}

fn serve_udp(socket: &UdpSocket) {
    let mut packet = [0u8; 1_024];
    while let Ok((length, peer)) = socket.recv_from(&mut packet) {
        let Ok(question) = Message::from_octets(packet[..length].to_vec()) else {
            return;
        };
        for answer in answers(&question, false) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut length = [0u8; 2];
        let _ = stream.read_exact(&mut length);
        let mut packet = vec![0u8; usize::from(u16::from_be_bytes(length))];
        let _ = stream.read_exact(&mut packet);
        let Ok(question) = Message::from_octets(packet) else {
            return;
        };
        for answer in answers(&question, true) {
            let length = u16::try_from(answer.len()).unwrap_or(0);
            let _ = stream.write_all(&length.to_be_bytes());
            let _ = stream.write_all(&answer);
        }
    }
}

fn name(text: &str) -> Name<Vec<u8>> {
    to_wire_name(text.as_bytes()).expect("a good name")
}

fn answers(question: &Message<Vec<u8>>, tcp: bool) -> Vec<Vec<u8>> {
    let Ok(asked) = question.sole_question() else {
        return Vec::new();
    };
    let text = asked.qname().to_string().to_ascii_lowercase();
    let start = |code| -> AnswerBuilder<Vec<u8>> {
        MessageBuilder::new_vec()
            .start_answer(question, code)
            .expect("room for the question")
    };
    let owner = name(&text);
    let mut good = start(Rcode::NOERROR);
    let a = |last| A::from_octets(192, 0, 2, last);
    match (text.as_str(), asked.qtype()) {
        ("silent.example.org", _) => return Vec::new(),
        ("broken.example.org" | "mxbroken.example.org", _) => {
            return vec![start(Rcode::SERVFAIL).finish()];
        }
        ("refused.example.org", _) => return vec![start(Rcode::REFUSED).finish()],
        ("big.example.org", Rtype::A) if !tcp => good.header_mut().set_tc(true),
        ("big.example.org", Rtype::A) => {
            for last in 0..40 {
                good.push((&owner, 60, a(last))).expect("room");
            }
        }
        ("cut.example.org", _) if !tcp => good.header_mut().set_tc(true),
        ("cut.example.org", _) => return Vec::new(),
        ("news.example.org", _) => {
            good.push((&owner, 60, Cname::new(name("example.org"))))
                .expect("room");
        }
        ("sixless.example.org", Rtype::A) => {
            good.push((&owner, 60, a(7))).expect("room");
        }
        ("forged.example.org", Rtype::A) => {
            good.push((&owner, 60, a(9))).expect("room");
            let right = good.finish();
            let mut wrong = right.clone();
            wrong[0] ^= 0xff;
            return vec![wrong, b"xy".to_vec(), right];
        }
        ("mx1.example.org" | "short.lan.example.org", Rtype::A) => {
            good.push((&owner, 60, a(1))).expect("room");
        }
        ("www.example.org", Rtype::A) => {
            good.push((&owner, 60, Cname::new(name("mx1.example.org"))))
                .expect("room");
            good.push((name("mx1.example.org"), 60, a(1)))
                .expect("room");
        }
        ("www.example.org", _) => {
            good.push((&owner, 60, Cname::new(name("mx1.example.org"))))
                .expect("room");
        }
        ("example.org" | "mxonly.example.org", Rtype::MX) => {
            for (preference, host) in [(20, "mx2.example.org"), (10, "mx1.example.org")] {
                good.push((&owner, 60, Mx::new(preference, name(host))))
                    .expect("room");
            }
        }
        ("nullmx.example.org", Rtype::MX) => {
            good.push((&owner, 60, Mx::new(0, Name::root_vec())))
                .expect("room");
        }
        ("5.2.0.192.in-addr.arpa", Rtype::PTR) => {
            good.push((&owner, 60, Ptr::new(name("mx1.example.org"))))
                .expect("room");
        }
        (
            "mx1.example.org"
            | "example.org"
            | "mxonly.example.org"
            | "short.lan.example.org"
            | "big.example.org"
            | "forged.example.org"
            | "nullmx.example.org",
            _,
        ) => {}
        _ => return vec![start(Rcode::NXDOMAIN).finish()],
    }
    vec![good.finish()]
}
