/**
 * BLAKE2s (RFC 7693). A handshake is some hundred and thirty of its compressions, which is why it is not a library's: here the
 * sixteen words of a round live in variables, and nothing is allocated but the result.
 */

const BLOCK_BYTES = 64;
const WORDS = 16;
const ROUNDS = 10;

const IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

/** Which word of the message each half of a mixing takes, sixteen a round (section 2.7). */
const SCHEDULE = Uint8Array.from(
  [
    '0123456789abcdef',
    'ea489fd61c02b753',
    'b8c052fdae367194',
    '7931dcbe265a40f8',
    '905724afe1bc683d',
    '2c6a0b834d75fe19',
    'c51fed4a0763928b',
    'db7ec13950f4862a',
    '6fe9b308c2d714a5',
    'a2847615fb9e3cd0',
  ].join(''),
  digit => Number.parseInt(digit, 16),
);

// One hash at a time: what is below is of no use to anybody between two calls, and is wiped at the end of each.
// Outside V8's heap, where nothing is moved and left behind.
const state = new Int32Array(new ArrayBuffer(32));
const message = new Int32Array(new ArrayBuffer(4 * WORDS));
const block = new Uint8Array(new ArrayBuffer(BLOCK_BYTES));

/** `length` bytes (1 to 32) of what the parts are side by side, into `output`; with a key of 1 to 32 bytes it is a MAC. */
export function blake2s(
  length: number,
  key: Uint8Array | undefined,
  parts: readonly Uint8Array[],
  output: Uint8Array = new Uint8Array(length),
): Uint8Array {
  state.set(IV);
  state[0]! ^= 0x01010000 ^ ((key?.length ?? 0) << 8) ^ length;
  let filled = 0;
  let total = 0;
  if (key) {
    block.set(key);
    filled = BLOCK_BYTES;
  }
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      // The last block is compressed as such, so a full one waits until more comes.
      if (filled === BLOCK_BYTES) {
        total += filled;
        compress(total, false);
        filled = 0;
      }
      const taken = Math.min(part.length - at, BLOCK_BYTES - filled);
      for (let i = 0; i < taken; i++) block[filled + i] = part[at + i]!;
      filled += taken;
      at += taken;
    }
  }
  block.fill(0, filled);
  compress(total + filled, true);
  for (let i = 0; i < length; i++) output[i] = state[i >> 2]! >>> (8 * (i & 3));
  state.fill(0);
  message.fill(0);
  block.fill(0);
  return output;
}

function rotate(word: number, right: number): number {
  return (word >>> right) | (word << (32 - right));
}

/** Inputs stay below 4 GiB, so that one word counts their bytes. */
function compress(bytes: number, isLast: boolean): void {
  const h = state;
  const m = message;
  const s = SCHEDULE;
  for (let i = 0; i < WORDS; i++) {
    const at = 4 * i;
    m[i] = block[at]! | (block[at + 1]! << 8) | (block[at + 2]! << 16) | (block[at + 3]! << 24);
  }
  let [v0, v1, v2, v3, v4, v5, v6, v7] = [h[0]!, h[1]!, h[2]!, h[3]!, h[4]!, h[5]!, h[6]!, h[7]!];
  let [v8, v9, v10, v11] = [IV[0]!, IV[1]!, IV[2]!, IV[3]!];
  let [v12, v13, v14, v15] = [IV[4]! ^ bytes, IV[5]!, IV[6]! ^ (isLast ? -1 : 0), IV[7]!];
  for (let r = 0; r < ROUNDS * WORDS; r += WORDS) {
    v0 = (v0 + v4 + m[s[r]!]!) | 0;
    v12 = rotate(v12 ^ v0, 16);
    v8 = (v8 + v12) | 0;
    v4 = rotate(v4 ^ v8, 12);
    v0 = (v0 + v4 + m[s[r + 1]!]!) | 0;
    v12 = rotate(v12 ^ v0, 8);
    v8 = (v8 + v12) | 0;
    v4 = rotate(v4 ^ v8, 7);
    v1 = (v1 + v5 + m[s[r + 2]!]!) | 0;
    v13 = rotate(v13 ^ v1, 16);
    v9 = (v9 + v13) | 0;
    v5 = rotate(v5 ^ v9, 12);
    v1 = (v1 + v5 + m[s[r + 3]!]!) | 0;
    v13 = rotate(v13 ^ v1, 8);
    v9 = (v9 + v13) | 0;
    v5 = rotate(v5 ^ v9, 7);
    v2 = (v2 + v6 + m[s[r + 4]!]!) | 0;
    v14 = rotate(v14 ^ v2, 16);
    v10 = (v10 + v14) | 0;
    v6 = rotate(v6 ^ v10, 12);
    v2 = (v2 + v6 + m[s[r + 5]!]!) | 0;
    v14 = rotate(v14 ^ v2, 8);
    v10 = (v10 + v14) | 0;
    v6 = rotate(v6 ^ v10, 7);
    v3 = (v3 + v7 + m[s[r + 6]!]!) | 0;
    v15 = rotate(v15 ^ v3, 16);
    v11 = (v11 + v15) | 0;
    v7 = rotate(v7 ^ v11, 12);
    v3 = (v3 + v7 + m[s[r + 7]!]!) | 0;
    v15 = rotate(v15 ^ v3, 8);
    v11 = (v11 + v15) | 0;
    v7 = rotate(v7 ^ v11, 7);
    v0 = (v0 + v5 + m[s[r + 8]!]!) | 0;
    v15 = rotate(v15 ^ v0, 16);
    v10 = (v10 + v15) | 0;
    v5 = rotate(v5 ^ v10, 12);
    v0 = (v0 + v5 + m[s[r + 9]!]!) | 0;
    v15 = rotate(v15 ^ v0, 8);
    v10 = (v10 + v15) | 0;
    v5 = rotate(v5 ^ v10, 7);
    v1 = (v1 + v6 + m[s[r + 10]!]!) | 0;
    v12 = rotate(v12 ^ v1, 16);
    v11 = (v11 + v12) | 0;
    v6 = rotate(v6 ^ v11, 12);
    v1 = (v1 + v6 + m[s[r + 11]!]!) | 0;
    v12 = rotate(v12 ^ v1, 8);
    v11 = (v11 + v12) | 0;
    v6 = rotate(v6 ^ v11, 7);
    v2 = (v2 + v7 + m[s[r + 12]!]!) | 0;
    v13 = rotate(v13 ^ v2, 16);
    v8 = (v8 + v13) | 0;
    v7 = rotate(v7 ^ v8, 12);
    v2 = (v2 + v7 + m[s[r + 13]!]!) | 0;
    v13 = rotate(v13 ^ v2, 8);
    v8 = (v8 + v13) | 0;
    v7 = rotate(v7 ^ v8, 7);
    v3 = (v3 + v4 + m[s[r + 14]!]!) | 0;
    v14 = rotate(v14 ^ v3, 16);
    v9 = (v9 + v14) | 0;
    v4 = rotate(v4 ^ v9, 12);
    v3 = (v3 + v4 + m[s[r + 15]!]!) | 0;
    v14 = rotate(v14 ^ v3, 8);
    v9 = (v9 + v14) | 0;
    v4 = rotate(v4 ^ v9, 7);
  }
  h[0]! ^= v0 ^ v8;
  h[1]! ^= v1 ^ v9;
  h[2]! ^= v2 ^ v10;
  h[3]! ^= v3 ^ v11;
  h[4]! ^= v4 ^ v12;
  h[5]! ^= v5 ^ v13;
  h[6]! ^= v6 ^ v14;
  h[7]! ^= v7 ^ v15;
}
