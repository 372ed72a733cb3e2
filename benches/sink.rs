//! An upstream that answers at once: reads each request to its end and says 204. It does nothing else, so that what stands in front of it is
//! what is measured. One thread for each connection, since proxies keep few. `proxies.py` compiles and starts it.

use std::{
    io::{Read, Result, Write},
    net::{TcpListener, TcpStream},
    thread,
};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fn main() -> Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    for stream in TcpListener::bind(format!("127.0.0.1:{port}"))?.incoming() {
        let stream = stream?;
        thread::Builder::new().stack_size(64 << 10).spawn(move || serve(stream))?;
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        let head = loop {
            if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let mut left = length(&buffer[..head]).saturating_sub(filled - head);
        while left > 0 {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => left = left.saturating_sub(read),
            }
        }
        // Nobody here sends the next request before this answer.
        filled = 0;
        stream.write_all(ANSWER)?;
    }
}

fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    assert!(!head.contains("transfer-encoding"), "chunked bodies would cost more to read");
    let value = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}
