import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createNetns, deleteNetns, netnsIdentity, pinNetns, scratchNetns } from '../../src/linux/netns.ts';
import { openRtnetlink } from '../../src/linux/rtnetlink.ts';
import { readSysctl, writeSysctl } from '../../src/linux/sysctl.ts';
import { freshRtnetlink, run } from './support.ts';

const ours = '/proc/self/ns/net';
const path = (name: string) => `/run/netns/pf-${process.pid}-${name}`;

test('a namespace is made with its loopback up, pinned, and deleted', async t => {
  const [a, b] = [path('a'), path('b')];
  t.after(() => Promise.all([deleteNetns(a), deleteNetns(b)]));
  await createNetns(a);
  assert.ok(netnsIdentity(a));
  assert.notEqual(netnsIdentity(a), netnsIdentity(ours));
  using rtnetlink = openRtnetlink({ netns: a });
  assert.equal((await rtnetlink.link('lo'))?.up, true);
  await assert.rejects(createNetns(a), { code: 'EEXIST' });
  await pinNetns(a, b);
  assert.equal(netnsIdentity(b), netnsIdentity(a));
  assert.equal(await deleteNetns(a), true);
  assert.equal(existsSync(a), false);
  assert.equal(await deleteNetns(a), false);
  assert.notEqual(netnsIdentity(b), undefined);
  assert.equal(await deleteNetns(b), true);
});

test('many at once, and this process stays where it is', async t => {
  const before = netnsIdentity(ours);
  const paths = Array.from({ length: 12 }, (_, i) => path(`many${i}`));
  t.after(() => Promise.all(paths.map(deleteNetns)));
  await Promise.all(paths.map(createNetns));
  assert.equal(new Set(paths.map(netnsIdentity)).size, paths.length);
  assert.equal(netnsIdentity(ours), before);
  using rtnetlink = openRtnetlink();
  using inside = rtnetlink.inNetns(paths[0]!);
  assert.deepEqual(
    (await inside.links()).map(({ name }) => name),
    ['lo'],
  );
  assert.equal(netnsIdentity(ours), before);
});

test('what is no namespace has no identity', () => {
  for (const each of ['/nowhere', '/', '/proc/self/status']) assert.equal(netnsIdentity(each), undefined);
});

test('a scratch namespace ends with its descriptor', async () => {
  const scratch = await scratchNetns();
  assert.notEqual(netnsIdentity(scratch.path), undefined);
  scratch.close();
  scratch.close();
  assert.equal(netnsIdentity(scratch.path), undefined);
});

test('sysctls are read and written in the namespace that is meant', async t => {
  const { netns, rtnetlink } = await freshRtnetlink(t);
  const before = await readSysctl('net/ipv4/ip_forward');
  await writeSysctl('net/ipv4/ip_forward', before === '1' ? 0 : 1, { netns });
  assert.notEqual(await readSysctl('net/ipv4/ip_forward', { netns }), before);
  assert.equal(await readSysctl('net/ipv4/ip_forward'), before);
  await rtnetlink.addLink({ kind: 'veth', name: 'a.100', peer: { name: 'b' } });
  await writeSysctl('net/ipv4/conf/a.100/rp_filter', 1, { netns });
  assert.equal(run(netns, 'cat', '/proc/sys/net/ipv4/conf/a.100/rp_filter').trim(), '1');
  await assert.rejects(writeSysctl('net/ipv4/conf/none/rp_filter', 1, { netns }), { code: 'ENOENT' });
  await assert.rejects(writeSysctl('net/ipv4/ip_forward', 'x', { netns }), { code: 'EINVAL' });
});

test('a sysctl key cannot leave /proc/sys', async () => {
  for (const key of [
    '../../etc/passwd',
    'net/../../../etc/passwd',
    '/etc/passwd',
    'net//x',
    '',
    'net/ipv4/a b',
  ]) {
    await assert.rejects(readSysctl(key), TypeError, key);
    await assert.rejects(writeSysctl(key, 1), TypeError, key);
  }
});
