import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Service } from '../../kube/types.ts';
import { Forwarder, parseResolvConf } from './forwarder.ts';
import { listenDns, listenHealth } from './listeners.ts';
import { CLASS_IN, decodeMessage, encodeMessage, type Message, RCODE, TYPE } from './message.ts';
import { Directory } from './records.ts';
import { Responder } from './responder.ts';

const services: Service[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { clusterIP: '10.96.0.20', ports: [{ name: 'http', port: 80 }] },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'far', namespace: 'default' },
    spec: { type: 'ExternalName', externalName: 'example.com' },
  },
];

/** An upstream that knows example.com, and answers `late.example.com` never. */
async function upstream(t: TestContext) {
  const seen: string[] = [];
  const server = await listenDns(0, async bytes => {
    const query = decodeMessage(bytes);
    const name = query.questions[0]!.name;
    seen.push(name);
    if (name === 'late.example.com') return undefined;
    const known = name === 'example.com';
    return encodeMessage({
      ...query,
      response: true,
      rcode: known ? RCODE.ok : RCODE.nameError,
      additionals: [],
      answers: known
        ? [
            {
              name,
              type: TYPE.A,
              class: CLASS_IN,
              ttl: 60,
              data: { kind: 'address', bytes: Uint8Array.of(192, 0, 2, 1) },
            },
          ]
        : [],
    });
  });
  t.after(server.close);
  return { ...server, seen };
}

async function dnsServer(
  t: TestContext,
  upstreams: { address: string; port: number }[],
  timeout = 2000,
  known = true,
) {
  const directory = new Directory(services, [], ['default']);
  const responder = new Responder({
    directory: () => (known ? directory : undefined),
    zone: () => ({ domain: 'cluster.local', servers: [], serial: 1 }),
    forwarder: new Forwarder({ upstreams, timeout }),
  });
  const server = await listenDns(0, (bytes, overTcp) => responder.respond(bytes, overTcp));
  t.after(server.close);
  const resolver = new Resolver({ timeout: 3000, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  return { ...server, resolver };
}

test('a resolver finds the cluster’s names and, through the upstream, the world’s', async t => {
  const above = await upstream(t);
  const { resolver } = await dnsServer(t, [{ address: '127.0.0.1', port: above.port }]);
  assert.deepEqual(await resolver.resolve4('web.default.svc.cluster.local'), ['10.96.0.20']);
  assert.deepEqual(await resolver.resolveSrv('_http._tcp.web.default.svc.cluster.local'), [
    { name: 'web.default.svc.cluster.local', port: 80, priority: 0, weight: 100, type: 'SRV' },
  ]);
  assert.deepEqual(await resolver.resolve4('example.com'), ['192.0.2.1']);
  assert.deepEqual(await resolver.resolve4('far.default.svc.cluster.local'), ['192.0.2.1']);
  await assert.rejects(resolver.resolve4('missing.default.svc.cluster.local'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolve6('web.default.svc.cluster.local'), { code: 'ENODATA' });
  await assert.rejects(resolver.resolve4('missing.example.com'), { code: 'ENOTFOUND' });
  assert.ok(
    above.seen.every(name => name.endsWith('example.com')),
    'the cluster’s names stay in the cluster',
  );
});

test('a dead upstream is passed over, and without any the answer is a failure', async t => {
  const above = await upstream(t);
  const dead = { address: '127.0.0.1', port: 9 };
  const first = await dnsServer(t, [dead, { address: '127.0.0.1', port: above.port }], 200);
  assert.deepEqual(await first.resolver.resolve4('example.com'), ['192.0.2.1']);
  await assert.rejects(first.resolver.resolve4('late.example.com'), { code: 'ESERVFAIL' });
  const second = await dnsServer(t, []);
  await assert.rejects(second.resolver.resolve4('example.com'), { code: 'ESERVFAIL' });
});

test('before the cluster is known nothing is said to be missing', async t => {
  const { resolver } = await dnsServer(t, [], 100, false);
  await assert.rejects(resolver.resolve4('web.default.svc.cluster.local'), { code: 'ESERVFAIL' });
});

test('two questions in one TCP stream, cut at any byte, have two answers in order', async t => {
  const { port } = await dnsServer(t, []);
  const frame = (id: number): Buffer => {
    const bytes = encodeMessage(query(id));
    return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes]);
  };
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const both = Buffer.concat([frame(1), frame(2)]);
  for (const byte of both) socket.write(Uint8Array.of(byte));
  socket.end();
  const parts: Buffer[] = [];
  for await (const chunk of socket) parts.push(chunk as Buffer);
  const all = Buffer.concat(parts);
  const first = all.readUInt16BE(0);
  assert.equal(decodeMessage(all.subarray(2, 2 + first)).id, 1);
  assert.equal(decodeMessage(all.subarray(4 + first)).id, 2);
});

test('garbage: too short is ignored, malformed is told so, answers are never answered', async t => {
  const { port } = await dnsServer(t, []);
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.send(Buffer.from('00'));
  socket.send(encodeMessage({ ...query(3), response: true }));
  socket.send(Buffer.from('0004000000010000000000000161', 'hex'));
  const [answer] = (await once(socket, 'message')) as [Buffer];
  assert.equal(decodeMessage(answer).id, 4);
  assert.equal(decodeMessage(answer).rcode, RCODE.formatError);
  socket.send(encodeMessage({ ...query(5), opcode: 4 }));
  const [refused] = (await once(socket, 'message')) as [Buffer];
  assert.equal(decodeMessage(refused).rcode, RCODE.notImplemented);
  socket.close();
});

test('health says 200 or 503', async () => {
  let well = false;
  const server = await listenHealth(0, '/ready', () => well);
  const { port } = server.address() as { port: number };
  assert.equal((await fetch(`http://127.0.0.1:${port}/ready`)).status, 503);
  well = true;
  assert.equal((await fetch(`http://127.0.0.1:${port}/ready`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/other`)).status, 404);
  server.close();
  server.closeAllConnections();
});

test('the nameservers of resolv.conf', () => {
  const text =
    '# comment\nsearch lan\nnameserver 10.0.2.3\n nameserver fd00::3 \nnameserver not-an-address\n';
  assert.deepEqual(parseResolvConf(text), [
    { address: '10.0.2.3', port: 53 },
    { address: 'fd00::3', port: 53 },
  ]);
});

function query(id: number): Message {
  const flags = {
    response: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
  };
  const questions = [{ name: 'web.default.svc.cluster.local', type: TYPE.A, class: CLASS_IN }];
  return {
    id,
    ...flags,
    recursionAvailable: false,
    rcode: 0,
    questions,
    answers: [],
    authorities: [],
    additionals: [],
  };
}
