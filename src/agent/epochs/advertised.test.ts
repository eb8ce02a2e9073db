import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CiliumNode } from '../../kube/types.ts';
import { Advertisements, advertisementOf } from './advertised.ts';

const RUN = '11111111-2222-3333-4444-555555555555';

function node(annotations: Record<string, string>, bootid = RUN): CiliumNode {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name: 'n', uid: 'u', annotations },
    spec: { bootid },
  };
}

test('the run and the epochs are read together', () => {
  const said = advertisementOf(node({ 'pellicle.io/epochs': 'serial=3 opens=wireguard,none seals=none' }));
  assert.deepEqual(said, {
    incarnation: RUN,
    serial: 3,
    opens: ['wireguard', 'none'],
    seals: ['none'],
    refuses: [],
  });
});

test('a node that knew WireGuard alone said all of it with its key', () => {
  assert.deepEqual(advertisementOf(node({ 'network.cilium.io/wg-pub-key': 'x' }))?.opens, ['wireguard']);
  assert.equal(advertisementOf(node({})), undefined);
});

test('what somebody spoils is not taken for silence, as long as it is the same object', () => {
  const advertisements = new Advertisements();
  const good = node({ 'pellicle.io/epochs': 'serial=1 opens=wireguard' });
  const spoilt = node({ 'pellicle.io/epochs': 'nonsense' });
  assert.equal(advertisements.read([good]).get('n')?.serial, 1);
  assert.equal(advertisements.read([spoilt]).get('n')?.serial, 1);
  const renewed = { ...spoilt, metadata: { ...spoilt.metadata, uid: 'another' } };
  assert.equal(advertisements.read([renewed]).get('n'), undefined);
});
