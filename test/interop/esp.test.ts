/** ESP of the engine against implementations of others: scapy's IPsec layer, and Wireshark's decryption. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { aeadSuite, type Suite, suiteName } from '../../src/proto/esp/suite.ts';
import { PROFILES_UNDER_TEST } from '../../src/proto/esp/testsuites.ts';
import { EspSide, outer, stateIn, stateOut } from '../engine/esp-pair.ts';
import { exited, Pair, until } from '../engine/pair.ts';

/** Debian's, which has the package python3-scapy. */
const PYTHON = '/usr/bin/python3';
const PEER = join(import.meta.dirname, 'scapy-peer.py');

interface StatePair {
  suite: Suite;
  spi: number;
  family: 4 | 6;
  esn: boolean;
  /** Hex: of what the engine opens, and of what it seals. */
  keys: { open: string; openAuth: string; seal: string; sealAuth: string };
}

function statePair(suite: Suite, spi: number, family: 4 | 6, esn: boolean): StatePair {
  const random = (length: number) => randomBytes(length).toString('hex');
  const cipher = () => random(suite.keyLength + suite.saltLength);
  const auth = () => random(suite.integrityKeyLength);
  const keys = { open: cipher(), openAuth: auth(), seal: cipher(), sealAuth: auth() };
  return { suite, spi, family, esn, keys };
}

function algorithmOf(suite: Suite, key: string, auth: string): string {
  const bits = 8 * suite.icvLength;
  return suite.integrity === undefined
    ? `aead ${suite.cipher} 0x${key} ${bits}`
    : `auth-trunc ${suite.integrity} 0x${auth} ${bits} enc ${suite.cipher} 0x${key}`;
}

/** Both states of the engine at `side`; `other` is the implementation of somebody else. */
async function install(
  side: EspSide,
  other: EspSide,
  { suite, spi, family, esn, keys }: StatePair,
): Promise<void> {
  const words = (line: string) => (esn ? line : line.replace(' flag esn', ''));
  const [source, destination] = [outer(side, family), outer(other, family)];
  await side.change(
    words(stateOut(side, other, algorithmOf(suite, keys.seal, keys.sealAuth), { spi, family })),
    words(stateIn(side, other, algorithmOf(suite, keys.open, keys.openAuth), { spi, family })),
    `policy set dst ${other.side.inner4}/32 src ${source} spi ${spi} to ${destination}`,
    `policy set dst ${other.side.inner6}/128 src ${source} spi ${spi} to ${destination}`,
    `local ${side.side.inner4}/32 ${side.side.inner6}/128`,
  );
}

const SCAPY_CIPHERS = {
  'rfc4106(gcm(aes))': 'AES-GCM',
  'rfc7539esp(chacha20,poly1305)': 'CHACHA20-POLY1305',
  'cbc(aes)': 'AES-CBC',
} as const;
/** Scapy knows no shorter one. */
function withWholeTag(suite: Suite): Suite {
  return suite.icvLength === 12 ? { ...suite, icvLength: 16 } : suite;
}

const SCAPY_HASHES = {
  'hmac(sha256)': 'SHA2-256-128',
  'hmac(sha384)': 'SHA2-384-192',
  'hmac(sha512)': 'SHA2-512-256',
} as const;

test('scapy opens what we seal, and we open what it seals: every suite, with and without ESN where it knows it', async () => {
  await using namespaces = new Pair();
  await using left = new EspSide(namespaces.left);
  await using right = new EspSide(namespaces.right);
  await right.start();
  const pairs = PROFILES_UNDER_TEST.map(withWholeTag).flatMap((suite, i) => [
    // Scapy knows ESN with AEADs alone.
    statePair(suite, 16 + i, i % 2 === 0 ? 4 : 6, suite.integrity === undefined),
    statePair(suite, 32 + i, i % 2 === 0 ? 6 : 4, false),
  ]);
  const states = pairs.map(({ suite, spi, family, esn, keys }) => ({
    own: outer(left, family),
    peer: outer(right, family),
    spi,
    crypt: SCAPY_CIPHERS[suite.cipher],
    auth: suite.integrity ? SCAPY_HASHES[suite.integrity] : null,
    openKey: keys.seal,
    openAuth: keys.sealAuth,
    sealKey: keys.open,
    sealAuth: keys.openAuth,
    icv: suite.icvLength,
    esn,
  }));
  const peer = left.side.spawn(PYTHON, PEER, left.side.veth, JSON.stringify(states));
  let [output, errors] = ['', ''];
  peer.stdout?.on('data', chunk => {
    output += chunk;
  });
  peer.stderr?.on('data', chunk => {
    errors += chunk;
  });
  try {
    await until(
      'scapy is ready',
      () => {
        assert.equal(peer.exitCode, null, errors);
        return output.includes('ready');
      },
      60,
    );
    for (const pair of pairs) {
      const what = `${suiteName(pair.suite)}, ${pair.esn ? 'ESN' : 'no ESN'}, over IPv${pair.family}`;
      await install(right, left, pair);
      for (const address of [left.side.inner4, left.side.inner6]) {
        await until(
          `${what}: ${address}`,
          () => right.side.ping(address, 2, { interval: 0.2 }) === 2,
          30,
        ).catch(error => {
          throw new Error(`${String(error)}\n${output}\n${errors}`);
        });
      }
      assert.ok((await right.state('in', pair.spi)).packets >= 4, what);
    }
    assert.deepEqual((await right.list()).drops, {});
  } finally {
    peer.kill('SIGKILL');
    await exited(peer);
  }
});

test('Wireshark decrypts what we seal, with the keys that `list keys` tells', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pellicle-esp-'));
  await using namespaces = new Pair();
  await using left = new EspSide(namespaces.left);
  await using right = new EspSide(namespaces.right);
  await Promise.all([left.start(), right.start()]);
  try {
    for (const [index, [suite, encryption, authentication]] of [
      [aeadSuite('rfc4106(gcm(aes))', 20, 128), 'AES-GCM with 16 octet ICV [RFC4106]', 'NULL'],
      [aeadSuite('rfc4106(gcm(aes))', 36, 128), 'AES-GCM with 16 octet ICV [RFC4106]', 'NULL'],
      [PROFILES_UNDER_TEST[4]!, 'AES-CBC [RFC3602]', 'HMAC-SHA-256-128 [RFC4868]'],
    ].entries() as Iterable<[number, [Suite, string, string]]>) {
      // Its check of the ICV knows no ESN.
      const pair = statePair(suite, 3 + index, 4, false);
      const { open, openAuth, seal, sealAuth } = pair.keys;
      await install(left, right, pair);
      await install(right, left, {
        ...pair,
        keys: { open: seal, openAuth: sealAuth, seal: open, sealAuth: openAuth },
      });
      const file = join(folder, `${index}.pcap`);
      const capture = left.side.spawn(
        'tcpdump',
        '-i',
        left.side.veth,
        '--immediate-mode',
        '-c',
        '6',
        '-w',
        file,
        'esp',
      );
      let ready = '';
      capture.stderr?.on('data', chunk => {
        ready += chunk;
      });
      await until('tcpdump listens', () => ready.includes('listening'));
      assert.equal(left.side.ping(right.side.inner4, 3, { size: 100 }), 3);
      await exited(capture);
      const listed = ((await left.request('list keys')) as { states: Record<string, never>[] }).states;
      const associations = listed.flatMap(state => securityAssociation(state, encryption, authentication));
      const text = left.side.run(
        'tshark',
        ...['-r', file, '-T', 'fields', '-e', 'icmp.seq', '-e', 'esp.icv_good', '-E', 'occurrence=f'],
        ...['-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE'],
        ...associations.flatMap(association => ['-o', association]),
      );
      const lines = text.trim().split('\n');
      assert.equal(lines.length, 6, text);
      const numbers = lines.map(line => Number(line.split('\t')[0]));
      for (const sequence of [1, 2, 3]) {
        assert.equal(
          numbers.filter(number => number === sequence).length,
          2,
          `both of ping ${sequence}: ${text}`,
        );
      }
      for (const line of lines) assert.equal(line.split('\t')[1], '1', `${encryption}: ${line}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** An entry of Wireshark's table of ESP SAs. */
function securityAssociation(
  state: {
    src?: string;
    dst?: string;
    spi?: number;
    aead?: { key: string };
    auth?: { key: string };
    enc?: { key: string };
  },
  encryption: string,
  authentication: string,
): string[] {
  const { src, dst, spi = 0, aead, auth, enc } = state;
  const isOther = Boolean(aead) !== (authentication === 'NULL');
  if (isOther) return [];
  const fields = [
    'IPv4',
    src,
    dst,
    `0x${spi.toString(16)}`,
    encryption,
    aead?.key ?? enc?.key,
    authentication,
    auth?.key ?? '',
  ];
  return [`uat:esp_sa:${fields.map(field => `"${field}"`).join(',')}`];
}
