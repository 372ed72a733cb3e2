/// The program.
fn main() {}
