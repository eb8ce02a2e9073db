import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { typeNamed } from '../schema/schema.ts';
import { FieldSet, pathText, readFieldSet } from './fieldset.ts';
import { difference, fieldsOf, merge, removeFields } from './typed.ts';

const schema = typeNamed('Pod');
const texts = (set: FieldSet) => [...set.paths()].map(pathText).sort();

const pod = (containers: object[], labels: object = {}) => ({ metadata: { labels }, spec: { containers } });

describe('fields of a value', () => {
  test('items of keyed lists, entries of maps, leaves, atomic values', () => {
    const value = {
      metadata: { labels: { a: 'b' }, finalizers: ['f'] },
      spec: {
        nodeSelector: { x: 'y' },
        containers: [{ name: 'c', args: ['1'], ports: [{ containerPort: 80 }] }],
      },
    };
    assert.deepEqual(texts(fieldsOf(schema, value)), [
      '.metadata.finalizers[="f"]',
      '.metadata.labels.a',
      '.spec.containers[name="c"]',
      '.spec.containers[name="c"].args',
      '.spec.containers[name="c"].name',
      '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]',
      '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
      '.spec.nodeSelector',
    ]);
  });

  test('FieldsV1 is written as the API server writes it, and read back', () => {
    const json = fieldsOf(schema, pod([{ name: 'c', image: 'i' }], { a: 'b' })).toJson();
    assert.deepEqual(json, {
      'f:metadata': { 'f:labels': { 'f:a': {} } },
      'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } },
    });
    assert.deepEqual(readFieldSet(json).toJson(), json);
  });
});

describe('difference', () => {
  test('added, modified and removed; containers that come or go are told too', () => {
    const before = pod([{ name: 'a', image: '1' }, { name: 'b' }]);
    const after = pod([{ name: 'a', image: '2' }, { name: 'c' }], { x: 'y' });
    const { added, modified, removed } = difference(schema, before, after);
    assert.deepEqual(texts(added), [
      '.metadata.labels.x',
      '.spec.containers[name="c"]',
      '.spec.containers[name="c"].name',
    ]);
    assert.deepEqual(texts(modified), ['.spec.containers[name="a"].image']);
    assert.deepEqual(texts(removed), ['.spec.containers[name="b"]', '.spec.containers[name="b"].name']);
  });
});

describe('merge and removal', () => {
  test('items merge by key, in the order of what is applied', () => {
    const live = pod([{ name: 'a', image: '1', tty: true }, { name: 'b' }]);
    const merged = merge(schema, live, pod([{ name: 'c' }, { name: 'a', image: '2' }])) as typeof live;
    assert.deepEqual(merged.spec.containers, [
      { name: 'c' },
      { name: 'a', image: '2', tty: true },
      { name: 'b' },
    ]);
  });

  test('what is removed goes, unless somebody else owns what is in it', () => {
    const value = pod(
      [
        { name: 'a', image: '1' },
        { name: 'b', image: '2' },
      ],
      { x: 'y' },
    );
    const gone = fieldsOf(schema, value);
    const keep = new FieldSet();
    keep.insert(['f:spec', 'f:containers', 'k:{"name":"b"}', 'f:image']);
    assert.deepEqual(removeFields(schema, value, gone, keep), {
      spec: { containers: [{ name: 'b', image: '2' }] },
    });
  });

  const name = fc.constantFrom('a', 'b', 'c');
  const container = fc.record(
    { name, image: fc.constantFrom('1', '2'), tty: fc.boolean() },
    { requiredKeys: ['name'], noNullPrototype: true },
  );
  const value = fc
    .record({
      containers: fc.uniqueArray(container, { selector: item => item.name }),
      labels: fc.dictionary(name, name, { noNullPrototype: true, minKeys: 1 }),
    })
    .map(({ containers, labels }) => pod(containers, labels));

  test('applying twice changes nothing; what is applied is in the result', () => {
    fc.assert(
      fc.property(value, value, (live, applied) => {
        const once = merge(schema, live, applied);
        assert.deepEqual(merge(schema, once, applied), once);
        const { modified, added } = difference(schema, once, merge(schema, once, applied));
        assert.ok(modified.empty && added.empty);
        assert.ok(fieldsOf(schema, applied).difference(fieldsOf(schema, once)).empty);
      }),
    );
  });

  test('the difference between two values is nothing exactly when they are the same', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const { added, modified, removed } = difference(schema, a, b);
        const order = (given: typeof a) =>
          JSON.stringify([
            [...given.spec.containers]
              .sort((x, y) => ((x as { name: string }).name < (y as { name: string }).name ? -1 : 1))
              .map(item => Object.entries(item).sort()),
            Object.entries(given.metadata.labels).sort(),
          ]);
        assert.equal(added.empty && modified.empty && removed.empty, order(a) === order(b));
      }),
    );
  });

  test('sets: union, intersection and difference hold together', () => {
    const path = fc.array(fc.constantFrom('f:a', 'f:b', 'f:c'), { minLength: 1, maxLength: 3 });
    const set = fc.array(path, { maxLength: 6 }).map(paths => {
      const made = new FieldSet();
      for (const item of paths) made.insert(item);
      return made;
    });
    fc.assert(
      fc.property(set, set, (a, b) => {
        assert.ok(a.difference(b).union(a.intersection(b)).equals(a));
        assert.ok(a.intersection(b).equals(b.intersection(a)));
        assert.ok(a.difference(b).intersection(b).empty);
      }),
    );
  });
});
