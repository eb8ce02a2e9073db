import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from '../../model/epochs/epoch.ts';
import type { IpsecPlan } from '../../model/plan.ts';
import { fromHex, toHex } from '../../proto/bytes.ts';
import { aeadSuite } from '../../proto/esp/suite.ts';
import { MasterKey } from '../../proto/keys/master.ts';
import { limitsOf, withKeys } from './desired.ts';

const suite = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const cipher = fromHex('da630c6acdbef2757ab7f5215b8b1811420e3f61')!;
const master = new MasterKey({ id: 3, marked: true, suite, cipher });
const [A, B] = ['11111111-2222-3333-4444-555555555555', 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'];
const KNOWN: Epoch = `ipsec/3/${master.fingerprint}`;
const UNKNOWN: Epoch = 'ipsec/2/0123456789abcdef';

test('each direction has the key that the derivation gives for both ends and their runs', () => {
  const plan: IpsecPlan = {
    ...{ device: 'cilium_esp0', local: ['10.244.0.0/24'] },
    peers: [
      {
        ...{ name: 'b', tunnel: { local: '10.244.0.74', remote: '10.244.3.112' }, cidrs: ['10.244.3.0/24'] },
        openings: [
          { incarnation: B!, epoch: UNKNOWN },
          { incarnation: B!, epoch: KNOWN },
        ],
      },
    ],
  };
  const desired = withKeys(plan, {
    run: A!,
    masterOf: epoch => (epoch === KNOWN ? master : undefined),
    packetLimit: 0,
  });
  const [unknown, known] = desired.peers[0]!.openings;
  assert.equal(desired.run, A);
  assert.equal(unknown?.keys, undefined);
  assert.equal(toHex(known!.keys!.out.cipher), '3ca74d47d136a05d8a86ae36a8a350706fcfd0a2');
  assert.equal(toHex(known!.keys!.in.cipher), '8fd2721fd42481c3ed1b6c41cb625a27df6a16a8');
});

test("a limit of one's own brings the next key sooner, and stops nothing sooner", () => {
  const own = limitsOf(suite, 1000);
  const usual = limitsOf(suite, 0);
  assert.deepEqual(own, { ...usual, packets: { due: 1000n, last: usual.packets.last } });
});
