import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { findGenericFamily } from '../../src/linux/netlink/generic.ts';
import { applyNft, listNft, NftError } from '../../src/linux/nft.ts';
import { probe } from '../../src/linux/probe.ts';
import { freshNetns, run } from './support.ts';

test('what is missing is told with a remedy, what is there agrees with iproute2', async t => {
  const abilities = await probe();
  for (const [name, { ok, reason }] of Object.entries(abilities)) {
    assert.equal(ok, reason === undefined, name);
    if (reason !== undefined) assert.ok(reason.length > 20 && !reason.includes('\n'), reason);
  }
  const netns = await freshNetns(t);
  const wireguard = spawnSync('nsenter', [`--net=${netns}`, 'ip', 'link', 'add', 'w', 'type', 'wireguard']);
  assert.equal(abilities.wireguard.ok, wireguard.status === 0);
  const vxlan = ['link', 'add', 'v', 'type', 'vxlan', 'id', '1', 'dstport', '1'];
  assert.equal(abilities.vxlan.ok, spawnSync('nsenter', [`--net=${netns}`, 'ip', ...vxlan]).status === 0);
  assert.ok(abilities.netAdmin.ok && abilities.sysAdmin.ok, 'these tests run as root');
});

test('without capabilities it names the one that is missing', () => {
  const script = `import { probe } from ${JSON.stringify(new URL('../../src/linux/probe.ts', import.meta.url).href)};
    console.log(JSON.stringify(await probe()));`;
  const drop = ['--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath];
  const output = execFileSync('setpriv', [...drop, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  const abilities = JSON.parse(output) as Awaited<ReturnType<typeof probe>>;
  assert.match(abilities.netAdmin.reason!, /^CAP_NET_ADMIN is missing: /);
  assert.equal(abilities.xfrmEsp.reason, abilities.netAdmin.reason);
  assert.ok(abilities.sysAdmin.ok);
});

test('generic netlink families are found by name', async () => {
  const control = await findGenericFamily('nlctrl');
  assert.equal(control?.id, 0x10);
  assert.ok(control.groups.has('notify'));
  assert.equal(await findGenericFamily('no-such-thing'), undefined);
});

test('nft rules are applied whole or not at all, with the line that is wrong', async t => {
  const netns = await freshNetns(t);
  await applyNft('table inet pellicle {\nchain c {\ntype filter hook input priority 0\ncounter\n}\n}\n', {
    netns,
  });
  assert.match(run(netns, 'nft', 'list', 'ruleset'), /table inet pellicle/);
  const bad = 'table inet other {}\nadd rule inet pellicle c ip saddr 1.2.3.400 drop\n';
  await assert.rejects(applyNft(bad, { netns }), (error: unknown) => {
    assert.ok(error instanceof NftError);
    assert.match(error.message, /^nft refused the rules: line 2: [^\n]+$/);
    return true;
  });
  assert.equal(await listNft(['table', 'inet', 'other'], { netns }), undefined);
  const listed = (await listNft(['table', 'inet', 'pellicle'], { netns }))!;
  assert.ok(listed.some(item => JSON.stringify(item).includes('"chain"')));
});
