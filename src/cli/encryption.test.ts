import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { FakeCluster, KEY_LINE } from './testing.ts';

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

  it('IPsec: what all nodes say together, with what the Secret has', async () => {
    cluster.writeKeys(KEY_LINE);
    await cluster.run('upgrade', '--set', 'encryption.type=ipsec');
    const keys = cluster.keys();
    assert.ok(keys && 'epoch' in keys);
    cluster.advertise([keys.epoch], [keys.epoch]);
    const say = (pod: string, inUse: number, highest: string, errors: Record<string, number> = {}) => {
      const number = Object.values(errors).reduce((sum, each) => sum + each, 0);
      const ipsec = {
        'decrypt-interfaces': [],
        'keys-in-use': inUse,
        'max-seq-number': highest,
        'error-count': number,
        'xfrm-errors': errors,
      };
      answers.set(pod, [
        [1, JSON.stringify({ mode: 'IPsec', ipsec })],
        [3, '{"status":"Success"}'],
      ]);
    };
    say('cilium-x0', 4, 'N/A');
    say('cilium-x1', 4, '0x1e3/0xffffffffffffffff', { XfrmInNoStates: 2 });
    say('cilium-x2', 4, '0xff/0xffffffffffffffff');
    const { out, err, code } = await cluster.run('encryption', 'status');
    assert.equal(code, 0, err);
    assert.equal(
      out,
      [
        'Encryption: IPsec (3/3 nodes)',
        'IPsec keys in use: 4 on 3/3',
        'IPsec highest Seq. Number: 0x1e3/0xffffffffffffffff across all nodes',
        'IPsec expected key count: 4',
        'IPsec key rotation in progress: false',
        'IPsec errors: 2 across all nodes',
        '\tXfrmInNoStates: 2 on 1/3 nodes',
        `IPsec key: 3, fingerprint ${keys.current.fingerprint}`,
        '',
      ].join('\n'),
    );
    const json = JSON.parse((await cluster.run('encryption', 'status', '-o', 'json')).out) as object;
    assert.deepEqual(json, {
      'total-node-count': 3,
      'enc-disabled-node-count': 0,
      'enc-ipsec-node-count': 3,
      'enc-wireguard-node-count': 0,
      'ipsec-keys-in-use-node-count': { '4': 3 },
      'ipsec-max-seq-num': '0x1e3/0xffffffffffffffff',
      'ipsec-err-count': 2,
      'ipsec-key-rotation-in-progress': false,
      'ipsec-expected-key-count': 4,
      'xfrm-errors': { XfrmInNoStates: 2 },
      'xfrm-error-node-count': { XfrmInNoStates: 1 },
      'ipsec-key-id': 3,
      'ipsec-key-fingerprint': keys.current.fingerprint,
    });

    say('cilium-x1', 8, '0x1e3/0xffffffffffffffff');
    cluster.advertise(['ipsec/2/0123456789abcdef', keys.epoch], [keys.epoch], ['kind-worker']);
    const moving = (await cluster.run('encryption', 'status')).out;
    assert.match(moving, /^IPsec keys in use: 4 on 2\/3, 8 on 1\/3$/m);
    assert.match(
      moving,
      /^IPsec key rotation in progress: true\n\tkey 3: 3\/3 nodes open it, 3\/3 seal with it alone, 2\/3 have given up what was before; waiting for kind-worker$/m,
    );
    const one = await cluster.run('encryption', 'status', '--node', 'kind-worker', '--per-node-details');
    assert.match(one.out, /^Node: kind-worker\nEncryption: IPsec\nIPsec keys in use: 8\n/);
    cluster.writeKeys('garbage');
    const bad = (await cluster.run('encryption', 'status')).out;
    assert.match(bad, /^IPsec key problem: the Secret kube-system\/cilium-ipsec-keys has no key/m);
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
