import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeClient, WatchEvent } from '../../kube/client.ts';
import { CONFIGMAPS, type ConfigMap } from '../../kube/types.ts';
import { Cache } from './cache.ts';
import { HandClock, settle } from './testing.ts';

function map(version: number, extra: { uid?: string; value?: string; name?: string } = {}): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: extra.name ?? 'a',
      namespace: 'default',
      uid: extra.uid ?? 'one',
      resourceVersion: String(version),
    },
    data: { value: extra.value ?? String(version) },
  };
}

/** A cache whose watch brings what the test says. */
async function cacheOf(items: ConfigMap[]) {
  const waiting: ((event: WatchEvent<ConfigMap>) => void)[] = [];
  const client = {
    list: () => Promise.resolve({ items, resourceVersion: '1' }),
    async *watch(_: unknown, { signal }: { signal: AbortSignal }) {
      while (!signal.aborted)
        yield await new Promise<WatchEvent<ConfigMap>>(resolve => waiting.push(resolve));
    },
  } as unknown as KubeClient;
  const clock = new HandClock();
  const cache = new Cache(client, CONFIGMAPS, { clock });
  const changes: string[] = [];
  cache.subscribe(({ type, object }) => changes.push(`${type} ${object.metadata.resourceVersion}`));
  cache.start();
  await cache.synced;
  const bring = async (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ConfigMap) => {
    while (waiting.length === 0) await settle();
    waiting.shift()!({ type, object });
    await settle();
  };
  return { cache, clock, bring, changes };
}

const value = (cache: Cache<ConfigMap>) => cache.get('a', 'default')?.data?.['value'];

test('what was written is seen at once, until the watch brings the same or newer', async () => {
  const { cache, bring } = await cacheOf([map(1)]);
  cache.wrote(map(5, { value: 'mine' }));
  assert.equal(value(cache), 'mine');
  assert.equal(cache.items().length, 1);
  await bring('MODIFIED', map(3));
  assert.equal(value(cache), 'mine', 'older news do not take it back');
  await bring('MODIFIED', map(6));
  assert.equal(value(cache), '6');
  cache.wrote(map(5, { value: 'mine' }));
  assert.equal(value(cache), '6', 'an answer that comes late changes nothing');
});

test('a new object counts at once, and only once', async () => {
  const { cache, bring } = await cacheOf([]);
  cache.wrote(map(2));
  assert.equal(cache.items('default').length, 1);
  assert.equal(cache.items('other').length, 0);
  await bring('ADDED', map(2));
  assert.equal(cache.items().length, 1);
});

test('a deleted object shows that it is being deleted, then it is gone and does not come back', async () => {
  const { cache, bring } = await cacheOf([map(1)]);
  cache.deleted(map(1));
  assert.ok(cache.get('a', 'default')?.metadata.deletionTimestamp);
  await bring('DELETED', map(4));
  assert.equal(cache.get('a', 'default'), undefined);
  cache.wrote(map(3, { value: 'late' }));
  assert.equal(cache.get('a', 'default'), undefined);
  cache.wrote(map(5, { uid: 'two' }));
  assert.equal(value(cache), '5', 'another of the same name is another');
});

test('what the watch never confirms is forgotten, and its keepers told', async () => {
  const { cache, clock, changes } = await cacheOf([]);
  cache.wrote(map(2));
  await clock.turn(10_000);
  assert.equal(cache.get('a', 'default'), undefined);
  assert.deepEqual(changes, ['deleted 2']);
  cache.stop();
});

test('what was written outside of a list that is made anew does not linger', async () => {
  const { cache, clock } = await cacheOf([map(1)]);
  cache.assumed(map(1, { value: 'assumed' }));
  assert.equal(value(cache), 'assumed');
  await clock.turn(20_000);
  assert.equal(value(cache), '1');
  cache.stop();
});
