/**
 * Services on a real node:
 *
 *     pd-c (client pod) 10.244.1.9 ─┐
 *     pd-a (pod)        10.244.1.2 ─┼─ pd-node 172.18.0.3 ── eth0 ── pd-out 172.18.0.1
 *     pd-b (pod)        10.244.1.3 ─┘
 *
 * Pods hang on a veth each with a /32 and /128, as the data plane of the lab makes them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { endStaleFlows } from '../../src/lab/proxy/conntrack.ts';
import { renderRemoval, renderRuleset } from '../../src/lab/proxy/ruleset.ts';
import { targetsOf } from '../../src/lab/proxy/targets.ts';
import { applyNft } from '../../src/linux/nft.ts';

const run = promisify(execFile);
const prefix = 'pd-';
const node = `${prefix}node`;
const pods = { a: 2, b: 3, c: 9 };
const servers: ChildProcess[] = [];

before(async () => {
  await removeAll();
  const noWaiting = 'for c in all default; do echo 0 > /proc/sys/net/ipv6/conf/$c/accept_dad; done';
  for (const name of ['node', 'out', ...Object.keys(pods)]) {
    await ip('netns', 'add', prefix + name);
    await inside(prefix + name, 'sh', '-c', noWaiting);
  }
  await inside(
    node,
    'sh',
    '-c',
    'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
  );
  await inside(node, 'ip', 'link', 'set', 'lo', 'up');
  await inside(
    node,
    'ip',
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    `${prefix}out`,
  );
  for (const [name, ends] of [
    [node, ['172.18.0.3/16', 'fd00:172:18::3/64']],
    [`${prefix}out`, ['172.18.0.1/16', 'fd00:172:18::1/64']],
  ] as const) {
    for (const end of ends)
      await inside(name, 'ip', 'addr', 'add', end, 'dev', 'eth0', ...(end.includes(':') ? ['nodad'] : []));
    await inside(name, 'ip', 'link', 'set', 'eth0', 'up');
  }
  await inside(node, 'ip', 'route', 'add', 'default', 'via', '172.18.0.1');
  await inside(node, 'ip', '-6', 'route', 'add', 'default', 'via', 'fd00:172:18::1');
  for (const [name, number] of Object.entries(pods)) await addPod(name, number);
  for (const name of ['a', 'b', 'c']) await serve(name, name === 'c' ? 9090 : 8080);
});

after(async () => {
  for (const server of servers) server.kill();
  await removeAll();
});

const web = service('web', {
  clusterIPs: ['10.96.0.20', 'fd00:10:96::20'],
  type: 'NodePort',
  ports: [
    { name: 'tcp', port: 80, targetPort: 8080, nodePort: 30080, protocol: 'TCP' },
    { name: 'udp', port: 80, targetPort: 8080, protocol: 'UDP' },
  ],
});
const both = ['a', 'b'] as const;

test('a pod that asks the Service reaches both pods, with its own address seen', async () => {
  await apply([web], slices('web', both));
  const answers = await ask('c', 'tcp', '10.96.0.20', 80, 30);
  assert.deepEqual(new Set(answers), new Set(['a 10.244.1.9', 'b 10.244.1.9']));
  const udp = await ask('c', 'udp', '10.96.0.20', 80, 30);
  assert.deepEqual(new Set(udp), new Set(['a 10.244.1.9', 'b 10.244.1.9']));
});

test('IPv6 as well', async () => {
  await apply([web], slices('web', both));
  for (const protocol of ['tcp', 'udp'] as const) {
    const answers = await ask('c', protocol, 'fd00:10:96::20', 80, 30);
    assert.deepEqual(new Set(answers), new Set(['a fd00:10:244:1::9', 'b fd00:10:244:1::9']));
  }
});

test('the node itself reaches the Service, by its address and by its node port', async () => {
  await apply([web], slices('web', both));
  const own = await ask('node', 'tcp', '10.96.0.20', 80, 20);
  assert.deepEqual(new Set(own.map(answer => answer.split(' ')[0])), new Set(['a', 'b']));
  const port = await ask('node', 'tcp', '172.18.0.3', 30080, 20);
  assert.deepEqual(new Set(port.map(answer => answer.split(' ')[0])), new Set(['a', 'b']));
});

test('from outside by the node port, over both families', async () => {
  await apply([web], slices('web', both));
  for (const address of ['172.18.0.3', 'fd00:172:18::3']) {
    const answers = await ask('out', 'tcp', address, 30080, 20);
    assert.deepEqual(new Set(answers.map(answer => answer.split(' ')[0])), new Set(['a', 'b']));
  }
});

test('a pod of the node keeps its address on its way through the node port', async () => {
  await apply([web], slices('web', both));
  const answers = await ask('c', 'tcp', '172.18.0.3', 30080, 20);
  assert.deepEqual(new Set(answers), new Set(['a 10.244.1.9', 'b 10.244.1.9']));
  const six = await ask('c', 'tcp', 'fd00:172:18::3', 30080, 20);
  assert.deepEqual(new Set(six), new Set(['a fd00:10:244:1::9', 'b fd00:10:244:1::9']));
  await apply([web], slices('web', ['a']));
  const itself = await ask('a', 'tcp', '172.18.0.3', 30080, 5);
  assert.deepEqual(new Set(itself.map(answer => answer.split(' ')[0])), new Set(['a']));
});

test('a pod reaches itself through the Service', async () => {
  await apply([web], slices('web', ['a']));
  for (const protocol of ['tcp', 'udp'] as const) {
    const answers = await ask('a', protocol, '10.96.0.20', 80, 5);
    assert.deepEqual(new Set(answers.map(answer => answer.split(' ')[0])), new Set(['a']));
  }
});

test('what no pod serves is refused at once, for pods, the node and the world', async () => {
  await apply([web], slices('web', []));
  assert.deepEqual(await ask('c', 'tcp', '10.96.0.20', 80, 1), ['ECONNREFUSED']);
  assert.deepEqual(await ask('c', 'udp', '10.96.0.20', 80, 1), ['ECONNREFUSED']);
  assert.deepEqual(await ask('c', 'tcp', 'fd00:10:96::20', 80, 1), ['ECONNREFUSED']);
  assert.deepEqual(await ask('node', 'tcp', '10.96.0.20', 80, 1), ['ECONNREFUSED']);
  assert.deepEqual(await ask('out', 'tcp', '172.18.0.3', 30080, 1), ['ECONNREFUSED']);
  assert.deepEqual(
    await ask('c', 'tcp', '10.96.0.20', 81, 1),
    ['ECONNREFUSED'],
    'a port that the Service has not',
  );
});

test('with ClientIP affinity each client stays with one pod', async () => {
  const sticky = { ...web, spec: { ...web.spec, sessionAffinity: 'ClientIP' as const } };
  await apply([sticky], slices('web', both));
  for (const client of ['c', 'node']) {
    const answers = await ask(client, 'tcp', '10.96.0.20', 80, 15);
    assert.equal(new Set(answers).size, 1);
  }
});

test('externalTrafficPolicy Local keeps the address of a client from outside', async () => {
  const local = { ...web, spec: { ...web.spec, externalTrafficPolicy: 'Local' } };
  await apply([local], slices('web', ['b']));
  assert.deepEqual(await ask('out', 'tcp', '172.18.0.3', 30080, 1), ['b 172.18.0.1']);
});

test('a UDP flow to a pod that is gone goes over to one that serves', async () => {
  for (const address of ['10.96.0.20', 'fd00:10:96::20']) {
    await apply([web], slices('web', ['a']));
    const first = await ask('c', 'udp', address, 80, 1, 40_000);
    assert.match(first[0]!, /^a /);
    await apply([web], slices('web', ['b']));
    const netns = `/run/netns/${node}`;
    assert.ok((await endStaleFlows(targetsOf([web], slices('web', ['b']), 'here'), netns)) >= 1);
    assert.equal(await endStaleFlows(targetsOf([web], slices('web', ['b']), 'here'), netns), 0);
    const second = await ask('c', 'udp', address, 80, 1, 40_000);
    assert.match(second[0]!, /^b /);
  }
});

test('a change leaves what is under way alone, and the removal leaves nothing', async () => {
  await apply([web], slices('web', both));
  const asking = ask('c', 'tcp', '10.96.0.20', 80, 60);
  for (let index = 0; index < 10; index++) await apply([web], slices('web', index % 2 ? both : ['a']));
  for (const answer of await asking) assert.match(answer, /^[ab] 10\.244\.1\.9$/);
  await applyNft(renderRemoval(), { netns: `/run/netns/${node}` });
  const { stdout } = await inside(node, 'nft', 'list', 'ruleset');
  assert.equal(stdout, '');
});

function service(name: string, spec: Partial<Service['spec']>): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec };
}

function slices(name: string, backends: readonly (keyof typeof pods)[]): EndpointSlice[] {
  return (['IPv4', 'IPv6'] as const).map(addressType => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${addressType}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType,
    ports: (['TCP', 'UDP'] as const).map(protocol => ({
      name: protocol.toLowerCase(),
      port: 8080,
      protocol,
    })),
    endpoints: backends.map(pod => ({
      addresses: [addressOf(pods[pod])[addressType === 'IPv4' ? 0 : 1]!],
      conditions: { ready: true },
      nodeName: 'here',
    })),
  }));
}

async function apply(services: Service[], all: EndpointSlice[]): Promise<void> {
  await applyNft(renderRuleset(targetsOf(services, all, 'here')), { netns: `/run/netns/${node}` });
}

async function ask(
  from: string,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
  times: number,
  /** Of the client; a free one by default. */
  sourcePort = 0,
): Promise<string[]> {
  const script = join(import.meta.dirname, 'ask.ts');
  const { stdout } = await inside(
    prefix + from,
    process.execPath,
    script,
    protocol,
    address,
    String(port),
    String(times),
    String(sourcePort),
  );
  return stdout.trim().split('\n');
}

async function serve(name: string, port: number): Promise<void> {
  const script = join(import.meta.dirname, 'echo.ts');
  const server = spawn('ip', ['netns', 'exec', prefix + name, process.execPath, script, name, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers.push(server);
  for await (const line of createInterface(server.stdout!)) if (line === 'up') return;
  throw new Error(`the server of ${name} did not come up`);
}

async function addPod(name: string, number: number): Promise<void> {
  const [pod, device] = [prefix + name, `lxc${name}`];
  const [v4, v6] = addressOf(number);
  await inside(node, 'ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
  await inside(node, 'ip', 'link', 'set', device, 'up');
  await inside(pod, 'ip', 'link', 'set', 'lo', 'up');
  await inside(pod, 'ip', 'link', 'set', 'eth0', 'up');
  await inside(pod, 'ip', 'addr', 'add', `${v4}/32`, 'dev', 'eth0');
  await inside(pod, 'ip', 'addr', 'add', `${v6}/128`, 'dev', 'eth0', 'nodad');
  await inside(node, 'ip', 'addr', 'add', '10.244.1.1/32', 'dev', device);
  await inside(node, 'ip', 'addr', 'add', 'fd00:10:244:1::1/128', 'dev', device, 'nodad');
  await inside(node, 'ip', 'route', 'add', `${v4}/32`, 'dev', device);
  await inside(node, 'ip', 'route', 'add', `${v6}/128`, 'dev', device);
  await inside(pod, 'ip', 'route', 'add', 'default', 'via', '10.244.1.1', 'dev', 'eth0', 'onlink');
  await inside(
    pod,
    'ip',
    '-6',
    'route',
    'add',
    'default',
    'via',
    'fd00:10:244:1::1',
    'dev',
    'eth0',
    'onlink',
  );
}

function addressOf(number: number): [v4: string, v6: string] {
  return [`10.244.1.${number}`, `fd00:10:244:1::${number}`];
}

function inside(name: string, ...command: string[]) {
  return run('ip', ['netns', 'exec', name, ...command], { timeout: 60_000 });
}

function ip(...args: string[]) {
  return run('ip', args);
}

async function removeAll(): Promise<void> {
  for (const name of ['node', 'out', ...Object.keys(pods)])
    await ip('netns', 'del', prefix + name).catch(() => {});
}
