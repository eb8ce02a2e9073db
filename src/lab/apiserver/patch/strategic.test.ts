import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { typeNamed } from '../schema/schema.ts';
import { strategicPatch } from './strategic.ts';

const pod = (spec: object) => ({ spec }) as Record<string, unknown>;
const patched = (before: object, patch: unknown) =>
  strategicPatch(typeNamed('Pod'), pod(before), pod(patch as object)).spec;

describe('strategic merge patch', () => {
  test('lists with a merge key merge by it, others are replaced', () => {
    const before = {
      containers: [
        { name: 'a', image: '1', args: ['x'] },
        { name: 'b', image: '2' },
      ],
    };
    assert.deepEqual(
      patched(before, {
        containers: [
          { name: 'a', args: ['y'] },
          { name: 'c', image: '3' },
        ],
      }),
      {
        containers: [
          { name: 'a', image: '1', args: ['y'] },
          { name: 'b', image: '2' },
          { name: 'c', image: '3' },
        ],
      },
    );
  });

  test('null deletes a field, $patch: delete an item', () => {
    const before = { nodeName: 'n', containers: [{ name: 'a' }, { name: 'b' }] };
    assert.deepEqual(patched(before, { nodeName: null, containers: [{ name: 'a', $patch: 'delete' }] }), {
      containers: [{ name: 'b' }],
    });
  });

  test('$patch: replace replaces a list, an item, or an object', () => {
    const before = {
      containers: [{ name: 'a', image: '1' }, { name: 'b' }],
      securityContext: { runAsUser: 1, fsGroup: 2 },
    };
    assert.deepEqual(patched(before, { containers: [{ $patch: 'replace' }, { name: 'z' }] }), {
      ...before,
      containers: [{ name: 'z' }],
    });
    assert.deepEqual(patched(before, { containers: [{ $patch: 'replace', name: 'a', tty: true }] }), {
      ...before,
      containers: [{ name: 'a', tty: true }, { name: 'b' }],
    });
    assert.deepEqual(patched(before, { securityContext: { $patch: 'replace', fsGroup: 3 } }), {
      ...before,
      securityContext: { fsGroup: 3 },
    });
  });

  test('$retainKeys keeps these keys alone', () => {
    const before = { volumes: [{ name: 'v', emptyDir: {} }] };
    const patch = { volumes: [{ $retainKeys: ['name', 'hostPath'], name: 'v', hostPath: { path: '/x' } }] };
    assert.deepEqual(patched(before, patch), { volumes: [{ name: 'v', hostPath: { path: '/x' } }] });
  });

  test('$setElementOrder sorts; what it does not name stays behind what preceded it', () => {
    const before = { containers: [{ name: 'a' }, { name: 'x' }, { name: 'b' }] };
    const patch = {
      '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'c' }],
      containers: [{ name: 'c' }],
    };
    assert.deepEqual(patched(before, patch), {
      containers: [{ name: 'b' }, { name: 'a' }, { name: 'x' }, { name: 'c' }],
    });
  });

  test('lists of primitives merge as sets, and $deleteFromPrimitiveList takes from them', () => {
    const schema = typeNamed('Pod');
    const before = { metadata: { finalizers: ['a', 'b'] } };
    const patch = {
      metadata: {
        '$deleteFromPrimitiveList/finalizers': ['a'],
        '$setElementOrder/finalizers': ['b', 'c'],
        finalizers: ['c'],
      },
    };
    assert.deepEqual(strategicPatch(schema, before, patch), { metadata: { finalizers: ['b', 'c'] } });
  });

  test('inlined fields and maps merge', () => {
    const before = {
      containers: [
        {
          name: 'a',
          livenessProbe: { httpGet: { port: 1 }, periodSeconds: 1 },
          resources: { limits: { cpu: '1' } },
        },
      ],
    };
    const patch = {
      containers: [
        { name: 'a', livenessProbe: { periodSeconds: 9 }, resources: { limits: { memory: '1Gi' } } },
      ],
    };
    assert.deepEqual(patched(before, patch), {
      containers: [
        {
          name: 'a',
          livenessProbe: { httpGet: { port: 1 }, periodSeconds: 9 },
          resources: { limits: { cpu: '1', memory: '1Gi' } },
        },
      ],
    });
  });

  test('what is no patch is refused', () => {
    assert.throws(() => strategicPatch(typeNamed('Pod'), {}, []), /is an object/);
    assert.throws(() => patched({}, { containers: ['x'] }), /has to be an object/);
    assert.throws(
      () => patched({}, { containers: [{ image: 'x' }] }),
      /does not contain declared merge key: name/,
    );
    assert.throws(() => patched({}, { securityContext: { $patch: 'explode' } }), /unknown patch type/);
  });

  test('what the patch is given is not changed', () => {
    const before = Object.freeze({ containers: Object.freeze([Object.freeze({ name: 'a' })]) });
    patched(before, { containers: [{ name: 'a', image: 'x' }] });
    assert.deepEqual(before, { containers: [{ name: 'a' }] });
  });
});
