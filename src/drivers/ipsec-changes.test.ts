import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Epoch } from '../model/epochs/epoch.ts';
import { sealingLimits } from '../proto/esp/limits.ts';
import { aeadSuite, cbcSuite, type Suite } from '../proto/esp/suite.ts';
import type { IpsecDesired, IpsecOpening } from './driver.ts';
import { ipsecChanges } from './ipsec-changes.ts';
import { type IpsecStatus, observedOf, readStatus } from './ipsec-status.ts';
import { MemoryEngine } from './memory-ipsec.ts';

const GCM = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const CBC = cbcSuite('hmac(sha512)', 64, 32);
const KEY3: Epoch = 'ipsec/3/9c1185a5c5e9fc54';
const KEY4: Epoch = 'ipsec/4/1b4f0e9851971998';
const RUNS = ['11111111-2222-3333-4444-555555555551', '11111111-2222-3333-4444-555555555552'];

test('a peer in full: both directions with all words, then its policies', () => {
  const { lines, phrases } = ipsecChanges(statusOf(new MemoryEngine()), desired([{ host: 1, seals: KEY3 }]));
  const [key, back] = ['20', '21'].map(byte => `0x${byte.repeat(20)}`);
  const common = 'proto esp spi 0x3 reqid 1 mode tunnel';
  const rest = 'replay-window 4096 flag esn';
  const label = `label 'n1 ${RUNS[0]} ${KEY3}'`;
  assert.deepEqual(lines, [
    `state add src 10.9.0.1 dst 10.9.1.1 ${common} dir out aead 'rfc4106(gcm(aes))' ${key} 128 ${rest} ` +
      `limit packet-soft 9223372036854775808 packet-hard 18446744073709551615 ${label}`,
    `state add src 10.9.1.1 dst 10.9.0.1 ${common} dir in aead 'rfc4106(gcm(aes))' ${back} 128 ${rest} ` +
      `sel 10.9.1.0/24 ${label}`,
    'policy set dst 10.9.1.0/24 src 10.9.0.1 spi 0x3 to 10.9.1.1',
    'local 10.9.0.0/24',
  ]);
  assert.deepEqual(phrases, [
    'peer n1 opened under ipsec/3',
    'peer n1 sealed with ipsec/3',
    'delivers to 10.9.0.0/24',
  ]);
});

test('integrity and cipher apart, and lower limits', () => {
  const suite = { suite: CBC, limits: { ...sealingLimits(CBC, true), packets: { due: 75n, last: 100n } } };
  const { lines } = ipsecChanges(statusOf(new MemoryEngine()), desired([{ host: 1, suite }]));
  const blocks = `byte-soft ${2n ** 51n} byte-hard ${2n ** 52n}`;
  assert.match(lines[0]!, /auth-trunc 'hmac\(sha512\)' 0x(20){64} 256 enc 'cbc\(aes\)' 0x(20){32} replay/);
  assert.ok(lines[0]!.includes(`limit packet-soft 75 packet-hard 100 ${blocks} label`), lines[0]);
});

test('lower limits of a state that is there are set in place', () => {
  const engine = new MemoryEngine();
  apply(engine, desired([{ host: 1 }]));
  const limits = { ...sealingLimits(GCM, true), packets: { due: 75n, last: 100n } };
  const next = desired([{ host: 1, suite: { suite: GCM, limits } }]);
  const { lines, phrases } = ipsecChanges(statusOf(engine), next);
  assert.equal(lines.length, 1);
  assert.deepEqual(phrases, ['peer n1 changed under ipsec/3']);
  apply(engine, next);
  assert.deepEqual(ipsecChanges(statusOf(engine), next).lines, []);
});

test('traffic that turned to another protocol is sealed as before as far as it was on its way', () => {
  const engine = new MemoryEngine();
  apply(engine, desired([{ host: 1, seals: KEY3 }]));
  const turned = desired([{ host: 1 }]);
  assert.deepEqual(ipsecChanges(statusOf(engine), turned).lines, []);
  apply(engine, desired([]));
  assert.deepEqual([statusOf(engine).states, statusOf(engine).policies], [[], []]);
});

test('states of somebody else are removed', () => {
  const engine = new MemoryEngine();
  const words = "proto esp spi 0x5 mode tunnel dir out aead 'rfc4106(gcm(aes))' 0xabababababababab 128";
  engine.answer(`state add src 10.9.0.1 dst 10.9.7.1 ${words} label manual\n\n`);
  const { lines, phrases } = ipsecChanges(statusOf(engine), desired([]));
  assert.equal(lines[0], 'state delete src 10.9.0.1 dst 10.9.7.1 spi 0x5 dir out');
  assert.equal(phrases[0], 'state out 10.9.0.1 10.9.7.1 0x5 removed');
});

const sketch = fc.record({
  host: fc.integer({ min: 1, max: 4 }),
  epochs: fc.subarray([KEY3, KEY4]),
  run: fc.integer({ min: 0, max: 1 }),
  seals: fc.option(fc.constantFrom(KEY3, KEY4), { nil: undefined }),
  known: fc.boolean(),
});
const sketches = fc.uniqueArray(sketch, { selector: ({ host }) => host });

test('from any state to any other in one request, and then there is nothing left to do', () => {
  fc.assert(
    fc.property(fc.array(sketches, { minLength: 1, maxLength: 5 }), steps => {
      const engine = new MemoryEngine();
      for (const step of steps) {
        const next = desired(step);
        apply(engine, next);
        const status = statusOf(engine);
        assert.deepEqual(ipsecChanges(status, next), { lines: [], phrases: [] });
        const { openings, seals } = observedOf(status);
        const wanted = next.peers.flatMap(peer =>
          peer.openings.map(opening => ({ peer: peer.name, ...opening })),
        );
        for (const { peer, incarnation, epoch } of openings)
          assert.ok(
            wanted.some(way => way.peer === peer && way.incarnation === incarnation && way.epoch === epoch),
          );
        for (const { peer, incarnation, epoch, keys } of wanted)
          assert.ok(
            !keys ||
              openings.some(
                way => way.peer === peer && way.incarnation === incarnation && way.epoch === epoch,
              ),
          );
        for (const peer of next.peers) {
          const sealing = seals.filter(seal => seal.peer === peer.name);
          assert.ok(sealing.length <= 1);
          if (peer.seals) assert.ok(sealing.every(({ epoch }) => epoch === peer.seals!.epoch));
        }
      }
    }),
    { numRuns: 300 },
  );
});

interface Sketch {
  host: number;
  epochs?: Epoch[];
  run?: number;
  seals?: Epoch | undefined;
  known?: boolean;
  suite?: { suite: Suite; limits: ReturnType<typeof sealingLimits> };
}

function desired(peers: Sketch[]): IpsecDesired {
  return {
    ...{ device: 'esp0', run: RUNS[0]!, local: ['10.9.0.0/24'] },
    peers: peers.map(({ host, epochs = [KEY3], run = 0, seals, known = true, suite }) => {
      const incarnation = RUNS[run]!;
      const openings = epochs.map((epoch): IpsecOpening => {
        if (!known) return { incarnation, epoch };
        const used = suite ?? { suite: GCM, limits: sealingLimits(GCM, true) };
        const byte = 32 * host + 8 * run + (epoch === KEY4 ? 4 : 0);
        const key = (fill: number) => ({
          cipher: new Uint8Array(used.suite.keyLength + used.suite.saltLength).fill(fill),
          ...(used.suite.integrityKeyLength > 0
            ? { integrity: new Uint8Array(used.suite.integrityKeyLength).fill(fill) }
            : {}),
        });
        return { incarnation, epoch, keys: { ...used, out: key(byte), in: key(byte + 1) } };
      });
      return {
        name: `n${host}`,
        tunnel: { local: '10.9.0.1', remote: `10.9.${host}.1` },
        cidrs: [`10.9.${host}.0/24`],
        openings,
        ...(seals === undefined ? {} : { seals: { incarnation, epoch: seals } }),
      };
    }),
  };
}

function statusOf(engine: MemoryEngine): IpsecStatus {
  const status = readStatus(JSON.parse(engine.answer('list\n\n')));
  assert.ok(typeof status !== 'string', String(status));
  return status;
}

function apply(engine: MemoryEngine, wanted: IpsecDesired): void {
  const { lines } = ipsecChanges(statusOf(engine), wanted);
  const answer = JSON.parse(engine.answer(`${lines.join('\n')}\n\n`));
  assert.equal(answer.error, undefined, JSON.stringify([answer, lines]));
}
