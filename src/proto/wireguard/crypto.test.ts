import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '../bytes.ts';
import { clamp, hash, hmac, kdf, mac, open, PrivateKey, seal, xopen, xseal } from './crypto.ts';

const hex = (text: string): Uint8Array => fromHex(text.replace(/\s/g, ''))!;
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);

test('X25519: RFC 7748, section 5.2', () => {
  const scalar = new PrivateKey(hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'));
  const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
  assert.equal(
    toHex(scalar.agree(point)!),
    'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  );
});

test('X25519: both sides agree, on clamped and unclamped forms of the same key', () => {
  const [a, b] = [randomBytes(32), randomBytes(32)];
  const [alice, bob] = [new PrivateKey(a), new PrivateKey(clamp(b))];
  assert.deepEqual(alice.agree(bob.publicKey), bob.agree(alice.publicKey));
  assert.deepEqual(new PrivateKey(clamp(a)).publicKey, alice.publicKey);
});

test('X25519: points of low order give no secret', () => {
  const points = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '00000000000000000000000000000000000000000000000000000000000000 80',
  ];
  const key = new PrivateKey(randomBytes(32));
  for (const point of points) assert.equal(key.agree(hex(point)), undefined, point);
});

test('BLAKE2s: RFC 7693, appendix B, in any parts', () => {
  const digest = '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982';
  assert.equal(toHex(hash(ascii('abc'))), digest);
  assert.equal(toHex(hash(ascii('a'), new Uint8Array(), ascii('bc'))), digest);
});

test('MAC, HMAC and KDF: as Python computes them', () => {
  const [key, message] = [counting(32), counting(200)];
  assert.equal(toHex(mac(key, message)), '42a6f8ff590af21b512e9e088257aa34');
  assert.equal(
    toHex(mac(key, message.subarray(0, 7), message.subarray(7))),
    '42a6f8ff590af21b512e9e088257aa34',
  );
  assert.equal(toHex(hmac(key, message)), '543eec9b22646365ef782d72dae137cc761d018005f8d33d0f20bfbd01e62974');
  const keys = [
    '840b571d3e9d34f76ef19bbb25b552774124ce653961ff3d79d4b206ad853ff4',
    '4b22976365f5cb1ffe7a5962d2373cae0e29b7fb8b99977e05d5c420678a5bb8',
    'fa90dc4ce826978029a9c9d60369026121df255340fe54fc38a2b1ec7d5b6f55',
  ];
  assert.deepEqual(kdf(3, key, message).map(toHex), keys);
  assert.deepEqual(kdf(1, key, message).map(toHex), keys.slice(0, 1));
});

test('ChaCha20-Poly1305: RFC 8439, appendix A.5', () => {
  const key = hex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0');
  const associated = hex('f33388860000000000004e91');
  const counter = 0x0807060504030201n;
  const text =
    'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or ' +
    'obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or ' +
    'to cite them other than as /\u201cwork in progress./\u201d';
  const sealed = hex(
    '64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0' +
      'bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855' +
      '9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9' +
      '9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a' +
      '0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130' +
      '305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b eead9d67890cbb22392336fea1851f38',
  );
  assert.equal(toHex(seal(key, counter, ascii(text), associated)), toHex(sealed));
  assert.deepEqual(open(key, counter, sealed, associated), ascii(text));
  assert.equal(open(key, counter, sealed.with(3, sealed[3]! ^ 1), associated), undefined);
  assert.equal(open(key, counter + 1n, sealed, associated), undefined);
  assert.equal(open(key, counter, sealed, associated.with(0, 0)), undefined);
  assert.equal(open(key, counter, sealed.subarray(0, 15), associated), undefined);
});

test('XChaCha20-Poly1305: draft-irtf-cfrg-xchacha-03, appendix A.3.1', () => {
  const key = hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
  const nonce = hex('404142434445464748494a4b4c4d4e4f5051525354555657');
  const associated = hex('50515253c0c1c2c3c4c5c6c7');
  const text = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const sealed = hex(
    'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39' +
      'ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
      '21f9664c97637da9768812f615c68b13b52e c0875924c1c7987947deafd8780acf49',
  );
  assert.equal(toHex(xseal(key, nonce, text, associated)), toHex(sealed));
  assert.deepEqual(xopen(key, nonce, sealed, associated), text);
  assert.equal(xopen(key, nonce, sealed.with(0, 0), associated), undefined);
  assert.equal(xopen(key, nonce, sealed.subarray(0, 8), associated), undefined);
});
