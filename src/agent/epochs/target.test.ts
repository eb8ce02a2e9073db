import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentConfig, parseConfig } from '../../model/config.ts';
import type { Advertisement } from '../../model/epochs/advertisement.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import type { ClusterNode } from '../../model/node.ts';
import type { SelfNode } from '../../model/snapshot.ts';
import { aeadSuite } from '../../proto/esp/suite.ts';
import { MasterKey } from '../../proto/keys/master.ts';
import { canBePeer, targetOf } from './target.ts';

const config = (data: Record<string, string>) => (parseConfig(data) as { config: AgentConfig }).config;
const IPSEC = config({ 'enable-ipsec': 'true' });
const suite = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const key = new MasterKey({
  id: 3,
  marked: true,
  suite,
  cipher: Uint8Array.from({ length: 20 }, (_, i) => i),
});
const said = (...opens: Epoch[]): Advertisement => ({
  ...{ incarnation: 'r', serial: 1, opens, seals: [], refuses: [] },
});

test('the configuration says where to move, and for IPsec the key', () => {
  assert.equal(targetOf(config({}), undefined, undefined, false), 'none');
  assert.equal(targetOf(config({ 'enable-wireguard': 'true' }), key, undefined, false), 'wireguard');
  assert.equal(targetOf(IPSEC, key, said('wireguard'), false), `ipsec/3/${key.fingerprint}`);
});

test('without a key it is what was advertised, and nothing at the very first', () => {
  assert.equal(targetOf(IPSEC, undefined, undefined, false), undefined);
  assert.equal(
    targetOf(IPSEC, undefined, said('ipsec/2/0123456789abcdef', 'wireguard'), false),
    'ipsec/2/0123456789abcdef',
  );
  assert.equal(targetOf(IPSEC, undefined, said('wireguard'), false), 'wireguard');
});

test('in the clear goes on only what is in the clear now', () => {
  assert.equal(targetOf(IPSEC, undefined, said('none'), true), 'none');
  assert.equal(targetOf(IPSEC, undefined, said('none'), false), undefined);
});

test('who lacks an address or a pod CIDR holds nobody up', () => {
  const self: SelfNode = {
    ...{ name: 'a', podCIDRs: ['10.244.0.0/24'], addresses: ['172.18.0.2'], optedOut: false },
    underlay: { devices: ['eth0'], mtu: 1500 },
  };
  const peer: ClusterNode = {
    ...{ name: 'b', created: '', addresses: ['172.18.0.3'], internal: ['10.244.1.1'] },
    ...{ podCIDRs: ['10.244.1.0/24'], sealsNode: false },
  };
  const ipsec: Epoch = 'ipsec/2/0123456789abcdef';
  assert.equal(canBePeer(self, peer, ipsec), true);
  assert.equal(canBePeer(self, { ...peer, internal: [] }, ipsec), false);
  assert.equal(canBePeer(self, { ...peer, internal: [] }, 'wireguard'), true);
  assert.equal(canBePeer(self, { ...peer, podCIDRs: [] }, 'wireguard'), false);
  assert.equal(canBePeer(self, { ...peer, addresses: ['fd00::3'] }, 'wireguard'), false);
});
