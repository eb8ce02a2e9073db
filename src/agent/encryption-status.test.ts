import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriverUnavailable, type IpsecObserved } from '../drivers/driver.ts';
import { type AgentConfig, parseConfig } from '../model/config.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { encryptionRow, encryptView } from './dbg/status-view.ts';
import { type EncryptionSources, encryptionStatus } from './encryption-status.ts';
import { ipsecFamilies } from './ipsec-metrics.ts';
import { formatFamily } from './metric-text.ts';
import type { RoundState } from './reconcile.ts';

const EPOCH: Epoch = 'ipsec/3/0123456789abcdef';
const { config } = parseConfig({ 'enable-ipsec': 'true' }) as { config: AgentConfig };
const state: RoundState = {
  ...{ config, ready: true, uninstalled: false, clusterPodCIDRs: [] },
  keys: { isRead: true, warnings: [] },
};

function observed(): IpsecObserved {
  const one = (direction: 'in' | 'out', sequence: bigint) => ({
    ...{ direction, source: '10.0.0.1', destination: '10.0.1.1', spi: 3, algorithm: '', selectors: [] },
    ...{ counters: { sequence, packets: 0n, bytes: 0n }, due: false, expired: false },
  });
  return {
    run: 'r',
    openings: [],
    seals: [{ peer: 'b', incarnation: 'x', epoch: EPOCH }],
    states: [one('out', 0x1e3n), one('in', 0x999n)],
    drops: { XfrmInNoStates: 5, XfrmOutNoStates: 0, sendFailed: 7 },
  };
}

const sources = (ipsec: () => Promise<IpsecObserved>): EncryptionSources => ({
  ipsec,
  wireguard: async () => assert.fail('nobody asked for WireGuard'),
});

test('keys, the highest sequence number sent, and errors are what the engine has', async () => {
  const status = await encryptionStatus(
    state,
    sources(async () => observed()),
  );
  assert.equal(
    encryptView(status),
    [
      'Encryption: IPsec                     ',
      'Decryption interface(s): ',
      'Keys in use: 2                         ',
      'Max Seq. Number: 0x1e3/0xffffffffffffffff',
      'Errors: 5                         ',
      '\tXfrmInNoStates: 5',
      '',
    ].join('\n'),
  );
  assert.deepEqual(encryptionRow(status), ['Encryption:', 'IPsec']);
});

test('before anything was sent there is no sequence number', async () => {
  const status = await encryptionStatus(
    state,
    sources(async () => ({ ...observed(), states: [], drops: {} })),
  );
  assert.match(encryptView(status), /Keys in use: 0 .*\nMax Seq\. Number: N\/A\nErrors: 0 +\n$/);
});

test('a Secret that is refused and an engine that is away show why', async () => {
  const refused = { ...state, keys: { isRead: true, warnings: [], trouble: 'the Secret is bad' } };
  const status = await encryptionStatus(
    refused,
    sources(async () => observed()),
  );
  assert.deepEqual(encryptionRow(status), ['Encryption:', 'IPsec', '[the Secret is bad]']);
  const away = await encryptionStatus(
    state,
    sources(async () => {
      throw new DriverUnavailable('no engine');
    }),
  );
  assert.deepEqual([away.msg, away.ipsec?.['keys-in-use']], ['no engine', 0]);
});

test("the metrics have Cilium's names and labels", async () => {
  const status = await encryptionStatus(
    state,
    sources(async () => observed()),
  );
  const text = ipsecFamilies(status).map(formatFamily).join('');
  for (const line of [
    'cilium_ipsec_xfrm_error{type="inbound",error="no_state"} 5',
    'cilium_ipsec_xfrm_error{type="outbound",error="state_sequence"} 0',
    'cilium_ipsec_keys 2',
    'cilium_ipsec_xfrm_states{direction="out"} 1',
    'cilium_ipsec_xfrm_policies{direction="out"} 1',
    'cilium_ipsec_key_refused 0',
  ])
    assert.ok(text.includes(`${line}\n`), line);
});
