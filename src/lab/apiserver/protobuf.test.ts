import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeProtobuf } from './protobuf.ts';
import { StatusError } from './status.ts';

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const field = (number: number, content: Buffer | string | number) => {
  if (typeof content === 'number') return Buffer.from([...varint(number * 8), ...varint(content)]);
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
};
const message = (...fields: Buffer[]) => Buffer.concat(fields);
const entry = (key: string, value: Buffer | string) => message(field(1, key), field(2, value));
const body = (apiVersion: string, kind: string, raw: Buffer) =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, message(field(1, apiVersion), field(2, kind))),
    field(2, raw),
  ]);

describe('protobuf bodies', () => {
  test('a Secret as kubectl create sends it', () => {
    const metadata = message(
      field(1, 'keys'),
      field(3, 'kube-system'),
      field(8, Buffer.alloc(0)),
      field(11, entry('a', 'b')),
    );
    const raw = message(
      field(1, metadata),
      field(2, entry('keys', Buffer.from([0, 255]))),
      field(3, 'Opaque'),
      field(4, entry('s', 't')),
    );
    assert.deepEqual(decodeProtobuf(body('v1', 'Secret', raw)), {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: 'kube-system', labels: { a: 'b' } },
      data: { keys: 'AP8=' },
      type: 'Opaque',
      stringData: { s: 't' },
    });
  });

  test('inlined messages, int-or-string, quantities, times, negative numbers', () => {
    const source = message(field(19, message(field(1, message(field(1, 'map'))))));
    const volume = message(field(1, 'v'), field(2, source));
    const probe = message(
      field(1, message(field(3, message(field(1, message(field(1, 1), field(3, 'http'))))))),
    );
    const limits = message(field(1, 'cpu'), field(2, message(field(1, '100m'))));
    const container = message(field(1, 'c'), field(8, message(field(1, limits))), field(10, probe));
    const spec = message(
      field(1, volume),
      field(2, container),
      Buffer.from([...varint(25 * 8), ...Array(9).fill(255), 1]),
    );
    const decoded = decodeProtobuf(
      body(
        'v1',
        'Pod',
        message(field(1, message(field(1, 'p'), field(8, message(field(1, 1))))), field(2, spec)),
      ),
    );
    assert.deepEqual(decoded.metadata, { name: 'p', creationTimestamp: '1970-01-01T00:00:01Z' });
    assert.equal((decoded.spec as Record<string, unknown>).priority, -1);
    assert.deepEqual((decoded.spec as Record<string, unknown>).volumes, [
      { name: 'v', configMap: { name: 'map' } },
    ]);
    assert.deepEqual((decoded.spec as Record<string, unknown>).containers, [
      { name: 'c', resources: { limits: { cpu: '100m' } }, livenessProbe: { tcpSocket: { port: 'http' } } },
    ]);
  });

  test('fields of a later version are passed over', () => {
    const raw = message(field(1, message(field(1, 'n'))), field(99, 'new'), field(98, 7));
    assert.deepEqual(decodeProtobuf(body('v1', 'ConfigMap', raw)), {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'n' },
    });
  });

  test('any bytes are either read or refused with 400', () => {
    const kinds = fc.constantFrom('Secret', 'Pod', 'Deployment', 'Nope', 'CustomResourceDefinition');
    fc.assert(
      fc.property(kinds, fc.uint8Array({ maxLength: 60 }), fc.boolean(), (kind, bytes, whole) => {
        const given = whole
          ? body('v1', kind, Buffer.from(bytes))
          : Buffer.concat([Buffer.from('k8s\0'), bytes]);
        try {
          decodeProtobuf(given);
        } catch (error) {
          assert.ok(error instanceof StatusError && error.code === 400, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
