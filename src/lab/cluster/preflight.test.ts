import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Machine, preflight } from './preflight.ts';

const project = { root: '/project', node: '/usr/bin/node', mounts: ['/project'] };
const fit: Machine = {
  platform: 'linux',
  root: true,
  exists: () => true,
  filesystems: 'nodev\ttmpfs\nnodev\toverlay\n\text4\n',
};

test('a fit machine has no problem', () => {
  assert.deepEqual(preflight(project, fit), []);
});

test('what is missing is told with its remedy', () => {
  const without = (...missing: string[]) =>
    preflight(project, { ...fit, exists: path => !missing.some(each => path.endsWith(each)) });
  assert.match(without('/crun', '/nft').join(), /crun, nft are missing: .*apt-get install crun nftables/);
  assert.match(without('/dev/net/tun').join(), /modprobe tun/);
  assert.match(without('lab-kubelet.js').join(), /run 'make build' in \/project/);
  assert.match(without('cilium-cni').join(), /build\/cilium-cni/);
  assert.match(preflight(project, { ...fit, filesystems: 'ext4' }).join(), /modprobe overlay/);
  assert.match(preflight(project, { ...fit, root: false }).join(), /as root/);
  assert.match(preflight(project, { ...fit, platform: 'darwin' }).join(), /needs Linux/);
});
