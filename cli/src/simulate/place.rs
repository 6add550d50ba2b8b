//! Where a virtual device sends to: standard output, a file, a TCP connection, a pseudo-terminal.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{
    io::ioctl_fionread,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{failure::Failure, output::Output};

/// An open place.
pub(super) enum Place {
    StandardOutput,
    File(File),
    Tcp(TcpStream),
    Terminal(Terminal),
}

impl Place {
    pub(super) fn open(name: Option<&str>, output: &Output) -> Result<Self, Failure> {
        let Some(name) = name else { return Ok(Self::StandardOutput) };
        let failed = |error: io::Error| Failure::output(format!("cannot open {name}: {error}"));
        if let Some(address) = name.strip_prefix("tcp:") {
            return TcpStream::connect(address).map(Self::Tcp).map_err(failed);
        }
        let link = name.strip_prefix("pty:").map(Path::new);
        if name == "pty" || link.is_some() {
            let terminal = Terminal::open(link).map_err(failed)?;
            output.note(&format!("terminal {}", terminal.path.display()))?;
            return Ok(Self::Terminal(terminal));
        }
        File::create(name).map(Self::File).map_err(failed)
    }

    pub(super) fn is_standard_output(&self) -> bool {
        matches!(self, Self::StandardOutput)
    }

    /// Writes a payload. `false`: the reader of standard output has seen enough.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let to_pipe = self.is_standard_output();
        let place: &mut dyn Write = match self {
            Self::StandardOutput => &mut io::stdout().lock(),
            Self::File(file) => file,
            Self::Tcp(stream) => stream,
            Self::Terminal(terminal) => &mut terminal.master,
        };
        match place.write_all(bytes).and_then(|()| place.flush()) {
            Ok(()) => Ok(true),
            Err(error) if to_pipe && error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::output(error)),
        }
    }

    /// Waits until all of it was read, where what was not would be lost.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Terminal(terminal) => terminal.wait_for_reader().map_err(Failure::output),
            _ => Ok(()),
        }
    }
}

/// A pseudo-terminal that passes every byte on as it is. The device types at its master; whoever opens its path reads.
pub(super) struct Terminal {
    master: File,
    /// Held open, so that the terminal is there before and between readers.
    slave: File,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Terminal {
    fn open(link: Option<&Path>) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?);
        let slave = File::options().read(true).write(true).open(&path)?;
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        if let Some(link) = link {
            symlink(&path, link)?;
        }
        Ok(Self { master: master.into(), slave, path, link: link.map(Path::to_path_buf) })
    }

    /// The kernel drops what is not read yet when the master goes.
    fn wait_for_reader(&self) -> io::Result<()> {
        let mut empty = 0;
        // What was written a moment ago may not have come through yet.
        while empty < 3 {
            empty = if ioctl_fionread(&self.slave)? == 0 { empty + 1 } else { 0 };
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // Whoever took it away did what is done here.
            let _ = fs::remove_file(link);
        }
    }
}
