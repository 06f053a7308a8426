//! A server on loopback that says what a test tells it to say.
//!
//! Replies are found by verb (`greet`, `EHLO`, `MAIL`, ..., `eod` for the final
//! dot); several replies to one verb are used in turn, the last one again and
//! again. `DROP` closes the connection. What the client sends is kept.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// EHLO reply of a server that offers what the client knows.
pub(crate) const MODERN: &str =
    "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 1000000\r\n250 DSN";

/// A running server; it ends with the test process.
pub(crate) struct ScriptedServer {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    heard: Receiver<String>,
}

impl ScriptedServer {
    /// Starts a server with these replies in place of the friendly ones.
    pub(crate) fn start(replies: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let mut script: HashMap<String, Vec<String>> = HashMap::new();
        for (verb, reply) in replies {
            script
                .entry((*verb).to_owned())
                .or_default()
                .push((*reply).to_owned());
        }
        let (tell, heard) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &mut script, &tell);
            }
        });
        ScriptedServer { port, heard }
    }

    /// All lines heard so far; connections begin with `(connection)`.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.try_iter().collect()
    }
}

fn reply_to(verb: &str, script: &mut HashMap<String, Vec<String>>) -> String {
    if let Some(replies) = script.get_mut(verb) {
        if replies.len() > 1 {
            return replies.remove(0);
        }
        return replies[0].clone();
    }
    match verb {
        "greet" => "220 sink.test ESMTP ready",
        "EHLO" | "LHLO" => MODERN,
        "HELO" => "250 sink.test",
        "DATA" => "354 go ahead",
        "QUIT" => "221 2.0.0 bye",
        "eod" => "250 2.0.0 stored as X1",
        _ => "250 2.0.0 ok",
    }
    .to_owned()
}

fn serve(
    mut stream: TcpStream,
    script: &mut HashMap<String, Vec<String>>,
    tell: &Sender<String>,
) -> std::io::Result<()> {
    let _ = tell.send("(connection)".to_owned());
    let mut input = BufReader::new(stream.try_clone()?);
    let say = |reply: String, stream: &mut TcpStream| -> std::io::Result<bool> {
        if reply == "DROP" {
            return Ok(false);
        }
        stream.write_all(reply.as_bytes())?;
        stream.write_all(b"\r\n")?;
        Ok(true)
    };
    if !say(reply_to("greet", script), &mut stream)? {
        return Ok(());
    }
    let mut in_data = false;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let text = line.trim_end().to_owned();
        let _ = tell.send(text.clone());
        let verb = if in_data {
            if text != "." {
                continue;
            }
            "eod".to_owned()
        } else {
            text.split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_uppercase()
        };
        // A reply may be meant for one recipient only: `RCPT a@` goes before `RCPT`.
        let special = script
            .keys()
            .find(|key| {
                key.split_once(' ')
                    .is_some_and(|(v, part)| v == verb && text.contains(part))
            })
            .cloned();
        let reply = reply_to(special.as_deref().unwrap_or(&verb), script);
        if verb == "BDAT" {
            let length = text.split(' ').nth(1).and_then(|word| word.parse().ok());
            let mut octets = vec![0; length.unwrap_or(0)];
            input.read_exact(&mut octets)?;
        }
        in_data = verb == "DATA" && reply.starts_with('3');
        if !say(reply, &mut stream)? || verb == "QUIT" {
            return Ok(());
        }
    }
}
