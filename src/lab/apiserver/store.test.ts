import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Change, Store } from './store.ts';

const object = (name: string, namespace?: string) => ({
  apiVersion: 'v1',
  kind: 'X',
  metadata: { name, ...(namespace ? { namespace } : {}) },
});

test('one counter over all resources; changes in order; previous states', () => {
  const store = new Store(':memory:');
  const seen: Change[] = [];
  store.onChange(change => seen.push(change));
  const start = store.revision;
  store.commit({ resource: 'a', put: object('x', 'n') }, { resource: 'b', put: object('y') });
  store.commit({ resource: 'a', put: object('x', 'n') });
  store.commit({ resource: 'a', remove: { namespace: 'n', name: 'x' } });
  assert.deepEqual(
    seen.map(change => [change.type, change.resource, change.revision - start]),
    [
      ['ADDED', 'a', 1],
      ['ADDED', 'b', 2],
      ['MODIFIED', 'a', 3],
      ['DELETED', 'a', 4],
    ],
  );
  assert.equal(seen[3]?.stored.object.metadata.resourceVersion, String(start + 4));
  assert.equal(seen[3]?.previous?.revision, start + 3);
  assert.deepEqual(
    store.since(start + 2)?.map(change => change.revision - start),
    [3, 4],
  );
  store.close();
});

test('the log is bounded: what is older has to be listed again', () => {
  const store = new Store(':memory:');
  const start = store.revision;
  for (let index = 0; index < 8192; index++) store.commit({ resource: 'a', put: object('x') });
  assert.equal(store.since(start), undefined);
  assert.ok((store.since(store.revision - 4000)?.length ?? 0) === 4000);
  store.close();
});

test('what is stored is there again when the file is opened again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pellicle-store-'));
  try {
    const first = new Store(join(folder, 'api.db'));
    first.commit({ resource: 'a', put: object('x', 'n') }, { resource: 'a', put: object('y', 'n') });
    first.commit({ resource: 'a', remove: { namespace: 'n', name: 'y' } });
    const { revision } = first;
    first.close();
    const second = new Store(join(folder, 'api.db'));
    assert.equal(second.revision, revision);
    assert.deepEqual(
      second.list('a').map(item => item.name),
      ['x'],
    );
    assert.equal(second.since(revision - 1), undefined, 'the log begins anew');
    assert.deepEqual(second.since(revision), []);
    second.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('lists are what a map and a sort would give', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'a-b', 'ab');
  const action = fc.record({ namespace: fc.constantFrom('', 'n', 'n-1', 'n1'), name, put: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), actions => {
      const store = new Store(':memory:');
      const model = new Map<string, [string, string]>();
      for (const { namespace, name: named, put } of actions) {
        const key = `${namespace}/${named}`;
        if (put) store.commit({ resource: 'r', put: object(named, namespace) });
        else if (model.has(key)) store.commit({ resource: 'r', remove: { namespace, name: named } });
        if (put) model.set(key, [namespace, named]);
        else model.delete(key);
        for (const where of ['', 'n', 'n-1', 'n1']) {
          const wanted = [...model.values()]
            .filter(([space]) => space === where)
            .map(([, item]) => item)
            .sort();
          assert.deepEqual(
            store.list('r', where).map(item => item.name),
            wanted,
          );
        }
        assert.equal(store.list('r').length, model.size);
      }
      store.close();
    }),
    { numRuns: 40 },
  );
});
