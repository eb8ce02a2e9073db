import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type KubeClient } from '../kube/client.ts';
import { Recorder } from '../kube/events.ts';
import { FakeApiServer } from '../kube/fake-apiserver.ts';
import type { CiliumNode, KubeEvent, Node, Secret } from '../kube/types.ts';
import { EPOCHS_ANNOTATION, formatAdvertisement } from '../model/epochs/advertisement.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { newMasterKey, PROFILES } from '../proto/keys/generate.ts';
import { KEY_DUE_ANNOTATION } from './advertised.ts';
import { type GoodKeySecret, KEY_SECRET, newKeySecret, readKeySecret } from './keysecret.ts';
import { Metrics } from './metrics.ts';
import { operate } from './operator.ts';
import { SHORTEST_LIFE } from './rotation.ts';

const SECRETS = '/api/v1/secrets';
const CILIUMNODES = '/apis/cilium.io/v2/ciliumnodes';
const HOUR = 3_600_000;
const START = Date.parse('2026-01-01T00:00:00Z');

describe('the operator and the key', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let stop: AbortController;
  let metrics: Metrics;
  let recorder: Recorder;
  let log: string[];
  let now: number;
  let working: Promise<void>;

  beforeEach(async () => {
    server = new FakeApiServer();
    client = connect({ server: await server.listen() }, { timeout: 500 });
    stop = new AbortController();
    metrics = new Metrics();
    recorder = new Recorder(client, { controller: 'cilium-operator', instance: 'test' });
    log = [];
    now = START;
    working = Promise.resolve();
    const key = newMasterKey(15, PROFILES['rfc4106-gcm-aes'], bytes =>
      new Uint8Array(bytes).map((_, i) => i),
    );
    server.put<Secret>(SECRETS, newKeySecret(KEY_SECRET, 'kube-system', key, new Date(START)));
    for (const name of ['a', 'b'])
      server.put<Node>('/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name },
        spec: {},
        status: { conditions: [{ type: 'Ready', status: 'True' }] },
      });
  });
  afterEach(async () => {
    stop.abort();
    await working;
    await server.close();
  });

  function start(interval = 0): void {
    const key = { namespace: 'kube-system', secretName: KEY_SECRET, interval };
    const options = { client, recorder, metrics, pools: [], key, log: (line: string) => void log.push(line) };
    working = operate({ ...options, keyRound: 5, wallClock: () => now }, stop.signal);
  }

  function good(): GoodKeySecret {
    const secret = server.read<Secret>(SECRETS, KEY_SECRET, 'kube-system');
    const read = secret && readKeySecret(secret);
    assert.ok(read && 'epoch' in read);
    return read;
  }

  function advertise(name: string, opens: Epoch[], seals: Epoch[], due?: Epoch): void {
    const text = formatAdvertisement({ incarnation: 'i'.repeat(36), serial: 1, opens, seals, refuses: [] });
    const annotations = { [EPOCHS_ANNOTATION]: text, ...(due && { [KEY_DUE_ANNOTATION]: due }) };
    server.put<CiliumNode>(CILIUMNODES, {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNode',
      metadata: { name, annotations },
      spec: { bootid: 'i'.repeat(36) },
    });
  }

  const settleOn = (epoch: Epoch) => {
    for (const name of ['a', 'b']) advertise(name, [epoch], [epoch]);
  };
  const events = () =>
    (server.all('/apis/events.k8s.io/v1/events') as KubeEvent[]).map(({ reason }) => reason);
  /** So many more looks at the key were taken. */
  const looks = async (number: number) => {
    const until = performance.now() + 10_000;
    for (let seen = 0; seen < number; seen++) {
      metrics.key = undefined;
      while (metrics.key === undefined) {
        assert.ok(performance.now() < until, 'the operator does not look at the key');
        await sleep(2);
      }
    }
  };

  it('rotates by age, once, and tells when all nodes have moved', async () => {
    const first = good();
    settleOn(first.epoch);
    start(HOUR);
    await looks(2);
    assert.equal(good().epoch, first.epoch);
    now += HOUR;
    await until(() => good().epoch !== first.epoch);
    const second = good();
    assert.equal(second.current.id, 1);
    assert.equal(second.created, now);
    now += 10 * HOUR;
    await looks(3);
    advertise('a', [first.epoch, second.epoch], [second.epoch]);
    await looks(3);
    assert.equal(good().epoch, second.epoch, 'rotated while the nodes were moving');
    assert.equal(metrics.key?.rotating, true);
    assert.equal(metrics.keyRotations.age, 1);
    now = START + HOUR;
    settleOn(second.epoch);
    await until(() => events().includes('KeyRotated'));
    assert.deepEqual(events(), ['KeyRotationStarted', 'KeyRotated']);
    assert.match(metrics.text('1'), /cilium_operator_key_rotations_total\{cause="age"\} 1\n/);
    assert.match(metrics.text('1'), /cilium_operator_key_age_seconds\{key_id="1"\} 0\n/);
  });

  it('rotates by use', async () => {
    const first = good();
    settleOn(first.epoch);
    advertise('b', [first.epoch], [first.epoch], first.epoch);
    start();
    await looks(3);
    assert.equal(good().epoch, first.epoch, 'it was only just made');
    now += SHORTEST_LIFE;
    await until(() => good().epoch !== first.epoch);
    await until(() => log.includes('Key 15 is followed by key 1: an SA of b comes to its end.'));
    await looks(3);
    assert.equal(metrics.keyRotations.use, 1);
  });

  it('gives way to a person who writes at the same moment', async () => {
    const first = good();
    settleOn(first.epoch);
    let conflicts = 0;
    server.answers.set(`PATCH /api/v1/namespaces/kube-system/secrets/${KEY_SECRET}`, body => {
      const { metadata } = JSON.parse(body) as Secret;
      assert.equal(metadata.resourceVersion, good().resourceVersion);
      conflicts++;
      return { status: 409, body: { kind: 'Status', code: 409, reason: 'Conflict', message: 'modified' } };
    });
    now += HOUR;
    start(HOUR);
    await until(() => conflicts > 1);
    assert.equal(metrics.keyRotations.age, 0);
    assert.equal(metrics.errors, 0);
    server.answers.clear();
    await until(() => good().epoch !== first.epoch);
  });

  it('leaves a bad Secret alone, and tells once that it cannot rotate', async () => {
    const { epoch } = good();
    settleOn(epoch);
    const secret = server.read<Secret>(SECRETS, KEY_SECRET, 'kube-system');
    assert.ok(secret);
    server.put<Secret>(SECRETS, { ...secret, data: { keys: Buffer.from('garbage').toString('base64') } });
    start(HOUR);
    now += HOUR;
    await looks(3);
    assert.equal(metrics.key?.usable, false);
    assert.deepEqual(events(), []);
    advertise('a', [epoch], [epoch], epoch);
    await until(() => events().length > 0);
    await looks(5);
    assert.deepEqual(events(), ['KeyRotationBlocked']);
    const written = server.requests.filter(line =>
      line.startsWith('PATCH /api/v1/namespaces/kube-system/secrets'),
    );
    assert.deepEqual(written, []);
    server.put<Secret>(SECRETS, secret);
    await until(() => 'epoch' in good() && good().epoch !== epoch);
    for (const line of log) assert.ok(!line.includes('0001020304'), line);
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(2);
  }
}
