import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { jsonPatch } from './json.ts';
import { mergePatch } from './merge.ts';

describe('JSON patch (RFC 6902, appendix A)', () => {
  const cases: [name: string, document: unknown, patch: unknown, after: unknown][] = [
    [
      'A.1 add a member',
      { foo: 'bar' },
      [{ op: 'add', path: '/baz', value: 'qux' }],
      { baz: 'qux', foo: 'bar' },
    ],
    [
      'A.2 add an element',
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    ['A.3 remove a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [
      'A.4 remove an element',
      { foo: ['bar', 'qux', 'baz'] },
      [{ op: 'remove', path: '/foo/1' }],
      { foo: ['bar', 'baz'] },
    ],
    [
      'A.5 replace',
      { baz: 'qux', foo: 'bar' },
      [{ op: 'replace', path: '/baz', value: 'boo' }],
      { baz: 'boo', foo: 'bar' },
    ],
    [
      'A.6 move',
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      'A.7 move an element',
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      'A.10 add a nested object',
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { grandchild: {} } }],
      { foo: 'bar', child: { grandchild: {} } },
    ],
    ['A.14 escapes', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [
      'A.16 add an array value',
      { foo: ['bar'] },
      [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
      { foo: ['bar', ['abc', 'def']] },
    ],
    [
      'copy',
      { a: { b: 1 } },
      [
        { op: 'copy', from: '/a', path: '/c' },
        { op: 'replace', path: '/c/b', value: 2 },
      ],
      { a: { b: 1 }, c: { b: 2 } },
    ],
  ];
  for (const [name, document, patch, after] of cases)
    test(name, () => assert.deepEqual(jsonPatch(document, patch), after));

  test('failures name the path', () => {
    assert.throws(
      () => jsonPatch({ baz: 'qux' }, [{ op: 'test', path: '/baz', value: 'bar' }]),
      /testing value \/baz failed/,
    );
    assert.throws(
      () => jsonPatch({ foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 'qux' }]),
      /missing path/,
    );
    assert.throws(() => jsonPatch({ a: [1] }, [{ op: 'add', path: '/a/5', value: 1 }]), /missing path/);
    assert.throws(() => jsonPatch({}, [{ op: 'explode', path: '/a' }]), /unexpected kind: explode/);
    assert.throws(() => jsonPatch({}, [{ op: 'add', path: 'a' }]), /has to begin with/);
  });
});

describe('merge patch (RFC 7386)', () => {
  test('null deletes, objects merge, the rest replaces', () => {
    const before = { title: 'Goodbye!', author: { given: 'John', family: 'Doe' }, tags: ['a', 'b'] };
    assert.deepEqual(
      mergePatch(before, { title: 'Hello!', phone: '1', author: { family: null }, tags: ['a'] }),
      {
        title: 'Hello!',
        author: { given: 'John' },
        tags: ['a'],
        phone: '1',
      },
    );
  });

  test('a document laid over anything is itself, but for its nulls', () => {
    const json = fc.jsonValue().filter(value => !JSON.stringify(value).includes('null'));
    fc.assert(
      fc.property(fc.jsonValue(), json, (before, patch) => {
        const after = mergePatch(before, patch);
        assert.deepEqual(mergePatch(after, patch), after);
      }),
    );
  });
});
