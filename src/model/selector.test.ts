import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSelector, selects } from './selector.ts';

for (const [text, labels, expected] of [
  ['a', { a: '' }, true],
  ['a', { b: '' }, false],
  ['!a', { b: '' }, true],
  ['a=1', { a: '1' }, true],
  ['a==1', { a: '2' }, false],
  ['a!=1', {}, true],
  ['a!=1', { a: '1' }, false],
  ['a in (1, 2)', { a: '2' }, true],
  ['a notin (1,2)', { a: '2' }, false],
  ['a notin (1,2)', {}, true],
  ['a,b=2', { a: '', b: '2' }, true],
  ['a in (1,2),!b', { a: '1', b: '' }, false],
  ['', { a: '' }, false],
  ['toString', {}, false],
] as const) {
  test(`"${text}" on ${JSON.stringify(labels)} is ${expected}`, () => {
    const selector = parseSelector(text);
    assert.ok(typeof selector !== 'string');
    assert.equal(selects(selector, labels), expected);
  });
}

for (const text of ['a b', '=1', 'a in', 'a in 1', '-a', 'a/b/c', 'a,,b']) {
  test(`"${text}" is no selector`, () => assert.equal(typeof parseSelector(text), 'string'));
}
