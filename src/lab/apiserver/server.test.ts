/** The API as clients of it see it: versions, watches, pages, events, forms of an answer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from './testing.ts';
import { MAPS, map, watchEvents } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const post = (path: string, body: unknown) => server.ask('POST', path, body);
const get = (path: string, headers = {}) => server.ask('GET', path, undefined, headers);
const watch = (path: string, wanted: number) => watchEvents(server, path, wanted);

describe('resource versions', () => {
  test('each write has one of its own; a stale one conflicts', async () => {
    const first = await post(MAPS, map('versioned', { data: { a: '1' } }));
    assert.equal(first.status, 201);
    const stale = first.body;
    const second = await server.ask('PUT', `${MAPS}/versioned`, { ...stale, data: { a: '2' } });
    assert.ok(Number(second.body.metadata.resourceVersion) > Number(stale.metadata.resourceVersion));
    const conflict = await server.ask('PUT', `${MAPS}/versioned`, { ...stale, data: { a: '3' } });
    assert.equal(conflict.status, 409);
    assert.equal(
      conflict.body.message,
      'Operation cannot be fulfilled on configmaps "versioned": the object has been modified; please apply your changes to the latest version and try again',
    );
    assert.deepEqual(conflict.body.details, { name: 'versioned', kind: 'configmaps' });
  });

  test('a write that changes nothing is none', async () => {
    const { body } = await post(MAPS, map('same', { data: { a: '1' } }));
    const again = await server.ask('PUT', `${MAPS}/same`, body);
    assert.equal(again.body.metadata.resourceVersion, body.metadata.resourceVersion);
  });

  test('generateName, uid and creationTimestamp are the server’s; generation counts changes of spec', async () => {
    const made = await post(MAPS, {
      ...map(''),
      metadata: { generateName: 'gen-', uid: 'mine', creationTimestamp: '2000-01-01T00:00:00Z' },
    });
    assert.match(made.body.metadata.name, /^gen-[a-z0-9]{5}$/);
    assert.notEqual(made.body.metadata.uid, 'mine');
    assert.notEqual(made.body.metadata.creationTimestamp, '2000-01-01T00:00:00Z');
  });
});

describe('watch', () => {
  test('resumes from a resource version; a label that comes or goes adds or deletes', async () => {
    const { body } = await get(MAPS);
    const from = body.metadata.resourceVersion;
    await post(MAPS, map('seen', { data: { a: '1' } }));
    const patch = (labels: object) =>
      server.ask(
        'PATCH',
        `${MAPS}/seen`,
        { metadata: { labels } },
        { 'Content-Type': 'application/merge-patch+json' },
      );
    await patch({ on: 'yes' });
    await patch({ on: null });
    await server.ask('DELETE', `${MAPS}/seen`);
    const all = await watch(
      `${MAPS}?watch=true&resourceVersion=${from}&fieldSelector=metadata.name%3Dseen`,
      4,
    );
    assert.deepEqual(
      all.map(event => event.type),
      ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED'],
    );
    const labelled = await watch(`${MAPS}?watch=1&resourceVersion=${from}&labelSelector=on%3Dyes`, 2);
    assert.deepEqual(
      labelled.map(event => event.type),
      ['ADDED', 'DELETED'],
    );
    assert.equal(labelled[1]?.object.metadata.resourceVersion, all[2]?.object.metadata.resourceVersion);
    assert.equal(
      Number(all[3]?.object.metadata.resourceVersion) > Number(all[2]?.object.metadata.resourceVersion),
      true,
    );
  });

  test('from 0, or from nothing, begins with what is there', async () => {
    await post(MAPS, map('initial'));
    for (const query of ['', '&resourceVersion=0']) {
      const [event] = await watch(`${MAPS}?watch=true${query}&fieldSelector=metadata.name%3Dinitial`, 1);
      assert.deepEqual([event?.type, event?.object.metadata.name], ['ADDED', 'initial']);
    }
  });

  test('sendInitialEvents streams the list and marks its end', async () => {
    const query =
      'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const events = await watch(`${MAPS}?${query}&fieldSelector=metadata.name%3Dinitial`, 2);
    assert.equal(events[1]?.type, 'BOOKMARK');
    assert.equal(events[1]?.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
  });

  test('ends when its time is up, with a bookmark where those are asked for', async () => {
    const { body } = await get(MAPS);
    const { text } = await get(
      `${MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=${body.metadata.resourceVersion}`,
    );
    const event = JSON.parse(text);
    assert.equal(event.type, 'BOOKMARK');
    assert.ok(Number(event.object.metadata.resourceVersion) >= Number(body.metadata.resourceVersion));
  });

  test('from before a restart: 410, and a list says where to go on', async () => {
    const before = (await get(MAPS)).body.metadata.resourceVersion;
    await post(MAPS, map('between'));
    await server.restart();
    const gone = await get(`${MAPS}?watch=true&resourceVersion=${before}`);
    assert.deepEqual([gone.status, gone.body.reason, gone.body.code], [410, 'Expired', 410]);
    assert.match(gone.body.message, /too old resource version/);
    const list = (await get(MAPS)).body;
    assert.ok(list.items.some((item: { metadata: { name: string } }) => item.metadata.name === 'between'));
    assert.ok(Number(list.metadata.resourceVersion) > Number(before));
    const now = watch(`${MAPS}?watch=true&resourceVersion=${list.metadata.resourceVersion}`, 1);
    await post(MAPS, map('after'));
    assert.equal((await now)[0]?.object.metadata.name, 'after');
  });
});

describe('lists', () => {
  test('limit and continue page over one snapshot', async () => {
    for (let index = 0; index < 7; index++)
      await post('/api/v1/namespaces/kube-public/configmaps', map(`page-${index}`));
    const path = '/api/v1/namespaces/kube-public/configmaps?limit=3';
    const first = (await get(path)).body;
    assert.equal(first.items.length, 3);
    assert.equal(first.metadata.remainingItemCount, 4);
    await post('/api/v1/namespaces/kube-public/configmaps', map('page-9'));
    const second = (await get(`${path}&continue=${encodeURIComponent(first.metadata.continue)}`)).body;
    assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
    const third = (await get(`${path}&continue=${encodeURIComponent(second.metadata.continue)}`)).body;
    const names = [...first.items, ...second.items, ...third.items].map(item => item.metadata.name);
    assert.deepEqual(
      names,
      [0, 1, 2, 3, 4, 5, 6].map(index => `page-${index}`),
    );
    assert.equal(third.metadata.continue, undefined);
    assert.equal((await get(`${path}&continue=nonsense`)).status, 400);
  });

  test('a table and metadata alone', async () => {
    const table = await get(MAPS, {
      Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    assert.equal(table.body.kind, 'Table');
    assert.deepEqual(
      table.body.columnDefinitions.map((item: { name: string }) => item.name),
      ['Name', 'Data', 'Age'],
    );
    assert.equal(table.body.rows[0].object.kind, 'PartialObjectMetadata');
    const partial = await get(MAPS, {
      Accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    assert.equal(partial.body.kind, 'PartialObjectMetadataList');
    assert.deepEqual(Object.keys(partial.body.items[0]).sort(), ['apiVersion', 'kind', 'metadata']);
  });

  test('two hundred pods in less than 50 ms', async () => {
    const pod = (index: number) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { generateName: `many-${index}-`, labels: { many: 'yes' } },
      spec: { containers: [{ name: 'c', image: 'busybox' }] },
    });
    for (let index = 0; index < 200; index++)
      assert.equal((await post('/api/v1/namespaces/kube-node-lease/pods', pod(index))).status, 201);
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      const { body } = await get('/api/v1/pods?labelSelector=many');
      times.push(performance.now() - start);
      assert.equal(body.items.length, 200);
    }
    assert.ok(Math.min(...times) < 50, `${times}`);
  });
});

describe('events', () => {
  test('core/v1 and events.k8s.io/v1 are one storage', async () => {
    const event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'one', namespace: 'default' },
      eventTime: '2026-01-01T00:00:00.000001Z',
      regarding: { kind: 'Pod', name: 'p', namespace: 'default' },
      reason: 'Started',
      action: 'Starting',
      note: 'it did',
      type: 'Normal',
      reportingController: 'test',
      reportingInstance: 'test-1',
    };
    assert.equal((await post('/apis/events.k8s.io/v1/namespaces/default/events', event)).status, 201);
    const core = (await get('/api/v1/namespaces/default/events/one')).body;
    assert.deepEqual(
      [core.apiVersion, core.involvedObject.name, core.message, core.reportingComponent],
      ['v1', 'p', 'it did', 'test'],
    );
    const patch = await server.ask(
      'PATCH',
      '/apis/events.k8s.io/v1/namespaces/default/events/one',
      { series: { count: 2, lastObservedTime: '2026-01-01T00:00:05.000000Z' } },
      { 'Content-Type': 'application/merge-patch+json' },
    );
    assert.equal(patch.body.series.count, 2);
    const filtered = (await get('/api/v1/events?fieldSelector=involvedObject.name%3Dp,reason%3DStarted'))
      .body;
    assert.equal(filtered.items.length, 1);
  });
});

describe('the answer', () => {
  test('is compressed when it is large and the client takes it', async () => {
    for (let index = 0; index < 3; index++)
      await post(MAPS, map(`large-${index}`, { data: { a: 'x'.repeat(100_000) } }));
    const plain = await get(MAPS);
    assert.equal(plain.headers['content-encoding'], undefined);
    const packed = await get(MAPS, { 'Accept-Encoding': 'gzip' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.equal(packed.text, plain.text);
  });

  test('is YAML when that is asked for', async () => {
    const { text } = await get('/api/v1/namespaces/default', { Accept: 'application/yaml' });
    assert.match(text, /^kind: Namespace|^apiVersion: v1/m);
  });

  test('discovery: aggregated, with an ETag, and group by group', async () => {
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
    const first = await get('/apis', { Accept: accept });
    assert.match(String(first.headers['content-type']), /as=APIGroupDiscoveryList/);
    assert.equal(
      (await get('/apis', { Accept: accept, 'If-None-Match': String(first.headers.etag) })).status,
      304,
    );
    assert.equal((await get('/apis')).body.kind, 'APIGroupList');
    assert.equal((await get('/api')).body.kind, 'APIVersions');
    assert.ok(
      (await get('/apis/apps/v1')).body.resources.some(
        (item: { name: string }) => item.name === 'daemonsets/status',
      ),
    );
    assert.equal((await get('/apis/apps')).body.preferredVersion.version, 'v1');
  });
});
