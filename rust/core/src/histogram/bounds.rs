//! The 127 inner boundaries of one octave: the 52 mantissa bits of 2^(k/128) for k = 1..=127.
//!
//! Each is the double nearest to the exact value (60 decimal digits, half to even), so the table
//! equals the one Prometheus uses for native histograms of schema 7. Schema 0..=6 and OTLP scales
//! below 7 are every second, fourth, ... of these. A test recomputes them by repeated square roots.

#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "thirteen hexadecimal digits are 52 bits")]
pub(crate) const INNER: [u64; 127] = [
    0x0163da9fb3335, 0x02c9a3e778061, 0x04315e86e7f85, 0x059b0d3158574,
    0x0706b29ddf6de, 0x0874518759bc8, 0x09e3ecac6f383, 0x0b5586cf9890f,
    0x0cc922b7247f7, 0x0e3ec32d3d1a2, 0x0fb66affed31b, 0x11301d0125b51,
    0x12abdc06c31cc, 0x1429aaea92de0, 0x15a98c8a58e51, 0x172b83c7d517b,
    0x18af9388c8dea, 0x1a35beb6fcb75, 0x1bbe084045cd4, 0x1d4873168b9aa,
    0x1ed5022fcd91d, 0x2063b88628cd6, 0x21f49917ddc96, 0x2387a6e756238,
    0x251ce4fb2a63f, 0x26b4565e27cdd, 0x284dfe1f56381, 0x29e9df51fdee1,
    0x2b87fd0dad990, 0x2d285a6e4030b, 0x2ecafa93e2f56, 0x306fe0a31b715,
    0x32170fc4cd831, 0x33c08b26416ff, 0x356c55f929ff1, 0x371a7373aa9cb,
    0x38cae6d05d866, 0x3a7db34e59ff7, 0x3c32dc313a8e5, 0x3dea64c123422,
    0x3fa4504ac801c, 0x4160a21f72e2a, 0x431f5d950a897, 0x44e086061892d,
    0x46a41ed1d0057, 0x486a2b5c13cd0, 0x4a32af0d7d3de, 0x4bfdad5362a27,
    0x4dcb299fddd0d, 0x4f9b2769d2ca7, 0x516daa2cf6642, 0x5342b569d4f82,
    0x551a4ca5d920f, 0x56f4736b527da, 0x58d12d497c7fd, 0x5ab07dd485429,
    0x5c9268a5946b7, 0x5e76f15ad2148, 0x605e1b976dc09, 0x6247eb03a5585,
    0x6434634ccc320, 0x6623882552225, 0x68155d44ca973, 0x6a09e667f3bcd,
    0x6c012750bdabf, 0x6dfb23c651a2f, 0x6ff7df9519484, 0x71f75e8ec5f74,
    0x73f9a48a58174, 0x75feb564267c9, 0x780694fde5d3f, 0x7a11473eb0187,
    0x7c1ed0130c132, 0x7e2f336cf4e62, 0x80427543e1a12, 0x82589994cce13,
    0x8471a4623c7ad, 0x868d99b4492ed, 0x88ac7d98a6699, 0x8ace5422aa0db,
    0x8cf3216b5448c, 0x8f1ae99157736, 0x9145b0b91ffc6, 0x93737b0cdc5e5,
    0x95a44cbc8520f, 0x97d829fde4e50, 0x9a0f170ca07ba, 0x9c49182a3f090,
    0x9e86319e32323, 0xa0c667b5de565, 0xa309bec4a2d33, 0xa5503b23e255d,
    0xa799e1330b358, 0xa9e6b5579fdbf, 0xac36bbfd3f37a, 0xae89f995ad3ad,
    0xb0e07298db666, 0xb33a2b84f15fb, 0xb59728de5593a, 0xb7f76f2fb5e47,
    0xba5b030a1064a, 0xbcc1e904bc1d2, 0xbf2c25bd71e09, 0xc199bdd85529c,
    0xc40ab5fffd07a, 0xc67f12e57d14b, 0xc8f6d9406e7b5, 0xcb720dcef9069,
    0xcdf0b555dc3fa, 0xd072d4a07897c, 0xd2f87080d89f2, 0xd5818dcfba487,
    0xd80e316c98398, 0xda9e603db3285, 0xdd321f301b460, 0xdfc97337b9b5f,
    0xe264614f5a129, 0xe502ee78b3ff6, 0xe7a51fbc74c83, 0xea4afa2a490da,
    0xecf482d8e67f1, 0xefa1bee615a27, 0xf252b376bba97, 0xf50765b6e4540,
    0xf7bfdad9cbe14, 0xfa7c1819e90d8, 0xfd3c22b8f71f1,
];
