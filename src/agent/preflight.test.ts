import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import type { Abilities } from '../linux/probe.ts';
import { type AgentConfig, type ConfigData, parseConfig } from '../model/config.ts';
import { preflight, udpPortFree } from './preflight.ts';

const yes = { ok: true };
const no = { ok: false };
const able: Abilities = {
  ...{ netAdmin: yes, sysAdmin: yes, netRaw: yes, tun: yes, wireguard: no, xfrmEsp: no },
  ...{ xfrmPolicy: no, nft: yes, vxlan: yes, ipv6: yes },
};
const wireguard = { 'enable-wireguard': 'true' };

function check(data: ConfigData, abilities: Partial<Abilities>, { deviceThere = false, free = true } = {}) {
  const { config } = parseConfig(data) as { config: AgentConfig };
  return preflight({ config, abilities: { ...able, ...abilities }, deviceThere, portFree: async () => free });
}

test('a node with TUN and no WireGuard in its kernel will do', async () => {
  assert.deepEqual(await check(wireguard, {}), []);
});

test('so will one with WireGuard and no TUN', async () => {
  assert.deepEqual(await check(wireguard, { tun: no, wireguard: yes }), []);
});

test('neither: what to load', async () => {
  assert.match((await check(wireguard, { tun: no })).join(), /load the module wireguard or tun/);
  assert.deepEqual(await check({}, { tun: no }), []);
});

test('each thing that is missing has a sentence of its own', async () => {
  const problems = await check(wireguard, { netAdmin: no, nft: no });
  assert.equal(problems.length, 2);
  assert.match(problems[0]!, /CAP_NET_ADMIN is missing: add NET_ADMIN/);
});

test('the reason that the probe gave is preferred', async () => {
  assert.deepEqual(await check({}, { vxlan: { ok: false, reason: 'load it' } }), ['load it']);
});

test('a taken port matters unless our own device has it', async () => {
  assert.match((await check(wireguard, {}, { free: false })).join(), /UDP port 51871 is taken.*stop it/);
  assert.deepEqual(await check(wireguard, {}, { free: false, deviceThere: true }), []);
});

for (const type of ['udp4', 'udp6'] as const) {
  test(`a port bound on ${type} is not free`, async t => {
    const socket = createSocket(type === 'udp6' ? { type, ipv6Only: true } : { type });
    t.after(() => socket.close());
    await new Promise<void>(resolve => socket.bind(0, resolve));
    assert.equal(await udpPortFree(socket.address().port), false);
  });
}

test('a port that nobody has is free', async () => {
  const socket = createSocket('udp4');
  await new Promise<void>(resolve => socket.bind(0, resolve));
  const { port } = socket.address();
  await new Promise<void>(resolve => socket.close(resolve));
  assert.equal(await udpPortFree(port), true);
});
