import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { jsonPath } from './jsonpath.ts';
import { fillDefaults, prune, schemaProblems } from './structural.ts';
import { schemaErrors } from './validate.ts';

describe('printer columns', () => {
  const value = {
    metadata: { annotations: { 'network.cilium.io/wg-pub-key': 'k=' } },
    spec: {
      addresses: [
        { type: 'A', ip: '1' },
        { type: 'B', ip: '2' },
      ],
      ready: true,
      list: [1, 2, 3],
    },
  };
  const cases: [path: string, found: unknown[]][] = [
    ['.spec.addresses[0].ip', ['1']],
    ['.spec.addresses[?(@.type=="B")].ip', ['2']],
    ["{.spec.addresses[?(@.type=='A')].ip}", ['1']],
    ['.spec.addresses[*].ip', ['1', '2']],
    ['.spec.list[-1]', [3]],
    ['.metadata.annotations.network\\.cilium\\.io/wg-pub-key', ['k=']],
    [".metadata.annotations['network.cilium.io/wg-pub-key']", ['k=']],
    ['.spec.nothing.here', []],
    ['.spec.constructor', []],
    ['.spec[[', []],
  ];
  for (const [path, found] of cases) test(path, () => assert.deepEqual(jsonPath(path)(value), found));
});

const schema = {
  type: 'object',
  properties: {
    metadata: { type: 'object' },
    spec: {
      type: 'object',
      default: {},
      properties: {
        size: { type: 'integer', default: 3 },
        free: {
          type: 'object',
          'x-kubernetes-preserve-unknown-fields': true,
          properties: { known: { type: 'string' } },
        },
        map: {
          type: 'object',
          additionalProperties: { type: 'object', properties: { a: { type: 'string', default: 'x' } } },
        },
        port: { 'x-kubernetes-int-or-string': true },
        list: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string', pattern: '^[a-z]+$' } },
          },
        },
        either: {
          type: 'object',
          oneOf: [{ required: ['a'] }, { required: ['b'] }],
          properties: { a: { type: 'string' }, b: { type: 'string' } },
        },
      },
    },
  },
};

describe('structural schemas', () => {
  test('unknown fields go, metadata and what is declared free stay', () => {
    const value = {
      apiVersion: 'v',
      kind: 'K',
      metadata: { name: 'n', labels: {} },
      spec: { size: 1, odd: 1, free: { x: 1 }, map: { k: { a: '1', z: 2 } } },
      extra: 1,
    };
    const unknown: string[] = [];
    prune(schema, value, '', unknown);
    assert.deepEqual(unknown, ['spec.odd', 'spec.map.k.z', 'extra']);
    assert.deepEqual(value, {
      apiVersion: 'v',
      kind: 'K',
      metadata: { name: 'n', labels: {} },
      spec: { size: 1, free: { x: 1 }, map: { k: { a: '1' } } },
    });
  });

  test('defaults are filled in at every depth', () => {
    const value: Record<string, unknown> = {};
    fillDefaults(schema, value);
    assert.deepEqual(value, { spec: { size: 3 } });
    const other = { spec: { map: { k: {} } } };
    fillDefaults(schema, other);
    assert.deepEqual(other, { spec: { size: 3, map: { k: { a: 'x' } } } });
  });

  test('errors name the field', () => {
    const problems = (spec: unknown) =>
      schemaErrors(schema, { spec }, '').map(error => `${error.field}: ${error.message}`);
    assert.deepEqual(problems({ size: 1.5 }), [
      'spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"',
    ]);
    assert.deepEqual(problems({ port: true }), [
      'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ]);
    assert.deepEqual(problems({ port: '80%', list: [{ name: 'a' }, { name: 'a' }] }), [
      'spec.list[1]: Duplicate value: {"name":"a"}',
    ]);
    assert.deepEqual(problems({ list: [{ name: 'A' }, {}] }), [
      'spec.list[0].name: Invalid value: "A": spec.list[0].name in body should match \'^[a-z]+$\'',
      'spec.list[1].name: Required value',
    ]);
    assert.deepEqual(problems({ either: { a: '1' } }), []);
    assert.match(problems({ either: { a: '1', b: '2' } })[0] ?? '', /must validate one and only one schema/);
  });

  test('schemas that are not structural are refused', () => {
    assert.match(
      schemaProblems({ type: 'object', properties: { a: {} } }, 's')[0]?.message ?? '',
      /must not be empty/,
    );
    assert.match(
      schemaProblems({ type: 'array', items: { type: 'string' } }, 's')[0]?.message ?? '',
      /must be object at the root/,
    );
    assert.deepEqual(schemaProblems(schema, 's'), []);
  });
});
