import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAlias, hostInterfaceName, isHostInterfaceName, parseAlias } from './endpoint.ts';

test('the name of the host interface is short and always the same', () => {
  const name = hostInterfaceName('a'.repeat(64), 'eth0');
  assert.equal(name, hostInterfaceName('a'.repeat(64), 'eth0'));
  assert.notEqual(name, hostInterfaceName('a'.repeat(64), 'net1'));
  assert.ok(name.length <= 15 && isHostInterfaceName(name), name);
  for (const other of ['lxc', 'lxc_health', 'eth0', 'lxc12345678901g'])
    assert.ok(!isHostInterfaceName(other));
});

const endpoint = fc.record({
  containerId: fc.stringMatching(/^[0-9a-f]{12,64}$/),
  ifname: fc.constantFrom('eth0', 'net1'),
  ips: fc.oneof(fc.tuple(fc.ipV4()), fc.tuple(fc.ipV4(), fc.constant('fd00:10:244:1::5'))),
  namespace: fc.stringMatching(/^[a-z0-9-]{0,63}$/),
  pod: fc.stringMatching(/^[a-z0-9.-]{0,253}$/),
});

test('the alias is at most 255 bytes and brings the endpoint back', () => {
  fc.assert(
    fc.property(endpoint, each => {
      const alias = formatAlias(each);
      assert.ok(Buffer.byteLength(alias) <= 255);
      const back = parseAlias(alias)!;
      assert.deepEqual([back.ifname, back.ips, back.namespace], [each.ifname, each.ips, each.namespace]);
      assert.ok(each.containerId.startsWith(back.containerId));
      assert.ok(each.pod.startsWith(back.pod));
      const usual = each.pod.length + each.namespace.length < 100;
      if (usual) assert.deepEqual(back, { ...each });
    }),
  );
});

test('what is no alias of ours is none', () => {
  const bad = [undefined, '', 'pellicle:', 'other:a:eth0:10.0.0.1:/', 'pellicle:a:eth0:10.0.0:x/y'];
  for (const alias of [...bad, 'pellicle:a:eth0:10.0.0.1,:x/y', 'pellicle:a:eth0::x/y']) {
    assert.equal(parseAlias(alias), undefined, alias);
  }
  fc.assert(
    fc.property(fc.string({ maxLength: 255 }), text => {
      parseAlias(text);
      parseAlias(`pellicle:${text}`);
    }),
  );
});
