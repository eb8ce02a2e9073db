/**
 * mac1, mac2 and cookie replies (paper, 5.3, 5.4.4 and 5.4.7). mac1 shows that the sender knows our public key. Under load
 * it is not enough: the sender gets a cookie, which only one who owns its source address can read, and its next message
 * carries a mac2 made with it.
 */
import { timingSafeEqual } from 'node:crypto';
import { concatBytes, wipe } from '../bytes.ts';
import { type Address, addressOf, parseAddress } from '../ip/address.ts';
import type { Endpoint } from './api.ts';
import type { CarriedSigner } from './carried.ts';
import { KEY_BYTES, mac, xopen, xseal } from './crypto.ts';
import { COOKIE_SECRET_LATENCY, COOKIE_SECRET_MAX_AGE } from './limits.ts';
import {
  beforeMac1,
  beforeMac2,
  type CookieReply,
  encodeCookieReply,
  MAC_BYTES,
  mac1Of,
  mac2Of,
  senderIndexOf,
} from './messages.ts';
import { labelledKey } from './noise.ts';
import { RateLimiter } from './ratelimiter.ts';

const NONCE_BYTES = 24;

export type MacVerdict = 'accepted' | 'badMac1' | 'cookieRequired' | 'rateLimited';

/** The side that receives handshake messages: one for each private key. */
export class CookieChecker {
  readonly mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #limiter = new RateLimiter();
  #secret = new Uint8Array(KEY_BYTES);
  #secretAt: number | undefined;

  constructor(publicKey: Uint8Array, random: (bytes: number) => Uint8Array) {
    this.mac1Key = labelledKey('mac1----', publicKey);
    this.#cookieKey = labelledKey('cookie--', publicKey);
    this.#random = random;
  }

  /** Of an initiation or a response. `cookieRequired` asks for `reply`. */
  check(message: Uint8Array, from: Endpoint, underLoad: boolean, now: number): MacVerdict {
    if (!timingSafeEqual(mac(this.mac1Key, beforeMac1(message)), mac1Of(message))) return 'badMac1';
    if (!underLoad) return 'accepted';
    const source = sourceOf(from);
    if (!source) return 'cookieRequired';
    const expected = mac(this.#cookieOf(source, from.port, now), beforeMac2(message));
    if (!timingSafeEqual(expected, mac2Of(message))) return 'cookieRequired';
    return this.#limiter.allow(source, now) ? 'accepted' : 'rateLimited';
  }

  /** The cookie reply to a message; undefined when its source has no address that we can read. */
  reply(message: Uint8Array, from: Endpoint, now: number): Uint8Array | undefined {
    const source = sourceOf(from);
    if (!source) return undefined;
    const nonce = this.#random(NONCE_BYTES);
    const cookie = this.#cookieOf(source, from.port, now);
    const encryptedCookie = xseal(this.#cookieKey, nonce, cookie, mac1Of(message));
    return encodeCookieReply({ receiverIndex: senderIndexOf(message), nonce, encryptedCookie });
  }

  wipe(): void {
    wipe(this.#secret);
    this.#secretAt = undefined;
  }

  #cookieOf(source: Address, port: number, now: number): Uint8Array {
    if (this.#secretAt === undefined || now - this.#secretAt >= COOKIE_SECRET_MAX_AGE) {
      wipe(this.#secret);
      this.#secret = Uint8Array.from(this.#random(KEY_BYTES));
      this.#secretAt = now;
    }
    return mac(this.#secret, source.bytes, Uint8Array.of(port >> 8, port & 0xff));
  }
}

/** The side that sends handshake messages: one for each peer. */
export class MacSigner {
  readonly #mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  #cookie: { value: Uint8Array; at: number } | undefined;
  /** mac1 of the last message, until a cookie came for it. */
  #awaited: Uint8Array | undefined;

  constructor(publicKey: Uint8Array, carried?: CarriedSigner) {
    this.#mac1Key = labelledKey('mac1----', publicKey);
    this.#cookieKey = labelledKey('cookie--', publicKey);
    const cookie = carried?.cookie;
    this.#cookie = cookie && { value: Uint8Array.from(cookie.value), at: cookie.at };
    this.#awaited = carried?.awaited && Uint8Array.from(carried.awaited);
  }

  carry(): CarriedSigner {
    return { cookie: this.#cookie, awaited: this.#awaited };
  }

  /** Writes mac1, and mac2 when there is a fresh cookie, into an initiation or a response. */
  sign(message: Uint8Array, now: number): void {
    mac1Of(message).set(mac(this.#mac1Key, beforeMac1(message)));
    this.#awaited = Uint8Array.from(mac1Of(message));
    const fresh = this.#cookie && now - this.#cookie.at < COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY;
    if (this.#cookie && fresh) mac2Of(message).set(mac(this.#cookie.value, beforeMac2(message)));
    else mac2Of(message).fill(0);
  }

  /** Whether the reply brought the cookie for our last message. */
  consume(reply: CookieReply, now: number): boolean {
    if (!this.#awaited) return false;
    const value = xopen(this.#cookieKey, reply.nonce, reply.encryptedCookie, this.#awaited);
    if (value?.length !== MAC_BYTES) return false;
    this.#cookie = { value, at: now };
    this.#awaited = undefined;
    return true;
  }

  wipe(): void {
    if (this.#cookie) wipe(this.#cookie.value);
    this.#cookie = undefined;
    this.#awaited = undefined;
  }
}

/** The sender's address without its scope; an IPv4-mapped one is the IPv4 address. */
function sourceOf(from: Endpoint): Address | undefined {
  const address = parseAddress(from.address.replace(/%.*$/, ''));
  if (address?.family !== 6) return address;
  const mapped = concatBytes(new Uint8Array(10), Uint8Array.of(0xff, 0xff));
  const isMapped = mapped.every((byte, i) => byte === address.bytes[i]);
  return isMapped ? addressOf(address.bytes.slice(12)) : address;
}
