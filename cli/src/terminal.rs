//! The terminal at which custodians type: asked and told directly, whatever becomes of standard output.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Cursor home, the screen and what scrolled off it erased (ECMA-48 ED; `3` by xterm, ignored elsewhere).
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Of a line no more is kept.
const LONGEST: usize = 1024;

pub(crate) struct Terminal(File);

impl Terminal {
    pub(crate) fn open() -> Result<Self, Failure> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self).map_err(nobody)
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failure> {
        self.0.write_all(format!("{line}\n").as_bytes()).map_err(nobody)
    }

    /// Nothing that the one before typed by mistake where it can be seen stays for the next one.
    pub(crate) fn clear(&mut self) -> Result<(), Failure> {
        self.0.write_all(CLEAR.as_bytes()).map_err(nobody)
    }

    /// A line that is not shown while it is typed.
    pub(crate) fn secret(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(nobody)
    }

    /// Waits for the Enter key.
    pub(crate) fn wait(&mut self, line: &str) -> Result<(), Failure> {
        self.line(line).map(drop)
    }

    pub(crate) fn is_yes(&mut self, question: &str) -> Result<bool, Failure> {
        loop {
            match self.line(&format!("{question} [yes/no] "))?.trim_ascii() {
                b"yes" | b"y" => return Ok(true),
                b"no" | b"n" => return Ok(false),
                // It may have been a component: it goes from the screen, and is not repeated.
                _ => self.clear().and_then(|()| self.say("Answer yes or no."))?,
            }
        }
    }

    fn line(&mut self, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.0.write_all(prompt.as_bytes()).map_err(nobody)?;
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        // Byte by byte: what stands behind the line is for the next one who reads, and no buffer keeps what was typed.
        let mut byte = Zeroizing::new([0]);
        loop {
            match self.0.read(&mut byte[..]) {
                Ok(0) => return Err(nobody("it was closed")),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) if line.len() < LONGEST => line.push(byte[0]),
                Ok(_) => {}
                Err(error) => return Err(nobody(error)),
            }
        }
        Ok(line)
    }
}

fn nobody(error: impl ToString) -> Failure {
    let error = error.to_string();
    let hint = "run this at a terminal, or use --component-file";
    Failure::new(2, "no_terminal", format!("cannot ask at the terminal: {error}"), hint)
}
