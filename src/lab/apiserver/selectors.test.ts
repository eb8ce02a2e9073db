import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSelector, labelSelector, objectSelector } from './selectors.ts';

test('label selectors', () => {
  const labels = { app: 'web', tier: 'front', size: '3', 'k8s.io/x': '' };
  const yes = [
    '',
    'app=web',
    'app==web',
    'app!=db',
    'other!=x',
    'app in (db, web)',
    'app notin (db)',
    'nope notin (x)',
    'app',
    '!nope',
    'size>2',
    'size<4',
    'k8s.io/x=',
    'app=web,tier in (front),!z',
  ];
  const no = [
    'app=db',
    'app!=web',
    'app in (db)',
    'app notin (web)',
    'nope',
    '!app',
    'size>3',
    'nope>1',
    'constructor',
    'toString in (a)',
    'app=web,z',
  ];
  for (const selector of yes) assert.equal(labelSelector(selector)(labels), true, selector);
  for (const selector of no) assert.equal(labelSelector(selector)(labels), false, selector);
  for (const selector of ['a b', 'app=web,,', '=x', 'app in web', 'app=we b', 'a/b/c=d'])
    assert.throws(() => labelSelector(selector), /unable to parse/, selector);
});

test('selectors in objects', () => {
  const match = objectSelector({
    matchLabels: { a: 'b' },
    matchExpressions: [
      { key: 'c', operator: 'NotIn', values: ['d'] },
      { key: 'e', operator: 'Exists' },
    ],
  });
  assert.equal(match({ a: 'b', e: '' }), true);
  assert.equal(match({ a: 'b', e: '', c: 'd' }), false);
  assert.equal(match({ a: 'b' }), false);
  assert.throws(
    () => objectSelector({ matchExpressions: [{ key: 'a', operator: 'Like' }] }),
    /not a valid label selector operator/,
  );
});

test('field selectors', () => {
  assert.deepEqual(fieldSelector('a=b,c!=d,e==f'), [
    { field: 'a', value: 'b', equal: true },
    { field: 'c', value: 'd', equal: false },
    { field: 'e', value: 'f', equal: true },
  ]);
  assert.deepEqual(fieldSelector('a=x\\,y'), [{ field: 'a', value: 'x,y', equal: true }]);
  assert.throws(() => fieldSelector('nothing'), /can't understand/);
});
