/** What comes over the configuration socket, and what an engine answers: whole, cut, and with lines where they do not belong. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { toBase64, toHex } from '../bytes.ts';
import { parseCidr } from '../ip/cidr.ts';
import { runIn } from '../testleaks.ts';
import { parseRequest, printErrno, printRequest, type SetDevice, takeRequest, UapiError } from './uapi.ts';
import { type DeviceStatus, parseStatus, printStatus } from './uapistatus.ts';

/** Random ones: a key of zeros would be found anywhere. */
const key = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map(seed => new Uint8Array(createHash('sha256').update(seed).digest()));
/** With the prototype that read ones have. */
const plain = { noNullPrototype: true } as const;
const range = fc
  .constantFrom('10.0.0.0/8', '10.1.0.0/16', '0.0.0.0/0', 'fd00::/8', '::/0', '192.0.2.1/32')
  .map(text => parseCidr(text)!);
const endpoint = fc.constantFrom(
  { address: '192.0.2.1', port: 51820 },
  { address: '2001:db8::1', port: 1 },
  { address: 'fe80::1%eth0', port: 65535 },
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const withoutUndefined = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;

const device: fc.Arbitrary<SetDevice> = fc
  .record({
    privateKey: maybe(key),
    listenPort: maybe(fc.nat(65535)),
    fwmark: maybe(fc.integer({ min: 0, max: 0xffffffff })),
    replacePeers: fc.boolean(),
    peers: fc.array(
      fc
        .record({
          publicKey: key,
          remove: fc.boolean(),
          updateOnly: fc.boolean(),
          presharedKey: maybe(key),
          endpoint: maybe(endpoint),
          persistentKeepalive: maybe(fc.nat(65535)),
          replaceAllowedIps: fc.boolean(),
          allowedIps: fc.array(fc.record({ range, remove: fc.boolean() }, plain), { maxLength: 4 }),
        })
        .map(withoutUndefined),
      { maxLength: 4 },
    ),
  })
  .map(withoutUndefined) as fc.Arbitrary<SetDevice>;

/** Lines cut, joined, swapped, and values where others belong. */
const edits = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('swap' as const), a: fc.nat(60), b: fc.nat(60) }),
    fc.record({ kind: fc.constant('values' as const), a: fc.nat(60), b: fc.nat(60) }),
    fc.record({ kind: fc.constant('unnamed' as const), a: fc.nat(60), b: fc.nat(1) }),
    fc.record({ kind: fc.constant('joined' as const), a: fc.nat(60), b: fc.nat(1) }),
    fc.record({ kind: fc.constant('cut' as const), a: fc.nat(60), b: fc.nat(80) }),
  ),
  { maxLength: 4 },
);

function edited(text: string, changes: readonly { kind: string; a: number; b: number }[]): string {
  const lines = text.split('\n');
  for (const { kind, a, b } of changes) {
    const [i, j] = [a % lines.length, b % lines.length];
    const [one, other] = [lines[i]!, lines[j]!];
    const value = (line: string) => line.slice(line.indexOf('=') + 1);
    if (kind === 'swap') [lines[i], lines[j]] = [other, one];
    else if (kind === 'values') lines[i] = `${one.slice(0, one.indexOf('=') + 1)}${value(other)}`;
    else if (kind === 'unnamed') lines[i] = b === 0 ? value(one) : `${value(one)}=`;
    else if (kind === 'joined') lines.splice(i, 2, lines.slice(i, i + 2).join(''));
    else lines[i] = one.slice(0, b);
  }
  return lines.join('\n');
}

function refusal(work: () => unknown): string {
  try {
    work();
    return '';
  } catch (error) {
    assert.ok(error instanceof UapiError, String(error));
    return error.message;
  }
}

describe('the configuration protocol', () => {
  test('a request is read as it was written, however it arrives', () => {
    fc.assert(
      fc.property(fc.array(device, { maxLength: 3 }), fc.nat(200), (devices, cut) => {
        const stream = devices.map(set => printRequest({ set })).join('') + 'get=1\n';
        let rest = stream.slice(0, cut);
        const requests: string[] = [];
        for (const part of [stream.slice(cut), '\n']) {
          rest += part;
          for (let taken = takeRequest(rest); taken; taken = takeRequest(rest)) {
            requests.push(taken.request);
            rest = taken.rest;
          }
        }
        assert.equal(rest, '');
        assert.deepEqual(requests.map(parseRequest), [...devices.map(set => ({ set })), { get: true }]);
      }),
    );
  });

  test('whatever is edited: its own error or none, and no secret in it', () => {
    fc.assert(
      fc.property(device, edits, (set, changes) => {
        const text = edited(printRequest({ set }).slice(0, -1), changes);
        const message = refusal(() => parseRequest(text));
        for (const secret of [set.privateKey, ...set.peers.map(peer => peer.presharedKey)]) {
          if (secret) assert.equal(runIn(message, toHex(secret)), undefined);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a key as wg prints it, anywhere: not told either', () => {
    const place = fc.constantFrom(
      'private_key',
      'listen_port',
      'fwmark',
      'public_key',
      'endpoint',
      'allowed_ip',
      'preshared_key',
      'replace_peers',
      '',
    );
    fc.assert(
      fc.property(
        key,
        place,
        fc.constantFrom('', `public_key=${'ab'.repeat(32)}\n`),
        (secret, name, before) => {
          for (const text of [toBase64(secret), toHex(secret)]) {
            for (const line of [`${name}=${text}`, `${text}=${name}`, text, `${name} ${text}`]) {
              assert.equal(
                runIn(
                  refusal(() => parseRequest(`set=1\n${before}${line}\n`)),
                  text,
                ),
                undefined,
              );
              assert.equal(
                runIn(
                  refusal(() => parseStatus(`${before}${line}\nerrno=0\n\n`)),
                  text,
                ),
                undefined,
              );
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('any text: its own error or none', () => {
    const words = fc.constantFrom(
      'get=1',
      'set=1',
      'errno=',
      'errno=0',
      '=',
      '\n',
      'public_key=',
      'allowed_ip=',
      '-',
      '1',
      'ab'.repeat(32),
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.array(words, { maxLength: 12 }).map(list => list.join('')),
    );
    fc.assert(
      fc.property(text, given => {
        refusal(() => parseRequest(given));
        refusal(() => parseStatus(given));
        refusal(() => parseStatus(`${given}\n${printErrno()}`));
      }),
      { numRuns: 2000 },
    );
  });

  test('an answer is read as it was written, and edited ones tell no secret', () => {
    const status: fc.Arbitrary<DeviceStatus> = fc
      .record({
        privateKey: maybe(key),
        listenPort: fc.nat(65535),
        fwmark: fc.integer({ min: 0, max: 0xffffffff }),
        peers: fc.array(
          fc
            .record({
              publicKey: key,
              presharedKey: maybe(key),
              endpoint: maybe(endpoint),
              lastHandshake: maybe(
                fc.record({ seconds: fc.integer({ min: 1 }), nanos: fc.nat(999_999_999) }, plain),
              ),
              txBytes: fc.maxSafeNat(),
              rxBytes: fc.maxSafeNat(),
              persistentKeepalive: fc.nat(65535),
              allowedIps: fc.array(range, { maxLength: 4 }),
            })
            .map(withoutUndefined),
          { maxLength: 3 },
        ),
      })
      .map(withoutUndefined) as fc.Arbitrary<DeviceStatus>;
    fc.assert(
      fc.property(status, edits, (written, changes) => {
        const text = printStatus(written);
        assert.deepEqual(parseStatus(text), written);
        const message = refusal(() => parseStatus(edited(text, changes)));
        for (const secret of [written.privateKey, ...written.peers.map(peer => peer.presharedKey)]) {
          if (secret) assert.equal(runIn(message, toHex(secret)), undefined);
        }
      }),
      { numRuns: 500 },
    );
  });
});
