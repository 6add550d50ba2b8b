//! A server for tests in other languages: for each line of input the URL of a new database, until the input ends.

use std::io;

use throwaway_postgres::{Server, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start(&Settings::default())?;
    for line in io::stdin().lines() {
        line?;
        println!("{}", server.new_database()?);
    }
    Ok(())
}
