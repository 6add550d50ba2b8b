use bitsliced_des::lanes::*;
use std::time::Instant;
struct M;
impl Job for M {
    type Output = ();
    #[inline(always)]
    fn run<W: Word>(self) {
        let keys = vec![[5u8; 8]; W::LANES];
        let mut b = vec![[7u8; 8]; W::LANES];
        let mut best = [f64::MAX; 5];
        for _ in 0..2000 {
            let t = Instant::now();
            let p = Planes::<W>::load(&keys);
            let t1 = Instant::now();
            let s = p.schedule();
            let t2 = Instant::now();
            let mut p = Planes::<W>::load(&b);
            let t3 = Instant::now();
            p.des(&[(&s, false)]);
            let t4 = Instant::now();
            p.store(&mut b);
            let t5 = Instant::now();
            drop(s);
            let t6 = Instant::now();
            for (x, d) in best.iter_mut().zip([t1 - t, t2 - t1, t4 - t3, t5 - t4, t6 - t5]) { *x = x.min(d.as_nanos() as f64); }
        }
        println!("{}: load {} sched {} des {} store {} drop {}", W::LANES, best[0], best[1], best[2], best[3], best[4]);
    }
}
fn main() {
    for l in Level::ALL { if l.available() { print!("{l:?} "); dispatch(l, M); } }
    // clock
    let t = Instant::now(); let mut x = 1u64; for _ in 0..100_000_000u64 { x = std::hint::black_box(x) + 1; } println!("{x} {:?}", t.elapsed());
}
