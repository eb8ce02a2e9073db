/** CHECK, GC, STATUS, VERSION, every version's result, and bad input, through the shim. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostInterfaceName } from '../../src/cni/endpoint.ts';
import { CNI_VERSIONS } from '../../src/cni/version.ts';
import { DUAL, runShim, TestNode, V4 } from './node.ts';

test('the result has the shape of the version that is asked for', async t => {
  const node = await TestNode.create(t);
  await node.serve(DUAL);
  for (const cniVersion of CNI_VERSIONS) {
    const pod = await node.pod(t);
    const { json, status, stdout } = await node.call('ADD', pod, { cniVersion });
    assert.equal(status, 0, stdout);
    assert.equal(json.cniVersion, cniVersion);
    if (cniVersion < '0.3.0') {
      assert.match(json.ip4!.ip, /^10\.244\.1\.\d+\/32$/);
      assert.equal(json.ip6?.gateway, 'fd00:10:244:1::1');
      assert.equal(json.ips, undefined);
    } else {
      assert.deepEqual(
        json.ips?.map(({ version }) => version),
        cniVersion < '1.0.0' ? ['4', '6'] : [undefined, undefined],
      );
      assert.equal(json.interfaces?.[1]?.mtu, cniVersion === '1.1.0' ? 1420 : undefined);
    }
    const del = await node.call('DEL', pod, { cniVersion, prevResult: json });
    assert.equal(del.status, 0, del.stdout);
  }
});

test('CHECK sees what is missing', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pod = await node.pod(t);
  const prevResult = (await node.call('ADD', pod)).json;
  const check = (config = {}) => node.call('CHECK', pod, { prevResult, ...config });
  const good = await check();
  assert.deepEqual([good.status, good.stdout], [0, '']);
  const early = await node.call('CHECK', pod, { cniVersion: '0.4.0', prevResult });
  assert.equal(early.status, 0, early.stdout);

  const host = hostInterfaceName(pod.id, 'eth0');
  using inside = node.rtnetlink.inNetns(pod.netns);
  const gone = await node.call('CHECK', { id: pod.id, netns: '/nowhere' }, { prevResult });
  assert.equal(gone.json.code, 4, gone.stdout);
  const faults: [RegExp, () => Promise<unknown>, () => Promise<unknown>][] = [
    [
      /node has lost its route to 10\.244\.1\.2/,
      () => node.rtnetlink.deleteRoute({ destination: '10.244.1.2/32' }),
      () => node.rtnetlink.replaceRoute({ destination: '10.244.1.2/32', device: host }),
    ],
    [
      /another MAC address/,
      () => inside.setLink('eth0', { mac: '02:00:00:00:00:01' }),
      () => inside.setLink('eth0', { mac: prevResult.interfaces![1]!.mac! }),
    ],
    [
      /lost its default route/,
      () => inside.deleteRoute({ destination: '0.0.0.0/0' }),
      () => inside.replaceRoute({ destination: '0.0.0.0/0', via: '10.244.1.1', device: 'eth0' }),
    ],
    [
      /lost its address 10\.244\.1\.2/,
      () => inside.deleteAddress({ address: '10.244.1.2/32', device: 'eth0' }),
      async () => {},
    ],
    [/interface eth0 in the pod is down/, () => inside.setLink('eth0', { up: false }), async () => {}],
    [/on the node is missing/, () => node.rtnetlink.deleteLink(host), async () => {}],
  ];
  for (const [words, spoil, mend] of faults) {
    await spoil();
    const answer = await check();
    assert.equal(answer.json.code, 102, answer.stdout);
    assert.match(answer.json.msg!, words);
    await mend();
  }
  const unknown = await node.call('CHECK', { id: 'other', netns: pod.netns }, { prevResult });
  assert.equal(unknown.json.code, 3, unknown.stdout);
});

test('GC removes what is not on the list and leaves the rest', async t => {
  const node = await TestNode.create(t);
  await node.serve(V4);
  const pods = await Promise.all([node.pod(t), node.pod(t), node.pod(t)]);
  for (const pod of pods) await node.call('ADD', pod);
  const valid = [{ containerID: pods[1]!.id, ifname: 'eth0' }];
  const answer = await node.call('GC', {}, { 'cni.dev/valid-attachments': valid });
  assert.deepEqual([answer.status, answer.stdout], [0, '']);
  assert.deepEqual((await node.attached()).links, [hostInterfaceName(pods[1]!.id, 'eth0')]);
});

test('STATUS and VERSION', async t => {
  const node = await TestNode.create(t);
  const down = await node.call('STATUS');
  assert.deepEqual([down.status, down.json.code], [1, 50]);
  const early = await node.call('VERSION', {}, { cniVersion: '0.4.0' });
  assert.deepEqual(
    [early.status, early.json],
    [0, { cniVersion: '0.4.0', supportedVersions: [...CNI_VERSIONS] }],
  );
  await node.serve(V4);
  const up = await node.call('STATUS');
  assert.deepEqual([up.status, up.stdout], [0, '']);
});

test('bad input ends in a CNI error on stdout, with an agent and without', async t => {
  const node = await TestNode.create(t);
  const pod = await node.pod(t);
  const socket = node.socketPath;
  const cases: [
    what: string,
    code: number,
    stdin: string | object,
    env: Record<string, string | undefined>,
  ][] = [
    ['garbage', 6, 'garbage', {}],
    ['nothing', 6, '', {}],
    ['half an object', 6, '{"cniVersion":"1.1.0","name":', {}],
    ['a list', 6, '[]', {}],
    ['more than a megabyte', 6, ' '.repeat((1 << 20) + 1), {}],
    ['nested without end', 6, '{"a":'.repeat(100_000), {}],
    ['no command', 4, {}, { CNI_COMMAND: undefined }],
    ['unknown command', 4, {}, { CNI_COMMAND: 'add' }],
    ['no container', 4, {}, { CNI_CONTAINERID: undefined }],
    ['no interface', 4, {}, { CNI_IFNAME: undefined }],
    ['no namespace', 4, {}, { CNI_NETNS: undefined }],
    ['unknown version', 1, { cniVersion: '2.0.0' }, {}],
    ['DEL of an unknown version', 1, { cniVersion: '' }, { CNI_COMMAND: 'DEL' }],
    ['CHECK without namespace', 4, {}, { CNI_COMMAND: 'CHECK', CNI_NETNS: undefined }],
  ];
  const judgedByTheAgent: typeof cases = [
    ['container with a slash', 4, {}, { CNI_CONTAINERID: '../../x' }],
    ['long interface', 4, {}, { CNI_IFNAME: 'sixteen-letters-' }],
    ['namespace that is not there', 4, {}, { CNI_NETNS: '/nowhere' }],
    ['namespace that is none', 4, {}, { CNI_NETNS: '/etc/passwd' }],
    ['namespace of another kind', 4, {}, { CNI_NETNS: '/proc/self/ns/mnt' }],
    ['namespace of the node', 4, {}, { CNI_NETNS: node.netns }],
    ['args that are none', 4, {}, { CNI_ARGS: 'x' }],
    ['version that is a number', 1, { cniVersion: 1 }, {}],
    ['no name', 7, { name: undefined }, {}],
    ['previous result that is none', 7, { prevResult: 7 }, {}],
    ['CHECK without result', 7, {}, { CNI_COMMAND: 'CHECK' }],
    ['GC without list', 7, {}, { CNI_COMMAND: 'GC' }],
  ];
  const tryAll = async (list: typeof cases) => {
    for (const [what, code, stdin, env] of list) {
      const config = { cniVersion: '1.1.0', name: 'cilium', type: 'cilium-cni', 'agent-socket': socket };
      const text = typeof stdin === 'string' ? stdin : JSON.stringify({ ...config, ...stdin });
      const whole = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: pod.id, CNI_NETNS: pod.netns, CNI_IFNAME: 'eth0' };
      const answer = await runShim(text, { ...whole, ...env });
      assert.equal(answer.status, 1, what);
      assert.equal(answer.json.code, code, `${what}: ${answer.stdout}`);
      assert.match(answer.json.cniVersion!, /^\d+\.\d+\.\d+$/, what);
      assert.ok(answer.json.msg!.length > 20, what);
      assert.equal(answer.stderr, '', what);
    }
  };
  await tryAll(cases);
  await node.serve(V4);
  await tryAll([...cases, ...judgedByTheAgent]);
  assert.deepEqual(await node.attached(), { links: [], routes: [] }, 'nothing half-applied');
  assert.equal((await node.call('ADD', pod)).status, 0);
});

test('the shim and JSON.parse agree on what is an object', async t => {
  const node = await TestNode.create(t);
  const spoilt = fc
    .tuple(
      fc.json({ maxDepth: 4 }),
      fc.nat(200),
      fc.constantFrom('', '"', '\\', '{', '}', ',', ':', '1', ' ', '\n', '-'),
    )
    .map(([text, at, character]) => text.slice(0, at) + character + text.slice(at + 1));
  const objects = fc.dictionary(fc.string(), fc.jsonValue()).map(value => JSON.stringify(value));
  await fc.assert(
    fc.asyncProperty(fc.oneof(spoilt, objects, fc.json()), async text => {
      const { json } = await runShim(text, { CNI_COMMAND: 'STATUS' });
      assert.equal(json.code === 6, !isObjectText(text), text);
    }),
    { numRuns: 300 },
  );
  assert.equal((await node.call('STATUS', {}, { 'agent-socket': '/x'.repeat(60) })).json.code, 7);
});

test('an agent that talks nonsense, or not at all, is an error too', async t => {
  const node = await TestNode.create(t);
  for (const [answer, code] of [
    ['', 11],
    ['\0\0\0\x09\x00x', 11],
    ['\0\0\0\0\0', 5],
    ['\xff\xff\xff\xff\0', 5],
  ] as const) {
    const server = createServer({ allowHalfOpen: true }, socket => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(Buffer.from(answer, 'latin1')));
    });
    await new Promise<void>(resolve => server.listen(node.socketPath, resolve));
    const got = await node.call('DEL', { id: 'x' });
    assert.deepEqual([got.status, got.json.code], [1, code], JSON.stringify(answer));
    await new Promise(resolve => server.close(resolve));
  }
});

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
