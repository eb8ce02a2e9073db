import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { connect, type KubeClient } from './client.ts';
import { countForm } from './eventforms.ts';
import { Recorder } from './events.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import type { CiliumNode, KubeEvent, KubeObject } from './types.ts';

const EVENTS = '/apis/events.k8s.io/v1/events';
const node: CiliumNode = {
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNode',
  metadata: { name: 'kind-worker', uid: 'u1' },
  spec: {},
};

describe('event recorder', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let recorder: Recorder;
  let time: number;
  let logged: string[];

  beforeEach(async () => {
    server = new FakeApiServer();
    time = Date.UTC(2026, 0, 1);
    logged = [];
    client = connect({ server: await server.listen() });
    recorder = new Recorder(client, {
      controller: 'cilium-operator',
      instance: 'pod-1',
      now: () => new Date(time),
      log: message => logged.push(message),
    });
  });
  afterEach(() => server.close());

  const events = () => server.all(EVENTS) as KubeEvent[];
  const tell = (note = 'two nodes publish one key') =>
    recorder.event(node, 'Warning', 'DuplicatePublicKey', 'IgnorePeer', note);

  it('writes what happened to what', async () => {
    tell();
    await recorder.flush();
    const [event] = events();
    assert.deepEqual(event?.regarding, {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNode',
      name: 'kind-worker',
      uid: 'u1',
    });
    assert.equal(event?.metadata.namespace, 'default');
    assert.equal(event?.eventTime, '2026-01-01T00:00:00.000000Z');
    assert.equal(event?.reason, 'DuplicatePublicKey');
    assert.equal(event?.series, undefined);
  });

  it('counts repetitions in a series, other notes are other events', async () => {
    for (let i = 0; i < 5; i++) {
      time += 1_000;
      tell();
      await recorder.flush();
    }
    tell('another');
    await recorder.flush();
    assert.deepEqual(
      events().map(event => event.series),
      [{ count: 5, lastObservedTime: '2026-01-01T00:00:05.000000Z' }, undefined],
    );
  });

  it('writes the older form for those who ask, with the times that people sort by', async () => {
    const older = new Recorder(client, {
      controller: 'kubelet',
      instance: 'kind-worker',
      form: countForm,
      now: () => new Date(time),
    });
    const repeat = async () => {
      older.event(node, 'Normal', 'Started', 'Start', 'Started container c');
      await older.flush();
    };
    await repeat();
    time += 2_000;
    await repeat();
    const [{ metadata: _metadata, ...event }] = server.all('/api/v1/events') as [KubeObject];
    assert.deepEqual(event, {
      apiVersion: 'v1',
      kind: 'Event',
      involvedObject: { apiVersion: 'cilium.io/v2', kind: 'CiliumNode', name: 'kind-worker', uid: 'u1' },
      source: { component: 'kubelet', host: 'kind-worker' },
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:02Z',
      count: 2,
      reportingComponent: 'kubelet',
      reportingInstance: 'kind-worker',
      type: 'Normal',
      reason: 'Started',
      message: 'Started container c',
    });
  });

  it('a burst costs a handful of writes', async () => {
    tell();
    await recorder.flush();
    for (let i = 0; i < 100; i++) tell();
    await recorder.flush();
    assert.equal(events()[0]?.series?.count, 101);
    assert.ok(server.requests.length <= 3, `${server.requests.length}`);
  });

  it('gives names that sort as the events came, also within a millisecond', async () => {
    const notes = ['scheduled', 'pulled', 'created', 'started'];
    for (const note of notes) {
      tell(note);
      if (note === 'created') time += 1;
    }
    await recorder.flush();
    const byName = events().toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    assert.deepEqual(
      byName.map(event => event.note),
      notes,
    );
  });

  it('starts anew after a silence, or when the server expired the event', async () => {
    tell();
    await recorder.flush();
    time += 7 * 60_000;
    tell();
    await recorder.flush();
    assert.equal(events().length, 2);
    for (const event of events()) server.remove(EVENTS, event.metadata.name, 'default');
    tell();
    await recorder.flush();
    tell();
    await recorder.flush();
    assert.equal(events().length, 1);
    assert.deepEqual(logged, []);
  });

  it('never throws, and keeps notes within the limit of the API', async () => {
    tell('x'.repeat(3000));
    await recorder.flush();
    assert.equal(events()[0]?.note?.length, 1024);
    server.answers.set('POST', () => ({ status: 403, body: 'no' }));
    tell('refused');
    await recorder.flush();
    assert.equal(logged.length, 1);
  });
});
