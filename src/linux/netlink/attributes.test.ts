import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Attributes, align, listAttributes, Writer } from './attributes.ts';

const anyAttribute = fc.tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 70 }));

test('what was written is read back, in order', () => {
  fc.assert(
    fc.property(fc.array(anyAttribute, { maxLength: 20 }), list => {
      const writer = new Writer();
      for (const [type, value] of list) writer.attributeBytes(type, value);
      const read = listAttributes(writer.finish());
      assert.deepEqual(
        read.map(([type, value]) => [type, Array.from(value)]),
        list.map(([type, value]) => [type, Array.from(value)]),
      );
    }),
  );
});

test('numbers, texts and nested attributes keep their values', () => {
  fc.assert(
    fc.property(
      fc.nat(0xff),
      fc.nat(0xffff),
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.string({ maxLength: 40 }).filter(text => !text.includes('\0')),
      (u8, u16, u32, text) => {
        const bytes = new Writer()
          .attributeU8(1, u8)
          .attributeU16(2, u16)
          .attributeBe16(3, u16)
          .nested(4, inner => inner.attributeU32(5, u32).attributeString(6, text))
          .finish();
        const attributes = new Attributes(bytes);
        assert.equal(attributes.u8(1), u8);
        assert.equal(attributes.u16(2), u16);
        assert.equal(attributes.be16(3), u16);
        assert.equal(attributes.nested(4)?.u32(5), u32);
        assert.equal(attributes.nested(4)?.string(6), text);
        assert.equal(bytes.length, align(bytes.length));
      },
    ),
  );
});

test('garbage ends the list and is never read beyond', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const values = listAttributes(bytes);
      const total = values.reduce((sum, [, value]) => sum + align(4 + value.length), 0);
      assert.ok(total <= align(bytes.length));
      const attributes = new Attributes(bytes);
      for (const [type] of values) {
        attributes.u32(type);
        attributes.string(type);
        attributes.nested(type);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a length of zero does not loop', () => {
  assert.deepEqual(listAttributes(new Uint8Array(64)), []);
});

test('a value that is too short for its type counts as absent', () => {
  const attributes = new Attributes(new Writer().attributeU16(1, 7).finish());
  assert.equal(attributes.u16(1), 7);
  assert.equal(attributes.u32(1), undefined);
});

test('refuses a text with a NUL in it', () => {
  assert.throws(() => new Writer().attributeString(1, 'a\0b'), TypeError);
});
