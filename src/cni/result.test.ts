import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CniError } from './error.ts';
import { type CniResult, mergeResults, parseResult, renderResult } from './result.ts';
import { CNI_VERSIONS } from './version.ts';

const result: CniResult = {
  interfaces: [
    { name: 'lxc0', mac: '02:00:00:00:00:01', mtu: 1420 },
    { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1420, sandbox: '/run/netns/x' },
  ],
  ips: [
    { address: '10.244.1.5/32', gateway: '10.244.1.1', interface: 1 },
    { address: 'fd00::5/128', gateway: 'fd00::1', interface: 1 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.244.1.1' },
    { dst: '::/0', gw: 'fd00::1' },
  ],
  dns: {},
};

test('0.1.0 and 0.2.0 have one address of each family', () => {
  for (const version of ['0.1.0', '0.2.0'] as const) {
    assert.deepEqual(renderResult(version, result), {
      cniVersion: version,
      ip4: { ip: '10.244.1.5/32', gateway: '10.244.1.1', routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.1' }] },
      ip6: { ip: 'fd00::5/128', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
      dns: {},
    });
  }
});

test('0.3.0 to 0.4.0 tell the version of each address, and no MTU', () => {
  for (const version of ['0.3.0', '0.3.1', '0.4.0'] as const) {
    const shown = renderResult(version, result) as { interfaces: object[]; ips: object[] };
    assert.deepEqual(shown.ips[0], {
      version: '4',
      address: '10.244.1.5/32',
      gateway: '10.244.1.1',
      interface: 1,
    });
    assert.deepEqual(shown.interfaces[0], { name: 'lxc0', mac: '02:00:00:00:00:01' });
  }
});

test('1.0.0 drops the version of addresses, 1.1.0 adds the MTU', () => {
  const one = renderResult('1.0.0', result) as { interfaces: object[]; ips: object[] };
  assert.deepEqual(one.ips, result.ips);
  assert.ok(!('mtu' in one.interfaces[0]!));
  assert.deepEqual(renderResult('1.1.0', result), { cniVersion: '1.1.0', ...result });
});

test('a previous result of any version from 0.3.0 on is read back', () => {
  for (const version of CNI_VERSIONS.slice(2)) {
    const back = parseResult(JSON.parse(JSON.stringify(renderResult(version, result))));
    assert.deepEqual(back.ips, result.ips, version);
    assert.deepEqual(back.routes, result.routes, version);
  }
});

test('in a chain the results of others come first and indexes still fit', () => {
  const previous: CniResult = {
    interfaces: [{ name: 'dummy0' }],
    ips: [{ address: '192.0.2.1/24' }],
    routes: [],
    dns: { nameservers: ['192.0.2.53'] },
  };
  const merged = mergeResults(previous, result);
  assert.deepEqual(
    merged.interfaces.map(({ name }) => name),
    ['dummy0', 'lxc0', 'eth0'],
  );
  assert.deepEqual(
    merged.ips.map(ip => ip.interface),
    [undefined, 2, 2],
  );
  assert.deepEqual(merged.dns, previous.dns);
  assert.equal(mergeResults(undefined, result), result);
});

test('a malformed previous result is refused', () => {
  const bad = [
    7,
    [],
    { interfaces: [{}] },
    { ips: [{ address: 'x' }] },
    { ips: [{ address: '10.0.0.1/32', interface: 3 }] },
    { routes: [{ dst: 'default' }] },
    { dns: [] },
  ];
  for (const value of bad) assert.throws(() => parseResult(value), CniError, JSON.stringify(value));
});
