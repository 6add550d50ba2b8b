use cipher::{BlockCipherEncrypt, KeyInit};
fn main(){
  let k=[*b"\x13\x34\x57\x79\x9b\xbc\xdf\xf1", *b"abcdefgh"]; let b=[*b"\x01\x23\x45\x67\x89\xab\xcd\xef", *b"01234567"];
  let out = bitsliced_des::narrow::des(b.map(u64::from_le_bytes), &[(k.map(u64::from_le_bytes), false)]);
  for i in 0..2 { let mut x = cipher::Array::from(b[i]); des::Des::new_from_slice(&k[i]).unwrap().encrypt_block(&mut x); println!("{:x?} {:x?}", out[i].to_le_bytes(), x.0); }
  let mut best=u128::MAX; let mut o=out;
  for _ in 0..2000 { let t=std::time::Instant::now(); for _ in 0..10 { o = bitsliced_des::narrow::des(o, &[(k.map(u64::from_le_bytes), false)]); } best=best.min(t.elapsed().as_nanos()); }
  println!("{best} ns for 10 {o:?}");
}
