/** CiliumNodes as anybody with the right to write them may leave them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addressOf, prefixOf } from './net.ts';
import { canonicalKey, isRefusal, PUBLIC_KEY_ANNOTATION, readNode } from './node.ts';

const anything = fc.jsonValue({ maxDepth: 2 });
const ip = fc.oneof(
  fc.constantFrom(
    '192.0.2.1',
    'fd00::1',
    '10.0.0.1/8',
    '0.0.0.0',
    '255.255.255.255',
    '::',
    'ff02::1',
    '127.0.0.1',
    'x',
    '',
  ),
  anything,
);
const spec = fc.oneof(
  anything,
  fc.record(
    {
      addresses: fc.oneof(
        fc.array(
          fc.oneof(
            fc.record(
              { type: fc.constantFrom('InternalIP', 'ExternalIP', 'CiliumInternalIP', 'Hostname', 3), ip },
              { requiredKeys: [] },
            ),
            anything,
          ),
          { maxLength: 4 },
        ),
        anything,
      ),
      ipam: fc.oneof(
        fc.record(
          {
            podCIDRs: fc.oneof(
              fc.array(
                fc.oneof(
                  fc.constantFrom('10.244.1.0/24', 'fd00::/64', '10.0.0.1/24', '0.0.0.0/0', '1.2.3.4'),
                  anything,
                ),
                { maxLength: 3 },
              ),
              anything,
            ),
          },
          { requiredKeys: [] },
        ),
        anything,
      ),
      encryption: fc.oneof(
        fc.record({ key: fc.oneof(fc.constant(255), anything) }, { requiredKeys: [] }),
        anything,
      ),
      bootid: anything,
    },
    { requiredKeys: [] },
  ),
);
const keyText = fc.oneof(
  fc.uint8Array({ minLength: 30, maxLength: 34 }).map(bytes => Buffer.from(bytes).toString('base64')),
  fc.string({ maxLength: 50 }),
  fc.constant(Buffer.alloc(32).toString('base64')),
);

describe('a CiliumNode', () => {
  test('whatever is in it: a node whose every field is sound, or a refusal in one sentence', () => {
    fc.assert(
      fc.property(spec, fc.option(keyText, { nil: undefined }), (given, key) => {
        const read = readNode({
          metadata: {
            name: 'n',
            ...(key === undefined ? {} : { annotations: { [PUBLIC_KEY_ANNOTATION]: key } }),
          },
          spec: given,
        });
        if (isRefusal(read)) {
          assert.match(read.message, /n\b.*\.$/);
          assert.ok(read.message.length < 400 && !read.message.includes('\n'), read.message);
          return;
        }
        for (const address of [...read.addresses, ...read.internal])
          assert.equal(addressOf(address), address);
        for (const prefix of read.podCIDRs) assert.equal(prefixOf(prefix), prefix);
        if (read.publicKey !== undefined) assert.equal(canonicalKey(read.publicKey), read.publicKey);
        assert.equal(typeof (read.bootId ?? ''), 'string');
      }),
      { numRuns: 2000 },
    );
  });
});
