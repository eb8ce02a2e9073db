import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { FakeCluster } from './testing.ts';

describe('cilium encryption status', () => {
  let cluster: FakeCluster;
  let sockets: WebSocketServer;
  const answers = new Map<string, [channel: number, text: string][]>();

  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
    await cluster.run('install', '--set', 'encryption.enabled=true', '--set', 'encryption.type=wireguard');
    sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: protocols => [...protocols][0] ?? false,
    });
    const device = { name: 'cilium_wg0', 'public-key': 'key=', 'peer-count': 2 };
    const told = JSON.stringify({ mode: 'Wireguard', wireguard: { interfaces: [device] } });
    for (const pod of ['cilium-x0', 'cilium-x1', 'cilium-x2'])
      answers.set(pod, [
        [1, told],
        [3, '{"status":"Success"}'],
      ]);
    cluster.server.onUpgrade = (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, client => {
        const pod = /pods\/([^/]+)\//.exec(request.url ?? '')?.[1] ?? '';
        for (const [channel, text] of answers.get(pod) ?? [])
          client.send(Buffer.concat([Buffer.from([channel]), Buffer.from(text)]));
        client.close();
      });
  });
  afterEach(async () => {
    sockets.close();
    await cluster.stop();
  });

  it('counts the nodes', async () => {
    const { out, code } = await cluster.run('encryption', 'status');
    assert.equal(code, 0);
    assert.equal(out, 'Encryption: Wireguard (3/3 nodes)\n');
    const json = JSON.parse((await cluster.run('encrypt', 'status', '-o', 'json')).out) as object;
    assert.deepEqual(json, {
      'total-node-count': 3,
      'enc-disabled-node-count': 0,
      'enc-ipsec-node-count': 0,
      'enc-wireguard-node-count': 3,
    });
  });

  it('shows a node by itself', async () => {
    const { out } = await cluster.run('encryption', 'status', '--node', 'kind-worker', '--per-node-details');
    assert.equal(
      out,
      'Node: kind-worker\nEncryption: Wireguard\nInterface: cilium_wg0\n\tPublic key: key=\n\tNumber of peers: 2\n',
    );
    assert.match((await cluster.run('encryption', 'status', '--node', 'x')).err, /no agent runs on node "x"/);
  });

  it('names the agents that do not answer', async () => {
    answers.set('cilium-x1', [
      [2, 'the agent is not running\n'],
      [3, '{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"1"}]}}'],
    ]);
    const { out, err, code } = await cluster.run('encryption', 'status');
    assert.equal(code, 1);
    assert.equal(out, 'Encryption: Wireguard (2/3 nodes)\n');
    assert.match(err, /the agent on kind-worker did not answer: the agent is not running/);
  });
});
