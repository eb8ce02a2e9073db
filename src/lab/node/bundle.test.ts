import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodSpec } from '../../kube/core.ts';
import { type BundleInput, ociConfig } from './bundle.ts';
import { capabilitiesInMask, capabilitiesOf } from './capabilities.ts';

const image = { entrypoint: ['/entry'], cmd: ['serve'], env: { PATH: '/bin' }, workdir: '/work' };
const config = (
  container: Partial<Container>,
  spec: Partial<PodSpec> = {},
  more: Partial<BundleInput> = {},
) => {
  const whole: Container = { name: 'c', ...container };
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [whole], ...spec },
  };
  return ociConfig({
    pod,
    container: whole,
    image,
    environment: { NAME: 'x' },
    netns: '/run/netns/cni-1',
    hostname: 'p',
    mounts: [],
    shm: '/shm',
    homes: new Map([[0, '/root']]),
    annotations: {},
    ...more,
  });
};

test('command and args override entry point and arguments', () => {
  assert.deepEqual(config({}).process.args, ['/entry', 'serve']);
  assert.deepEqual(config({ args: ['$(NAME)'] }).process.args, ['/entry', 'x']);
  assert.deepEqual(config({ command: ['sh', '-c'] }).process.args, ['sh', '-c']);
  assert.deepEqual(config({ command: ['sh'], args: ['a'] }).process.args, ['sh', 'a']);
});

test('capabilities: the default set, added, dropped, all', () => {
  assert.equal(capabilitiesOf(undefined).length, 14);
  assert.ok(capabilitiesOf({ capabilities: { add: ['NET_ADMIN'] } }).includes('CAP_NET_ADMIN'));
  assert.deepEqual(capabilitiesOf({ capabilities: { drop: ['ALL'], add: ['CAP_NET_BIND_SERVICE'] } }), [
    'CAP_NET_BIND_SERVICE',
  ]);
  assert.ok(
    !capabilitiesOf({ capabilities: { add: ['ALL'], drop: ['SYS_ADMIN'] } }).includes('CAP_SYS_ADMIN'),
  );
  assert.ok(capabilitiesOf({ privileged: true }).includes('CAP_SYS_ADMIN'));
  assert.deepEqual(capabilitiesInMask('1000000001'), ['CHOWN', 'BLOCK_SUSPEND']);
  assert.deepEqual(capabilitiesOf({ privileged: true }, ['KILL']), ['CAP_KILL']);
  assert.deepEqual(capabilitiesOf({ capabilities: { add: ['BPF'] } }, ['KILL']), ['CAP_KILL']);
  assert.throws(() => config({ securityContext: { capabilities: { add: ['FLY'] } } }), /unknown capability/);
});

test('hostNetwork and hostPID share the namespaces of the node', () => {
  const types = (spec: Partial<PodSpec>) => config({}, spec).linux.namespaces.map(each => each.type);
  assert.deepEqual(types({}), ['mount', 'pid', 'ipc', 'uts', 'network']);
  assert.deepEqual(types({ hostNetwork: true, hostPID: true }), ['mount', 'ipc']);
  assert.equal(config({}, { hostNetwork: true }).hostname, undefined);
});

test('privileged containers see devices and write sysfs; others do not', () => {
  const plain = config({});
  const privileged = config({ securityContext: { privileged: true } });
  const mount = (from: typeof plain, at: string) => from.mounts.find(each => each.destination === at);
  assert.equal(mount(plain, '/dev')?.type, 'tmpfs');
  assert.ok(mount(plain, '/sys')?.options?.includes('ro'));
  assert.ok(plain.linux.readonlyPaths?.includes('/proc/sys'));
  assert.equal(mount(privileged, '/dev')?.source, '/dev');
  assert.ok(mount(privileged, '/sys')?.options?.includes('rw'));
  assert.equal(privileged.linux.maskedPaths, undefined);
});

test('users: other ones than root have no effective capabilities; runAsNonRoot is enforced', () => {
  const user = config({ securityContext: { runAsUser: 1000, allowPrivilegeEscalation: false } }).process;
  assert.equal(user.user.uid, 1000);
  assert.deepEqual(user.capabilities.effective, []);
  assert.equal(user.noNewPrivileges, true);
  assert.throws(() => config({ securityContext: { runAsNonRoot: true } }), /image will run as root/);
});

test('mounts stand parents first', () => {
  const mounts = ['/a/b/c', '/a', '/a/b'].map(destination => ({ destination }));
  const own = config({}, {}, { mounts }).mounts.filter(each => each.destination.startsWith('/a'));
  assert.deepEqual(
    own.map(each => each.destination),
    ['/a', '/a/b', '/a/b/c'],
  );
});
