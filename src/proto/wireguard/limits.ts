/**
 * The numbers of WireGuard. Sections are those of the paper, "WireGuard: Next Generation Kernel Network Tunnel".
 * Times are milliseconds.
 */

// Specification constants (6.1, table of timer constants).

/** The sender asks for new keys after so many messages with a keypair. */
export const REKEY_AFTER_MESSAGES = 2n ** 60n;
/** A keypair neither seals nor opens beyond this counter. */
export const REJECT_AFTER_MESSAGES = 2n ** 64n - 2n ** 13n - 1n;
/** The initiator of a keypair asks for a new one when it sends and the keypair is this old. */
export const REKEY_AFTER_TIME = 120_000;
/** A keypair older than this neither seals nor opens. */
export const REJECT_AFTER_TIME = 180_000;
/** A handshake is tried for so long. */
export const REKEY_ATTEMPT_TIME = 90_000;
/** Between two initiations to the same peer (6.4). */
export const REKEY_TIMEOUT = 5_000;
/** Silence after which received data is acknowledged with a keepalive (6.5). */
export const KEEPALIVE_TIMEOUT = 10_000;

/** All keys of a peer are wiped this long after its last session began (6.3). */
export const ZERO_KEYS_AFTER_TIME = 3 * REJECT_AFTER_TIME;
/** Data without any answer for so long starts a handshake (6.5). */
export const NEW_HANDSHAKE_AFTER_SILENCE = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
/** The initiator that only receives asks for new keys at this age of the keypair, in time before it ends (6.2). */
export const REKEY_AFTER_TIME_RECEIVING = REJECT_AFTER_TIME - NEW_HANDSHAKE_AFTER_SILENCE;
/** Cookies and the secret behind them (5.3, 5.4.7). */
export const COOKIE_SECRET_MAX_AGE = 120_000;
/** Transport packets are padded to a multiple of this (5.4.6). */
export const PADDING_MULTIPLE = 16;

// Implementation constants, as the Linux kernel's module chose them.

/** Retries wait up to this much longer, so that two peers do not initiate in step. */
export const REKEY_TIMEOUT_JITTER_MAX = 334;
/** Initiations taken from one peer, a second. */
export const INITIATIONS_PER_SECOND = 50;
/** A cookie is no longer used so long before its secret may be gone. */
export const COOKIE_SECRET_LATENCY = 5_000;
/** Under load lasts this long beyond its last sign. */
export const UNDER_LOAD_LINGERS = 1_000;
/** Handshake messages of one source (IPv4 address, IPv6 /64) under load: a second, and at once. */
export const PACKETS_PER_SECOND = 20;
export const PACKETS_BURST = 5;
/** A source without messages for so long is forgotten; and so many are known at most. */
export const RATE_ENTRY_MAX_AGE = 1_000;
export const RATE_ENTRIES_MAX = 16_384;
/** Bits of the replay window, and how far behind the newest a packet may be (RFC 6479). */
export const REPLAY_WINDOW_BITS = 8192;
export const REPLAY_WINDOW = REPLAY_WINDOW_BITS - 64;
/** Packets of a peer that wait for a handshake; beyond it the oldest goes. */
export const MAX_STAGED_PACKETS = 128;

// Implementation constants of our own.

/** When both sides initiated at once: how long the one waits for the other's session to be confirmed. */
export const TIE_TIMEOUT = 250;
